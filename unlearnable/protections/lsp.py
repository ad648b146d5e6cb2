"""LSP: linearly separable synthetic perturbations. Yu, Zhang, Chen, Yin, Liu, KDD 2022, arXiv 2111.00898, algorithm 1.

| paper | here |
|---|---|
| epsilon, an L2 radius of sqrt(3hw) * 6/255 | budget of the preset `paper`: a root mean square of 6/255 |
| patch size p, 8 px; 32 px on ImageNet | patch |
| class separation of the synthetic points | class_sep |

Differs from the paper:
* each point is drawn from its class's Gaussian by (seed, image) instead of from one shuffled table, so that an image's
  pattern depends on nothing but its label and row, and new images can be protected;
* by default a pattern is bounded like any other method's, 8/255 in L-infinity: it is drawn `overdrive` times as strong
  and cut to the budget, so that most of it lies at the bound. The preset `paper` has the published L2 bound instead;
* rounds to nearest; the published code truncates.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float32
from torch import Tensor

from unlearnable.data import ImageSet
from unlearnable.perturbation import check_range, kind
from unlearnable.pixels import LINF8, Budget, Index, Labels, Pixels
from unlearnable.protections._fields import Checked, Positive
from unlearnable.protections._noise import own_noise
from unlearnable.run import Run

_MOST = 2**30
_PAPER: dict[str, Any] = {"budget": {"norm": "l2", "eps": 6 / 255}, "overdrive": 1.0}


@dataclass(frozen=True)
class LSP(Checked):
    """A coarse pattern of flat patches for every image, drawn so that a linear classifier tells the classes apart.

    Raises ValueError where the patches give too few features to tell the classes apart, or so many that what is drawn
    for all classes has more than 1 GiB.
    """

    needs_labels = True
    needs_images: ClassVar[bool] = False
    transfers: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": _PAPER,
        "imagenet": _PAPER | {"patch": 32},
    }

    budget: Budget = field(default=LINF8)
    patch: int = 8
    class_sep: Positive = 10.0
    overdrive: Positive = 1.5

    def fit(self, data: ImageSet, run: Run) -> "Patches":
        """A vertex of a hypercube and a covariance for each class, as scikit-learn's make_classification has them."""
        features, classes = _features(data.size, self.patch), len(data.classes)
        self._check(data.size, classes)
        rng = run.rng("lsp-classes")
        centres = _distinct_signs(classes, features, rng) * self.class_sep
        spread = torch.rand(classes, features, features, generator=rng) * 2 - 1
        return Patches(centres, spread, data.size, self.patch, self.overdrive * self.budget.eps, run.seed)

    def _check(self, size: int, classes: int) -> None:
        """Raises ValueError, with a patch that would do, where patches tell fewer classes apart or fill the memory."""
        features, wanted = _features(size, self.patch), (classes - 1).bit_length()
        if features < wanted:
            finer = (patch for patch in range(self.patch - 1, 0, -1) if _features(size, patch) >= wanted)
            fits = next(finer, None)
            raise ValueError(
                f"{features} patches tell {2**features} classes apart at most, here are {classes}: "
                + ("take larger pictures or fewer classes" if fits is None else f"use a patch of {fits} or less")
            )
        if _drawn(size, self.patch, classes) > _MOST:
            coarser = (patch for patch in range(self.patch, size + 1) if _drawn(size, patch, classes) <= _MOST)
            raise ValueError(
                f"patches of {self.patch} pixels make {features} features at {size} pixels, too many for "
                f"{classes} classes: use a patch of {next(coarser, size)} or more"
            )


@kind
@dataclass(frozen=True, eq=False)
class Patches:
    """x + a pattern of flat squares with root mean square `rms`, drawn for each image from its class's Gaussian."""

    centres: Float32[Tensor, "k d"]
    spread: Float32[Tensor, "k d d"]
    size: int
    patch: int
    rms: float
    seed: int

    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels:
        check_range(labels, len(self.centres), "label")
        noise = own_noise("lsp", index, (self.centres.shape[1],), self.seed)
        points = torch.stack([z @ self.spread[k] + self.centres[k] for z, k in zip(noise, labels, strict=True)])
        grid = -(-self.size // self.patch)
        pattern = points.reshape(-1, 3, grid, grid).repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3)
        pattern = pattern[:, :, : self.size, : self.size]
        return x + pattern * (self.rms / pattern.square().mean(dim=(1, 2, 3), keepdim=True).sqrt())


def _features(size: int, patch: int) -> int:
    """Patches in three channels."""
    return 3 * (-(-size // patch)) ** 2


def _drawn(size: int, patch: int, classes: int) -> int:
    """Bytes of the covariances of all classes."""
    return 4 * classes * _features(size, patch) ** 2


def _distinct_signs(count: int, features: int, rng: torch.Generator) -> Float32[Tensor, "k d"]:
    """`count` different vertices of the cube {-1, 1}^features: one that came before is drawn again, no other."""
    signs = torch.randint(0, 2, (count, features), generator=rng).float() * 2 - 1
    taken: set[tuple[float, ...]] = set()
    for row in range(count):
        while (vertex := tuple(signs[row].tolist())) in taken:
            signs[row] = torch.randint(0, 2, (features,), generator=rng).float() * 2 - 1
        taken.add(vertex)
    return signs
