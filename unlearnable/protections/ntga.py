"""NTGA: neural tangent generalization attacks. Yuan, Wu, ICML 2021; kernel dynamics of Lee et al., arXiv 1902.06720.

| paper | here |
|---|---|
| epsilon | budget |
| K, the neural tangent kernel of a fully connected network with erf | `layers` of affine map and erf, infinitely wide |
| t, at which the mean output f_t is taken | time, at learning rate 1: gradient descent on the mean squared error |
| X^m, the validation images | validation: so many of the other images of the set |
| blocks of B-NTGA | block: so many training images at most, attacked together and apart from the others |
| PGD | steps, step_size |

f_t(v) = K(v, x) K(x, x)^-1 (1 - exp(-t K(x, x) / nc)) y for n images of c classes: Lee et al., equations 10 and 11; the
1/nc is that of the mean, as in the library that the published code calls.

Differs from the paper:
* no image is left unchanged, where the paper keeps its validation images out of what it poisons: these are the first of
  a seeded order of all images, as they were before any change; a block they are in is judged by the next ones instead;
* blocks are of one size, give or take an image, and at least two; the published code drops the last, short one;
* steps go on from one another; the published ones each take the full epsilon from the clean image: preset `reference`;
* only the fully connected surrogate: the paper's other one, a convolutional kernel, is not here.
"""

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from unlearnable.data import ImageSet
from unlearnable.perturbation import Perturbation
from unlearnable.pixels import LINF8, Budget, Labels, Pixels, to_float
from unlearnable.protections._fields import Checked, Positive
from unlearnable.protections._noise import NoisyImages
from unlearnable.protections._pgd import Term, descend
from unlearnable.run import Run

_WEIGHTS, _BIASES, _RIDGE = 1.76, 0.18, 1e-4  # variances at the start; a share of the kernel's mean diagonal


@dataclass(frozen=True)
class NTGA(Checked):
    """Images from which an infinitely wide network, trained for a while, predicts the other images as badly as it can.

    Gives each of n images a delta of its own, (n, 3, size, size).
    Raises ValueError for a count below 1 or a time that is not above 0; `fit` for a single class or a single image.
    """

    needs_labels = True
    transfers = False
    needs_images: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"validation": 500, "steps": 5, "step_size": 1.76 / 255},
        "reference": {"steps": 1, "step_size": 8 / 255},
    }

    budget: Budget = field(default=LINF8)
    layers: int = 5
    time: Positive = 64.0
    validation: int = 10_000
    block: int = 512
    steps: int = 10
    step_size: Positive = 0.88 / 255

    def fit(self, data: ImageSet, run: Run) -> Perturbation:
        """Block after block of a seeded order, each taken all its steps from the clean images."""
        if len(data.classes) < 2 or len(data) < 2:
            raise ValueError(f"ntga needs at least 2 classes and 2 images, got {len(data.classes)} and {len(data)}")
        images, mine = NoisyImages(data, self.budget, run), run.shard(len(data))
        order = torch.randperm(len(data), generator=run.rng("ntga-blocks"))
        blocks = order[torch.isin(order, mine)].tensor_split(max(2, -(-run.share(len(data)) // self.block)))
        for turn in run.loop("ntga", len(blocks), {"delta": images.table}):
            rows = blocks[turn]
            others = order[~torch.isin(order, rows)][: self.validation]
            x, y = images.clean(rows)
            term = Term("loss", partial(self._loss, y, data, others, run), self.step_size)
            delta, values = descend([term], x, torch.zeros_like(x), self.steps, self.budget)
            images.keep(rows, delta)
            run.report("ntga", turn + 1, len(blocks), {"loss": -float(values["loss"]) / len(others)})
        return images.sample_wise()

    def _loss(self, y: Labels, data: ImageSet, others: Tensor, run: Run, pixels: Pixels) -> Tensor:
        """What falls: minus the sum of the cross-entropies of f_t, trained on these pixels, over the other images."""
        x, classes = pixels.double().flatten(1), len(data.classes)
        kernel = kernels(x, x, self.layers)[1]
        kernel = kernel + _RIDGE * kernel.diagonal().mean() * torch.eye(len(x), dtype=x.dtype, device=x.device)
        targets, time = F.one_hot(y, classes).double(), self.time / (len(x) * classes)
        coefficients = Evolved.apply(kernel, targets, time)  # type: ignore[no-untyped-call]

        def judged(x: Tensor, coefficients: Tensor, rows: Tensor) -> Tensor:
            seen = to_float(data.images[rows].to(run.at)).double().flatten(1)
            outputs = kernels(seen, x, self.layers)[1] @ coefficients
            return F.cross_entropy(outputs, data.labels[rows].to(run.at), reduction="sum")

        parts = [checkpoint(judged, x, coefficients, rows, use_reentrant=False) for rows in others.split(self.block)]
        return -torch.stack(parts).sum()


def kernels(a: Float64[Tensor, "n d"], b: Float64[Tensor, "m d"], layers: int) -> Float64[Tensor, "2 n m"]:
    """Covariance and neural tangent kernel of the outputs of an infinitely wide network at its start."""
    k, tangent = a @ b.T / a.shape[1], torch.zeros(len(a), len(b), dtype=a.dtype, device=a.device)
    ka, kb = a.square().mean(1)[:, None], b.square().mean(1)
    for _ in range(layers):
        k, ka, kb = (_WEIGHTS * moment + _BIASES for moment in (k, ka, kb))
        scale = (1 + 2 * ka) * (1 + 2 * kb)
        tangent = (k + _WEIGHTS * tangent) * (4 / math.pi) * (scale - 4 * k.square()).rsqrt()
        k = 2 / math.pi * torch.asin(2 * k * scale.rsqrt())
        ka, kb = (2 / math.pi * torch.asin(2 * moment / (1 + 2 * moment)) for moment in (ka, kb))
    return torch.stack([k, tangent])


class Evolved(torch.autograd.Function):
    """K^-1 (1 - exp(-tK)) y for symmetric positive K (n, n), y (n, c) and t; has a gradient where eigenvalues meet."""

    @staticmethod
    def forward(ctx: Any, kernel: Tensor, targets: Tensor, time: float) -> Tensor:
        values, vectors = torch.linalg.eigh(kernel)
        ctx.save_for_backward(values, vectors, vectors.T @ targets)
        ctx.time = time
        coefficients: Tensor = vectors @ (_learned(values, time)[:, None] * (vectors.T @ targets))
        return coefficients

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """By Daleckii and Krein: in the eigenbasis, times the divided differences of the function of eigenvalues."""
        values, vectors, targets = ctx.saved_tensors
        learned, apart, middle = _learned(values, ctx.time), values[:, None] - values, (values[:, None] + values) / 2
        slope = (ctx.time * torch.exp(-ctx.time * middle) - _learned(middle, ctx.time)) / middle
        close = apart.abs() * ctx.time < 1e-3
        ratio = torch.where(close, slope, (learned[:, None] - learned) / torch.where(close, 1.0, apart))
        inner = vectors @ (ratio * (vectors.T @ gradient @ targets.T)) @ vectors.T
        return (inner + inner.T) / 2, None, None


def _learned(values: Tensor, time: float) -> Tensor:
    return -torch.expm1(-time * values) / values
