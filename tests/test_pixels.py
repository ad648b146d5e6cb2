"""The uint8 boundary: what is released keeps to the budget after rounding, and loses nothing to it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unlearnable.pixels import (
    Budget,
    amplified,
    beyond,
    eps_text,
    level_cap,
    levels_changed,
    parse_eps,
    project,
    release,
)

LEVELS = torch.arange(256, dtype=torch.uint8)


def image(values: torch.Tensor) -> torch.Tensor:
    return values.reshape(1, 1, 1, -1)


@pytest.mark.parametrize("levels", range(33))
def test_every_level_with_every_change_keeps_to_the_budget(levels: int) -> None:
    """All 256 levels x changes from -40 to 40 in fifths of a level, against exact integer arithmetic."""
    budget = Budget("linf", levels / 255)
    for fifths in range(-200, 201):
        released = (
            release(image(LEVELS), image(LEVELS.float() / 255 + fifths / 5 / 255), budget).flatten().int().numpy()
        )
        wanted = np.clip(LEVELS.int().numpy() + np.clip(round(fifths / 5), -levels, levels), 0, 255)
        assert (released == wanted).all()


def test_nothing_proposed_is_nothing_changed() -> None:
    assert torch.equal(release(image(LEVELS), image(LEVELS.float() / 255), Budget("linf", 8 / 255)), image(LEVELS))


def test_negative_noise_survives_release() -> None:
    """The best-known published pipeline clamps the change to 0..255 before adding it, and so never darkens a pixel."""
    grey = torch.full((1, 3, 64, 64), 128, dtype=torch.uint8)
    noise = (torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1) * 8 / 255
    change = release(grey, grey / 255 + noise, Budget("linf", 8 / 255)).int() - 128
    assert change.min() == -8
    assert change.max() == 8
    assert abs(float(change.float().mean()) - float(noise.mean()) * 255) < 0.1, (
        "truncation shifts the mean by half a level"
    )


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.3), st.floats(-2, 2), st.sampled_from(["linf", "l2"]))
def test_any_proposal_keeps_to_the_budget_after_rounding(seed: int, eps: float, scale: float, norm: str) -> None:
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (3, 3, 5, 7), generator=rng, dtype=torch.uint8)
    proposed = images / 255 + scale * torch.randn(images.shape, generator=rng)
    released = release(images, proposed, Budget(norm, eps))  # type: ignore[arg-type]
    change = released.double() - images.double()
    if norm == "linf":
        assert change.abs().max() <= int(255 * eps + 1e-6)
    else:
        assert change.square().mean(dim=(1, 2, 3)).sqrt().max() <= 255 * eps * (1 + 1e-5)
    assert released.dtype == torch.uint8


def test_rounding_an_l2_budget_loses_little_of_it() -> None:
    images = torch.full((2, 3, 32, 32), 128, dtype=torch.uint8)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    change = release(images, images / 255 + noise, Budget("l2", 6 / 255)).float() - 128
    assert change.square().mean().sqrt() > 5.9


def test_sixteen_bits_keep_to_the_budget_in_either_way_of_reading_them() -> None:
    budget = Budget("linf", 8 / 255)
    stored = torch.arange(0, 65536, 7, dtype=torch.int32).reshape(1, 1, 1, -1)
    for sign in (-1, 1):
        released = release(stored, stored / 65535 + sign * 0.5, budget, 16)
        assert levels_changed(stored, released, 16) == 8
        assert ((released >> 8) - (stored >> 8)).abs().max() <= 8, "a reader that keeps the high byte"


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_what_lies_on_the_bound_is_within_it_and_one_level_over_is_not(norm: str, sign: int) -> None:
    budget = Budget(norm, 8 / 255)  # type: ignore[arg-type]
    before = torch.full((3, 3, 4, 5), 100, dtype=torch.uint8)
    after = (before.int() + sign * 8).to(torch.uint8)
    assert not beyond(before, after, budget)
    after[2, 1, 3, 4] += sign  # of one value of one image
    assert beyond(before, after, budget)
    assert not beyond(before, after, Budget("none", 1.0))


def test_an_l2_budget_may_be_spent_unevenly_but_not_on_another_image() -> None:
    before = torch.full((2, 3, 4, 4), 100, dtype=torch.uint8)
    after = before.clone()
    after[0, :, :2, :2] += 16
    assert not beyond(before, after, Budget("l2", 8 / 255)), "a quarter of the values, twice the bound"
    assert beyond(before, after, Budget("linf", 8 / 255))
    after[0, 0, 3, 3] += 1
    assert beyond(before, after, Budget("l2", 8 / 255))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_bound_of_sixteen_bits_is_that_of_eight(norm: str) -> None:
    budget, before = Budget(norm, 8 / 255), torch.full((1, 1, 4, 4), 30_000, dtype=torch.int32)  # type: ignore[arg-type]
    assert not beyond(before, before + 8 * 257, budget, 16)
    assert beyond(before, before - 9 * 257, budget, 16)


def test_no_budget_rounds_and_clamps() -> None:
    proposed = image(torch.tensor([-1.0, 0.4 / 255, 0.6 / 255, 2.0]))
    released = release(image(torch.tensor([9, 9, 9, 9], dtype=torch.uint8)), proposed, Budget("none", 1.0))
    assert released.flatten().tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        release(image(LEVELS), torch.full((1, 1, 1, 256), value), Budget("linf", 0.1))


@pytest.mark.parametrize(("text", "eps"), [("8/255", 8 / 255), ("0.03", 0.03), ("0", 0.0), (" 16 / 255 ", 16 / 255)])
def test_eps_is_read(text: str, eps: float) -> None:
    assert parse_eps(text) == pytest.approx(eps)


@pytest.mark.parametrize("text", ["8", "-1/255", "1/0", "eight", "nan", "1e400", ""])
def test_an_eps_that_is_none_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="8/255"):
        parse_eps(text)


def test_eps_is_written_as_the_field_writes_it() -> None:
    assert eps_text(8 / 255) == "8/255"
    assert eps_text(0.04) == "0.04"


@pytest.mark.parametrize(("eps", "levels"), [(8 / 255, 8), (0.04, 10), (0.0, 0), (1.0, 255)])
def test_a_budget_in_whole_levels(eps: float, levels: int) -> None:
    assert level_cap(Budget("linf", eps)) == levels


def test_projection_is_idempotent() -> None:
    delta = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for budget in (Budget("linf", 0.1), Budget("l2", 0.1), Budget("none", 1.0)):
        once = project(delta, budget)
        assert torch.allclose(project(once, budget), once, atol=1e-7)


def test_the_change_as_a_picture() -> None:
    before = torch.full((1, 1, 1, 3), 100, dtype=torch.uint8)
    after = torch.tensor([98, 100, 108], dtype=torch.uint8).reshape(1, 1, 1, 3)
    assert amplified(before, after, 16).flatten().tolist() == [96, 128, 255]
