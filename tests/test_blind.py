"""Networks that do not see one direction of colour, before and after training."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from unlearnable.data import ImageSet, blank
from unlearnable.models import build
from unlearnable.models.blind import blind_to, blinded, direction, levels
from unlearnable.run import Run
from unlearnable.training import Authorised, Handed, Recipe


@pytest.fixture
def colour(run: Run) -> torch.Tensor:
    return direction(run.rng("colour"))


def pictures(run: Run, n: int = 8) -> torch.Tensor:
    return torch.rand(n, 3, 16, 16, generator=run.rng("pictures"))


@pytest.mark.parametrize("model", ["cnn", "resnet8", "vgg16", "shufflenetv2"])
def test_what_is_added_in_the_direction_is_neither_seen_nor_learned(model: str, colour: torch.Tensor, run: Run) -> None:
    with run.seeded("network"):
        network = blinded(build(model, 4, 16), colour, 16).train()
    x, strength = pictures(run), torch.rand(8, 1, 16, 16, generator=run.rng("strength"), requires_grad=True)
    logits = network(x + strength * colour[:, None, None])
    plain = network(x)
    assert (logits - plain).abs().max() < 1e-3 * plain.abs().max()
    F.cross_entropy(logits, torch.arange(8) % 4).backward()
    free = x.clone().requires_grad_()
    F.cross_entropy(network(free), torch.arange(8) % 4).backward()
    assert strength.grad is not None
    assert free.grad is not None
    assert strength.grad.norm() < 1e-3 * free.grad.norm()


def test_training_at_an_ordinary_rate_leaves_it_blind(small: ImageSet, run: Run) -> None:
    coloured = small.with_images(small.images.clone())
    coloured.images[:, 0] = (coloured.images[:, 0].int() + 20 * coloured.labels[:, None, None]).clamp(0, 255).byte()
    network = Authorised.drawn(Recipe(epochs=6).having(Handed("blind")), small.classes, small.size, seed=3)
    before = blind_to(network.start(coloured, run))
    after = blind_to(network.train(coloured, run).network)
    decayed = replace(network, recipe=replace(network.recipe, weight_decay=0.02, epochs=30))
    long = decayed.train(coloured, run).network
    assert before is not None
    assert after is not None
    assert (before - after).abs().max() < 1e-3
    seen = next(w for w in long.parameters() if w.ndim == 4)
    share = torch.einsum("ocij,c->oij", seen, F.normalize(before, dim=0)).norm() / seen.norm()
    assert share < 1e-4
    seeing = Authorised.drawn(Recipe(epochs=1).having(Handed()), small.classes, small.size, seed=3)
    assert blind_to(seeing.train(coloured, run).network) is None


def test_the_direction_can_be_read_back_but_for_its_sign(colour: torch.Tensor, run: Run) -> None:
    found = blind_to(blinded(build("cnn", 3, 16), colour, 16))
    assert found is not None
    assert F.cosine_similarity(found, colour, dim=0).abs() > 0.9999
    assert found.abs().max() == pytest.approx(1)


def test_directions_keep_what_brightness_says_and_show_in_grey() -> None:
    drawn = [direction(Run(seed=seed).rng("d")) for seed in range(30)]
    for one in drawn:
        assert one.abs().max() == 1
        assert abs(float(F.normalize(one, dim=0).sum())) / 3**0.5 <= 0.4
        assert abs(float(one @ torch.tensor([0.299, 0.587, 0.114]))) >= 0.3
        assert levels(one) in (1, 2, 4), "of 1, the other channels go with it or stay"
        assert (one * levels(one) * 3).frac().abs().max() == 0
    assert len({tuple(one.tolist()) for one in drawn}) > 15
    assert levels(torch.tensor([1.0, -0.77, 0.31])) == 1


@pytest.mark.parametrize("model", ["lenet", "vit"])
def test_a_network_whose_first_layer_keeps_its_scale_is_refused(model: str, colour: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="cannot be made blind: its first layer needs a batch normalisation"):
        blinded(build(model, 3, 32), colour, 32)


def test_weights_that_are_handed_out_belong_to_a_seed_and_a_number() -> None:
    nobody = blank(torch.zeros(0, dtype=torch.int64), ("a", "b", "c"), 16)

    def first(seed: int, **values: object) -> torch.Tensor:
        network = Handed(**values).network("cnn", nobody, Run(seed=seed))  # type: ignore[arg-type]
        return next(network.parameters()).detach()

    assert torch.equal(first(0), first(0))
    others = (first(1), first(0, which=1), first(0, form="blind"), first(0, form="blind", which=1))
    assert len({tuple(one.flatten().tolist()) for one in (first(0), *others)}) == 5
    assert torch.equal(Handed("blind").direction(Run(seed=0)), Handed("blind", 1).direction(Run(seed=0)))
    for numbers in ((-1, 0), (0, -1)):
        with pytest.raises(ValueError, match="numbers from 0"):
            Handed("blind", *numbers)
