"""The engine under all optimised protections: descent, storage, surrogates, and what it refuses."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from unlearnable.data import ImageSet
from unlearnable.perturbation import SampleWise, apply
from unlearnable.pixels import LINF8, Budget, pack, packing, to_float, unpack
from unlearnable.protections import protection
from unlearnable.protections._noise import NoisyImages
from unlearnable.protections._pgd import Term, descend, uniform
from unlearnable.run import Run

OPTIMISED: dict[str, dict[str, Any]] = {
    "em": {"model": "lenet", "rounds": 3, "train_steps": 3, "steps": 2, "batch": 40},
    "aue": {"model": "lenet", "rounds": 2, "train_steps": 2, "steps": 1, "batch": 40},
    "sem": {"model": "lenet", "iterations": 3, "batch": 40, "steps": 1, "attack_steps": 1, "views": 1},
    "tap": {"model": "lenet", "epochs": 1, "steps": 1, "restarts": 1, "batch": 40},
    "pil": {"epochs": 1, "steps": 1},
    "ntga": {"layers": 2, "validation": 20, "steps": 1},
}


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_descent_is_projected_gradient_descent_on_every_term(norm: Any, run: Run) -> None:
    """Two linear terms: each moves against its own gradient, at a length of its own, then both bounds hold."""
    x = torch.rand(5, 3, 8, 8, generator=run.rng("x"))
    first, second = (torch.randn(5, 3, 8, 8, generator=run.rng("term", place)) for place in (0, 1))
    budget = Budget(norm, 6 / 255)
    terms = [
        Term("first", lambda pixels: (pixels * first).sum(), 2 / 255),
        Term("second", lambda pixels: (pixels * second).sum(), 1 / 255),
    ]
    delta = start = uniform(x, budget, run.rng("start"))
    found, values = descend(terms, x, start, 4, budget)

    def unit(gradient: Tensor) -> Tensor:
        size = gradient.square().mean((1, 2, 3), keepdim=True).sqrt()
        return gradient.sign() if norm == "linf" else gradient / size

    for _ in range(4):
        before = delta
        moved = delta - 2 / 255 * unit(first) - 1 / 255 * unit(second)
        if norm == "linf":
            moved = moved.clamp(-6 / 255, 6 / 255)
        else:
            moved = moved * (6 / 255 / moved.square().mean((1, 2, 3), keepdim=True).sqrt()).clamp_max(1)
        delta = (x + moved).clamp(0, 1) - x
    assert torch.allclose(found, delta, atol=1e-6)
    assert math.isclose(float(values["first"]), float(((x + before) * first).sum()), rel_tol=1e-3)
    assert set(values) == {"first", "second"}


def test_a_start_is_random_and_within_both_bounds(run: Run) -> None:
    x = torch.rand(50, 3, 8, 8, generator=run.rng("x")).round()  # black and white
    start = uniform(x, LINF8, run.rng("start"))
    assert start.abs().max() <= LINF8.eps + 1e-7
    assert (x + start).min() >= 0
    assert (x + start).max() <= 1
    assert 0.4 < float((start == 0).float().mean()) < 0.6, "half of it would have left 0..1"


@pytest.mark.parametrize("budget", [LINF8, Budget("linf", 1.0), Budget("linf", 0.0), Budget("l2", 8 / 255)])
def test_what_is_packed_comes_back(budget: Budget, run: Run) -> None:
    """Within half a step, sign and bounds kept; a sixteenth of a grey level at 8/255."""
    delta = uniform(torch.full((4, 3, 9, 9), 0.5), budget, run.rng("delta"))
    kept, unit = packing(budget)
    packed = pack(delta, budget)
    again = unpack(packed, unit)
    assert packed.dtype == kept
    step = unit / 2 if kept is torch.int8 else float(delta.abs().max()) / 1000
    assert (again - delta).abs().max() <= step + 1e-9
    assert (again * delta >= 0).all()
    assert again.abs().max() <= budget.eps * 1.0001 or budget.norm == "l2"
    assert packing(LINF8)[1] * 255 < 1 / 15


def test_noise_of_owners_is_the_mean_over_their_images(small: ImageSet, run: Run) -> None:
    images = NoisyImages(small, LINF8, run, small.labels)
    found = uniform(to_float(small.images), LINF8, run.rng("found"))
    images.keep(torch.arange(96), found)
    kept = images.class_wise().delta
    for label in range(10):
        assert torch.allclose(kept[label], found[small.labels == label].mean(0), atol=LINF8.eps / 127)
    assert torch.equal(images.delta(torch.arange(96)), kept[small.labels])


def test_a_perturbation_takes_a_byte_a_value(small: ImageSet, run: Run) -> None:
    fitted = protection("pil", epochs=1, steps=1).fit(small, run)
    assert isinstance(fitted, SampleWise)
    assert fitted.delta.dtype == torch.int8
    assert fitted.delta.shape == small.images.shape


@pytest.mark.parametrize("name", OPTIMISED)
def test_unlabelled_images_are_refused(name: str, small: ImageSet, run: Run) -> None:
    labels = small.labels.clone()
    labels[:7] = -1
    with pytest.raises(ValueError, match="96 images, 7 without a label"):
        protection(name, **OPTIMISED[name]).fit(ImageSet(small.images, labels, small.classes), run)


@pytest.mark.parametrize("name", ["em", "aue", "sem"])
def test_a_surrogate_that_goes_astray_is_named(name: str, small: ImageSet, run: Run) -> None:
    with pytest.raises(ValueError, match=f"the surrogate of {name} could not be trained.*lr 1e"):
        protection(name, **OPTIMISED[name] | {"lr": 1e38}).fit(small, run)


@pytest.mark.parametrize("name", OPTIMISED)
def test_batches_of_one_image_more_classes_than_images_and_no_budget(name: str, small: ImageSet, run: Run) -> None:
    few = small.subset(torch.tensor([0, 1, 2]))
    method = protection(name, **OPTIMISED[name] | ({} if name == "ntga" else {"batch": 2}))
    assert apply(method.fit(few, run), few, method.budget, run).images.shape == few.images.shape
    nothing = protection(name, **OPTIMISED[name] | {"budget": Budget("linf", 0.0)})
    assert torch.equal(apply(nothing.fit(few, run), few, nothing.budget, run).images, few.images)


@pytest.mark.parametrize("name", OPTIMISED)
def test_an_l2_budget_holds(name: str, small: ImageSet, run: Run) -> None:
    budget = Budget("l2", 5 / 255)
    method = protection(name, **OPTIMISED[name] | {"budget": budget})
    protected = apply(method.fit(small, run), small, budget, run).images
    sizes = (protected.int() - small.images.int()).float().square().mean((1, 2, 3)).sqrt()
    assert sizes.max() <= 5.0001
    assert sizes.median() > 0.3
