"""PUE: provably unlearnable examples. Wang, Xue, Li, Camtepe, Zhu, NDSS 2025, arXiv 2405.03316.

| paper | here |
|---|---|
| epsilon | budget |
| delta, class-wise or sample-wise | scope |
| Gaussian noise on the weights, standard deviation rising from 0 in steps of 0.05 to 0.25 | weight_noise, weight_step |
| u_p, draws of it at each level | draws |
| batches of training in a round, the error at which it stops | train_steps, stop_error |

EM until its error falls below a half. From then on both turns see the surrogate with its weights moved at random, and
take a step at each level: what is easiest to learn then is so for all networks near it, and who moves the weights of a
victim a little does not get away from it.

Differs from the published code:
* the surrogate has as many draws at each level as the noise has; there 100;
* the norm of its gradients is cut once a level; there after every draw;
* at most `rounds` rounds, rounding, and the search set of class-wise noise are EM's;
* weights of a small network are larger, and there are fewer of them: the quick presets have noise of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from unlearnable.pixels import Labels, Pixels
from unlearnable.protections._fields import Positive, Signed
from unlearnable.protections._noise import NoisyImages
from unlearnable.protections._pgd import Term, descend
from unlearnable.protections._surrogate import Surrogate
from unlearnable.protections.em import EM
from unlearnable.run import Run
from unlearnable.training import forward

_QUICK: dict[str, Any] = {"model": "cnn", "rounds": 12, "train_steps": 10, "stop_error": 0.0,
                          "weight_noise": 0.05, "weight_step": 0.05, "draws": 1}  # fmt: skip


@dataclass(frozen=True)
class PUE(EM):
    """Noise and network minimise the same training error in turn, while the weights of the network are shaken.

    Raises ValueError for an unknown scope, weight_noise below 0, weight_step not above 0 or draws below 1.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": _QUICK,
        "cifar100": {"train_steps": 20},
        "sample": {"scope": "sample", "steps": 20, "stop_error": 0.01},
        "sample-quick": _QUICK | {"scope": "sample", "steps": 5, "step_size": 1.6 / 255},
    }

    scope: Literal["sample", "class"] = "class"
    steps: int = 1
    stop_error: Signed = 0.1
    batch: int = 128
    weight_noise: float = 0.25
    weight_step: Positive = 0.05
    draws: int = 10

    @property
    def levels(self) -> list[float]:
        """Standard deviations of the noise on the weights, rising."""
        return [step * self.weight_step for step in range(round(self.weight_noise / self.weight_step) + 1)]

    def _remembered(self, errors: list[float]) -> dict[str, Any]:
        """All of them: once below a half, weights are shaken to the end."""
        return {"errors": errors}

    def _now(self, errors: list[float]) -> list[float]:
        """The levels of this round: until the surrogate has learned something that noise could undo, none but 0."""
        return self.levels if min(errors, default=1.0) < 0.5 else [0.0]

    def _judge(self, surrogate: Surrogate, run: Run) -> nn.Module:
        """With weights of its own, not folded: it is those that are moved."""
        return surrogate.judge(run, folded=False)

    def _search(
        self, judge: nn.Module, x: Pixels, y: Labels, delta: Pixels, rng: torch.Generator, run: Run, errors: list[float]
    ) -> Pixels:  # fmt: skip
        """In each of the steps, one for every level."""
        for level in self._now(errors) * self.steps:
            term = Term("loss", partial(self._slope, judge, y, level, rng, run), self.step_size)
            delta, _ = descend([term], x, delta, 1, self.budget)
        return delta

    def _slope(
        self, judge: nn.Module, y: Labels, level: float, rng: torch.Generator, run: Run, pixels: Pixels
    ) -> Tensor:
        """Something with the gradient that the errors of all draws have together. They are taken one by one: so many
        networks at once would not fit into memory.
        """
        slope = torch.zeros_like(pixels)
        for form in shaken(judge, level, self.draws, rng):
            point = pixels.detach().requires_grad_()
            error = F.cross_entropy(forward(form, point, run), y, reduction="sum")
            slope += torch.autograd.grad(error, point)[0]
        return (slope * pixels).sum()

    def _train(
        self, surrogate: Surrogate, images: NoisyImages, run: Run, turn: int, errors: list[float]
    ) -> None:  # fmt: skip
        """At every batch a step for each level, down the sum over its draws of the error over all draws there are."""
        levels = self._now(errors)
        for step in range(turn * self.train_steps, (turn + 1) * self.train_steps):
            x, y = images.noisy(images.drawn(self.stage, step, self.batch))
            rng = run.rng(f"{self.stage}-weights", step)
            for level in levels:
                forms = shaken(surrogate.network, level, self.draws, rng)
                share = 1 / (len(levels) * (self.draws if level else 1))
                surrogate.step(x, y, run, clip=5.0, forms=forms, share=share)


class Shaken(nn.Module):
    """A network with noise on its weights, whose gradients are those of the weights."""

    def __init__(self, network: nn.Module, noise: dict[str, Tensor]) -> None:
        super().__init__()
        self.network, self.noise = network, noise

    def forward(self, x: Pixels) -> Tensor:
        moved = {name: weight + self.noise[name] for name, weight in self.network.named_parameters()}
        logits: Tensor = functional_call(self.network, moved, (x,))
        return logits


def shaken(network: nn.Module, deviation: float, draws: int, rng: torch.Generator) -> Iterator[nn.Module]:
    """The network with as many draws of Gaussian noise on all its weights; where there is none, it itself."""
    if not deviation:
        yield network
        return
    for _ in range(draws):
        yield Shaken(network, {
            name: (deviation * torch.randn(weight.shape, generator=rng)).to(weight)
            for name, weight in network.named_parameters()
        })  # fmt: skip
