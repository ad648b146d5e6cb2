"""Training a generator of perturbations, whatever it is trained for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from unlearnable.pixels import Index, Pixels
from unlearnable.protections._noise import drawn
from unlearnable.run import Run
from unlearnable.training import cosine


@runtime_checkable
class Objective(Protocol):
    """Called with rows, protected images and the step; `learn` follows the backward pass. state: for checkpoints."""

    @property
    def state(self) -> dict[str, Any]: ...

    def __call__(self, rows: Index, protected: Pixels, step: int) -> tuple[Tensor, dict[str, Tensor]]: ...

    def learn(self) -> None: ...


def steps_of(passes: int, images: int, batch: int) -> int:
    """How many batches so many passes over the images are."""
    return passes * -(-images // batch)


class Settled:
    """The part of an objective whose networks stay as they are."""

    @property
    def state(self) -> dict[str, Any]:
        """Nothing of it changes."""
        return {}

    def learn(self) -> None:
        """Nothing of it learns."""


@dataclass(frozen=True, eq=False)
class Generating:
    """Adam with a rate that falls along a cosine. say: rows -> protected images, differentiable in the network.

    Ranks share every batch and take the mean of their gradients. Raises ValueError for gradients that are not finite.
    """

    network: nn.Module
    stage: str
    steps: int
    batch: int
    lr: float
    say: Callable[[Index], Pixels]

    def towards(
        self, objective: Objective, images: int, run: Run, before: Callable[[int], None] = lambda step: None
    ) -> None:
        """Trains the network on rows 0..images-1. before: called at the beginning of every step."""
        optimiser = torch.optim.Adam(self.network.parameters(), self.lr, betas=(0.5, 0.99))
        state = {"generator": self.network, "optimiser": optimiser} | objective.state
        for step in run.loop(self.stage, self.steps, state):
            before(step)
            self.network.train()
            optimiser.param_groups[0]["lr"] = self.lr * cosine(step, self.steps)
            rows = drawn(images, self.stage, step, self.batch, run)
            loss, figures = objective(rows, self.say(rows), step)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            run.average(w.grad for w in self.network.parameters() if w.grad is not None)
            if not nn.utils.clip_grad_norm_(self.network.parameters(), 1.0).isfinite():
                raise ValueError(f"the generator could not be trained: not finite at lr {self.lr:g}, take a lower one")
            optimiser.step()
            objective.learn()
            run.report(self.stage, step + 1, self.steps, {name: float(value) for name, value in figures.items()})
        run.agreed(self.network)  # each rank had statistics of its own


Terms = Sequence[tuple[float, Objective]]


@dataclass(frozen=True, eq=False)
class Weighted:
    """The sum of several objectives, each with its weight."""

    parts: Terms

    @property
    def state(self) -> dict[str, Any]:
        return {name: value for _, part in self.parts for name, value in part.state.items()}

    def __call__(self, rows: Index, protected: Pixels, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        found = [(weight, *part(rows, protected, step)) for weight, part in self.parts]
        figures = {name: value for _, _, said in found for name, value in said.items()}
        return torch.stack([weight * loss for weight, loss, _ in found]).sum(), figures

    def learn(self) -> None:
        for _, part in self.parts:
            part.learn()
