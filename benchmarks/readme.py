"""Fills the tables of README.md and docs from the records: `python -m benchmarks.readme` (`--check` only compares)."""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from benchmarks import authorised, commands, costs, measured, methods, scenarios, survival, tests, universal
from benchmarks.known import known
from benchmarks.methods import where
from unlearnable import suites, tables
from unlearnable.experiment import CLEAN, Cell, Result
from unlearnable.protections import PROTECTIONS
from unlearnable.recorded import RECORDS

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def accuracy() -> str:
    """The main suite, and where it was measured."""
    cells = suites.cells("main", "quick")
    records = tables.read(RESULTS / "quick", cells)
    there = {record.cell.protection for record in records}
    return (
        tables.summary(records)
        + f"\n\nMean ± standard deviation over seeds; {where(records)}. Fitting took at least {_minutes(records)} "
        + "(each the quickest of its fits) on one thread; the others take seconds.\n"
        + "`unlearnable bench main --out benchmarks/results/quick` measures it again; "
        + "[flags](docs/flags.md) say what to doubt."
        + _missing(cell.protection for cell in cells if cell.protection not in there)
    )


def _missing(names: Iterable[str], what: str = "Not measured yet") -> str:
    """A line that names what has no figures yet; nothing where all have."""
    said = ", ".join(f"`{name}`" for name in dict.fromkeys(names))
    return f"\n\n{what}: {said}." if said else ""


def robust() -> str:
    """The suite of adversarial training."""
    records = tables.read(RESULTS / "quick", suites.cells("robust", "quick"))
    return f"{tables.summary(records)}\n\n`unlearnable bench robust` measures it again; {where(records)}."


def _minutes(records: Sequence[Result]) -> str:
    """The quickest fit of every protection that took a minute or more.

    What took less although others of its fits took as much was read from where an earlier cell had left it.
    """
    quickest: dict[str, float] = {}
    for record in records:
        name, taken = record.cell.protection, record.measured.get("fit_seconds", 0.0) / 60
        if taken >= 1:
            quickest[name] = min(quickest.get(name, taken), taken)
    return ", ".join(f"`{name}` {taken:.0f} min" for name, taken in quickest.items())


def heat() -> str:
    """The picture that the page begins with."""
    grid = _faced().grid
    return (
        f"![{grid.caption}: adversaries by protections](docs/results/matrix-1.svg)\n\n"
        f"*What a network still learns ({grid.caption}): a column is a protection, a row somebody who tries to learn "
        "all the same. Dark is protected. Every protection here is beaten by somebody: look at its brightest square "
        "([the figures](#what-adversaries-do-about-it)).*"
    )


def matrix() -> str:
    """Of every protection the adversary that gets most, and where the page with the figures lies."""
    faced = _faced()
    return (
        tables.worst(faced.grid).markdown
        + "\n\n[All numbers](docs/results/tables.md), [accuracy by epoch](docs/results/curves-1.svg), "
        + "[how to read them](docs/reading-results.md). `unlearnable bench matrix` measures them again, "
        + "`unlearnable tables benchmarks/results/quick --suite matrix --out page/` draws the page."
        + _missing(faced.waiting, "Against less than half of the adversaries so far")
    )


@dataclass(frozen=True)
class Faced:
    """cells, records: those of the matrix whose protection was measured against half of the adversaries; waiting: the
    other protections, since one number in a column of dashes says nothing yet.
    """

    cells: list[Cell]
    records: list[Result]
    waiting: list[str]

    @property
    def grid(self) -> tables.Grid:
        """The matrix."""
        (grid,) = tables.matrix(self.records, self.cells)
        return grid


@cache
def _faced() -> Faced:
    cells = suites.cells("matrix", "quick")
    records = tables.read(RESULTS / "quick", cells)
    counts = Counter(record.cell.protection for record in records)
    half = len({cell.adversary for cell in cells}) / 2
    shown = {name for name, count in counts.items() if count >= half}
    return Faced(
        [cell for cell in cells if cell.protection in shown],
        [record for record in records if record.cell.protection in shown],
        [cell.protection for cell in cells if cell.protection not in shown],
    )


