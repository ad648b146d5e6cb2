"""Perturbations that a generator paints: it looks at the image, and may be told its class and what networks answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.models.blind import Direction, levels
from unlearnable.models.generator import Generator
from unlearnable.models.stored import restored, stored
from unlearnable.perturbation import check_range, kind
from unlearnable.pixels import Budget, Index, Labels, Pixels, in_levels, level_cap, to_float
from unlearnable.protections._noise import take
from unlearnable.run import Run

Head = Literal["tanh", "image"]
_UNIT = 4.0  # logits: about how far apart they lie once a network is sure of its images


@dataclass(frozen=True, eq=False)
class Told:
    """What a generator is told of an image beside the pixels: its class, one of so many, 0 for nothing, and what
    networks, frozen, answer to it and its mirror image.
    """

    classes: int = 0
    networks: Sequence[nn.Module] = ()

    @property
    def length(self) -> int:
        """Of what is told."""
        return self.classes * (2 if self.networks else 1)

    @torch.no_grad()
    def __call__(self, x: Pixels, y: Labels) -> Tensor | None:
        if not self.classes:
            return None
        known = F.one_hot(y, self.classes).float()
        if not self.networks:
            return known
        said = torch.stack([network(side).float() for network in self.networks for side in (x, x.flip(3))]).mean(0)
        return torch.cat([known, (said - said.mean(1, keepdim=True)) / _UNIT], 1)


@kind
@dataclass(frozen=True, eq=False)
class Painted:
    """Images as the generator paints them, within eps of what they were; serves some that nobody has seen before.

    head: whether it says the change, in units of eps ("tanh"), or the image, which is cut to within eps of the clean
    one as equation 3 of UGE does: what lies beyond gets no gradient ("image"). weights, width, downs, blocks: of the
    generator; classes: how many it tells apart, 0 where it is not told; along: a direction of colour, the largest of it
    1, that every change lies in; size: of the images, in pixels; models, answers: of the networks whose answers it is
    told, whose weights are named by their number and a dot.
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
    models: Sequence[str] = ()
    answers: dict[str, Tensor] = field(default_factory=dict)

    @cached_property
    def painter(self) -> "Painter":
        """The generator, frozen, with what tells it."""
        told = Told(self.classes, [self._teller(which) for which in range(len(self.models))])
        network = restored(lambda: Generator(self.width, self.downs, self.blocks, told.length), self.weights)
        return Painter(network, self.eps, self.head, None if self.along is None else torch.tensor(self.along), told)

    def _teller(self, which: int) -> nn.Module:
        start = f"{which}."
        weights = {name.removeprefix(start): w for name, w in self.answers.items() if name.startswith(start)}
        return restored(lambda: build(self.models[which], self.classes, self.size), weights)

    @torch.no_grad()
    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels:
        if self.classes:
            check_range(labels, self.classes, "label")
        # one at a time: convolutions of a larger batch round otherwise
        parts = zip(x.split(1), labels.split(1), strict=True)
        return x + torch.cat([self.painter.whole(one, self.painter(one, y)) for one, y in parts])

    def within(self, eps: float) -> "Painted":
        """The same generator with another bound, in units of the 0..1 range."""
        return replace(self, eps=eps)


@dataclass(frozen=True, eq=False)
class Painter:
    """A generator while it learns: images and their labels -> changes, in 0..1 units, differentiable."""

    network: Generator
    eps: float
    head: Head
    along: Direction | None
    told: Told = Told()

    def __call__(self, x: Pixels, y: Labels) -> Pixels:
        raw: Pixels = self.network(x, self.told(x, y))
        change = raw * self._most if self.head == "tanh" else ((raw + 1) / 2 - x).clamp(-self._most, self._most)
        return change if self.along is None else change[:, :1] * self.along.to(change)[:, None, None]

    @cached_property
    def _step(self) -> int:
        """Levels of a whole step along the direction; 0 where there is no direction, or no step within eps."""
        step = 0 if self.along is None else levels(self.along)
        return step if step <= level_cap(Budget("linf", self.eps)) else 0

    @property
    def _most(self) -> float:
        """The largest change: eps, or the most steps of a direction that are within it."""
        if not self._step:
            return self.eps
        return in_levels(level_cap(Budget("linf", self.eps)) // self._step * self._step)

    def whole(self, x: Pixels, change: Pixels) -> Pixels:
        """Changes of 8-bit images in steps along the direction that are whole in every channel and end within 0..1: so
        that nothing of them lies across it once they are rounded. Others as they are.
        """
        if self.along is None or not self._step:
            return change
        step = in_levels(self._step)
        along = self.along.to(change)[:, None, None]
        steps = (change.mul(along).sum(1, keepdim=True) / along.square().sum() / step).round()
        room = torch.stack([part / along.abs().clamp_min(1e-9) / step for part in (x, 1 - x)])
        up = torch.where(along > 0, room[1], room[0]).amin(1, keepdim=True)
        down = torch.where(along > 0, room[0], room[1]).amin(1, keepdim=True)
        return torch.minimum(torch.maximum(steps, -(down + 1e-3).floor()), (up + 1e-3).floor()) * step * along

    def on(self, data: ImageSet, run: Run) -> Callable[[Index], Pixels]:
        """Rows of the images -> these images with their changes, on the run's device."""
        images = run.near(data.images)

        def say(rows: Index) -> Pixels:
            x, y = to_float(take(images, rows, run)), data.labels[rows].to(run.at)
            with run.autocast():
                return x + self(x, y)

        return say

    def painted(self, shape: Mapping[str, int], size: int, models: Sequence[str] = ()) -> Painted:
        """What it paints as it is now, in half precision. shape: width, downs and blocks of the generator; models: of
        the networks whose answers it is told, which keep theirs.
        """
        along = None if self.along is None else self.along.tolist()
        kept = [stored(network, half=False) for network in self.told.networks]
        answers = {f"{which}.{name}": w for which, weights in enumerate(kept) for name, w in weights.items()}
        return Painted(
            stored(self.network), **shape, classes=self.told.classes, eps=self.eps, head=self.head, along=along,
            size=size, models=tuple(models), answers=answers,
        )  # fmt: skip
