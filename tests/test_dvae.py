"""D-VAE: the second decoder finds a planted perturbation, and nothing depends on what it should not."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from fits import resumed

from unlearnable.adversaries.dvae import DVAE, Form, Network
from unlearnable.data import ImageSet
from unlearnable.packs import digits
from unlearnable.pixels import UNBOUNDED, release, to_float
from unlearnable.run import Run

TINY = DVAE(epochs=2, width=4, latent=8, batch=32, first=1.0)


def planted(count: int) -> tuple[ImageSet, ImageSet, torch.Tensor]:
    """Grey digits, the same with a pattern for every class, and the pattern of every image."""
    clean = digits()[0].subset(torch.arange(count))
    clean = clean.with_images((clean.images // 2 + 60).to(torch.uint8))
    rng = torch.Generator().manual_seed(3)
    patterns = torch.randn(10, 3, 8, 8, generator=rng).sign().repeat_interleave(2, 2).repeat_interleave(2, 3) * 32 / 255
    delta = patterns[clean.labels]
    return clean, clean.with_images(release(clean.images, to_float(clean.images) + delta, UNBOUNDED)), delta


def correlation(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


def test_it_finds_a_pattern_that_was_planted_class_by_class(run: Run) -> None:
    _, data, delta = planted(160)
    dvae = replace(TINY, epochs=14, batch=16)
    found = torch.cat([residue for _, residue in dvae.seen(dvae.learn(data, run, 1), data, run)])
    assert correlation(found - found.mean(0), delta - delta.mean(0)) > 0.3


def test_what_comes_out_holds_less_of_it(run: Run) -> None:
    clean, data, delta = planted(160)
    pure = replace(TINY, epochs=5, batch=16)(data, run)
    assert pure.dtype == torch.uint8
    assert pure.shape == data.images.shape
    left = to_float(pure) - to_float(clean.images)
    assert correlation(left, delta) < 0.7 * correlation(to_float(data.images) - to_float(clean.images), delta)


@pytest.mark.parametrize("form", ["coarse", "published"])
@pytest.mark.parametrize("sides", [(16, 16), (9, 14)])
def test_any_size_goes_in_and_comes_out(run: Run, sides: tuple[int, int], form: Form) -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, *sides), dtype=torch.uint8, generator=rng)
    data = ImageSet(images, torch.arange(40) % 2, ("a", "b"))
    assert replace(TINY, epochs=1, form=form)(data, run).shape == images.shape


def test_unknown_labels_have_a_place_of_their_own(run: Run) -> None:
    with run.seeded("test"):
        network = Network(2, torch.Size((8, 8)), 4, 8, "coarse").eval()
    x = torch.rand(3, 3, 8, 8, generator=run.rng("x"))
    _, one, _ = network(x, torch.tensor([-1, 0, 1]), None)
    _, other, _ = network(x, torch.tensor([2, 0, 1]), None)
    assert torch.equal(one, other)


def test_the_rate_is_the_divergence_from_a_standard_normal(run: Run) -> None:
    with run.seeded("test"):
        network = Network(2, torch.Size((8, 8)), 4, 8, "coarse").eval()
    x = torch.rand(3, 3, 8, 8, generator=run.rng("x"))
    _, _, rate = network(x, torch.tensor([0, 0, 1]), None)
    hidden = network.trunk(x)
    latent = torch.distributions.Normal(network.mean(hidden), (0.5 * network.spread(hidden)).exp())
    ours = torch.distributions.kl_divergence(latent, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    assert rate.item() == pytest.approx(ours.item(), rel=1e-4)


def test_the_same_seed_gives_the_same_images_and_resuming_too(small: ImageSet, run: Run, tmp_path: Path) -> None:
    whole = TINY(small, run)
    assert torch.equal(resumed(partial(TINY, small), run, tmp_path, 4), whole)
    assert not torch.equal(TINY(small, Run(1, device="cpu", precision="fp32")), whole)


def test_what_it_refuses() -> None:
    with pytest.raises(ValueError, match="epochs must be 1 to"):
        DVAE(0)
    with pytest.raises(ValueError, match="width must be 2 to"):
        DVAE(width=1)
