"""TAP: targeted adversarial poisons. Fowl, Goldblum, Chiang, Geiping, Czaja, Goldstein, NeurIPS 2021, arXiv 2106.10807.

| paper | here |
|---|---|
| epsilon | budget |
| theta*, trained on the clean images | model, trained for `epochs` at `lr` on batches of `surrogate_batch` |
| targeted: the loss with class g(y) = y + 1 falls; untargeted: the loss with class y rises | goal |
| 250 steps of PGD with differentiable crops and flips | steps, step_size on batches of `batch`; padding (0: neither) |
| restarts | restarts |

Differs from the paper:
* every image keeps the restart that was best for it; the published code keeps the one with the lowest mean. Once the
  surrogate is trained, images do not depend on one another, so this can only lower the loss;
* the loss that restarts are judged by is that of the image as it is, not of the last random crop of it;
* crops are of whole pixels; the published ones lie between pixels;
* it begins with uniform noise; the published code with normal noise of the size of the budget, cut there;
* the surrogate is trained as any network here, at a rate that rises and falls once instead of in three steps.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from unlearnable.pixels import Labels, Pixels
from unlearnable.protections._fields import Natural
from unlearnable.protections._fixed_surrogate import FixedSurrogate, Goal, misled
from unlearnable.protections._pgd import cropped

_QUICK = {"model": "cnn", "epochs": 20, "surrogate_batch": 64, "steps": 20, "step_size": 2 / 255, "restarts": 1}


@dataclass(frozen=True)
class TAP(FixedSurrogate):
    """Images that a network trained on the clean ones takes for another class: whoever trains on them learns that one.

    goal: "targeted" is the class after an image's own, "untargeted" any other; padding: of random crops, 0 for images
    as they are. Raises ValueError for an unknown goal; `fit` for a single class, or where the surrogate could not be
    trained.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": _QUICK,
        "untargeted": {"goal": "untargeted"},
        "untargeted-quick": _QUICK | {"goal": "untargeted"},
    }

    restarts: int = 8
    goal: Goal = "targeted"
    padding: Natural = 4

    def losses(self, logits: Tensor, y: Labels) -> Tensor:
        """The cross-entropy with the class after its own, or minus that with its own."""
        return misled(logits, y, self.goal)

    def view(self, pixels: Pixels, rng: torch.Generator) -> Pixels:
        """A random crop, flipped or not."""
        return cropped(pixels, self.padding, rng)
