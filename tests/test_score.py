"""The score network: it denoises, its gradients reach the image, it is kept; and what `purify` does with it."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from fits import resumed
from sklearn.datasets import load_sample_image
from torch.nn import functional as F

from unlearnable import score as scores
from unlearnable.adversaries.purify import SHIPPED, Purify
from unlearnable.data import ImageSet
from unlearnable.packs import digits
from unlearnable.pixels import UNBOUNDED, Bytes, Pixels, release, to_float
from unlearnable.run import Run
from unlearnable.score import Score, ScoreTraining

TINY = ScoreTraining(sigmas=(0.1, 0.2), epochs=2, batch=32, lr=1e-2, width=8, patch=2, ema=0.8)


@pytest.fixture(scope="module")
def told() -> Score:
    """A score network for digits that is told which digit it looks at."""
    return replace(TINY, epochs=4, batch=16).fit(
        digits()[0].subset(torch.arange(500)), Run(0, device="cpu", precision="fp32")
    )


@pytest.fixture(scope="module")
def photographs() -> ImageSet:
    """48 pieces of 32 px of scikit-learn's two photographs, at a third of their size."""
    both = torch.from_numpy(np.stack([load_sample_image(name) for name in ("china.jpg", "flower.jpg")]))
    small = F.avg_pool2d(both.permute(0, 3, 1, 2)[:, :, :384, :640].float(), 3)[:, :, :, :192]
    pieces = small.unfold(2, 32, 32).unfold(3, 32, 32).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, 32, 32)
    return ImageSet(pieces.round().to(torch.uint8), torch.zeros(len(pieces), dtype=torch.int64), ("photograph",))


def noisy(images: Bytes, sigma: float) -> tuple[Pixels, Pixels]:
    x = to_float(images)
    return x, x + sigma * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))


def gain(score: Score, images: Bytes, labels: torch.Tensor | None, sigma: float) -> float:
    """The PSNR gained by one denoising step, in dB."""
    x, seen = noisy(images, sigma)
    error = (score.denoised(seen, labels, sigma) - x).square().mean()
    return float(10 * torch.log10((seen - x).square().mean() / error))


def test_a_few_steps_of_training_denoise_images_it_never_saw(told: Score) -> None:
    _, test = digits()
    assert gain(told, test.images[:100], test.labels[:100], 0.2) > 1.2


def test_the_label_changes_the_score(told: Score, small: ImageSet) -> None:
    x, y = to_float(small.images[:8]), small.labels[:8]
    assert not torch.allclose(told(x, y, 0.1), told(x, (y + 1) % 10, 0.1))


def test_the_score_is_the_gradient_of_the_quadratic_that_it_is_trained_towards(told: Score, small: ImageSet) -> None:
    x, y = to_float(small.images[:4]), small.labels[:4]
    assert torch.allclose(told.denoised(x, y, 0.2), x + 0.04 * told(x, y, 0.2))
    assert torch.allclose(told(x, y, 0.2), told(x.flip(0), y.flip(0), 0.2).flip(0), atol=1e-4)


def test_gradients_reach_the_image_and_not_the_weights(told: Score, small: ImageSet) -> None:
    x = to_float(small.images[:2]).requires_grad_()
    (gradient,) = torch.autograd.grad(told(x, small.labels[:2], 0.1).square().sum(), x)
    assert gradient.abs().max() > 0
    assert not any(weight.requires_grad for weight in told.network.parameters())


def test_one_that_is_told_no_label_serves_any_classes(told: Score, tmp_path: Path) -> None:
    told.save(tmp_path / "told", {})
    replace(told, network=scores.UNet(8, 2, 0), classes=0).save(tmp_path / "untold", {})
    assert scores.load(tmp_path / "told", 10).classes == 10
    assert scores.load(tmp_path / "untold", 3).classes == 0
    with pytest.raises(ValueError, match=r"told knows 10 classes, the images have 3: take one"):
        scores.load(tmp_path / "told", 3)


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("sides", [(8, 8), (13, 10), (32, 17)])
def test_any_size_goes_in_and_comes_out(patch: int, sides: tuple[int, int]) -> None:
    network = scores.UNet(8, patch, 0).eval()
    assert Score(network, 8, patch, 0, (0.1,))(torch.zeros(2, 3, *sides), None, 0.1).shape[2:] == sides


