"""Makes image collections useless for training that their owner did not allow, and measures how well that worked."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers; at run time the same names are imported when first used
    from unlearnable.adversaries import ADVERSARIES as ADVERSARIES
    from unlearnable.adversaries import adversary as adversary
    from unlearnable.data import ImageSet as ImageSet
    from unlearnable.data import load_labelled as load_labelled
    from unlearnable.experiment import evaluate as evaluate
    from unlearnable.job import Job as Job
    from unlearnable.job import protect as protect
    from unlearnable.job import verify as verify
    from unlearnable.packs import load_dataset as load_dataset
    from unlearnable.perturbation import apply as apply
    from unlearnable.pixels import Budget as Budget
    from unlearnable.pixels import release as release
    from unlearnable.pretrained import FittedProtection as FittedProtection
    from unlearnable.protections import PROTECTIONS as PROTECTIONS
    from unlearnable.protections import protection as protection
    from unlearnable.run import Run as Run
    from unlearnable.training import Recipe as Recipe

__version__ = "0.1.0"

_HOMES = {
    "adversaries": ("ADVERSARIES", "adversary"),
    "data": ("ImageSet", "load_labelled"),
    "experiment": ("evaluate",),
    "job": ("Job", "protect", "verify"),
    "packs": ("load_dataset",),
    "perturbation": ("apply",),
    "pixels": ("Budget", "release"),
    "pretrained": ("FittedProtection",),
    "protections": ("PROTECTIONS", "protection"),
    "run": ("Run",),
    "training": ("Recipe",),
}


def __getattr__(name: str) -> Any:
    """Imported when first used: `unlearnable --help` does not wait for PyTorch."""
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'unlearnable' has no attribute {name!r}")
    return getattr(importlib.import_module(f"unlearnable.{home}"), name)


def __dir__() -> list[str]:
    return sorted(["__version__", *(name for names in _HOMES.values() for name in names)])
