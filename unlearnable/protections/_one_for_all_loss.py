"""What One for All trains its generator for: towards the opposite concept, away from the similar ones."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from unlearnable.encoders import CONCEPTS, Encoder, Vectors
from unlearnable.encoders.words import plain
from unlearnable.pixels import Index, Pixels
from unlearnable.protections._encoded import looked
from unlearnable.protections._generator_training import Settled
from unlearnable.run import Run

Concepts = Float32[Tensor, "k d"]  # of unit length
_LAMBDA = (0.1, 10.0)  # bounds of the trade-off, which is a quotient


@dataclass(frozen=True, eq=False)
class Discriminant(Settled):
    """The concept-wise discriminant loss, eq. 4: towards the opposite concept, away from the similar ones.

    targets: for each image the rows of its opposite and its similar concepts, or None where they are chosen anew from
    the protected image.
    """

    encoder: Encoder
    concepts: Concepts
    similar: int
    targets: Int64[Tensor, "n t"] | None
    run: Run

    def __call__(self, rows: Index, protected: Pixels, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        seen = looked(self.encoder, protected, self.run)
        targets = chosen(seen.detach(), self.concepts, self.similar) if self.targets is None else self.targets[rows]
        distances = 1 - torch.einsum("nd,ntd->nt", seen, self.concepts[targets.to(seen.device)])
        opposite, similar = distances[:, 0].mean(), distances[:, 1:].mean()
        weight = (opposite / similar.clamp_min(1e-6)).abs().clamp(*_LAMBDA).detach()
        return opposite - weight * similar, {"opposite": opposite.detach(), "similar": similar.detach()}


def chosen(seen: Vectors, concepts: Concepts, similar: int) -> Int64[Tensor, "n t"]:
    """For each image the concept that is least like it, then the `similar` ones that are most."""
    likeness = seen @ concepts.T
    return torch.cat([likeness.argmin(1, keepdim=True), likeness.topk(similar, 1).indices], 1)


def vocabulary(place: str | None) -> list[str]:
    """The concepts of a text file, one a line, none twice; those that come with the package where none is named.

    Raises ValueError where it cannot be read, or has fewer than two.
    """
    try:
        lines = (CONCEPTS if place is None else Path(place)).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ValueError(f"vocabulary {place!r} cannot be read: {error}; name a text file, a concept a line") from None
    found = list(dict.fromkeys(plain(line) for line in lines if line.strip()))
    if len(found) < 2:
        raise ValueError(f"vocabulary {place!r} must have 2 concepts or more, to lead from one to another; got {found}")
    return found
