"""What the fields of a protection may hold, said by their types and checked whenever one is made.

`int` counts something: 1 or more, 0 or more where `Natural`, 2 where `Plural`. `float` is a weight: 0 or more, above 0
where `Positive` (a rate, a size, a divisor), 0 to 1 where `Share`, anything finite where `Signed`. A Literal holds one
of its words.
"""

import math
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Within:
    """The range of a number. above: whether `least` itself is left out."""

    least: float
    most: float = math.inf
    above: bool = False

    def check(self, name: str, value: Any) -> None:
        """Raises ValueError for a number outside, naming the field."""
        if math.isfinite(value) and self.least <= value <= self.most and not (self.above and value == self.least):
            return
        if self.most < math.inf:
            words = f"{self.least:g} to {self.most:g}"
        elif self.least == -math.inf:
            words = "finite"
        else:
            words = f"above {self.least:g}" if self.above else f"{self.least:g} or more"
        raise ValueError(f"{name} must be {words}, got {value!r}")


Natural = Annotated[int, Within(0.0)]
Plural = Annotated[int, Within(2.0)]
Positive = Annotated[float, Within(0.0, above=True)]
Share = Annotated[float, Within(0.0, 1.0)]
Signed = Annotated[float, Within(-math.inf)]
_USUAL = {int: Within(1.0), float: Within(0.0)}


class Checked:
    """A method whose fields hold what their types allow. Heirs with a check of their own call this one first."""

    def __post_init__(self) -> None:
        """Raises ValueError naming the field, what is allowed and what it holds."""
        for name, hint in _hints(type(self)).items():  # type: ignore[arg-type]
            value = getattr(self, name, None)
            if get_origin(hint) is Literal:
                _check_word(name, value, get_args(hint))
            elif value is not None:
                _check_number(name, value, hint)


class Staged(Checked):
    """A method whose class names what it draws, saves and reports: an heir has a name of its own."""

    @property
    def stage(self) -> str:
        """What its random numbers and checkpoints are called by."""
        return type(self).__name__.lower()


@cache
def _hints(method: type) -> dict[str, Any]:
    """Of a class: tables make its instances by the thousand."""
    return get_type_hints(method, include_extras=True)


def _check_word(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        *others, last = map(repr, allowed)
        raise ValueError(f"{name} must be {', '.join(others)} or {last}, got {value!r}")


def _check_number(name: str, value: Any, hint: Any) -> None:
    """Of what is no number, nothing is known here."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for kind in kinds:
        number, allowed = get_args(kind) if get_origin(kind) is Annotated else (kind, _USUAL.get(kind))
        if not isinstance(allowed, Within):
            continue
        if isinstance(value, bool) or not isinstance(value, Integral if number is int else Real):
            raise ValueError(f"{name} must be a {'whole number' if number is int else 'number'}, got {value!r}")
        allowed.check(name, value)
