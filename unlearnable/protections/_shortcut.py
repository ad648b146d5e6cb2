"""What networks learn from protected images alone: their error is what this project's own generators are trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.perturbation import resized
from unlearnable.pixels import Index, Pixels
from unlearnable.protections._asked import Asked, Figures, Known
from unlearnable.protections._pgd import cropped
from unlearnable.run import Run
from unlearnable.training import doubled, forward

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
class Shortcut:
    """This project's own: the error of networks that learn from the protected images alone; name: of the stage.

    With `Known` it is what an encoder sees in the clean ones: which group of looks, in several partings at once from
    coarse to fine, and the very direction; with `Answers` what others say of the same images.

    The generator and they minimise one loss together, as noise and network do in EM: so the perturbation becomes the
    easiest thing there is to learn about any of these, hence about any labels that follow from them.
    """

    known: Asked
    schooling: Schooling
    networks: nn.ModuleList
    optimiser: torch.optim.Adam
    grid: int
    run: Run
    name: str = "concepts"

    @staticmethod
    def start(known: Asked, schooling: Schooling, grid: int, run: Run, name: str = "concepts") -> "Shortcut":
        """With random networks for images of `grid` pixels."""
        with run.seeded(f"{name}-init"):
            networks = nn.ModuleList(
                run.agreed(run.place(build(model, known.answers, grid))) for model in schooling.models
            )
        optimiser = torch.optim.Adam(networks.parameters(), schooling.lr)
        return Shortcut(known, schooling, networks, optimiser, grid, run, name)

    @staticmethod
    def of_labels(data: ImageSet, schooling: Schooling, run: Run) -> "Shortcut":
        """Where the labels are known they are the only grouping."""
        return Shortcut.start(Known(data.labels[:, None], (len(data.classes),)), schooling, data.size, run)

    @property
    def state(self) -> dict[str, Any]:
        return {f"{self.name}-networks": self.networks, f"{self.name}-optimiser": self.optimiser}

    def __call__(self, rows: Index, protected: Pixels, step: int) -> tuple[Tensor, Figures]:
        rows, protected = doubled(rows), doubled(protected)
        network = self.networks[step % len(self.networks)].train()
        shown = resized(protected.clamp(0, 1), self.grid, self.grid)
        view = self.schooling.view(shown, self.run.rng(f"{self.name}-view", step))
        self.optimiser.zero_grad(set_to_none=True)
        return self.known.asked(forward(network, view, self.run), rows, view)

    def learn(self) -> None:
        """The surrogates' own step on the same gradients."""
        self.run.average(w.grad for w in self.networks.parameters() if w.grad is not None)
        self.optimiser.step()
