"""Protections of 2024 to 2026: one step of each against the paper's, written by hand, and what they promise."""

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import delta_of, resumed
from torch import nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.models.generator import Generator
from unlearnable.perturbation import apply
from unlearnable.pixels import Budget, to_float
from unlearnable.protections import protection, pue
from unlearnable.protections._noise import NoisyImages
from unlearnable.protections._painted import Painted, Painter
from unlearnable.protections._pgd import frozen
from unlearnable.protections._surrogate import Surrogate
from unlearnable.protections.dune import DUNE, swarm
from unlearnable.protections.game import Game, multiplier, payoff
from unlearnable.protections.pue import PUE, Shaken, shaken
from unlearnable.run import Run

EPS = 8 / 255
DUNE_SMALL: dict[str, Any] = {"model": "lenet", "epochs": 2, "checkpoints": 2, "steps": 1, "step_size": 2 / 255,
                              "batch": 96, "particles": 3, "turns": 3, "seen": 5, "colour": 0.25}  # fmt: skip


def test_one_step_of_the_swarm_is_the_published_one() -> None:
    """Ten lines of the published update: inertia 0.5, both pulls 0.3, and a box."""
    rng, target = torch.Generator().manual_seed(3), torch.tensor([0.05, -0.02, 0.2])
    place = (2 * torch.rand(4, 3, generator=rng) - 1) * 0.1
    speed = (2 * torch.rand(4, 3, generator=rng) - 1) * 0.01
    own, lowest = place.clone(), [float("inf")] * 4
    for _ in range(3):
        for i in range(4):
            if (value := float((place[i] - target).norm())) < lowest[i]:
                own[i], lowest[i] = place[i].clone(), value
        best = own[lowest.index(min(lowest))]
        for i in range(4):
            speed[i] = 0.5 * speed[i] + 0.3 * (own[i] - place[i]) + 0.3 * (best - place[i])
        place = (place + speed).clamp(-0.1, 0.1)
    found, value = swarm(
        lambda one: (one - target).norm(), 0.1, 4, 3, torch.Generator().manual_seed(3), torch.device("cpu")
    )
    assert torch.allclose(found, own[lowest.index(min(lowest))])
    assert float(value) == pytest.approx(min(lowest))


def test_one_step_of_dune_is_the_papers(small: ImageSet, run: Run) -> None:
    """The sign of the checkpoints' mean gradient towards class y + 3 at three quarters of the budget, and the tint."""
    method, x, y = DUNE(**DUNE_SMALL), to_float(small.images), small.labels
    start = 0.75 * EPS * (2 * torch.rand(x.shape, generator=run.rng("dune-start", 0, 0)) - 1)
    delta = ((x + start).clamp(0, 1) - x).requires_grad_()
    judges = method.judges(small, run)
    loss = sum(F.cross_entropy(judge(x + delta), (y + 3) % 10, reduction="sum") for judge in judges)
    assert isinstance(loss, torch.Tensor)
    (slope,) = torch.autograd.grad(loss, delta)
    wanted = (x + (delta - 2 / 255 * slope.sign()).clamp(-0.75 * EPS, 0.75 * EPS)).clamp(0, 1) - x
    wanted = wanted.detach() + method.tints(judges, small, run)[y][:, :, None, None]
    sure = (slope.abs() > slope.abs().max() * 1e-4) | (slope == 0)
    assert ((delta_of(method, small, run) - wanted)[sure].abs() < EPS / 64).float().mean() > 0.99


def test_tints_lead_to_the_wanted_class_and_stay_in_their_part(small: ImageSet, run: Run) -> None:
    method = DUNE(
        **DUNE_SMALL | {"budget": Budget("linf", 0.4), "colour": 0.5, "particles": 8, "turns": 6, "seen": 100}
    )
    judges, x, wanted = method.judges(small, run), to_float(small.images), (small.labels + 3) % 10
    tints = method.tints(judges, small, run)
    assert 0.05 < tints.abs().max() <= 0.2

    def error(images: torch.Tensor) -> float:
        return sum(float(F.cross_entropy(judge(images), wanted)) for judge in judges)

    tinted = (x + tints[small.labels][:, :, None, None]).clamp(0, 1)
    assert error(tinted) < error(x)
    assert len(tints.unique(dim=0)) > 1


def test_dune_without_colour_is_the_spatial_branch(small: ImageSet, run: Run) -> None:
    plain = DUNE(**DUNE_SMALL | {"colour": 0.0})
    images = plain.fit(small, run)
    assert torch.equal(plain.tints(plain.judges(small, run), small, run), torch.zeros(10, 3))
    assert apply(images, small, plain.budget, run).images.ne(small.images).any()
    published = protection("dune:published")
    assert published.budget.eps == pytest.approx(EPS + 0.1)
    assert isinstance(published, DUNE)
    assert (1 - published.colour) * published.budget.eps == pytest.approx(EPS)


