"""ntga: the kernel against quadrature and wide networks, its training against gradient descent, its promises."""

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from fits import delta_of, resumed
from torch import Tensor
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.perturbation import apply
from unlearnable.pixels import to_float
from unlearnable.protections import protection
from unlearnable.protections._noise import NoisyImages
from unlearnable.protections._pgd import Term, descend
from unlearnable.protections.ntga import NTGA, Evolved, kernels
from unlearnable.run import Progress, Run

SMALL = NTGA(layers=2, time=2000.0, validation=30, block=40, steps=3)


def points(n: int, d: int, name: str, run: Run) -> Tensor:
    return torch.rand(n, d, generator=run.rng(name), dtype=torch.float64)


def plainly(x: Tensor, y: Tensor, seen: Tensor, layers: int, time: float) -> Tensor:
    """f_t by inverse and matrix exponential, without an eigenvalue."""
    kernel, cross = kernels(x, x, layers)[1], kernels(seen, x, layers)[1]
    kernel = kernel + 1e-4 * kernel.diagonal().mean() * torch.eye(len(x))
    learned = torch.eye(len(x)) - torch.matrix_exp(-time / y.numel() * kernel)
    return cross @ torch.linalg.inv(kernel) @ learned @ y


def test_one_layer_is_the_gaussian_integral(run: Run) -> None:
    """E[erf(u) erf(v)], and E[erf'(u) erf'(v)] times the covariance of u and v, by 60 x 60 points of Gauss-Hermite."""
    a, b = points(3, 5, "a", run), points(2, 5, "b", run)
    nodes, shares = np.polynomial.hermite_e.hermegauss(60)
    shares = np.outer(shares, shares) / shares.sum() ** 2
    erf, slope = np.vectorize(math.erf), lambda u: 2 / math.sqrt(math.pi) * np.exp(-(u**2))
    found = kernels(a, b, 1).numpy()
    for i, x in enumerate(a.numpy()):
        for j, z in enumerate(b.numpy()):
            moments = 1.76 / 5 * np.array([[x @ x, x @ z], [x @ z, z @ z]]) + 0.18
            root = np.linalg.cholesky(moments)
            u = root[0, 0] * nodes[:, None] + 0 * nodes
            v = root[1, 0] * nodes[:, None] + root[1, 1] * nodes
            assert math.isclose(found[0, i, j], (shares * erf(u) * erf(v)).sum(), rel_tol=1e-6)
            wanted = (shares * slope(u) * slope(v)).sum() * moments[0, 1]
            assert math.isclose(found[1, i, j], wanted, rel_tol=1e-6)


@pytest.mark.parametrize(("layers", "nets", "width"), [(1, 4096, 1), (2, 1024, 256), (3, 512, 96)])
def test_the_kernels_are_those_of_wide_random_networks(layers: int, nets: int, width: int, run: Run) -> None:
    """The mean over many networks of one output each: of the product of outputs, and of the gradients' product."""
    inputs = points(3, 6, "a", run) * torch.tensor([[1.0], [0.3], [1.0]], dtype=torch.float64)
    sizes = [6, *[width] * (layers - 1), 1]
    parameters = []
    for depth, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        draws = torch.randn(nets, fan_in + 1, fan_out, generator=run.rng("weights", depth)).requires_grad_()
        parameters.append(draws)

    def outputs(x: Tensor) -> Tensor:
        h = x.float().expand(nets, 1, -1)
        for draws in parameters:
            h = h @ draws[:, :-1] * math.sqrt(1.76 / h.shape[-1]) + math.sqrt(0.18) * draws[:, -1:]
            h = torch.erf(h)
        return h[:, 0, 0]

    values = [outputs(x) for x in inputs]
    slopes = [torch.autograd.grad(value.sum(), parameters) for value in values]
    covariance = torch.stack([torch.stack([(u * v).mean() for u in values]) for v in values])
    tangent = torch.stack([
        torch.stack([sum((p * q).sum() for p, q in zip(u, v, strict=True)) / nets for u in slopes]) for v in slopes
    ])  # fmt: skip
    found = kernels(inputs, inputs, layers).float()
    assert (covariance - found[0]).abs().max() < 0.03
    assert (tangent / found[1] - 1).abs().max() < 0.08


def test_the_outputs_are_those_of_gradient_descent(run: Run) -> None:
    """A linear model with this kernel, taken 8,000 small steps down the mean squared error from 0."""
    root = torch.randn(6, 9, generator=run.rng("features"), dtype=torch.float64)
    y, seen = F.one_hot(torch.tensor([0, 1, 2, 0, 1, 2])).double(), points(2, 9, "seen", run)
    weights = torch.zeros(9, 3, dtype=torch.float64)
    for _ in range(8_000):
        weights -= 0.005 * root.T @ (root @ weights - y) / y.numel()
    assert torch.allclose(seen @ root.T @ Evolved.apply(root @ root.T, y, 40 / y.numel()), seen @ weights, atol=1e-4)


