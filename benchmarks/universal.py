"""The tables of the universal generator: on pictures it never saw, with other labels, against adversaries."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.methods import where
from unlearnable import suites, tables
from unlearnable.experiment import CLEAN, Cell, Result
from unlearnable.perturbation import CONFIG
from unlearnable.protections.one_for_all import SHIPPED as WEIGHTS
from unlearnable.suites.universal import ELSEWHERE, SHIPPED
from unlearnable.tables.records import accuracies, doubted

NOTHING = "nothing"
"""The shipped generator at eps = 0: what the pipeline alone does to a number."""
COMPARED = (CLEAN, NOTHING, "random", *ELSEWHERE["quick"], SHIPPED)
TITLES = dict(
    zip(
        COMPARED,
        ("clean", "delta = 0", "random noise", "the paper's loss, quick fit", "clusters, quick fit", "shipped"),
        strict=True,
    )
)
WHAT, ABOUT = ("pictures", "network", "adversary"), ("of clean", "seeds", "test images", "flags")
Row = dict[str, list[Result]]  # by protection, a record for each seed


def table(records: Path, suite: str) -> str:
    """Test accuracies of a suite's quick tier by what was measured: a row for every victim with clean and protected."""
    cells, found = suites.cells(suite, "quick"), dict[tuple[str, str, str], Row]()
    for record in tables.read(records, cells):
        found.setdefault(_row(record.cell), {}).setdefault(_column(record.cell), []).append(record)
    shown = {names: row for names, row in found.items() if CLEAN in row and SHIPPED in row}
    if not shown:
        return "None measured yet."
    columns = [column for column in COMPARED if any(column in row for row in shown.values())]
    head = (*WHAT, *(TITLES[column] for column in columns), *ABOUT)
    lines = [f"| {' | '.join((*names, *_figures(row, columns)))} |" for names, row in shown.items()]
    every = [record for row in shown.values() for of in row.values() for record in of]
    notes = f"Fits: {_fits(every)}.\n{len(every)} of {len(cells)} cells of `{suite}` are shown; {where(every)}."
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines, "", notes])


def _row(cell: Cell) -> tuple[str, str, str]:
    labels = f", {cell.relabel}" if cell.relabel else ""
    return f"{cell.dataset}{labels}", str(cell.model), cell.adversary


def _column(cell: Cell) -> str:
    return NOTHING if cell.eps == 0 else cell.protection


def _figures(row: Row, columns: Iterable[str]) -> list[str]:
    known = [tables.spread(accuracies(row[column])) if column in row else "-" for column in columns]
    share = mean(accuracies(row[SHIPPED])) / mean(accuracies(row[CLEAN]))
    tests = {record.provenance["tests"] for of in row.values() for record in of}
    return [*known, f"{share:.2f}", _range(map(len, row.values())), _range(tests), _flags(row)]


def _flags(row: Row) -> str:
    """What to doubt, and in which columns where not in all but clean."""
    columns: dict[str, list[str]] = {}
    made = [method for method in COMPARED if method in row and method not in (CLEAN, NOTHING)]
    for method in made:
        for flag in doubted(row[method], row[CLEAN]):
            columns.setdefault(flag, []).append(TITLES[method])
    said = [flag if len(named) == len(made) else f"{flag} ({'; '.join(named)})" for flag, named in columns.items()]
    return ", ".join(said) or "-"


def _range(counts: Iterable[int]) -> str:
    """The only number, or the least and the largest."""
    there = sorted(set(counts))
    return " to ".join(map(str, dict.fromkeys((there[0], there[-1]))))


def _fits(records: Iterable[Result]) -> str:
    """How long every method was fitted, and on what."""
    cells = {_column(record.cell): record for record in records}
    elsewhere = [
        f"{TITLES[name]}: {_effort(cells[name].provenance['protection'])} of `{cells[name].cell.fitted_on}`"
        for name in ELSEWHERE["quick"] if name in cells
    ]  # fmt: skip
    about = json.loads((WEIGHTS / CONFIG).read_text())
    passes = ", then ".join(_effort(one["protection"]) for one in (*about.get("earlier", []), about))
    return "; ".join([*elsewhere, f"{TITLES[SHIPPED]}: {passes}, of {about['images']:,} at {about['side']} px"])


def _effort(method: Mapping[str, Any]) -> str:
    """Steps and batch of a fit."""
    if steps := method.get("steps"):
        return f"{steps:,} steps of {method['batch']} pictures"
    return f"{method['epochs']} passes in batches of {method['batch']} pictures"
