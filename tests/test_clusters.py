"""Unlearnable Clusters: its step written by hand, what it promises, and what it refuses."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from unlearnable import perturbation
from unlearnable.data import ImageSet
from unlearnable.encoders import encoder, mini
from unlearnable.models.generator import Generator
from unlearnable.perturbation import apply
from unlearnable.pixels import Budget, to_float
from unlearnable.protections import protection
from unlearnable.protections._clusterwise import ClusterWise
from unlearnable.protections._encoded import kept
from unlearnable.protections.clusters import Clusters
from unlearnable.run import Cancelled, Progress, Run

SMALL: dict[str, Any] = {"clusters": 3, "epochs": 2, "batch": 20, "width": 8, "blocks": 1, "lr": 3e-3}
PLAIN = Clusters(**SMALL)


@pytest.fixture(autouse=True)
def _quick_eyes(eyes: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A small random encoder in the place of the shipped one, which takes its time."""
    monkeypatch.setattr(mini, "SHIPPED", Path(eyes))
    kept.cache_clear()
    yield
    kept.cache_clear()


@pytest.mark.parametrize("permutation", ["random", "next"])
@pytest.mark.parametrize("images_of", ["cluster", "all"])
@pytest.mark.parametrize("head", ["tanh", "clamp"])
def test_one_step_is_adams_step_on_the_papers_loss(
    permutation: Any, images_of: Any, head: Any, small: ImageSet
) -> None:
    run = Run(device="cpu", precision="fp32")  # the first step of Adam is a sign: rounding decides small ones
    method = replace(PLAIN, epochs=1, batch=96, permutation=permutation, images_of=images_of, head=head)
    fitted = method.fit(small, run)
    x, seen, eps = to_float(small.images), encoder("mini"), 16 / 255
    own = torch.stack([(seen.image(x) - centre).norm(dim=1) for centre in fitted.centres]).argmin(0)
    noise = torch.rand(1, 3, 16, 16, generator=run.rng("clusters-noise"))
    for i, target in enumerate(method.targets(run)):
        with run.seeded("clusters-init", i):
            generator = Generator(8, 2, 1, code=0)
        raw = generator(noise)
        delta = eps * raw if head == "tanh" else raw.clamp(-eps, eps)
        mine = x if images_of == "all" else x[own == i]
        p, q = (F.softmax(v / 0.05, -1) for v in (fitted.centres[target], seen.image((mine + delta).clamp(0, 1))))
        loss = (p * (p / q).log()).sum(1).mean()
        weights = list(generator.parameters())
        for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            slope = slope + 5e-4 * weight
            weight.data -= 3e-3 * slope / (slope.abs() + 1e-8)  # the first step of Adam
        raw = generator(noise)[0]
        wanted = eps * raw if head == "tanh" else raw.clamp(-eps, eps)
        assert (wanted - delta[0]).abs().max() > 1e-3
        assert (fitted.delta[i] - wanted).norm() < 0.1 * (wanted - delta[0]).norm()


def test_the_loss_falls_and_images_end_at_another_centre(small: ImageSet, run: Run) -> None:
    events: list[Progress] = []
    method = replace(PLAIN, budget=Budget("linf", 64 / 255), epochs=12)  # digits are black and white
    method.fit(small, replace(run, listener=events.append))
    figures = [event.figures for event in events if event.figures]
    assert len(figures) == 3 * 12
    for i in range(3):
        first, *_, last = figures[12 * i : 12 * (i + 1)]
        assert last["loss"] < 0.7 * first["loss"]
    assert sum(figure["at target"] for figure in figures[11::12]) > sum(f["at target"] for f in figures[::12])


@pytest.mark.parametrize("clusters", range(2, 13))
def test_no_cluster_is_led_to_itself(clusters: int, run: Run) -> None:
    order = list(range(clusters))
    for seed in range(5):
        targets = Clusters(clusters=clusters).targets(replace(run, seed=seed)).tolist()
        assert sorted(targets) == order
        assert all(target != i for i, target in enumerate(targets))
    assert Clusters(clusters=clusters, permutation="next").targets(run).tolist() == [*order[1:], 0]


