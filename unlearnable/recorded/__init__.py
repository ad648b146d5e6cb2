"""What this project's records say of a protection, and who gets back what one took."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from unlearnable.adversaries import STANDARD
from unlearnable.flags import LEAST_EFFECT
from unlearnable.protections import SHIPPED

RECORDS = Path(__file__).parent / "records.json"
"""Means of the committed records by method, written by `python -m benchmarks.known`."""
UNDONE, PARTLY = 2 / 3, 1 / 3


@dataclass(frozen=True)
class Undoing:
    """Who undoes a protection. clean, standard: accuracy of ordinary training on originals and on protected pictures;
    undone, partly: adversaries who get back two thirds or more, or a third or more, of the difference, with what they
    reach, the worst for the owner first; withstood: the others; hindered: whether ordinary training lost anything.
    """

    clean: float
    standard: float
    undone: dict[str, float]
    partly: dict[str, float]
    withstood: dict[str, float]

    @property
    def tried(self) -> bool:
        """Whether anybody but ordinary training was measured."""
        return bool(self.undone or self.partly or self.withstood)

    @property
    def hindered(self) -> bool:
        """Whether ordinary training learned noticeably less."""
        return self.clean - self.standard >= LEAST_EFFECT


def undoing(
    clean: float,
    standard: float,
    reached: Mapping[str, float],
    against: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> Undoing:
    """Sorts adversaries by what they reach on the protected pictures, against ordinary training on the originals.
    against: other values of `clean` and `standard` for some adversaries, those of the same seeds.
    """
    groups: tuple[dict[str, float], ...] = ({}, {}, {})
    both = {"clean": clean, "standard": standard}
    for name, accuracy in sorted(reached.items(), key=lambda item: -item[1]):
        own = against.get(name, both)
        back = (accuracy - own["standard"]) / max(own["clean"] - own["standard"], 1e-9)
        groups[0 if back >= UNDONE else 1 if back >= PARTLY else 2][name] = accuracy
    return Undoing(clean, standard, *groups)


@dataclass(frozen=True)
class Recorded:
    """What the records say of a method. named: the method or preset that they are of; setting: its budget, data set,
    network and the number of seeds of each adversary; survival: accuracy by operation, those of clean pictures beside
    them, where it was measured.
    """

    named: str
    setting: dict[str, Any]
    found: Undoing | None
    survival: dict[str, Any] | None


def recorded(method: str, protection: str) -> Recorded | None:
    """The records of a method as it was named, else of another preset of it; None where there are none."""
    every = _records()
    kind = protection or method.partition(":")[0]
    exact = [name for name in (method, f"{method}:shipped") if name in every and (name == method or method in SHIPPED)]
    fitting = exact or sorted(
        (name for name in every if name.partition(":")[0] == kind),
        key=lambda name: (-len(every[name].get("adversaries", {})), name),
    )
    if not fitting:
        return None
    said = every[fitting[0]]
    others = {name: value for name, value in said.get("adversaries", {}).items() if name != STANDARD}
    found = None
    if "clean" in said:
        found = undoing(said["clean"], said["adversaries"][STANDARD], others, said["against"])
    setting: dict[str, Any] = {
        name: said[name]
        for name in ("norm", "eps", "dataset", "model", "epochs", "seeds", "commits", "dates")
        if name in said
    }
    return Recorded(fitting[0], setting, found, said.get("survival"))


@cache
def _records() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(RECORDS.read_text())
    return found
