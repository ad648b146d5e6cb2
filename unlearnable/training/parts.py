"""What a recipe is made of besides its numbers: what is done once, with every batch, and what is minimised."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.pixels import Labels, Pixels
from unlearnable.run import Run
from unlearnable.training.handed import Handed
from unlearnable.training.network import Images, forward


@dataclass(frozen=True)
class Step:
    """The moment of one batch: which epoch of how many, and where random numbers come from."""

    run: Run
    epoch: int
    epochs: int
    batch: int

    def rng(self, name: str) -> torch.Generator:
        """A generator that is a pure function of seed, name, epoch and batch."""
        return self.run.rng(name, self.epoch, self.batch)

    def seeded(self, name: str) -> AbstractContextManager[None]:
        """The global generator, seeded alike: for libraries that draw from nowhere else."""
        return self.run.seeded(name, self.epoch, self.batch)


Loss = Callable[[nn.Module, Pixels, Labels, Step], tuple[Tensor, Tensor]]  # -> (mean loss, logits)
Teacher = Callable[[ImageSet, Run, Path | None, str | None, Handed | None], nn.Module]


class Purifier(ABC):
    """Changes the images once, before training. Subclasses are frozen dataclasses, as all parts of a recipe are."""

    @abstractmethod
    def __call__(self, data: ImageSet, run: Run) -> Images:
        """The images to train on instead, in the same order: 8-bit, or 0..1."""

    def for_test(self, data: ImageSet) -> "Purifier | None":
        """What whoever uses a network trained on these images puts others through, and these; None: nothing."""
        return None


class Augmentation(ABC):
    """Changes every batch anew."""

    @abstractmethod
    def __call__(self, x: Pixels, step: Step) -> Pixels:
        """x (n, c, h, w) in 0..1 -> the same shape."""


class Objective(ABC):
    """What is minimised."""

    @abstractmethod
    def start(self, data: ImageSet, run: Run, teach: Teacher) -> Loss:
        """The loss of a batch, called once. teach: a network of the recipe, trained with the usual loss or given."""


@dataclass(frozen=True)
class EarlyStop:
    """The epoch to keep, chosen on a few clean images that the adversary has: so many of the test images, no more
    than a fifth of them. What it reaches is measured on the others. Raises ValueError for none.
    """

    images: int = 100

    def __post_init__(self) -> None:
        if self.images < 1:
            raise ValueError(f"early stopping needs 1 clean image or more to choose on, got {self.images}")

    def split(self, tests: int, run: Run) -> tuple[Tensor, Tensor]:
        """(rows to choose on, rows to measure on) of a test set; which, depends on the seed alone."""
        rows = torch.randperm(tests, generator=run.rng("early-stop"))
        own = min(self.images, max(1, tests // 5))
        return rows[:own], rows[own:]


def cross_entropy(network: nn.Module, x: Pixels, y: Labels, step: Step) -> tuple[Tensor, Tensor]:
    """The mean cross-entropy of a batch, and the logits."""
    logits = forward(network, x, step.run)
    return F.cross_entropy(logits, y), logits


@dataclass(frozen=True)
class CropFlip(Augmentation):
    """Random crop after zero padding, and random horizontal flip: what nearly every published recipe does."""

    padding: int = 4
    flip: bool = True

    def __call__(self, x: Pixels, step: Step) -> Pixels:
        return self.crop(x, step.rng("augment"))

    def crop(self, x: Pixels, rng: torch.Generator) -> Pixels:
        """x (n, c, h, w) -> the same shape; draws come from rng, on the CPU."""
        n, _, height, width = x.shape
        top, left = torch.randint(0, 2 * self.padding + 1, (2, n), generator=rng).to(x.device)
        padded = F.pad(x, [self.padding] * 4)
        rows = (top[:, None] + torch.arange(height, device=x.device))[:, :, None]
        columns = (left[:, None] + torch.arange(width, device=x.device))[:, None, :]
        if self.flip:
            flipped = (torch.rand(n, generator=rng) < 0.5).to(x.device)
            columns = torch.where(flipped[:, None, None], columns.flip(2), columns)
        image = torch.arange(n, device=x.device)[:, None, None]
        return padded[image, :, rows, columns].permute(0, 3, 1, 2)


def cosine(step: int, steps: int) -> float:
    """The share of the peak rate at a step: from all of it down to none."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def one_cycle(step: int, steps: int) -> float:
    """The share of the peak rate at a step: up in a straight line for a quarter of them, then down a cosine."""
    warm = max(1, steps // 4)
    if step < warm:
        return (step + 1) / warm
    return cosine(step - warm, max(1, steps - warm))
