"""rates: what a share of protected images does, against the clean images of the mixture alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from unlearnable.experiment import CLEAN, Cell, Result
from unlearnable.tables.grid import Entry, Grid
from unlearnable.tables.records import (
    ALONE,
    Groups,
    Setting,
    accuracies,
    by_cell,
    by_protection,
    doubted,
    grouped,
    label,
    paired,
    percent,
)  # fmt: skip


@dataclass(frozen=True)
class Mixture:
    """grid: rows are protections, columns rates; rates: the number that each column stands for."""

    grid: Grid
    rates: Mapping[str, float]

    def line(self, row: str) -> list[tuple[float, float]]:
        """(rate, accuracy) of a row, from the lowest rate; every line starts where nothing is protected."""
        start = [(ALONE, column) for column in self.grid.columns if self.rates[column] == 0]
        places = [*start, *((row, column) for column in self.grid.columns if (row, column) not in start)]
        return [(self.rates[at[1]], self.grid.entries[at].accuracy) for at in places if at in self.grid.entries]


def rates(records: Sequence[Result]) -> tuple[Mixture, ...]:
    """Accuracy against the share of protected images, for every data set, model and adversary with such a record.

    Shown are the protections that were tried at a rate below 1, and the clean images of each mixture alone.

    At each rate a mixture is set against its clean part alone: what it has above that, the protected images gave.
    """
    kinds = grouped(records, lambda record: (replace(Setting.of(record.cell), rate=1.0), record.cell.adversary))
    mixed = {kind: _mixed(found) for kind, found in kinds.items()}
    ordered = sorted((item for item in mixed.items() if item[1]), key=lambda item: (item[0][0].order, item[0][1]))
    return tuple(_mixture(setting.words(adversary), by_cell(found)) for (setting, adversary), found in ordered)


def _mixed(records: Sequence[Result]) -> list[Result]:
    """Those of the protections that were mixed, at any rate, and their controls."""
    rows = {_row(record.cell) for record in records if record.cell.rate < 1}
    return [record for record in records if rows and _row(record.cell) in {ALONE, *rows}]


def _mixture(caption: str, groups: Groups) -> Mixture:
    shares = sorted({_share(cell) for cell in groups})
    rows = sorted({_row(cell) for cell in groups}, key=lambda row: (row != ALONE, by_protection(row)))
    alone = {_share(cell): found for cell, found in groups.items() if cell.protection == CLEAN}
    entries = {(_row(cell), percent(_share(cell))): _entry(cell, found, alone) for cell, found in groups.items()}
    columns = tuple(percent(share) for share in shares)
    against = "the clean part of the mixture alone, that is without the protected images"
    return Mixture(
        Grid(f"{caption}, by the share protected", "protection", tuple(rows), columns, entries, against),
        dict(zip(columns, shares, strict=True)),
    )


def _entry(cell: Cell, found: Sequence[Result], alone: Mapping[float, Sequence[Result]]) -> Entry:
    if cell.protection == CLEAN:
        return Entry.of(found, ())
    control = paired(found, alone.get(_share(cell), ()))
    return Entry(accuracies(found), accuracies(control), doubted(found, alone.get(0.0, ())))


def _share(cell: Cell) -> float:
    """The share protected. Of clean images alone nothing is protected, and all of them are there at a rate of 1."""
    return 0.0 if cell.protection == CLEAN and cell.rate == 1 else cell.rate


def _row(cell: Cell) -> str:
    return ALONE if cell.protection == CLEAN else label(cell)
