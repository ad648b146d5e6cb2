"""What hyper-parameters may be: one of a few words, or a number within a range."""

import math
from typing import Literal, get_args, get_origin, get_type_hints

# counts of which 0 means none, or as many as fit
_MAY_BE_ZERO = frozenset({"attack_steps", "blocks", "downs", "noise_batches", "padding", "refresh", "shift", "similar",
                          "train_batches", "views"})  # fmt: skip
# real numbers of which 0 would undo the method: rates, sizes, divisors
_ABOVE_ZERO = frozenset({"answer_lr", "blur", "class_sep", "lr", "overdrive", "score_step_size", "sigma", "step_size",
                         "surrogate_lr", "temperature", "time", "victim_lr"})  # fmt: skip
_ANY = frozenset({"stop_error"})  # below 0: never


def check_words(method: object) -> None:
    """Raises ValueError for a field declared as a Literal that holds another word."""
    for name, allowed in get_type_hints(type(method)).items():
        if get_origin(allowed) is Literal and getattr(method, name) not in get_args(allowed):
            *others, last = map(repr, get_args(allowed))
            raise ValueError(f"{name} must be {', '.join(others)} or {last}, got {getattr(method, name)!r}")


def check_numbers(method: object) -> None:
    """Raises ValueError for a field that holds a number outside its range: what one counts is 1 or more, a rate or size
    above 0, a weight 0 or more; a count that may be None may be 0 where `init` says what is there without any."""
    for name, allowed in get_type_hints(type(method)).items():
        value = getattr(method, name, None)
        if isinstance(value, bool) or not isinstance(value, int | float) or name in _ANY:
            continue
        whole = allowed is int or int in get_args(allowed)
        given = allowed is not int and getattr(method, "init", None) is not None
        least = 1 if whole and not given and name not in _MAY_BE_ZERO else 0
        above = not whole and name in _ABOVE_ZERO
        if not math.isfinite(value) or value < least or (above and value == 0):
            raise ValueError(f"{name} must be {f'above {least}' if above else f'{least} or more'}, got {value!r}")
