"""Packages that only some need: imported where they are used; where they are missing, what to install is said."""

import importlib
from typing import Any


def imported(library: str, what: str, extra: str) -> Any:
    """The package `library`, which `what` needs. Raises ValueError naming the extra that brings it."""
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise ValueError(f"{what} needs {library} ({error}): pip install 'unlearnable[{extra}]'") from None
