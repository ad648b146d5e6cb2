"""The one supervised loop: it learns, it resumes, and it sees nothing but 8-bit images and labels."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fits import resumed
from safetensors.torch import save_model
from torch import nn

from unlearnable.adversaries import adversary
from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.packs import digits
from unlearnable.run import Run
from unlearnable.training import Contrastive, CropFlip, Recipe, accuracy, classifier, predict

QUICK = Recipe(model="lenet", epochs=4, lr=0.03, augment=(CropFlip(1, flip=False),))


def test_it_learns_digits(run: Run) -> None:
    train, test = digits()
    victim = QUICK.train(train, run, test)
    assert victim.test_acc[-1] > 0.8
    assert accuracy(victim.network, test, run) == pytest.approx(victim.test_acc[-1])
    assert len(victim.train_acc) == len(victim.test_acc) == 4


def test_stopped_and_resumed_gives_the_same_weights(small: ImageSet, run: Run, tmp_path: Path) -> None:
    whole = QUICK.train(small, run, small)
    again = resumed(lambda run: QUICK.train(small, run, small), run, tmp_path, 3)
    assert again.test_acc == whole.test_acc
    for ours, theirs in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_rows_of_unknown_label_are_left_out(small: ImageSet, run: Run) -> None:
    half = torch.arange(len(small)) % 2 == 0
    masked = ImageSet(small.images, torch.where(half, small.labels, -1), small.classes)
    ours = QUICK.train(masked, run, small)
    theirs = QUICK.train(small.subset(half.nonzero().flatten()), run, small)
    assert ours.test_acc == theirs.test_acc


def test_given_weights_are_where_it_starts(small: ImageSet, run: Run, tmp_path: Path) -> None:
    with run.seeded("other"):
        network = build("lenet", 10, small.size)
    save_model(network, str(tmp_path / "start.safetensors"))
    started = replace(QUICK, init=tmp_path / "start.safetensors").start(small, run)
    assert torch.equal(predict(started, small.images, run), predict(network, small.images, run))


def test_one_image_is_too_few(small: ImageSet, run: Run) -> None:
    with pytest.raises(ValueError, match="at least 2 labelled images, got 1"):
        QUICK.train(small.subset(torch.tensor([0])), run)


def test_a_last_batch_of_one_counts_once(small: ImageSet, run: Run) -> None:
    """As often right as images: what is doubled so that it can be normalised is no second one."""
    few = small.subset(torch.arange(5)).with_images(small.images[:1].expand(5, -1, -1, -1).contiguous())
    few = replace(few, labels=torch.zeros(5, dtype=torch.int64))
    assert replace(QUICK, model="cnn", batch=4, epochs=8).train(few, run).train_acc[-1] == 1


def test_a_purifier_that_is_there_twice_works_twice(small: ImageSet, run: Run, tmp_path: Path) -> None:
    """A stage that a checkpoint says is over is that of the first; the second has a folder of its own."""
    few, recipe = small.subset(torch.arange(4)), adversary("purify:steps=1+purify:noise=0.1,steps=1", QUICK)
    kept, free = (recipe.purified(few, replace(run, directory=folder))[0] for folder in (tmp_path, None))
    assert torch.equal(kept, free)


@pytest.mark.parametrize(("name", "changed"), [("standard", False), ("jpeg", False), ("grayscale", True)])
def test_test_images_are_changed_only_by_what_whoever_uses_the_network_does_too(
    name: str, changed: bool, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of images whose class is their colour, a network of grey ones knows nothing; JPEG leaves them coloured."""
    labels, seen = torch.arange(24) % 3, list[torch.Tensor]()
    colours = 200 * torch.eye(3, dtype=torch.uint8)[labels]
    data = ImageSet(colours[:, :, None, None].expand(-1, -1, 16, 16).contiguous(), labels, ("red", "green", "blue"))
    given = classifier.classes_given

    def watched(network: nn.Module, images: torch.Tensor, run: Run) -> torch.Tensor:
        seen.append(images)
        return given(network, images, run)

    monkeypatch.setattr(classifier, "classes_given", watched)
    adversary(name, replace(QUICK, epochs=2)).train(data, run, data)
    assert len(seen) == 2
    assert all(torch.equal(images, data.images) != changed for images in seen)
    assert all(torch.equal(images[:, :1].expand(-1, 3, -1, -1), images) == changed for images in seen)


def test_one_test_image_leaves_none_to_measure_early_stopping_on(small: ImageSet, run: Run) -> None:
    trained = adversary("early_stop", QUICK).train(small, run, small.subset(torch.arange(2)))
    assert trained.early_acc is not None
    assert 0 <= trained.early_acc <= 1


def test_crops_are_windows_of_the_padded_picture() -> None:
    x = torch.arange(2 * 3 * 6 * 6, dtype=torch.float32).reshape(2, 3, 6, 6) / 216
    padded = torch.nn.functional.pad(x, [2] * 4)
    cropped = CropFlip(2).crop(x, Run(0).rng("crop"))
    windows = [padded[:, :, i : i + 6, j : j + 6] for i in range(5) for j in range(5)]
    windows += [window.flip(3) for window in windows]
    assert all(any(torch.equal(cropped[n], window[n]) for window in windows) for n in range(2))


def test_no_padding_and_no_flip_change_nothing() -> None:
    x = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(CropFlip(0, flip=False).crop(x, Run(0).rng("crop")), x)


def test_a_contrastive_view_is_differentiable_seeded_and_as_strong_as_asked(run: Run) -> None:
    x = torch.rand(64, 3, 16, 16, generator=run.rng("x")).requires_grad_()
    before = torch.random.get_rng_state()
    seen = Contrastive(1.0).view(x, run.rng("view"))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(seen, Contrastive(1.0).view(x, run.rng("view")))
    assert not torch.equal(seen, Contrastive(1.0).view(x, run.rng("other")))
    assert seen.shape == x.shape
    assert 0 <= float(seen.min().detach()) <= float(seen.max().detach()) <= 1
    (slope,) = torch.autograd.grad(seen.sum(), x)
    assert (slope.flatten(1).abs().sum(1) > 0).all(), "an image that no gradient reaches"
    grey = (seen[:, 0] - seen[:, 1]).abs().flatten(1).amax(1) < 1e-5
    assert 0.05 < float(grey.float().mean()) < 0.4, "a fifth of them are grey"
    weak = Contrastive(0.0).view(x, run.rng("view")).detach()
    kept = torch.minimum((weak - x.detach()).abs().amax((1, 2, 3)), (weak - x.detach().flip(3)).abs().amax((1, 2, 3)))
    assert kept.max() < 1e-4, "at strength 0 there are flips alone"


def test_checkpoints_are_of_the_epochs_asked_for(small: ImageSet, run: Run, tmp_path: Path) -> None:
    recipe = Recipe("lenet", epochs=4, batch=24)
    trained = recipe.train(small, replace(run, directory=tmp_path), keep=(0, 3))
    first, last = trained.checkpoints
    assert torch.equal(predict(last, small.images, run), predict(trained.network, small.images, run))
    assert not torch.equal(predict(first, small.images, run), predict(last, small.images, run))
    again = recipe.train(small, replace(run, directory=tmp_path), keep=(0, 3)).checkpoints[0]
    assert torch.equal(predict(first, small.images, run), predict(again, small.images, run)), "lost on resuming"
