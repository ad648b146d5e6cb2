"""Methods against ten-line numpy versions written from the papers alone, and against what their papers promise."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.perturbation import apply
from unlearnable.pixels import LINF8, to_float
from unlearnable.protections import protection
from unlearnable.protections._pgd import Term, descend, frozen
from unlearnable.protections.class_filters import Filters
from unlearnable.protections.lsp import Patches
from unlearnable.run import Run
from unlearnable.training import forward


def lsp_in_numpy(
    image: NDArray[np.float64], points: NDArray[np.float64], patch: int, rms: float
) -> NDArray[np.float64]:
    """One image (3, s, s) in 0..1 with the patches of one synthetic point (d,), at the given root mean square."""
    _, size, _ = image.shape
    grid = -(-size // patch)
    pattern = np.kron(points.reshape(3, grid, grid), np.ones((1, patch, patch)))[:, :size, :size]
    return image + pattern * rms / np.sqrt((pattern**2).mean())


def filter_in_numpy(image: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zero-padded correlation of every channel with the kernel, divided by the largest value of the picture."""
    k, (channels, height, width) = len(kernel) // 2, image.shape
    padded = np.pad(image, ((0, 0), (k, k), (k, k)))
    out = np.zeros_like(image)
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                out[c, i, j] = (padded[c, i : i + 2 * k + 1, j : j + 2 * k + 1] * kernel).sum()
    return out / max(out.max(), 1e-6)


@pytest.mark.parametrize(("size", "patch"), [(32, 8), (16, 4), (17, 8)])
def test_lsp_is_the_papers_pattern(size: int, patch: int, run: Run) -> None:
    labels = torch.arange(10).repeat(3)
    data = ImageSet(torch.full((30, 3, size, size), 128, dtype=torch.uint8), labels, tuple("abcdefghij"))
    fitted = protection("lsp", patch=patch, overdrive=1.0).fit(data, run)
    assert isinstance(fitted, Patches)
    proposed = fitted(to_float(data.images), labels, torch.arange(30)).numpy()
    for row in range(30):
        z = torch.randn(fitted.centres.shape[1], generator=Run(run.seed).rng("lsp", row)).numpy()
        point = z @ fitted.spread[labels[row]].numpy() + fitted.centres[labels[row]].numpy()
        wanted = lsp_in_numpy(to_float(data.images[row : row + 1])[0].numpy(), point, patch, LINF8.eps)
        assert np.allclose(proposed[row], wanted, atol=1e-5)


