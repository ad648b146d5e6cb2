"""What networks learn from protected images alone: their error is what this project's own generators are trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.perturbation import resized
from unlearnable.pixels import Index, Pixels
from unlearnable.protections._pgd import cropped
from unlearnable.run import Run
from unlearnable.training import doubled, forward

Figures = dict[str, Tensor]
_BATCH = 4096
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_TINT = 0.5, 0.2  # how far a channel's gain and its level go, each side


@dataclass(frozen=True)
class Schooling:
    """How surrogates learn. models: of the zoo, which take turns; lr: Adam's.

    tinted, greyed: the share of views whose channels are scaled and shifted at random, or are one, so that no
    perturbation lives by its colour alone.
    """

    models: Sequence[str]
    lr: float
    tinted: float = 0.0
    greyed: float = 0.0

    def view(self, x: Pixels, rng: torch.Generator) -> Pixels:
        """The images cropped and flipped, some in other colours."""
        x = cropped(x, 4, rng)
        if not self.tinted and not self.greyed:
            return x
        chance, gain, level = (torch.rand(len(x), n, 1, 1, generator=rng) for n in (2, 3, 3))
        tinted, greyed = (chance < torch.tensor([self.tinted, self.greyed])[None, :, None, None]).chunk(2, 1)
        gain = (1 + tinted * (2 * gain - 1) * _TINT[0]).to(x)
        x = x * gain + (tinted * (2 * level - 1) * _TINT[1]).to(x)
        grey = torch.einsum("nchw,c->nhw", x, x.new_tensor(_LUMA))[:, None]
        return torch.where(greyed.to(x.device), grey, x)


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

    def asked(self, answers: Tensor, rows: Index) -> tuple[Tensor, Figures]:
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
class Shortcut:
    """This project's own: the error of networks that learn, from the protected images alone, what an encoder sees in
    the clean ones: which group of looks, in several partings at once from coarse to fine, and the very direction.

    The generator and they minimise one loss together, as noise and network do in EM: so the perturbation becomes the
    easiest thing there is to learn about any of these, hence about any labels that follow from them.
    """

    known: Known
    schooling: Schooling
    networks: nn.ModuleList
    optimiser: torch.optim.Adam
    grid: int
    run: Run

    @staticmethod
    def start(known: Known, schooling: Schooling, grid: int, run: Run) -> "Shortcut":
        """With random networks for images of `grid` pixels."""
        with run.seeded("concepts-init"):
            networks = nn.ModuleList(
                run.agreed(run.place(build(model, known.answers, grid))) for model in schooling.models
            )
        return Shortcut(known, schooling, networks, torch.optim.Adam(networks.parameters(), schooling.lr), grid, run)

    @staticmethod
    def of_labels(data: ImageSet, schooling: Schooling, run: Run) -> "Shortcut":
        """Where the labels are known they are the only grouping."""
        return Shortcut.start(Known(data.labels[:, None], (len(data.classes),)), schooling, data.size, run)

    @property
    def state(self) -> dict[str, Any]:
        return {"networks": self.networks, "surrogates": self.optimiser}

    def __call__(self, rows: Index, protected: Pixels, step: int) -> tuple[Tensor, Figures]:
        rows, protected = doubled(rows), doubled(protected)
        network = self.networks[step % len(self.networks)].train()
        shown = resized(protected.clamp(0, 1), self.grid, self.grid)
        view = self.schooling.view(shown, self.run.rng("concepts-view", step))
        self.optimiser.zero_grad(set_to_none=True)
        return self.known.asked(forward(network, view, self.run), rows)

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
    from sklearn.cluster import MiniBatchKMeans  # loaded here: it takes a second, and few need it

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