def survived() -> str:
    """What a victim learns from pictures that were compressed, resized or blurred on their way."""
    record = json.loads((RESULTS / "survival.json").read_text())
    every = {name: one for name, one in record["methods"].items() if any(one["accuracy"].values())}
    found = {name: one for name, one in every.items() if name != CLEAN}
    columns = [f"`{name}` {what}" for name in found for what in ("accuracy", "alike", "energy")]
    head = ["operation", "originals", *columns]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for operation in every[CLEAN]["accuracy"]:
        cells = [operation, _spread(every[CLEAN], operation)]
        for one in found.values():
            left = next((row for row in one["left"] if row["operation"] == operation), None)
            kept = [f"{left['correlation']:.2f}", f"{left['energy']:.0%}"] if left else ["-", "-"]
            cells += [_spread(one, operation), *kept]
        lines.append(f"| {' | '.join(cells)} |")
    counts = sorted({len(values) for one in every.values() for values in one["accuracy"].values() if values})
    measured = [
        Result(Cell(record["dataset"], name), "", (), (), {}, (), one["provenance"]) for name, one in every.items()
    ]
    return (
        "\n".join(lines)
        + f"\n\n{record['dataset']}, `{record['model']}`, {record['epochs']} epochs, "
        + f"seeds: {' or '.join(map(str, counts))}; {where(measured)}."
        + _missing(name for name in survival.METHODS if name not in every)
    )


def _spread(found: dict[str, Any], operation: str) -> str:
    """The accuracies after an operation; "-" where it was not measured."""
    reached = found["accuracy"].get(operation)
    return tables.spread(reached) if reached else "-"


def tests_taken() -> str:
    """How long the tests take."""
    path = RESULTS / "tests.json"
    if not path.exists():
        return "Not timed yet: `python -m benchmarks.tests test` does it."
    return tests.sentence(json.loads(path.read_text()))


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {
        "heat": heat, "accuracy": accuracy, "robust": robust, "matrix": matrix, "compared": costs.compared,
        "costs": costs.listed,
        "universal": partial(universal.table, RESULTS / "quick", "universal"), "tests": tests_taken,
        "serving": methods.serving,
    },
    "docs/cli.md": {"commands": commands.page},
    "docs/protections.md": {"protections": methods.overview},
    "docs/measured.md": {"suites": measured.page},
    "docs/scale.md": {"cost": costs.cost},
    "docs/ui.md": {"page": costs.page},
    "docs/federated.md": {"together": partial(scenarios.text, "together")},
    "docs/authorise.md": {name: partial(scenarios.text, name) for name in ("release", "transmission")},
    "docs/report.md": {"survival": survived},
    **{f"docs/{name}.md": {"measured": partial(methods.measured, name)} for name in PROTECTIONS},
}  # fmt: skip
PAGES |= {f"docs/adversaries/{name}.md": {"measured": partial(methods.against, name)} for name in ("dvae", "purify")}
PAGES["docs/uge.md"]["authorised"] = partial(authorised.table, RESULTS / "quick")


def filled(name: str) -> str:
    """A page with everything between <!-- NAME --> and <!-- end --> made anew."""
    text = (ROOT / name).read_text()
    for mark, part in PAGES[name].items():
        pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = pattern.subn(lambda found, part=part: found[1] + part() + "\n" + found[2], text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"{name} must hold <!-- {mark} --> ... <!-- end --> once, found {count}")
    return text


def drawn() -> dict[Path, str]:
    """The matrix as heat map, curves and table: the texts of docs/results."""
    faced = _faced()
    figures = {f"{name}.svg": text for name, text in tables.figures(faced.records, faced.cells).items()}
    figures["tables.md"] = f"# The matrix\n\n{tables.render(RESULTS / 'quick', faced.cells)}\n"
    return {ROOT / "docs" / "results" / name: text for name, text in figures.items()}


def differing(made: Mapping[Path, str]) -> list[str]:
    """The files that do not say what was made of the records now."""
    return [
        str(path.relative_to(ROOT))
        for path, text in made.items()
        if not path.exists() or _words(path, path.read_text()) != _words(path, text)
    ]


def _words(path: Path, text: str) -> str | list[str]:
    """A text, of a figure its words and numbers: another matplotlib writes other curves for the same numbers."""
    return re.findall(r">\s*([^<\s][^<]*)<", text) if path.suffix == ".svg" else text


def main() -> int:
    """Writes README.md and the pages, or with --check says whether they are what the records give."""
    made = {ROOT / name: filled(name) for name in PAGES} | {RECORDS: known(RESULTS)} | drawn()
    if "--check" in sys.argv:
        names = differing(made)
        print("\n".join(f"{name} is not what the records give: `make docs` makes it anew" for name in names))
        return int(bool(names))
    for path, text in made.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
