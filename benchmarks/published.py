"""What the authors of EM, REM and AR published, run as it is, beside this project's, in one run.

    git clone https://github.com/HanxunH/Unlearnable-Examples code/Unlearnable-Examples   # and the others of CODE
    python -m benchmarks.published --code code --out benchmarks/results/published.json

Their loops are given the same network, in eval mode and with its weights frozen, the same images, and for REM crops and
flips of whole batches where theirs take one image after the other. A rate is images x steps a second; a step of REM has
five views, each at the end of ten steps of ascent. AR is timed by the signal. `alike` is the share of values of the
perturbed images that EM's two loops, both in fp32 and from one start, agree on to a hundredth of a grey level.
"""

import argparse
import importlib.util
import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.speed import STEP_SIZE, Loop, ours, rates
from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.packs import load_dataset
from unlearnable.pixels import LINF8, to_float
from unlearnable.protections import protection
from unlearnable.protections.ar import Autoregressive
from unlearnable.protections.rem import REM
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically
from unlearnable.training import CropFlip

CODE = {
    "em": ("HanxunH/Unlearnable-Examples", "toolbox.py"),
    "rem": ("fshp971/robust-unlearnable-examples", "attacks/robust_workers.py"),
    "ar": ("psandovalsegura/autoregressive-poisoning", "autoregressive.py"),
}
"""Repository and file, by method."""
WORK = {"em": (128, 2), "rem": (32, 1)}
"""Images and steps that are timed at once."""
SIGNALS = {"published": 20, "ours": 2048}
LIKE = 0.01 / 255


class Shifted(nn.Module):
    """A network for images of -0.5..0.5, as REM's code has them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        seen: Tensor = self.network(x + 0.5)
        return seen


def published(method: str, code: ModuleType, network: nn.Module) -> Loop:
    """The loop of EM or REM as its authors have it."""
    network, error = network.eval().requires_grad_(False), nn.CrossEntropyLoss()

    def em(x: Tensor, y: Tensor, delta: Tensor, steps: int) -> Tensor:
        tool = code.PerturbationTool(epsilon=LINF8.eps, num_steps=steps, step_size=STEP_SIZE)
        moved: Tensor = tool.min_min_attack(x, y, network, None, error, random_noise=delta)[0].detach()
        return moved - x

    def rem(x: Tensor, y: Tensor, delta: Tensor, steps: int) -> Tensor:
        about = REM()
        tool = code.RobustMinimaxPGDDefender(
            about.views, lambda seen: CropFlip(about.padding).crop(seen / 255, torch.default_generator) - 0.5,
            255 * LINF8.eps, steps, 255 * about.step_size, False,
            255 * about.radius, about.inner_steps, 2 * 255 * about.radius / about.inner_steps, True,
        )  # fmt: skip
        found: Tensor = tool.perturb(Shifted(network), error, 255 * x, y)
        return found

    return {"em": em, "rem": rem}[method]


def loops(method: str, code: ModuleType, run: Run) -> dict[str, Loop]:
    """Theirs, ours in fp32 and in bf16, each with a network of its own, of the same weights."""

    def network() -> nn.Module:
        with run.seeded("speed"):
            return build("resnet18", 10, 32)

    return {
        "published": published(method, code, network()),
        "ours, fp32": ours(network(), method, replace(run, precision="fp32")),
        "ours, bf16": ours(network(), method, replace(run, precision="bf16")),
    }


def alike(found: dict[str, Loop], data: ImageSet) -> float:
    """The share of values on which two loops agree."""
    x, y = to_float(data.images), data.labels
    theirs, own = (found[name](x, y, torch.zeros_like(x), 1) for name in ("published", "ours, fp32"))
    return float(((theirs - own).abs() < LIKE).float().mean())


def signals(code: ModuleType, fitted: Autoregressive, data: ImageSet) -> dict[str, float]:
    """AR's signals a second: theirs one at a time, ours in batches of 512."""
    began = time.perf_counter()
    for label in data.labels[: SIGNALS["published"]].tolist():
        process = code.ARProcessPerturb3Channel(fitted.processes[label])
        process.generate(size=(fitted.size + 4,) * 2, crop=4, p=2, eps=1)
    theirs = SIGNALS["published"] / (time.perf_counter() - began)
    began, rows = time.perf_counter(), torch.arange(SIGNALS["ours"])
    for part in rows.split(512):
        fitted(torch.zeros(len(part), 3, fitted.size, fitted.size), data.labels[part], part)
    return {"published": round(theirs, 1), "ours": round(len(rows) / (time.perf_counter() - began))}


def opened(folder: Path, method: str) -> tuple[ModuleType, dict[str, str]]:
    """A file of a clone as a module, and which commit it is of."""
    repository, file = CODE[method]
    clone = folder / repository.partition("/")[2]
    spec = importlib.util.spec_from_file_location(f"published_{method}", clone / file)
    if spec is None or spec.loader is None or not (clone / file).is_file():
        raise SystemExit(f"{clone} holds no {file}: git clone https://github.com/{repository} {clone}")
    code = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(code)
    told = subprocess.run(["git", "-C", clone, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return code, {"repository": repository, "commit": told.stdout.strip()[:12]}


def main() -> None:
    """Measures and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--code", type=Path, required=True, help="the folder of the clones")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    run, data = Run(0, device="cpu"), load_dataset("cifar10-quick")[0]
    spread = data.subset(torch.arange(0, len(data), len(data) // WORK["em"][0]))
    codes = {method: opened(asked.code, method) for method in CODE}
    record: dict[str, Any] = {"code": {method: about for method, (_, about) in codes.items()}, "rounds": asked.rounds}
    record["images_x_steps_per_second"] = {}
    for method, (images, steps) in WORK.items():
        found = loops(method, codes[method][0], run)
        if method == "em":
            record["alike"] = round(alike(found, spread), 4)
        record["images_x_steps_per_second"][method] = rates(found, spread, images, steps, asked.rounds)
        print(method, record["images_x_steps_per_second"][method], record["alike"], flush=True)
    fitted = protection("ar").fit(data, run)
    assert isinstance(fitted, Autoregressive)
    record["ar_signals_per_second"] = signals(codes["ar"][0], fitted, data)
    record["size"] = fitted.size
    record["chosen_here"] = "ours, bf16" if run.dtype is torch.bfloat16 else "ours, fp32"
    record["provenance"] = provenance(run)
    print(record["ar_signals_per_second"], flush=True)
    write_atomically(asked.out, json.dumps(record, indent=1).encode())


if __name__ == "__main__":
    main()
