"""REM: robust error-minimising noise. Fu, He, Liu, Shen, Tao, ICLR 2022, arXiv 2203.14533, equation 5 and algorithm 1.

| paper | here |
|---|---|
| rho_u | budget |
| rho_a, of adversarial training | radius |
| M, batch, learning rate | iterations, batch, lr, decay |
| K_u, alpha_u | steps, step_size |
| K_a, alpha_a = rho_a / 5 | attack_steps; 2 rho_a / attack_steps each |
| T, J: crop and flip, drawn J times a step | padding, views |

Differs from the paper:
* the perturbation is added in floating point and rounded once, by `release`; the published one is rounded to whole
  grey levels before the surrogate sees it;
* the last pass over all images keeps the short batch that the published one drops;
* of the setting for ImageNet: the adversary's steps are 2 rho_a / 7 = 1.14/255 long, there 1/255; crops are padded,
  there of random size.
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
class REM(RobustSurrogate):
    """Noise that minimises the error even where an adversary moves the protected image: it descends on the loss at the
    worst point within `radius` of `views` random crops, found by `inner_steps` of ascent.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {
            "radius": 2 / 255, "model": "cnn", "iterations": 300, "decay": 240, "lr": 0.03, "steps": 5,
            "step_size": 3.2 / 255, "attack_steps": 4, "views": 1, "inner_steps": 2,
        },
        "imagenet": IMAGENET | {"inner_steps": 7},
    }  # fmt: skip

    views: Natural = 5
    inner_steps: int = 10

    def terms(self, judge: nn.Module, y: Labels, rng: torch.Generator, run: Run, prepared: Any) -> Sequence[Term]:
        """Algorithm 1, lines 4 to 8."""
        return [self.error(judge, y, rng, run, self.views, self.inner_steps)]
