"""COIN: random pixel displacement. Li, Wang, Yu, Hu, Zhou, Zhang, Zhang, Detecting and Corrupting Convolution-based
Unlearnable Examples, AAAI 2025, arXiv 2311.18403.

| paper | here |
|---|---|
| alpha, severity 4 of 7 | reach: every pixel is fetched from up to so many pixels away, per axis, evenly |
| bilinear, periodic borders | kornia's remap on a wrapped image |
"""

from dataclasses import dataclass

import torch
from kornia.geometry.transform import remap
from torch.nn import functional as F

from unlearnable.adversaries._filter import allow
from unlearnable.pixels import Pixels
from unlearnable.training import Augmentation, Step


@dataclass(frozen=True)
class Coin(Augmentation):
    """Every pixel of every batch anew from a random point near it: what a convolution did to the image is scrambled."""

    reach: float = 2.0

    def __post_init__(self) -> None:
        allow("reach", self.reach, 0.0, 16.0)

    def __call__(self, x: Pixels, step: Step) -> Pixels:
        n, _, height, width = x.shape
        reach = min(self.reach, height - 1, width - 1)  # once around, no further
        margin = int(reach) + 1
        shift = torch.rand((2, n, height, width), generator=step.rng("coin")).to(x) * 2 - 1
        rows = torch.arange(height).to(x)[None, :, None] + margin + reach * shift[0]
        columns = torch.arange(width).to(x)[None, None, :] + margin + reach * shift[1]
        wrapped = F.pad(x, [margin] * 4, mode="circular")
        moved: Pixels = remap(wrapped, columns, rows, align_corners=True)
        return moved.contiguous()
