"""The inner loops of EM, TAP and SEM beside those their authors published, in one run.

    python -m benchmarks.speed --out benchmarks/results/speed.json

`published` is the loop of the reference implementation as its paper and code describe it: fp32, contiguous memory,
weights frozen, the network itself in eval mode, augmentation where the method has one (TAP: a resampled shift and flip;
SEM: five crops and flips a step, each at a random point). `bare bf16` is EM's with autocast and channels-last memory.
A rate is images x steps a second: a step of SEM sees five views.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.packs import load_dataset
from unlearnable.pixels import LINF8, to_float
from unlearnable.protections._pgd import Term, descend, frozen
from unlearnable.protections._robust_surrogate import RobustSurrogate
from unlearnable.protections.rem import REM
from unlearnable.protections.sem import SEM
from unlearnable.protections.tap import TAP
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically
from unlearnable.training import CropFlip, Recipe, forward

Loop = Callable[[Tensor, Tensor, Tensor, int], Tensor]
STEP_SIZE = 0.8 / 255
METHODS = ("em", "tap", "sem")
ROBUST: dict[str, RobustSurrogate] = {"sem": SEM(step_size=STEP_SIZE), "rem": REM()}


def published(network: nn.Module, method: str, autocast: bool = False, step_size: float = STEP_SIZE) -> Loop:
    """The plain loop: forward, sign of the gradient, clip to the budget, clip to 0..1."""
    network = network.eval().requires_grad_(False)
    if autocast:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    views = {"em": _as_it_is, "tap": _resampled, "sem": _five_crops}[method]

    def loop(x: Tensor, y: Tensor, delta: Tensor, steps: int) -> Tensor:
        for _ in range(steps):
            delta = delta.detach().requires_grad_()
            loss = torch.zeros(())
            for view in views(x + delta):
                image = view.contiguous(memory_format=torch.channels_last) if autocast else view
                with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                    loss = loss + F.cross_entropy(network(image), (y + 1) % 10 if method == "tap" else y)
            (gradient,) = torch.autograd.grad(loss, delta)
            delta = (delta.detach() - step_size * gradient.sign()).clamp(-LINF8.eps, LINF8.eps)
            delta = (x + delta).clamp(0, 1) - x
        return delta

    return loop


def _as_it_is(x: Tensor) -> list[Tensor]:
    return [x]


def _resampled(x: Tensor) -> list[Tensor]:
    """Shifted by up to 4 pixels and flipped, by resampling."""
    n, _, height, _ = x.shape
    shift = (2 * torch.rand(n, 2) - 1) * 8 / height
    matrix = torch.eye(2, 3).repeat(n, 1, 1)
    matrix[:, 0, 0] = torch.randint(0, 2, (n,)) * 2.0 - 1
    matrix[:, :, 2] = shift
    grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
    return [F.grid_sample(x, grid, align_corners=False)]


def _five_crops(x: Tensor) -> list[Tensor]:
    """Crops and flips, each moved to a random point within 4/255."""
    views = []
    for _ in range(5):
        view = CropFlip(4).crop(x, torch.default_generator)
        views.append((view + 4 / 255 * (2 * torch.rand_like(view) - 1)).clamp(0, 1))
    return views


def ours(network: nn.Module, method: str, run: Run) -> Loop:
    """The engine's loop, with the very terms of the method."""
    judge = frozen(network, run)

    def terms(y: Tensor) -> Sequence[Term]:
        rng = run.rng("speed")
        if method in ROBUST:
            return ROBUST[method].terms(judge, y, rng, run, None)
        if method == "tap":
            tap = TAP()
            return [Term("loss", lambda x: tap.losses(forward(judge, tap.view(x, rng), run), y).sum(), STEP_SIZE)]
        return [Term("loss", lambda x: F.cross_entropy(forward(judge, x, run), y, reduction="sum"), STEP_SIZE)]

    return lambda x, y, delta, steps: descend(terms(y), x, delta, steps, LINF8)[0]


def rates(loops: dict[str, Loop], data: ImageSet, batch: int, steps: int, rounds: int) -> dict[str, float]:
    """Median images x steps a second of each loop; they take turns, so that drift of the machine hits all alike."""
    x, y = to_float(data.images[:batch]), data.labels[:batch]
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(rounds + 1):
        for name, loop in loops.items():
            started = time.perf_counter()
            loop(x, y, torch.zeros_like(x), steps)
            if turn:  # the first turn warms up
                taken[name].append(batch * steps / (time.perf_counter() - started))
    return {name: round(median(values), 1) for name, values in taken.items()}


def _loops(method: str, run: Run) -> dict[str, Loop]:
    """Each with a network of its own, of the same weights."""

    def network() -> nn.Module:
        with run.seeded("speed"):
            return build("resnet18", 10, 32)

    bare = {"bare bf16 channels-last": published(network(), method, autocast=True)} if method == "em" else {}
    return {"published": published(network(), method)} | bare | {
        "ours, fp32": ours(network(), method, replace(run, precision="fp32")),
        "ours, bf16": ours(network(), method, replace(run, precision="bf16")),
    }  # fmt: skip


def main() -> None:
    """Measures and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    run = Run(0, device="cpu")
    train, _ = load_dataset("cifar10-quick")
    train = train.subset(torch.arange(0, len(train), len(train) // asked.batch))
    chosen = "ours, bf16" if run.dtype is torch.bfloat16 else "ours, fp32"
    figures = {method: rates(_loops(method, run), train, asked.batch, asked.steps, asked.rounds) for method in METHODS}
    record: dict[str, Any] = {
        "images_x_steps_per_second": figures,
        "chosen_here": chosen,
        "native_bf16": run.dtype is torch.bfloat16,
        "arguments": {key: value for key, value in vars(asked).items() if key != "out"},
        "provenance": provenance(run) | {"recipe": asdict(Recipe())},
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(asked.out, json.dumps(record, indent=1, default=str).encode())
    print(json.dumps(record["images_x_steps_per_second"]))


if __name__ == "__main__":
    main()
