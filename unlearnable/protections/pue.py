"""PUE: provably unlearnable examples. Wang, Xue, Li, Camtepe, Zhu, NDSS 2025, arXiv 2405.03316.

| paper | here |
|---|---|
| epsilon | budget |
| delta, class-wise or sample-wise | scope |
| Gaussian noise on the weights, standard deviation rising from 0 in steps of 0.05 to 0.25 | weight_noise, weight_step |
| u_p, draws of it at each level | draws |
| batches of training in a round, the error at which it stops | train_steps, stop_error |

EM, of which both turns see the surrogate with its weights moved at random: what is easiest to learn then is so for all
networks near it, and who moves the weights of a victim a little does not get away from it.

Differs from the published code:
* an image's steps sum the levels' gradients, as there; the surrogate, which takes one step a level there, has as many
  draws at each of them here as the noise has (there 100);
* at most `rounds` rounds, and rounding as in EM;
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
from unlearnable.protections._noise import NoisyImages
from unlearnable.protections._surrogate import Surrogate
from unlearnable.protections.em import EM
from unlearnable.run import Run
from unlearnable.training import forward

_QUICK: dict[str, Any] = {"model": "cnn", "rounds": 12, "train_steps": 10, "batch": 128, "stop_error": 0.0,
                          "weight_noise": 0.05, "weight_step": 0.05, "draws": 1}  # fmt: skip


@dataclass(frozen=True)
class PUE(EM):
    """Noise and network minimise the same training error in turn, while the weights of the network are shaken.

    Raises ValueError for an unknown scope, weight_noise below 0, weight_step not above 0 or draws below 1.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": _QUICK,
        "sample": {"scope": "sample", "steps": 20, "stop_error": 0.01},
        "sample-quick": _QUICK | {"scope": "sample", "steps": 5, "step_size": 1.6 / 255},
    }

    scope: Literal["sample", "class"] = "class"
    steps: int = 1
    stop_error: float = 0.1
    weight_noise: float = 0.25
    weight_step: float = 0.05
    draws: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight_noise < 0 or self.weight_step <= 0 or self.draws < 1:
            raise ValueError(
                f"weight_noise must be 0 or more, weight_step above 0, draws 1 or more, got {self.weight_noise!r}, "
                f"{self.weight_step!r}, {self.draws!r}"
            )

    @property
    def levels(self) -> list[float]:
        """Standard deviations of the noise on the weights, rising."""
        return [step * self.weight_step for step in range(round(self.weight_noise / self.weight_step) + 1)]

    def _judge(self, surrogate: Surrogate, run: Run) -> nn.Module:
        """With weights of its own, not folded: it is those that are moved."""
        return surrogate.judge(run, folded=False)

    def _loss(self, judge: nn.Module, y: Labels, run: Run, rng: torch.Generator, pixels: Pixels) -> Tensor:
        """The mean over the levels of the mean over their draws."""
        levels = [list(shaken(judge, level, self.draws, rng)) for level in self.levels]
        error = partial(F.cross_entropy, target=y, reduction="sum")
        errors = [torch.stack([error(forward(form, pixels, run)) for form in forms]).mean() for forms in levels]
        return torch.stack(errors).mean()

    def _train(self, surrogate: Surrogate, images: NoisyImages, run: Run, turn: int) -> None:
        """At every batch a step for each level, with the mean over its draws."""
        for step in range(turn * self.train_steps, (turn + 1) * self.train_steps):
            x, y = images.noisy(images.drawn(self.stage, step, self.batch))
            rng = run.rng(f"{self.stage}-weights", step)
            for level in self.levels:
                forms = list(shaken(surrogate.network, level, self.draws, rng))
                surrogate.step(x, y, run, clip=5.0, forms=forms)


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
