"""What a victim is left with, by the passes and the time that EM took: the published loop and schedule beside ours.

    python -m benchmarks.passes --out benchmarks/results/passes.json

Both with the small CNN as surrogate, on the quick data set: fits with ResNet-18 take hours on two cores. `published` is
the loop of the reference implementation in fp32 with its schedule (10 batches of training and 20 steps of 0.8/255 a
round), written apart from the engine; `ours` is the preset `quick`. Every few rounds the noise as it is then is
released and a victim trained on it; the time is that of the fit alone.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.speed import published
from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.packs import load_dataset
from unlearnable.perturbation import Perturbation, SampleWise, apply
from unlearnable.pixels import to_float
from unlearnable.protections.em import EM
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically
from unlearnable.training import Recipe

NEAR = 0.01
Moment = tuple[int, float, Perturbation]  # passes for each image, seconds of fitting, what there is by then


def theirs(data: ImageSet, run: Run, rounds: int, every: int) -> Iterator[Moment]:
    """The published loop: batches of 128 as in ours, or 5,000 images would see ten steps of training in all."""
    method = EM(model="cnn", rounds=rounds, batch=128)
    with run.seeded("em-init"):
        network = build(method.model, len(data.classes), data.size)
    optimiser = torch.optim.SGD(network.parameters(), method.lr, method.momentum, weight_decay=method.weight_decay)
    x, y = to_float(data.images), data.labels
    delta, seconds, trained = torch.zeros_like(x), 0.0, 0.0
    batches = list(torch.arange(len(data)).split(method.batch))
    for turn in range(rounds):
        began = time.monotonic()
        network.train().requires_grad_(True)
        for step in range(turn * method.train_steps, (turn + 1) * method.train_steps):
            _train(network, optimiser, x, y, delta, batches, step, run)
            trained += method.batch / len(data)
        loop = published(network, "em", step_size=method.step_size)
        for rows in batches:
            delta[rows] = loop(x[rows], y[rows], delta[rows], method.steps)
        seconds += time.monotonic() - began
        if (turn + 1) % every == 0:
            yield round(trained + (turn + 1) * method.steps), seconds, SampleWise(delta.clone())


def _train(
    network: nn.Module, optimiser: torch.optim.SGD, x: Tensor, y: Tensor, delta: Tensor, batches: list[Tensor],
    step: int, run: Run,
) -> None:  # fmt: skip
    """One batch of the surrogate's training, in fp32."""
    order = torch.randperm(len(x), generator=run.rng("em-order", step // len(batches)))
    rows = order.split(len(batches[0]))[step % len(batches)]
    optimiser.zero_grad()
    F.cross_entropy(network(x[rows] + delta[rows]), y[rows]).backward()
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimiser.step()


def ours(data: ImageSet, run: Run, every: int) -> Iterator[Moment]:
    """The preset, stopped every few rounds and gone on with from its checkpoint."""
    whole = EM(**EM.presets["quick"] | {"stop_error": -1.0})
    seconds = 0.0
    for rounds in range(every, whole.rounds + 1, every):
        began = time.monotonic()
        fitted = replace(whole, rounds=rounds).fit(data, run)
        seconds += time.monotonic() - began
        trained = rounds * whole.train_steps * whole.batch / len(data)
        yield round(trained + rounds * whole.steps), seconds, fitted


def shorter(curves: dict[str, list[dict[str, float]]]) -> list[dict[str, float | None]]:
    """How many times sooner ours left the victim where the published loop did, within a hundredth; None: never."""
    found: list[dict[str, float | None]] = []
    for theirs in curves["published"]:
        reached = [one["seconds"] for one in curves["ours"] if one["victim"] <= theirs["victim"] + NEAR]
        times = round(theirs["seconds"] / reached[0], 2) if reached else None
        found.append({"victim": theirs["victim"], "published_seconds": theirs["seconds"], "times": times})
    return found


def main() -> None:
    """Measures both curves and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=8, help="of the published schedule")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    train, test = load_dataset("cifar10-quick")
    curves: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        run = Run(asked.seed, device="cpu")
        ways = {
            "published": theirs(train, run, asked.rounds, 2),
            "ours": ours(train, replace(run, directory=Path(folder)), 4),
        }
        for name, moments in ways.items():
            curves[name] = []
            for passes, seconds, fitted in moments:
                protected = apply(fitted, train, EM().budget, run)
                accuracy = Recipe().train(protected, run, test).test_acc[-1]
                curves[name].append({"passes": passes, "seconds": round(seconds, 1), "victim": round(accuracy, 4)})
                print(name, curves[name][-1], flush=True)
    record = {
        "curves": curves,
        "times_shorter": shorter(curves),
        "arguments": {key: value for key, value in vars(asked).items() if key != "out"},
        "provenance": provenance(run),
    }
    write_atomically(asked.out, json.dumps(record, indent=1).encode())
    print(record["times_shorter"])


if __name__ == "__main__":
    main()