PUE_SMALL: dict[str, Any] = {"scope": "sample", "model": "lenet", "train_steps": 1, "steps": 1, "batch": 96,
                             "weight_noise": 0.1, "draws": 2}  # fmt: skip


def pue_surrogate(method: PUE, data: ImageSet, run: Run) -> Surrogate:
    return Surrogate.start("lenet", data, run, "pue", method.lr, method.momentum, method.weight_decay)


@pytest.mark.parametrize(("errors", "levels"), [([0.7], [0.0]), ([0.7, 0.4, 0.6], [0.0, 0.05, 0.1])])
def test_one_turn_of_pues_surrogate_is_the_published_one(
    errors: list[float], levels: list[float], small: ImageSet, run: Run
) -> None:
    """A step at every level with the mean over its draws, each of them counting one of all draws at all levels."""
    method, images = PUE(**PUE_SMALL), NoisyImages(small, Budget("linf", EPS), run)
    ours, hand = pue_surrogate(method, small, run), pue_surrogate(method, small, run)
    method._train(ours, images, run, 0, errors)
    order, draws = torch.randperm(96, generator=run.rng("pue-order", 0)), run.rng("pue-weights", 0)
    for level in levels:
        slopes = moved_slopes(hand.network, list(hand.network.parameters()), *images.clean(order), level, 2, draws)
        for weight, slope in zip(hand.network.parameters(), slopes, strict=True):
            weight.grad = slope / len(levels)
        nn.utils.clip_grad_norm_(hand.network.parameters(), 5.0)
        hand.optimiser.step()
    for one, other in zip(ours.network.parameters(), hand.network.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(("errors", "levels"), [([0.7], [0.0]), ([0.7, 0.4, 0.6], [0.0, 0.05, 0.1])])
def test_one_turn_of_pues_noise_is_the_published_one(
    errors: list[float], levels: list[float], small: ImageSet, run: Run
) -> None:
    """A step of the whole size at every level, by the sign of the sum of gradients over its draws."""
    method, x, y = PUE(**PUE_SMALL), to_float(small.images), small.labels
    judge, draws = frozen(pue_surrogate(method, small, run).network, run, folded=False), run.rng("draws")
    found = method._search(judge, x, y, torch.zeros_like(x), run.rng("draws"), run, errors)
    wanted, sure = torch.zeros_like(x), torch.ones_like(x, dtype=torch.bool)
    for level in levels:
        (slope,) = moved_slopes(judge, [wanted.requires_grad_()], x, y, level, 2, draws)
        wanted = ((x + wanted - 0.8 / 255 * slope.sign()).clamp(0, 1) - x).detach()
        sure &= (slope.abs() > slope.abs().max() * 1e-4) | (slope == 0)
    assert sure.float().mean() > 0.5
    assert ((found - wanted)[sure].abs() < EPS / 64).float().mean() > 0.99
    assert float(found.abs().max()) == pytest.approx(len(levels) * 0.8 / 255, rel=1e-4)


def test_pue_shakes_to_the_end_once_it_has_begun_also_where_it_was_cut_off(
    small: ImageSet, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, shaking = PUE(**PUE_SMALL, rounds=4), []
    search, errors = PUE._search, iter([0.7, 0.4, 0.9, 0.9, 0.7, 0.4, 0.9, 0.9])

    def watched(self: PUE, *arguments: Any) -> torch.Tensor:
        shaking.append(len(self._now(arguments[-1])) > 1)
        return search(self, *arguments)

    monkeypatch.setattr(PUE, "_search", watched)
    monkeypatch.setattr(PUE, "_error", lambda *_: next(errors))
    whole = delta_of(method, small, run)
    assert shaking == [False, False, True, True]
    assert torch.equal(resumed(lambda again: delta_of(method, small, again), run, tmp_path, 3), whole)
    assert shaking[4:] == [False, False, True, True]


def test_pue_holds_one_shaken_network_at_a_time(small: ImageSet, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the one that comes after it, while it is drawn: fifty of them with their activations fill a memory."""
    method, living, most = PUE(**PUE_SMALL | {"draws": 5}), weakref.WeakSet[Shaken](), []

    class Counted(Shaken):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            living.add(self)
            most.append(len(living))

    monkeypatch.setattr(pue, "Shaken", Counted)
    surrogate, images = pue_surrogate(method, small, run), NoisyImages(small, Budget("linf", EPS), run)
    method._train(surrogate, images, run, 0, [0.1])
    x, y = images.clean(torch.arange(8))
    method._search(method._judge(surrogate, run), x, y, torch.zeros_like(x), run.rng("draws"), run, [0.1])
    assert len(most) == 20
    assert max(most) <= 2


def moved_slopes(
    network: nn.Module, of: list[Any], x: torch.Tensor, y: torch.Tensor, level: float, draws: int, rng: torch.Generator
) -> list[torch.Tensor]:
    """The mean gradient over draws of weights, each put in place and taken away again, as the published code does."""
    total = [torch.zeros_like(one) for one in of]
    times = draws if level else 1
    for _ in range(times):
        noise = [level * torch.randn(w.shape, generator=rng) for w in network.parameters()] if level else []
        before = [w.detach().clone() for w in network.parameters()]
        for weight, added in zip(network.parameters(), noise, strict=False):
            weight.data += added
        shown = x + of[0] if len(of) == 1 else x
        slopes = torch.autograd.grad(F.cross_entropy(network(shown), y), of)
        total = [whole + slope / times for whole, slope in zip(total, slopes, strict=True)]
        for weight, old in zip(network.parameters(), before, strict=True):
            weight.data = old
    return total


def test_shaken_weights_are_gaussian_and_the_network_stays(run: Run) -> None:
    network = build("cnn", 10, 16)
    before = [weight.clone() for weight in network.parameters()]
    first, second = shaken(network, 0.1, 2, run.rng("weights"))
    noise = torch.cat([value.flatten() for value in first.noise.values()])  # type: ignore[union-attr,operator]
    assert float(noise.std()) == pytest.approx(0.1, rel=0.02)
    x = torch.rand(4, 3, 16, 16)
    assert not torch.equal(first(x), second(x))
    assert all(torch.equal(one, other) for one, other in zip(before, network.parameters(), strict=True))


def test_one_turn_of_the_game_is_the_papers(small: ImageSet, run: Run) -> None:
    """BOME written out with the gradients of both players as one long vector."""
    method = Game(model="lenet", width=8, blocks=1, answer_steps=2, answer_lr=1e-2)
    with run.seeded("game-test"):
        paint, victim = Painter(Generator(8, 2, 1, 0), EPS, "tanh", None), build("lenet", 10, small.size)
    x, y = to_float(small.images), small.labels
    said = (x + EPS * paint.network.train()(x, None)).clamp(0, 1)
    answer = method.answered(victim.train(), said.detach(), y, run)
    logits = victim(x).log_softmax(1)
    wrong = torch.stack([max(-logits[i, k] for k in range(10) if k != y[i]) for i in range(len(y))])
    follows, leads = list(victim.parameters()), list(paint.network.parameters())
    of_goal = torch.autograd.grad(wrong.mean(), follows)
    regret = F.cross_entropy(victim(said), y) - F.cross_entropy(answer(said), y)
    of_regret = torch.autograd.grad(regret, leads + follows)
    long = torch.cat([slope.flatten() for slope in of_regret])
    goal = torch.cat([torch.zeros(sum(w.numel() for w in leads)), *(slope.flatten() for slope in of_goal)])
    weight = max(0.0, float(1.5 - goal @ long / (long @ long + 1e-8)))
    method.turn(paint, victim, x, y, run)
    found = torch.cat([w.grad.flatten() for w in leads + follows if w.grad is not None])
    assert torch.allclose(found, goal + weight * long, atol=1e-4 * float(found.abs().max()), rtol=1e-3)


def test_the_payoff_is_that_of_the_worst_wrong_class_and_the_constraint_holds() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    assert float(payoff(logits, torch.tensor([0]))) == pytest.approx(float(-logits.log_softmax(1)[0, 2]))
    assert float(payoff(logits, torch.tensor([2]))) == pytest.approx(float(-logits.log_softmax(1)[0, 1]))
    uphill, regret = [torch.tensor([-1.0, 0.0])], [torch.tensor([2.0, 0.0])]
    assert float(multiplier(uphill, regret, regret, 1.5)) == pytest.approx(1.5 + 2 / 4)
    assert float(multiplier([-10 * uphill[0]], regret, regret, 1.5)) == 0


def test_the_game_paints_new_images_and_lowers_the_regret(small: ImageSet, run: Run) -> None:
    method = Game(model="lenet", width=8, blocks=1, steps=4, batch=40, answer_steps=2, lr=1e-2)
    found = method.fit(small.subset(torch.arange(60)), run)
    assert isinstance(found, Painted)
    change = apply(found, small, method.budget, run).images.int() - small.images.int()
    assert change[60:].flatten(1).ne(0).any(1).all()
    assert change.abs().max() <= 8


def test_what_cannot_work_is_refused(small: ImageSet, run: Run) -> None:
    alike = ImageSet(small.images, torch.zeros_like(small.labels), ("one",))
    with pytest.raises(ValueError, match=r"colour must be 0 to 1, got 1\.5"):
        protection("dune", colour=1.5)
    with pytest.raises(ValueError, match="weight_step must be above 0"):
        protection("pue", weight_step=0.0)
    with pytest.raises(ValueError, match="answer_steps must be 1 or more"):
        protection("game", answer_steps=0)
    for name in ("dune", "game"):
        with pytest.raises(ValueError, match="2 classes"):
            protection(name).fit(alike, run)
    unknown = ImageSet(small.images, torch.full_like(small.labels, -1), small.classes)
    with pytest.raises(ValueError, match="96 of 96 have no label"):
        protection("game").fit(unknown, run)
    assert replace(protection("pue"), weight_noise=0.0).levels == [0.0]  # type: ignore[type-var,attr-defined]
