"""How much the job costs beyond decoding, perturbing and encoding, how busy the cores are, and whether memory is flat.

    python -m benchmarks.job --photos 1000 --out FILE.json
    python -m benchmarks.job --memory 2000,20000 --out FILE.json

The photographs are crops of scikit-learn's two, the same ones every time. The stages are timed in the threads of the
job itself, on bytes already in memory: what is left of the job's time is reading, hashing, writing, reading back,
comparing and the manifest. Times are medians over `--repeats` rounds in which job and stages take turns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from benchmarks.memory import megabytes
from unlearnable.files import decode, encode
from unlearnable.job import Job, fitting, protect
from unlearnable.job.parallel import results
from unlearnable.job.picture import protected
from unlearnable.provenance import provenance
from unlearnable.run import Run

METHOD = "lsp"
CLASSES = 10
PHOTO_PIXELS = 200_000
SMALL = (96, 64)
BARS = {"overhead_share": 0.15, "peak_mb": 1536, "growth_mb": 100}


def main() -> None:
    """Measures what was asked for and writes one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--photos", type=int, default=0, help="how many photographs of 0.2 megapixels to time the job on"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--memory", default="", help="numbers of small pictures, 2000,20000, to take the peak memory of"
    )
    parser.add_argument("--folder", type=Path, help="where to put the pictures: by default the temporary folder")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(_child(*asked.child)))
        return
    if not (asked.photos or asked.memory):
        parser.error("nothing to measure: give --photos or --memory")
    record: dict[str, Any] = {"bars": BARS} | provenance(Run(device="cpu")) | {"pillow": PIL.__version__}
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        if asked.photos:
            record["speed"] = speed(Path(folder), asked.photos, asked.repeats)
        if asked.memory:
            record["memory"] = memory(Path(folder), [int(count) for count in asked.memory.split(",")])
    text = json.dumps(record, indent=1)
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(text + "\n")
    print(text)


def speed(folder: Path, count: int, repeats: int) -> dict[str, Any]:
    """Seconds of the job and of its stages, in turns; shares and rates of the medians."""
    source = folder / "photos"
    for number, (name, data) in enumerate(photos(count)):
        put(source, number, name, data)
    rounds = [_round(source, folder / f"out{turn}") for turn in range(repeats)]
    (job, cpu), *stages = (
        tuple(statistics.median(values) for values in zip(*times, strict=True)) for times in zip(*rounds, strict=True)
    )
    (decoding, decoding_cpu), (perturbing, perturbing_cpu), (all_three, all_three_cpu) = stages
    return {
        "photos": count,
        "repeats": repeats,
        "job_seconds": job,
        "decode_seconds": decoding,
        "perturb_seconds": perturbing - decoding,
        "encode_seconds": all_three - perturbing,
        "overhead_share": 1 - all_three / job,
        "overhead_share_cpu": 1 - all_three_cpu / cpu,
        "cpu_utilisation": cpu / job / (os.cpu_count() or 1),
        "images_per_second": count / job,
        "cpu_seconds": {
            "job": cpu,
            "decode": decoding_cpu,
            "perturb": perturbing_cpu - decoding_cpu,
            "encode": all_three_cpu - perturbing_cpu,
        },
        "rounds": rounds,
    }


def _round(source: Path, out: Path) -> list[tuple[float, float]]:
    """(wall, CPU) seconds of the job, of decoding, of decoding + perturbing, and of these + encoding."""
    job = clocked(lambda: protect(Job(source, out, METHOD), Run(device="cpu")))
    choice = fitting.choose(METHOD, None)
    budget = choice.budget
    perturbation = fitting.load(choice.folder or out / ".unlearnable" / "perturbation", budget).perturbation
    files = [(path.name, path.read_bytes()) for path in sorted(source.rglob("*.*"))]

    def stage(number: int, perturbing: bool, encoding: bool) -> None:
        name, data = files[number]
        picture = decode(data, name)
        if perturbing:
            planes = protected(picture, perturbation, number % CLASSES, number, budget)
            if encoding:
                encode(picture, planes)

    def loop(perturbing: bool, encoding: bool) -> None:
        for _ in results(lambda number: stage(number, perturbing, encoding), range(len(files)), Run(device="cpu")):
            pass

    stages = [(False, False), (True, False), (True, True)]
    return [job, *(clocked(lambda p=p, e=e: loop(p, e)) for p, e in stages)]  # type: ignore[misc]


