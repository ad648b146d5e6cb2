"""One picture protected: exact at the working size, resized as a change elsewhere, the same in blocks as whole."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jobs import crop, noise, stored
from PIL import Image

from unlearnable.data import ImageSet
from unlearnable.files import decode
from unlearnable.job.picture import add, change, protected
from unlearnable.perturbation import SampleWise, apply, resized
from unlearnable.pixels import LINF8, UNBOUNDED, Budget
from unlearnable.protections import protection
from unlearnable.run import Run

L2 = Budget("l2", 6 / 255)


def random_delta(side: int = 32, channels: int = 3, scale: float = 0.03, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(seed)) * scale


@pytest.mark.parametrize("method", ["lsp", "lsp:paper", "random", "class_filters"])
def test_a_picture_of_the_working_size_gets_exactly_what_apply_gives(method: str) -> None:
    pictures = [decode(stored(noise(i), "PNG"), f"{i}.png") for i in range(20)]
    images = torch.stack([torch.from_numpy(p.planes.copy()).permute(2, 0, 1) for p in pictures])
    data = ImageSet(images, torch.arange(20) % 4, ("a", "b", "c", "d"))
    chosen = protection(method)
    perturbation = chosen.fit(data, Run(device="cpu"))
    expected = apply(perturbation, data, chosen.budget, Run(device="cpu")).images.permute(0, 2, 3, 1).numpy()
    found = [protected(p, perturbation, i % 4, i, chosen.budget) for i, p in enumerate(pictures)]
    assert np.array_equal(np.stack(found), expected)
    assert not np.array_equal(expected, data.images.permute(0, 2, 3, 1).numpy())


def test_it_is_exact_where_rounding_hangs_by_a_hair() -> None:
    """Changes of half a level: one more or less in the last place of a float, and the sample is another."""
    halves = torch.randint(-7, 7, (20, 3, 32, 32), generator=torch.Generator().manual_seed(0)) + 0.5
    pictures = [decode(stored(noise(i), "PNG"), f"{i}.png") for i in range(20)]
    images = torch.stack([torch.from_numpy(p.planes.copy()).permute(2, 0, 1) for p in pictures])
    data, perturbation = ImageSet(images, torch.zeros(20, dtype=torch.int64), ("a",)), SampleWise(halves / 255)
    expected = apply(perturbation, data, LINF8, Run(device="cpu")).images.permute(0, 2, 3, 1).numpy()
    assert np.array_equal(np.stack([protected(p, perturbation, 0, i, LINF8) for i, p in enumerate(pictures)]), expected)


def test_the_change_is_resized_and_never_the_picture() -> None:
    """On mid-grey the change is all there is to see: the small change, interpolated."""
    picture = decode(stored(crop(1, 150, 100).point(lambda _: 128), "PNG"), "grey.png")
    delta = random_delta(16)
    found = protected(picture, SampleWise(delta), 0, 0, UNBOUNDED)
    expected = 128 + (resized(delta, 100, 150)[0].permute(1, 2, 0) * 255).round().int().numpy()
    assert found.shape == (100, 150, 3)
    assert np.abs(found.astype(int) - expected).max() == 0


def test_fine_detail_of_the_picture_stays() -> None:
    picture = decode(stored(noise(3, 100), "PNG"), "noise.png")
    found = protected(picture, SampleWise(random_delta(16, scale=1.0)), 0, 0, LINF8)
    moved = np.abs(found.astype(int) - picture.planes)
    assert moved.max() == 8


def test_grey_takes_the_mean_of_the_colours() -> None:
    picture = decode(stored(noise(1).convert("L").point(lambda v: 64 + v // 2), "PNG"), "grey.png")
    delta = random_delta(32)
    found = protected(picture, SampleWise(delta), 0, 0, UNBOUNDED)
    expected = (delta.mean(1)[0] * 255).round().int().numpy()
    assert found.shape == (32, 32, 1)
    assert np.abs(found[..., 0].astype(int) - picture.planes[..., 0] - expected).max() <= 1


def test_sixteen_bits_move_by_as_much_of_their_range() -> None:
    ramp = np.linspace(8000, 50000, 40 * 50).reshape(40, 50).astype(np.uint16)
    picture = decode(stored(Image.fromarray(ramp), "PNG"), "deep.png")
    found = protected(picture, SampleWise(torch.full((1, 3, 8, 8), 4.2 / 255)), 0, 0, LINF8)
    assert found.dtype == np.uint16
    assert set(np.unique(found.astype(int) - ramp[..., None])) <= {1079, 1080}, "4.2 of 255 levels are 1079.4 of 65535"
    strong = protected(picture, SampleWise(torch.full((1, 3, 8, 8), 1.0)), 0, 0, LINF8)
    assert set(np.unique(strong.astype(int) - ramp[..., None])) == {8 * 256}


def test_a_label_or_row_it_does_not_know_is_refused() -> None:
    picture = decode(stored(noise(1), "PNG"), "a.png")
    with pytest.raises(ValueError, match="row 3"):
        protected(picture, SampleWise(random_delta()), 0, 3, LINF8)


SIZES = [(700, 500), (500, 333), (20, 9000), (9000, 20), (300, 300), (31, 5000)]


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("budget", [LINF8, L2, UNBOUNDED], ids=["linf", "l2", "none"])
def test_blocks_and_the_whole_agree_within_one_rounding_step(height: int, width: int, budget: Budget) -> None:
    planes = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    delta = random_delta(48, scale=0.05)
    whole, blocks = add(planes, delta, budget), add(planes, delta, budget, in_one_piece=0)
    assert change(whole, blocks).max_delta <= 1
    edges = 0.05 if budget.norm == "l2" else 0.001  # values on the edge between two levels; l2 shrinks by small steps
    assert (whole != blocks).mean() < edges
    assert np.array_equal(blocks, add(planes, delta, budget, in_one_piece=0))


def test_a_column_of_pixels_is_resized_as_the_middle_of_a_wider_picture() -> None:
    """PyTorch's antialiased interpolation to a width of 1 repeats wrong rows."""
    rows = torch.linspace(0, 1, 8).reshape(1, 1, 8, 1).expand(1, 3, 8, 8).contiguous()
    assert torch.allclose(resized(rows, 20, 1), resized(rows, 20, 3)[..., 1:2])
    assert torch.allclose(resized(rows.mT, 1, 20), resized(rows.mT, 3, 20)[:, :, 1:2])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(2, 64), st.sampled_from([1, 3]), st.booleans())
