"""Random sign noise: the control of protections; class-wise it is P5 of Tao et al., NeurIPS 2021, arXiv 2102.04716.

| paper | here |
|---|---|
| epsilon | budget |
| random noise of each class (P5) | scope="class" |

Sample-wise it teaches a network nothing and hides nothing: a protection that is no better than this protects nothing.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from unlearnable.data import ImageSet
from unlearnable.perturbation import ClassWise, Perturbation, kind
from unlearnable.pixels import LINF8, Budget, Index, Labels, Pixels
from unlearnable.protections._fields import Checked
from unlearnable.run import Run


@dataclass(frozen=True)
class Random(Checked):
    """+eps or -eps at every value, drawn for each image or for each class. Raises ValueError for an unknown scope."""

    needs_images: ClassVar[bool] = False
    transfers: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {"class": {"scope": "class"}}

    budget: Budget = field(default=LINF8)
    scope: Literal["sample", "class"] = "sample"

    @property
    def needs_labels(self) -> bool:
        return self.scope == "class"

    def fit(self, data: ImageSet, run: Run) -> Perturbation:
        """Nothing is learned: only the seed and the size are kept, or one pattern for each class."""
        if self.scope == "sample":
            return SignNoise(data.size, self.budget.eps, run.seed)
        patterns = [_signs(data.size, run.rng("random-class", label)) for label in range(len(data.classes))]
        return ClassWise(torch.stack(patterns) * self.budget.eps)


@kind
@dataclass(frozen=True, eq=False)
class SignNoise:
    """x + eps times signs that depend only on the seed and the image's row."""

    size: int
    eps: float
    seed: int

    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels:
        run = Run(self.seed)
        return x + self.eps * torch.stack([_signs(self.size, run.rng("random", int(row))) for row in index])


def _signs(size: int, rng: torch.Generator) -> Tensor:
    return torch.randint(0, 2, (3, size, size), generator=rng).float() * 2 - 1
