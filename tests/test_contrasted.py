"""cp and tue: the discriminant in numpy, one step of the noise by hand, and the two turns of a fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from unlearnable.data import ImageSet
from unlearnable.perturbation import ClassWise
from unlearnable.pixels import LINF8, to_float
from unlearnable.protections import protection
from unlearnable.protections._noise import NoisyImages
from unlearnable.protections.cp import CP
from unlearnable.protections.tue import TUE, separability
from unlearnable.run import Progress, Run
from unlearnable.training import Pairs

SMALL = {"model": "lenet", "rounds": 2, "train_batches": 2, "steps": 2, "batch": 96, "lr": 0.05}


def noise() -> tuple[Tensor, Tensor]:
    return torch.randn(30, 3, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 4 * 2


def test_the_discriminant_is_equation_3() -> None:
    delta, y = noise()
    points, classes = delta.flatten(1).double().numpy(), (0, 2, 4, 6)
    centres = {c: points[y.numpy() == c].mean(0) for c in classes}
    spread = {c: np.linalg.norm(points[y.numpy() == c] - centres[c], axis=1).mean() for c in classes}
    pairs = [
        (spread[i] + spread[j]) / np.linalg.norm(centres[i] - centres[j]) for i in classes for j in classes if i != j
    ]
    assert separability(delta, y).item() == pytest.approx(np.mean(pairs), rel=1e-4)
    assert separability(delta, torch.zeros(30, dtype=torch.int64)).item() == 0


def test_only_the_whole_discriminant_draws_a_class_together() -> None:
    """Half of the published gradient is missing: with it, classes move apart and stay as wide as they were."""
    delta, y = noise()
    found = {}
    for detached in (False, True):
        moved = delta.clone().requires_grad_()
        for _ in range(40):
            (gradient,) = torch.autograd.grad(separability(moved, y, detached), moved)
            moved = (moved - 2 * gradient).detach().requires_grad_()
        own = [moved[y == c] - moved[y == c].mean(0) for c in (0, 2, 4, 6)]
        found[detached] = torch.cat(own).flatten(1).norm(dim=1).mean().item()
    own = [delta[y == c] - delta[y == c].mean(0) for c in (0, 2, 4, 6)]
    before = torch.cat(own).flatten(1).norm(dim=1).mean().item()
    assert found[True] == pytest.approx(before, rel=1e-3)
    assert found[False] < 0.95 * before


def test_without_the_discriminant_tue_reads_no_label(small: ImageSet, run: Run) -> None:
    method = protection("tue:moco-quick", csd_weight=0.0, rounds=1, train_batches=1, steps=1, model="lenet", batch=48)
    unknown = ImageSet(small.images, torch.full_like(small.labels, -1), small.classes)
    found = [method.fit(data, run)(small.images / 255, data.labels, torch.arange(96)) for data in (small, unknown)]
    assert torch.equal(*found)
    assert not torch.equal(found[0], small.images / 255)
    assert not method.needs_labels
    assert protection("tue").needs_labels


@pytest.mark.parametrize(
    ("preset", "lr", "temperature", "steps", "step"),
    [("", 0.5, 0.5, 5, 0.1), ("class", 0.5, 0.5, 1, 0.1), ("moco", 0.3, 0.2, 5, 0.1), ("class-moco", 0.3, 0.2, 1, 0.1),
     ("byol", 1.0, 0.5, 1, 0.02), ("class-byol", 1.0, 0.5, 1, 0.1)],
)  # fmt: skip
def test_published_settings_of_cp(preset: str, lr: float, temperature: float, steps: int, step: float) -> None:
    """As the published script has them for each learner; `step` in parts of epsilon."""
    method = protection(f"cp:{preset}".rstrip(":"))
    assert isinstance(method, CP)
    class_wise, learner = preset.startswith("class"), preset.removeprefix("class").lstrip("-") or "simclr"
    assert (method.learner, method.lr, method.temperature, method.steps) == (learner, lr, temperature, steps)
    assert method.step_size == pytest.approx(step * LINF8.eps)
    assert (method.class_wise, method.rounds) == ((True, 1000) if class_wise else (False, 200))
    assert method.train_batches == method.noise_batches == (20 if class_wise else 0)


def watched(method: CP | TUE, small: ImageSet, run: Run) -> tuple[Pairs, Tensor, Tensor]:
    """What judges the noise when it is sought first, the noise then, and when it is sought again."""
    seen: list[tuple[Pairs, Tensor]] = []

    class Watched(type(method)):  # type: ignore[misc]
        def _search(self, judge: Pairs, images: NoisyImages, count: int, run: Run, turn: int) -> dict[str, float]:
            seen.append((judge, images.delta(torch.arange(count)).clone()))
            return super()._search(judge, images, count, run, turn)  # type: ignore[no-any-return]

    Watched(**vars(method)).fit(small, run)
    (judge, before), (_, after) = seen
    return judge, before, after


@pytest.mark.parametrize("scope", ["sample", "class"])
def test_one_step_of_cp_is_the_papers_step(scope: str, small: ImageSet, run: Run) -> None:
    """Against the sign of the gradient through both views; that of a class is the sum over its images."""
    method = CP(scope=scope, **SMALL | {"steps": 1})  # type: ignore[arg-type]
    judge, before, after = watched(method, small, run)
    rows = torch.randperm(96, generator=run.rng("watched-noise-order", 0))
    x, y = to_float(small.images)[rows], small.labels[rows]
    delta = before[rows].requires_grad_()
    views = method.teaching.views((x + delta).clamp(0, 1), run, "watched", 0, 0)
    (gradient,) = torch.autograd.grad(judge.loss(*views, run, both=True)[0], delta)
    if scope == "class":
        gradient = torch.stack([gradient[y == label].sum(0) for label in y])
    wanted = (before[rows] - 0.8 / 255 * gradient.sign()).clamp(-8 / 255, 8 / 255)
    wanted = wanted if scope == "class" else (x + wanted).clamp(0, 1) - x
    assert torch.allclose(after[rows], wanted, atol=LINF8.eps / 127)
    assert (after - before).abs().max() > 0.5 / 255


@pytest.mark.parametrize(("ssl", "csd"), [(1.0, 0.0), (1000.0, 1.0)])
def test_one_step_of_tue_is_the_papers_step(ssl: float, csd: float, small: ImageSet, run: Run) -> None:
    """Down the learner's loss of two views and down the discriminant, each by its weight."""
    method = TUE(ssl_weight=ssl, csd_weight=csd, **SMALL | {"steps": 1})  # type: ignore[arg-type]
    judge, before, after = watched(method, small, run)
    rows = torch.randperm(96, generator=run.rng("watched-noise-order", 0))
    x, y = to_float(small.images)[rows], small.labels[rows]
    delta = before[rows].requires_grad_()
    views = method.teaching.views((x + delta).clamp(0, 1), run, "watched", 0, 0)
    learned, apart = judge.loss(*views, run, both=True)[0], separability(delta, y)
    pulls = [torch.autograd.grad(value, delta, retain_graph=True)[0] for value in (learned, apart)]
    gradient = ssl * pulls[0] + csd * pulls[1]
    wanted = (x + (before[rows] - 0.8 / 255 * gradient.sign()).clamp(-8 / 255, 8 / 255)).clamp(0, 1) - x
    sure = gradient.abs() > 1e-4 * gradient.abs().max()
    assert sure.float().mean() > 0.5
    assert torch.allclose(after[rows][sure], wanted[sure], atol=LINF8.eps / 127)
    against = (csd * pulls[1] - ssl * pulls[0]).sign() != gradient.sign()
    assert against.float().mean() > 0.1 or not csd, "one of the two hides the other"


