"""Perturbations that a generator paints: it looks at the image, and may be told the class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.models.generator import Generator
from unlearnable.models.stored import restored, stored
from unlearnable.perturbation import check_range, kind
from unlearnable.pixels import Index, Labels, Pixels, to_float
from unlearnable.protections._noise import take
from unlearnable.run import Run

Head = Literal["tanh", "image"]


@kind
@dataclass(frozen=True, eq=False)
class Painted:
    """Images as the generator paints them, within eps of what they were; serves some that nobody has seen before.

    head: whether it says the change, in units of eps ("tanh"), or the image, which is cut to within eps of the clean
    one as equation 3 of UGE does: what lies beyond gets no gradient ("image"). weights, width, downs, blocks: of the
    generator; classes: how many it tells apart, 0 where it is not told; along: a direction of colour, the largest of it
    1, that every change lies in; size: of the images, in pixels.
    """

    weights: dict[str, Tensor]
    width: int
    downs: int
    blocks: int
    classes: int
    eps: float
    head: Head
    along: Sequence[float] | None
    size: int

    @cached_property
    def network(self) -> Generator:
        """The generator, frozen."""
        return restored(lambda: Generator(self.width, self.downs, self.blocks, self.classes), self.weights)

    @torch.no_grad()
    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels:
        if self.classes:
            check_range(labels, self.classes, "label")
        along = None if self.along is None else torch.tensor(self.along)
        painter = Painter(self.network, self.eps, self.head, along)
        # one at a time: convolutions of a larger batch round otherwise
        return x + torch.cat([painter(one, y) for one, y in zip(x.split(1), labels.split(1), strict=True)])

    def within(self, eps: float) -> "Painted":
        """The same generator with another bound, in units of the 0..1 range."""
        return replace(self, eps=eps)


@dataclass(frozen=True, eq=False)
class Painter:
    """A generator while it learns: images and their labels -> changes, in 0..1 units, differentiable."""

    network: Generator
    eps: float
    head: Head
    along: Tensor | None

    def __call__(self, x: Pixels, y: Labels) -> Pixels:
        raw: Pixels = self.network(x, F.one_hot(y, self.network.code).float() if self.network.code else None)
        change = raw * self.eps if self.head == "tanh" else ((raw + 1) / 2 - x).clamp(-self.eps, self.eps)
        return change if self.along is None else change[:, :1] * self.along.to(change)[:, None, None]

    def on(self, data: ImageSet, run: Run) -> Callable[[Index], Pixels]:
        """Rows of the images -> these images with their changes, on the run's device."""
        images = run.near(data.images)

        def say(rows: Index) -> Pixels:
            x, y = to_float(take(images, rows, run)), data.labels[rows].to(run.at)
            with run.autocast():
                return x + self(x, y)

        return say

    def painted(self, shape: Mapping[str, int], size: int) -> Painted:
        """What it paints as it is now, in half precision. shape: width, downs and blocks of the generator."""
        along = None if self.along is None else self.along.tolist()
        told = self.network.code
        return Painted(
            stored(self.network), **shape, classes=told, eps=self.eps, head=self.head, along=along, size=size
        )
