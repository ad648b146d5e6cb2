"""What `protect` does by default to photographs: how fast, where the time goes, and how much is seen of it.

    python -m benchmarks.photos --out benchmarks/results/photos.json

The photographs are 512 x 512, JPEG (quality 92): pictures of Imagenette (224 px, enlarged) and crops of scikit-learn's
two by turns. Enlarged pictures are smoother than what a camera gives, so their PNGs take less time and more of them is
flat. Stages are timed as processor time in threads like the job's; the rest is reading, hashing, writing, the manifest.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import PIL
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from benchmarks.job import clocked
from unlearnable.files import decode, encode, matches
from unlearnable.files.pictures.picture import Samples
from unlearnable.job import DEFAULT_METHOD, Job, fitting, protect
from unlearnable.job.manifest import Manifest
from unlearnable.job.parallel import results
from unlearnable.job.picture import change, protected, shown
from unlearnable.metrics import psnr
from unlearnable.models.generator import Generator
from unlearnable.packs import load_dataset, weights_file
from unlearnable.perturbation import apply, side_seen
from unlearnable.pixels import Bytes, Pixels, to_float
from unlearnable.proof.pictures import ssim
from unlearnable.protections._encoded import kept
from unlearnable.protections._generated import Generated, said
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically
from unlearnable.visibility import NOTICEABLE

SIDE, QUALITY = 512, 92
PACK = "imagenette224.zip"
DATASETS = ("imagenette-64", "cifar10-quick")
BARS = {"images_per_second": 3, "times_published": 40, "psnr": 31}
PUBLISHED = 224


def main() -> None:
    """Measures and writes one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=60, help="how many photographs")
    parser.add_argument("--images", type=int, default=300, help="how many of each data set")
    parser.add_argument(
        "--repeats", type=int, default=2, help="rounds of the job with and without looking at flat areas"
    )
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    record: dict[str, Any] = {"bars": BARS} | provenance(Run(device="cpu")) | {"pillow": PIL.__version__}
    record |= {"method": DEFAULT_METHOD, "photos": asked.photos, "side": SIDE}
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "photos", Path(folder) / "out"
        source.mkdir()
        for name, data in photographs(asked.photos):
            (source / name).write_bytes(data)
        record["speed"] = speed(source, out)
        record["stages_ms"] = stages(source)
        record["generator"] = generators(source)
        record["flat"] = flat_cost(source, Path(folder), asked.repeats)
        record["fidelity"] = {"photographs": of_photographs(source, out)}
    record["fidelity"] |= {name: of_dataset(name, asked.images) for name in DATASETS}
    write_atomically(asked.out, (json.dumps(record, indent=1) + "\n").encode())
    print(json.dumps(record, indent=1))


def photographs(count: int) -> Iterator[tuple[str, bytes]]:
    """(name, JPEG file) of so many photographs, the same ones every time."""
    for number, picture in enumerate(itertools.islice(_taken_in_turns(), count)):
        file = BytesIO()
        picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(file, "JPEG", quality=QUALITY)
        yield f"{number:04d}.jpg", file.getvalue()


