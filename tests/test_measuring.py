"""Measuring a cell: what its victim is given, what is flagged, and what its key is a hash of."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from torch import nn

from unlearnable import perturbation, protections
from unlearnable.adversaries import ADVERSARIES
from unlearnable.adversaries.squeezing import Jpeg
from unlearnable.data import ImageSet
from unlearnable.experiment import Cell
from unlearnable.experiment.measuring import measure
from unlearnable.experiment.mixing import clean_part, mix
from unlearnable.models import MODELS
from unlearnable.packs import digits
from unlearnable.perturbation import apply
from unlearnable.protections import PROTECTIONS, protection
from unlearnable.protections.lsp import LSP
from unlearnable.run import Run
from unlearnable.training import Classifier, Recipe

CELL = Cell("digits", "lsp", "grayscale", "lenet", epochs=1)
Given = tuple[ImageSet, ImageSet, ImageSet]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Given]:
    """What each victim would have been trained on, tested on, and probed with; none is trained."""
    found: list[Given] = []

    def train(self: Recipe, data: ImageSet, run: Run, test: ImageSet, *, clean: ImageSet) -> Classifier:
        found.append((data, test, clean))
        return Classifier(nn.Identity(), (1.0,), (0.5,))

    monkeypatch.setattr(Recipe, "train", train)
    return found


@pytest.mark.parametrize("rate", [1.0, 0.25])
@pytest.mark.parametrize("name", ["lsp", "clean"])
def test_a_victim_is_given_the_protected_images_and_tested_on_clean_ones(
    name: str, rate: float, given: list[Given], run: Run
) -> None:
    result = measure(replace(CELL, protection=name, rate=rate), run)
    (train, test), method = digits(), protection("lsp")
    protected = mix(train, apply(method.fit(train, run), train, method.budget, run), rate, run)
    control = train if rate == 1 else clean_part(train, rate, run)
    ((victims, tested, clean),) = given
    assert victims.fingerprint == (protected if name == "lsp" else control).fingerprint
    assert (tested.fingerprint, clean.fingerprint) == (test.fingerprint, train.fingerprint)
    assert result.provenance.get("protected", victims.fingerprint) == victims.fingerprint
    assert (result.flags, result.test_acc) == ((), (0.5,))


@pytest.mark.parametrize(("levels", "flags"), [(8, ()), (9, ("over-budget",))])
def test_one_value_over_the_budget_is_flagged(
    levels: int, flags: tuple[str, ...], given: list[Given], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def astray(fitted: object, data: ImageSet, *_: Any) -> ImageSet:
        images = data.images.clone()
        images[-1, 0, 0, 0] = images[-1, 0, 0, 0].int() + (levels if images[-1, 0, 0, 0] < 128 else -levels)
        return data.with_images(images)

    monkeypatch.setattr(perturbation, "apply", astray)
    result = measure(CELL, run)
    assert (result.flags, result.measured["max_abs_delta"]) == (flags, levels)


@dataclass(frozen=True)
class Finer(LSP):
    """LSP, was its patch smaller by default."""

    patch: int = 4


@dataclass(frozen=True)
class Coarser(Jpeg):
    """JPEG, was its quality lower by default."""

    quality: int = 5


@pytest.mark.parametrize(
    ("cell", "change"),
    [
        (CELL, lambda patch: patch.setitem(PROTECTIONS, "lsp", Finer)),
        (CELL, lambda patch: patch.setitem(MODELS, "lenet", replace(MODELS["lenet"], lr=0.07))),
        (replace(CELL, adversary="jpeg"),
         lambda patch: patch.setitem(ADVERSARIES, "jpeg", replace(ADVERSARIES["jpeg"], part=Coarser))),
        (replace(CELL, protection="one_for_all:shipped"),
         lambda patch: patch.setattr(protections, "_digest", lambda _: "other weights")),
    ],
    ids=["method", "model", "adversary", "weights"],
)  # fmt: skip
def test_a_changed_default_is_another_cell(
    cell: Cell, change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fields say what they said: the key is of what they stand for."""
    before, other = cell.key, replace(cell, protection="clean", adversary="standard", model="cnn").key
    change(monkeypatch)
    assert cell.key != before
    assert replace(cell, protection="clean", adversary="standard", model="cnn").key == other
