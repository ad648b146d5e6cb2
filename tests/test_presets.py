"""Published settings: each has the numbers that its paper or its authors' scripts have, and is named on its page."""

import math
from pathlib import Path
from typing import Any

import pytest

from unlearnable.pixels import Budget
from unlearnable.protections import PROTECTIONS, describe, protection

DOCS = Path(__file__).parent.parent / "docs"
L2_32 = math.sqrt(3 * 32 * 32)  # a budget in l2 is a root mean square; papers give the length over a picture of 32 px
WIDE = Budget("linf", 16 / 255)
IN_REM: dict[str, Any] = {
    "iterations": 3000, "decay": 1200, "steps": 7, "step_size": 2 / 255, "attack_steps": 7, "views": 4, "batch": 128,
}  # fmt: skip
IN_EM: dict[str, Any] = {
    "budget": WIDE, "step_size": 1.6 / 255, "train_steps": 100, "stop_error": 0.1, "batch": 32, "weight_decay": 5e-5,
}  # fmt: skip
PUBLISHED: dict[str, dict[str, Any]] = {
    "em": {"train_steps": 10, "steps": 20, "step_size": 0.8 / 255, "stop_error": 0.01, "batch": 512},
    "em:cifar100": {"scope": "sample", "train_steps": 20, "steps": 20, "step_size": 0.8 / 255, "stop_error": 0.01},
    "em:imagenet": IN_EM | {"scope": "sample", "steps": 20},
    "em:class-imagenet": IN_EM | {"scope": "class", "steps": 1},
    "pue": {"batch": 128, "train_steps": 10, "steps": 1, "weight_noise": 0.25, "weight_step": 0.05, "draws": 10},
    "pue:cifar100": {"batch": 128, "train_steps": 20, "steps": 1, "stop_error": 0.1},
    "rem:imagenet": IN_REM | {"radius": 4 / 255, "inner_steps": 7},
    "sem:imagenet": IN_REM | {"radius": 4 / 255},
    "aue:cifar100": {"strength": 1.0, "rounds": 60, "train_steps": 391, "steps": 5},
    "aap:cifar100": {"strength": 0.8, "lr": 0.5, "steps": 250},
    "lsp:imagenet": {"patch": 32, "budget": Budget("l2", 6 / 255), "overdrive": 1.0},
    "hypocritical:paper": {
        "budget": Budget("l2", 0.5 / L2_32), "step_size": 0.1 / L2_32, "steps": 100, "model": "vgg16", "epochs": 150,
        "radius": 0.0,
    },
    "sep:paper": {"budget": Budget("linf", 2 / 255), "checkpoints": 30, "steps": 30, "step_size": 1 / 255},
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_setting_has_the_published_numbers(name: str) -> None:
    method = protection(name)
    assert {key: getattr(method, key) for key in PUBLISHED[name]} == PUBLISHED[name]
    assert protection(**describe(method)) == method


@pytest.mark.parametrize("name", [name for name in PROTECTIONS if name != "one_for_all"])  # whose page names weights
def test_the_page_of_a_method_names_its_presets(name: str) -> None:
    text = (DOCS / f"{name}.md").read_text().partition("## Measured")[0]
    named = [preset for preset in PROTECTIONS[name].presets if not preset.endswith("quick")]
    assert [preset for preset in named if f"`{preset}`" not in text and f"`{name}:{preset}`" not in text] == []
