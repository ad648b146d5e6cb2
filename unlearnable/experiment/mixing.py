"""A collection of which only a share is protected."""

from dataclasses import replace

import torch

from unlearnable.data import ImageSet
from unlearnable.pixels import Index
from unlearnable.run import Run
from unlearnable.training import Recipe


def mix(clean: ImageSet, protected: ImageSet, rate: float, run: Run) -> ImageSet:
    """`rate` of the images protected, the others clean; which, depends on the run's seed alone."""
    rows = chosen(len(clean), rate, run)
    images = clean.images.clone()
    images[rows] = protected.images[rows]
    return clean.with_images(images)


def clean_part(clean: ImageSet, rate: float, run: Run) -> ImageSet:
    """The control: the images that `mix` leaves clean, alone."""
    rest = torch.ones(len(clean), dtype=torch.bool)
    rest[chosen(len(clean), rate, run)] = False
    return clean.subset(rest.nonzero().flatten())


def as_long(recipe: Recipe, rate: float) -> Recipe:
    """The recipe for the clean part alone: about as many steps as the whole collection gets; otherwise it would lose
    for want of training, not of images.
    """
    return replace(recipe, epochs=round(recipe.epochs / (1 - rate)))


def chosen(n: int, rate: float, run: Run) -> Index:
    """The rows that are protected: of a larger rate the same ones and more."""
    return torch.randperm(n, generator=run.rng("rate"))[: round(rate * n)]
