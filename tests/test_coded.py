"""The small generator that is told a code: any square of eighths, and codes that count by how much they vary."""

import pytest
import torch
from torch import Tensor

from unlearnable.models.coded import Coded
from unlearnable.run import Run


def network(run: Run, code: int = 12, whitened: int = 128) -> Coded:
    with run.seeded("coded"):
        return Coded(8, code, whitened).eval()


def codes(run: Run, count: int = 400, size: int = 12) -> Tensor:
    """Of unit length and not centred, their directions of very different strength, as an encoder's are."""
    drawn = torch.randn(count, size, generator=run.rng("codes")) * torch.logspace(0, -1, size) + 1
    return drawn / drawn.norm(dim=1, keepdim=True)


def turned(run: Run, size: int = 12) -> Tensor:
    """An orthogonal matrix: the same space with its directions in another order, and mixed."""
    return torch.linalg.qr(torch.randn(size, size, generator=run.rng("turn")))[0]


def test_it_says_something_bounded_at_any_multiple_of_8(run: Run) -> None:
    for height, width in ((8, 8), (8, 24), (40, 16)):
        x = torch.rand(2, 3, height, width, generator=run.rng("x"))
        said = network(run)(x, codes(run, 2))
        assert said.shape == x.shape
        assert said.dtype == torch.float32
        assert 0 < said.abs().max() <= 1


@pytest.mark.parametrize("sides", [(12, 16), (16, 12), (1, 8), (33, 65)])
def test_other_sides_are_refused(sides: tuple[int, int], run: Run) -> None:
    with pytest.raises(ValueError, match=rf"multiples of 8, got \({sides[0]}, {sides[1]}\)"):
        network(run)(torch.zeros(1, 3, *sides), torch.zeros(1, 12))


def test_whitened_codes_vary_alike_in_all_directions(run: Run) -> None:
    told = network(run)
    told.whiten(found := codes(run))
    seen = told.seen(found)
    assert seen.shape == (400, 12)
    assert torch.allclose(seen.square().mean(1), torch.ones(400), atol=1e-4)
    assert seen.mean(0).abs().max() < 0.2
    raw, (least, most) = found.var(0), torch.aminmax(seen.var(0))
    assert raw.max() > 20 * raw.min()
    assert 0.5 < least < most < 1.5


def test_the_order_of_directions_does_not_matter(run: Run) -> None:
    plain, other, turn = network(run), network(run), turned(run)
    plain.whiten(found := codes(run))
    other.whiten(found @ turn)
    seen, again = plain.seen(found), other.seen(found @ turn)
    assert torch.allclose(seen @ seen.T, again @ again.T, atol=0.02)


def test_only_the_strongest_directions_are_kept(run: Run) -> None:
    told = network(run, whitened=3)
    strong = torch.randn(50, 3, generator=run.rng("strong"))
    found = torch.cat([strong, 1e-3 * torch.randn(50, 9, generator=run.rng("faint"))], 1)
    told.whiten(found)
    assert told.seen(found).shape == (50, 3)
    assert torch.allclose(told.seen(found), told.seen(torch.cat([strong, torch.zeros(50, 9)], 1)), atol=0.05)


@pytest.mark.parametrize("count", [1, 5])
def test_codes_that_are_all_one_break_nothing(count: int, run: Run) -> None:
    told = network(run)
    told.whiten(codes(run, 1).expand(count, -1))
    assert told.seen(codes(run, 1)).isfinite().all()
    assert all(w.half().isfinite().all() for w in told.state_dict().values())
    assert told(torch.rand(1, 3, 8, 8, generator=run.rng("x")), codes(run, 1)).isfinite().all()


def test_the_code_changes_what_is_said_and_differently_from_place_to_place(run: Run) -> None:
    told = network(run)
    told.whiten(found := codes(run))
    x = torch.full((2, 3, 32, 32), 0.5)
    change = (told(x[:1], found[:1]) - told(x[:1], found[1:2]))[0]
    assert change.abs().max() > 1e-3
    assert change.std(dim=(1, 2)).max() > 1e-4
