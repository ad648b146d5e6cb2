"""rem, sem, collapse: their terms against the papers' written by hand, and what each term is worth."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import delta_of
from pictures import write_digits
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable import job
from unlearnable.adversaries.purify import Purify
from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.packs import digits
from unlearnable.pixels import LINF8, Budget, to_float
from unlearnable.protections import _robust_surrogate, protection
from unlearnable.protections._pgd import descend, frozen, uniform
from unlearnable.protections._robust_surrogate import RobustSurrogate
from unlearnable.protections._surrogate import Surrogate
from unlearnable.protections.sem import SEM
from unlearnable.run import Progress, Run
from unlearnable.score import ScoreTraining
from unlearnable.training import CropFlip

SMALL: dict[str, Any] = {"model": "lenet", "iterations": 4, "decay": 2, "batch": 40, "steps": 3, "attack_steps": 2}
SCORE: dict[str, Any] = {"score_epochs": 2, "width": 8, "patch": 2}


def method_of(name: str, **values: Any) -> RobustSurrogate:
    made = protection(name, **SMALL | (SCORE if name == "collapse" else {}) | values)
    assert isinstance(made, RobustSurrogate)
    return made


@pytest.fixture
def judge(run: Run) -> nn.Module:
    with run.seeded("judge"):
        return frozen(build("lenet", 10, 16), run)


def by_hand(
    name: str, judge: nn.Module, x: Tensor, y: Tensor, delta: Tensor, rng: torch.Generator, views: int
) -> Tensor:
    """The error that the noise descends on, written again from the papers; the radius is 4/255, inner steps are 2."""
    total = torch.zeros(())
    for _ in range(views):
        view = CropFlip(4).crop(x + delta, rng)
        near = torch.zeros_like(view)
        if name in ("rem", "sem"):
            near = 4 / 255 * (2 * torch.rand(x.shape, generator=rng) - 1)
        for _ in range(2 if name == "rem" else 0):
            point = (view.detach() + near).clamp(0, 1).requires_grad_()
            (slope,) = torch.autograd.grad(F.cross_entropy(judge(point), y, reduction="sum"), point)
            near = (point.detach() - view.detach() + 4 / 255 * slope.sign()).clamp(-4 / 255, 4 / 255)
        moved = (view.detach() + near).clamp(0, 1) - view.detach()
        total = total + F.cross_entropy(judge(view + moved), y, reduction="sum") / views
    return total


@pytest.mark.parametrize("name", ["rem", "sem", "collapse"])
@pytest.mark.parametrize("views", [1, 2])
def test_one_step_is_the_papers_step(name: str, views: int, judge: nn.Module, small: ImageSet, run: Run) -> None:
    values: dict[str, Any] = {"views": views} | ({"inner_steps": 2} if name == "rem" else {})
    if name == "collapse":
        values["term"] = "none"
    method = method_of(name, **values)
    x, y = to_float(small.images), small.labels
    start = uniform(x, LINF8, run.rng("start"))
    found, _ = descend(method.terms(judge, y, run.rng("draws"), run, None), x, start, 1, LINF8)
    delta = start.clone().requires_grad_()
    (slope,) = torch.autograd.grad(by_hand(name, judge, x, y, delta, run.rng("draws"), views), delta)
    wanted = (x + (start - method.step_size * slope.sign()).clamp(-8 / 255, 8 / 255)).clamp(0, 1) - x
    sure = slope.abs() > slope.abs().max() * 1e-4
    assert sure.float().mean() > 0.2
    assert ((found - wanted)[sure].abs() < 1e-6).float().mean() > 0.99


@pytest.fixture(scope="module")
def score_of(small: ImageSet) -> Any:
    training = ScoreTraining(sigmas=(0.1,), epochs=30, batch=16, lr=3e-3, width=8, patch=2, ema=0.9)
    return training.fit(small, Run(0, device="cpu", precision="fp32"))


def norm_of(score: Any, x: Tensor, y: Tensor) -> float:
    return float(score(x, y, 0.1).flatten(1).norm(dim=1).mean())


@pytest.mark.parametrize("term", ["norm", "langevin", "none"])
def test_each_term_of_collapse_lowers_what_it_is_for(
    term: str, judge: nn.Module, small: ImageSet, run: Run, score_of: Any
) -> None:
    """All terms together lower the error, and the norm too where it is what descends; the score's alone lowers it."""
    x, y = to_float(small.images), small.labels
    method = method_of("collapse", term=term, views=0, sigma=0.1)
    start = uniform(x, LINF8, run.rng("start"))
    terms = method.terms(judge, y, run.rng("draws"), run, None if term == "none" else score_of)
    delta, _ = descend(terms, x, start, 10, LINF8)
    assert float(delta.abs().max()) <= 8 / 255 + 1e-6
    with torch.no_grad():
        assert F.cross_entropy(judge(x + delta), y) < F.cross_entropy(judge(x + start), y) - 0.01
        fell = norm_of(score_of, x + start, y) - norm_of(score_of, x + delta, y)
    alone, _ = descend(terms[1:], x, start, 10, LINF8)
    with torch.no_grad():
        on_its_own = norm_of(score_of, x + start, y) - norm_of(score_of, x + alone, y)
    assert len(terms) == (1 if term == "none" else 2)
    assert term == "none" or on_its_own > 0.2
    assert term != "norm" or fell > 0.2


