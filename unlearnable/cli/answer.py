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


def printable(text: str) -> str:
    """The text in one line that a terminal can show: line breaks, control characters, lone surrogates escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
