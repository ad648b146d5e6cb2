"""Trains the generator that `protect` uses unless told otherwise, on public pictures, without their labels.

    python scripts/train_generator.py --work WORK --out FIRST --preset one_for_all:groups --steps 5000
    python scripts/train_generator.py --work WORK --out OUT --init FIRST --lr 1e-3 --steps 3000

First on groups alone, in plain views; then on what the encoder sees, in other colours too. OUT is
unlearnable/weights/one_for_all. WORK is that of `train_mini_encoder.py`: the pictures it keeps there are learned from,
at 64 pixels, every third one as if it had been 32 pixels small, so that the encoder's view of small pictures is known
to the generator too.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unlearnable import perturbation
from unlearnable.data import ImageSet
from unlearnable.perturbation import at_size
from unlearnable.protections import describe, protection
from unlearnable.provenance import provenance
from unlearnable.run import Run

SIDE, SMALL = 64, 32


def pictures(work: Path) -> ImageSet:
    """All pictures kept in `work`, mixed, at one size, unlabelled."""
    parts = []
    for kept in sorted(work.glob("*/images.npy")):
        images = torch.from_numpy(np.load(kept))
        parts.append(at_size(ImageSet(images, torch.full((len(images),), -1), ()), SIDE).images)
    images = torch.cat(parts)
    data = ImageSet(images, torch.full((len(images),), -1), ())
    rows = torch.arange(0, len(data), 3)
    images[rows] = at_size(at_size(data.subset(rows), SMALL), SIDE).images
    return data


def earlier(init: str | None) -> list[dict[str, Any]]:
    """What was said of the weights begun with, and of those these were begun with."""
    if init is None:
        return []
    about = json.loads((Path(init) / perturbation.CONFIG).read_text())
    return [*about.pop("earlier", []), about]


def main() -> None:
    """Trains and saves; `python -m benchmarks.generator` measures what was saved and writes its card."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--preset", default="one_for_all")
    parser.add_argument("--init", help="a folder with the weights to begin with")
    parser.add_argument("--lr", type=float, default=2e-3)
    asked = parser.parse_args()
    folder = asked.work / f"generator-{asked.out.name}"
    run = Run(0, directory=folder, listener=lambda event: print(event, flush=True), save_every=120)
    started = time.perf_counter()
    data = pictures(asked.work)
    method = protection(asked.preset, steps=asked.steps, init=asked.init, lr=asked.lr)
    run.claim({"method": describe(method), "data": data.fingerprint})
    fitted = method.fit(data, run)
    about = {
        "protection": describe(method), "seed": run.seed, "classes": [], "labels": "none", "pictures": "",
        "unreadable": [], "images": len(data), "side": SIDE,
        "digest": hashlib.blake2b(data.images.numpy().tobytes(), digest_size=16).hexdigest(),
        "seconds": round(time.perf_counter() - started), "earlier": earlier(asked.init),
        "provenance": provenance(run),
    }  # fmt: skip
    perturbation.save(asked.out, fitted, about)


if __name__ == "__main__":
    main()
