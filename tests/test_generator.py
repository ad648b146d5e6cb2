"""The generator of perturbations: its size, any shape, its code; and how what it says is bounded."""

import pytest
import torch

from unlearnable.models.generator import Generator, Head, Pattern, bounded, mirrored
from unlearnable.run import Run


def test_that_of_one_for_all_has_120_million_weights() -> None:
    with torch.device("meta"):
        network = Generator()
    assert 110e6 < sum(weight.numel() for weight in network.parameters()) < 130e6


@pytest.mark.parametrize("downs", [0, 2, 3])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (16, 16), (33, 65)])
def test_any_height_and_width(downs: int, shape: tuple[int, int], run: Run) -> None:
    with run.seeded("generator"):
        network = Generator(4, downs, 1, code=5).eval()
    said = network(torch.rand(2, 3, *shape, generator=run.rng("x")), torch.ones(2, 5))
    assert said.shape == (2, 3, *shape)
    assert said.dtype == torch.float32
    assert said.abs().max() < 1


def test_a_size_that_need_not_be_padded_is_seen_as_it_is_and_others_mirrored(run: Run) -> None:
    with run.seeded("generator"):
        network = Generator(4, 2, 1, code=0).eval()
    x = torch.rand(1, 3, 7, 9, generator=run.rng("x"))
    by_hand = torch.cat([x, x[:, :, 5:6]], 2)
    by_hand = torch.cat([by_hand, by_hand[..., [7, 6, 5]]], 3)
    assert by_hand.shape[2:] == (8, 12)
    assert torch.equal(network(x), network(by_hand)[:, :, :7, :9])


def test_too_little_to_mirror_is_repeated() -> None:
    x = torch.tensor([[[[1.0, 2.0]]]])
    assert mirrored(x, (1, 0), (1, 1))[0, 0].tolist() == [[2.0, 1.0, 2.0, 1.0]] * 2
    assert mirrored(x, (0, 0), (0, 2))[0, 0].tolist() == [[1.0, 2.0, 2.0, 2.0]]


def test_the_input_may_have_any_brightness_and_contrast(run: Run) -> None:
    """In training mode: why nothing is normalised before the first convolution."""
    with run.seeded("generator"):
        network = Generator(4, 1, 1, code=0)
    x = torch.rand(2, 3, 16, 16, generator=run.rng("x"))
    assert torch.allclose(network(x), network(4 * x - 2), atol=1e-3)


def test_the_code_changes_what_is_said_and_gets_a_gradient(run: Run) -> None:
    with run.seeded("generator"):
        network = Generator(4, 1, 1, code=5)
    x, code = torch.rand(2, 3, 8, 8, generator=run.rng("x")), torch.zeros(2, 5, requires_grad=True)
    said = network(x, code)
    said.square().sum().backward()
    assert code.grad is not None
    assert (code.grad != 0).any(1).all()
    assert not torch.allclose(said, network(x, torch.eye(5)[:2]), atol=1e-4)


def test_a_code_that_does_not_fit_is_refused(run: Run) -> None:
    x = torch.rand(2, 3, 8, 8, generator=run.rng("x"))
    for code in (None, torch.zeros(2, 4), torch.zeros(1, 5)):
        with pytest.raises(ValueError, match=r"codes of shape \(2, 5\)"):
            Generator(4, 1, 1, code=5)(x, code)
    with pytest.raises(ValueError, match=r"got \(2, 5\)"):
        Generator(4, 1, 1, code=0)(x, torch.zeros(2, 5))


def test_heads_as_printed_and_as_published() -> None:
    raw = torch.tensor([-0.9, -0.05, 0.0, 0.5]).view(1, 1, 2, 2).repeat(1, 3, 1, 1).requires_grad_()
    scaled, cut = bounded(raw, 0.1, "tanh"), bounded(raw, 0.1, "clamp")
    assert torch.allclose(scaled[0, 0].flatten(), torch.tensor([-0.09, -0.005, 0.0, 0.05]))
    assert torch.allclose(cut[0, 0].flatten(), torch.tensor([-0.1, -0.05, 0.0, 0.1]))
    (slope,) = torch.autograd.grad(cut.sum(), raw)
    assert slope[0, 0].flatten().tolist() == [0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("head", ["tanh", "clamp"])
def test_a_pattern_is_bounded_and_keeps_its_noise_when_it_is_saved(head: Head, run: Run) -> None:
    noise = torch.rand(1, 3, 9, 9, generator=run.rng("noise"))
    with run.seeded("generator"):
        pattern = Pattern(Generator(4, 2, 1, code=0), noise, 0.03, head)
    assert pattern().abs().max() <= 0.03
    assert torch.equal(pattern.state_dict()["noise"], noise)
