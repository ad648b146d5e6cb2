"""Suite: the cells of one table, and what its paper reports of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from unlearnable.experiment import CLEAN, CONTROLS, Cell
from unlearnable.packs import DATASETS
from unlearnable.protections import PROTECTIONS
from unlearnable.suites.sizes import SMALL, quick

Figures = dict[Cell, float]


@dataclass(frozen=True)
class Suite:
    """A table to be measured: called with a tier it lists its cells.

    source: the paper and its table, empty for the project's own; published: tier -> test accuracy (0..1) of the cells
    that the paper has a figure for, those included that cannot be built yet; shown: the paper's data set whose figures
    the quick tier has beside its own.
    """

    title: str
    listed: Callable[[str], list[Cell]]
    source: str = ""
    published: Callable[[str], Figures] = lambda tier: {}
    shown: str = ""

    def __call__(self, tier: str) -> list[Cell]:
        return self.listed(tier)


def paper(
    title: str, source: str, figures: Iterable[tuple[Cell, float]], shown: str = "cifar10", radius: str | None = None,
    also: Iterable[Cell] = (),
) -> Suite:  # fmt: skip
    """The suite of a table of a paper: its cells at full size with their figures.

    What cannot be built today is not listed. Every condition of the table is listed with its controls, whether or not
    the paper has them; random noise where nobody has anything of the protector's. shown: the data set whose rows the
    quick tier has, on its own one data set; radius: of that tier's adversarial training, where it is not the paper's;
    also: cells of full size to be listed without a figure.
    """
    full, more = dict(figures), list(also)

    def sized(tier: str, cells: Iterable[Cell]) -> dict[Cell, Cell]:
        """The cells of a tier, with what they are at full size."""
        if tier == "full":
            return {cell: cell for cell in cells}
        small = [cell for cell in cells if {cell.model, cell.surrogate or cell.model} <= SMALL.keys()]
        return {quick(cell, radius): cell for cell in small if cell.dataset == shown}

    def published(tier: str) -> Figures:
        return {cell: full[whole] for cell, whole in sized(tier, full).items()}

    def listed(tier: str) -> list[Cell]:
        cells = list(sized(tier, [*full, *more]))
        controls = [
            replace(cell.control, protection=control)
            for cell in cells
            for control in (CONTROLS if not _taught(cell) else (CLEAN,))
        ]
        return [cell for cell in dict.fromkeys(controls + cells) if buildable(cell)]

    return Suite(title, listed, source, published, shown)


def _taught(cell: Cell) -> bool:
    """Whether the victim has weights or answers of the protector's."""
    return cell.adversary.partition(":")[0] in ("authorised", "distill")


def buildable(cell: Cell) -> bool:
    """Whether the data sets and the protection that a cell names are there: as the tables say, not a list of ours."""
    known = cell.protection == CLEAN or cell.protection.partition(":")[0] in PROTECTIONS
    if not known or not {cell.dataset, cell.fitted_on or cell.dataset} <= DATASETS.keys():
        return False
    try:
        return cell.method is not None or cell.protection == CLEAN
    except ValueError:  # no such preset, or no surrogate to choose
        return False


def typed(text: str) -> Iterator[tuple[tuple[str, ...], str, float]]:
    """(words at the left, column, accuracy in 0..1) of a table typed in per cent; the first line names the columns.

    A dash is a figure that the paper does not give. Raises ValueError where a line has too few figures.
    """
    head, *lines = text.strip().splitlines()
    columns = head.split()
    for line in lines:
        words = line.split()
        left = len(words) - len(columns)
        for column, word in zip(columns, words[left:] if left >= 0 else (), strict=True):
            if word != "-":
                yield tuple(words[:left]), column, round(float(word) / 100, 4)
