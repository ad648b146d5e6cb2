"""AAP: augmented adversarial poisoning. Wang, Zhu, Gao, NeurIPS 2024, arXiv 2402.04010, equation 6 and algorithm 2.

| paper | here |
|---|---|
| epsilon | budget |
| augmentation of strength s: 0.4 on CIFAR-10, 0.8 on CIFAR-100 | strength |
| reference model, 40 epochs at a rate of 0.5 | model, epochs, lr |
| 250 steps of 2.5 epsilon / 250 towards class y + 1 | steps, step_size |

TAP, of which surrogate and steps see strongly augmented images.

Differs from the published code:
* noise begins at a random point, uniform within the budget; there it begins at none;
* the surrogate is trained as any network here, with a weight decay of 5e-4 and Nesterov's momentum, its rate rising for
  a quarter of the steps and then falling; there with 1e-4 and plain momentum, and a rate that is set once an epoch;
* restarts are ours: an image keeps the one that was best for it as it is, not augmented;
* the change is rounded to nearest; the published code cuts fractions off.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from unlearnable.data import ImageSet
from unlearnable.pixels import Labels, Pixels
from unlearnable.protections._fields import Positive
from unlearnable.protections._fixed_surrogate import FixedSurrogate, Goal, misled
from unlearnable.run import Run
from unlearnable.training import Contrastive


@dataclass(frozen=True)
class AAP(FixedSurrogate):
    """Images that a network takes for another class however strongly they are augmented.

    goal: "targeted" is the class after an image's own, "untargeted" any other.
    Raises ValueError for an unknown goal or a strength outside 0..1; `fit` for a single class, or where the surrogate
    could not be trained.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {
            "model": "cnn", "epochs": 20, "lr": 0.1, "surrogate_batch": 64, "steps": 40, "step_size": 1 / 255,
        },
        "cifar100": {"strength": 0.8},
    }  # fmt: skip

    lr: Positive = 0.5
    step_size: Positive = 0.08 / 255
    goal: Goal = "targeted"
    strength: float = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        Contrastive(self.strength)

    def losses(self, logits: Tensor, y: Labels) -> Tensor:
        """The cross-entropy with the class after its own, or minus that with its own."""
        return misled(logits, y, self.goal)

    def view(self, pixels: Pixels, rng: torch.Generator) -> Pixels:
        """A strongly augmented view."""
        return Contrastive(self.strength).view(pixels, rng)

    def networks(self, data: ImageSet, run: Run) -> list[nn.Module]:
        """One, trained on strongly augmented images."""
        return [self.trained(self.recipe(augment=Contrastive(self.strength)), data, run).network]
