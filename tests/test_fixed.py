"""Methods with a surrogate that stays as it is: against the papers' step written by hand, and what they promise."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import delta_of, resumed
from torch import Tensor
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.perturbation import apply
from unlearnable.pixels import Budget, to_float
from unlearnable.protections import protection
from unlearnable.protections._fixed_surrogate import FixedSurrogate
from unlearnable.protections.sep import SEP
from unlearnable.protections.tap import TAP
from unlearnable.run import Progress, Run
from unlearnable.training import Contrastive, CropFlip, Recipe, accuracy, predict

# digits are black and white: to look like another digit they need a larger budget than photographs do
STRONG: dict[str, Any] = {"budget": Budget("linf", 64 / 255), "model": "cnn", "epochs": 25, "lr": 0.02,
                          "surrogate_batch": 24, "steps": 15, "step_size": 16 / 255, "restarts": 1}  # fmt: skip
SMALL: dict[str, Any] = {"model": "lenet", "epochs": 2, "steps": 3, "step_size": 2 / 255, "restarts": 2, "batch": 40}
NAMES = ("tap", "tap:untargeted", "aap", "hypocritical", "sep")


def method_of(name: str, **values: Any) -> FixedSurrogate:
    own = {"checkpoints": min(3, values["epochs"])} if name == "sep" else {}
    made = protection(name, **values | own)
    assert isinstance(made, FixedSurrogate)
    return made


def wanted_losses(name: str, logits: Tensor, y: Tensor) -> Tensor:
    """What falls, written again from the papers."""
    right = {"hypocritical": y, "tap:untargeted": y, "sep": (y + 5) % 10}.get(name, (y + 1) % 10)
    picked = torch.log_softmax(logits, 1)[torch.arange(len(y)), right]
    return picked if name == "tap:untargeted" else -picked


@pytest.mark.parametrize("name", NAMES)
def test_the_surrogate_takes_the_released_images_for_what_was_wanted(
    name: str, small: ImageSet, run: Run, tmp_path: Path
) -> None:
    events: list[Progress] = []
    method, run = method_of(name, **STRONG), replace(run, directory=tmp_path, listener=events.append)
    surrogate = method.networks(small, run)[-1]
    assert accuracy(surrogate, small, run) > 0.9
    protected = apply(method.fit(small, run), small, method.budget, run)
    seen = predict(surrogate, protected.images, run)
    before, after = (
        wanted_losses(name, logits, small.labels).mean() for logits in (predict(surrogate, small.images, run), seen)
    )
    assert after < before
    if name != "hypocritical":
        assert (seen.argmax(1) != small.labels).float().mean() > 0.9
        assert after < before - 3
    watched = [event.figures["loss"] for event in events if event.stage == method.stage and event.figures]
    assert watched
    assert watched[-1] < before


@pytest.mark.parametrize("name", NAMES)
def test_one_step_is_the_papers_step(name: str, small: ImageSet, run: Run) -> None:
    """Random start, sign of the gradient through the view, projected, kept inside 0..1."""
    method = method_of(name, **SMALL | {"steps": 1, "restarts": 1, "batch": 96})
    x, y, eps = to_float(small.images), small.labels, 8 / 255
    start = eps * (2 * torch.rand(x.shape, generator=run.rng(f"{method.stage}-start", 0, 0)) - 1)
    start = (x + start).clamp(0, 1) - x
    delta = start.clone().requires_grad_()
    view, draws = x + delta, run.rng(f"{method.stage}-view", 0, 0)
    if isinstance(method, TAP):
        view = CropFlip(4).crop(view, draws)
    if name == "aap":
        view = Contrastive(0.4).view(view, draws)
    networks = method.networks(small, run)
    total = sum(wanted_losses(name, network(view), y).sum() for network in networks) / len(networks)
    (slope,) = torch.autograd.grad(total, delta)  # type: ignore[arg-type]
    wanted = (x + (start - 2 / 255 * slope.sign()).clamp(-eps, eps)).clamp(0, 1) - x
    sure = (slope.abs() > slope.abs().max() * 1e-4) | (slope == 0)  # rounding may flip the sign of a vanishing gradient
    assert sure.float().mean() > 0.9
    found = delta_of(method, small, run)
    assert ((found - wanted)[sure].abs() < eps / 127).float().mean() > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_more_restarts_are_never_worse_for_any_image(name: str, small: ImageSet, run: Run) -> None:
    def left(restarts: int) -> Tensor:
        method = method_of(name, **SMALL | {"restarts": restarts})
        x = to_float(small.images) + delta_of(method, small, run)
        networks = method.networks(small, run)
        return torch.stack([wanted_losses(name, network(x), small.labels) for network in networks]).mean(0)

    once, thrice = left(1), left(3)
    assert (thrice <= once + 1e-3).all()
    assert (thrice < once - 1e-4).float().mean() > 0.3


@pytest.mark.parametrize("at", range(1, 6))
def test_stopped_anywhere_and_resumed_gives_the_same_bytes(at: int, small: ImageSet, run: Run, tmp_path: Path) -> None:
    """Two epochs of the surrogate, then three batches: before every one of them."""
    fit = partial(delta_of, method_of("tap", **SMALL), small)
    assert torch.equal(resumed(fit, run, tmp_path, at), fit(run))


@pytest.mark.parametrize("name", NAMES)
def test_the_surrogate_is_not_the_victim_of_the_same_seed(name: str, small: ImageSet, run: Run) -> None:
    """Or the protection would be measured against the very weights it was made for."""
    method = method_of(name, **SMALL)
    victim = Recipe(method.model, epochs=method.epochs, lr=method.lr, batch=method.surrogate_batch).train(small, run)
    surrogate = method.networks(small, run)[-1]
    assert not torch.equal(predict(victim.network, small.images, run), predict(surrogate, small.images, run))


def test_checkpoints_are_of_different_moments(small: ImageSet, run: Run) -> None:
    networks = SEP(model="lenet", epochs=6, checkpoints=3, surrogate_batch=24).networks(small, run)
    weights = [next(network.parameters()) for network in networks]
    assert len(networks) == 3
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
    with pytest.raises(ValueError, match="1 to 6"):
        SEP(epochs=6, checkpoints=7)


def test_a_robust_surrogate_is_trained_adversarially(small: ImageSet, run: Run) -> None:
    """Moving images within the radius costs it less than the plain one."""
    from unlearnable.protections.hypocritical import Hypocritical
    from unlearnable.training import attack

    def error_near(radius: float) -> float:
        method = Hypocritical(model="cnn", epochs=15, lr=0.02, surrogate_batch=24, radius=radius, attack_steps=4)
        (network,) = method.networks(small, run)
        x = to_float(small.images)
        moved = attack(network, x, small.labels, Budget("linf", 24 / 255), 5, run.rng("near"), run)
        return float(F.cross_entropy(network(moved), small.labels).detach())

    assert error_near(24 / 255) < error_near(0.0) - 0.1


def test_what_cannot_work_is_refused(small: ImageSet, run: Run) -> None:
    alike = ImageSet(small.images, torch.zeros_like(small.labels), ("one",))
    with pytest.raises(ValueError, match="at least 2 classes"):
        method_of("tap", **SMALL).fit(alike, run)
    with pytest.raises(ValueError, match="not finite at lr"):
        method_of("tap", **SMALL | {"lr": 1e30}).fit(small, run)
    with pytest.raises(ValueError, match="strength must be"):
        protection("aap", strength=2.0)
