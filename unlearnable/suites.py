"""The suites: what the project's own tables are measured on. Each is a function that returns the cells of a tier."""

from collections.abc import Callable

from unlearnable.experiment import CLEAN, Cell

MAIN = ("lsp", "lsp:paper", "class_filters", "random", "random:class")
MATRIX = ("em", "em:class", "lsp", "class_filters")
ADVERSARIES = (
    "standard", "early_stop", "mixup", "cutmix", "cutout", "gaussian", "mean", "median", "bilateral", "resize",
    "bitdepth", "grayscale", "jpeg", "orthogonal", "coin", "augmented", "ueraser:lite", "ueraser", "ueraser:max",
    "adversarial", "distill",
)  # fmt: skip
QUICK = {"em": "em:quick", "em:class": "em:class-quick", "tap": "tap:quick", "adversarial": "adversarial:4/255,4"}


def main(tier: str) -> list[Cell]:
    """Every protection against standard training, with its controls, three seeds."""
    methods = (CLEAN, "em", "em:class", *MAIN)
    return [_cell(tier, method, "standard", seed) for method in methods for seed in range(3)]


def matrix(tier: str) -> list[Cell]:
    """Five protections and clean images against every adversary, one seed."""
    return [_cell(tier, method, adversary, 0) for method in (CLEAN, *MATRIX) for adversary in ADVERSARIES]


def agreement(tier: str) -> list[Cell]:
    """The effects that the field agrees on, three seeds: what undoes which protection."""
    pairs = (
        ("em", "grayscale"), ("em", "ueraser"), ("em", "adversarial"), ("em:class", "orthogonal")
    )  # fmt: skip
    shown = [(method, "standard") for method in (CLEAN, "em", "em:class")]
    shown += [pair for method, adversary in pairs for pair in ((method, adversary), (CLEAN, adversary))]
    return [_cell(tier, method, adversary, seed) for method, adversary in shown for seed in range(3)]


def _cell(tier: str, method: str, adversary: str, seed: int) -> Cell:
    """A cell at the size of the tier: the quick tier has a small CNN and short schedules, the full one ResNet-18."""
    if tier == "full":
        return Cell("cifar10", method, adversary, "resnet18", seed, epochs=60)
    return Cell("cifar10-quick", QUICK.get(method, method), QUICK.get(adversary, adversary), seed=seed)


TIERS = ("quick", "full")
SUITES: dict[str, Callable[[str], list[Cell]]] = {"main": main, "matrix": matrix, "agreement": agreement}


def cells(suite: str, tier: str) -> list[Cell]:
    """The cells of a suite. Raises ValueError naming the suites and tiers there are."""
    if suite not in SUITES:
        raise ValueError(f"suite must be one of {', '.join(SUITES)}, got {suite!r}")
    if tier not in TIERS:
        raise ValueError(f"tier must be one of {', '.join(TIERS)}, got {tier!r}")
    return SUITES[suite](tier)
