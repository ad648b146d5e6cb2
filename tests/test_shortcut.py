"""What surrogates learn from protected images alone: groups and directions, written plainly."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.pixels import to_float
from unlearnable.protections._asked import Known, grouped
from unlearnable.protections._pgd import cropped
from unlearnable.protections._shortcut import Schooling, Shortcut
from unlearnable.run import Run

PLAIN = Schooling(("lenet", "cnn"), 1e-3)


def unit(rows: int, run: Run, size: int = 12, name: str = "unit") -> Tensor:
    drawn = torch.randn(rows, size, generator=run.rng(name))
    return drawn / drawn.norm(dim=1, keepdim=True)


def known(run: Run, weight: float = 0.0) -> Known:
    codes = unit(96, run)
    return Known(*grouped(codes, (2, 5), run), codes if weight else None, weight)


def test_groups_are_of_the_codes_and_no_more_than_there_are_codes(run: Run) -> None:
    three = torch.eye(3).repeat(10, 1)
    found = Known(*grouped(three, (2, 3, 64), run))
    assert found.sizes == (2, 3, 3)
    assert found.groups.shape == (30, 3)
    for k, size in enumerate(found.sizes):
        assert len(found.groups[:, k].unique()) == size
        assert all(len(found.groups[row::3, k].unique()) == 1 for row in range(3))
    for asked, answers in ((found, 8), (replace(found, codes=three), 11)):
        (network,) = Shortcut.start(asked, Schooling(("lenet",), 1e-3), 16, run).networks
        assert network(torch.zeros(1, 3, 16, 16)).shape == (1, answers)
    with pytest.raises(ValueError, match="4 images of 1 look make no groups"):
        grouped(torch.ones(4, 3), (2,), run)


@pytest.mark.parametrize("weight", [0.0, 5.0])
def test_surrogates_take_turns_and_step_on_the_generators_gradients(weight: float, small: ImageSet, run: Run) -> None:
    objective = Shortcut.start(known(run, weight), PLAIN, 16, run)
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
        first, second = objective.known.groups[:20].T
        plain = (F.cross_entropy(logits[:, :2], first) + F.cross_entropy(logits[:, 2:7], second)) / 2
        if weight:
            plain = plain + weight * (1 - F.cosine_similarity(logits[:, 7:], unit(96, run)[:20]).mean())
        plain.backward()
        assert torch.allclose(loss, plain)
        assert torch.allclose(figures["found"], (logits[:, :2].argmax(1) == first).float().mean())
        assert x.grad is not None
        assert x.grad.abs().max() > 0
        assert torch.allclose(x.grad, y.grad, atol=1e-6)
        if step == 0:  # the first step of Adam
            for mine, hand in zip(network.parameters(), by_hand.parameters(), strict=True):
                assert torch.allclose(mine, hand - 1e-3 * hand.grad / (hand.grad.abs() + 1e-8), atol=1e-5)
        assert all(map(torch.equal, other.state_dict().values(), untouched.state_dict().values()))


def test_views_are_in_other_colours_as_often_as_asked(run: Run) -> None:
    x = torch.rand(4000, 3, 2, 2, generator=run.rng("x")) * 0 + torch.tensor([0.2, 0.5, 0.8])[:, None, None]

    def seen(**shares: float) -> Tensor:
        padded = F.pad(x, [8] * 4, mode="replicate")  # so that no crop leaves the picture
        return replace(PLAIN, **shares).view(padded, run.rng("view"))[:, :, 9, 9]

    assert torch.equal(seen(), x[:, :, 0, 0])
    grey = seen(greyed=0.25)
    one = (grey.amax(1) - grey.amin(1)) < 1e-6
    assert 0.2 < one.float().mean() < 0.3
    assert torch.allclose(grey[one], torch.tensor(0.299 * 0.2 + 0.587 * 0.5 + 0.114 * 0.8))
    assert torch.equal(grey[~one], x[~one][:, :, 0, 0])
    other = seen(tinted=0.5) - x[:, :, 0, 0]
    changed = (other.abs() > 1e-6).any(1)
    assert 0.45 < changed.float().mean() < 0.55
    assert other.abs().amax(0).allclose(0.2 + 0.5 * torch.tensor([0.2, 0.5, 0.8]), atol=0.05)
