"""matrix and transfer: what every adversary gets out of every protection, and how far a surrogate reaches."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from unlearnable.experiment import CLEAN, Cell, Result
from unlearnable.tables.grid import Entry, Grid, entry, signed
from unlearnable.tables.records import (
    Groups,
    Setting,
    by_adversary,
    by_cell,
    by_model,
    by_protection,
    label,
    percent,
    seedless,
    spread,
)  # fmt: skip
from unlearnable.tables.table import Name, Table

OWN = "its own"
NAMED = 3  # so many that are missing are named


def matrix(records: Sequence[Result], cells: Sequence[Cell] | None = None) -> tuple[Grid, ...]:
    """Rows are adversaries, columns protections, clean images first; a grid for each setting with two adversaries.

    Every number is set against clean images under the same adversary. cells: what was to be measured, where more than
    the records hold: a row or column without a record is then shown too.
    """
    groups = by_cell(records)
    plain = [cell for cell in _wanted(groups, cells) if cell.rate == 1 and cell.surrogate is None]
    settings = sorted({Setting.of(cell) for cell in plain}, key=lambda setting: setting.order)
    grids = [_matrix(setting, [cell for cell in plain if Setting.of(cell) == setting], groups) for setting in settings]
    return tuple(grid for grid in grids if len(grid.rows) > 1 and len(grid.columns) > 1 and grid.entries)


def _matrix(setting: Setting, cells: Sequence[Cell], groups: Groups) -> Grid:
    places = {(cell.adversary, label(cell)): entry(groups, cell) for cell in cells}
    rows = sorted({row for row, _ in places}, key=by_adversary)
    columns = sorted({column for _, column in places}, key=by_protection)
    against = "clean images under the same adversary"
    entries = _there(places.items())
    for column in columns:
        entries |= _of_other_fits({place: found for place, found in entries.items() if place[1] == column})
    return Grid(setting.words(), "adversary", tuple(rows), tuple(columns), entries, against)


def _of_other_fits(column: Mapping[tuple[str, str], Entry]) -> dict[tuple[str, str], Entry]:
    """Those of a column whose images are known and not those of most that are known, marked."""
    known = Counter(found.images for found in column.values() if found.images is not None).most_common(1)
    usual = {None, *(images for images, _ in known)}
    others = {place: found for place, found in column.items() if found.images not in usual}
    return {place: replace(found, flags=(*found.flags, "other-fit")) for place, found in others.items()}


def worst(grid: Grid) -> Table:
    """Of every protection in a matrix the adversary that gets most out of it."""
    rows = []
    for column in grid.columns:
        found = {row: grid.entries[row, column] for row in grid.rows if (row, column) in grid.entries}
        if column == CLEAN or not found:
            continue
        adversary = max(found, key=lambda row: found[row].accuracy)
        there, standard = found[adversary], found.get("standard")
        change = "-" if there.change is None else signed(there.change)
        usual = "-" if standard is None else spread(standard.values)
        missing = [row for row in grid.rows if row not in found]
        measured = f"{len(found)} of {len(grid.rows)}"
        if 0 < len(missing) <= NAMED:
            measured += f", not {', '.join(missing)}"
        rows.append((Name(column), Name(adversary), spread(there.values), change, usual, measured))
    head = (
        "protection",
        "worst for the owner",
        "accuracy",
        "against clean",
        "standard training",
        "adversaries measured",
    )
    return Table(f"{grid.caption}: the adversary that gets most out of each protection", head, tuple(rows))


def transfer(records: Sequence[Result], cells: Sequence[Cell] | None = None) -> tuple[Grid, ...]:
    """Rows are surrogates that a protection was fitted with, columns the victims that train on the images.

    A grid for each data set, protection, adversary and rate with a record whose surrogate is named.
    """
    groups = by_cell(records)
    wanted = _wanted(groups, cells)
    kinds = dict.fromkeys(_of_any_victim(cell) for cell in groups if cell.surrogate is not None)
    return tuple(_transfer(kind, [cell for cell in wanted if _of_any_victim(cell) == kind], groups) for kind in kinds)


def _of_any_victim(cell: Cell) -> Cell:
    return replace(cell, model="any victim", surrogate=None)


def _transfer(kind: Cell, cells: Sequence[Cell], groups: Groups) -> Grid:
    places = {(cell.surrogate or OWN, cell.model): entry(groups, cell) for cell in cells}
    columns = tuple(sorted({cell.model for cell in cells}, key=by_model))
    surrogates = sorted({row for row, _ in places}, key=lambda row: (row == OWN, by_model(row)))
    places |= {(CLEAN, model): entry(groups, replace(kind.control, model=model)) for model in columns}
    more = [*kind.made]
    more += [f"{percent(kind.rate)} protected"] if kind.rate < 1 else []
    more += [f"labels {kind.relabel}"] if kind.relabel else []
    caption = ", ".join([kind.dataset, kind.protection, kind.adversary, *more])
    against = "clean images with the same victim"
    return Grid(caption, "surrogate", (CLEAN, *surrogates), columns, _there(places.items()), against)


def _wanted(groups: Groups, cells: Sequence[Cell] | None) -> list[Cell]:
    """The cells to show, their seeds aside, in an order that depends on nothing else."""
    return sorted(dict.fromkeys([*map(seedless, cells or ()), *groups]), key=repr)


def _there(places: Iterable[tuple[tuple[str, str], Entry | None]]) -> dict[tuple[str, str], Entry]:
    return {place: found for place, found in places if found is not None}
