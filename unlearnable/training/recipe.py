"""Recipe: the numbers and parts of one training, and the loop."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unlearnable.data import ImageSet
from unlearnable.models import build, check_model, load_weights, usual_lr
from unlearnable.packs import weights_file
from unlearnable.pixels import Pixels
from unlearnable.run import Run
from unlearnable.training.classifier import Classifier, Trial
from unlearnable.training.handed import Beginning, Handed
from unlearnable.training.network import Images, as_pixels, doubled, predict
from unlearnable.training.parts import (
    Augmentation,
    CropFlip,
    EarlyStop,
    Loss,
    Objective,
    Purifier,
    Step,
    cross_entropy,
    one_cycle,
)
from unlearnable.training.probing import linear_probe, neighbours
from unlearnable.training.selfsupervised import SelfSupervised


class RecipeChange(ABC):
    """Changes a recipe as a whole: more than one part of it, or its numbers."""

    @abstractmethod
    def change(self, recipe: "Recipe") -> "Recipe":
        """The recipe with the change. Raises ValueError where the two do not go together."""


@dataclass(frozen=True)
class Recipe:
    """How somebody trains a classifier; the numbers are those of the quick tier.

    model: a name of the zoo; init: initial weights (safetensors) instead of random ones; lr: the peak of a one-cycle
    schedule; batch: images a step; purify: what is done to the images once; augment: what is done to every batch;
    objective: what is minimised instead of the cross-entropy; stop: keep the best epoch on a few clean images instead
    of the last one; head_only: train the last linear layer alone; handed: the initial weights of an authorised network;
    learner: train without labels, and fit a linear probe at the end; lr, batch and what follows are then the learner's.
    Raises ValueError for a learner together with what labels are needed for, or with augmentations.
    """

    model: str = "cnn"
    init: Path | None = None
    epochs: int = 12
    lr: float = 0.1
    batch: int = 64
    momentum: float = 0.9
    weight_decay: float = 5e-4
    purify: tuple[Purifier, ...] = ()
    augment: tuple[Augmentation, ...] = (CropFlip(),)
    objective: Objective | None = None
    stop: EarlyStop | None = None
    head_only: bool | None = None
    handed: Beginning | None = None
    learner: SelfSupervised | None = None

    def __post_init__(self) -> None:
        parts = (*self.augment, *(part for part in (self.objective, self.stop) if part is not None))
        if self.learner is not None and (parts or self.head_only):
            what = type(parts[0]).__name__ if parts else "a head alone"
            raise ValueError(
                f"{self.learner.learner} learns without labels, from views of its own: it goes with what changes the "
                f"images once, not with {what}"
            )
        if self.init is not None and (self.handed is not None or self.learner is not None):
            other = "weights that came with the images" if self.handed else "learning without labels"
            raise ValueError(f"weights of a file and {other} do not go together: a network begins with one of them")

    @classmethod
    def usual(cls, model: str, epochs: int | None = None) -> "Recipe":
        """The recipe of the quick tier for a model, at the rate that this model learns at."""
        usual = cls(model=model, lr=usual_lr(model))
        return usual if epochs is None else replace(usual, epochs=epochs)

    def having(self, part: Purifier | Augmentation | Objective | RecipeChange | EarlyStop | Handed) -> "Recipe":
        """The recipe with one part more. Raises ValueError for a second objective: only one thing is minimised."""
        if isinstance(part, RecipeChange):
            return part.change(self)
        if isinstance(part, Purifier):
            return replace(self, purify=(*self.purify, part))
        if isinstance(part, Augmentation):
            return replace(self, augment=(*self.augment, part))
        if isinstance(part, EarlyStop):
            return replace(self, stop=part)
        if isinstance(part, Handed):
            return replace(self, handed=part)
        if self.objective is not None:
            raise ValueError(f"one of {type(self.objective).__name__} and {type(part).__name__}, not both at once")
        return replace(self, objective=part)

    def check(self) -> None:
        """Raises ValueError where the model or its weights are not to be had, before any data is."""
        check_model(self.model)
        if self.init is not None:
            weights_file(self.init)

    def teacher(
        self, data: ImageSet, run: Run, weights: Path | None = None, model: str | None = None,
        handed: Handed | None = None,
    ) -> nn.Module:  # fmt: skip
        """A network of this recipe in eval mode: with the weights of a file, or trained with the usual loss, from
        other weights and in another order than the student; one that was handed out, as who got it trains it.

        model: another one of the zoo; handed: what it is trained from, instead of random weights, as anybody trains it.
        """
        whole = self
        if handed is not None:
            whole = replace(Recipe.usual(model or self.model, self.epochs), handed=handed)
        elif model is not None:
            whole = replace(self, model=model, lr=usual_lr(model), init=None, head_only=None)
        if weights is not None:
            return replace(whole, init=weights).start(data, run).eval()
        seed = run.number("teacher") if handed is None else run.seed  # an authorised network is trained as it is alone
        below = replace(run, seed=seed, directory=run.directory and run.directory / "teacher")
        return replace(whole, objective=None, stop=None).train(data, below).network

    def train(
        self, data: ImageSet, run: Run, test: ImageSet | None = None, keep: Sequence[int] = (),
        begin: nn.Module | None = None, clean: ImageSet | None = None,
    ) -> Classifier:  # fmt: skip
        """Trains on 8-bit images and labels, and on nothing else; measures on `test` after every epoch where given.

        keep: epochs, counted from 0, after which the network is copied to `checkpoints`; begin: the network that is
        trained, on the device of the run, instead of the one that `start` gives; clean: labelled images
        that the features of a `learner` are probed with, and that nothing else is done with.
        Rows whose label is unknown (-1) are left out. Raises ValueError where fewer than two images are left, early
        stopping has no clean images to choose on, or a learner that is probed on clean images has none.
        """
        if self.learner is not None:
            return self._without_labels(self.learner, data, run, test, clean)
        data = data.subset((data.labels >= 0).nonzero().flatten()) if (data.labels < 0).any() else data
        if len(data) < 2:
            raise ValueError(f"training needs at least 2 labelled images, got {len(data)}")
        if self.stop is not None and (test is None or len(test) < 2):
            raise ValueError("early stopping chooses on clean test images: give at least 2")
        purified, later = self.purified(data, run)
        images, labels = purified.to(run.at), data.labels.to(run.at)
        trial = None if test is None else Trial(_through(later, test, run), test.labels, self.stop, run)
        network = self.start(data, run) if begin is None else begin
        loss = cross_entropy if self.objective is None else self.objective.start(data, run, self.teacher)
        followed = run if self.handed is None else self.handed.followed(run)
        steps = -(-len(data) // self.batch) * self.epochs
        optimiser, schedule = self._optimiser(network, steps)
        curves: dict[str, list[float]] = {"train_acc": [], "test_acc": [], "own_acc": [], "rest_acc": []}
        state: dict[str, Any] = {"network": network, "optimiser": optimiser, "schedule": schedule, "curves": curves}
        if self.stop is not None:
            state["best"] = deepcopy(network)
        kept = state["kept"] = nn.ModuleList(deepcopy(network) for _ in keep)
        for epoch in run.loop("train", self.epochs, state):
            moment = Step(followed, epoch, self.epochs, 0)
            curves["train_acc"].append(self._epoch(network, optimiser, schedule, images, labels, loss, moment))
            for place in (place for place, wanted in enumerate(keep) if wanted == epoch):
                kept[place].load_state_dict(network.state_dict())
            if trial is not None:
                trial.judge(network, curves)
                run.report("train", epoch + 1, self.epochs, {"test_acc": curves["test_acc"][-1]})
                if self.stop is not None and curves["own_acc"][-1] > max(curves["own_acc"][:-1], default=-1):
                    state["best"].load_state_dict(network.state_dict())
            if math.isnan(curves["train_acc"][-1]):
                run.stop("train", self.epochs, state, "the loss was no number")
                break
        checkpoints = tuple(copy.eval() for copy in kept)
        return replace(Classifier.of(state.get("best", network).eval(), curves), checkpoints=checkpoints)

    def augmented(self, x: Pixels, step: Step) -> Pixels:
        """A batch as the network sees it at that step; the same batch at the same step is seen alike."""
        for augmentation in self.augment:
            x = augmentation(x, step)
        return x

    def _without_labels(
        self, learner: SelfSupervised, data: ImageSet, run: Run, test: ImageSet | None, clean: ImageSet | None
    ) -> Classifier:
        """A network that learned from all images without labels, with a linear probe for its last layer."""
        if learner.probe == "clean" and clean is None:
            raise ValueError(f"{learner.learner} is probed on clean images: give them as clean, or say probe=given")
        images, later = self.purified(data, run)
        network = self.start(data, run)
        losses = learner.train(network, images, run)
        known = {"given": (images, data.labels)}
        if clean is not None:
            known["clean"] = (_through(later, clean, run), clean.labels)
        asked = None if test is None else _features(network, _through(later, test, run), run)
        astray = not all(map(math.isfinite, losses))
        probes: dict[str, float] = {} if astray or not losses else {"pairs_loss": losses[-1]}
        heads: dict[str, nn.Linear] = {}
        train_acc: dict[str, float] = {}
        for name, (pixels, labels) in known.items():
            features = _features(network, pixels[labels >= 0], run)
            labels = labels[labels >= 0]
            heads[name] = linear_probe(features, labels, len(data.classes))
            train_acc[name] = probes[f"train_{name}"] = _share(heads[name](features).argmax(1), labels)
            if test is not None and asked is not None:
                probes[f"probe_{name}"] = _share(heads[name](asked).argmax(1), test.labels)
                probes[f"knn_{name}"] = _share(neighbours(features, labels, asked, len(data.classes)), test.labels)
        whole = run.place(nn.Sequential(network, heads[learner.probe])).eval()
        reached = (probes[f"probe_{learner.probe}"],) if test is not None else ()
        return Classifier(whole, (train_acc[learner.probe],), reached, diverged=astray, probes=probes)

    def purified(self, data: ImageSet, run: Run) -> tuple[Images, list[Purifier]]:
        """The training images after every purifier, in their order, and what test images go through. Only the last may
        leave 8 bits.
        """
        images: Images = data.images
        later: list[Purifier] = []
        for place, part in enumerate(self.purify):
            if images.is_floating_point():
                raise ValueError(f"{type(part).__name__} takes 8-bit images: put what is no longer 8-bit behind it")
            own = replace(run, directory=run.directory and run.directory / f"purify-{place}")
            seen = data.with_images(images)
            same = part.for_test(seen)
            images = (part if same is None else same)(seen, own)
            later += [] if same is None else [same]
        return images, later

    def start(self, data: ImageSet, run: Run) -> nn.Module:
        """The untrained network for this data: seeded weights, or those of `init` or `handed`."""
        if self.handed is not None:
            network = self.handed.network(self.model, data, run)
        else:
            with run.seeded("init"):
                network = build(self.model, len(data.classes), data.size)
        if self.init is not None:
            load_weights(network, weights_file(self.init))
        if self.head_only:
            network.requires_grad_(False)
            [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1].requires_grad_(True)
        return run.place(network)

    def _optimiser(self, network: nn.Module, steps: int) -> tuple[torch.optim.SGD, Any]:
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        optimiser = torch.optim.SGD(weights, self.lr, self.momentum, weight_decay=self.weight_decay, nesterov=True)
        return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: one_cycle(step, steps))

    def _epoch(
        self, network: nn.Module, optimiser: Any, schedule: Any, images: Images, labels: Tensor, loss: Loss, epoch: Step
    ) -> float:
        """One pass over the images: the share that was right on the way, NaN where the loss was no number."""
        network.train()
        right, total = torch.zeros((), device=images.device), torch.zeros((), device=images.device)
        other = () if self.handed is None or self.handed.order is None else (self.handed.order,)
        order = epoch.run.rng("order", epoch.epoch, *other)
        for batch, rows in enumerate(epoch.run.batches(len(images), self.batch, order)):
            count, rows = len(rows), doubled(rows)
            step = Step(epoch.run, epoch.epoch, epoch.epochs, batch)
            x, y = as_pixels(images[rows]), labels[rows]
            x = self.augmented(x, step)
            value, logits = loss(network, x, y, step)
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            optimiser.step()
            schedule.step()
            total += value.detach()
            right += (logits.argmax(1) == y)[:count].sum()
        return float(right) / len(images) if math.isfinite(total) else math.nan


def _through(purifiers: Sequence[Purifier], data: ImageSet, run: Run) -> Images:
    images: Images = data.images
    for part in purifiers:
        images = part(data.with_images(images), run)
    return images


def _features(network: nn.Module, images: Images, run: Run) -> Tensor:
    """What a network without its head gives for images, as numbers in any case."""
    return predict(network, images, run).nan_to_num(0.0, 0.0, 0.0)


def _share(found: Tensor, labels: Tensor) -> float:
    return round(float((found == labels).float().mean()), 4)
