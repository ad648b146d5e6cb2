"""Hypocritical perturbations. Tao, Feng, Yi, Huang, Chen, NeurIPS 2021, arXiv 2102.04716, section 4, P2.

| paper | here |
|---|---|
| epsilon, 0.5 in L2 | budget; 8/255 by default, as everywhere here; the preset `paper` has theirs |
| a pre-trained network, of 150 epochs | model, epochs (150 in `paper`), lr, surrogate_batch |
| 100 steps of epsilon / 5 down the loss | steps, step_size |
| adversarially trained instead, as later benchmarks have it | radius, attack_steps |

Images that a trained network is surer of than before: less is left to learn from them, and what is added is no help.

Differs from the published code: it begins at a random point, there at the image; the surrogate's rate rises and falls
once, there it falls at epochs 100 and 125.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.pixels import Budget, Labels
from unlearnable.protections._fields import Natural, Positive
from unlearnable.protections._fixed_surrogate import FixedSurrogate
from unlearnable.run import Run
from unlearnable.training import Worst

_SIDE = math.sqrt(3 * 32 * 32)  # a length over a picture of CIFAR-10 is that many times its root mean square
_QUICK = {"model": "cnn", "epochs": 20, "surrogate_batch": 64, "steps": 20}


@dataclass(frozen=True)
class Hypocritical(FixedSurrogate):
    """Images whose own class a network trained on the clean ones gives with the smallest error.

    radius: the surrogate is trained adversarially within it; 0: as usual. `fit` raises ValueError for a single class,
    or where the surrogate could not be trained.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": _QUICK,
        "paper": {
            "budget": {"norm": "l2", "eps": 0.5 / _SIDE}, "step_size": 0.1 / _SIDE, "model": "vgg16", "epochs": 150,
        },
        "robust": {"radius": 4 / 255},
        "robust-quick": _QUICK | {"radius": 4 / 255, "attack_steps": 4},
    }  # fmt: skip

    steps: int = 100
    step_size: Positive = 1.6 / 255
    radius: float = 0.0
    attack_steps: Natural = 10

    def losses(self, logits: Tensor, y: Labels) -> Tensor:
        """The cross-entropy with its own class."""
        return F.cross_entropy(logits, y, reduction="none")

    def networks(self, data: ImageSet, run: Run) -> list[nn.Module]:
        """One, trained adversarially where there is a radius."""
        worst = Worst(Budget("linf", self.radius), self.attack_steps) if self.radius else None
        return [self.trained(self.recipe(objective=worst), data, run).network]
