"""Hyper-parameters that are one of a few words."""

from typing import Literal, get_args, get_origin, get_type_hints


def check_words(method: object) -> None:
    """Raises ValueError for a field declared as a Literal that holds another word."""
    for name, allowed in get_type_hints(type(method)).items():
        if get_origin(allowed) is Literal and getattr(method, name) not in get_args(allowed):
            *others, last = map(repr, get_args(allowed))
            raise ValueError(f"{name} must be {', '.join(others)} or {last}, got {getattr(method, name)!r}")