def clocked(work: Callable[[], object]) -> tuple[float, float]:
    """(wall, CPU) seconds of a call."""
    wall, cpu = time.monotonic(), time.process_time()
    work()
    return time.monotonic() - wall, time.process_time() - cpu


def memory(folder: Path, counts: list[int]) -> dict[str, Any]:
    """The peak memory of a job on that many small pictures, each in a process of its own, in MB."""
    found = {"0": _spawn([sys.executable, "-c", _BARE])}
    for count in counts:
        source = folder / f"small{count}"
        for number, (name, data) in enumerate(small(count)):
            put(source, number, name, data)
        arguments = ["--child", str(source), str(folder / f"protected{count}")]
        found[str(count)] = _spawn([sys.executable, "-m", "benchmarks.job", *arguments])
    peaks = [found[str(count)]["peak_mb"] for count in counts]
    return {"pictures": SMALL, "by_count": found, "peak_mb": max(peaks), "growth_mb": peaks[-1] - peaks[0]}


_BARE = (
    "import json, unlearnable.job; from benchmarks.memory import megabytes; "
    "print(json.dumps({'peak_mb': megabytes('VmHWM')}))"
)


def _spawn(command: list[str]) -> dict[str, float]:
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    measured: dict[str, float] = json.loads(output.splitlines()[-1])
    return measured


def _child(source: Path, destination: Path) -> dict[str, float]:
    summary = protect(Job(source, destination, METHOD), Run(device="cpu"))
    return {"peak_mb": megabytes("VmHWM"), "protected": summary.protected, "seconds": summary.seconds}


def put(source: Path, number: int, name: str, data: bytes) -> None:
    """Writes a picture into one of ten class folders."""
    path = source / f"class{number % CLASSES}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def photos(count: int) -> Iterator[tuple[str, bytes]]:
    """Photographs of about 0.2 megapixels: crops of two, resized and mirrored; JPEG (quality 92) and PNG by turns."""
    sources = [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]
    rng = np.random.default_rng(0)
    for number in range(count):
        picture = sources[number // 2 % 2]
        share, aspect = rng.uniform(0.6, 1.0), rng.uniform(0.7, 1.4)
        width, height = int(picture.width * share), int(picture.height * share)
        left, top = rng.integers(0, picture.width - width + 1), rng.integers(0, picture.height - height + 1)
        tall = round((PHOTO_PIXELS / aspect) ** 0.5)
        size = (round(PHOTO_PIXELS / tall), tall)
        box = (float(left), float(top), float(left + width), float(top + height))
        crop = picture.resize(size, Image.Resampling.LANCZOS, box)
        if rng.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        yield _stored(crop, number)


def small(count: int) -> Iterator[tuple[str, bytes]]:
    """Small crops of the same photographs."""
    sources = [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]
    rng = np.random.default_rng(1)
    for number in range(count):
        picture = sources[number // 2 % 2]
        left, top = (int(rng.integers(0, side - cut)) for side, cut in zip(picture.size, SMALL, strict=True))
        yield _stored(picture.crop((left, top, left + SMALL[0], top + SMALL[1])), number)


def _stored(picture: Image.Image, number: int) -> tuple[str, bytes]:
    file = BytesIO()
    if number % 2:
        picture.save(file, "PNG")
        return f"{number:06d}.png", file.getvalue()
    picture.save(file, "JPEG", quality=92)
    return f"{number:06d}.jpg", file.getvalue()


if __name__ == "__main__":
    torch.set_num_interop_threads(1)
    main()
