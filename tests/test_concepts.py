"""What One for All trains its generator for: equation 4, written plainly."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from unlearnable.protections._one_for_all_loss import Discriminant, chosen, vocabulary
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
