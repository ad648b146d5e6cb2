"""The project's own tables of the universal generator: on pictures that it was not fitted to, and without a label.

`one_for_all:shipped` is the generator that `protect` uses. Beside it, fitted on pictures of 100 other classes: the
paper's own loss on the same encoder and generator, and `clusters` on the same encoder.
"""

from dataclasses import replace

from unlearnable.experiment import CLEAN, Cell
from unlearnable.suites.own import VICTIMS
from unlearnable.suites.sizes import EPOCHS
from unlearnable.suites.suite import Suite

STRANGERS = {
    "quick": {"imagenette-64": 30, "places20-64": 30, "cifar10-quick": 12, "imagenette-128": 30, "places20": 30},
    "full": {
        "imagenette-64": EPOCHS,
        "places20-64": EPOCHS,
        "cifar10": EPOCHS,
        "imagenette": EPOCHS,
        "places20": EPOCHS,
    },
}
"""Data sets of each tier, and how many epochs victims take on them."""
UNFIT = {"imagenette-64": "resnet18", "places20-64": "resnet18", "imagenette-128": "resnet20", "places20": "resnet20"}
"""The victim that the quick tier leaves out where it keeps the full resolution, and a cell takes a core up to an hour:
ResNet-18 does so below 128 pixels, ResNet-20 always.
"""
CHEAP = ("random", "clusters:quick", "one_for_all:discriminant-quick")
"""What the quick tier measures with the cheapest victim alone."""
SHIPPED, TUNED = "one_for_all:shipped", "one_for_all:tuned"
ELSEWHERE: dict[str, dict[str, float | None]] = {
    "quick": {"one_for_all:discriminant-quick": None, "clusters:quick": None},
    "full": {"one_for_all:discriminant": None, "clusters": 8 / 255},
}
"""Methods that are fitted elsewhere, with the budget of those whose own is not 8/255."""
FITTED_ON = {"quick": "tin100-64-quick", "full": "tin100-64"}
ADVERSARIES = ("subtract", "mixup", "gaussian", "orthogonal", "grayscale", "jpeg:75", "ueraser")
MERGED = {"imagenette-64": "names:5", "places20-64": "names:10", "cifar10-quick": "names:5"}


def universal(tier: str) -> list[Cell]:
    """Data sets x victims: the shipped generator, what it competes with, and the controls; delta = 0 once."""
    first, epochs_there = next(iter(STRANGERS[tier].items()))
    nothing = Cell(first, SHIPPED, model=VICTIMS[tier][0], epochs=epochs_there, eps=0.0)
    shown = [
        replace(cell, model=model)
        for model in VICTIMS[tier]
        for name, epochs in STRANGERS[tier].items()
        if tier == "full" or UNFIT.get(name) != model
        for cell in (*_plain(name, epochs), *_elsewhere(tier, name, epochs))
        if tier == "full" or model == VICTIMS[tier][0] or cell.protection not in CHEAP
    ]
    return [*shown, nothing]


def relabelled(tier: str) -> list[Cell]:
    """The same where the adversary merges the classes by what their names mean."""
    known = {name: groups for name, groups in MERGED.items() if name in STRANGERS[tier]}
    return [
        replace(cell, relabel=groups)
        for name, groups in known.items()
        for cell in (*_plain(name, STRANGERS[tier][name]), *_elsewhere(tier, name, STRANGERS[tier][name]))
    ]


def hardened(tier: str) -> list[Cell]:
    """The shipped generator against adversaries, on merged labels."""
    return [
        replace(cell, adversary=adversary)
        for adversary in ADVERSARIES
        for cell in relabelled(tier)
        if cell.dataset == "imagenette-64" and cell.protection in (CLEAN, SHIPPED)
    ]


def tuned(tier: str) -> list[Cell]:
    """The shipped generator as it is, and after some passes over the very pictures that it protects."""
    own = ("imagenette-64", *(name for name in STRANGERS[tier] if name.startswith("cifar10")))
    return [
        Cell(name, method, epochs=STRANGERS[tier][name]) for name in own for method in (CLEAN, SHIPPED, TUNED)
    ]  # fmt: skip


def _plain(name: str, epochs: int) -> list[Cell]:
    return [Cell(name, method, epochs=epochs) for method in (CLEAN, "random", SHIPPED)]


def _elsewhere(tier: str, name: str, epochs: int) -> list[Cell]:
    return [
        Cell(name, method, epochs=epochs, fitted_on=FITTED_ON[tier], eps=eps) for method, eps in ELSEWHERE[tier].items()
    ]


SUITES: dict[str, Suite] = {
    "universal": Suite("The universal generator on pictures it never saw", universal),
    "universal-labels": Suite("The same, and the adversary has other labels", relabelled),
    "universal-tuned": Suite("The universal generator, tuned to the pictures it protects", tuned),
    "universal-adversaries": Suite("The same, and the adversary works against it", hardened),
}