def test_the_score_step_is_the_papers(small: ImageSet, judge: nn.Module, run: Run, score_of: Any) -> None:
    """The sign of the gradient of the norm, and the sign of the score itself."""
    x, y = to_float(small.images), small.labels
    for term, wanted in {"norm": None, "langevin": score_of(x, y, 0.1).sign()}.items():
        method = method_of("collapse", term=term, views=0, sigma=0.1)
        second = method.terms(judge, y, run.rng("draws"), run, score_of)[1]
        moved, _ = descend([second], x, torch.zeros_like(x), 1, Budget("linf", 1.0))
        if wanted is None:
            point = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(score_of(point, y, 0.1).square().sum((1, 2, 3)).sqrt().sum(), point)
            wanted = -slope.sign()
        inside = (x > 0.1) & (x < 0.9)
        assert torch.allclose(moved[inside], (0.8 / 255 * wanted)[inside], atol=1e-6)


@pytest.mark.parametrize("name", ["rem", "sem", "collapse"])
def test_what_the_paper_watches_is_reported_and_falls(name: str, small: ImageSet, run: Run) -> None:
    events: list[Progress] = []
    method = method_of(name, iterations=20, decay=20, **({"views": 1, "inner_steps": 2} if name == "rem" else {}))
    method.fit(small, replace(run, listener=events.append))
    figures = [event.figures for event in events if event.stage == name and event.figures]
    assert len(figures) == 20
    assert set(figures[0]) == ({"error", "score"} if name == "collapse" else {"error"})
    assert sum(figure["error"] for figure in figures[-5:]) < sum(figure["error"] for figure in figures[:5])


@pytest.mark.parametrize("radius", [0.0, 4 / 255])
@pytest.mark.parametrize("name", ["rem", "sem", "collapse"])
def test_a_surrogate_is_trained_where_it_does_worst_and_without_a_radius_as_usual(
    name: str, radius: float, small: ImageSet, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every one of the iterations, at a rate that falls to a tenth every `decay` of them."""
    attacked: list[tuple[int, Tensor]] = []
    trained: list[tuple[Tensor, float]] = []
    real, step = _robust_surrogate.attack, Surrogate.step

    def watched(network: nn.Module, x: Tensor, y: Tensor, ball: Budget, steps: int, *rest: Any) -> Tensor:
        assert ball == Budget("linf", radius)
        attacked.append((steps, real(network, x, y, ball, steps, *rest)))
        return attacked[-1][1]

    def stepped(self: Surrogate, x: Tensor, *rest: Any) -> None:
        step(self, x, *rest)
        trained.append((x, self.optimiser.param_groups[0]["lr"]))

    monkeypatch.setattr(_robust_surrogate, "attack", watched)
    monkeypatch.setattr(Surrogate, "step", stepped)
    own = {"rem": {"inner_steps": 1}, "sem": {}, "collapse": {"term": "none"}}[name]
    method = method_of(name, radius=radius, views=1, **own)
    method.fit(small, run)
    worst = [moved for steps, moved in attacked if steps == method.attack_steps]  # others are the noise's own
    assert len(worst) == (4 if radius else 0)
    assert bool(attacked) == bool(radius)
    assert all(x is moved for (x, _), moved in zip(trained, worst, strict=bool(radius)))
    assert [lr for _, lr in trained] == pytest.approx([0.1, 0.1, 0.01, 0.01])


def test_without_a_radius_rem_and_sem_are_one_method(
    small: ImageSet, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise against a surrogate that is trained as usual; but for what their random numbers are called by."""
    monkeypatch.setattr(SEM, "stage", "rem")
    assert torch.equal(*(delta_of(method_of(name, radius=0.0, views=1), small, run) for name in ("rem", "sem")))


def test_the_score_network_stays_beside_the_fit_for_the_next_one(run: Run, tmp_path: Path) -> None:
    """And for purification: both take the folder."""
    method = method_of("collapse", iterations=1, sigma=0.2)
    write_digits(tmp_path / "pictures", 3)
    job.fit(method, tmp_path / "pictures", tmp_path / "fitted", run)
    assert sorted(path.name for path in (tmp_path / "fitted").iterdir()) == [
        "README.md", "config.json", "perturbation.safetensors", "score",
    ]  # fmt: skip
    kept = tmp_path / "fitted" / "score"
    job.fit(replace(method, score=str(kept)), tmp_path / "pictures", tmp_path / "again", run)  # type: ignore[call-arg]
    assert not (tmp_path / "again" / "score").exists()
    train, _ = digits()
    assert Purify(kept, noise=0.2, steps=1)(train.subset(torch.arange(10)), run).shape == (10, 3, 16, 16)


def test_a_saved_score_network_serves(small: ImageSet, run: Run, score_of: Any, tmp_path: Path) -> None:
    score_of.save(tmp_path / "score", {})
    events: list[Progress] = []
    method = method_of("collapse", score=str(tmp_path / "score"), sigma=0.1)
    method.fit(small, replace(run, listener=events.append))
    assert "score" not in {event.stage for event in events}
    fewer = ImageSet(small.images, small.labels % 3, ("a", "b", "c"))
    with pytest.raises(ValueError, match="knows 10 classes, the images have 3"):
        method.fit(fewer, run)
    for sigma in (0.05, 0.2):
        with pytest.raises(ValueError, match=rf"score knows noise of 0\.1, not {sigma}: set sigma to"):
            replace(method, sigma=sigma).fit(small, run)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: method_of("rem", radius=2.0), "radius must be 0 to 1, got 2.0"),
        (lambda: method_of("sem", steps=0), "steps must be 1 or more, got 0"),
    ],
)
def test_what_cannot_work_is_refused(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()
