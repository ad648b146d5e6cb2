"""What methods share whose surrogate is trained adversarially on images whose noise is sought afresh for every batch.

Algorithm 1 of REM, which SEM and data collapse take over; they differ in what the noise descends on.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.perturbation import Perturbation
from unlearnable.pixels import LINF8, Budget, Labels, Pixels
from unlearnable.protections._fields import Natural, Positive, Share, Staged
from unlearnable.protections._noise import NoisyImages
from unlearnable.protections._pgd import Term, cropped, descend, uniform
from unlearnable.protections._surrogate import Surrogate
from unlearnable.run import Run
from unlearnable.training import attack, forward

IMAGENET: dict[str, Any] = {
    "iterations": 3000, "decay": 1200, "steps": 7, "step_size": 2 / 255, "attack_steps": 7, "views": 4,
}  # fmt: skip
"""REM's and SEM's for the first hundred classes."""


@dataclass(frozen=True)
class RobustSurrogate(Staged, ABC):
    """radius: how far adversarial training may move a protected image; 0: the surrogate is trained as usual.

    iterations: batches of `batch` that the surrogate is trained on, at a rate that falls to a tenth every `decay`;
    steps, step_size: of the noise; attack_steps: of adversarial training; padding: of random crops (0: neither crop
    nor flip). Raises ValueError for a radius outside 0..1 or a count below 1.
    """

    needs_labels: ClassVar[bool] = True
    transfers: ClassVar[bool] = False
    needs_images: ClassVar[bool] = True

    budget: Budget = field(default=LINF8)
    radius: Share = 4 / 255
    model: str = "resnet18"
    iterations: int = 5000
    batch: int = 128
    lr: Positive = 0.1
    decay: int = 2000
    momentum: float = 0.9
    weight_decay: float = 5e-4
    steps: int = 10
    step_size: Positive = 1.6 / 255
    attack_steps: int = 10
    padding: Natural = 4

    @abstractmethod
    def terms(
        self, judge: nn.Module, y: Labels, rng: torch.Generator, run: Run, prepared: Any
    ) -> Sequence[Term]:  # fmt: skip
        """What the noise of a batch descends on; rng: for what is drawn at every step."""

    def prepare(self, data: ImageSet, run: Run) -> Any:
        """What the terms need besides the surrogate, made once: nothing."""
        return None

    def error(
        self, judge: nn.Module, y: Labels, rng: torch.Generator, run: Run, views: int, inner_steps: int | None
    ) -> Term:
        """The loss over `views` crops of an image (0: as it is), each moved within `radius`: by so many steps of
        ascent, by none from a random point, or not at all where None. The gradient goes back through the view alone.
        """

        def loss(pixels: Pixels) -> Tensor:
            total = torch.zeros((), device=pixels.device)
            for _ in range(max(1, views)):
                view = cropped(pixels, self.padding if views else 0, rng)
                if inner_steps is not None and self.radius:
                    worst = attack(judge, view.detach(), y, self.ball, inner_steps, rng, run)
                    view = view + (worst - view).detach()
                total = total + F.cross_entropy(forward(judge, view, run), y, reduction="sum") / max(1, views)
            return total

        return Term("error", loss, self.step_size)

    @property
    def ball(self) -> Budget:
        """Where adversarial training may go."""
        return Budget("linf", self.radius)

    def fit(self, data: ImageSet, run: Run) -> Perturbation:
        """Noise for a batch, an adversarial step of the surrogate on it, and at the end noise for every image."""
        images = NoisyImages(data, self.budget, run)
        surrogate = Surrogate.start(
            self.model, data, run, self.stage, self.lr, self.momentum, self.weight_decay
        )  # fmt: skip
        prepared = self.prepare(data, run)  # hours, perhaps: after all that may be refused
        for turn in run.loop(self.stage, self.iterations, surrogate.state):
            rows = images.drawn(self.stage, turn, self.batch)
            judge = surrogate.judge(run)
            figures = self._search(judge, images, rows, prepared, run, turn)
            self._train(surrogate, judge, images, rows, run, turn)
            run.report(self.stage, turn + 1, self.iterations, figures)
        judge = surrogate.judge(run)
        for part, parts, rows in images.parts(f"{self.stage}-noise", self.batch):
            figures = self._search(judge, images, rows, prepared, run, self.iterations, int(rows[0]))
            run.report(f"{self.stage}-noise", part, parts, figures)
        return images.sample_wise()

    def _search(
        self, judge: nn.Module, images: NoisyImages, rows: Tensor, prepared: Any, run: Run, *moment: int
    ) -> dict[str, float]:
        """Fresh noise for a batch, kept; and the mean of each term at its end."""
        x, y = images.clean(rows)
        start = uniform(x, self.budget, run.rng(f"{self.stage}-start", *moment))
        terms = self.terms(judge, y, run.rng(f"{self.stage}-draws", *moment), run, prepared)
        delta, values = descend(terms, x, start, self.steps, self.budget)
        images.keep(rows, delta)
        return {name: float(value) / len(rows) for name, value in values.items()}

    def _train(
        self, surrogate: Surrogate, judge: nn.Module, images: NoisyImages, rows: Tensor, run: Run, turn: int
    ) -> None:
        """One adversarial step on a fresh view of the protected batch."""
        x, y = images.noisy(rows)
        x = cropped(x, self.padding, run.rng(f"{self.stage}-view", turn))
        if self.radius:
            x = attack(judge, x, y, self.ball, self.attack_steps, run.rng(f"{self.stage}-attack", turn), run)
        surrogate.step(x, y, run, self.lr * 0.1 ** (turn // self.decay))
