"""The records of a folder: read, chosen, put in order, and grouped with what they may be compared with."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import TypeVar

from unlearnable.adversaries import ADVERSARIES
from unlearnable.experiment import CLEAN, Cell, Result
from unlearnable.flags import doubts, fell_apart
from unlearnable.models import MODELS
from unlearnable.protections import PROTECTIONS

Key = TypeVar("Key", bound=Hashable)
Groups = Mapping[Cell, Sequence[Result]]  # records that differ in their seed only, by their cell with seed 0


@dataclass(frozen=True)
class Setting:
    """What numbers must share to stand in one table: a number is only compared with others of its setting."""

    dataset: str
    model: str
    rate: float
    relabel: str | None
    epochs: int

    @staticmethod
    def of(cell: Cell) -> "Setting":
        """The setting of a cell."""
        return Setting(cell.dataset, cell.model, cell.rate, cell.relabel, cell.epochs)

    @property
    def order(self) -> tuple[str, str, int, float, str]:
        """Sorts settings."""
        return self.dataset, self.model, self.epochs, self.rate, self.relabel or ""

    def words(self, *more: str) -> str:
        """The setting as a heading: cifar10, cnn, 50% protected, labels kmeans:3; epochs where not the usual number."""
        rate = [f"{percent(self.rate)} protected"] if self.rate < 1 else []
        labels = [f"labels {self.relabel}"] if self.relabel else []
        epochs = [f"{self.epochs} epochs"] if self.epochs != Cell.epochs else []
        return ", ".join([self.dataset, self.model, *more, *rate, *labels, *epochs])


def read(folder: Path, cells: Sequence[Cell] | None = None) -> list[Result]:
    """The records of a folder by file name, all or only those of the given cells (compared by key).

    Raises ValueError where there is none, or where two are of one cell and neither is what the cell means today.
    """
    records = [Result.read(path) for path in sorted(folder.glob("*_seed*.json"))]
    if not records:
        raise ValueError(f"{folder} holds no records: fill it with `unlearnable bench main --out {folder}`")
    if cells is None:
        return _current(records)
    asked = keys(cells)
    found = [record for record in records if record.key in asked]
    if not found:
        raise ValueError(f"{folder} holds {len(records)} records, and none of the {len(set(cells))} cells asked for")
    return found


def keys(cells: Iterable[Cell]) -> set[str]:
    """The keys of cells. A cell of a protection or adversary that is not here, as papers have them, has none."""
    found = set()
    for cell in cells:
        with suppress(ValueError):
            found.add(cell.key)
    return found


def _current(records: Sequence[Result]) -> list[Result]:
    """One record of each cell: after a default changed, an old one may lie beside the new, and is no second seed."""
    found: list[Result] = []
    for cell, same in grouped(records, lambda record: record.cell).items():
        today = same if len(same) == 1 else [record for record in same if record.key in keys([cell])]
        if len(today) != 1:
            names = ", ".join(record.key for record in same)
            raise ValueError(f"{len(same)} records are of {cell.file}, all of an earlier version: {names}. Remove one")
        found += today
    return found


def grouped(records: Iterable[Result], key: Callable[[Result], Key]) -> dict[Key, list[Result]]:
    """The records by what a function says of them, in the order in which they come."""
    groups: dict[Key, list[Result]] = defaultdict(list)
    for record in records:
        groups[key(record)].append(record)
    return dict(groups)


def by_cell(records: Iterable[Result]) -> Groups:
    """The records of every cell, its seed aside."""
    return grouped(records, lambda record: seedless(record.cell))


def seedless(cell: Cell) -> Cell:
    """The cell that stands for those that differ from it in their seed only."""
    return replace(cell, seed=0)


ALONE = "clean part alone"


def label(cell: Cell) -> str:
    """What a row or column is called: the protection and, where not its own, what it was fitted with and on."""
    if cell.alone:
        return ALONE
    return cell.protection + (f" ({', '.join(cell.made)})" if cell.made else "")


def accuracies(records: Iterable[Result]) -> tuple[float, ...]:
    """What the adversary ends up with, of each seed."""
    return tuple(record.accuracy for record in records)


FEW = ("few-seeds", "few-test-images")  # what can be said of a number alone, whatever it is compared with
ITS_OWN = (*FEW, "peak-differs")


def paired(records: Sequence[Result], control: Sequence[Result]) -> Sequence[Result]:
    """Those of the control with the seeds of the records; all of it where they share none."""
    seeds = {record.cell.seed for record in records}
    return [record for record in control if record.cell.seed in seeds] or control


def doubted(records: Sequence[Result], clean: Sequence[Result]) -> tuple[str, ...]:
    """The flags of records that differ in their seeds only, against those of their control.

    Clean images have none but those of few seeds and tests; without a control those are left out that compare with it.
    """
    clean = paired(records, clean)
    own = {flag for record in records for flag in record.flags}
    own |= {"diverged"} if any(fell_apart(record.train_acc) for record in records) else set()
    about, is_control = records[0].provenance, records[0].cell.protection == CLEAN
    control = clean or records
    found = doubts(
        classes=about["classes"], tests=about["tests"], seeds=len(records), clean_acc=mean(accuracies(control)),
        protected_acc=mean(accuracies(records)), best_acc=mean(max(record.test_acc) for record in records),
        train_acc=_fitted(records), clean_train_acc=_fitted(control),
    )  # fmt: skip
    if {_precision(record) for record in clean} - {_precision(record) for record in records}:
        own.add("other-precision")
    if not clean or is_control:
        found = [flag for flag in found if flag in (FEW if is_control else ITS_OWN)]
    return tuple(dict.fromkeys([*sorted(own), *found]))


def _precision(record: Result) -> str:
    return str(record.provenance.get("hardware", {}).get("precision"))


def _fitted(records: Sequence[Result]) -> float:
    return mean(record.train_acc[-1] for record in records)


def spread(values: Sequence[float]) -> str:
    """0.251 ± 0.010 (mean and standard deviation), or the value alone."""
    return f"{mean(values):.3f} ± {stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def percent(share: float) -> str:
    """0.125 as 12.5%."""
    return f"{100 * share:g}%"


def by_protection(name: str) -> tuple[int, str]:
    """Sorts labels of protections: clean first, then in the order of the table, the random controls last."""
    return (-1, name) if name.startswith(CLEAN) else (_place(PROTECTIONS, name.partition(" ")[0])[0], name)


def by_adversary(name: str) -> tuple[int, str]:
    """Sorts adversaries as their table does, with what several are joined to behind them."""
    place, _ = _place(ADVERSARIES, name.partition("+")[0])
    return place + name.count("+") * (len(ADVERSARIES) + 1), name


def by_model(name: str) -> tuple[int, str]:
    """Sorts models as their table does."""
    return _place(MODELS, name)


def _place(table: Mapping[str, object], name: str) -> tuple[int, str]:
    kind = name.partition(":")[0]
    return (list(table).index(kind) if kind in table else len(table)), name
