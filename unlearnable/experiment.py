"""Cell (what is to be measured) -> Result (what happened): one JSON record each, resumable, with its provenance."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from unlearnable import perturbation
from unlearnable.adversaries import adversary
from unlearnable.data import ImageSet, group_classes, load_dataset, relabel
from unlearnable.metrics import doubts, measured, over_budget
from unlearnable.protections import Protection, describe, protection
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically
from unlearnable.training import Classifier, Recipe

CLEAN = "clean"


@dataclass(frozen=True)
class Cell:
    """What is to be measured. protection: "clean", a method or method:preset; rate: the share of images protected."""

    dataset: str
    protection: str
    adversary: str = "standard"
    model: str = "cnn"
    seed: int = 0
    rate: float = 1.0
    epochs: int = 12

    @property
    def key(self) -> str:
        """A hash of the cell and of what its names stand for: a changed default is another cell, measured anew."""
        meant = asdict(self) | {"recipe": asdict(self.recipe), "method": self.method and describe(self.method)}
        return _hash(meant)

    @property
    def method(self) -> Protection | None:
        """The protection that the name stands for; None for clean images."""
        return None if self.protection == CLEAN else protection(self.protection)

    @property
    def recipe(self) -> Recipe:
        """How the victim is trained."""
        return replace(adversary(self.adversary), model=self.model, epochs=self.epochs)

    @property
    def file(self) -> str:
        """The name of the record of this cell."""
        parts = (self.dataset, self.protection, self.adversary, self.model, f"seed{self.seed}", self.key)
        return "_".join(parts).replace(":", "-").replace("/", "-") + ".json"


@dataclass(frozen=True)
class Result:
    """What happened: accuracy on clean test images after each epoch, what was measured, and where it ran."""

    cell: Cell
    key: str
    test_acc: tuple[float, ...]
    train_acc: tuple[float, ...]
    measured: dict[str, float]
    flags: tuple[str, ...]
    provenance: dict[str, Any]

    @staticmethod
    def read(path: Path) -> "Result":
        """The record in a file. Raises ValueError where it is none."""
        try:
            values = json.loads(path.read_text())
            cell, rest = Cell(**values.pop("cell")), dict(values)
            for name in ("test_acc", "train_acc", "flags"):
                rest[name] = tuple(rest[name])
            return Result(cell, **rest)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a record of a measurement: {error}") from None


def measure(cell: Cell, run: Run) -> Result:
    """Protects, trains the victim, tests after every epoch. Unfinished work under run.directory is gone on with."""
    train, test = load_dataset(cell.dataset)
    started = time.monotonic()
    protected, budget_flags = _protected(cell, train, run)
    fitted = time.monotonic()
    victim = cell.recipe.train(protected, _within(run, cell.seed, "victim-" + cell.key), test)
    seconds = {"fit_seconds": round(fitted - started, 1), "train_seconds": round(time.monotonic() - fitted, 1)}
    about = provenance(run) | {"data": train.fingerprint, "recipe": asdict(cell.recipe)}
    if cell.method is not None:
        about["protection"] = describe(cell.method)
    return Result(
        cell, cell.key, victim.test_acc, victim.train_acc, measured(train, protected) | seconds, budget_flags, about
    )


def _protected(cell: Cell, train: ImageSet, run: Run) -> tuple[ImageSet, tuple[str, ...]]:
    method = cell.method
    if method is None:
        return train, ()
    fit_key = _hash([describe(method), train.fingerprint])
    fit_run = _within(
        run, cell.seed, f"fit-{cell.dataset}-{cell.protection}-seed{cell.seed}-{fit_key}".replace(":", "-")
    )
    fitted = _fit_once(method, train, fit_run)
    protected = mix(train, perturbation.apply(fitted, train, method.budget, fit_run), cell.rate, fit_run)
    return protected, ("over-budget",) if over_budget(train, protected, method.budget) else ()


def _hash(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=6).hexdigest()


def _fit_once(method: Protection, train: ImageSet, run: Run) -> perturbation.Perturbation:
    """The fitted perturbation, from run.directory where an earlier cell left it there."""
    if run.directory is not None and (run.directory / "config.json").exists():
        return perturbation.load(run.directory)[0]
    fitted = method.fit(train, run)
    if run.directory is not None:
        perturbation.save(run.directory, fitted, {"method": describe(method)})
    return fitted


def _within(run: Run, seed: int, name: str) -> Run:
    directory = None if run.directory is None else run.directory / name
    return replace(run, seed=seed, directory=directory)


def mix(clean: ImageSet, protected: ImageSet, rate: float, run: Run) -> ImageSet:
    """`rate` of the images protected, the others clean; which, depends on the run's seed alone."""
    return _mixed(clean, protected, _chosen(len(clean), rate, run))


def _mixed(clean: ImageSet, protected: ImageSet, rows: torch.Tensor) -> ImageSet:
    images = clean.images.clone()
    images[rows] = protected.images[rows]
    return clean.with_images(images)


def _chosen(n: int, rate: float, run: Run) -> torch.Tensor:
    return torch.randperm(n, generator=run.rng("rate"))[: round(rate * n)]


