"""The victims of an evaluation, by who trained them: what seeds share, in the order that matters to the owner."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

from unlearnable.experiment import Evaluation, Row, flags_of, rows_of


@dataclass(frozen=True)
class Outcome:
    """An adversary with a model, all its seeds. flags: those that doubt it, where the sizes are known."""

    adversary: str
    model: str
    rows: tuple[Row, ...]
    flags: tuple[str, ...]

    def values(self, name: str) -> list[float]:
        """A column of the rows, without those where it does not apply."""
        found = [getattr(row, name) for row in self.rows]
        return [value for value in found if value is not None]

    def mean(self, name: str) -> float:
        """The mean of a column."""
        return mean(self.values(name))

    @property
    def clean(self) -> float:
        """Accuracy after training on the originals."""
        return self.mean("clean_acc")

    @property
    def protected(self) -> float:
        """Accuracy after training on the protected images."""
        return self.mean("protected_acc")

    @property
    def alone(self) -> float | None:
        """Accuracy after training on the unprotected share alone, where not all images were protected."""
        return self.mean("clean_part_acc") if self.values("clean_part_acc") else None


def outcomes(evaluation: Evaluation) -> list[Outcome]:
    """One for each adversary and model: the one that gets most out of the protected images first.

    Raises ValueError for an evaluation without rows.
    """
    if not evaluation.rows:
        raise ValueError("an evaluation without rows has nothing to report: name an adversary and a model at least")
    kinds = dict.fromkeys((row.adversary, row.model) for row in evaluation.rows)
    found = [_outcome(kind, rows_of(evaluation.rows, *kind), evaluation.sizes) for kind in kinds]
    return sorted(found, key=lambda outcome: -outcome.protected)


def _outcome(kind: tuple[str, str], rows: Sequence[Row], sizes: dict[str, int]) -> Outcome:
    found = Outcome(*kind, tuple(rows), ())
    if not {"classes", "tests"} <= sizes.keys():
        return found
    return replace(found, flags=tuple(flags_of(rows, sizes)))