def test_noise_begins_uniform_within_the_budget_for_images_and_for_classes(small: ImageSet, run: Run) -> None:
    """That of a class is one draw, not the mean over its images, which would be all but nothing."""
    grey = small.with_images(torch.full_like(small.images, 128))
    for scope in ("sample", "class"):
        method = protection("cp", scope=scope, **SMALL)
        assert isinstance(method, CP)
        images = NoisyImages(grey, LINF8, run, grey.labels if method.class_wise else None)
        method.begin(images, len(grey), run)
        start = images.delta(torch.arange(len(grey)))
        assert float(start.std()) == pytest.approx(LINF8.eps / 3**0.5, rel=0.05)
        assert len(start.unique(dim=0)) == (10 if scope == "class" else len(grey))


def test_noise_lowers_the_loss_that_it_is_made_for(small: ImageSet, run: Run) -> None:
    events: list[Progress] = []
    watching = replace(run, listener=events.append)
    protection("cp", **SMALL | {"rounds": 6, "train_batches": 6, "steps": 4, "strength": 0.3}).fit(small, watching)
    losses = [event.figures["noise"] for event in events if "noise" in event.figures]
    assert losses[-1] < losses[0] - 0.1


def test_without_the_learners_loss_there_is_no_surrogate(small: ImageSet, run: Run) -> None:
    events: list[Progress] = []
    method = protection("tue:published", rounds=3, batch=96)
    assert isinstance(method, TUE)
    found = method.fit(small, replace(run, listener=events.append))
    figures = [event.figures for event in events if event.figures]
    assert all("surrogate" not in part for part in figures)
    assert figures[-1]["noise"] < 0.1 * separability(torch.rand(96, 3, 16, 16), small.labels).item()
    assert found.size == small.size


@pytest.mark.parametrize(
    ("preset", "batches", "epochs", "pairs"), [("published", 20, 40, 5), ("simsiam", 25, 50, 4), ("moco", 100, 200, 1)]
)
def test_published_settings_of_tue_count_rounds_as_their_code_does(
    preset: str, batches: int, epochs: int, pairs: int
) -> None:
    """It begins a pair of turns for as long as an epoch has batches: 98 of 512 images in CIFAR-10."""
    method = protection(f"tue:{preset}")
    assert isinstance(method, TUE)
    assert pairs == -(-98 // batches)
    assert (method.train_batches, method.rounds) == (batches, epochs * pairs)
    assert method.detached, "as their code has the spread"


def test_class_wise_noise_serves_new_images(small: ImageSet, run: Run) -> None:
    assert isinstance(protection("cp:class", **SMALL).fit(small, run), ClassWise)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("cp", {"rounds": 0}, "rounds must be 1 or more, got 0"),
        ("tue", {"noise_batches": -1}, "noise_batches must be 0 or more, got -1"),
        ("tue", {"ssl_weight": 0.0, "csd_weight": 0.0}, "not both 0, got 0, 0"),
        ("tue", {"strength": 2.0}, "strength must be 0 to 1, got 2"),
    ],
)
def test_a_wrong_value_says_what_is_allowed(name: str, values: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        protection(name, **values)


def test_a_surrogate_that_goes_astray_is_told(small: ImageSet, run: Run) -> None:
    with pytest.raises(ValueError, match="the surrogate of cp could not be trained: its weights are not finite"):
        protection("cp", **SMALL | {"lr": 1e30}).fit(small, run)
    with pytest.raises(ValueError, match="tue needs at least 2 classes"):
        protection("tue").fit(ImageSet(small.images, torch.zeros_like(small.labels), ("a",)), run)
