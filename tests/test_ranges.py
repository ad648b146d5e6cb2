"""Numbers that a hyper-parameter may be: refused by name where it is first read, not by a traceback of what uses it."""

import math
import re
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal, get_type_hints

import pytest
from commands import Command, refused

from unlearnable.protections import PROTECTIONS, describe, protection
from unlearnable.protections._fields import Checked, Natural, Positive, Share


@pytest.mark.parametrize("method", PROTECTIONS)
def test_every_preset_is_within_the_ranges(method: str) -> None:
    for name in (method, *(f"{method}:{preset}" for preset in PROTECTIONS[method].presets)):
        made = protection(name)
        assert protection(**describe(made)) == made


@pytest.mark.parametrize("method", PROTECTIONS)
def test_no_number_of_any_method_may_be_below_what_it_means(method: str) -> None:
    kinds = get_type_hints(PROTECTIONS[method])
    for name in (field.name for field in fields(PROTECTIONS[method]) if field.name != "stop_error"):
        for wrong in (-1, -1.0, math.nan):
            if kinds[name] in (type(wrong), type(wrong) | None):
                for make in (PROTECTIONS[method], partial(protection, method)):
                    with pytest.raises(ValueError, match=rf"{name}|an epoch"):
                        make(**{name: wrong})


@dataclass(frozen=True)
class Plain(Checked):
    """A method that no type checker looks at: only its own check does."""

    steps: int = 1
    lr: Positive = 0.1
    share: Share = 0.5
    start: Natural | None = None
    scope: Literal["sample", "class"] = "sample"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"steps": 1.5}, "steps must be a whole number, got 1.5"),
        ({"steps": True}, "steps must be a whole number, got True"),
        ({"lr": "0.1"}, "lr must be a number, got '0.1'"),
        ({"lr": 0}, "lr must be above 0, got 0"),
        ({"share": 1.5}, "share must be 0 to 1, got 1.5"),
        ({"start": -1}, "start must be 0 or more, got -1"),
        ({"scope": "image"}, "scope must be 'sample' or 'class', got 'image'"),
    ],
)
def test_a_field_holds_what_its_type_allows(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Plain(**values)
    assert Plain(steps=2, lr=1, start=0, share=1).start == 0


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("cp", {"train_batches": 0, "noise_batches": 0}),
        ("uge", {"refresh": 0, "steps": None}),
        ("one_for_all", {"init": "shipped", "steps": 0}),
        ("em", {"stop_error": -1.0, "momentum": 0.0}),
    ],
)
def test_what_zero_or_nothing_means_stays_allowed(method: str, values: dict[str, object]) -> None:
    assert vars(protection(method, **values)).items() >= values.items()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", "lsp", "a", "b", "--size", "-3"], "size must be 1 to 1024, got -3"),
        (["fit", "lsp", "a", "b", "--size", "0"], "size must be 1 to 1024, got 0"),
        (["fit", "lsp", "a", "b", "--size", "100000"], "size must be 1 to 1024, got 100000"),
        (["fit", "lsp", "a", "b", "--patch", "0"], "patch must be 1 or more, got 0"),
        (["fit", "lsp", "a", "b", "--overdrive", "-1"], "overdrive must be above 0, got -1.0"),
        (["fit", "em:quick", "a", "b", "--batch", "0"], "batch must be 1 or more, got 0"),
        (["fit", "em:quick", "a", "b", "--lr", "-1"], "lr must be above 0, got -1.0"),
        (["fit", "em:quick", "a", "b", "--rounds", "0"], "rounds must be 1 or more, got 0"),
        (["fit", "tap:quick", "a", "b", "--restarts", "0"], "restarts must be 1 or more, got 0"),
        (["fit", "one_for_all", "a", "b", "--steps", "0"], "steps must be 1 or more without an init"),
        (["fit", "game:quick", "a", "b", "--steps", "0"], "steps must be 1 or more, got 0"),
        (["fit", "uge:quick", "a", "b", "--steps", "0"], "steps must be 1 or more, got 0"),
        (["fit", "clusters", "a", "b", "--width", "0"], "width must be 1 or more, got 0"),
        (["fit", "class_filters", "a", "b", "--blur", "-1"], "blur must be above 0, got -1.0"),
        (["evaluate", "a", "b", "c", "--epochs", "0"], "--epochs must be 1 or more, got 0"),
        (["evaluate", "a", "b", "c", "--epochs", "-1"], "--epochs must be 1 or more, got -1"),
        (["evaluate", "a", "b", "c", "--seeds", "0"], "--seeds must be 1 or more, got 0"),
        (["evaluate", "a", "b", "c", "--size", "100000"], "--size must be 1 to 1024, got 100000"),
        (["report", "a", "b", "--test", "c", "--epochs", "0"], "--epochs must be 1 or more, got 0"),
        (["report", "a", "b", "--test", "c", "--seeds", "0"], "--seeds must be 1 or more, got 0"),
        (["report", "a", "b", "--test", "c", "--size", "0"], "--size must be 1 to 1024, got 0"),
        (["report", "a", "b", "--pictures", "-1"], "--pictures must be 1 or more, got -1"),
    ],
)
def test_a_number_out_of_range_is_one_line(command: Command, words: list[str], said: str) -> None:
    assert said in refused(command(*words))
