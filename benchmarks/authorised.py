"""The table of docs/uge.md: who learns from images made for one network, from the records of the suite `authorised`."""

from collections import defaultdict
from pathlib import Path
from statistics import mean

from unlearnable import suites, tables
from unlearnable.experiment import CLEAN, Cell

Column = tuple[str, str]  # what trains, and how


def table(results: Path) -> str:
    """Rows: images; columns: the margin (the authorised network less the best other), then who trains on them."""
    found: dict[str, dict[Column, list[float]]] = defaultdict(lambda: defaultdict(list))
    records = tables.read(results, suites.cells("authorised", "quick"))
    for record in records:
        for row in _rows(record.cell):
            found[row][_column(record.cell)].append(record.accuracy)
    columns = sorted({column for row in found.values() for column in row}, key=_order)
    head = ["images", "margin", *(f"{who}<br>{how}" for who, how in columns)]
    names = sorted(found, key=lambda name: not name.startswith(CLEAN))
    lines = [_line(name, found[name], columns) for name in names]
    seeds = sorted({len(values) for row in found.values() for values in row.values()})
    about = sorted({f"`{record.provenance['commit']}`" for record in records})
    return "\n".join(
        [
            "| " + " | ".join(head) + " |",
            "|" + "---|" * len(head),
            *lines,
            "",
            f"Accuracy on clean test images; `{records[0].cell.dataset}`, {records[0].cell.epochs} epochs, "
            f"seeds: {' to '.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))}; commits {', '.join(about)}. "
            "The margin is the authorised network less the best of the others. "
            "`unlearnable bench authorised` measures it again.",
        ]
    )


def _rows(cell: Cell) -> list[str]:
    """Clean images are trained on from both forms of initial weights: two rows, with most columns alike."""
    if cell.protection != CLEAN:
        return [cell.protection]
    forms = [form for form in ("plain", "blind") if form in cell.adversary]
    return [f"clean, {form} weights" for form in forms or ["plain", "blind"]]


def _column(cell: Cell) -> Column:
    kind = cell.adversary.partition(":")[0]
    return cell.model, {"authorised": "authorised", "standard": "hacker", "distill": "student"}[kind]


def _order(column: Column) -> tuple[int, str]:
    return ("authorised", "hacker", "student").index(column[1]), column[0]


def _line(name: str, row: dict[Column, list[float]], columns: list[Column]) -> str:
    values = {column: mean(found) for column, found in row.items()}
    given = [value for (_, how), value in values.items() if how == "authorised"]
    others = [value for (_, how), value in values.items() if how != "authorised"]
    margin = f"**{given[0] - max(others):+.3f}**" if given and others and not name.startswith(CLEAN) else "-"
    shown = [f"{values[column]:.3f}" if column in values else "-" for column in columns]
    images = name if name.startswith(CLEAN) else f"`{name}`"
    return "| " + " | ".join([images, margin, *shown]) + " |"
