"""The suites: lists of cells by name: the project's own, and the papers' tables with their figures.

| module | suites | of |
|---|---|---|
| own | main, matrix, agreement, rates, victims, robust, resolution, selfsupervised, ablation | this project's |
| universal | universal, universal-labels, universal-tuned, universal-adversaries | the shipped generator |
| uge | uge-table-1 to -3; authorised, authorised-harder, authorised-several, uge-figure-3 | Ungeneralizable Examples |
| collapse | collapse-table-1 to -6 | transferable unlearnable examples by data collapse |
| one_for_all | one-for-all-table-1 to -3 | One for All |
| iss | iss-table | image shortcut squeezing |
"""

from unlearnable.experiment import Cell
from unlearnable.suites import collapse, iss, one_for_all, own, uge, universal
from unlearnable.suites.own import agreement, main, matrix
from unlearnable.suites.sizes import TIERS
from unlearnable.suites.suite import Suite

__all__ = ["SUITES", "TIERS", "Suite", "agreement", "cells", "main", "matrix", "published"]

SUITES: dict[str, Suite] = {
    **own.SUITES,
    **universal.SUITES,
    **uge.SUITES,
    **collapse.SUITES,
    **one_for_all.SUITES,
    **iss.SUITES,
}
"""By name; a suite lists the cells of a tier."""


def cells(suite: str, tier: str) -> list[Cell]:
    """The cells of a suite that can be measured today. Raises ValueError naming the suites and tiers there are."""
    return _known(suite, tier)(tier)


def published(suite: str, tier: str) -> dict[Cell, float]:
    """The accuracy (0..1) that the paper reports for each cell of its table, those included that cannot be built yet;
    empty for the project's own suites. Raises ValueError as `cells` does.
    """
    return _known(suite, tier).published(tier)


def _known(suite: str, tier: str) -> Suite:
    if suite not in SUITES:
        raise ValueError(f"suite must be one of {', '.join(SUITES)}, got {suite!r}")
    if tier not in TIERS:
        raise ValueError(f"tier must be one of {', '.join(TIERS)}, got {tier!r}")
    return SUITES[suite]
