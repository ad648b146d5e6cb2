"""The contract of every row of PROTECTIONS: a new method is tested by its line in the table."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from unlearnable import perturbation
from unlearnable.data import ImageSet
from unlearnable.perturbation import ClassWise, SampleWise, apply, side_seen
from unlearnable.pixels import LINF8, Budget, level_cap, levels_changed, to_float
from unlearnable.protections import PROTECTIONS, Protection, describe, paper, protection
from unlearnable.run import Cancelled, Progress, Run

# what makes a method small enough to be tested in a second; the methods themselves know nothing of tests
_FIXED: dict[str, Any] = {"model": "lenet", "epochs": 2, "steps": 2, "restarts": 2, "batch": 40}
_ROBUST: dict[str, Any] = {"model": "lenet", "iterations": 3, "batch": 40, "steps": 2, "attack_steps": 1}
SMALL: dict[str, dict[str, Any]] = {
    "collapse": _ROBUST | {"score_epochs": 1, "width": 8, "patch": 2},
    "rem": _ROBUST | {"views": 1, "inner_steps": 1},
    "sem": _ROBUST | {"views": 1},
    "hypocritical": _FIXED | {"attack_steps": 1},
    "aue": {"model": "lenet", "rounds": 2, "train_steps": 2, "steps": 2, "batch": 40},
    "aap": _FIXED,
    "sep": _FIXED | {"checkpoints": 2},
    "cp": {"model": "lenet", "rounds": 2, "train_batches": 2, "noise_batches": 0, "steps": 2, "batch": 40, "lr": 0.05},
    "tue": {"model": "lenet", "rounds": 2, "train_batches": 2, "steps": 2, "batch": 40, "lr": 0.05},
    "em": {"model": "lenet", "rounds": 3, "train_steps": 3, "steps": 2, "batch": 40},
    "tap": _FIXED,
    "dune": _FIXED | {"checkpoints": 2, "particles": 2, "turns": 2, "seen": 4},
    "pue": {"model": "lenet", "rounds": 2, "train_steps": 2, "steps": 2, "batch": 40, "weight_noise": 0.05, "draws": 2},
    "game": {"model": "lenet", "width": 8, "blocks": 1, "steps": 3, "batch": 40, "lr": 0.02, "answer_steps": 2},
    "pil": {"epochs": 2, "steps": 3, "batch": 40},
    "clusters": {"clusters": 3, "epochs": 2, "batch": 40, "width": 8, "blocks": 1},
    "one_for_all": {"grid": 16, "groups": (2, 4), "steps": 4, "batch": 40, "width": 8, "blocks": 1, "lr": 0.02},
    "uge": {
        "model": "cnn",
        "epochs": 1,
        "checkpoints": 2,
        "width": 8,
        "blocks": 1,
        "steps": 3,
        "batch": 40,
        "lr": 0.02,
        "hacker": "lenet",
        "surrogates": ("lenet",),
    },
    "ar": {"candidates": 12},
    "ntga": {"layers": 2, "validation": 40, "block": 40, "steps": 2},
}
UNSEEDED = ("ops",)  # nothing is drawn at random
SHIPPED_FIRST: dict[str, dict[str, Any]] = {  # the shape and the encoder are those of the weights
    "one_for_all:shipped": {},
    "one_for_all:tuned": {"groups": (2, 4), "steps": 3, "batch": 8},
}


def is_drawn(method: Protection) -> bool:
    """Whether its seed matters: not where what is shipped serves as it is."""
    return describe(method)["name"] not in UNSEEDED and getattr(method, "steps", None) != 0


def small_method(name: str, eyes: str) -> Protection:
    if name in SHIPPED_FIRST:
        return protection(name, **SHIPPED_FIRST[name])
    method = protection(name, **SMALL.get(name.partition(":")[0], {}))
    return replace(method, encoder=eyes) if hasattr(method, "encoder") else method  # type: ignore[type-var]


def different() -> list[str]:
    """Every method and preset but those that only put together what others have, or have other numbers of it."""
    presets = [(name, preset) for name, cls in PROTECTIONS.items() for preset in ("", *cls.presets)]
    alike = ("quick", "cifar100", "imagenet", "class-moco", "class-byol")
    return [f"{name}:{preset}".rstrip(":") for name, preset in presets if not preset.endswith(alike)]


NAMES = different()


@pytest.fixture(params=NAMES)
def method(request: pytest.FixtureRequest, eyes: str) -> Protection:
    return small_method(request.param, eyes)


@pytest.fixture
def small(small: ImageSet, request: pytest.FixtureRequest) -> ImageSet:
    """The digits; fewer of them for what is shipped, whose encoder sees them at 160 px."""
    return small.subset(torch.arange(16)) if any(name in request.node.name for name in SHIPPED_FIRST) else small


@pytest.fixture(scope="session")
def fits() -> dict[str, perturbation.Perturbation]:
    """Of the seed 0, by method: what several tests look at need not be fitted for each of them."""
    return {}


@pytest.fixture(scope="session")
def showings() -> dict[str, torch.Tensor]:
    """The small images under those."""
    return {}


@pytest.fixture
def fitted(
    method: Protection, small: ImageSet, run: Run, fits: dict[str, perturbation.Perturbation]
) -> perturbation.Perturbation:
    name = json.dumps(describe(method))
    if name not in fits:
        fits[name] = method.fit(small, run)
    return fits[name]


@pytest.fixture
def shown(
    method: Protection,
    fitted: perturbation.Perturbation,
    small: ImageSet,
    run: Run,
    showings: dict[str, torch.Tensor],
) -> torch.Tensor:
    """The small images as the method protects them."""
    name = json.dumps(describe(method))
    if name not in showings:
        showings[name] = apply(fitted, small, method.budget, run).images
    return showings[name].clone()


def protect(method: Protection, data: ImageSet, run: Run, batch: int = 512) -> torch.Tensor:
    return apply(method.fit(data, run), data, method.budget, run, batch).images


def test_gives_8_bit_images_of_the_same_shape_within_budget(
    method: Protection, small: ImageSet, shown: torch.Tensor
) -> None:
    assert shown.dtype == torch.uint8
    assert shown.shape == small.images.shape
    assert 0 < levels_changed(small.images, shown) <= level_cap(method.budget)
    assert (shown != small.images).flatten(1).any(1).all(), "an image was left as it was"


def test_an_eps_given_as_linf_holds_for_every_method(method: Protection, small: ImageSet, run: Run) -> None:
    tight = replace(method, budget=Budget("linf", 3 / 255))  # type: ignore[type-var]
    assert levels_changed(small.images, protect(tight, small, run)) <= 3


def test_same_seed_same_bytes_and_the_input_and_the_global_generator_are_untouched(
    method: Protection, small: ImageSet, run: Run, shown: torch.Tensor
) -> None:
    before, state = small.fingerprint, torch.random.get_rng_state()
    assert torch.equal(shown, protect(method, small, replace(run)))
    assert ImageSet(small.images, small.labels, small.classes).fingerprint == before
    assert torch.equal(state, torch.random.get_rng_state())


def test_another_seed_gives_other_bytes(method: Protection, small: ImageSet, run: Run, shown: torch.Tensor) -> None:
    assert torch.equal(shown, protect(method, small, replace(run, seed=1))) != is_drawn(method)


def test_batch_size_and_threads_change_nothing(
    method: Protection, small: ImageSet, run: Run, fitted: perturbation.Perturbation, shown: torch.Tensor
) -> None:
    threads = torch.get_num_threads()
    for count, batch, images in ((1, 1, 12), (2, 7, 12), (2, 512, len(small))):
        try:
            torch.set_num_threads(count)
            found = apply(fitted, small.subset(torch.arange(images)), method.budget, run, batch).images
        finally:
            torch.set_num_threads(threads)
        assert torch.equal(shown[:images], found), (count, batch)


def test_an_image_alone_gets_what_it_gets_in_the_set(small: ImageSet, fitted: perturbation.Perturbation) -> None:
    row = torch.tensor([11])
    together = fitted(to_float(small.images), small.labels, torch.arange(len(small)))[row]
    assert torch.allclose(fitted(to_float(small.images[row]), small.labels[row], row), together, atol=1e-6)


def test_survives_json(method: Protection) -> None:
    values = json.loads(json.dumps(describe(method)))
    assert protection(**values) == method


def test_survives_saving(
    method: Protection,
    small: ImageSet,
    run: Run,
    fitted: perturbation.Perturbation,
    shown: torch.Tensor,
    tmp_path: Path,
) -> None:
    perturbation.save(tmp_path, fitted, {"method": describe(method)})
    loaded, about = perturbation.load(tmp_path)
    assert about["method"] == json.loads(json.dumps(describe(method)))
    assert loaded.size == fitted.size
    assert side_seen(loaded, small.size, small.size) == small.size
    assert torch.equal(shown, apply(loaded, small, method.budget, run).images)


def test_killed_and_resumed_gives_the_same_bytes(
    method: Protection, small: ImageSet, run: Run, shown: torch.Tensor, tmp_path: Path
) -> None:
    steps = 0

    def stop_at_the_second() -> bool:
        nonlocal steps
        steps += 1
        return steps == 2

    try:
        method.fit(small, replace(run, directory=tmp_path, save_every=0.0, cancelled=stop_at_the_second))
    except Cancelled:
        assert list(tmp_path.rglob("*.safetensors"))
    assert torch.equal(protect(method, small, replace(run, directory=tmp_path)), shown)


def test_what_transfers_protects_rows_it_never_saw(
    method: Protection, small: ImageSet, fitted: perturbation.Perturbation
) -> None:
    unseen = torch.tensor([len(small) + 5])
    arguments = (to_float(small.images[:1]), small.labels[:1], unseen)
    if method.transfers:
        assert fitted(*arguments).shape == (1, 3, small.size, small.size)
    else:
        assert isinstance(fitted, SampleWise), "what does not transfer can be lent"
        with pytest.raises(ValueError, match="row 101 was not among the 96"):
            fitted(*arguments)


def test_needs_only_what_it_says_it_needs(
    method: Protection, small: ImageSet, run: Run, request: pytest.FixtureRequest
) -> None:
    if not method.needs_images:
        black = small.with_images(torch.zeros_like(small.images))
        same = apply(method.fit(black, run), small, method.budget, run).images
        assert torch.equal(same, request.getfixturevalue("shown"))
    if not method.needs_labels:
        unknown = ImageSet(small.images, torch.full_like(small.labels, -1), small.classes)
        assert torch.equal(protect(method, unknown, run), request.getfixturevalue("shown"))


@pytest.mark.parametrize("name", PROTECTIONS)
@pytest.mark.parametrize("size", [9, 17, 32])
def test_odd_sizes_one_image_of_a_class_and_black_images(name: str, size: int, eyes: str, run: Run) -> None:
    images = torch.zeros(5, 3, size, size, dtype=torch.uint8)
    images[1:] = torch.randint(
        0, 256, (4, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    data = ImageSet(images, torch.tensor([0, 0, 1, 1, 2]), ("a", "b", "c"))
    method = small_method(name, eyes)
    assert levels_changed(images, protect(method, data, run)) <= level_cap(method.budget)


@pytest.mark.parametrize("name", ["em", "aue", "pue", "rem", "sem", "collapse"])
def test_what_minimises_an_error_refuses_a_single_class(name: str, small: ImageSet, run: Run) -> None:
    """Its error is 0 whatever the image: there would be no noise, or that which the search began with."""
    alone = replace(small, labels=torch.zeros_like(small.labels), classes=("all",))
    with pytest.raises(ValueError, match=f"{name} needs at least 2 classes, got 1"):
        protection(name, **SMALL[name]).fit(alone, run)


def test_an_unknown_name_preset_or_value_names_the_allowed_ones() -> None:
    with pytest.raises(ValueError, match=", ".join(PROTECTIONS)):
        protection("nightshade")
    with pytest.raises(ValueError, match="quick"):
        protection("em:fast")
    with pytest.raises(ValueError, match=r"em has no stepz: it takes .*steps"):
        protection("em", stepz=3)


@pytest.mark.parametrize("name", PROTECTIONS)
def test_every_row_cites_its_paper(name: str) -> None:
    assert "arXiv" in paper(name) or "PMLR" in paper(name)


def test_em_reports_an_error_that_falls(small: ImageSet, run: Run) -> None:
    events: list[Progress] = []
    protection("em", model="cnn", rounds=3, train_steps=8, steps=8, batch=48).fit(
        small, replace(run, listener=events.append)
    )
    errors = [event.figures["error"] for event in events if "error" in event.figures]
    assert errors[-1] < 0.2 < errors[0]


def test_what_was_fitted_small_protects_larger_images(run: Run) -> None:
    """The change is resized, the image is not: what it adds to a flat image is the enlarged delta, within budget."""
    delta = torch.zeros(1, 3, 8, 8)
    delta[:, :, :, 4:] = 8 / 255
    grey = ImageSet(torch.full((1, 3, 32, 32), 100, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), ("a",))
    change = apply(ClassWise(delta), grey, LINF8, run).images.int() - 100
    assert change[..., :14].abs().max() == 0
    assert (change[..., 18:] == 8).all()
    assert (change.diff(dim=3) >= 0).all()