def test_labels_never_matter(small: ImageSet, run: Run) -> None:
    unknown = ImageSet(small.images, torch.full_like(small.labels, -1), ())
    fitted, other = PLAIN.fit(small, run), PLAIN.fit(unknown, run)
    assert torch.equal(fitted.delta, other.delta)
    assert torch.equal(
        apply(fitted, small, PLAIN.budget, run).images, apply(other, unknown, PLAIN.budget, run).images
    )  # fmt: skip


def test_a_new_image_gets_the_delta_of_its_nearest_centre(small: ImageSet, run: Run) -> None:
    fitted = PLAIN.fit(small, run)
    x = (to_float(small.images[:20]) + 0.01).clamp(0, 1)
    change = fitted(x, torch.full((20,), -1), torch.arange(20) + 1000) - x
    nearest = (encoder("mini").image(x)[:, None] - fitted.centres).norm(dim=2).argmin(1)
    assert len(nearest.unique()) > 1
    assert torch.allclose(change, fitted.delta[nearest], atol=1e-6)


def test_what_each_generator_learns_from(small: ImageSet, run: Run) -> None:
    """Images of other clusters change nothing for it, unless all are asked for."""
    fitted = PLAIN.fit(small, run)
    everything = replace(PLAIN, images_of="all").fit(small, run)
    assert not torch.equal(fitted.delta, everything.delta)
    assert torch.equal(fitted.centres, everything.centres)


@pytest.mark.parametrize("calls", range(1, 8))
def test_stopped_anywhere_and_resumed_gives_the_same_bytes(
    calls: int, small: ImageSet, run: Run, tmp_path: Path
) -> None:
    """Two epochs of each of three generators: before every one of them, and after the last."""
    left = calls

    def stop() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    stopped = replace(run, directory=tmp_path, save_every=1e9, cancelled=stop)
    if calls <= 6:
        with pytest.raises(Cancelled):
            PLAIN.fit(small, stopped)
    else:
        PLAIN.fit(small, stopped)
    resumed = PLAIN.fit(small, replace(run, directory=tmp_path))
    assert torch.equal(resumed.delta, PLAIN.fit(small, run).delta)


def test_saved_and_loaded_it_is_the_same_and_says_when_its_encoder_is_gone(
    small: ImageSet, run: Run, tmp_path: Path
) -> None:
    fitted, x = PLAIN.fit(small, run), to_float(small.images)
    perturbation.save(tmp_path, fitted, {})
    loaded, _ = perturbation.load(tmp_path)
    assert isinstance(loaded, ClusterWise)
    assert loaded.encoder == "mini"
    assert torch.equal(loaded(x, small.labels, small.labels), fitted(x, small.labels, small.labels))
    with pytest.raises(ValueError, match="fitted with the encoder 'no/such/folder', which cannot be had"):
        replace(loaded, encoder="no/such/folder")(x, small.labels, small.labels)
    with pytest.raises(ValueError, match="fitted to 7: bring that encoder back, or fit again"):
        replace(loaded, centres=torch.zeros(3, 7))(x, small.labels, small.labels)


def test_the_published_code_and_the_small_setting_have_presets() -> None:
    published, quick = protection("clusters:published"), protection("clusters:quick")
    assert isinstance(published, Clusters)
    assert (published.permutation, published.images_of, published.head) == ("next", "all", "clamp")
    assert published.budget == Clusters().budget == Budget("linf", 16 / 255)
    assert quick.budget == Budget("linf", 8 / 255)


def test_what_cannot_work_is_refused(small: ImageSet, run: Run) -> None:
    twice = small.subset(torch.tensor([0, 1, 0, 1, 1]))
    with pytest.raises(ValueError, match="2 distinct images make no 3 clusters: ask for 2 at most"):
        PLAIN.fit(twice, run)
    with pytest.raises(ValueError, match="at least 2"):
        Clusters(clusters=1)
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        Clusters(temperature=0.0)
    with pytest.raises(ValueError, match="above 16 pixels"):
        replace(PLAIN, downs=4).fit(small, run)
    with pytest.raises(ValueError, match="cluster 0 could not be trained: not finite at lr 1e"):
        replace(PLAIN, lr=1e30).fit(small, run)
