"""The demonstration: real pictures that come with scikit-learn, protected by the real job and tried on real victims."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import sklearn.datasets
import torch
from PIL import Image

from unlearnable import experiment
from unlearnable.adversaries import adversary
from unlearnable.data import ImageSet, load_labelled
from unlearnable.experiment import Evaluation
from unlearnable.job import Job, Summary, protect
from unlearnable.packs import digits
from unlearnable.pixels import Bytes, amplified
from unlearnable.run import Run, write_atomically

METHOD, CONTROL = "lsp", "random"
MODEL, SEEDS = "cnn", 3
GAIN = 16
MARK = "made-by-unlearnable-demo.txt"
_PARTS = ("digits", "photographs", "pictures")


@dataclass(frozen=True)
class Shown:
    """What came of it. noise: accuracy of each victim trained on random noise of the same size, the control."""

    out: Path
    jobs: dict[str, Summary]
    evaluation: Evaluation
    noise: tuple[float, ...]
    pictures: tuple[Path, ...]
    seconds: float

    @property
    def accuracy(self) -> dict[str, float]:
        """Of victims on test digits that nobody protected, by what they were trained on; the mean over seeds."""
        rows = self.evaluation.rows
        found = {
            "clean": mean(row.clean_acc for row in rows),
            CONTROL: mean(self.noise),
            METHOD: mean(row.protected_acc for row in rows),
        }
        return {name: round(value, 4) for name, value in found.items()}

    @property
    def max_abs_delta(self) -> int:
        """The largest change of any value, in grey levels."""
        return max(job.max_abs_delta for job in self.jobs.values())

    def as_json(self) -> dict[str, Any]:
        """The accuracies, the rows and flags of the evaluation, and where the pictures are."""
        return {
            "out": str(self.out),
            "seconds": round(self.seconds, 1),
            "method": METHOD,
            "eps": self.jobs["digits"].eps,
            "max_abs_delta": self.max_abs_delta,
            "accuracy": self.accuracy,
            "random_acc": list(self.noise),
            **self.evaluation.as_json(),
            "pictures": [str(path) for path in self.pictures],
        }

    @property
    def text(self) -> str:
        """The table, where to look, and what it does and does not show."""
        return "\n".join([_table(self), "", _where(self), "", *_words(self)])


def show(out: Path, run: Run) -> Shown:
    """Protects, trains and compares, all below `out`, which must be new, empty or an earlier demonstration.

    Raises ValueError for any other folder.
    """
    started = time.monotonic()
    _make_room(out)
    _write_sources(out)
    jobs = _protect_all(out, run)
    clean, protected, noisy, test = (_loaded(out / "digits" / part) for part in ("clean", METHOD, CONTROL, "test"))
    evaluation = experiment.evaluate(clean, protected, test, models=(MODEL,), seeds=SEEDS, run=run)
    noise = tuple(_victim(noisy, test, replace(run, seed=run.seed + offset)) for offset in range(SEEDS))
    return Shown(out, jobs, evaluation, noise, _draw(out, clean, protected), time.monotonic() - started)


def _victim(data: ImageSet, test: ImageSet, run: Run) -> float:
    """What the evaluation does for one victim: its clean half need not be trained again for the control."""
    return round(replace(adversary("standard"), model=MODEL).train(data, run, test).test_acc[-1], 4)


def _make_room(out: Path) -> None:
    if out.exists() and not (out / MARK).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not a folder of an earlier demo: name a new one with --out, or empty it")
    for part in _PARTS:
        if (out / part).exists():
            shutil.rmtree(out / part)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / MARK, b"Made by `unlearnable demo`, which replaces what lies here when it runs again.\n")


def _write_sources(out: Path) -> None:
    """The digits as one folder for each class, and the two photographs as the very files that were installed."""
    write_digits(out / "digits")
    (out / "photographs" / "original").mkdir(parents=True)
    for photograph in sorted((Path(sklearn.datasets.__file__).parent / "images").glob("*.jpg")):
        shutil.copyfile(photograph, out / "photographs" / "original" / photograph.name)


def write_digits(out: Path) -> None:
    """scikit-learn's digits as PNGs, clean/CLASS/ROW.png for training and test/CLASS/ROW.png."""
    for part, data in zip(("clean", "test"), digits(), strict=True):
        for row, (image, label) in enumerate(zip(data.images, data.labels.tolist(), strict=True)):
            folder = out / part / data.classes[label]
            folder.mkdir(parents=True, exist_ok=True)
            _save(image, folder / f"{row:04}.png")


