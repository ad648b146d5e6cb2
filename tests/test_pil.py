"""pil: against the paper's training and step in numpy, and what it promises of signs, budgets, refusals and stops."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fits import delta_of, resumed
from numpy.typing import NDArray

from unlearnable.data import ImageSet
from unlearnable.perturbation import SampleWise, apply
from unlearnable.pixels import Budget, to_float
from unlearnable.protections.pil import PIL
from unlearnable.run import Progress, Run
from unlearnable.training import accuracy

SMALL = PIL(epochs=2, steps=3, batch=40, step_size=2 / 255)
TRAINED = PIL(epochs=20, lr=0.02, batch=16)


def weights(method: PIL, data: ImageSet, run: Run) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two layers of the surrogate: (k, 3hw) and (k, k)."""
    first, second = (weight.detach().double().numpy() for weight in method._surrogate(data, run).parameters())
    return first, second


def softmax(z: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(z - z.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


def test_the_surrogate_is_trained_as_the_paper_says(small: ImageSet, run: Run) -> None:
    """Two epochs of one batch: momentum 0.9 and a cosine that is at its half for the second."""
    method = PIL(epochs=2, lr=0.01, batch=96)
    x, y = to_float(small.images).flatten(1).double().numpy(), np.eye(10)[small.labels.numpy()]
    first, second = weights(replace(method, epochs=1, lr=1e-30), small, run)
    velocity: list[Any] = [0.0, 0.0]
    for rate in (0.01, 0.005):
        error = (softmax(x @ first.T @ second.T) - y) / 96
        velocity = [0.9 * velocity[0] + (error @ second).T @ x, 0.9 * velocity[1] + error.T @ (x @ first.T)]
        first, second = first - rate * velocity[0], second - rate * velocity[1]
    found = weights(method, small, run)
    assert np.allclose(found[0], first, atol=1e-6)
    assert np.allclose(found[1], second, atol=1e-6)


@pytest.mark.parametrize("balance", [1.0, 0.9, 0.0])
def test_one_step_is_the_papers_step(balance: float, small: ImageSet, run: Run) -> None:
    """Uniform noise, sign of the gradient of both terms, projected; published with its sign turned round."""
    method, eps = replace(SMALL, balance=balance, steps=1, batch=96), 8 / 255
    first, second = weights(method, small, run)
    linear = second @ first
    x, y = to_float(small.images).double().numpy().reshape(96, -1), np.eye(10)[small.labels.numpy()]
    draws = eps * (2 * torch.rand(96, 3, 16, 16, generator=run.rng("pil-start", 0)) - 1).double().numpy()
    start = x - np.clip(x + draws.reshape(96, -1), 0, 1)  # the noise is what is taken away
    gradient = balance * (softmax(start @ linear.T) - y) @ linear
    gradient -= (1 - balance) * (softmax((x - start) @ linear.T) - 0.1) @ linear
    wanted = np.clip(x - np.clip(start - 2 / 255 * np.sign(gradient), -eps, eps), 0, 1) - x
    sure = np.abs(gradient) > 1e-4 * np.abs(gradient).max()  # rounding may flip the sign of a vanishing gradient
    assert sure.mean() > 0.95
    assert np.allclose(delta_of(method, small, run).numpy().reshape(96, -1)[sure], wanted[sure], atol=eps / 127)


def test_the_noise_shows_its_class_the_published_change_does_not(small: ImageSet, run: Run, tmp_path: Path) -> None:
    """The loss falls all the way, and every image is less of its class to the surrogate than before."""
    events: list[Progress] = []
    run = replace(run, directory=tmp_path, listener=events.append)
    delta, surrogate = delta_of(TRAINED, small, run), TRAINED._surrogate(small, run)
    assert accuracy(surrogate, small, run) > 0.9
    right = lambda pixels: float((surrogate(pixels).argmax(1) == small.labels).float().mean())  # noqa: E731
    assert right(-delta) == 1.0
    assert right(delta) == 0.0
    x = to_float(small.images)
    before, after = (surrogate(pixels).log_softmax(1).gather(1, small.labels[:, None]) for pixels in (x, x + delta))
    assert (after < before).all()
    watched = [event.figures["loss"] for event in events if event.stage == "pil" and event.figures]
    assert len(watched) == 6
    unchanged = float(TRAINED._loss(surrogate, x, small.labels, x)) / len(x)
    assert max(watched) < unchanged - 0.5
    trained = [event.figures["loss"] for event in events if event.stage == "pil-surrogate" and event.figures]
    assert trained[-1] < trained[0] - 0.5


def test_a_surrogate_of_sorted_images_is_as_good(small: ImageSet, run: Run) -> None:
    """Its batches are shuffled; from unshuffled ones it would know the classes best that it saw last."""
    ordered = small.subset(small.labels.argsort())
    assert accuracy(TRAINED._surrogate(ordered, run), ordered, run) > 0.9


@pytest.mark.parametrize("budget", [Budget("linf", 3 / 255), Budget("l2", 3 / 255)])
def test_noise_never_leaves_the_budget(budget: Budget, small: ImageSet, run: Run) -> None:
    delta = delta_of(replace(SMALL, budget=budget, steps=8), small, run)
    sizes = delta.abs().amax((1, 2, 3)) if budget.norm == "linf" else delta.square().mean((1, 2, 3)).sqrt()
    assert (sizes <= 3 / 255 + 1e-6).all()
    released = apply(SampleWise(delta), small, budget, run)
    assert ((released.images.int() - small.images.int()) * delta >= -1e-6).all(), "a value moved the other way"


@pytest.mark.parametrize("at", range(1, 6))
def test_stopped_anywhere_and_resumed_gives_the_same_bytes(at: int, small: ImageSet, run: Run, tmp_path: Path) -> None:
    """Two epochs of the surrogate, with crops, then three steps: before every one of them."""
    fit = partial(delta_of, replace(SMALL, padding=2), small)
    assert torch.equal(resumed(fit, run, tmp_path, at), fit(run))


def test_what_cannot_work_is_refused(small: ImageSet, run: Run) -> None:
    alike = ImageSet(small.images, torch.zeros_like(small.labels), ("one",))
    with pytest.raises(ValueError, match="at least 2 classes"):
        SMALL.fit(alike, run)
    with pytest.raises(ValueError, match=r"not finite at lr 1e\+30; use a smaller one"):
        replace(SMALL, lr=1e30).fit(small, run)
    with pytest.raises(ValueError, match=r"balance must be 0 to 1, got 1\.5"):
        PIL(balance=1.5)
