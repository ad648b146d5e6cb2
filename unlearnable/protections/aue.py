"""AUE: augmented unlearnable examples. Wang, Zhu, Gao, NeurIPS 2024, arXiv 2402.04010, equation 5 and algorithm 1.

| paper | here |
|---|---|
| epsilon | budget |
| augmentation of strength s: 0.6 on CIFAR-10, 1.0 on CIFAR-100 | strength |
| rounds, and batches of training in each | rounds, train_steps |
| steps of noise in a round, and their size | steps, step_size |
| the rate of the surrogate, falling along a cosine | lr |

EM, of which both turns see strongly augmented images: what survives that also serves against contrastive learning.

Differs from the paper:
* noise is searched for image by image, all of it in every round; the published code visits as many random batches;
* the gradients of the surrogate's weights are cut at a norm of 5, as EM's are; the published code does not cut them;
* the change is added in floating point and rounded once, by `release`; the published code cuts fractions off.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from unlearnable.pixels import Pixels
from unlearnable.protections._fields import Positive, Signed
from unlearnable.protections.em import EM
from unlearnable.training import Contrastive, cosine


@dataclass(frozen=True)
class AUE(EM):
    """Noise and network minimise the same training error in turn, on strongly augmented images.

    Raises ValueError for an unknown scope or a strength outside 0..1.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {
            "model": "cnn", "rounds": 16, "train_steps": 20, "steps": 5, "step_size": 1.6 / 255, "batch": 128,
        },
        "cifar100": {"strength": 1.0},
    }  # fmt: skip

    rounds: int = 60
    train_steps: int = 391
    steps: int = 5
    step_size: Positive = 0.8 / 255
    stop_error: Signed = -1.0
    batch: int = 128
    weight_decay: float = 1e-4
    strength: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        Contrastive(self.strength)

    def _view(self, pixels: Pixels, rng: torch.Generator) -> Pixels:
        """A strongly augmented view."""
        return Contrastive(self.strength).view(pixels, rng)

    def _rate(self, turn: int) -> float:
        """Down a cosine."""
        return self.lr * cosine(turn, self.rounds)
