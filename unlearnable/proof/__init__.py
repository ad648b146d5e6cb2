"""Proof: what was done to a folder, how much is left of it, who learns from it all the same, and who says so."""

from unlearnable.job.card import check_card as check_card
from unlearnable.proof.gathering import Wanted as Wanted
from unlearnable.proof.gathering import gather as gather
from unlearnable.proof.gathering import write_card as write_card
from unlearnable.proof.learning import Trial as Trial
from unlearnable.proof.signed import Listed as Listed
from unlearnable.proof.signed import check_out as check_out
from unlearnable.proof.signed import read as read
from unlearnable.proof.signed import write as write
from unlearnable.proof.survival import Left as Left
from unlearnable.proof.survival import survival as survival
from unlearnable.proof.words import html as html
from unlearnable.proof.words import markdown as markdown
