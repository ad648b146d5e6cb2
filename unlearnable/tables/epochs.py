"""curves: accuracy on clean test images after every epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from unlearnable.experiment import Result
from unlearnable.tables.records import Setting, by_adversary, by_protection, grouped, label

Points = tuple[float, ...]


@dataclass(frozen=True)
class Line:
    """One protection. middle: the mean over seeds after each epoch; low, high: the seeds farthest from it."""

    name: str
    middle: Points
    low: Points
    high: Points


@dataclass(frozen=True)
class Curves:
    """panels: (adversary, its lines); guessing: what a guess gets right."""

    caption: str
    panels: tuple[tuple[str, tuple[Line, ...]], ...]
    guessing: float

    @property
    def names(self) -> tuple[str, ...]:
        """The protections in any panel."""
        return tuple(sorted({line.name for _, lines in self.panels for line in lines}, key=by_protection))


def curves(records: Sequence[Result]) -> tuple[Curves, ...]:
    """A panel for each adversary with a line for each protection: a number is read against clean in its own panel.

    For every setting without clean shares and named surrogates, where there are two protections to compare.
    """
    plain = [record for record in records if record.cell.surrogate is None and record.cell.rate == 1]
    settings = sorted(grouped(plain, lambda record: Setting.of(record.cell)).items(), key=lambda item: item[0].order)
    drawn = [_curves(setting, found) for setting, found in settings]
    return tuple(found for found in drawn if len(found.names) > 1)


def _curves(setting: Setting, records: Sequence[Result]) -> Curves:
    adversaries = grouped(records, lambda record: record.cell.adversary)
    panels = []
    for adversary in sorted(adversaries, key=by_adversary):
        names = grouped(adversaries[adversary], lambda record: label(record.cell))
        panels.append((adversary, tuple(_line(name, names[name]) for name in sorted(names, key=by_protection))))
    return Curves(setting.words(), tuple(panels), 1 / records[0].provenance["classes"])


def _line(name: str, records: Sequence[Result]) -> Line:
    """Over the seeds that got as far: training that broke down ends early."""
    longest = max(len(record.test_acc) for record in records)
    there = [[r.test_acc[epoch] for r in records if epoch < len(r.test_acc)] for epoch in range(longest)]
    return Line(name, tuple(map(mean, there)), tuple(map(min, there)), tuple(map(max, there)))
