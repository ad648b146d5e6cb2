"""The tables of the universal generator: on pictures it never saw, with other labels, against adversaries."""

from pathlib import Path

from unlearnable import suites, tables
from unlearnable.experiment import CLEAN, Cell
from unlearnable.suites.universal import ELSEWHERE, SHIPPED

COMPARED = (CLEAN, "random", *ELSEWHERE["quick"], SHIPPED)
TITLES = ("clean", "random noise", "the paper's loss", "clusters", "shipped", "of clean")


def table(records: Path, suite: str) -> str:
    """Test accuracies of a suite's quick tier by what was measured: a row for every victim with clean and protected."""
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for record in tables.read(records, suites.cells(suite, "quick")):
        found.setdefault(_row(record.cell), {})[record.cell.protection] = record.test_acc[-1]
    lines = [
        f"| {' | '.join((*row, *_accuracies(accuracies)))} |"
        for row, accuracies in found.items()
        if CLEAN in accuracies and SHIPPED in accuracies
    ]
    if not lines:
        return "None measured yet."
    head = ("pictures", "network", "adversary", *TITLES)
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines])


def _row(cell: Cell) -> tuple[str, str, str]:
    labels = f", {cell.relabel}" if cell.relabel else ""
    return f"{cell.dataset}{labels}", str(cell.model), cell.adversary


def _accuracies(found: dict[str, float]) -> list[str]:
    known = [f"{found[method]:.3f}" if method in found else "-" for method in COMPARED]
    return [*known, f"{found[SHIPPED] / found[CLEAN]:.2f}"]
