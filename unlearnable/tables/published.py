"""wide: a column for each protection, a row for all else; with_published: the same beside what papers print."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from statistics import mean

from unlearnable.experiment import CONTROLS, Cell, Result
from unlearnable.pixels import eps_text
from unlearnable.tables.grid import EMPTY, MARK, Entry, meaning
from unlearnable.tables.records import ALONE, by_adversary, by_model, by_protection, keys, percent, spread
from unlearnable.tables.table import Name, Table, code

NOTE = (
    "Accuracy on clean test images: ours, then in brackets the published one. Sizes, recipes and seeds of a paper are "
    f"seldom ours, so the order of the numbers says more than their size; {EMPTY}: not measured here."
)
OWN = f"Accuracy on clean test images, over seeds where there are several; {EMPTY}: not measured here."
VARIES = ("adversary", "model", "rate", "surrogate", "fitted on", "fitted at", "eps", "labels", "epochs")
USUAL = {
    "rate": "100%", "surrogate": "its own", "fitted on": "the same", "fitted at": "its size", "eps": "its own",
    "labels": "classes",
}  # fmt: skip
"""What a cell has that does not say, where others say otherwise."""


def with_published(records: Sequence[Result], published: Mapping[Cell, float], cells: Iterable[Cell] = ()) -> str:
    """Markdown tables of the published accuracies (0..1) with ours beside them, found by the key of the cell.

    cells: others of the same suite, of which nothing is published.
    """
    return "\n\n".join(table.markdown for table in beside(records, published, cells))


def wide(records: Sequence[Result], cells: Sequence[Cell]) -> str:
    """Markdown tables of cells, one for each data set, with what the records hold of them."""
    return "\n\n".join(table.markdown for table in _tables(records, dict.fromkeys(cells)))


def beside(records: Sequence[Result], published: Mapping[Cell, float], cells: Iterable[Cell] = ()) -> list[Table]:
    """The same as tables: one for each data set, a column for each protection, a row for all else that varies.

    Raises ValueError for a published accuracy that is none.
    """
    if wrong := [value for value in published.values() if not 0 <= value <= 1]:
        raise ValueError(f"a published accuracy must be a share of 0 to 1, got {wrong[0]}")
    return _tables(records, dict.fromkeys(cells) | dict(published) if published else {})


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
    rows: dict[tuple[str, ...], dict[str, list[Cell]]] = {}
    for cell, words in sorted(about.items(), key=lambda item: _order(item[0])):
        rows.setdefault(tuple(words[name] for name in used), {}).setdefault(_column(cell), []).append(cell)
    columns, flags = {_column(cell) for cell in published}, set[str]()
    lines = []
    for row, found in _controlled(rows).items():
        entries = {column: _entry(cells, records) for column, cells in found.items()}
        columns |= {column for column, there in entries.items() if there is not None}
        flags |= {flag for there in entries.values() if there is not None for flag in there.doubts}
        lines.append((row, {column: _text(entries[column], found[column], published) for column in found}))
    order = sorted(columns, key=by_protection)
    texts = tuple(
        (
            *(Name(word) if word else USUAL[name] for name, word in zip(used, row, strict=True)),
            *(text.get(column, "") for column in order),
        )
        for row, text in lines
    )
    ours = all(value is None for value in published.values())
    caption = ", ".join([dataset, *fixed]) + ("" if ours else ": ours (published)")
    doubts = [f"{MARK} at least one of: {code(flag)}: {meaning(flag)}." for flag in sorted(flags)]
    notes = (OWN if ours else NOTE, *doubts)
    return Table(caption, (*used, *map(Name, order)), texts, len(used), notes)


def _controlled(
    rows: Mapping[tuple[str, ...], Mapping[str, list[Cell]]],
) -> dict[tuple[str, ...], dict[str, list[Cell]]]:
    """Every row with its controls, whatever they have not that the row has: no row of their own is needed then."""
    found: dict[tuple[str, ...], dict[str, list[Cell]]] = {}
    lent: set[Cell] = set()
    for row, there in rows.items():
        cells = [cell for column, cells in there.items() if column not in CONTROLS for cell in cells]
        own = {name: list(dict.fromkeys(replace(cell.control, protection=name) for cell in cells)) for name in CONTROLS}
        lent |= {cell for cells in own.values() for cell in cells}
        found[row] = {name: cells for name, cells in own.items() if cells} | dict(there)
    return {row: there for row, there in found.items() if any(cell not in lent for cell in chain(*rows[row].values()))}


def _entry(cells: Sequence[Cell], records: Sequence[Result]) -> Entry | None:
    """Of cells that differ in their seeds only."""
    found, control = (
        [record for record in records if record.key in asked]
        for asked in (keys(cells), keys(cell.control for cell in cells))
    )
    return Entry.of(found, control) if found else None


def _text(found: Entry | None, cells: Sequence[Cell], published: Mapping[Cell, float | None]) -> str:
    """An accuracy, and the published one."""
    ours = EMPTY if found is None else spread(found.values) + (MARK if found.doubts else "")
    theirs = [value for value in map(published.get, cells) if value is not None]
    return ours + (f" ({mean(theirs):.3f})" if theirs else "")


def _column(cell: Cell) -> str:
    return ALONE if cell.alone else cell.protection


def _about(cell: Cell) -> dict[str, str]:
    rate = percent(cell.rate) if cell.rate < 1 else ""
    size = f"{cell.fitted_at} px" if cell.fitted_at else ""
    eps = "" if cell.eps is None else eps_text(cell.eps)
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
