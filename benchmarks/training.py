"""A victim's training beside the same recipe written plainly: images a second and accuracy, in one run.

    python -m benchmarks.training --out benchmarks/results/training.json

`plain` is what published scripts do: a DataLoader with two workers, Pillow transforms image by image (crop of the
padded image, flip, to tensor), fp32, contiguous memory. Network, optimiser, schedule, batch, epochs are the recipe's.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.packs import load_dataset
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically
from unlearnable.training import Recipe, accuracy
from unlearnable.training.parts import one_cycle


class Pictures(Dataset[tuple[Tensor, int]]):
    """Pillow images with the usual transforms."""

    def __init__(self, data: ImageSet, padding: int = 4) -> None:
        self.images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in data.images]
        self.labels, self.padding = data.labels.tolist(), padding

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        left, top, mirror = (int(torch.randint(n, ())) for n in (2 * self.padding + 1, 2 * self.padding + 1, 2))
        width, height = self.images[row].size
        image = ImageOps.expand(self.images[row], self.padding).crop((left, top, left + width, top + height))
        image = ImageOps.mirror(image) if mirror else image
        return torch.from_numpy(np.array(image).transpose(2, 0, 1)).float().div(255), self.labels[row]


def plain(recipe: Recipe, train: ImageSet, test: ImageSet, run: Run) -> dict[str, float]:
    """The recipe as a script would have it."""
    with run.seeded("init"):
        network: nn.Module = build(recipe.model, len(train.classes), train.size)
    loader = DataLoader(Pictures(train), recipe.batch, shuffle=True, num_workers=2)
    optimiser = torch.optim.SGD(
        network.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
    )
    steps = len(loader) * recipe.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: one_cycle(step, steps))
    began = time.perf_counter()
    for _ in range(recipe.epochs):
        network.train()
        for x, y in loader:
            loss = F.cross_entropy(network(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return _figures(time.perf_counter() - began, recipe, train, accuracy(network, test, run))


def ours(recipe: Recipe, train: ImageSet, test: ImageSet, run: Run) -> dict[str, float]:
    """The recipe as the library trains it, the test after every epoch included."""
    began = time.perf_counter()
    victim = recipe.train(train, run, test)
    return _figures(time.perf_counter() - began, recipe, train, victim.test_acc[-1])


def _figures(seconds: float, recipe: Recipe, train: ImageSet, reached: float) -> dict[str, float]:
    rate = recipe.epochs * len(train) / seconds
    return {"seconds": round(seconds, 1), "images_per_second": round(rate, 1), "test_acc": round(reached, 4)}


def main() -> None:
    """Both in turn, and the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dataset", default="cifar10-quick")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--epochs", type=int, default=12)
    args = parser.parse_args()
    run, recipe = Run(0), Recipe(model=args.model, epochs=args.epochs)
    train, test = load_dataset(args.dataset)
    found = {name: loop(recipe, train, test, run) for name, loop in (("plain", plain), ("ours", ours))}
    times = found["ours"]["images_per_second"] / found["plain"]["images_per_second"]
    record = {"dataset": args.dataset, "model": args.model, "epochs": args.epochs} | found
    record |= {"times_plain": round(times, 2)} | provenance(run)
    write_atomically(args.out, json.dumps(record, indent=1).encode())
    print(json.dumps(record))


if __name__ == "__main__":
    main()
