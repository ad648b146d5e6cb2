"""One for All: a step of its fit written plainly, what it goes on from, and what it refuses."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import resumed
from torch.nn import functional as F

from unlearnable import perturbation
from unlearnable.data import ImageSet
from unlearnable.encoders import CONCEPTS, encoder
from unlearnable.models import build
from unlearnable.models.coded import Coded
from unlearnable.perturbation import ClassWise, apply, resized
from unlearnable.pixels import LINF8, to_float
from unlearnable.protections import protection
from unlearnable.protections._asked import Known, grouped
from unlearnable.protections._generated import Generated
from unlearnable.protections._one_for_all_loss import Discriminant, chosen, vocabulary
from unlearnable.protections._shortcut import Schooling
from unlearnable.protections.one_for_all import OneForAll
from unlearnable.run import Progress, Run

TINY: dict[str, Any] = {"grid": 16, "groups": (2, 4), "batch": 40, "width": 8, "lr": 0.02}


def unworkable(method: OneForAll) -> OneForAll:
    """The method with a batch that none may be made with: whoever begins to work fails in other words."""
    object.__setattr__(method, "batch", -1)
    return method


@pytest.fixture
def short(eyes: str) -> OneForAll:
    return OneForAll(encoder=eyes, steps=3, **TINY)


@pytest.fixture
def apart(eyes: str) -> OneForAll:
    return OneForAll(encoder=eyes, objective="discriminant", steps=3, **TINY)


def same(one: Generated, other: Generated) -> bool:
    return all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


@pytest.mark.parametrize(("concepts", "similar"), [(2, 1), (5, 1), (9, 1), (10, 2), (24, 4), (25, 5), (60, 5)])
def test_fewer_than_25_concepts_have_fewer_similar_ones(
    concepts: int, similar: int, apart: OneForAll, small: ImageSet, run: Run, tmp_path: Path
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("\n".join(CONCEPTS.read_text().splitlines()[:concepts]))
    seen: list[Discriminant] = []
    aim = OneForAll.aim

    class Watched(OneForAll):
        def aim(self, *given: Any) -> Any:
            seen.append(aim(self, *given))
            return seen[-1]

    method = Watched(**vars(replace(apart, vocabulary=str(words), steps=1)))
    fitted = method.fit(small, run)
    assert seen[0].similar == similar
    assert seen[0].targets is not None
    assert seen[0].targets.shape == (96, similar + 1)
    assert all(w.isfinite().all() for w in fitted.weights.values())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: .*No such file.*; name a text file, a concept a line"),
        (b"", r"must have 2 concepts or more, to lead from one to another; got \[\]"),
        (b"\n  \n", r"must have 2 concepts or more, .* got \[\]"),
        (b"cat\nCat\n cat", r"must have 2 concepts or more, .* got \['cat'\]"),
        (b"\xff\xfe\x00", "cannot be read: .*; name a text file"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused_before_any_work(
    content: bytes | None, said: str, apart: OneForAll, small: ImageSet, run: Run, tmp_path: Path
) -> None:
    words = tmp_path / "words.txt"
    if content is not None:
        words.write_bytes(content)
    with pytest.raises(ValueError, match=f"vocabulary '.*words.txt' {said}") as refused:
        unworkable(replace(apart, vocabulary=str(words))).fit(small, run)
    assert "\n" not in str(refused.value)


def test_targets_are_of_the_clean_image_or_of_the_protected_one(apart: OneForAll, small: ImageSet, run: Run) -> None:
    clean, moving = apart, replace(apart, targets_from="protected")
    assert not same(clean.fit(small, run), moving.fit(small, run))


@pytest.mark.parametrize("objective", ["shortcut", "discriminant"])
def test_one_step_of_the_generator_written_plainly(
    objective: Any, short: OneForAll, eyes: str, small: ImageSet, run: Run
) -> None:
    method = replace(short, objective=objective, steps=1, lr=1e-3)
    fitted, seen, x = method.fit(small, run), encoder(eyes), to_float(small.images)
    with run.seeded("oneforall-init"):
        network = Coded(8, 16)
    codes = seen.image(x)
    network.whiten(codes)
    rows = torch.randperm(96, generator=run.rng("oneforall-order", 0))[:40]
    said = network(x[rows], codes[rows])
    delta = said * 8 / 255 * (0.89 / said.square().mean((1, 2, 3)).sqrt()).clamp(max=1)[:, None, None, None]
    shown = (x[rows] + delta).clamp(0, 1)
    if objective == "shortcut":
        known = Known(*grouped(network.seen(codes), (2, 4), run), F.normalize(codes - codes.mean(0), dim=1), 5.0)
        with run.seeded("concepts-init"):
            surrogate = build("cnn", 6 + 16, 16).train()
        view = Schooling(("cnn",), 2e-3, tinted=0.3, greyed=0.2).view(shown, run.rng("concepts-view", 0))
        loss, _ = known.asked(surrogate(view), rows, view)
    else:
        concepts = seen.text(vocabulary(None))
        loss, _ = Discriminant(seen, concepts, 5, chosen(codes, concepts, 5), run)(rows, shown, 0)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    for name, weight in network.named_parameters():
        wanted = weight - 1e-3 * weight.grad / (weight.grad.abs() + 1e-8)
        clear = weight.grad.abs() > weight.grad.abs().max() / 50  # Adam's first step has the sign of rounding elsewhere
        assert torch.allclose(fitted.weights[name].float()[clear], wanted[clear], atol=3e-4), name


def test_labels_never_matter_and_the_seed_does(short: OneForAll, small: ImageSet, run: Run) -> None:
    unknown = ImageSet(small.images, torch.full_like(small.labels, -1), ())
    fitted, other = short.fit(small, run), short.fit(unknown, run)
    assert same(fitted, other)
    assert torch.equal(apply(fitted, small, LINF8, run).images, apply(other, unknown, LINF8, run).images)
    assert not same(fitted, short.fit(small, replace(run, seed=1)))


@pytest.mark.parametrize("at", [1, 2, 4, 6])
def test_stopped_anywhere_and_resumed_it_gives_the_same_bytes(
    at: int, short: OneForAll, small: ImageSet, run: Run, tmp_path: Path
) -> None:
    method = replace(short, steps=6, surrogates=("lenet", "cnn"))
    assert same(resumed(lambda here: method.fit(small, here), run, tmp_path, at), method.fit(small, run))


def test_surrogates_come_to_know_the_groups_from_what_it_says(short: OneForAll, small: ImageSet, run: Run) -> None:
    events: list[Progress] = []
    replace(short, steps=80, lr=3e-3, surrogate_lr=3e-3).fit(small, replace(run, listener=events.append))
    losses = [event.figures["loss"] for event in events if event.figures]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_half_precision_networks_and_a_last_batch_of_one(short: OneForAll, small: ImageSet, run: Run) -> None:
    method = replace(short, batch=95, steps=2)
    fitted = method.fit(small, replace(run, precision="bf16"))
    assert all(w.isfinite().all() for w in fitted.weights.values())


def test_surrogates_of_one_place_take_a_last_batch_of_one(short: OneForAll, small: ImageSet, run: Run) -> None:
    """vgg16 leaves one value a channel of 16 pixels, of which batch normalisation has no variance."""
    method = replace(short, surrogates=("vgg16",), steps=2, batch=16)
    assert all(w.isfinite().all() for w in method.fit(small.subset(torch.arange(17)), run).weights.values())


def test_it_goes_on_from_weights_that_fit_left(short: OneForAll, small: ImageSet, run: Run, tmp_path: Path) -> None:
    first = short.fit(small, run)
    perturbation.save(tmp_path, first, {})
    still = replace(short, init=str(tmp_path), lr=1e-30, steps=1).fit(small.subset(torch.arange(50)), run)
    learned = [name for name, _ in Coded(8, 16).named_parameters()]
    assert all(torch.equal(still.weights[name], first.weights[name]) for name in (*learned, "mean", "whitening"))
    assert not same(replace(short, init=str(tmp_path)).fit(small, run), first)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 16}, "has width 8, wanted is 16: give it the same"),
        ({"generator": "published"}, "has shape 'small', wanted is 'published'"),
        ({"grid": 24}, "has grid 16, wanted is 24"),
        ({"head": "clamp"}, "has head 'rms', wanted is 'clamp'"),
        ({"encoder": "mini:{eyes}"}, "has encoder '{eyes}', wanted is 'mini:{eyes}'"),
    ],
)
def test_weights_of_another_make_are_refused_before_any_work(
    change: dict[str, Any], said: str, short: OneForAll, eyes: str, small: ImageSet, run: Run, tmp_path: Path
) -> None:
    perturbation.save(tmp_path, replace(short, steps=1).fit(small, run), {})
    change = {name: value.format(eyes=eyes) if name == "encoder" else value for name, value in change.items()}
    with pytest.raises(ValueError, match=f"init '.*' {re.escape(said.format(eyes=eyes))}"):
        unworkable(replace(short, init=str(tmp_path), **change)).fit(small, run)


def test_a_folder_without_a_generator_is_refused(short: OneForAll, small: ImageSet, run: Run, tmp_path: Path) -> None:
    perturbation.save(tmp_path, ClassWise(torch.zeros(1, 3, 8, 8)), {})
    with pytest.raises(ValueError, match="holds no generator but ClassWise"):
        replace(short, init=str(tmp_path)).fit(small, run)
    with pytest.raises(ValueError, match="nowhere holds no fitted protection"):
        replace(short, init="nowhere").fit(small, run)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"grid": 20}, "grid must be a multiple of 8, 16 at least, got 20"),
        ({"grid": 8}, "16 at least, got 8"),
        ({"groups": ()}, "groups each 2 or more, got ('cnn',) and ()"),
        ({"groups": (16, 1)}, "groups each 2 or more"),
        ({"surrogates": ()}, "surrogates must be one or more"),
        ({"similar": 0}, "similar must be 1 or more"),
    ],
)
def test_what_cannot_work_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        protection("one_for_all", **change)


def test_what_cannot_be_fitted_is_refused(short: OneForAll, small: ImageSet, run: Run) -> None:
    with pytest.raises(ValueError, match="5 images of 1 look make no groups: fit on more of them, or take what is"):
        short.fit(small.subset(torch.zeros(5, dtype=torch.int64)), run)
    with pytest.raises(ValueError, match="could not be trained: not finite at lr 1e\\+30, take a lower one"):
        replace(short, lr=1e30).fit(small, run)


def test_the_published_setting_has_a_preset() -> None:
    paper = protection("one_for_all:paper")
    assert isinstance(paper, OneForAll)
    assert (paper.objective, paper.generator, paper.grid) == ("discriminant", "published", 224)
    assert resized(torch.zeros(1, 3, 224, 224), paper.grid, paper.grid).shape == (1, 3, 224, 224)
