"""AR and OPS beside versions of ten lines, written as their papers have them."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.perturbation import apply
from unlearnable.pixels import LINF8, Budget
from unlearnable.protections import protection
from unlearnable.protections.ar import AR, _stable, answers, followed, matching
from unlearnable.protections.ops import OPS, Dots
from unlearnable.run import Run


def blank(classes: int, size: int, each: int = 2) -> ImageSet:
    labels = torch.arange(classes).repeat(each)
    images = torch.full((len(labels), 3, size, size), 128, dtype=torch.uint8)
    return ImageSet(images, labels, tuple(str(label) for label in range(classes)))


def raster(b: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """Algorithm 1 of AR for one signal (3, s, s), pixel by pixel."""
    signal = signal.copy()
    for row in range(2, signal.shape[1]):
        for column in range(2, signal.shape[2]):
            window = signal[:, row - 2 : row + 1, column - 2 : column + 1]
            signal[:, row, column] = (b * window).sum((1, 2))
    return signal[:, 4:, 4:]


def test_signals_are_those_of_the_raster_scan(run: Run) -> None:
    processes = AR(candidates=12).fit(blank(3, 16), run).processes
    starts = torch.randn(3, 2, 3, 20, 20, dtype=torch.float64, generator=run.rng("start"))
    found = followed(processes, starts)
    assert found.shape == (3, 2, 3, 16, 16)
    for process, some, signals in zip(processes, starts, found, strict=True):
        for start, signal in zip(some, signals, strict=True):
            assert np.allclose(raster(process.double().numpy(), start.numpy()), signal.numpy(), atol=1e-9)


@pytest.mark.parametrize("size", [32, 64])
def test_processes_are_the_papers_and_their_filters_know_every_signal(size: int, run: Run) -> None:
    method, data = AR(candidates=40), blank(6, size, each=8)
    fitted = method.fit(data, run)
    assert torch.allclose(fitted.processes.sum((2, 3)), torch.ones(6, 3), atol=1e-4)
    assert (fitted.processes[:, :, 2, 2] == 0).all()
    x = torch.full((len(data), 3, size, size), 0.5)
    change = fitted(x, data.labels, torch.arange(len(data))) - x
    assert torch.allclose(change.square().mean((1, 2, 3)).sqrt(), torch.tensor(8 / 255), rtol=1e-3)
    assert len(change.flatten(1).unique(dim=0)) == len(data)
    found = F.conv2d(change, matching(fitted.processes)).relu().mean((2, 3))
    assert (found.argmin(1) == data.labels).all()
    quarters = change.unflatten(2, (2, -1)).unflatten(4, (2, -1)).square().mean((1, 3, 5)).flatten(1)
    assert (quarters.amin(1) > 0.02 * quarters.amax(1)).all(), "it fades or grows across the picture"


def test_those_are_taken_that_answer_most_to_each_other(run: Run) -> None:
    def least(processes: torch.Tensor) -> float:
        starts = torch.randn(6, 1, 3, 20, 20, dtype=torch.float64, generator=run.rng("new"))
        apart = answers(processes, followed(processes, starts)[:, 0])
        assert apart.diagonal().max() < 1e-4
        return float((apart + torch.eye(6) * 99).min())

    drawn, _ = _stable(16, run.rng("any"))
    assert least(AR(candidates=60).fit(blank(6, 16), run).processes) > 1.5 * least(drawn[:6])


def test_published_radius(run: Run) -> None:
    method, data = protection("ar:paper", candidates=12), blank(2, 32)
    change = apply(method.fit(data, run), data, method.budget, run).images / 255 - data.images / 255
    assert torch.allclose(change.flatten(1).norm(dim=1), torch.tensor(1.0), atol=0.05)


def by_hand(images: np.ndarray, taken: set[tuple[int, int, int]]) -> tuple[int, int, int]:
    """Algorithm 1 of OPS for the images of one class (n, 3, s, s) in 0..1: colour, row and column."""
    colours = list(itertools.product([0.0, 1.0], repeat=3))
    found = {}
    for k, colour in enumerate(colours):
        for row, column in itertools.product(range(images.shape[2]), repeat=2):
            change = np.abs(images[:, :, row, column] - np.array(colour))
            found[k, row, column] = change.mean() / max(change.std(), 1e-6)
    return max((place for place in found if place not in taken), key=found.__getitem__)


def test_one_pixel_is_the_one_that_a_search_by_hand_finds(small: ImageSet, run: Run) -> None:
    fitted, taken = OPS().fit(small, run), set[tuple[int, int, int]]()
    for label in range(len(small.classes)):
        images = small.images[small.labels == label].double().numpy() / 255
        wanted = by_hand(images, taken)
        taken.add(wanted)
        assert int(fitted.places[label, 0]) == (wanted[0] * small.size + wanted[1]) * small.size + wanted[2]


def test_as_many_pixels_as_asked_in_full_colours_and_no_pair_twice(small: ImageSet, run: Run) -> None:
    fitted = OPS(pixels=3).fit(small, run)
    assert len(fitted.places.unique()) == 3 * len(small.classes)
    x = torch.full((len(small), 3, small.size, small.size), 0.5)
    after = fitted(x, small.labels, torch.arange(len(small)))
    changed = (after != x).any(1).flatten(1).sum(1)
    assert ((changed >= 1) & (changed <= 3)).all()
    assert set(after[after != x].tolist()) == {0.0, 1.0}


def test_places_are_rows_and_columns() -> None:
    after = Dots(torch.tensor([[(5 * 4 + 1) * 4 + 2]]), 4)(
        torch.full((1, 3, 4, 4), 0.5), torch.tensor([0]), torch.tensor([7])
    )
    assert after[0, :, 1, 2].tolist() == [1.0, 0.0, 1.0]
    assert (after != 0.5).sum() == 3


def test_what_cannot_be_is_refused(small: ImageSet, run: Run) -> None:
    with pytest.raises(ValueError, match="need 2100 pairs of place and colour, at 16 px there are 2048"):
        OPS(pixels=1050).fit(blank(2, 16), run)
    with pytest.raises(ValueError, match="class '9' has no image"):
        OPS().fit(ImageSet(small.images[:2], torch.tensor([0, 1]), ("0", "1", "9")), run)
    with pytest.raises(ValueError, match="pixels must be 1 or more, got 0"):
        OPS(pixels=0)
    with pytest.raises(ValueError, match="candidates must be 1 or more, got 0"):
        AR(candidates=0)
    with pytest.raises(ValueError, match="ar serves 1000 classes at most, got 1001"):
        AR().fit(blank(1001, 8), run)
    for size in (1, 2):
        with pytest.raises(ValueError, match=f"ar needs images of 3 pixels a side or more, got {size}"):
            AR().fit(blank(2, size), run)
    assert AR(candidates=12).fit(blank(2, 3), run).size == 3
    assert protection("ar").budget == LINF8
    assert protection("ops").budget == Budget("none", 1.0)


def test_lsp_says_which_patches_the_classes_of_a_size_want(run: Run) -> None:
    with pytest.raises(ValueError, match="tell 8 classes apart at most, here are 10: use a patch of 7 or less"):
        protection("lsp").fit(blank(10, 8), run)
    with pytest.raises(ValueError, match="here are 100: use a patch of 2 or less"):
        protection("lsp").fit(blank(100, 3), run)
    with pytest.raises(ValueError, match="here are 10: take larger pictures or fewer classes"):
        protection("lsp").fit(blank(10, 1), run)
    assert len(protection("lsp", patch=4).fit(blank(10, 8), run).centres.unique(dim=0)) == 10
    with pytest.raises(ValueError, match="too many for 100 classes: use a patch of 10 or more"):
        protection("lsp").fit(blank(100, 224, 1), run)
