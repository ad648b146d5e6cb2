"""What a generator of One for All is trained for: equation 4, and groups to be learned, both written plainly."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.pixels import to_float
from unlearnable.protections._concepts import Discriminant, Shortcut, chosen, grouped, vocabulary
from unlearnable.protections._pgd import cropped
from unlearnable.run import Run


@dataclass(frozen=True)
class Flat:
    """An encoder whose vectors are the pixels themselves, at length 1."""

    name: str = "flat"
    dimension: int = 12

    def image(self, x: Tensor) -> Tensor:
        return F.normalize(x.flatten(1), dim=1)

    def text(self, names: list[str]) -> Tensor:
        raise NotImplementedError

    def to(self, run: Run) -> "Flat":
        return self


def unit(rows: int, run: Run, size: int = 12, name: str = "unit") -> Tensor:
    drawn = torch.randn(rows, size, generator=run.rng(name))
    return drawn / drawn.norm(dim=1, keepdim=True)


def equation_4(x: Tensor, concepts: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The two terms, one image and one concept after the other, by cosine distance."""
    opposite, similar = [], []
    for features, (far, *near) in zip(x.flatten(1), targets.tolist(), strict=True):
        distances = {row: 1 - features @ concepts[row] / features.norm() for row in (far, *near)}
        opposite.append(distances[far])
        similar += [distances[row] for row in near]
    return torch.stack(opposite).mean(), torch.stack(similar).mean()


@pytest.mark.parametrize("fixed", [True, False])
def test_equation_4_and_why_its_quotient_is_detached(fixed: bool, run: Run) -> None:
    concepts, x = unit(9, run), torch.rand(6, 3, 2, 2, generator=run.rng("x")).requires_grad_()
    targets = chosen(unit(20, run, name="clean"), concepts, 3) if fixed else None
    rows = torch.tensor([3, 0, 19, 7, 7, 1])
    loss, figures = Discriminant(Flat(), concepts, 3, targets, run)(rows, x, 0)
    wanted = chosen(Flat().image(x.detach()), concepts, 3) if targets is None else targets[rows]
    first, second = equation_4(x, concepts, wanted)
    assert torch.allclose(figures["opposite"], first)
    assert torch.allclose(figures["similar"], second)
    quotient = (first / second).detach()
    (found,) = torch.autograd.grad(loss, x)
    (plain,) = torch.autograd.grad(first - quotient * second, x, retain_graph=True)
    assert torch.allclose(found, plain, atol=1e-7)
    assert found.abs().max() > 1e-3
    (undetached,) = torch.autograd.grad(first - first / second * second, x)
    assert undetached.abs().max() < 1e-6 * found.abs().max()


def test_the_quotient_stays_between_a_tenth_and_ten(run: Run) -> None:
    x = torch.rand(1, 3, 2, 2, generator=run.rng("x"))
    seen = Flat().image(x)
    concepts = torch.cat([seen, unit(1, run)])
    for targets, weight in (([[1, 0]], 10.0), ([[0, 1]], 0.1)):
        loss, found = Discriminant(Flat(), concepts, 1, torch.tensor(targets), run)(torch.tensor([0]), x, 0)
        assert torch.allclose(loss, found["opposite"] - weight * found["similar"])


def test_the_opposite_concept_and_the_similar_ones(run: Run) -> None:
    seen, concepts = unit(30, run, name="seen"), unit(40, run)
    found = chosen(seen, concepts, 5)
    for features, row in zip(seen, found.tolist(), strict=True):
        order = sorted(range(40), key=lambda concept: float(features @ concepts[concept]))
        assert row == [order[0], *order[:-6:-1]]


def test_the_shipped_vocabulary_is_that_of_lvis(tmp_path: Path) -> None:
    assert len(vocabulary(None)) == 1203
    (tmp_path / "w").write_text("School_Bus\r\n\n café \nschool bus\n", encoding="utf-8")
    assert vocabulary(str(tmp_path / "w")) == ["school bus", "café"]


def test_groups_are_of_the_codes_and_no_more_than_there_are_codes(run: Run) -> None:
    three = torch.eye(3).repeat(10, 1)
    found = Shortcut.start(*grouped(three, (2, 3, 64), run), ("lenet",), 16, 1e-3, run)
    assert found.sizes == (2, 3, 3)
    assert found.groups.shape == (30, 3)
    for k, size in enumerate(found.sizes):
        assert len(found.groups[:, k].unique()) == size
        assert all(len(found.groups[row::3, k].unique()) == 1 for row in range(3))
    (network,) = found.networks
    assert network(torch.zeros(1, 3, 16, 16)).shape == (1, 8)
    with pytest.raises(ValueError, match="4 images of 1 look make no groups"):
        grouped(torch.ones(4, 3), (2,), run)


def test_surrogates_take_turns_and_step_on_the_generators_gradients(small: ImageSet, run: Run) -> None:
    objective = Shortcut.start(*grouped(unit(96, run), (2, 5), run), ("lenet", "cnn"), 16, 1e-3, run)
    rows = torch.arange(20)
    for step in range(2):
        network, other = objective.networks[step], objective.networks[1 - step]
        by_hand, untouched = deepcopy(network), deepcopy(other)
        x = (to_float(small.images[:20]) + 0.02).requires_grad_()
        loss, figures = objective(rows, x, step)
        loss.backward()
        objective.learn()
        y = x.detach().clone().requires_grad_()
        logits = by_hand.train()(cropped(y.clamp(0, 1), 4, run.rng("concepts-view", step)))
        first, second = objective.groups[:20].T
        plain = (F.cross_entropy(logits[:, :2], first) + F.cross_entropy(logits[:, 2:], second)) / 2
        plain.backward()
        assert torch.allclose(loss, plain)
        assert torch.allclose(figures["found"], (logits[:, :2].argmax(1) == first).float().mean())
        assert x.grad is not None
        assert x.grad.abs().max() > 0
        assert torch.allclose(x.grad, y.grad, atol=1e-7)
        if step == 0:  # the first step of Adam
            for mine, hand in zip(network.parameters(), by_hand.parameters(), strict=True):
                assert torch.allclose(mine, hand - 1e-3 * hand.grad / (hand.grad.abs() + 1e-8), atol=1e-5)
        assert all(map(torch.equal, other.state_dict().values(), untouched.state_dict().values()))
