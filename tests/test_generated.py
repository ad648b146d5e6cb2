"""What One for All leaves behind: a perturbation for pictures of any size, exactly the same wherever it is applied."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import Command
from jobs import flat, folder, job, noise, put, samples
from PIL import Image

from unlearnable import perturbation
from unlearnable.data import ImageSet
from unlearnable.encoders import encoder
from unlearnable.job import fitting
from unlearnable.perturbation import Scaling, apply, resized, side_seen
from unlearnable.pixels import LINF8, Budget, Pixels, levels_changed, to_float
from unlearnable.protections import PROTECTIONS, one_for_all
from unlearnable.protections._generated import Generated
from unlearnable.protections.one_for_all import OneForAll
from unlearnable.run import Run

TINY: dict[str, Any] = {"grid": 16, "groups": (2, 4), "steps": 6, "batch": 40, "width": 8, "lr": 0.02}


@pytest.fixture(scope="module")
def method(eyes: str) -> OneForAll:
    return OneForAll(encoder=eyes, **TINY)


@pytest.fixture(scope="module")
def fitted(method: OneForAll, small: ImageSet) -> Generated:
    return method.fit(small, Run(0, "cpu", "fp32"))


@pytest.fixture(scope="module")
def saved(method: OneForAll, small: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `fit` wrote, from pictures in a folder."""
    where = tmp_path_factory.mktemp("saved")
    for row in range(48):
        put(where / "src" / f"{row}.png", Image.fromarray(small.images[row].permute(1, 2, 0).numpy()))
    fitting.fit(method, where / "src", where / "fitted", Run(0, "cpu", "fp32"))
    return where / "fitted"


def said(fitted: Generated, x: Pixels) -> Pixels:
    return fitted(x, torch.full((len(x),), -1), torch.arange(len(x)))


def unlabelled(images: torch.Tensor) -> ImageSet:
    return ImageSet(images, torch.full((len(images),), -1), ())


def drawn(count: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 9), (9, 1), (8, 8), (33, 65), (3, 400), (160, 160), (200, 170)]
)
def test_images_of_any_size_are_changed_within_the_budget(
    height: int, width: int, fitted: Generated, run: Run
) -> None:  # fmt: skip
    images = drawn(2, height, width)
    found = apply(fitted, unlabelled(images), LINF8, run).images
    assert found.shape == images.shape
    assert 0 < levels_changed(images, found) <= 8


def test_one_colour_is_changed_too(fitted: Generated, run: Run) -> None:
    for level in (0, 128, 255):
        images = torch.full((1, 3, 24, 24), level, dtype=torch.uint8)
        assert levels_changed(images, apply(fitted, unlabelled(images), LINF8, run).images) > 0


@pytest.mark.parametrize("side", [16, 37, 160])
def test_batches_and_threads_change_no_byte(side: int, fitted: Generated) -> None:
    x = to_float(drawn(5, side, side))
    whole, threads = said(fitted, x), torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert torch.equal(said(fitted, x), whole)
            assert torch.equal(torch.cat([said(fitted, part) for part in x.split(2)]), whole)
    finally:
        torch.set_num_threads(threads)


def test_it_is_what_the_network_says_at_its_grid_resized(fitted: Generated, eyes: str) -> None:
    x = to_float(drawn(1, 40, 40))
    raw = fitted.network(resized(x, 16, 16), encoder(eyes).image(x))
    assert torch.allclose(said(fitted, x) - x, resized(raw * 8 / 255, 40, 40), atol=1e-6)


def test_no_image_yet_is_no_trouble(fitted: Generated) -> None:
    assert said(fitted, torch.zeros(0, 3, 20, 20)).shape == (0, 3, 20, 20)


def test_small_pictures_are_seen_as_they_are_and_large_ones_squashed(fitted: Generated) -> None:
    for height, width, side in ((1, 1, 1), (8, 8, 8), (33, 65, 65), (160, 160, 160), (161, 20, 160), (4000, 3, 160)):
        assert side_seen(fitted, height, width) == side


def test_saved_and_loaded_it_says_the_same_in_half_the_bytes(fitted: Generated, tmp_path: Path) -> None:
    perturbation.save(tmp_path, fitted, {})
    loaded, _ = perturbation.load(tmp_path)
    assert isinstance(loaded, Generated)
    assert {w.dtype for w in loaded.weights.values() if w.is_floating_point()} == {torch.float16}
    x = to_float(drawn(3, 20, 20))
    assert torch.equal(said(loaded, x), said(fitted, x))
    assert {n: getattr(loaded, n) for n in ("grid", "size", "eps")} == {"grid": 16, "size": 160, "eps": 8 / 255}


def test_it_can_be_had_at_another_strength(fitted: Generated) -> None:
    assert isinstance(fitted, Scaling)
    x = to_float(drawn(2, 20, 20))
    strong = fitted.within(16 / 255)
    assert torch.allclose(said(strong, x) - x, 2 * (said(fitted, x) - x), atol=1e-6)
    assert fitted.eps == 8 / 255


