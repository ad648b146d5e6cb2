"""Writes what a report says of a method beside what it measures itself: means of the committed records.

python -m benchmarks.known
"""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from unlearnable import tables
from unlearnable.adversaries import AUTHORISED, STANDARD
from unlearnable.experiment import CLEAN, Cell, Result
from unlearnable.protections import protection
from unlearnable.recorded import RECORDS
from unlearnable.run import write_atomically

RESULTS = Path(__file__).parent / "results"
MODEL = "cnn"


def known(results: Path = RESULTS) -> str:
    """JSON: by method, the data set on which most adversaries were measured, and what they reached there."""
    found: dict[str, dict[str, Any]] = {}
    groups: dict[tuple[str, str, int], dict[str, list[Result]]] = {}
    for record in tables.read(results / "quick"):
        cell = record.cell
        if any(name in cell.adversary for name in AUTHORISED):  # who may learn, or a teacher who may, undoes nothing
            continue
        if cell == Cell(cell.dataset, cell.protection, cell.adversary, MODEL, cell.seed, epochs=cell.epochs):
            group = groups.setdefault((cell.protection, cell.dataset, cell.epochs), {})
            group.setdefault(cell.adversary, []).append(record)
    for (method, dataset, epochs), by_adversary in groups.items():
        clean = groups.get((CLEAN, dataset, epochs), {}).get(STANDARD, [])
        shared = _seeds(clean) & _seeds(by_adversary.get(STANDARD, []))
        if method in (CLEAN, "random", "random:class") or not shared:
            continue
        if len(by_adversary) > len(found.get(method, {}).get("adversaries", {})):
            found[method] = _budget(method) | _entry(dataset, epochs, clean, by_adversary, shared)
    survival: dict[str, Any] = {"methods": {}}
    if (path := results / "survival.json").exists():
        survival = json.loads(path.read_text())
    for method, measured in survival["methods"].items():
        if method != CLEAN:
            control = survival["methods"][CLEAN]["accuracy"]
            seeds = min((len(values) for values in measured["accuracy"].values() if values), default=0)
            found.setdefault(method, _budget(method))["survival"] = {
                "dataset": survival["dataset"], "model": survival["model"], "seeds": seeds, "left": measured["left"],
                "accuracy": _means(measured["accuracy"]), "clean": _means(control),
            }  # fmt: skip
    return json.dumps(dict(sorted(found.items())), indent=1) + "\n"


def _seeds(records: Sequence[Result]) -> set[int]:
    return {record.cell.seed for record in records}


def _of(records: Sequence[Result], seeds: set[int]) -> list[Result]:
    return [record for record in records if record.cell.seed in seeds]


def _entry(
    dataset: str, epochs: int, clean: Sequence[Result], by_adversary: dict[str, list[Result]], shared: set[int]
) -> dict[str, Any]:
    """Of the seeds that clean images and ordinary training share. against: what both reach with the seeds of an
    adversary, where those are fewer: else seeds would differ and not adversaries.
    """
    clean = _of(clean, shared)
    by_adversary = {name: there for name, records in by_adversary.items() if (there := _of(records, shared))}
    against = {
        name: {"clean": _mean(_of(clean, seeds)), "standard": _mean(_of(by_adversary[STANDARD], seeds))}
        for name, records in sorted(by_adversary.items()) if (seeds := _seeds(records)) != shared
    }  # fmt: skip
    every = [record for records in by_adversary.values() for record in records]
    dates = sorted(record.provenance["date"] for record in every)
    return {
        "dataset": dataset, "model": MODEL, "epochs": epochs, "clean": _mean(clean),
        "adversaries": {name: _mean(records) for name, records in sorted(by_adversary.items())},
        "against": against, "seeds": {name: len(records) for name, records in sorted(by_adversary.items())},
        "commits": sorted({record.provenance["commit"] for record in every}), "dates": [dates[0], dates[-1]],
    }  # fmt: skip


def _budget(method: str) -> dict[str, str]:
    """The method's own, with which all of these were measured."""
    budget = protection(method).budget
    return {"norm": budget.norm, "eps": str(budget)}


def _mean(records: Sequence[Result]) -> float:
    return round(mean(record.accuracy for record in records), 4)


def _means(accuracies: dict[str, list[float]]) -> dict[str, float]:
    return {name: round(mean(values), 4) for name, values in accuracies.items() if values}


if __name__ == "__main__":
    write_atomically(RECORDS, known().encode())
