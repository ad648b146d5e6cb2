"""Recipe: how somebody trains a classifier. The one supervised loop, for surrogates and victims alike."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32
from safetensors.torch import load_model
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.pixels import Bytes, Pixels, to_float
from unlearnable.run import Run


@dataclass(frozen=True)
class CropFlip:
    """Random crop after zero padding, and random horizontal flip: what nearly every published recipe does."""

    padding: int = 4
    flip: bool = True

    def __call__(self, x: Pixels, rng: torch.Generator) -> Pixels:
        """x (n, c, h, w) in 0..1 -> the same shape; draws come from rng, on the CPU."""
        n, _, height, width = x.shape
        top, left = torch.randint(0, 2 * self.padding + 1, (2, n), generator=rng).to(x.device)
        padded = F.pad(x, [self.padding] * 4)
        rows = (top[:, None] + torch.arange(height, device=x.device))[:, :, None]
        columns = (left[:, None] + torch.arange(width, device=x.device))[:, None, :]
        if self.flip:
            flipped = (torch.rand(n, generator=rng) < 0.5).to(x.device)
            columns = torch.where(flipped[:, None, None], columns.flip(2), columns)
        image = torch.arange(n, device=x.device)[:, None, None]
        return padded[image, :, rows, columns].permute(0, 3, 1, 2)


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained network, and how its accuracy went: one entry an epoch."""

    network: nn.Module
    train_acc: tuple[float, ...]
    test_acc: tuple[float, ...]


@dataclass(frozen=True)
class Recipe:
    """How somebody trains a classifier: the quick tier's numbers; `STANDARD` below has those of the papers.

    model: a name of the zoo; init: initial weights (safetensors) instead of random ones; lr: the peak of a one-cycle
    schedule; batch: images a step; augment: None for none.
    """

    model: str = "cnn"
    init: Path | None = None
    epochs: int = 12
    lr: float = 0.1
    batch: int = 64
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: CropFlip | None = CropFlip()

    def train(self, data: ImageSet, run: Run, test: ImageSet | None = None) -> Classifier:
        """Trains on 8-bit images and labels, and on nothing else; measures on `test` after every epoch where given.

        Rows whose label is unknown (-1) are left out. Raises ValueError where fewer than two images are left.
        """
        data = data.subset((data.labels >= 0).nonzero().flatten()) if (data.labels < 0).any() else data
        if len(data) < 2:
            raise ValueError(f"training needs at least 2 labelled images, got {len(data)}")
        network = self.start(data, run)
        optimiser = torch.optim.SGD(
            network.parameters(), self.lr, self.momentum, weight_decay=self.weight_decay, nesterov=True
        )
        steps = -(-len(data) // self.batch) * self.epochs
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: one_cycle(step, steps))
        curves: dict[str, list[float]] = {"train_acc": [], "test_acc": []}
        state = {"network": network, "optimiser": optimiser, "schedule": schedule, "curves": curves}
        for epoch in run.loop("train", self.epochs, state):
            curves["train_acc"].append(self._epoch(network, optimiser, schedule, data, run, epoch))
            if test is not None:
                curves["test_acc"].append(accuracy(network, test, run))
        network.eval()
        return Classifier(network, tuple(curves["train_acc"]), tuple(curves["test_acc"]))

    def start(self, data: ImageSet, run: Run) -> nn.Module:
        """The untrained network for this data: seeded weights, or those of `init`."""
        with run.seeded("init"):
            network = build(self.model, len(data.classes), data.size)
        if self.init is not None:
            load_model(network, self.init)
        return run.place(network)

    def _epoch(self, network: nn.Module, optimiser: Any, schedule: Any, data: ImageSet, run: Run, epoch: int) -> float:
        network.train()
        right = 0
        for batch, rows in enumerate(run.batches(len(data), self.batch, run.rng("order", epoch))):
            if len(rows) == 1:  # batch normalisation has no variance over one image
                rows = rows.repeat(2)
            x, y = to_float(data.images[rows].to(run.at)), data.labels[rows].to(run.at)
            if self.augment is not None:
                x = self.augment(x, run.rng("augment", epoch, batch))
            logits = forward(network, x, run)
            loss = F.cross_entropy(logits, y)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            right += int((logits.argmax(1) == y).sum())
        return right / len(data)


def one_cycle(step: int, steps: int) -> float:
    """The share of the peak rate at a step: up in a straight line for a quarter of them, then down a cosine."""
    warm = max(1, steps // 4)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def forward(network: nn.Module, x: Pixels, run: Run) -> Float32[Tensor, "n k"]:
    """Logits in float32, computed in the precision and memory layout of the run."""
    with run.autocast():
        logits: Tensor = network(x.contiguous(memory_format=torch.channels_last))
    return logits.float()


@torch.no_grad()
def predict(network: nn.Module, images: Bytes, run: Run, batch: int = 500) -> Float32[Tensor, "n k"]:
    """Logits of 8-bit images, on the CPU; the network is in eval mode meanwhile and put back afterwards."""
    training = network.training
    network.eval()
    parts = [forward(network, to_float(images[rows].to(run.at)), run).cpu() for rows in run.batches(len(images), batch)]
    network.train(training)
    return torch.cat(parts)


def accuracy(network: nn.Module, data: ImageSet, run: Run) -> float:
    """The share of images whose label the network gives."""
    return float((predict(network, data.images, run).argmax(1) == data.labels).float().mean())
