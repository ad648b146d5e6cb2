"""SEM: stable error-minimising noise. Liu, Xu, Chen, Sun, AAAI 2024, arXiv 2311.13091, equation 6.

| paper | here |
|---|---|
| rho_u | budget |
| rho_a, of the random perturbation and of adversarial training | radius |
| everything else | as in REM |

REM seeks the worst point near every view, SEM takes a random one: robustness comes from the surrogate, which is trained
adversarially, and the search costs a tenth.

Differs from the paper: as REM.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from unlearnable.pixels import Labels
from unlearnable.protections._fields import Natural
from unlearnable.protections._pgd import Term
from unlearnable.protections._robust_surrogate import IMAGENET, RobustSurrogate
from unlearnable.run import Run


@dataclass(frozen=True)
class SEM(RobustSurrogate):
    """Noise that minimises the error at a random point within `radius` of each of `views` random crops."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {
            "radius": 2 / 255, "model": "cnn", "iterations": 400, "decay": 320, "lr": 0.03, "steps": 5,
            "step_size": 3.2 / 255, "attack_steps": 4, "views": 1,
        },
        "imagenet": IMAGENET,
    }  # fmt: skip

    views: Natural = 5

    def terms(self, judge: nn.Module, y: Labels, rng: torch.Generator, run: Run, prepared: Any) -> Sequence[Term]:
        """The error at random points."""
        return [self.error(judge, y, rng, run, self.views, 0)]
