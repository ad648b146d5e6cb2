"""How long protections without a network take for 50,000 images, and AR's noise beside the loop its authors published.

    python -m benchmarks.closed_forms --out benchmarks/results/closed_forms.json

`published` makes one signal at a time, one pixel at a time, with a convolution of its 3 x 3 neighbours, as the authors'
code does; both are timed in one run, this project's on batches of 512.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.packs import load_dataset
from unlearnable.perturbation import apply
from unlearnable.protections import protection
from unlearnable.protections.ar import Autoregressive
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically

METHODS = ("lsp", "ar", "ops", "class_filters")
FEW = 20


def published(process: Tensor, size: int) -> Tensor:
    """A signal (3, size, size) of one process, pixel by pixel."""
    signal = torch.randn(3, size + 4, size + 4)
    for row in range(size + 2):
        for column in range(size + 2):
            window = signal[:, row : row + 3, column : column + 3]
            signal[:, row + 2, column + 2] = F.conv2d(window, process[:, None], groups=3).flatten()
    return F.normalize(signal[:, 4:, 4:].flatten(), dim=0).view(3, size, size)


def noise(fitted: Autoregressive, data: ImageSet, published_too: int) -> tuple[float, float]:
    """Signals a second: published, and of this project, for the first images of `data`."""
    began = time.perf_counter()
    for label in data.labels[:published_too].tolist():
        published(fitted.processes[label], fitted.size)
    slow = published_too / (time.perf_counter() - began)
    began, rows = time.perf_counter(), torch.arange(2048)
    for part in rows.split(512):
        fitted(torch.zeros(len(part), 3, fitted.size, fitted.size), data.labels[part], part)
    return slow, len(rows) / (time.perf_counter() - began)


def main() -> None:
    """Measures and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dataset", default="cifar10")
    asked = parser.parse_args()
    data, run = load_dataset(asked.dataset)[0], Run(0)
    record: dict[str, Any] = {"images": len(data), "size": data.size, "seconds": {}}
    for name in METHODS:
        method, began = protection(name), time.perf_counter()
        fitted = method.fit(data, run)
        apply(fitted, data, method.budget, run)
        record["seconds"][name] = round(time.perf_counter() - began, 1)
        if isinstance(fitted, Autoregressive):
            slow, fast = noise(fitted, data, FEW)
            record["ar_signals_per_second"] = {"published": round(slow, 1), "ours": round(fast)}
        print(name, record["seconds"][name], flush=True)
    record["provenance"] = provenance(run)
    write_atomically(asked.out, json.dumps(record, indent=1).encode())


if __name__ == "__main__":
    main()