def bench(cells: Sequence[Cell], out: Path, run: Run, shard: tuple[int, int] = (1, 1)) -> tuple[int, int]:
    """Fills the records that are missing from `out`: (measured now, there already). Shard (i, n) takes every n-th cell.

    Unfinished cells go on where they stopped; their state lies in `out`/.work.
    """
    i, n = shard
    if not 1 <= i <= n:
        raise ValueError(f"shard must be i/n with 1 <= i <= n, got {i}/{n}")
    out.mkdir(parents=True, exist_ok=True)
    mine = list(cells)[i - 1 :: n]
    missing = [cell for cell in mine if not (out / cell.file).exists()]
    for done, cell in enumerate(missing):
        run.report("bench", done, len(missing))
        result = measure(cell, replace(run, directory=out / ".work"))
        write_atomically(out / cell.file, json.dumps(asdict(result), indent=1).encode())
    run.report("bench", len(missing), len(missing))
    return len(missing), len(mine) - len(missing)


@dataclass(frozen=True)
class Row:
    """One victim: accuracy on clean test images after training on clean and on protected ones (last and best epoch)."""

    adversary: str
    model: str
    seed: int
    clean_acc: float
    protected_acc: float
    best_protected_acc: float
    train_acc: float
    clean_part_acc: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """What an adversary gets out of a protected collection, against the clean one."""

    rows: tuple[Row, ...]
    flags: tuple[str, ...]
    measured: dict[str, float]
    provenance: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The rows (without what does not apply) and the flags."""
        rows = [{k: v for k, v in asdict(row).items() if v is not None} for row in self.rows]
        return {"rows": rows, "flags": list(self.flags)}


def evaluate(
    clean: ImageSet,
    protected: ImageSet,
    test: ImageSet,
    *,
    adversaries: Sequence[str] = ("standard",),
    models: Sequence[str] = ("cnn",),
    seeds: int = 1,
    rate: float = 1.0,
    relabelling: str | None = None,
    epochs: int | None = None,
    run: Run,
) -> Evaluation:
    """Trains every adversary's every model on clean and on protected images, k seeds each; tests on clean images.

    rate: the share of images taken from the protected set, the rest clean; the clean part alone is then a control.
    relabelling: "kmeans:K" gives the adversary K labels of its own (data.group_classes). epochs: not the recipe's own.
    Raises ValueError where the sets do not fit together or a value is not allowed.
    """
    _check(clean, protected, test, seeds, rate)
    change = measured(clean, protected)
    if relabelling is not None:
        groups = group_classes(clean, _clusters(relabelling), run.seed)
        clean, protected, test = (relabel(part, groups) for part in (clean, protected, test))
    chosen = _chosen(len(clean), rate, run)
    published = _mixed(clean, protected, chosen)
    rest = torch.ones(len(clean), dtype=torch.bool)
    rest[chosen] = False
    rows = []
    flags: set[str] = set()
    cells = [(name, model, seed) for name in adversaries for model in models for seed in range(seeds)]
    recipes = {name: adversary(name) for name in adversaries}
    for done, (name, model, offset) in enumerate(cells):
        run.report("evaluate", done, len(cells))
        recipe = replace(recipes[name], model=model, epochs=epochs or recipes[name].epochs)
        here = replace(run, seed=run.seed + offset, directory=None)
        control, victim = recipe.train(clean, here, test), recipe.train(published, here, test)
        part = recipe.train(clean.subset(rest.nonzero().flatten()), here, test) if rate < 1 else None
        rows.append(_row(name, model, here.seed, control, victim, part))
        flags |= set(_doubts(rows[-1], len(clean.classes), len(test), seeds))
    run.report("evaluate", len(cells), len(cells))
    return Evaluation(tuple(rows), tuple(sorted(flags)), change, provenance(run))


def _row(name: str, model: str, seed: int, control: Classifier, victim: Classifier, part: Classifier | None) -> Row:
    accuracies = (control.test_acc[-1], victim.test_acc[-1], max(victim.test_acc), victim.train_acc[-1])
    clean, protected, best, train = (round(value, 4) for value in accuracies)
    return Row(name, model, seed, clean, protected, best, train, round(part.test_acc[-1], 4) if part else None)


def _doubts(row: Row, classes: int, tests: int, seeds: int) -> list[str]:
    return doubts(
        classes=classes, tests=tests, seeds=seeds, clean_acc=row.clean_acc, protected_acc=row.protected_acc,
        best_acc=row.best_protected_acc, train_acc=row.train_acc,
    )  # fmt: skip


def _check(clean: ImageSet, protected: ImageSet, test: ImageSet, seeds: int, rate: float) -> None:
    if seeds < 1:
        raise ValueError(f"seeds must be 1 or more, got {seeds}")
    if not 0 < rate <= 1:
        raise ValueError(f"rate must be above 0 and at most 1, got {rate}")
    if clean.images.shape != protected.images.shape or not torch.equal(clean.labels, protected.labels):
        raise ValueError(f"the protected set has {len(protected)} images, the clean one {len(clean)}: they must match")
    if clean.classes != test.classes:
        raise ValueError(
            f"classes of the test set are {', '.join(test.classes)}, of the clean one {', '.join(clean.classes)}"
        )


def _clusters(text: str) -> int:
    kind, _, count = text.partition(":")
    if kind != "kmeans" or not count.isdigit():
        raise ValueError(f"relabel must be kmeans:K, for example kmeans:20, got {text!r}")
    return int(count)
