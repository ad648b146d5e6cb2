"""What was measured of a method, for its page in docs and for the table of all."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from statistics import mean

from unlearnable import suites, tables
from unlearnable.experiment import CLEAN, Cell, Result
from unlearnable.protections import PROTECTIONS, paper, protection
from unlearnable.suites.sizes import quick
from unlearnable.tables.records import Setting, label, seedless

RECORDS = Path(__file__).parent / "results" / "quick"
STANDARD = ("main", "universal", "one-for-all-table-1")
"""Suites of standard training; the last has what was fitted to other pictures."""
ONE_BY_ONE = ("main", "robust", "agreement", "matrix", "universal")
"""Suites whose cells within a data set and a model differ in the protection and the adversary only."""
PLAIN = quick(Cell("cifar10", CLEAN, "standard", "resnet18"))
"""What most methods are first measured on."""
NOT_YET = "No record of it in the suite `main` yet: `unlearnable bench main` measures it."


def overview() -> str:
    """Every method: where it is from, what it needs, and the best of its rows against standard training."""
    head = "| method | from | needs labels | serves new pictures | accuracy of a victim |\n|---|---|---|---|---|"
    listed = "\n".join(["```{toctree}", ":hidden:", "", *PROTECTIONS, "```"])
    note = f"CIFAR-10 (5,000 images), small CNN; clean {_of(CLEAN)}. Which adversaries undo what is on each page."
    return "\n".join([head, *map(_line, PROTECTIONS)]) + f"\n\n{note}\n\n{listed}"


def serving() -> str:
    """Which methods protect pictures that they were not fitted to."""
    always = [f"`{name}`" for name in PROTECTIONS if protection(name).transfers]
    forms = [
        f"`{name}:{preset}`"
        for name, method in PROTECTIONS.items() if not protection(name).transfers
        for preset in method.presets if protection(f"{name}:{preset}").transfers
    ]  # fmt: skip
    return (
        f"{', '.join(always)} also serve pictures they never saw, and so do the forms {', '.join(forms)};\n"
        "the others are fitted to the very images they protect, [by one engine](docs/fitting.md)."
    )


def _line(name: str) -> str:
    made = protection(name)
    said = paper(name).partition(": ")
    source = (said[2] or said[0]).rstrip(".")
    return f"| [`{name}`]({name}.md) | {source} | {_yes(made.needs_labels)} | {_yes(made.transfers)} | {_of(name)} |"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _of(name: str) -> str:
    """The lowest mean over seeds among a method's rows of standard training; of those fitted to the very images, if
    there are any.
    """
    found: dict[Cell, list[Result]] = defaultdict(list)
    for record in _records(*STANDARD):
        if _method(record.cell) == name and seedless(record.cell.control) == PLAIN:
            found[seedless(record.cell)].append(record)
    if not found:
        return "not in `main` yet"
    own = {cell: records for cell, records in found.items() if not cell.made} or found
    cell, records = min(own.items(), key=lambda row: mean(record.accuracy for record in row[1]))
    return _accuracy(records) + ("" if name == CLEAN else f" (`{label(cell)}`)")


def measured(name: str) -> str:
    """The rows of a method: standard training with its controls, then what adversaries get from them and clean ones."""
    records = [record for record in _records(*STANDARD) if _method(record.cell) in (name, CLEAN, "random")]
    there = {Setting.of(record.cell) for record in records if _method(record.cell) == name}
    parts = [tables.summary([record for record in records if Setting.of(record.cell) in there])] if there else []
    parts += list(_adversaries(name))
    return "\n\n".join(parts) or NOT_YET


def _adversaries(name: str) -> Iterator[str]:
    """A table for each form of the method that adversaries were measured on, the one that gets most first."""
    found: dict[Cell, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for record in _records(*ONE_BY_ONE):
        found[seedless(record.cell.control)][record.cell.protection][record.cell.seed] = record.accuracy
    forms = sorted({form for rows in found.values() for form in rows if form.partition(":")[0] == name})
    head = "| adversary | accuracy | the same on clean images | seeds |\n|---|---|---|---|"
    for form in forms:
        rows = [
            (cell.adversary, [(rows[form][seed], rows[CLEAN][seed]) for seed in shared])
            for cell, rows in found.items()
            if cell.dataset == PLAIN.dataset and cell.adversary != PLAIN.adversary
            and (shared := sorted(rows[form].keys() & rows[CLEAN].keys()))
        ]  # fmt: skip
        if rows:
            yield f"`{form}`:\n\n{head}\n" + "\n".join(_against(*row) for row in sorted(rows, key=_most))


def _against(adversary: str, pairs: Sequence[tuple[float, float]]) -> str:
    """A line of accuracies on protected and on clean images, of the same seeds."""
    got, plain = zip(*pairs, strict=True)
    return f"| `{adversary}` | {tables.spread(got)} | {tables.spread(plain)} | {len(pairs)} |"


def _most(row: tuple[str, list[tuple[float, float]]]) -> tuple[float, str]:
    return -sum(got for got, _ in row[1]) / len(row[1]), row[0]


def against(adversary: str) -> str:
    """What an adversary gets from every protection that it was measured on, beside standard training."""
    found: dict[str, dict[str, list[Result]]] = {PLAIN.adversary: defaultdict(list), adversary: defaultdict(list)}
    for record in _records("matrix"):
        if record.cell.adversary in found:
            found[record.cell.adversary][record.cell.protection].append(record)
    names = [name for name in dict.fromkeys((CLEAN, *found[PLAIN.adversary])) if name in found[adversary]]
    head = f"| trained on | as it is | after `{adversary}` |\n|---|---|---|"
    rows = [f"| `{name}` | {' | '.join(_accuracy(of[name]) for of in found.values())} |" for name in names]
    if not rows:
        return "No record yet: `unlearnable bench matrix` measures it."
    return "\n".join([head, *rows]) + f"\n\n{where([one for of in found[adversary].values() for one in of])}."


def _accuracy(records: Sequence[Result]) -> str:
    return tables.spread([record.accuracy for record in records])


def _method(cell: Cell) -> str:
    return cell.protection.partition(":")[0]


def where(records: Sequence[Result]) -> str:
    """Commits, processors and dates of records, each once."""
    about = [record.provenance for record in records]
    commits = ", ".join(f"`{name}`" for name in sorted({one["commit"] for one in about}))
    places = "; ".join(sorted({f"{h['processor']}, {h['cores']} cores, {h['precision'].removeprefix('torch.')}"
                               for h in (one["hardware"] for one in about)}))  # fmt: skip
    days = sorted({one["date"] for one in about})
    return f"commits {commits}; {places}; {' to '.join(dict.fromkeys([days[0], days[-1]]))}"


@cache
def _records(*names: str) -> list[Result]:
    """The records of some suites. Raises ValueError where there are none."""
    cells = list(dict.fromkeys(cell for name in names for cell in suites.cells(name, "quick")))
    return [record for record in tables.read(RECORDS, cells) if record.cell.model == "cnn"]
