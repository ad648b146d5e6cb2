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
* class-wise, the search set is all the data, not a random fifth: it costs one step a batch, and small sets need it. On
  ImageNet the published code takes a fifth of the images sample-wise, too: that is the data given here.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.perturbation import Perturbation
from unlearnable.pixels import LINF8, Budget, Labels, Pixels
from unlearnable.protections._fields import Positive, Signed, Staged
from unlearnable.protections._noise import NoisyImages
from unlearnable.protections._pgd import Term, descend
from unlearnable.protections._surrogate import Surrogate
from unlearnable.run import Run
from unlearnable.training import forward

_QUICK: dict[str, Any] = {"model": "cnn", "train_steps": 10, "batch": 128, "stop_error": 0.0}
_IMAGENET: dict[str, Any] = {"budget": {"norm": "linf", "eps": 16 / 255}, "step_size": 1.6 / 255, "train_steps": 100,
                             "stop_error": 0.1, "batch": 32, "weight_decay": 5e-5}  # fmt: skip


@dataclass(frozen=True)
class EM(Staged):
    """Noise and network minimise the same training error in turn, until nothing is left to learn from the images.

    scope: "sample" gives every image its own noise, "class" every class, for which the preset `class` takes 1 of
    the 20 `steps`.
    Raises ValueError for an unknown scope.
    """

    needs_labels = True
    needs_images: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": _QUICK | {"rounds": 16, "steps": 5, "step_size": 1.6 / 255},
        "class": {"scope": "class", "steps": 1},
        "cifar100": {"train_steps": 20},
        "imagenet": _IMAGENET,
        "class-imagenet": _IMAGENET | {"scope": "class", "steps": 1},
        "class-quick": _QUICK | {"scope": "class", "rounds": 10, "steps": 1},
    }

    budget: Budget = field(default=LINF8)
    scope: Literal["sample", "class"] = "sample"
    model: str = "resnet18"
    rounds: int = 50
    train_steps: int = 10
    steps: int = 20
    step_size: Positive = 0.8 / 255
    stop_error: Signed = 0.01
    batch: int = 512
    lr: Positive = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4

    @property
    def transfers(self) -> bool:
        return self.scope == "class"

    def fit(self, data: ImageSet, run: Run) -> Perturbation:
        """Algorithm 1. `delta` has a row for each image, or for each class."""
        owners = data.labels if self.scope == "class" else None
        images = NoisyImages(data, self.budget, run, owners)
        surrogate = Surrogate.start(
            self.model, data, run, self.stage, self.lr, self.momentum, self.weight_decay
        )  # fmt: skip
        mine = run.shard(len(data)) if self.scope == "sample" else torch.arange(len(data))
        errors: list[float] = []
        state = surrogate.state | {"delta": images.table} | self._remembered(errors)
        for turn in run.loop(self.stage, self.rounds, state):
            self._train(surrogate, images, run, turn, errors)
            judge = self._judge(surrogate, run)
            for part, rows in enumerate(mine.split(self.batch)):
                rng = run.rng(f"{self.stage}-view", turn, part)
                images.keep(rows, self._search(judge, *images.clean(rows), images.delta(rows), rng, run, errors))
            errors.append(error := self._error(judge, images, mine, run))
            run.report(self.stage, turn + 1, self.rounds, {"error": error})
            if error <= self.stop_error:
                run.stop(self.stage, self.rounds, state, f"error {error:.4f} after {turn + 1} rounds")
                break
        return images.sample_wise() if self.scope == "sample" else images.class_wise()

    def _remembered(self, errors: list[float]) -> dict[str, Any]:
        """What a checkpoint keeps of the errors of earlier rounds: nothing."""
        return {}

    def _judge(self, surrogate: Surrogate, run: Run) -> nn.Module:
        """The surrogate as noise is sought against it."""
        return surrogate.judge(run)

    def _view(self, pixels: Pixels, rng: torch.Generator) -> Pixels:
        """What the surrogate sees of images: they themselves."""
        return pixels

    def _rate(self, turn: int) -> float:
        """The learning rate of the surrogate in a round."""
        return self.lr

    def _search(
        self, judge: nn.Module, x: Pixels, y: Labels, delta: Pixels, rng: torch.Generator, run: Run, errors: list[float]
    ) -> Pixels:  # fmt: skip
        """The noise's turn: delta of a batch, `steps` further."""
        term = Term("loss", partial(self._loss, judge, y, run, rng), self.step_size)
        return descend([term], x, delta, self.steps, self.budget)[0]

    def _loss(self, judge: nn.Module, y: Labels, run: Run, rng: torch.Generator, pixels: Pixels) -> Tensor:
        return F.cross_entropy(forward(judge, self._view(pixels, rng), run), y, reduction="sum")

    def _train(
        self, surrogate: Surrogate, images: NoisyImages, run: Run, turn: int, errors: list[float]
    ) -> None:  # fmt: skip
        """The surrogate's turn: train_steps batches of SGD on the protected images, the order going on across turns."""
        for step in range(turn * self.train_steps, (turn + 1) * self.train_steps):
            x, y = images.noisy(images.drawn(self.stage, step, self.batch))
            x = self._view(x, run.rng(f"{self.stage}-train-view", step))
            surrogate.step(x, y, run, self._rate(turn), clip=5.0)

    def _error(self, judge: nn.Module, images: NoisyImages, mine: Tensor, run: Run) -> float:
        """The share of protected images that the surrogate still gets wrong."""
        right = torch.zeros((), device=run.at)
        with torch.no_grad():
            for rows in mine.split(self.batch):
                x, y = images.noisy(rows)
                right += (forward(judge, x, run).argmax(1) == y).sum()
        share = right / len(mine)
        run.average([share])
        return 1 - float(share)
