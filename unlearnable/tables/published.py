"""wide: a column for each protection, a row for all else; with_published: the same beside what papers print."""

from collections.abc import Mapping, Sequence
from statistics import mean

from unlearnable.experiment import Cell, Result
from unlearnable.metrics import FLAGS
from unlearnable.pixels import eps_text
from unlearnable.tables.grid import EMPTY, MARK
from unlearnable.tables.records import (
    ALONE,
    accuracies,
    by_adversary,
    by_model,
    by_protection,
    doubted,
    keys,
    percent,
    spread,
)
from unlearnable.tables.table import Name, Table

BROKEN = f"of a training that failed ({FLAGS['diverged']})"
NOTE = (
    "Accuracy on clean test images: ours, then in brackets the published one. Sizes, recipes and seeds of a paper are "
    f"seldom ours, so the order of the numbers says more than their size; {EMPTY}: not measured here; {MARK}: {BROKEN}."
)
OWN = (
    f"Accuracy on clean test images, over seeds where there are several; {EMPTY}: not measured here; {MARK}: {BROKEN}."
)
VARIES = ("adversary", "model", "rate", "surrogate", "fitted on", "fitted at", "eps", "labels", "epochs")
USUAL = {
    "rate": "100%", "surrogate": "its own", "fitted on": "the same", "fitted at": "its size", "eps": "its own",
    "labels": "classes",
}  # fmt: skip
"""What a cell has that does not say, where others say otherwise."""


def with_published(records: Sequence[Result], published: Mapping[Cell, float]) -> str:
    """Markdown tables of the published accuracies (0..1) with ours beside them, found by the key of the cell."""
    return "\n\n".join(table.markdown for table in beside(records, published))


def wide(records: Sequence[Result], cells: Sequence[Cell]) -> str:
    """Markdown tables of cells, one for each data set, with what the records hold of them."""
    return "\n\n".join(table.markdown for table in _tables(records, dict.fromkeys(cells)))


def beside(records: Sequence[Result], published: Mapping[Cell, float]) -> list[Table]:
    """The same as tables: one for each data set, a column for each protection, a row for all else that varies.

    Raises ValueError for a published accuracy that is none.
    """
    if wrong := [value for value in published.values() if not 0 <= value <= 1]:
        raise ValueError(f"a published accuracy must be a share of 0 to 1, got {wrong[0]}")
    return _tables(records, published)


def _tables(records: Sequence[Result], published: Mapping[Cell, float | None]) -> list[Table]:
    return [
        _table(dataset, {cell: value for cell, value in published.items() if cell.dataset == dataset}, records)
        for dataset in sorted({cell.dataset for cell in published})
    ]


def _table(dataset: str, published: Mapping[Cell, float | None], records: Sequence[Result]) -> Table:
    about = {cell: _about(cell) for cell in published}
    used = [name for name in VARIES if name == "adversary" or len({words[name] for words in about.values()}) > 1]
    common = next(iter(about.values()))
    fixed = [f"{name} {common[name]}" for name in VARIES if name not in used and common[name]]
    columns = sorted({_column(cell) for cell in published}, key=by_protection)
    rows: dict[tuple[str, ...], dict[str, list[Cell]]] = {}
    for cell, words in sorted(about.items(), key=lambda item: _order(item[0])):
        rows.setdefault(tuple(words[name] for name in used), {}).setdefault(_column(cell), []).append(cell)
    lines = [
        (
            *(Name(word) if word else USUAL[name] for name, word in zip(used, row, strict=True)),
            *(_text(found.get(c, []), published, records) for c in columns),
        )
        for row, found in rows.items()
    ]
    head = (*used, *(Name(column) for column in columns))
    caption = ", ".join([dataset, *fixed])
    if all(value is None for value in published.values()):
        return Table(caption, head, tuple(lines), len(used), (OWN,))
    return Table(f"{caption}: ours (published)", head, tuple(lines), len(used), (NOTE,))


def _text(cells: Sequence[Cell], published: Mapping[Cell, float | None], records: Sequence[Result]) -> str:
    """Of cells that differ in their seeds only; nothing where there is no such cell."""
    if not cells:
        return ""
    asked = keys(cells)
    found = [record for record in records if record.key in asked]
    ours, mark = accuracies(found), MARK if "diverged" in doubted(found, ()) else ""
    theirs = [value for value in map(published.get, cells) if value is not None]
    return (spread(ours) + mark if ours else EMPTY) + (f" ({mean(theirs):.3f})" if theirs else "")


def _column(cell: Cell) -> str:
    return ALONE if cell.alone else cell.protection


def _about(cell: Cell) -> dict[str, str]:
    rate = percent(cell.rate) if cell.rate < 1 else ""
    size = f"{cell.fitted_at} px" if cell.fitted_at else ""
    eps = eps_text(cell.eps) if cell.eps else ""
    others = (rate, cell.surrogate or "", cell.fitted_on or "", size, eps, cell.relabel or "", str(cell.epochs))
    return dict(zip(VARIES, (cell.adversary, cell.model, *others), strict=True))


def _order(cell: Cell) -> tuple[object, ...]:
    about = _about(cell)
    return (
        by_adversary(cell.adversary),
        by_model(cell.model),
        cell.rate,
        cell.eps or 0,
        *(about[name] for name in VARIES[3:]),
    )
