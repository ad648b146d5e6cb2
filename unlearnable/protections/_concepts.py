"""What a generator of One for All is trained for: an image with its perturbation in, a loss out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.encoders import CONCEPTS, Encoder, Vectors
from unlearnable.encoders.words import plain
from unlearnable.models import build
from unlearnable.perturbation import resized
from unlearnable.pixels import Index, Pixels
from unlearnable.protections._encoded import looked
from unlearnable.protections._generating import Settled
from unlearnable.protections._pgd import cropped
from unlearnable.run import Run
from unlearnable.training import forward

Concepts = Float32[Tensor, "k d"]  # of unit length
_LAMBDA = (0.1, 10.0)  # bounds of the trade-off, which is a quotient
_BATCH = 4096


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


@dataclass(frozen=True, eq=False)
class Shortcut:
    """This project's own: the error of networks that learn, from the protected images alone, which group of concepts an
    image belongs to, in several groupings at once, from coarse to fine.

    The generator and they minimise one loss together, as noise and network do in EM: so the perturbation becomes the
    easiest thing there is to learn about any of the groups, hence about any labels that are made of them.
    """

    groups: Int64[Tensor, "n k"]
    sizes: tuple[int, ...]
    networks: nn.ModuleList
    optimiser: torch.optim.Adam
    grid: int
    run: Run

    @staticmethod
    def start(
        groups: Int64[Tensor, "n k"], sizes: tuple[int, ...], models: Sequence[str], grid: int, lr: float, run: Run
    ) -> "Shortcut":
        """With random networks. groups: for each image its group in each of k partings of `sizes` groups."""
        with run.seeded("concepts-init"):
            networks = nn.ModuleList(run.agreed(run.place(build(model, sum(sizes), grid))) for model in models)
        return Shortcut(groups, sizes, networks, torch.optim.Adam(networks.parameters(), lr), grid, run)

    @staticmethod
    def of_labels(data: ImageSet, models: Sequence[str], lr: float, run: Run) -> "Shortcut":
        """Where the labels are known they are the only grouping."""
        return Shortcut.start(data.labels[:, None], (len(data.classes),), models, data.size, lr, run)

    @property
    def state(self) -> dict[str, Any]:
        return {"networks": self.networks, "surrogates": self.optimiser}

    def __call__(self, rows: Index, protected: Pixels, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        network = self.networks[step % len(self.networks)].train()
        shown = cropped(resized(protected.clamp(0, 1), self.grid, self.grid), 4, self.run.rng("concepts-view", step))
        groups = self.groups[rows].to(self.run.at)
        self.optimiser.zero_grad(set_to_none=True)
        answers = forward(network, shown, self.run).split(self.sizes, 1)
        loss = torch.stack([F.cross_entropy(answer, groups[:, k]) for k, answer in enumerate(answers)]).mean()
        right = (answers[0].argmax(1) == groups[:, 0]).float().mean()
        return loss, {"loss": loss.detach(), "found": right}

    def learn(self) -> None:
        """The surrogates' own step on the same gradients."""
        self.run.average(w.grad for w in self.networks.parameters() if w.grad is not None)
        self.optimiser.step()


def grouped(
    codes: Float32[Tensor, "n d"], counts: Sequence[int], run: Run
) -> tuple[Int64[Tensor, "n k"], tuple[int, ...]]:
    """Groups by k-means of the codes, and how many: `counts` of them, fewer where fewer codes are distinct.

    Raises ValueError where all are one.
    """
    if (distinct := len(np.unique(codes.numpy().round(4), axis=0))) < 2:
        raise ValueError(
            f"{len(codes)} images of {distinct} look make no groups: fit on more of them, or take what is shipped"
        )
    sizes = tuple(min(count, distinct) for count in counts)
    seed = run.number("concepts")
    found = [
        MiniBatchKMeans(size, batch_size=_BATCH, n_init=2, random_state=seed).fit_predict(codes.numpy())
        for size in sizes
    ]
    return torch.stack([torch.from_numpy(part).to(torch.int64) for part in found], 1), sizes