def test_an_encoder_that_is_gone_or_another_is_named(fitted: Generated, eyes: str, tmp_path: Path) -> None:
    x = to_float(drawn(1, 8, 8))
    gone = tmp_path / "gone"
    shutil.copytree(eyes, gone)
    moved = replace(fitted, encoder=str(gone))
    shutil.rmtree(gone)
    with pytest.raises(ValueError, match=r"fitted with the encoder '.*gone', which cannot be had") as said_:
        said(moved, x)
    assert "\n" not in str(said_.value)
    with pytest.raises(ValueError, match=r"gives 16 features, this protection was fitted to 7: bring that"):
        said(replace(fitted, code=7), x)


def test_the_job_gives_what_apply_gives_byte_for_byte(saved: Path, tmp_path: Path, run: Run) -> None:
    loaded, _ = perturbation.load(saved)
    for side in (1, 8, 31, 96, 160):
        images = drawn(3, side, side)
        for row, image in enumerate(images):
            put(tmp_path / f"src{side}" / f"{row}.png", Image.fromarray(image.permute(1, 2, 0).numpy()))
        summary = job(tmp_path / f"src{side}", tmp_path / f"dst{side}", method=str(saved))
        assert (summary.protected, summary.failed) == (3, 0)
        wanted = apply(loaded, unlabelled(images), LINF8, run).images
        for row in range(3):
            found = samples(tmp_path / f"dst{side}" / f"{row}.png")
            assert np.array_equal(found, wanted[row].permute(1, 2, 0).numpy()), side


SHAPES: dict[str, Callable[[], Image.Image]] = {
    "tall": lambda: Image.fromarray(drawn(1, 90, 1)[0].permute(1, 2, 0).numpy()),
    "wide": lambda: Image.fromarray(drawn(1, 1, 9)[0].permute(1, 2, 0).numpy()),
    "ribbon": lambda: Image.fromarray(drawn(1, 2, 3000)[0].permute(1, 2, 0).numpy()),
    "odd": lambda: Image.fromarray(drawn(1, 33, 65)[0].permute(1, 2, 0).numpy()),
    "tiny": lambda: noise(0, 8),
    "plain": lambda: Image.new("RGB", (50, 40), (10, 200, 90)),
    "grey": lambda: noise(0, 30).convert("L"),
    "clear": lambda: noise(0, 30).convert("RGBA"),
    "deep": lambda: Image.fromarray(np.random.default_rng(0).integers(0, 65536, (30, 40), dtype=np.uint16)),
    "large": lambda: noise(0, 30).resize((700, 500)),
}


@pytest.mark.parametrize("eps", [8, 3, 24])
def test_the_job_protects_every_shape_and_mode_at_any_strength(eps: int, saved: Path, tmp_path: Path) -> None:
    for name, make in SHAPES.items():
        put(tmp_path / "src" / f"{name}.png", make())
    summary = job(tmp_path / "src", tmp_path / "dst", method=str(saved), eps=eps / 255)
    assert (summary.protected, list(summary.failures)) == (len(SHAPES), [])
    assert eps - 2 <= summary.max_abs_delta <= eps
    for name in SHAPES:
        before, after = (samples(tmp_path / part / f"{name}.png") for part in ("src", "dst"))
        assert before.shape == after.shape
        assert (before != after).any(), name


def test_what_is_shipped_needs_no_fitting(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:  # fmt: skip
    monkeypatch.setitem(fitting.SHIPPED, "one_for_all", saved)
    monkeypatch.setattr(PROTECTIONS["one_for_all"], "fit", lambda *_: pytest.fail("nothing is to be fitted"))
    for make in (flat, folder):
        source = make(tmp_path / make.__name__, 6)
        ended = command("protect", source, tmp_path / "out" / make.__name__, "--method", "one_for_all", "--json")
        assert (ended.code, ended.json["protected"], ended.json["max_abs_delta"]) == (0, 6, 8)
    job(tmp_path / "flat", tmp_path / "again", method=str(saved))
    for row in range(6):
        name = f"{row:03d}.png"
        assert np.array_equal(samples(tmp_path / "out/flat" / name), samples(tmp_path / "again" / name))


def test_an_eps_of_nothing_changes_nothing(fitted: Generated, run: Run) -> None:
    images = drawn(1, 20, 20)
    assert torch.equal(apply(fitted.within(0.0), unlabelled(images), Budget("linf", 0.0), run).images, images)


def test_the_command_line_goes_on_from_what_is_shipped(
    saved: Path, eyes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setattr(one_for_all, "SHIPPED", saved)
    flags = ["--encoder", eyes, "--grid", "16", "--width", "8", "--groups", "[2,3]", "--steps", "1", "--lr", "1e-6"]
    ended = command("fit", "one_for_all", flat(tmp_path / "src", 6), "fitted", *flags, "--init", "shipped")
    assert ended.code == 0, ended.err
    (shipped, _), (fitted, about) = perturbation.load(saved), perturbation.load(Path("fitted"))
    assert isinstance(shipped, Generated)
    assert isinstance(fitted, Generated)
    assert (about["protection"]["groups"], about["protection"]["init"]) == ([2, 3], "shipped")
    for name in ("down.0.0.0.weight", "mean", "whitening"):
        assert torch.allclose(shipped.weights[name], fitted.weights[name], atol=1e-3)
