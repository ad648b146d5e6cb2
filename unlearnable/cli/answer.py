"""What a verb says at its end."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """As JSON, as text, and the names and reasons of what failed; unwell: finished, but not all is well (exit 1);
    advice: one line on what to do otherwise next time, or nothing."""

    json: dict[str, Any]
    text: str
    failures: Iterable[tuple[str, str]] = ()
    unwell: bool = False
    advice: str = ""
