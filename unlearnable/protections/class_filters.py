"""CUDA: convolution-based unlearnable data. Sadasivan, Soltanolkotabi, Feizi, CVPR 2023, arXiv 2303.04278.

| paper | here |
|---|---|
| k, filter size | kernel |
| p_b, upper end of the uniform weights | blur |
| s_i, the private filter of class i | drawn from the run's seed |

The change is not bounded by the paper (budget "none"): pictures look blurred and paler. With an eps it is cut to it.

Differs from the paper:
* an all-black image stays black instead of being divided by zero;
* rounds to nearest; the published code truncates.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.perturbation import check_range, kind
from unlearnable.pixels import UNBOUNDED, Budget, Index, Labels, Pixels
from unlearnable.protections._fields import Checked, Positive
from unlearnable.run import Run


@dataclass(frozen=True)
class ClassFilters(Checked):
    """Every image of a class goes through the same private filter, which networks learn instead of the picture.

    Weights are drawn from a range, so that no number of classes is too many for them to differ.
    Raises ValueError for a kernel that is not odd.
    """

    needs_labels = True
    needs_images: ClassVar[bool] = False
    transfers: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {"imagenet100": {"kernel": 9, "blur": 0.06}}

    budget: Budget = field(default=UNBOUNDED)
    kernel: int = 3
    blur: Positive = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}")

    def fit(self, data: ImageSet, run: Run) -> "Filters":
        """For each class a kernel of uniform weights in 0..blur, one of them, anywhere, set to 1."""
        rng, classes = run.rng("filters"), len(data.classes)
        weights = torch.rand(classes, self.kernel**2, generator=rng) * self.blur
        one = torch.randint(0, self.kernel**2, (classes,), generator=rng)
        weights[torch.arange(classes), one] = 1.0
        return Filters(weights.reshape(classes, self.kernel, self.kernel), data.size)


@kind
@dataclass(frozen=True, eq=False)
class Filters:
    """x convolved with the filter of its class (the same for R, G and B, zero padding), then divided by its maximum."""

    weights: Float32[Tensor, "classes k k"]
    size: int

    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels:
        check_range(labels, len(self.weights), "label")
        n, channels, height, width = x.shape
        filters = self.weights[labels].repeat_interleave(channels, 0)[:, None]
        stacked = x.reshape(1, n * channels, height, width)
        padding = self.weights.shape[-1] // 2
        blurred = F.conv2d(stacked, filters, padding=padding, groups=n * channels).reshape(x.shape)
        return blurred / blurred.amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)