@example(3, 1, 2, 1, False)
@example(200, 1, 64, 3, False)
@example(1, 200, 64, 1, True)
def test_blocks_agree_at_any_size(height: int, width: int, side: int, channels: int, deep: bool) -> None:
    kind = np.uint16 if deep and channels == 1 else np.uint8
    planes = np.random.default_rng(1).integers(0, np.iinfo(kind).max, (height, width, channels)).astype(kind)
    delta = random_delta(side, channels)
    whole, blocks = (add(planes, delta, LINF8, in_one_piece=limit).astype(int) for limit in (1 << 30, 0))
    assert np.abs(whole - blocks).max() <= 1


def test_an_l2_budget_holds_over_all_blocks_together() -> None:
    planes = np.full((600, 500, 3), 128, np.uint8)
    uneven = random_delta(64, scale=0.01)
    uneven[..., :10] *= 20
    found = change(planes, add(planes, uneven, L2, in_one_piece=0))
    assert 0.97 * L2.eps < found.rms <= L2.eps * (1 + 1e-6)


def test_change_measures_exactly() -> None:
    before = np.zeros((400, 500, 3), np.uint8)
    after = before.copy()
    after[0, 0, 0], after[399, 499, 2] = 3, 4
    found = change(before, after)
    assert found.max_delta == 4
    assert found.rms == pytest.approx(math.sqrt(25 / before.size) / 255)
    assert found.psnr == pytest.approx(10 * math.log10(255**2 * before.size / 25))
    assert change(before, before).psnr is None
    assert change(after, before) == found
    deep = np.zeros((2, 2, 1), np.uint16)
    assert change(deep, deep + np.uint16(2048)).max_delta == 8
    with pytest.raises(ValueError, match="cannot compare"):
        change(before, after[:1])
