"""What is measured of a protection besides its victims, against what is known beforehand."""

import math

import pytest
import torch

from unlearnable import labelling, metrics, perturbation, pixels
from unlearnable.data import ImageSet
from unlearnable.metrics import audits, measured, psnr
from unlearnable.perturbation import at_size
from unlearnable.pixels import LINF8, Budget, beyond, levels_changed
from unlearnable.run import Run


def grey(count: int, side: int = 8) -> torch.Tensor:
    return torch.full((count, 3, side, side), 128, dtype=torch.uint8)


def noise(count: int, name: str, low: int, high: int) -> torch.Tensor:
    return torch.randint(low, high, (count, 3, 8, 8), generator=Run(0).rng(name))


def changed(images: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    return (images.int() + change).clamp(0, 255).to(torch.uint8)


@pytest.fixture
def natural() -> ImageSet:
    """A thousand pictures of ten classes that say nothing of their class: what is found is learned by heart."""
    labels = torch.randint(0, 10, (1000,), generator=Run(0).rng("labels"))
    return ImageSet(noise(1000, "pictures", 0, 256).to(torch.uint8), labels, tuple("abcdefghij"))


@pytest.fixture
def marks() -> torch.Tensor:
    """A pattern of +-8 levels for each of ten classes."""
    return 16 * torch.randint(0, 2, (10, 3, 8, 8), generator=Run(0).rng("marks")) - 8


def test_psnr_of_a_change_of_eight_levels_is_that_of_the_formula() -> None:
    before = grey(5)
    assert psnr(before, before + 8) == pytest.approx(20 * math.log10(255 / 8), abs=1e-4)
    assert psnr(before, before) == math.inf
    half = before.clone()
    half[..., ::2] -= 8
    assert psnr(before, half) == pytest.approx(20 * math.log10(255 / 8) + 10 * math.log10(2), abs=1e-4)
    labels = torch.zeros(5, dtype=torch.int64)
    both = (ImageSet(images, labels, ("a",)) for images in (before, before + 8))
    assert measured(*both) == {"max_abs_delta": 8.0, "psnr": 30.07}


def test_a_label_in_disguise_is_told_from_the_change_and_random_noise_is_not(
    natural: ImageSet, marks: torch.Tensor, run: Run
) -> None:
    coded = natural.with_images(changed(natural.images, marks[natural.labels]))
    assert audits(natural, coded, run)["separability"] > 0.95
    random = natural.with_images(changed(natural.images, noise(1000, "noise", -8, 9)))
    assert audits(natural, random, run)["separability"] < 0.2, "a tenth is chance"


def test_a_shallow_network_finds_what_is_plain_to_see_and_nothing_where_labels_are_shuffled(
    natural: ImageSet, marks: torch.Tensor, run: Run
) -> None:
    """It learns those that it trains on by heart: what counts are the others."""
    plain = natural.with_images(changed(grey(1000), 4 * marks[natural.labels] + noise(1000, "noise", -8, 9)))
    assert audits(natural, plain, run)["detection"] > 0.95
    shuffled = ImageSet(plain.images, natural.labels[torch.randperm(1000, generator=run.rng("other"))], natural.classes)
    assert audits(natural, shuffled, run)["detection"] < 0.2
    unchanged = audits(natural, natural, run)
    assert unchanged["detection"] < 0.2
    assert unchanged.keys() == {"detection"}, "there is no change to be told apart"


@pytest.fixture
def parts_of_seven(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pixels, perturbation, metrics, labelling):
        monkeypatch.setattr(module, "PART", 7)


@pytest.mark.usefixtures("parts_of_seven")
def test_the_last_image_of_the_last_part_counts() -> None:
    before = grey(20)
    after = before.clone()
    after[-1] += 9
    assert levels_changed(before, after) == 9
    assert beyond(before, after, LINF8)
    assert beyond(before, after, Budget("l2", 8 / 255))
    assert psnr(before, after) == pytest.approx(20 * math.log10(255 / 9) + 10 * math.log10(20), abs=1e-4)
    small = at_size(ImageSet(after, torch.zeros(20, dtype=torch.int64), ("a",)), 4).images
    assert small.flatten(1).float().mean(1).tolist() == [128.0] * 19 + [137.0]


def test_in_parts_all_is_found_as_in_one(
    natural: ImageSet, marks: torch.Tensor, run: Run, request: pytest.FixtureRequest
) -> None:
    """Changes that grow from row to row, and tell the class of two images of three."""
    some = natural.subset(torch.arange(200))
    told = torch.where(torch.arange(200) % 3 > 0, some.labels, 0)
    share = torch.linspace(0, 1, 200)[:, None, None, None] * marks[told]
    after = some.with_images(changed(some.images, share.round().int()))
    whole, groups = audits(some, after, run), labelling.cluster(some, 4, 0)
    assert 0.3 < whole["separability"] < 0.9
    request.getfixturevalue("parts_of_seven")
    assert audits(some, after, run) == whole
    assert torch.equal(labelling.cluster(some, 4, 0), groups)
