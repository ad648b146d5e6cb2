"""Smoothing: mean, Gaussian, median and bilateral filters, and resizing down and up (the filters of REM, Fu et al.,
ICLR 2022, arXiv 2203.14533, section 4.3; the Gaussian of One-for-All, table 3). Training images only. All are kornia's.
A window is no larger than twice the picture less a pixel: its border is reflected.
"""

from dataclasses import dataclass

from kornia import filters
from torch.nn import functional as F

from unlearnable.adversaries._filter import Filter, allow, odd, window
from unlearnable.pixels import Pixels


@dataclass(frozen=True)
class Mean(Filter):
    """The mean over a window of `size` x `size` pixels, borders reflected."""

    size: int = 3

    def __post_init__(self) -> None:
        odd("size", self.size)

    def change(self, x: Pixels) -> Pixels:
        return filters.box_blur(x, window(self.size, x), "reflect")


@dataclass(frozen=True)
class Gaussian(Filter):
    """A Gaussian of `sigma` pixels, cut at three sigma, borders reflected. One below 0.3 would change nothing."""

    sigma: float = 1.0

    def __post_init__(self) -> None:
        allow("sigma", self.sigma, 0.3, 10.0)

    def change(self, x: Pixels) -> Pixels:
        reach = max(1, min(round(3 * self.sigma), min(x.shape[2:]) - 1))
        side = 2 * reach + 1
        return filters.gaussian_blur2d(x, (side, side), (self.sigma, self.sigma), "reflect")


@dataclass(frozen=True)
class Median(Filter):
    """The median over a window of `size` x `size` pixels."""

    size: int = 3

    def __post_init__(self) -> None:
        odd("size", self.size)

    def change(self, x: Pixels) -> Pixels:
        return filters.median_blur(x, window(self.size, x))


@dataclass(frozen=True)
class Bilateral(Filter):
    """Smooths within edges: window `size`, spread in colour (0..1) and in space (pixels). REM has 9, 75/255, 75."""

    size: int = 9
    colour: float = 75 / 255
    space: float = 75.0

    def __post_init__(self) -> None:
        odd("size", self.size)
        allow("colour", self.colour, 1e-3, 10.0)

    def change(self, x: Pixels) -> Pixels:
        return filters.bilateral_blur(x, window(self.size, x), self.colour, (self.space, self.space))


@dataclass(frozen=True)
class Resize(Filter):
    """Down to 1/`factor` of the side and up again, both bicubic with antialiasing."""

    factor: float = 2.0

    def __post_init__(self) -> None:
        allow("factor", self.factor, 1.0, 16.0)

    def change(self, x: Pixels) -> Pixels:
        height, width = x.shape[2:]
        down = [max(2, round(side / self.factor)) for side in (height, width)]
        smaller = F.interpolate(x, down, mode="bicubic", antialias=True)
        return F.interpolate(smaller, (height, width), mode="bicubic", antialias=True).clamp(0, 1)