def test_saved_and_loaded_it_says_the_same(told: Score, small: ImageSet, tmp_path: Path) -> None:
    x, y = to_float(small.images[:4]), small.labels[:4]
    told.save(tmp_path, {"note": "x"}, half=False)
    back = scores.load(tmp_path)
    assert torch.equal(back(x, y, 0.1), told(x, y, 0.1))
    assert (back.sigmas, back.classes) == (told.sigmas, 10)
    told.save(tmp_path, {})
    rough, whole = scores.load(tmp_path)(x, y, 0.1), told(x, y, 0.1)
    assert (rough - whole).norm() < 0.02 * whole.norm()


def test_the_same_seed_gives_the_same_weights_and_resuming_too(small: ImageSet, run: Run, tmp_path: Path) -> None:
    whole = TINY.fit(small, run).network.state_dict()
    again = resumed(partial(TINY.fit, small), run, tmp_path, 2).network.state_dict()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_what_it_refuses(told: Score, small: ImageSet, run: Run, tmp_path: Path) -> None:
    x = to_float(small.images[:2])
    with pytest.raises(ValueError, match="needs a label of 0 to 9"):
        told(x, None, 0.1)
    with pytest.raises(ValueError, match="needs a label of 0 to 9"):
        told(x, torch.tensor([0, 10]), 0.1)
    with pytest.raises(ValueError, match="label for every image"):
        TINY.fit(ImageSet(small.images, torch.full_like(small.labels, -1), small.classes), run)
    with pytest.raises(ValueError, match="holds no score network"):
        scores.load(tmp_path)
    with pytest.raises(ValueError, match="above 0"):
        ScoreTraining(sigmas=())
    with pytest.raises(ValueError, match="multiple of 8"):
        ScoreTraining(width=12)


@pytest.mark.parametrize("equation", ["sde", "ode"])
def test_purifying_takes_out_more_than_it_puts_in(
    photographs: ImageSet, run: Run, equation: Literal["sde", "ode"]
) -> None:
    x, seen = noisy(photographs.images, 0.1)
    protected = photographs.with_images(release(photographs.images, seen, UNBOUNDED))
    pure = Purify(noise=0.1, steps=3, equation=equation)(protected, run)
    assert pure.dtype == torch.uint8
    assert (to_float(pure) - x).square().mean() < 0.7 * (to_float(protected.images) - x).square().mean()
    assert torch.equal(pure, Purify(noise=0.1, steps=3, equation=equation)(protected, run))


def test_a_network_that_is_told_labels_purifies_with_them(
    told: Score, small: ImageSet, run: Run, tmp_path: Path
) -> None:
    told.save(tmp_path, {})
    purify = Purify(tmp_path, noise=max(told.sigmas), steps=2)
    changed = ImageSet(small.images, (small.labels + 1) % 10, small.classes)
    assert not torch.equal(purify(small, run), purify(changed, run))


def test_a_purified_image_does_not_depend_on_those_beside_it(small: ImageSet, run: Run) -> None:
    whole, part = Purify(steps=2)(small, run), Purify(steps=2)(small.subset(torch.arange(20)), run)
    assert (whole[:20].int() - part.int()).abs().max() <= 1


def test_what_purify_refuses(told: Score, small: ImageSet, run: Run, tmp_path: Path) -> None:
    told.save(tmp_path, {})
    unlabelled = ImageSet(small.images, torch.full_like(small.labels, -1), small.classes)
    with pytest.raises(ValueError, match="needs a label"):
        Purify(tmp_path, noise=0.05)(unlabelled, run)
    fewer = ImageSet(small.images, small.labels % 3, ("a", "b", "c"))
    with pytest.raises(ValueError, match="knows 10 classes, the images have 3"):
        Purify(tmp_path, noise=0.05)(fewer, run)
    with pytest.raises(ValueError, match="holds no score network"):
        Purify(tmp_path / "none")(small, run)
    with pytest.raises(ValueError, match="noise above 0"):
        Purify(noise=0.0)
    with pytest.raises(ValueError, match="knows noise up to"):
        Purify(noise=0.9)(small, run)


def test_the_shipped_network_denoises_photographs_and_is_small(photographs: ImageSet) -> None:
    shipped = scores.load(SHIPPED)
    assert min(gain(shipped, photographs.images, None, sigma) for sigma in (0.05, 0.1, 0.2)) > 3
    assert (SHIPPED / "score.safetensors").stat().st_size < 1_500_000
    assert (SHIPPED / "card.md").exists()


def test_a_score_network_that_is_cut_short_is_refused_in_words(tmp_path: Path, told: Score) -> None:
    told.save(tmp_path, {})
    weights = tmp_path / "score.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match="holds no score network"):
        scores.load(tmp_path)
