"""Noise fitted to some images, given to others of other classes and sizes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from jobs import folder, job, manifest, noise, put
from test_job_fit import fast, fitted

from unlearnable import perturbation
from unlearnable.data import ImageSet
from unlearnable.experiment import Cell, bench
from unlearnable.job import Job, dry_run, verify
from unlearnable.perturbation import ClassWise, Lent, SampleWise, apply, lend, resized
from unlearnable.pixels import LINF8, levels_changed, pack, to_float, unpack
from unlearnable.protections import protection
from unlearnable.run import Run

SOURCE = torch.tensor([2, 0, 1, 0, 2, 2])  # classes of the images that the noise was found for


def sample_wise() -> SampleWise:
    levels = torch.randint(-8, 9, (6, 3, 8, 8), generator=torch.Generator().manual_seed(0)).float() / 255
    packed = pack(levels, LINF8)
    return SampleWise(packed, LINF8.eps / 127, SOURCE)


def target(labels: list[int], side: int = 8) -> ImageSet:
    images = torch.full((len(labels), 3, side, side), 128, dtype=torch.uint8)
    return ImageSet(images, torch.tensor(labels), tuple("abcdefg"[: max(labels) + 1]))


def test_every_class_gets_the_noise_of_one_and_every_image_its_own() -> None:
    """Class 0 was rows 1 and 3, class 1 row 2, class 2 rows 0, 4 and 5; an image takes the one its row comes to."""
    found, data = sample_wise(), target([0, 0, 1, 1, 2, 2, 2])
    change = lend(found)(to_float(data.images), data.labels, torch.arange(7)) - to_float(data.images)
    rows = torch.tensor([1, 3, 2, 2, 4, 5, 0])  # rows 4, 5, 6 of the data are 1, 2, 0 of the three
    assert torch.allclose(change, unpack(found.delta[rows], found.unit), atol=1e-6)


def test_more_classes_get_the_noise_of_two() -> None:
    found, data = sample_wise(), target([3, 4, 5])
    lent = lend(found)
    assert lent.pairs.tolist() == [[0, 0], [1, 1], [2, 2], [0, 1], [0, 2], [1, 2]]
    change = lent(to_float(data.images), data.labels, torch.zeros(3, dtype=torch.int64)) - to_float(data.images)
    delta = unpack(found.delta, found.unit)
    wanted = torch.stack([delta[1] + delta[2], delta[1] + delta[0], delta[2] + delta[0]])
    assert torch.allclose(change, wanted, atol=1e-6)
    assert levels_changed(data.images, apply(lent, data, LINF8, Run()).images) <= 8
    with pytest.raises(ValueError, match="label 6 was not among the 6"):
        apply(lent, target([6]), LINF8, Run())


def test_the_noise_is_resized_to_the_images() -> None:
    found, data = sample_wise(), target([1, 0], side=20)
    change = to_float(apply(lend(found), data, LINF8, Run()).images) - to_float(data.images)
    wanted = resized(unpack(found.delta[[2, 3]], found.unit), 20, 20)
    assert (change - wanted).abs().max() < 0.51 / 255


def test_class_wise_noise_is_lent_too_and_what_is_lent_is_kept(tmp_path: Path) -> None:
    delta = torch.linspace(-8 / 255, 8 / 255, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)
    data, lent = target([0, 1, 2]), lend(ClassWise(delta))
    assert torch.equal(
        lent(to_float(data.images)[:2], data.labels[:2], torch.arange(2)), to_float(data.images)[:2] + delta
    )
    perturbation.save(tmp_path, lent, {})
    kept, _ = perturbation.load(tmp_path)
    assert isinstance(kept, Lent)
    assert torch.equal(apply(kept, data, LINF8, Run()).images, apply(lent, data, LINF8, Run()).images)


def test_what_cannot_be_lent_is_refused(small: ImageSet, run: Run) -> None:
    with pytest.raises(ValueError, match="fitted before labels were kept with it"):
        lend(SampleWise(torch.zeros(1, 3, 8, 8)))
    with pytest.raises(ValueError, match=r"\(Patches\) is no noise of images or classes"):
        lend(protection("lsp").fit(small, run))
    with pytest.raises(ValueError, match="lent by class, 6 of its 6 images have none: fit it with labels"):
        lend(replace(sample_wise(), labels=torch.full((6,), -1)))


def test_a_fit_keeps_the_labels_of_its_images(small: ImageSet, run: Run) -> None:
    found = protection("pil", epochs=1, steps=1).fit(small, run)
    assert isinstance(found, SampleWise)
    assert found.labels is not None
    assert torch.equal(found.labels, small.labels)


def test_a_job_lends_where_it_is_asked_to(tmp_path: Path) -> None:
    """Two classes of noise serve three classes of pictures, also of another size, and no fourth class."""
    out = fitted(folder(tmp_path / "src"), tmp_path / "fitted", "em", **fast())
    other = folder(tmp_path / "other", 4, lambda n: noise(n, 48))
    put(other / "horse" / "1.png", noise(1, 40))
    with pytest.raises(ValueError, match="serves only those: fit it to these, or take --lend"):
        job(other, tmp_path / "no", method=str(out))
    assert not (tmp_path / "no").exists()
    assert job(other, tmp_path / "dst", method=str(out), lend=True).protected == 5
    assert {label for (label,) in manifest(tmp_path / "dst", "label")} == {0, 1, 2}
    assert verify(other, tmp_path / "dst").bad == 0
    assert 0 < verify(other, tmp_path / "dst").max_abs_delta <= 8
    put(other / "zebra" / "1.png", noise(2, 40))
    with pytest.raises(ValueError, match="noise of 2 classes and their pairs serves 3 classes, here are 4"):
        job(other, tmp_path / "four", method=str(out), lend=True)
    with pytest.raises(ValueError, match="method 'lsp' is none"):
        job(other, tmp_path / "name", lend=True)
    with pytest.raises(ValueError, match="method 'lsp' is none"):
        dry_run(Job(other, tmp_path / "name", "lsp", lend=True))


def test_a_cell_fitted_on_another_data_set_takes_sample_wise_noise(tmp_path: Path) -> None:
    cell = Cell("digits", "pil", model="lenet", epochs=1, fitted_on="digits")
    assert bench([cell], tmp_path, Run(0)) == (1, 0, [])
