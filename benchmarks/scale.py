"""Many pictures: one run that is killed in the middle and resumed, beside one that is not; and the same by Ray.

    python -m benchmarks.scale --pictures 100000 --ray 20000 --folder WORK --out benchmarks/results/scale.json

Pictures are generated, 64 to 512 pixels a side (small ones are commoner), and protected by the default method.
The bytes of every two runs are compared. Memory is the peak of the process that was started (VmHWM). Ray and the local
engine are compared from their first picture on. Give a new --folder: pictures are kept there, and outputs too.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.memory import megabytes
from unlearnable.job import DEFAULT_METHOD
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically

SIDES = (64, 512)
A_FOLDER = 1000
KILLED_AT = 0.5  # of the pictures
BARS = {"peak_mb": 1536, "wrong": 0, "times_local": 1.25}


def main() -> None:
    """Measures and writes one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--ray", type=int, default=20_000, help="of so many, the first, also by Ray; 0: not at all")
    parser.add_argument("--folder", type=Path, required=True, help="for pictures and outputs: some 30 GB for 100,000")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    record: dict[str, Any] = {"bars": BARS} | provenance(Run(device="cpu"))
    record |= {"method": DEFAULT_METHOD, "sides": SIDES, "pictures": asked.pictures}
    source = made(asked.folder / "all", asked.pictures)
    whole, killed = asked.folder / "whole", asked.folder / "killed"
    record["whole"] = run(source, whole)
    record["killed"] = run(source, killed, int(KILLED_AT * asked.pictures)) | run(source, killed)
    record["wrong"] = differing(whole, killed)
    if asked.ray:
        few = made(asked.folder / "few", asked.ray)
        local, by_ray = asked.folder / "local", asked.folder / "ray"
        record["local"], record["ray"] = run(few, local), run(few, by_ray, engine="ray")
        record["ray"] |= {"pictures": asked.ray, "wrong": differing(local, by_ray)}
        record["times_local"] = round(record["ray"]["working_seconds"] / record["local"]["working_seconds"], 3)
    write_atomically(asked.out, (json.dumps(record, indent=1) + "\n").encode())
    print(json.dumps(record, indent=1))


def made(folder: Path, count: int) -> Path:
    """So many pictures in subfolders, the same ones every time; what is there already is not made again."""
    for number in range(count):
        path = folder / f"{number // A_FOLDER:04d}" / f"{number:07d}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch = path.with_suffix(".part")
            picture(number).save(scratch, "PNG", compress_level=1)
            os.replace(scratch, path)
    return folder


def picture(number: int) -> Image.Image:
    """Clouds of colour with some grain: smooth noise of a few cells, enlarged."""
    rng = np.random.default_rng(number)
    low, high = np.log(SIDES)
    width, height = (round(float(np.exp(side))) for side in rng.uniform(low, high, 2))
    cells = rng.integers(0, 256, (*rng.integers(2, 12, 2), 3), dtype=np.uint8)
    clouds = np.asarray(Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = rng.integers(-6, 7, clouds.shape, dtype=np.int16)
    return Image.fromarray((clouds + grain).clip(0, 255).astype(np.uint8))


def run(source: Path, out: Path, kill_after: int = 0, engine: str = "local") -> dict[str, Any]:
    """What the command says, its peak memory, and the seconds until its first picture; killed with SIGKILL once so many
    are there, where asked for.
    """
    words = [
        sys.executable,
        "-m",
        "unlearnable",
        "protect",
        str(source),
        str(out),
        "--engine",
        engine,
        "--json",
        "--quiet",
    ]
    words += ["--resume"] if (out / ".unlearnable").exists() else []
    began = time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        peak, first = 0.0, 0.0
        while process.poll() is None:
            peak = max(peak, megabytes("VmHWM", process.pid))
            first = first or (time.monotonic() - began) * any(out.glob("*/*.png"))
            if kill_after and _done(out) >= kill_after:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.5)
        said = process.stdout.read() if process.stdout else ""
    peak_mb = round(peak)
    if kill_after:
        return {"killed_after": _done(out), "peak_mb_until_killed": peak_mb}
    found = json.loads(said)
    kept = {name: found[name] for name in ("protected", "failed", "max_abs_delta", "seconds", "images_per_second")}
    working = time.monotonic() - began - first
    return kept | {"start_seconds": round(first, 1), "working_seconds": round(working, 1), "peak_mb": peak_mb}


def _done(out: Path) -> int:
    return sum(len(os.listdir(folder)) for folder in out.glob("[0-9]*"))


def differing(one: Path, other: Path) -> int:
    """How many pictures are not the same bytes in both, or are in one only."""
    names = {str(path.relative_to(root)) for root in (one, other) for path in root.glob("*/*.png")}
    return sum(_digest(one / name) != _digest(other / name) for name in names)


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest() if path.exists() else b""


if __name__ == "__main__":
    main()
