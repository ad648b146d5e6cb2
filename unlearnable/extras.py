"""Packages that only some need: imported where they are used; where they are missing, what to install is said."""

import importlib
from typing import Any

_MOST = 300  # characters of what a library says


def imported(library: str, what: str, extra: str) -> Any:
    """The package `library`, which `what` needs. Raises ValueError naming the extra that brings it."""
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise ValueError(f"{what} needs {library} ({error}): pip install 'unlearnable[{extra}]'") from None


def told(error: Exception) -> str:
    """What went wrong in a package whose exceptions are its own, in one line: which, and what it says."""
    return " ".join(f"{type(error).__name__} {error}".split())[:_MOST]
