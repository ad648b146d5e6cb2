"""What the filters share: an image in, an image out, batch by batch, and 8 bits at the end."""

from abc import abstractmethod
from typing import ClassVar

import torch

from unlearnable.data import ImageSet
from unlearnable.pixels import UNBOUNDED, Bytes, Pixels, release, to_float
from unlearnable.run import Run
from unlearnable.training import Purifier, fewer


class Filter(Purifier):
    """A function of each image alone; subclasses are frozen dataclasses that say which."""

    batch: ClassVar[int] = 500
    """Of images of 64 pixels a side; fewer of larger ones."""

    @abstractmethod
    def change(self, x: Pixels) -> Pixels:
        """x (n, c, h, w) in 0..1 -> the same shape."""

    def __call__(self, data: ImageSet, run: Run) -> Bytes:
        """The filtered images, rounded to nearest."""
        parts = []
        for rows in run.batches(len(data), fewer(self.batch, data.size)):
            images = data.images[rows]
            parts.append(release(images, self.change(to_float(images.to(run.at))).cpu(), UNBOUNDED))
        return torch.cat(parts)


def allow(name: str, value: float | int, low: float | int, high: float | int) -> None:
    """Raises ValueError where a parameter lies outside low..high."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low:g} to {high:g}, got {value:g}")


def odd(name: str, value: int) -> None:
    """Raises ValueError where a side of a window has no middle."""
    if value < 1 or value % 2 == 0:
        raise ValueError(f"{name} must be an odd number, such as 3, got {value}")


def window(size: int, x: Pixels) -> tuple[int, int]:
    """A window of so many pixels a side, or the largest whose reflected border the images have."""
    least = min(x.shape[2:])
    side = min(size, 2 * least - 1)
    return side, side
