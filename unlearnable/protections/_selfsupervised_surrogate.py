"""What methods share whose surrogate learns without labels, in turn with the noise that makes it easy."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float32
from torch import Tensor

from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.perturbation import Perturbation
from unlearnable.pixels import LINF8, Budget, Labels, Pixels, project
from unlearnable.protections._fields import Natural, Positive, Staged
from unlearnable.protections._noise import NoisyImages
from unlearnable.protections._pgd import frozen, uniform
from unlearnable.protections._surrogate import check_finite
from unlearnable.run import Run
from unlearnable.training import Learner, Pairs, SelfSupervised, cosine, direction


@dataclass(frozen=True)
class SelfSupervisedSurrogate(Staged, ABC):
    """In each of `rounds`, `train_batches` of training on two views of protected images and `noise_batches` of
    `steps` each of the noise, both on batches of `batch`; 0: as many batches as there are.

    learner: what the surrogate learns by (simclr, moco, byol, simsiam), at `lr` falling along a cosine; strength,
    crops: of the views (`training.SelfSupervised`). Raises ValueError for values that the learner does not take and for
    a count below 1; `fit` where the surrogate could not be trained.
    """

    needs_images: ClassVar[bool] = True

    budget: Budget = field(default=LINF8)
    learner: Learner = "simclr"
    model: str = "resnet18"
    rounds: int = 200
    train_batches: Natural = 0
    noise_batches: Natural = 0
    steps: int = 5
    step_size: Positive = 0.8 / 255
    batch: int = 512
    lr: Positive = 0.5
    momentum: float = 0.9
    weight_decay: float = 1e-4
    strength: float = 1.0
    crops: float = 0.2
    temperature: Positive = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.teaching

    @property
    def teaching(self) -> SelfSupervised:
        """How the surrogate learns."""
        return SelfSupervised(
            self.learner, lr=self.lr, batch=self.batch, momentum=self.momentum, weight_decay=self.weight_decay,
            strength=self.strength, crops=self.crops, temperature=self.temperature,
        )  # fmt: skip

    @property
    def class_wise(self) -> bool:
        """Whether images of a class share their delta."""
        return False

    @property
    def needs_labels(self) -> bool:
        return self.class_wise

    @property
    def transfers(self) -> bool:
        return self.class_wise

    @property
    def surrogate(self) -> bool:
        """Whether there is a network at all."""
        return True

    @abstractmethod
    def loss(self, pairs: Pairs | None, x: Pixels, delta: Pixels, y: Labels, run: Run, *moment: int) -> Tensor:
        """What the noise of a batch descends on; differentiable in delta."""

    def fit(self, data: ImageSet, run: Run) -> Perturbation:
        """The two turns, `rounds` times. `delta` has a row for each image, or for each class."""
        images = NoisyImages(data, self.budget, run, data.labels if self.class_wise else None, self.needs_labels)
        state: dict[str, Any] = {"delta": images.table}
        if self.surrogate:
            with run.seeded(f"{self.stage}-init"):
                network = build(self.model, len(data.classes), data.size)
            state["pairs"] = pairs = self.teaching.start(run.place(network), run, self.stage)
            state["optimiser"] = self.teaching.optimiser(pairs)
        self.begin(images, len(data), run)
        for turn in run.loop(self.stage, self.rounds, state):
            figures = self._train(state, images, len(data), run, turn) if self.surrogate else {}
            judge = self._judge(state["pairs"], run) if self.surrogate else None
            figures |= self._search(judge, images, len(data), run, turn)
            run.report(self.stage, turn + 1, self.rounds, figures)
        return images.class_wise() if self.class_wise else images.sample_wise()

    def begin(self, images: NoisyImages, count: int, run: Run) -> None:
        """Random noise, uniform within the budget: a draw for each image, or for each class."""
        shared = self._shared(images, run) if self.class_wise else None
        for part, rows in enumerate(torch.arange(count).split(self.batch)):
            x, y = images.clean(rows)
            own = uniform(x, self.budget, run.rng(f"{self.stage}-start", part)) if shared is None else shared[y]
            images.keep(rows, own)

    def _shared(self, images: NoisyImages, run: Run) -> Pixels:
        """The first noise of each class. No image bounds it: it lies on all of a class."""
        noise = 2 * torch.rand(images.table.shape, generator=run.rng(f"{self.stage}-start")) - 1
        return project(self.budget.eps * noise, self.budget).to(run.at)

    def _train(self, state: dict[str, Any], images: NoisyImages, count: int, run: Run, turn: int) -> dict[str, float]:
        """The surrogate's turn: batches of protected images, the order going on across turns."""
        batches = self.train_batches or -(-run.share(count) // run.share(self.batch))  # as many on every rank
        state["optimiser"].param_groups[0]["lr"] = self.lr * cosine(turn, self.rounds)
        losses = []
        for step in range(turn * batches, (turn + 1) * batches):
            x, _ = images.noisy(images.drawn(self.stage, step, self.batch))
            name = f"{self.stage}-train"
            losses.append(self.teaching.step(state["pairs"], state["optimiser"], x.clamp(0, 1), run, name, step))
        return {"surrogate": sum(losses) / len(losses)}

    def _judge(self, pairs: Pairs, run: Run) -> Pairs:
        """The surrogate as it judges images now. Raises ValueError where training has gone astray."""
        check_finite(self.stage, pairs, self.lr)
        run.average(buffer for name, buffer in pairs.named_buffers() if "running" in name)
        judge = frozen(run.agreed(pairs) if self.class_wise else pairs, run)  # queues of keys differ between ranks
        assert isinstance(judge, Pairs)
        return judge

    def _search(self, judge: Pairs | None, images: NoisyImages, count: int, run: Run, turn: int) -> dict[str, float]:
        """The noise's turn: the mean loss before the last step of each batch. Of a noise that classes share, every
        rank seeks all; of one for each image its own.
        """
        mine, size = (torch.arange(count), self.batch) if self.class_wise else (run.shard(count), run.share(self.batch))
        whole = -(-len(mine) // size)
        values = []
        for part in range((batches := self.noise_batches or whole) * turn, batches * (turn + 1)):
            order = torch.randperm(len(mine), generator=run.rng(f"{self.stage}-noise-order", part // whole))
            rows = mine[order.split(size)[part % whole]]
            x, y = images.clean(rows)
            delta = images.delta(rows)
            for step in range(self.steps):
                leaf = delta.detach().requires_grad_()
                value = self.loss(judge, x, leaf, y, run, part, step)
                (gradient,) = torch.autograd.grad(value, leaf)
                if self.class_wise:
                    gradient = _summed(gradient, y)[y]
                delta = project(leaf.detach() - self.step_size * direction(gradient, self.budget), self.budget)
                delta = delta if self.class_wise else (x + delta).clamp(0, 1) - x
            images.keep(rows, delta)
            values.append(value.detach())
        return {"noise": float(torch.stack(values).mean())}


def _summed(gradient: Pixels, y: Labels) -> Float32[Tensor, "k c h w"]:
    """The gradient of each class: the sum of those of its images."""
    return torch.zeros(int(y.max()) + 1, *gradient.shape[1:], device=gradient.device).index_add_(0, y, gradient)