def _protect_all(out: Path, run: Run) -> dict[str, Summary]:
    sources = {
        "digits": ("digits/clean", f"digits/{METHOD}", METHOD),
        "control": ("digits/clean", f"digits/{CONTROL}", CONTROL),
        "photographs": ("photographs/original", "photographs/protected", METHOD),
    }
    done = {
        name: protect(Job(out / src, out / dst, method=method), run) for name, (src, dst, method) in sources.items()
    }
    for name, summary in done.items():
        if summary.failed:
            raise RuntimeError(f"{summary.failed} of the demo's own {name} could not be protected")
    return done


def _loaded(folder: Path) -> ImageSet:
    return load_labelled(folder)[0]


def _draw(out: Path, clean: ImageSet, protected: ImageSet) -> tuple[Path, ...]:
    """Original, protected and the change made GAIN times larger, side by side."""
    first = [int((clean.labels == label).nonzero()[0]) for label in range(len(clean.classes))]
    pairs = {"digits": (_grid(clean.images[first]), _grid(protected.images[first]))}
    for original in sorted((out / "photographs" / "original").iterdir()):
        pairs[original.stem] = (_read(original), _read(out / "photographs" / "protected" / f"{original.stem}.png"))
    (out / "pictures").mkdir()
    paths = {name: out / "pictures" / f"{name}-before-after-change.png" for name in pairs}
    for name, (before, after) in pairs.items():
        _save(_side_by_side([before, after, amplified(before, after, GAIN)]), paths[name])
    return tuple(paths.values())


def _grid(images: Bytes, columns: int = 5, zoom: int = 6) -> torch.Tensor:
    """Small images in rows, enlarged without smoothing, as one image (1, c, height, width)."""
    rows = [torch.cat(list(row), dim=2) for row in images.split(columns)]
    return torch.cat(rows, dim=1)[None].repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)


def _side_by_side(images: Sequence[Bytes], gap: int = 8) -> torch.Tensor:
    space = images[0].new_full((3, images[0].shape[2], gap), torch.iinfo(torch.uint8).max)
    parts = [part for image in images for part in (image[0], space)]
    return torch.cat(parts[:-1], dim=2)


def _read(path: Path) -> Bytes:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None]


def _save(image: torch.Tensor, path: Path) -> None:
    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(path)


def _table(shown: Shown) -> str:
    """One line for each victim: accuracy after training on the originals, on random noise, on protected digits."""
    lines = [
        _line(f"{row.adversary} training, {row.model}, seed {row.seed}", row.clean_acc, noise, row.protected_acc)
        for row, noise in zip(shown.evaluation.rows, shown.noise, strict=True)
    ]
    head = f"{'accuracy on clean test digits':34}{'clean':>8}{CONTROL:>8}{METHOD:>8}"
    return "\n".join([head, *lines, _line("mean", *shown.accuracy.values())])


def _line(name: str, *values: float) -> str:
    return f"{name:34}" + "".join(f"{value:8.3f}" for value in values)


def _where(shown: Shown) -> str:
    names = [f"  {path}" for path in shown.pictures]
    head = f"before, after, and the change made {GAIN} times larger; look at the sky, where lsp can be seen:"
    return "\n".join([head, *names, f"everything else: {shown.out} ({shown.seconds:.0f} s)"])


def _words(shown: Shown) -> list[str]:
    clean, noise, protected = (f"{shown.accuracy[name]:.0%}" for name in ("clean", CONTROL, METHOD))
    flags = shown.evaluation.flags
    return [
        f"Shown: networks trained on the protected digits get {protected} of clean test digits right; on the originals",
        f"it is {clean}, on digits with random noise of the same size {noise}. The largest change of any value is",
        f"{shown.max_abs_delta} grey levels. This raises the cost of training, measured against standard training on",
        "these digits, today.",
        "Not shown: any other adversary. Grayscale, JPEG compression and adversarial training are known to undo much",
        "of what such methods do. No network was trained on the two photographs: they show what a change looks like.",
        "It cannot undo what was already collected, and works on models trained later, not on models that exist.",
        *([f"Flags that doubt these numbers: {', '.join(flags)} (docs/flags.md)."] if flags else []),
    ]
