"""What surrogates are asked about the protected images they are shown: this project's generators are trained on their
error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float32, Int64
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.labelling import distinct
from unlearnable.pixels import Index, Pixels
from unlearnable.run import Run
from unlearnable.training import divergence, forward

Figures = dict[str, Tensor]
_BATCH = 4096


@runtime_checkable
class Asked(Protocol):
    """What surrogates are asked about the images they are shown."""

    @property
    def answers(self) -> int:
        """How many numbers a surrogate says of an image."""

    def asked(self, answers: Tensor, rows: Index, view: Pixels) -> tuple[Tensor, Figures]:
        """The error of their answers to the views of these rows, and figures to report."""


@dataclass(frozen=True, eq=False)
class Known:
    """What surrogates are asked about images. groups: in each of k partings, of `sizes` groups, the group of each
    image; codes: what an encoder sees in each, of unit length, asked with weight `weight`: None where it is not asked.
    """

    groups: Int64[Tensor, "n k"]
    sizes: tuple[int, ...]
    codes: Float32[Tensor, "n d"] | None = None
    weight: float = 0.0

    @property
    def answers(self) -> int:
        """How many numbers a surrogate says of an image."""
        return sum(self.sizes) + (0 if self.codes is None else self.codes.shape[1])

    def asked(self, answers: Tensor, rows: Index, view: Pixels) -> tuple[Tensor, Figures]:
        """The error: mean cross-entropy of the groups, and weight times 1 - cosine of the codes."""
        *parts, seen = answers.split((*self.sizes, answers.shape[1] - sum(self.sizes)), 1)
        groups = self.groups[rows].to(answers.device)
        loss = torch.stack([F.cross_entropy(part, groups[:, k]) for k, part in enumerate(parts)]).mean()
        figures = {"found": (parts[0].argmax(1) == groups[:, 0]).float().mean()}
        if self.codes is not None:
            likeness = F.cosine_similarity(seen, self.codes[rows].to(seen), dim=1).mean()
            loss = loss + self.weight * (1 - likeness)
            figures["cosine"] = likeness.detach()
        return loss, {"loss": loss.detach(), **figures}


@dataclass(frozen=True, eq=False)
class Answers:
    """What trained networks answer to the very views that surrogates are shown: these are students of theirs, as
    equation 10 of UGE has them (Ye and Wang, CVPR 2024, arXiv 2404.14016), at a temperature.
    """

    networks: Sequence[nn.Module]
    classes: int
    temperature: float
    run: Run

    @property
    def answers(self) -> int:
        """A student learns of all teachers at once."""
        return self.classes * len(self.networks)

    def asked(self, answers: Tensor, rows: Index, view: Pixels) -> tuple[Tensor, Figures]:
        """The mean divergence of the answers."""
        with torch.no_grad():
            taught = [forward(network, view, self.run) for network in self.networks]
        parts = zip(taught, answers.split(self.classes, 1), strict=True)
        loss = torch.stack([divergence(one, other, self.temperature) for one, other in parts]).mean()
        return loss, {"students": loss.detach()}


def grouped(
    codes: Float32[Tensor, "n d"], counts: Sequence[int], run: Run
) -> tuple[Int64[Tensor, "n k"], tuple[int, ...]]:
    """Groups by k-means of the codes, and how many: `counts` of them, fewer where fewer codes are distinct.

    Raises ValueError where all are one.
    """
    from sklearn.cluster import MiniBatchKMeans  # loaded here: it takes a second, and few need it

    if (looks := distinct(codes)) < 2:
        raise ValueError(
            f"{len(codes)} images of {looks} look make no groups: fit on more of them, or take what is shipped"
        )
    sizes = tuple(min(count, looks) for count in counts)
    seed = run.number("concepts")
    with threadpool_limits(1):  # more only wait for one another
        found = [
            MiniBatchKMeans(size, batch_size=_BATCH, n_init=2, random_state=seed).fit_predict(codes.numpy())
            for size in sizes
        ]
    return torch.stack([torch.from_numpy(part).to(torch.int64) for part in found], 1), sizes
