"""Images through the eyes of an encoder: while a perturbation is sought, and when it is put on others later."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float32
from torch import Tensor

from unlearnable.data import ImageSet
from unlearnable.encoders import Encoder, Vectors, encoder
from unlearnable.pixels import Bytes, Index, Pixels, to_float
from unlearnable.protections._noise import take
from unlearnable.run import Run

Change = Float32[Tensor, "#n c h w"]  # of each image, or one of all


@dataclass(frozen=True, eq=False)
class Seen:
    """The images of a fit as an encoder sees them. name: of the encoder as it was asked for, and of one from the hub
    with its commit: what is kept with what is fitted."""

    images: Bytes
    encoder: Encoder
    run: Run
    name: str

    @staticmethod
    def through(name: str, data: ImageSet, run: Run) -> "Seen":
        """On the run's device. Raises ValueError where there is no encoder of that name."""
        found = encoder(name).to(run)
        return Seen(run.near(data.images), found, run, found.name if name.startswith("clip:") else name)

    def clean(self, rows: Index) -> Pixels:
        """Some images as 0..1, on the run's device."""
        return to_float(take(self.images, rows, self.run))

    def __call__(self, rows: Index, delta: Change | float = 0.0) -> Vectors:
        """Features (n, d) of some images with a change of 0..1 units; differentiable in it."""
        return self.encoder.image((self.clean(rows) + delta).clamp(0, 1))

    @torch.no_grad()
    def features(self, batch: int) -> Vectors:
        """Of all images as they are, on the CPU. Ranks share the work, so that all have the same numbers."""
        found = torch.zeros(len(self.images), self.encoder.dimension)
        for rows in self.run.shard(len(found)).split(batch):
            with self.run.autocast():
                found[rows] = self(rows).float().cpu()
        self.run.gather(found)
        return found


def looked(encoder: Encoder, proposed: Pixels, run: Run) -> Vectors:
    """What an encoder sees in proposed images, which may leave 0..1: (n, d) in float32, differentiable in them."""
    with run.autocast():
        return encoder.image(proposed.clamp(0, 1)).float()


@lru_cache(maxsize=2)
def kept(name: str) -> Encoder:
    """The encoder that a perturbation was fitted with, on the CPU; never fetched, for the folder that names it may be
    somebody else's. Raises ValueError where it is not to be had."""
    try:
        return encoder(name, fetch=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"this protection was fitted with the encoder {name!r}, which cannot be had: {error}"
        ) from None


def kept_for(name: str, dimension: int) -> Encoder:
    """The same. Raises ValueError too where it gives other features than those that a perturbation was fitted to."""
    found = kept(name)
    if found.dimension != dimension:
        raise ValueError(
            f"the encoder {name!r} gives {found.dimension} features, this protection was fitted to {dimension}: bring "
            "that encoder back, or fit again"
        )
    return found
