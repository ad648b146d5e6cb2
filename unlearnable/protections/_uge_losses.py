"""What keeps others from learning: equations 7 to 11 of UGE (Ye and Wang, CVPR 2024, arXiv 2404.14016)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.encoders import Encoder, Vectors
from unlearnable.models import build
from unlearnable.pixels import Index, Labels, Pixels, to_float
from unlearnable.protections._encoded import Seen, looked
from unlearnable.protections._generator_training import Settled
from unlearnable.protections._uge_matching import Combine, combined
from unlearnable.run import Run
from unlearnable.training import divergences, forward

_MOST = 5.0  # nats for an image: the divergence has no bound, and nothing is won beyond


@dataclass(frozen=True, eq=False)
class FeatureDistance(Settled):
    """Away from what the encoder sees in the clean image, to the class it is least like: equations 7 to 9.

    clean: what the encoder sees in each image; own, other: in the name of its class, and in that which is least like
    the image; margin: alpha, a squared distance of unit vectors.
    """

    encoder: Encoder
    clean: Vectors
    own: Vectors
    other: Vectors
    margin: float
    run: Run

    @staticmethod
    def start(seen: Seen, data: ImageSet, batch: int, margin: float, run: Run) -> "FeatureDistance":
        """Looks at every image once, and at the names of the classes."""
        names = seen.encoder.text(data.classes).cpu()  # which puts them in its own words
        clean = seen.features(batch)
        likeness = clean @ names.T
        likeness[torch.arange(len(data)), data.labels] = torch.inf
        return FeatureDistance(
            seen.encoder, clean, names[data.labels], names[likeness.argmin(1)], margin, run
        )  # fmt: skip

    def __call__(self, rows: Index, protected: Pixels, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        seen = looked(self.encoder, protected, self.run)
        clean, own, other = (table[rows].to(seen) for table in (self.clean, self.own, self.other))
        moved, away = (seen - clean).square().sum(1), (seen - own).square().sum(1)
        loss = (seen - other).square().sum(1) - moved + (self.margin - away).clamp_min(0)
        active = (away.detach() < self.margin).float().mean()
        return loss.mean(), {"moved": moved.detach().mean(), "hinges": active}


@dataclass(frozen=True, eq=False)
class Undistillation(Settled):
    """Authorised networks, trained, shall be right on protected images, and their answers unlike a hacker's: eq. 11.

    omega weighs the divergence, at a temperature; all networks are frozen. combine: as in `Matching`.
    """

    authorised: Sequence[nn.Module]
    hacker: nn.Module
    labels: Labels
    omega: float
    temperature: float
    combine: Combine
    run: Run

    def __call__(self, rows: Index, protected: Pixels, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        x, y = protected.clamp(0, 1), self.labels[rows].to(self.run.at)
        answer = forward(self.hacker, x, self.run)
        losses, apart = [], []
        for network in self.authorised:
            logits = forward(network, x, self.run)
            apart.append(divergences(logits, answer, self.temperature).clamp_max(_MOST).mean())
            losses.append(F.cross_entropy(logits, y) - self.omega * self.temperature**2 * apart[-1])
        return combined(torch.stack(losses), self.combine), {"apart": torch.stack(apart).detach().mean()}


def stranger(model: str, data: ImageSet, run: Run) -> nn.Module:
    """f'_A: a network with random weights that stands for a hacker, frozen.

    What its batch normalisation has learned is that of one pass over the images: without it its answers mean nothing.
    """
    with run.seeded("uge-hacker"):
        network = run.agreed(run.place(build(model, len(data.classes), data.size)))
    norms = [part for part in network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # the plain mean of all batches
    network.train()
    with torch.no_grad():
        for rows in run.batches(len(data), 128, run.rng("uge-hacker")):
            if len(rows) > 1:
                forward(network, to_float(data.images[rows]).to(run.at), run)
    return network.eval().requires_grad_(False)