def test_lsp_points_are_distributed_as_make_classification_has_them(run: Run) -> None:
    """Same distance of the classes and same spread inside them, feature by feature, within sampling error."""
    data = ImageSet(torch.zeros(4000, 3, 32, 32, dtype=torch.uint8), torch.arange(4000) % 10, tuple("abcdefghij"))
    fitted = protection("lsp").fit(data, run)
    assert isinstance(fitted, Patches)
    noise = torch.randn(4000, 48, generator=torch.Generator().manual_seed(1))
    ours = torch.einsum("nd,nde->ne", noise, fitted.spread[data.labels]) + fitted.centres[data.labels]
    theirs, y = make_classification(
        4000,
        48,
        n_informative=48,
        n_redundant=0,
        n_classes=10,
        n_clusters_per_class=1,
        class_sep=10,
        flip_y=0,
        random_state=0,
    )

    def within(points: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
        return float(np.mean([points[labels == k].std(0).mean() for k in range(10)]))

    def between(points: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
        return float(np.mean([np.abs(points[labels == k].mean(0)).mean() for k in range(10)]))

    assert within(ours.numpy(), data.labels.numpy()) == pytest.approx(within(theirs, y), rel=0.1)
    assert between(ours.numpy(), data.labels.numpy()) == pytest.approx(between(theirs, y), rel=0.1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lsp_keeps_its_first_draw_where_no_classes_coincide(seed: int) -> None:
    """What a seed gave before stays: vertices of the cube, then the spread of each class."""
    data = ImageSet(torch.zeros(10, 3, 32, 32, dtype=torch.uint8), torch.arange(10), tuple("abcdefghij"))
    fitted = protection("lsp").fit(data, Run(seed))
    assert isinstance(fitted, Patches)
    rng = Run(seed).rng("lsp-classes")
    assert torch.equal(fitted.centres, 10 * (torch.randint(0, 2, (10, 48), generator=rng).float() * 2 - 1))
    assert torch.equal(fitted.spread, torch.rand(10, 48, 48, generator=rng) * 2 - 1)


def test_lsp_tells_a_thousand_classes_apart_by_twelve_features(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """At random, a thousand of 4096 vertices all but never differ: those that coincide are drawn again, no others."""
    drawn, draw = [], torch.randint

    def counted(*arguments: Any, **values: Any) -> torch.Tensor:
        drawn.append(arguments)
        assert len(drawn) < 5000, "it goes on for ever"
        return draw(*arguments, **values)

    names = tuple(str(number) for number in range(1000))
    data = ImageSet(torch.zeros(1, 3, 16, 16, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), names)
    monkeypatch.setattr(torch, "randint", counted)
    fitted = protection("lsp").fit(data, run)
    assert isinstance(fitted, Patches)
    assert len(fitted.centres.unique(dim=0)) == 1000


def test_lsp_is_linearly_separable_and_sample_wise_noise_is_not(small: ImageSet, run: Run) -> None:
    """On mid-grey pictures: at black and white the clamp lets the picture itself show through the change."""
    grey = small.with_images(torch.full_like(small.images, 128))

    def separability(name: str) -> float:
        method = protection(name)
        delta = to_float(apply(method.fit(grey, run), grey, method.budget, run).images) - to_float(grey.images)
        train, held_out = torch.arange(0, 64), torch.arange(64, 96)
        model = LogisticRegression(max_iter=500, C=1e3).fit(delta[train].flatten(1), small.labels[train])
        return float(model.score(delta[held_out].flatten(1), small.labels[held_out]))

    assert separability("lsp") > 0.9
    assert separability("random") < 0.4


@pytest.mark.parametrize(("name", "draws"), [("random", 96), ("random:class", 10)])
def test_random_noise_is_eps_up_or_down_at_every_value_and_as_often_one_as_the_other(
    name: str, draws: int, small: ImageSet, run: Run
) -> None:
    grey, method = small.with_images(torch.full_like(small.images, 128)), protection(name)
    change = apply(method.fit(grey, run), grey, method.budget, run).images.int() - 128
    assert change.unique().tolist() == [-8, 8]
    different = change.flatten(1).unique(dim=0)
    assert len(different) == draws
    assert ((different > 0).float().mean(1) - 0.5).abs().max() < 0.08, "four deviations of 768 fair draws"
    assert abs(float((different > 0).float().mean()) - 0.5) < 0.02


def test_class_filters_are_the_papers_convolution(small: ImageSet, run: Run) -> None:
    fitted = protection("class_filters").fit(small, run)
    assert isinstance(fitted, Filters)
    proposed = fitted(to_float(small.images), small.labels, torch.arange(len(small))).numpy()
    for row in (0, 1, 2, 95):
        kernel = fitted.weights[small.labels[row]].double().numpy()
        wanted = filter_in_numpy(to_float(small.images[row : row + 1])[0].double().numpy(), kernel)
        assert np.allclose(proposed[row], wanted, atol=1e-5)


def test_the_filter_of_a_class_can_be_recovered_from_its_images(run: Run) -> None:
    """Least squares on original and filtered patches gives the kernel up to the normalising factor."""
    images = torch.randint(0, 256, (4, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = ImageSet(images, torch.tensor([0, 0, 1, 1]), ("a", "b"))
    fitted = protection("class_filters").fit(data, run)
    assert isinstance(fitted, Filters)
    x = to_float(images)
    after = fitted(x, data.labels, torch.arange(4))
    patches = F.unfold(x[:1, :1], 3, padding=1)[0].T.double().numpy()
    solved = np.linalg.lstsq(patches, after[0, 0].flatten().double().numpy(), rcond=None)[0].reshape(3, 3)
    kernel = fitted.weights[0].double().numpy()
    assert np.allclose(solved / solved.max(), kernel / kernel.max(), atol=1e-3)


def test_one_step_of_em_is_the_papers_step(small: ImageSet, run: Run) -> None:
    """Sign of the gradient of the mean cross-entropy, descended, projected, kept inside 0..1: equation 1 by hand."""
    with run.seeded("oracle"):
        network = build("cnn", 10, small.size).eval()
    x, y = to_float(small.images), small.labels
    start = torch.full_like(x, 2 / 255)
    delta = start.clone().requires_grad_()
    F.cross_entropy(network(x + delta), y).backward()
    assert delta.grad is not None
    by_hand = (start - 0.8 / 255 * delta.grad.sign()).clamp(-8 / 255, 8 / 255)
    by_hand = (x + by_hand).clamp(0, 1) - x
    judge = frozen(network, run)
    term = Term("error", lambda pixels: F.cross_entropy(forward(judge, pixels, run), y, reduction="sum"), 0.8 / 255)
    ours, _ = descend([term], x, start, 1, LINF8)
    slope = delta.grad.abs()
    sure = slope > slope.quantile(0.05)  # rounding may flip the sign of a vanishing gradient
    assert torch.allclose(ours[sure], by_hand[sure], atol=1e-6)


@pytest.mark.parametrize("name", ["cnn", "lenet", "resnet8", "resnet20"])
def test_a_frozen_network_judges_as_the_network_does(name: str, small: ImageSet, run: Run) -> None:
    with run.seeded("oracle"):
        network = build(name, 10, small.size)
    network.train()
    network(to_float(small.images))  # so that the running statistics are not those of the start
    network.eval()
    copy = frozen(network, run)
    x = to_float(small.images)
    assert torch.allclose(copy(x), network(x), atol=1e-4)
    assert not any(p.requires_grad for p in copy.parameters())
    assert all(p.requires_grad for p in network.parameters())
