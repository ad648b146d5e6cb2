"""Does it protect? On real images, with the controls beside it. CIFAR-10 joins in where its pack is at hand."""

import os

import pytest

from unlearnable.data import ImageSet
from unlearnable.packs import DATA_VARIABLE, load_dataset
from unlearnable.perturbation import apply
from unlearnable.protections import protection
from unlearnable.run import Run
from unlearnable.training import Recipe

CIFAR_BARS = {"clean": (0.37, 1.0), "lsp": (0.0, 0.33)}  # of a quarter of the epochs that the records have
WITH_DATA = list(CIFAR_BARS) if os.environ.get(DATA_VARIABLE) else []


def victim(name: str, train: ImageSet, test: ImageSet, recipe: Recipe) -> float:
    run = Run(0)
    if name != "clean":
        method = protection(name)
        train = apply(method.fit(train, run), train, method.budget, run)
    return recipe.train(train, run, test).test_acc[-1]


def test_digits_are_protected_by_filters_and_not_by_random_noise() -> None:
    """Digits are black and white, where 8 levels say little: what acts on them is the unbounded method."""
    train, test = load_dataset("digits")
    recipe = Recipe(model="cnn", epochs=5, augment=())
    accuracy = {name: victim(name, train, test, recipe) for name in ("clean", "random", "class_filters")}
    assert accuracy["clean"] > 0.9
    assert accuracy["random"] > accuracy["clean"] - 0.05
    assert accuracy["class_filters"] < accuracy["clean"] - 0.3


@pytest.fixture(scope="module")
def cifar() -> tuple[ImageSet, ImageSet]:
    return load_dataset("cifar10-quick")


@pytest.mark.parametrize("name", WITH_DATA)
def test_cifar10_quick(name: str, cifar: tuple[ImageSet, ImageSet]) -> None:
    low, high = CIFAR_BARS[name]
    assert low <= victim(name, *cifar, Recipe(epochs=3)) <= high
