"""What a fit holds in memory: the perturbation of 50,000 images of 32 px, under a cap on what a process may allocate.

    python -m benchmarks.fitting --out benchmarks/results/fitting.json

The images are random bytes, since nothing is learned from them here: a step of SEM with a small network, then noise for
all of them. The cap is on private memory beyond what the images and the libraries take (RLIMIT_DATA); the table of
perturbations, a byte a value, lies in a file. With `--plain` the table is a float32 tensor in memory, as published code
has it: that must not fit under the cap, or the cap shows nothing.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from unittest import mock

import torch

from benchmarks.memory import megabytes
from unlearnable.data import ImageSet
from unlearnable.perturbation import SampleWise, load, save
from unlearnable.protections.sem import SEM
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically

METHOD = SEM(model="lenet", iterations=1, steps=1, attack_steps=1, views=1, batch=256)
MB = 1 << 20


def fit(count: int, cap: int, plain: bool, folder: Path) -> dict[str, float]:
    """Fits and saves under the cap; what was allocated before and at the end. MemoryError or RuntimeError over it."""
    torch.set_num_threads(1)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = ImageSet(images, torch.arange(count) % 10, tuple("abcdefghij"))
    METHOD.fit(data.subset(torch.arange(512)), Run(0, device="cpu"))  # whatever is set up once
    before = megabytes("VmData")
    limit = int((before + cap) * MB)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    run = Run(0, device="cpu", directory=folder / "checkpoints")
    if plain:
        with (
            mock.patch("unlearnable.run.run._MAPPED", 1 << 60),
            mock.patch("unlearnable.protections._noise.packing", return_value=(torch.float32, 1.0)),
        ):
            fitted = METHOD.fit(data, run)
    else:
        fitted = METHOD.fit(data, run)
    save(folder / "fitted", fitted, {})
    again, _ = load(folder / "fitted")
    assert isinstance(again, SampleWise)
    assert again.delta[:: count // 100].flatten(1).any(1).all()
    return {"before": round(before, 1), "grown": round(megabytes("VmData") - before, 1)}


def main() -> None:
    """Fits twice, each in a process of its own, and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--cap", type=int, default=200, help="megabytes")
    parser.add_argument("--plain", action="store_true", help="in this process, with a float32 table in memory")
    parser.add_argument("--packed", action="store_true", help="in this process, as the engine does it")
    asked = parser.parse_args()
    if asked.plain or asked.packed:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(fit(asked.images, asked.cap, asked.plain, Path(folder))))
        return
    done = {}
    for way in ("packed", "plain"):
        words = [sys.executable, "-m", "benchmarks.fitting", "--out", str(asked.out), f"--{way}"]
        words += ["--images", str(asked.images), "--cap", str(asked.cap)]
        found = subprocess.run(words, capture_output=True, text=True)
        done[way] = json.loads(found.stdout) if found.returncode == 0 else {"failed": found.stderr.splitlines()[-1]}
    values = asked.images * 3 * 32 * 32
    record = {
        "images": asked.images,
        "cap_mb": asked.cap,
        "table_mb": {"int8, in a file": round(values / MB, 1), "float32": round(4 * values / MB, 1)},
        "allocated_mb": done,
        "method": asdict(METHOD),
        "provenance": provenance(Run(0, device="cpu")),
    }
    write_atomically(asked.out, json.dumps(record, indent=1).encode())
    print(json.dumps(record["allocated_mb"]))


if __name__ == "__main__":
    main()
