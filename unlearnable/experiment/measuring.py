"""Filling in records: protect, train the victim, test; what is missing only, and going on where it stopped."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from unlearnable import perturbation
from unlearnable.adversaries import STANDARD
from unlearnable.data import ImageSet
from unlearnable.experiment.cell import Cell, Result, hashed, meaning
from unlearnable.experiment.mixing import clean_part, mix
from unlearnable.flags import fell_apart
from unlearnable.labelling import groups_of, relabel
from unlearnable.metrics import audits, measured
from unlearnable.packs import load_dataset
from unlearnable.pixels import beyond
from unlearnable.protections import Protection, describe
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically


def measure(cell: Cell, run: Run) -> Result:
    """Protects, trains the victim, tests after every epoch. Unfinished work under run.directory is gone on with.

    A clean cell of a rate below 1 is the control of the others: what `mix` would leave clean, alone.
    """
    train, test = load_dataset(cell.dataset)
    protected, fit, budget_flags = _protected(cell, train, run)
    found = measured(train, protected) if len(protected) == len(train) else {}
    if cell.adversary == STANDARD and cell.rate == 1:
        found |= audits(train, protected, _within(run, cell.seed, "audits"))
    clean = train
    if cell.relabel is not None:
        groups = groups_of(cell.relabel, train, cell.seed)
        clean, protected, test = (relabel(part, groups) for part in (train, protected, test))
    began = time.monotonic()
    # by what it learns from, too: one that was trained on images of an earlier fit is another
    own = f"victim-{cell.key}-{protected.fingerprint[:12]}"
    victim = cell.recipe.train(protected, _within(run, cell.seed, own), test, clean=clean)
    seconds = {"fit_seconds": float(fit.get("seconds", 0.0)), "train_seconds": round(time.monotonic() - began, 1)}
    about = provenance(run) | {"data": train.fingerprint, "recipe": meaning(cell.recipe)}
    about |= {"classes": len(test.classes), "tests": len(test), "images": len(protected)}
    if cell.method is not None:
        about["protection"] = describe(cell.method)
        about |= {name: fit[name] for name in ("ended", "fitted") if fit.get(name)}
        about["protected"] = protected.fingerprint
    broken = victim.diverged or fell_apart(victim.train_acc)
    flags = (*budget_flags, *(["diverged"] if broken else []))
    found |= seconds | victim.probes
    return Result(cell, cell.key, victim.test_acc, victim.train_acc, found, flags, about, victim.early_acc)


def _protected(cell: Cell, train: ImageSet, run: Run) -> tuple[ImageSet, dict[str, Any], tuple[str, ...]]:
    """The images that the adversary gets, what is known of the fit whenever it was done, and a flag."""
    method, seeded = cell.method, _within(run, cell.seed, "")
    if method is None:
        return (train if cell.rate == 1 else clean_part(train, cell.rate, seeded)), {}, ()
    source = train if cell.fitted_on is None else load_dataset(cell.fitted_on)[0]
    source = source if cell.fitted_at is None else perturbation.at_size(source, cell.fitted_at)
    key = hashed([describe(method), source.fingerprint])
    fitted, about = _fit_once(method, source, _within(run, cell.seed, f"fit-{cell.fit_name}-{key}"))
    if cell.fitted_on is not None and isinstance(fitted, perturbation.SampleWise | perturbation.ClassWise):
        fitted = perturbation.lend(fitted)
    protected = mix(train, perturbation.apply(fitted, train, method.budget, seeded), cell.rate, seeded)
    return protected, about, ("over-budget",) if beyond(train.images, protected.images, method.budget) else ()


def _fit_once(
    method: Protection, train: ImageSet, run: Run
) -> tuple[perturbation.Perturbation, dict[str, Any]]:  # fmt: skip
    """The fitted perturbation, from run.directory where an earlier cell left it there; the seconds it took, and why
    each of its stages came to its end.
    """
    with _alone(run.directory):
        if run.directory is not None and (run.directory / perturbation.CONFIG).exists():
            return perturbation.load(run.directory)
        began, run = time.monotonic(), replace(run, ended={})
        fitted = method.fit(train, run)
        about = {"method": describe(method), "seconds": round(time.monotonic() - began, 1), "ended": run.ended}
        about["fitted"] = provenance(run)
        if run.directory is not None:
            perturbation.save(run.directory, fitted, about)
        return fitted, about


def _alone(path: Path | None) -> AbstractContextManager[Any]:
    """Waits for whoever else works on this: several runs of bench may share a folder, and suites share cells."""
    if path is None:
        return nullcontext()
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f"{path.name}.lock"))


def _within(run: Run, seed: int, name: str) -> Run:
    directory = None if run.directory is None or not name else run.directory / name
    return replace(run, seed=seed, directory=directory)


def bench(
    cells: Sequence[Cell], out: Path, run: Run, shard: tuple[int, int] = (1, 1)
) -> tuple[int, int, list[tuple[str, str]]]:
    """Fills the records that are missing from `out`: (measured now, there already, what could not be and why).

    Shard (i, n) takes every n-th fit and all cells of it, so that no two shards fit the same protection. Unfinished
    cells go on where they stopped; their state lies in `out`/.work.
    """
    i, n = shard
    if not 1 <= i <= n:
        raise ValueError(f"shard must be i/n with 1 <= i <= n, got {i}/{n}")
    out.mkdir(parents=True, exist_ok=True)
    fits = list(dict.fromkeys(cell.fit_name for cell in cells))[i - 1 :: n]
    mine = [cell for cell in cells if cell.fit_name in fits]
    missing = [cell for cell in mine if not (out / cell.file).exists()]
    failed: list[tuple[str, str]] = []
    measured = 0
    for done, cell in enumerate(missing):
        run.report("bench", done, len(missing))
        with _alone(out / ".work" / cell.file):
            if (out / cell.file).exists():  # another run of bench was faster
                continue
            try:
                result = measure(cell, replace(run, directory=out / ".work"))
            except ValueError as reason:
                failed.append((cell.file, str(reason)))
                continue
            write_atomically(out / cell.file, result.as_json().encode())
            measured += 1
    run.report("bench", len(missing), len(missing))
    return measured, len(mine) - measured - len(failed), failed
