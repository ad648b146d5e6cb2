"""Grid: accuracies in rows and columns, each beside its control; as markdown, as HTML and as a heat map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from unlearnable.experiment import CLEAN, Cell, Result
from unlearnable.flags import FLAGS
from unlearnable.tables.records import FEW, Groups, accuracies, doubted, paired, seedless, spread
from unlearnable.tables.table import Name, Table, code

EMPTY = "-"
MARK = "†"
EXPECTED = ("no-effect",)  # what the number itself says


@dataclass(frozen=True)
class Entry:
    """One number. values: of each seed; control: of its control, nothing where that was not measured or it is one;
    images: a digest of those that the victim of the first seed got.
    """

    values: tuple[float, ...]
    control: tuple[float, ...] = ()
    flags: tuple[str, ...] = ()
    is_control: bool = False
    images: str | None = None

    @staticmethod
    def of(records: Sequence[Result], clean: Sequence[Result]) -> "Entry":
        """Of records that differ in their seeds only, and those of their control."""
        if records[0].cell.protection == CLEAN:
            return Entry(accuracies(records), flags=doubted(records, ()), is_control=True)
        images = min(records, key=lambda record: record.cell.seed).provenance.get("protected")
        control = accuracies(paired(records, clean))
        return Entry(accuracies(records), control, doubted(records, clean), images=images)

    @property
    def accuracy(self) -> float:
        """The mean over seeds."""
        return mean(self.values)

    @property
    def change(self) -> float | None:
        """By how much it differs from its control; None without one."""
        return self.accuracy - mean(self.control) if self.control else None

    @property
    def doubts(self) -> tuple[str, ...]:
        """The flags that doubt this number more than its neighbours."""
        return tuple(flag for flag in self.flags if flag not in (*FEW, *EXPECTED))

    @property
    def text(self) -> str:
        """0.251 ± 0.010 (-0.430), marked where a flag doubts it."""
        change = "" if self.change is None else f" ({signed(self.change)})"
        return spread(self.values) + change + (MARK if self.doubts else "")


@dataclass(frozen=True)
class Grid:
    """corner: what the rows are; entries: by (row, column), what was not measured is not there.

    against: what the bracket of an entry compares with, in words.
    """

    caption: str
    corner: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    entries: Mapping[tuple[str, str], Entry]
    against: str

    @property
    def table(self) -> Table:
        """The grid as texts."""
        head = (self.corner, *(Name(column) for column in self.columns))
        rows = tuple((Name(row), *(self._text(row, column) for column in self.columns)) for row in self.rows)
        return Table(self.caption, head, rows, notes=(*self._legend(), *self._doubts()))

    @property
    def markdown(self) -> str:
        """The table and what its marks mean."""
        return self.table.markdown

    @property
    def html(self) -> str:
        """The same."""
        return self.table.html

    def _text(self, row: str, column: str) -> str:
        entry = self.entries.get((row, column))
        return EMPTY if entry is None else entry.text

    def _legend(self) -> list[str]:
        missing = len(self.rows) * len(self.columns) - len(self.entries)
        words = [f"Accuracy on clean test images; in brackets the change against {self.against}."]
        words += [f"{missing} of {len(self.rows) * len(self.columns)} are not measured ({EMPTY})."] if missing else []
        return words

    def _doubts(self) -> list[str]:
        """The flags of the numbers: those of a whole grid are counted, of the others it is said which they doubt."""
        flags = sorted({flag for entry in self.entries.values() for flag in entry.flags if flag not in EXPECTED})
        few = [f"{code(flag)}: {meaning(flag)}; {self._count(flag)}." for flag in flags if flag in FEW]
        doubts = [flag for flag in flags if flag not in FEW]
        return few + [
            f"{MARK} {code(flag)}: {meaning(flag)}; {self._count(flag)}: {self._of(flag)}." for flag in doubts
        ]

    def _count(self, flag: str) -> str:
        return f"{sum(flag in entry.flags for entry in self.entries.values())} of {len(self.entries)} numbers"

    def _of(self, flag: str) -> str:
        """Which numbers a flag is of, by column."""
        having = {
            column: [row for row in self.rows if (found := self.entries.get((row, column))) and flag in found.flags]
            for column in self.columns
        }
        named = {column: ", ".join(map(code, rows)) for column, rows in having.items() if rows}
        return "; ".join(f"{code(column)} ({self.corner} {rows})" for column, rows in named.items())


def entry(groups: Groups, cell: Cell) -> Entry | None:
    """What was measured of a cell, its seed aside, beside its control; None where nothing was."""
    found = groups.get(seedless(cell))
    return None if found is None else Entry.of(found, groups.get(seedless(cell.control), ()))


def signed(change: float) -> str:
    """+0.012 or -0.430; what rounds to nothing has no sign of its own."""
    return f"{round(change, 3) + 0.0:+.3f}"


def meaning(flag: str) -> str:
    """What a flag says."""
    return FLAGS.get(flag, "a flag of another version")
