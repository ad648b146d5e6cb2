"""The protections: one paper per file. A protection says what to do; fitting it gives a Perturbation."""

import hashlib
import sys
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from unlearnable import perturbation
from unlearnable.data import ImageSet
from unlearnable.perturbation import Perturbation
from unlearnable.pixels import Budget
from unlearnable.protections import one_for_all
from unlearnable.protections.aap import AAP
from unlearnable.protections.ar import AR
from unlearnable.protections.aue import AUE
from unlearnable.protections.class_filters import ClassFilters
from unlearnable.protections.clusters import Clusters
from unlearnable.protections.collapse import Collapse
from unlearnable.protections.cp import CP
from unlearnable.protections.dune import DUNE
from unlearnable.protections.em import EM
from unlearnable.protections.game import Game
from unlearnable.protections.hypocritical import Hypocritical
from unlearnable.protections.lsp import LSP
from unlearnable.protections.ntga import NTGA
from unlearnable.protections.one_for_all import OneForAll
from unlearnable.protections.ops import OPS
from unlearnable.protections.pil import PIL
from unlearnable.protections.pue import PUE
from unlearnable.protections.random import Random
from unlearnable.protections.rem import REM
from unlearnable.protections.sem import SEM
from unlearnable.protections.sep import SEP
from unlearnable.protections.tap import TAP
from unlearnable.protections.tue import TUE
from unlearnable.protections.uge import UGE
from unlearnable.run import Run


@runtime_checkable
class Protection(Protocol):
    """A frozen dataclass of hyper-parameters; its defaults are the paper's CIFAR-10 setting where its docstring does
    not say otherwise.

    needs_labels: it cannot be fitted without any; needs_images: fitting looks at pixels, not only at labels;
    transfers: what was fitted also protects images it never saw; presets: other settings by name.
    """

    needs_images: ClassVar[bool]
    presets: ClassVar[dict[str, dict[str, Any]]]

    @property
    def budget(self) -> Budget: ...

    @property
    def needs_labels(self) -> bool: ...

    @property
    def transfers(self) -> bool: ...

    def fit(self, data: ImageSet, run: Run) -> Perturbation: ...


PROTECTIONS: dict[str, type[Protection]] = {
    "one_for_all": OneForAll,
    "uge": UGE,
    "collapse": Collapse,
    "em": EM,
    "rem": REM,
    "sem": SEM,
    "tap": TAP,
    "hypocritical": Hypocritical,
    "aue": AUE,
    "aap": AAP,
    "sep": SEP,
    "cp": CP,
    "tue": TUE,
    "pil": PIL,
    "dune": DUNE,
    "pue": PUE,
    "game": Game,
    "ntga": NTGA,
    "lsp": LSP,
    "ar": AR,
    "ops": OPS,
    "class_filters": ClassFilters,
    "clusters": Clusters,
    "random": Random,
}
SHIPPED = {"one_for_all": one_for_all.SHIPPED}
"""Protections that need no fitting: the folders of their weights."""


def protection(name: str, **values: Any) -> Protection:
    """The protection of that name, or name:preset, with the given hyper-parameters instead of its own.

    Raises ValueError naming what is allowed.
    """
    method, colon, preset = name.partition(":")
    if method not in PROTECTIONS:
        raise ValueError(f"method must be one of {', '.join(PROTECTIONS)}, got {method!r}")
    cls = PROTECTIONS[method]
    if colon and preset not in cls.presets:
        raise ValueError(f"preset of {method} must be one of {', '.join(cls.presets) or 'none'}, got {preset!r}")
    chosen = cls.presets.get(preset, {}) | values
    allowed = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(chosen) - allowed):
        raise ValueError(f"{method} has no {', '.join(unknown)}: it takes {', '.join(sorted(allowed))}")
    if isinstance(chosen.get("budget"), dict):
        chosen["budget"] = Budget(**chosen["budget"])
    of_json = {name: tuple(value) if isinstance(value, list) else value for name, value in chosen.items()}
    return cls(**of_json)


def describe(method: Protection) -> dict[str, Any]:
    """The protection as JSON values: `protection(**described)` makes it again."""
    name = next(name for name, cls in PROTECTIONS.items() if cls is type(method))
    return {"name": name} | asdict(method)  # type: ignore[call-overload,no-any-return]


def shipped_weights(method: Protection) -> str | None:
    """A digest of the weights of this package that a method begins with; None where it begins with none."""
    if getattr(method, "init", None) != "shipped":
        return None
    return _digest(SHIPPED[str(describe(method)["name"])] / perturbation.WEIGHTS)


@cache
def _digest(weights: Path) -> str:
    """Of a file of this package: every key of every cell asks for it."""
    return hashlib.blake2b(weights.read_bytes(), digest_size=8).hexdigest()


def paper(name: str) -> str:
    """The citation on the first line of the file that the protection of that name lives in."""
    return (sys.modules[PROTECTIONS[name].__module__].__doc__ or "").strip().partition("\n")[0]
