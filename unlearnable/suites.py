"""The suites: what the project's own tables are measured on. Each is a function that returns the cells of a tier."""

from collections.abc import Callable

from unlearnable.experiment import CLEAN, Cell

MAIN = ("lsp", "lsp:paper", "class_filters", "random", "random:class")


def main(tier: str) -> list[Cell]:
    """Every protection against standard training, with its controls, three seeds."""
    em = ("em:quick", "em:class-quick") if tier == "quick" else ("em", "em:class")
    size = (
        {"dataset": "cifar10-quick"} if tier == "quick" else {"dataset": "cifar10", "model": "resnet18", "epochs": 60}
    )
    return [Cell(protection=method, seed=seed, **size) for method in (CLEAN, *em, *MAIN) for seed in range(3)]


TIERS = ("quick", "full")
SUITES: dict[str, Callable[[str], list[Cell]]] = {"main": main}


def cells(suite: str, tier: str) -> list[Cell]:
    """The cells of a suite. Raises ValueError naming the suites and tiers there are."""
    if suite not in SUITES:
        raise ValueError(f"suite must be one of {', '.join(SUITES)}, got {suite!r}")
    if tier not in TIERS:
        raise ValueError(f"tier must be one of {', '.join(TIERS)}, got {tier!r}")
    return SUITES[suite](tier)
