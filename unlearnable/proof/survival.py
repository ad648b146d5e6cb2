"""What is left of the change after a picture was compressed, resized or blurred on its way to whoever trains on it.

The change that counts is the one between the protected and the clean picture after the same operation: an operation
alters a clean picture too, and that part protects nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean

import torch
from jaxtyping import Float32
from torch import Tensor

from unlearnable.adversaries import HANDLING
from unlearnable.data import ImageSet
from unlearnable.pixels import Bytes, to_float
from unlearnable.run import Run
from unlearnable.training import Purifier


@dataclass(frozen=True)
class Left:
    """What is left after one operation, means over pictures. correlation: of the change before and after, 1 where it
    is the same but for its strength; energy: the sum of its squares after, as a share of that before; pictures: how
    many had a change at all.
    """

    operation: str
    correlation: float
    energy: float
    pictures: int


def left(before: Bytes, after: Bytes, operation: Purifier, run: Run) -> Float32[Tensor, "2 n"]:
    """(correlation, energy) of every pair of clean and protected pictures; NaN where nothing was changed."""
    was = to_float(after).flatten(1) - to_float(before).flatten(1)
    now = (_through(operation, after, run) - _through(operation, before, run)).flatten(1)
    energy, kept = was.square().sum(1), now.square().sum(1)
    together = (was * now).sum(1) / (energy * kept).sqrt().clamp_min(1e-12)
    return torch.stack([together, kept / energy]).where(energy > 0, torch.nan)


def table(found: Mapping[str, Float32[Tensor, "2 n"]]) -> list[Left]:
    """What `left` gave for every operation, as means over the pictures that were changed at all."""
    rows = []
    for name, values in found.items():
        kept = values[:, ~values[0].isnan()]
        if kept.shape[1]:
            correlation, energy = (round(mean(row.tolist()), 3) for row in kept)
            rows.append(Left(name, correlation, energy, kept.shape[1]))
    return rows


def survival(clean: ImageSet, protected: ImageSet, run: Run) -> list[Left]:
    """The table of two sets of the same pictures, for every operation of `adversaries.HANDLING`."""
    return table({name: left(clean.images, protected.images, do, run) for name, do in HANDLING.items()})


def _through(operation: Purifier, images: Bytes, run: Run) -> Float32[Tensor, "n c h w"]:
    done = operation(ImageSet(images, torch.full((len(images),), -1), ()), run)
    return done if done.is_floating_point() else to_float(done)