def _taken_in_turns() -> Iterator[Image.Image]:
    large = [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(weights_file(Path(PACK))) as pack:
        names = sorted(name for name in pack.namelist() if name.startswith("test/") and not name.endswith("/"))
        for number in range(len(names)):
            with Image.open(BytesIO(pack.read(names[number * 13 % len(names)]))) as image:
                yield image.convert("RGB")
            source = large[number % 2]
            side = int(rng.integers(300, source.height + 1))
            left, top = (int(rng.integers(0, length - side + 1)) for length in source.size)
            yield source.crop((left, top, left + side, top + side))


def speed(source: Path, out: Path) -> dict[str, Any]:
    """Pictures a second of the command, by its own clock and with the start of the interpreter; processor seconds a
    picture, start included, which say what is possible where other programs were at work; and their share of the cores.
    """
    words = [sys.executable, "-m", "unlearnable", "protect", str(source), str(out), "--json", "--quiet"]
    began, before = time.monotonic(), os.times()
    found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    whole, after = time.monotonic() - began, os.times()
    spent = sum(getattr(after, name) - getattr(before, name) for name in ("children_user", "children_system"))
    return {
        "images_per_second": found["images_per_second"],
        "with_start_per_second": round(found["protected"] / whole, 3),
        "cpu_seconds_per_image": round(spent / found["protected"], 4),
        "cpu_utilisation": round(spent / whole / (os.cpu_count() or 1), 3),
    }


def stages(source: Path) -> dict[str, float]:
    """Milliseconds of processor time for each stage of a picture, in the threads of the job."""
    spent: Counter[str] = Counter()
    choice, perturbation = shipped()
    eyes, files = kept(perturbation.encoder), sorted(source.iterdir())

    def work(path: Path) -> list[tuple[str, float]]:
        data, budget, taken = path.read_bytes(), choice.budget, []

        def timed(stage: str, do: Callable[[], Any]) -> Any:
            began = time.thread_time()
            found = do()
            taken.append((stage, time.thread_time() - began))
            return found

        picture = timed("decode", lambda: decode(data, path.name))
        x = view(picture.view(side_seen(perturbation, SIDE, SIDE)))
        with torch.no_grad():
            codes = timed("encoder", lambda: eyes.image(x))
            say = (perturbation.network, x, codes, perturbation.grid, perturbation.eps, perturbation.head)
            timed("generator", lambda: said(*say))
        planes = timed("perturb", lambda: protected(picture, perturbation, -1, 0, budget))
        written = timed("encode", lambda: encode(picture, planes))
        timed("verify", lambda: (matches(picture, planes, written, "a.png"), change(picture.planes, planes)))
        timed("flat areas", lambda: shown(picture, planes))
        return taken

    list(results(work, files[:4], Run(device="cpu")))  # what is made once
    for taken in results(work, files, Run(device="cpu")):
        spent.update(dict(taken))
    spent["resize and release"] = spent.pop("perturb") - spent["encoder"] - spent["generator"]
    return {stage: round(1000 * seconds / len(files), 2) for stage, seconds in spent.items()}


def generators(source: Path) -> dict[str, Any]:
    """Seconds an image of encoder and generator, beside the published generator without its encoder: one picture, one
    thread, by turns; medians."""
    _, perturbation = shipped()
    eyes = kept(perturbation.encoder)
    picture = decode(next(iter(sorted(source.iterdir()))).read_bytes(), "a.jpg")
    x, large = view(picture.view(side_seen(perturbation, SIDE, SIDE))), view(picture.view(PUBLISHED))
    published, code = Generator(width=64, blocks=24, code=512).eval(), torch.zeros(1, 512)
    with torch.no_grad():
        ways = {
            "ours": lambda: said(perturbation.network, x, eyes.image(x), perturbation.grid, 1.0, perturbation.head),
            "published": lambda: published(large, code),
        }
        rounds = [{name: clocked(way)[1] for name, way in ways.items()} for _ in range(4)][1:]
    seconds = {name: statistics.median(taken[name] for taken in rounds) for name in ways}
    return {"seconds": seconds, "times_published": round(seconds["published"] / seconds["ours"], 1)}


def flat_cost(source: Path, folder: Path, repeats: int) -> dict[str, float]:
    """Processor seconds of the job with and without looking at flat areas, by turns, and the ratio of the least."""
    with_it, without = [], []
    for turn in range(repeats):
        job = Job(source, folder / f"with{turn}", DEFAULT_METHOD)
        with_it.append(clocked(lambda job=job: protect(job, Run(device="cpu")))[1])  # type: ignore[misc]
        job = Job(source, folder / f"without{turn}", DEFAULT_METHOD)
        with mock.patch("unlearnable.job.worker.shown", return_value=None):
            without.append(clocked(lambda job=job: protect(job, Run(device="cpu")))[1])  # type: ignore[misc]
    return {"with": min(with_it), "without": min(without), "ratio": round(min(with_it) / min(without), 4)}


def of_photographs(source: Path, out: Path) -> dict[str, Any]:
    """PSNR and SSIM of what the command wrote, and on how many the change shows on flat areas, by its manifest."""
    similar = []
    with closing(Manifest(out / ".unlearnable" / "manifest.sqlite", writing=False)) as manifest:
        rows = list(manifest.rows("protected"))
    for row in rows:
        with Image.open(source / row.name) as before, Image.open(out / str(row.outcome.output)) as after:
            similar.append(ssim(np.array(before), np.array(after)))
    steps = [row.outcome.flat_step for row in rows if row.outcome.flat_step is not None]
    shows = sum(step >= NOTICEABLE for step in steps)
    noise = [row.outcome.psnr for row in rows if row.outcome.psnr is not None]
    return _summary(noise, similar) | {"with_flat_areas": len(steps), "showing": shows}


def of_dataset(name: str, count: int) -> dict[str, Any]:
    """PSNR and SSIM over some images of a data set, protected as the job would."""
    whole = load_dataset(name)[0]
    images = whole.subset(torch.arange(count) * len(whole) // count)  # of every class
    choice, perturbation = shipped()
    after = apply(perturbation, images, choice.budget, Run(device="cpu")).images
    pairs = list(zip(images.images.split(1), after.split(1), strict=True))
    return _summary([psnr(*pair) for pair in pairs], [ssim(*map(planes, pair)) for pair in pairs])


def planes(image: Bytes) -> Samples:
    """(h, w, 3) of (1, 3, h, w)."""
    return image[0].permute(1, 2, 0).numpy()


def _summary(noise: list[float], similar: list[float]) -> dict[str, Any]:
    return {
        "count": len(noise),
        "psnr": round(statistics.mean(noise), 2),
        "lowest_psnr": round(min(noise), 2),
        "ssim": round(statistics.mean(similar), 4),
        "lowest_ssim": round(min(similar), 4),
    }


def shipped() -> tuple[fitting.Choice, Generated]:
    """What `protect` uses unless told otherwise."""
    choice = fitting.choose(DEFAULT_METHOD, None)
    assert choice.folder is not None
    perturbation = fitting.load(choice.folder, choice.budget).perturbation
    assert isinstance(perturbation, Generated)
    return choice, perturbation


def view(seen: Any) -> Pixels:
    """(1, 3, s, s) of an (s, s, 3) array of bytes."""
    return to_float(torch.from_numpy(seen.copy()).permute(2, 0, 1)[None].contiguous())


if __name__ == "__main__":
    torch.set_num_threads(1)  # the job has a thread for each picture, not several
    main()
