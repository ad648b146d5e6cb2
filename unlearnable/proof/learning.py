"""What networks learn before and after, with intervals: for a folder whose originals and test pictures are at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from unlearnable.adversaries import STANDARD, adversary
from unlearnable.data import ImageSet, load_labelled
from unlearnable.experiment import Evaluation, evaluate, rows_of
from unlearnable.models import check_model
from unlearnable.pixels import Index
from unlearnable.proof.interval import accuracy, difference
from unlearnable.recorded import Undoing, undoing
from unlearnable.run import Run


@dataclass(frozen=True)
class Trial:
    """Who trains, how often and on what. test: labelled pictures of the same classes that were not protected; size,
    epochs: None for those of the pictures (64 pixels at most) and of the recipe.

    Raises ValueError where a name is unknown or a number not allowed, before anything is read.
    """

    test: Path
    adversaries: tuple[str, ...] = (STANDARD,)
    models: tuple[str, ...] = ("cnn",)
    seeds: int = 3
    size: int | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds must be 1 or more, got {self.seeds}")
        if self.size is not None and self.size < 1:
            raise ValueError(f"size must be 1 or more, got {self.size}")
        for name in self.adversaries:
            adversary(name).check()
        for name in self.models:
            check_model(name)

    @property
    def all(self) -> tuple[str, ...]:
        """The adversaries, ordinary training first: the others are judged by it."""
        return tuple(dict.fromkeys((STANDARD, *self.adversaries)))


@dataclass(frozen=True)
class Learned:
    """rows: JSON values of every adversary with every network, tests: how many images it was measured on; undoing: by
    network, who undoes it here.
    """

    rows: list[dict[str, Any]]
    undoing: dict[str, Undoing]
    flags: tuple[str, ...]
    sizes: dict[str, int]
    seeds: int
    epochs: int


def learned(trial: Trial, source: Path, destination: Path, outputs: Mapping[str, str], run: Run) -> Learned:
    """Trains every adversary's networks on the originals and on the protected pictures, every seed once each.

    outputs: the name that each protected picture was written under. Raises ValueError where pictures have no labels,
    or the test pictures are of other classes.
    """
    clean, protected = pairs(source, destination, outputs, trial.size)
    test = load_labelled(trial.test, clean.size, what="TEST")[0]
    found = evaluate(
        clean, protected, test, adversaries=trial.all, models=trial.models, seeds=trial.seeds, epochs=trial.epochs,
        run=run,
    )  # fmt: skip
    models = tuple(dict.fromkeys(trial.models))
    rows = [_row(found, name, model, run) for model in models for name in trial.all]
    said = {model: _undoing(rows, model) for model in models}
    epochs = trial.epochs or adversary(STANDARD).epochs
    return Learned(rows, said, found.flags, found.sizes, trial.seeds, epochs)


def pairs(source: Path, destination: Path, outputs: Mapping[str, str], size: int | None) -> tuple[ImageSet, ImageSet]:
    """(originals, protected) of the same pictures in the same order; what has no output is in neither."""
    originals, names = load_labelled(source, size)
    copies, copied = load_labelled(destination, originals.size)
    place = {name: row for row, name in enumerate(copied)}
    both = [
        (row, place[written]) for row, name in enumerate(names)
        if (written := outputs.get(name)) is not None and written in place
    ]  # fmt: skip
    clean = originals.subset(_rows([row for row, _ in both]))
    return clean, clean.with_images(copies.images[_rows([row for _, row in both])])


def _rows(places: Sequence[int]) -> Index:
    return torch.tensor(places, dtype=torch.int64)


def _row(found: Evaluation, name: str, model: str, run: Run) -> dict[str, Any]:
    rows = rows_of(found.rows, name, model)
    clean, protected = ([getattr(row, key) for row in rows] for key in ("clean_acc", "protected_acc"))
    stop, tests = adversary(name).stop, found.sizes["tests"]
    if stop is not None:  # what it reaches is measured on those that it did not choose on
        tests = len(stop.split(tests, run)[1])
    return {
        "adversary": name, "model": model, "tests": tests,
        "clean": asdict(accuracy(clean, tests)), "protected": asdict(accuracy(protected, tests)),
        "lost": asdict(difference(clean, protected, tests)),
        "best_protected": round(mean(row.best_protected_acc for row in rows), 4),
    }  # fmt: skip


def _undoing(rows: Sequence[dict[str, Any]], model: str) -> Undoing:
    here = {row["adversary"]: row for row in rows if row["model"] == model}
    others = {name: row["protected"]["mean"] for name, row in here.items() if name != STANDARD}
    return undoing(here[STANDARD]["clean"]["mean"], here[STANDARD]["protected"]["mean"], others)
