"""Proof: what was done to a folder, how much is left of it, who learns from it all the same, and who says so."""

from unlearnable.proof.survival import Left as Left
from unlearnable.proof.survival import survival as survival
