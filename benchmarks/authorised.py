"""The table of docs/uge.md: who learns from images made for one network, from the records of the suite `authorised`.

Its margin is over the best of the others in the table, and only where every one of them was measured. Fine-tuned
networks and whoever was handed the weights are in the suite `authorised-harder`, and in no margin: what they reach says
little of the images.
"""

from collections import defaultdict
from pathlib import Path
from statistics import mean

from unlearnable import suites, tables
from unlearnable.experiment import CLEAN, Cell

Column = tuple[str, str]  # what trains, and how
KINDS = {"authorised": "authorised", "standard": "hacker", "distill": "student", "decolour": "finds the colour"}
"""What is said of who trains, by the adversary's name."""
OVER = {"hacker": "over hackers", "student": "over students", "finds the colour": "over who finds the colour"}
"""The heading of the margin over each of the others."""


def table(results: Path) -> str:
    """Rows: images; columns: the margins of the authorised network over the others, then who trains on them."""
    found: dict[str, dict[Column, list[float]]] = defaultdict(lambda: defaultdict(list))
    cells = suites.cells("authorised", "quick")
    records = tables.read(results, cells)
    for record in records:
        for row in _rows(record.cell):
            found[row][_column(record.cell)].append(record.accuracy)
    columns = sorted({_column(cell) for cell in cells}, key=_order)
    head = ["images", "margin", *OVER.values(), *(f"{who}<br>{how}" for who, how in columns)]
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
            "A margin is the authorised network less the best of the others, of all of them in the first "
            "column; `-` where one of them is not measured. "
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
    return cell.model, KINDS[kind]


def _order(column: Column) -> tuple[int, str]:
    return tuple(KINDS.values()).index(column[1]), column[0]


def _line(name: str, row: dict[Column, list[float]], columns: list[Column]) -> str:
    values = {column: mean(found) for column, found in row.items()}
    shown = [tables.spread(row[column]) if column in row else "-" for column in columns]
    if name.startswith(CLEAN):
        return "| " + " | ".join([name, "-", *("-" for _ in OVER), *shown]) + " |"
    over = (list(OVER), *([kind] for kind in OVER))
    margins = [_margin(values, [column for column in columns if column[1] in kinds]) for kinds in over]
    margins[0] = f"**{margins[0]}**" if margins[0] != "-" else "-"
    return "| " + " | ".join([f"`{name}`", *margins, *shown]) + " |"


def _margin(values: dict[Column, float], others: list[Column]) -> str:
    """The authorised network less the best of the others, once all of them are known."""
    authorised = [value for (_, how), value in values.items() if how == "authorised"]
    if not authorised or any(other not in values for other in others):
        return "-"
    return f"{authorised[0] - max(values[other] for other in others):+.3f}"