def test_its_gradient_is_that_of_the_matrix_exponential_even_where_eigenvalues_meet(run: Run) -> None:
    eigenvalues = torch.tensor([3.0, 3.0, 3.0, 1.0, 1.0 + 1e-7, 0.01], dtype=torch.float64)
    vectors = torch.linalg.qr(torch.randn(6, 6, generator=run.rng("basis"), dtype=torch.float64))[0]
    y, pull = points(6, 3, "y", run), points(6, 3, "pull", run)
    found, wanted = ((vectors * eigenvalues @ vectors.T).requires_grad_() for _ in range(2))
    (Evolved.apply(found, y, 1.5) * pull).sum().backward()
    plain = torch.linalg.solve(wanted, y - torch.matrix_exp(-1.5 * wanted) @ y)
    (plain * pull).sum().backward()
    assert wanted.grad is not None
    assert torch.allclose(found.grad, (wanted.grad + wanted.grad.T) / 2, atol=1e-9)  # type: ignore[arg-type]


def test_one_step_goes_up_the_loss_of_the_other_images(small: ImageSet, run: Run) -> None:
    """Against differences of the loss, pixel by pixel, from outputs without an eigenvalue: sign, size and bounds."""
    rows, others = torch.arange(8), torch.arange(8, 28)
    x, seen = to_float(small.images).double().flatten(1)[rows], to_float(small.images).double().flatten(1)[others]
    y = F.one_hot(small.labels[rows], 10).double()

    def loss(x: Tensor) -> float:
        return float(F.cross_entropy(plainly(x, y, seen, 2, 2000.0), small.labels[others]))

    pixels, wrong = to_float(small.images[rows]), partial(SMALL._loss, small.labels[rows], small, others, run)
    assert math.isclose(-float(wrong(pixels)) / 20, loss(x), rel_tol=1e-9)
    term = Term("loss", wrong, SMALL.step_size)
    delta, _ = descend([term], pixels, torch.zeros_like(pixels), 1, SMALL.budget)
    for image, pixel in ((0, 330), (3, 100), (5, 150), (7, 620)):
        nudge = torch.zeros_like(x)
        nudge[image, pixel] = 1e-4
        slope = loss(x + nudge) - loss(x - nudge)
        wanted = float((x[image, pixel] + math.copysign(0.88 / 255, slope)).clamp(0, 1) - x[image, pixel])
        assert math.isclose(float(delta[image].flatten()[pixel]), wanted, abs_tol=1e-6)


def test_the_loss_rises_and_every_image_is_changed_within_the_budget(small: ImageSet, run: Run) -> None:
    events: list[Progress] = []
    method = replace(SMALL, validation=200, steps=6, step_size=4 / 255)
    delta = delta_of(method, small, replace(run, listener=events.append))
    watched = [event.figures["loss"] for event in events if event.figures]
    assert len(watched) == 3
    once: list[Progress] = []
    delta_of(replace(method, steps=1), small, replace(run, listener=once.append))
    before = [event.figures["loss"] for event in once if event.figures]
    assert all(late > early + 0.01 for late, early in zip(watched, before, strict=True))
    assert delta.abs().amax((1, 2, 3)).sub(8 / 255).abs().max() < 1e-6
    moved = to_float(small.images) + delta
    assert moved.min() > -1e-6
    assert moved.max() < 1 + 1e-6


def test_no_block_is_judged_by_itself_and_none_is_left_out(
    small: ImageSet, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of one size; what judges a block is the same for all, but for those it is in."""
    seen: list[tuple[set[int], list[int]]] = []

    blocks: list[set[int]] = []

    def look(self: NTGA, y: Tensor, data: ImageSet, others: Tensor, run: Run, pixels: Tensor) -> Tensor:
        seen.append((blocks[-1], others.tolist()))
        return pixels.sum()

    def clean(self: NoisyImages, rows: Tensor) -> tuple[Tensor, Tensor]:
        blocks.append(set(rows.tolist()))
        return to_float(small.images[rows]), small.labels[rows]

    monkeypatch.setattr(NTGA, "_loss", look)
    monkeypatch.setattr(NoisyImages, "clean", clean)
    replace(SMALL, steps=1).fit(small, run)
    assert [len(rows) for rows, _ in seen] == [32, 32, 32]
    assert set.union(*(rows for rows, _ in seen)) == set(range(96))
    assert all(len(others) == 30 and not rows & set(others) for rows, others in seen)
    assert seen[1][1] == seen[2][1] != seen[0][1]


def test_the_published_codes_setting_is_one_full_step(small: ImageSet, run: Run) -> None:
    method = protection("ntga:reference", layers=2, block=40)
    levels = apply(method.fit(small, run), small, method.budget, run).images.int() - small.images.int()
    inside = (small.images >= 8) & (small.images <= 247)
    assert (levels[inside].abs() == 8).float().mean() > 0.99


@pytest.mark.parametrize("at", [1, 2, 3])
def test_stopped_anywhere_and_resumed_gives_the_same_bytes(at: int, small: ImageSet, run: Run, tmp_path: Path) -> None:
    """Before each of three blocks."""
    fit = partial(delta_of, SMALL, small)
    assert torch.equal(resumed(fit, run, tmp_path, at), fit(run))


def test_what_cannot_work_is_refused(small: ImageSet, run: Run) -> None:
    alike = ImageSet(small.images, torch.zeros_like(small.labels), ("one",))
    with pytest.raises(ValueError, match="at least 2 classes and 2 images, got 1 and 96"):
        SMALL.fit(alike, run)
    with pytest.raises(ValueError, match="at least 2 classes and 2 images, got 10 and 1"):
        SMALL.fit(small.subset(torch.arange(1)), run)
    with pytest.raises(ValueError, match="block must be 1 or more, got 0"):
        NTGA(block=0)
    with pytest.raises(ValueError, match=r"time must be above 0, got 0.0"):
        NTGA(time=0.0)
