"""What methods share whose surrogate is trained first and then stays as it is: no image depends on another."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.perturbation import Perturbation
from unlearnable.pixels import LINF8, Budget, Labels, Pixels
from unlearnable.protections._fields import Positive, Staged
from unlearnable.protections._noise import NoisyImages
from unlearnable.protections._pgd import Term, descend, frozen, uniform
from unlearnable.protections._surrogate import check_classes
from unlearnable.run import Run
from unlearnable.training import Augmentation, Classifier, CropFlip, Objective, Recipe, forward

Goal = Literal["targeted", "untargeted"]


def misled(logits: Tensor, y: Labels, goal: Goal, shift: int = 1) -> Tensor:
    """What falls where a network is led astray: the cross-entropy with the class `shift` after an image's own, or
    minus that with its own. (n, classes), (n,) -> (n,).
    """
    if goal == "targeted":
        return F.cross_entropy(logits, (y + shift) % logits.shape[1], reduction="none")
    return -F.cross_entropy(logits, y, reduction="none")


@dataclass(frozen=True)
class FixedSurrogate(Staged, ABC):
    """A surrogate trained for `epochs`, then `steps` of descent on every image; of several restarts an image keeps
    the one that was best for it.

    `fit` raises ValueError for fewer than two classes, or where the surrogate could not be trained.
    """

    needs_labels: ClassVar[bool] = True
    transfers: ClassVar[bool] = False
    needs_images: ClassVar[bool] = True

    budget: Budget = field(default=LINF8)
    model: str = "resnet18"
    epochs: int = 40
    lr: Positive = 0.1
    surrogate_batch: int = 128
    steps: int = 250
    step_size: Positive = 0.4 / 255
    restarts: int = 1
    batch: int = 512

    @abstractmethod
    def losses(self, logits: Tensor, y: Labels) -> Tensor:
        """What falls, for each image: (n, classes), (n,) -> (n,)."""

    def view(self, pixels: Pixels, rng: torch.Generator) -> Pixels:
        """What the surrogate sees of images at one step; differentiable."""
        return pixels

    def fit(self, data: ImageSet, run: Run) -> Perturbation:
        """The surrogates, then the noise."""
        images = NoisyImages(data, self.budget, run)
        self.search(self.judges(data, run), images, run)
        return images.sample_wise()

    def judges(self, data: ImageSet, run: Run) -> list[nn.Module]:
        """The surrogates as they judge images."""
        check_classes(self.stage, data)
        return [frozen(network, run) for network in self.networks(data, run)]

    def search(self, judges: list[nn.Module], images: NoisyImages, run: Run) -> None:
        """Batch by batch, each with all its steps and restarts."""
        for part, parts, rows in images.parts(self.stage, self.batch):
            delta, loss = self.found(judges, *images.clean(rows), int(rows[0]), run)
            images.keep(rows, delta)
            run.report(self.stage, part, parts, {"loss": loss})

    def found(
        self, judges: list[nn.Module], x: Pixels, y: Labels, first: int, run: Run
    ) -> tuple[Pixels, float]:  # fmt: skip
        """The delta of each image that its loss is lowest with, without a view; and the mean of those losses."""
        best, lowest = torch.zeros_like(x), torch.full((len(x),), float("inf"), device=x.device)
        for restart in range(self.restarts):
            rng = run.rng(f"{self.stage}-view", first, restart)
            seen = Term("loss", partial(self._seen, judges, y, rng, run), self.step_size)
            start = uniform(x, self.budget, run.rng(f"{self.stage}-start", first, restart))
            delta, _ = descend([seen], x, start, self.steps, self.budget)
            with torch.no_grad():
                losses = self.mean(judges, x + delta, y, run)
            better = losses < lowest
            best[better], lowest[better] = delta[better], losses[better]
        return best, float(lowest.mean())

    def networks(self, data: ImageSet, run: Run) -> list[nn.Module]:
        """The surrogate, or several, trained with a seed of its own: a victim of the run's has other first weights."""
        return [self.trained(self.recipe(), data, run).network]

    def recipe(self, augment: Augmentation | None = None, objective: Objective | None = None) -> Recipe:
        """How the surrogate is trained: on crops and flips unless told otherwise."""
        return Recipe(
            self.model, epochs=self.epochs, lr=self.lr, batch=self.surrogate_batch,
            augment=(augment or CropFlip(),), objective=objective,
        )  # fmt: skip

    def trained(self, recipe: Recipe, data: ImageSet, run: Run, keep: Sequence[int] = ()) -> Classifier:
        """A surrogate, and its checkpoints after the epochs in `keep`. Raises ValueError where it was not to be had."""
        own = replace(run, seed=run.rng(f"{self.stage}-surrogate").initial_seed())
        trained = recipe.train(data, own, keep=keep)
        if trained.diverged:
            raise ValueError(
                f"the surrogate of {self.stage} could not be trained: its loss was not finite at lr {self.lr:g}"
            )
        for network in (trained.network, *trained.checkpoints):
            run.agreed(network)
        return trained

    def _seen(self, judges: list[nn.Module], y: Labels, rng: torch.Generator, run: Run, pixels: Pixels) -> Tensor:
        return self.mean(judges, self.view(pixels, rng), y, run).sum()

    def mean(self, judges: list[nn.Module], pixels: Pixels, y: Labels, run: Run) -> Tensor:
        """The mean over the surrogates of each image's loss."""
        return torch.stack([self.losses(forward(judge, pixels, run), y) for judge in judges]).mean(0)
