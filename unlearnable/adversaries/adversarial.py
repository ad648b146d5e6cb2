"""Adversarial training. Madry, Makelov, Schmidt, Tsipras, Vladu, ICLR 2018, arXiv 1706.06083, equation 2.1, by PGD.

| paper | here |
|---|---|
| S, the allowed perturbations | eps, norm |
| k steps of size alpha | steps; alpha = 2 eps / steps (`training.pgd`) |
"""

from dataclasses import dataclass
from typing import Literal

from unlearnable.adversaries._filter import allow
from unlearnable.data import ImageSet
from unlearnable.pixels import Budget
from unlearnable.run import Run
from unlearnable.training import Loss, Objective, Teacher, Worst


@dataclass(frozen=True)
class Adversarial(Objective):
    """Every batch is first moved to where the network does worst, within eps of the 0..1 range.

    norm l2: eps is the root mean square change over an image, as in `Budget`. Gradients are taken in eval mode and
    start at a random point.
    """

    eps: float = 4 / 255
    steps: int = 10
    norm: Literal["linf", "l2"] = "linf"

    def __post_init__(self) -> None:
        allow("eps", self.eps, 0.0, 1.0)
        allow("steps", self.steps, 1, 1000)
        if self.norm not in ("linf", "l2"):
            raise ValueError(f"norm must be linf or l2, got {self.norm!r}")

    def start(self, data: ImageSet, run: Run, teach: Teacher) -> Loss:
        return Worst(Budget(self.norm, self.eps), self.steps).start(data, run, teach)
