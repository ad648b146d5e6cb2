"""tap: against the paper's step written by hand, and what it promises of targets, restarts and stops."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.perturbation import SampleWise, apply
from unlearnable.pixels import Budget, to_float
from unlearnable.protections.tap import TAP
from unlearnable.run import Cancelled, Progress, Run
from unlearnable.training import CropFlip, Recipe, accuracy, predict

# digits are black and white: to look like another digit they need a larger budget than photographs do
STRONG = TAP(Budget("linf", 64 / 255), model="cnn", epochs=25, lr=0.02, surrogate_batch=24, steps=10,
             step_size=16 / 255, restarts=1, padding=0)  # fmt: skip
SMALL = TAP(model="lenet", epochs=2, steps=3, step_size=2 / 255, restarts=2, batch=40)


def delta_of(method: TAP, data: ImageSet, run: Run) -> Tensor:
    fitted = method.fit(data, run)
    assert isinstance(fitted, SampleWise)
    return fitted.delta


def losses(method: TAP, data: ImageSet, run: Run) -> Tensor:
    """What each image was left with: the cross-entropy with the target, or minus that with its own class."""
    delta, surrogate = delta_of(method, data, run), method._surrogate(data, run)
    logits = surrogate(to_float(data.images) + delta)
    if method.goal == "untargeted":
        return -F.cross_entropy(logits, data.labels, reduction="none")
    return F.cross_entropy(logits, (data.labels + 1) % 10, reduction="none")


@pytest.mark.parametrize("goal", ["targeted", "untargeted"])
def test_the_surrogate_takes_the_released_images_for_another_class(
    goal: str, small: ImageSet, run: Run, tmp_path: Path
) -> None:
    """The next one, where that is the goal; and the loss that is reported falls all the way there."""
    events: list[Progress] = []
    method, run = replace(STRONG, goal=goal), replace(run, directory=tmp_path, listener=events.append)
    protected = apply(method.fit(small, run), small, method.budget, run)
    surrogate = method._surrogate(small, run)  # the one that was kept in the folder
    assert accuracy(surrogate, small, run) > 0.9
    seen = predict(surrogate, protected.images, run).argmax(1)
    hit = seen == (small.labels + 1) % 10 if goal == "targeted" else seen != small.labels
    assert hit.float().mean() > 0.9
    watched = [event.figures["loss"] for event in events if event.stage == "tap" and event.figures]
    assert len(watched) == method.steps
    assert watched[-1] < watched[0] - 3


@pytest.mark.parametrize("goal", ["targeted", "untargeted"])
@pytest.mark.parametrize("padding", [0, 4])
def test_one_step_is_the_papers_step(goal: str, padding: int, small: ImageSet, run: Run) -> None:
    """Clipped normal noise, sign of the gradient through the crop, projected, kept inside 0..1."""
    method = replace(SMALL, goal=goal, padding=padding, steps=1, restarts=1, batch=96)
    x, eps = to_float(small.images), 8 / 255
    start = (eps * torch.randn(x.shape, generator=run.rng("tap-start", 0))).clamp(-eps, eps)
    delta = start.clone().requires_grad_()
    view = CropFlip(4).crop(x + delta, run.rng("tap-view", 0, 0, 0)) if padding else x + delta
    logits = method._surrogate(small, run)(view)
    picked = (small.labels + 1) % 10 if goal == "targeted" else small.labels
    loss = -torch.log_softmax(logits, 1)[torch.arange(96), picked].sum()
    (loss if goal == "targeted" else -loss).backward()
    assert delta.grad is not None
    wanted = (start - 2 / 255 * delta.grad.sign()).clamp(-eps, eps)
    wanted = (x + wanted).clamp(0, 1) - x
    slope = delta.grad.abs()
    sure = (slope > slope.max() * 1e-4) | (slope == 0)  # rounding may flip the sign of a vanishing gradient
    assert sure.float().mean() > 0.9
    assert torch.allclose(delta_of(method, small, run)[sure], wanted[sure], atol=1e-6)


@pytest.mark.parametrize("goal", ["targeted", "untargeted"])
def test_more_restarts_are_never_worse_for_any_image(goal: str, small: ImageSet, run: Run) -> None:
    once, thrice = (losses(replace(SMALL, goal=goal, restarts=n), small, run) for n in (1, 3))
    assert (thrice <= once + 1e-4).all()
    assert (thrice < once - 1e-4).float().mean() > 0.3


@pytest.mark.parametrize("calls", range(1, 9))
def test_stopped_anywhere_and_resumed_gives_the_same_bytes(
    calls: int, small: ImageSet, run: Run, tmp_path: Path
) -> None:
    """Two epochs of the surrogate, then two restarts of three steps: before every one of them."""
    left = calls

    def stop() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    with pytest.raises(Cancelled):
        SMALL.fit(small, replace(run, directory=tmp_path, save_every=1e9, cancelled=stop))
    resumed = delta_of(SMALL, small, replace(run, directory=tmp_path))
    assert torch.equal(resumed, delta_of(SMALL, small, run))


def test_the_surrogate_is_not_the_victim_of_the_same_seed(small: ImageSet, run: Run) -> None:
    """Or the protection would be measured against the very weights it was made for."""
    recipe = Recipe(SMALL.model, epochs=SMALL.epochs, lr=SMALL.lr, batch=SMALL.surrogate_batch)
    victim = recipe.train(small, run).network
    assert not torch.equal(predict(victim, small.images, run), predict(SMALL._surrogate(small, run), small.images, run))


def test_what_cannot_work_is_refused(small: ImageSet, run: Run) -> None:
    alike = ImageSet(small.images, torch.zeros_like(small.labels), ("one",))
    with pytest.raises(ValueError, match="at least 2 classes"):
        SMALL.fit(alike, run)
    with pytest.raises(ValueError, match="not finite at lr"):
        replace(SMALL, lr=1e30).fit(small, run)
