"""EM: error-minimising noise. Huang, Ma, Erfani, Bailey, Wang, ICLR 2021, arXiv 2101.04898, equation 1 and algorithm 1.

| paper | here |
|---|---|
| epsilon | budget |
| delta, sample-wise or class-wise | scope |
| f', theta | model, trained with lr, momentum, weight_decay on batches of `batch` |
| M, batches of training in a round | train_steps |
| T, alpha: steps of noise in a round | steps, step_size |
| lambda, the error at which it stops | stop_error |

Differs from the paper:
* at most `rounds` rounds: the published loop has no end where the error is never reached;
* the change is added in floating point and rounded once, by `release`; the published code drops its negative half;
* class-wise, the search set is all the data, not a random fifth: it costs one step a batch, and small sets need it.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.perturbation import ClassWise, Perturbation, SampleWise
from unlearnable.pixels import LINF8, Budget, Labels, to_float
from unlearnable.protections._pgd import frozen, minimise_error
from unlearnable.run import Run
from unlearnable.training import forward


@dataclass(frozen=True)
class EM:
    """Noise and network minimise the same training error in turn, until nothing is left to learn from the images.

    scope: "sample" gives every image its own noise, "class" every class. `steps` is 20 sample-wise, 1 class-wise.
    Raises ValueError for an unknown scope.
    """

    needs_labels = True
    needs_images: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {
            "model": "cnn",
            "rounds": 16,
            "train_steps": 10,
            "steps": 5,
            "step_size": 1.6 / 255,
            "batch": 128,
            "stop_error": 0.0,
        },
        "class": {"scope": "class", "steps": 1},
        "class-quick": {
            "scope": "class",
            "steps": 1,
            "model": "cnn",
            "rounds": 10,
            "train_steps": 10,
            "batch": 128,
            "stop_error": 0.0,
        },
    }

    budget: Budget = field(default=LINF8)
    scope: Literal["sample", "class"] = "sample"
    model: str = "resnet18"
    rounds: int = 50
    train_steps: int = 10
    steps: int = 20
    step_size: float = 0.8 / 255
    stop_error: float = 0.01
    batch: int = 512
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        if self.scope not in ("sample", "class"):
            raise ValueError(f"scope must be 'sample' or 'class', got {self.scope!r}")

    @property
    def transfers(self) -> bool:
        return self.scope == "class"

    def fit(self, data: ImageSet, run: Run) -> Perturbation:
        """Algorithm 1. `delta` has a row for each image, or for each class."""
        with run.seeded("em-init"):
            network = run.place(build(self.model, len(data.classes), data.size))
        optimiser = torch.optim.SGD(network.parameters(), self.lr, self.momentum, weight_decay=self.weight_decay)
        rows_of_delta = len(data) if self.scope == "sample" else len(data.classes)
        delta = torch.zeros(rows_of_delta, 3, data.size, data.size)
        owner = torch.arange(len(data)) if self.scope == "sample" else data.labels
        state = {"network": network, "optimiser": optimiser, "delta": delta}
        for turn in run.loop("em", self.rounds, state):
            self._train(network, optimiser, data, delta, owner, run, turn)
            judge = frozen(network, run)
            for rows in run.batches(len(data), self.batch):
                self._search(judge, data, rows, delta, owner, run)
            error = self._error(judge, data, delta, owner, run)
            run.report("em", turn + 1, self.rounds, {"error": error})
            if error <= self.stop_error:
                run.stop("em", self.rounds, state)
                break
        return SampleWise(delta) if self.scope == "sample" else ClassWise(delta)

    def _train(
        self, network: nn.Module, optimiser: Any, data: ImageSet, delta: Tensor, owner: Tensor, run: Run, turn: int
    ) -> None:
        """The surrogate's turn: train_steps batches of SGD on the protected images, the order going on across turns."""
        network.train()
        an_epoch = -(-len(data) // self.batch)
        for step in range(turn * self.train_steps, (turn + 1) * self.train_steps):
            order = torch.randperm(len(data), generator=run.rng("em-order", step // an_epoch))
            rows = order.split(self.batch)[step % an_epoch]
            x, y = _protected(data, rows, delta, owner, run)
            loss = F.cross_entropy(forward(network, x, run), y)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()

    def _search(self, judge: nn.Module, data: ImageSet, rows: Tensor, delta: Tensor, owner: Tensor, run: Run) -> None:
        """The noise's turn, on one batch; class-wise noise becomes the mean over the images of its class."""
        x, y = to_float(data.images[rows].to(run.at)), data.labels[rows].to(run.at)
        found = minimise_error(
            judge, x, y, delta[owner[rows]].to(run.at), self.steps, self.step_size, self.budget, run
        ).cpu()
        if self.scope == "sample":
            delta[rows] = found
            return
        for label in data.labels[rows].unique():
            delta[label] = found[data.labels[rows] == label].mean(0)

    def _error(self, judge: nn.Module, data: ImageSet, delta: Tensor, owner: Tensor, run: Run) -> float:
        """The share of protected images that the surrogate still gets wrong."""
        wrong = 0
        with torch.no_grad():
            for rows in run.batches(len(data), self.batch):
                x, y = _protected(data, rows, delta, owner, run)
                wrong += int((forward(judge, x, run).argmax(1) != y).sum())
        return wrong / len(data)


def _protected(data: ImageSet, rows: Tensor, delta: Tensor, owner: Tensor, run: Run) -> tuple[Tensor, Labels]:
    x = to_float(data.images[rows]) + delta[owner[rows]]
    return x.to(run.at), data.labels[rows].to(run.at)
