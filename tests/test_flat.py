"""Flat areas: what is one, when a change shows there, and that `protect` says so."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from commands import Command
from jobs import crop, job, manifest, noise, photograph, put
from PIL import Image

from unlearnable import visibility
from unlearnable.job import verify
from unlearnable.visibility import NOTICEABLE, flat_step

SKY = (0, 0, 640, 120)


def paper(height: int = 200, width: int = 300, level: int = 200) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def squares(planes: np.ndarray, levels: int, side: int = 20) -> np.ndarray:
    """Every other square of a chessboard lighter by so many levels, the others darker."""
    rows, columns = (np.arange(n) // side for n in planes.shape[:2])
    sign = np.where((rows[:, None] + columns) % 2, 1, -1)[..., None]
    return (planes.astype(int) + levels * sign).clip(0, 255).astype(np.uint8)


def grain(planes: np.ndarray, levels: int) -> np.ndarray:
    sign = np.random.default_rng(0).choice([-levels, levels], planes.shape)
    return (planes.astype(int) + sign).clip(0, 255).astype(np.uint8)


def test_a_step_of_grey_is_its_difference_in_lightness() -> None:
    """Half the area at L* 82.05 and half at 79.16 (sRGB 204 and 196): two places differ by that every second time,
    so the root mean square is 1/sqrt(2) of it."""
    found = flat_step(paper(128, 128), squares(paper(128, 128), 4, 16), 8)
    assert found == pytest.approx((82.05 - 79.16) / 2**0.5, abs=0.02)


@pytest.mark.parametrize(
    "planes", [paper(), paper(level=0), paper(level=255), paper(1, 1), paper(1, 40), paper(3, 900)]
)
def test_what_moves_everything_alike_or_nothing_is_no_step(planes: np.ndarray) -> None:
    assert flat_step(planes, planes, 8) == pytest.approx(0, abs=1e-3)
    moved = np.where(planes < 128, planes + 8, planes - 8).astype(np.uint8)
    assert flat_step(planes, moved, 8) == pytest.approx(0, abs=1e-2)


def test_squares_show_on_paper_and_fine_grain_less() -> None:
    white = paper(512, 512)
    coarse, fine = flat_step(white, squares(white, 8), 8), flat_step(white, grain(white, 4), 8)
    assert coarse is not None
    assert fine is not None
    assert fine < NOTICEABLE < coarse


def test_a_gentle_slope_is_flat_and_texture_is_not() -> None:
    slope = (100 + np.add.outer(np.arange(400) * 0.1, np.arange(500) * 0.2)).astype(np.uint8)[..., None].repeat(3, 2)
    found = flat_step(slope, squares(slope, 8), 8)
    assert found is not None
    assert found > NOTICEABLE
    rough = np.random.default_rng(0).integers(60, 200, (300, 300, 3), dtype=np.uint8)
    assert flat_step(rough, squares(rough, 8), 8) is None


@pytest.mark.parametrize(("share", "flat"), [(0.03, False), (0.15, True)])
def test_a_small_flat_patch_does_not_count(share: float, flat: bool) -> None:
    planes = np.random.default_rng(0).integers(60, 200, (400, 400, 3), dtype=np.uint8)
    side = int(400 * share**0.5)
    planes[:side, :side] = 180
    assert (flat_step(planes, squares(planes, 8), 8) is not None) is flat


def test_grey_deep_and_large_pictures_are_judged_as_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = paper(512, 700), squares(paper(512, 700), 6)
    expected = flat_step(before, after, 8)
    assert flat_step(before[..., :1], after[..., :1], 8) == pytest.approx(expected, rel=1e-4)
    deep = [planes[..., :1].astype(np.uint16) * 257 for planes in (before, after)]
    assert flat_step(*deep, 16) == pytest.approx(expected, rel=1e-3)
    monkeypatch.setattr(visibility, "_BAND", 1)
    assert flat_step(before, after, 8) == pytest.approx(expected, rel=1e-6)


def test_what_is_transparent_does_not_show() -> None:
    before, after = paper(), squares(paper(), 8)
    alpha = np.zeros(before.shape[:2], np.uint8)
    assert flat_step(before, after, 8, alpha) is None
    alpha[:100] = 255
    assert flat_step(before, after, 8, alpha) == pytest.approx(flat_step(before[:100], after[:100], 8), rel=0.05)


def test_a_real_sky_is_flat_and_leaves_are_not() -> None:
    sky = np.asarray(photograph("china.jpg").crop(SKY))
    found = flat_step(sky, squares(sky, 8), 8)
    assert found is not None
    assert found > NOTICEABLE
    leaves = np.asarray(photograph("china.jpg").crop((0, 330, 120, 427)))
    assert flat_step(leaves, squares(leaves, 8), 8) is None


@pytest.mark.parametrize("method", ["one_for_all", "lsp", "random"])
def test_protect_names_pictures_on_which_the_change_shows(method: str, command: Command, tmp_path: Path) -> None:
    source = tmp_path / "src"
    put(source / "sky.jpg", photograph("china.jpg").crop(SKY), quality=95)
    put(source / "paper.png", Image.fromarray(paper(400, 300, 240)))
    put(source / "noise.png", noise(1, 300))
    ended = command("protect", source, "out", "--method", method, "--json", "--quiet", "--seed", "7")
    assert (ended.code, ended.json["showing"]) == (0, 2)
    (line,) = ended.err.splitlines()
    assert "2 of 3 pictures" in line
    assert "sky.jpg" in line
    assert "--eps" in line
    assert "noise.png" not in line
    steps = {name.decode(): step for name, step in manifest(Path("out"), "name, flat_step")}
    assert {name for name, step in steps.items() if step is not None and step >= NOTICEABLE} == {"sky.jpg", "paper.png"}
    weak = command("protect", source, "weak", "--method", method, "--json", "--quiet", "--eps", "1/255", "--seed", "7")
    assert (weak.code, weak.json["showing"], weak.err) == (0, 0, "")


def test_protect_says_how_many_pictures_are_grey(command: Command, tmp_path: Path) -> None:
    source = tmp_path / "src"
    for number in range(3):
        put(source / f"{number}.png", noise(number, 40).convert("L" if number else "RGB"))
    ended = command("protect", source, "out", "--json", "--quiet")
    (line,) = ended.err.splitlines()
    assert "grey: 2 of 3 pictures have one channel and take the mean of three channels' changes" in line
    noted = {
        name.decode(): "grey: changed by the mean" in notes for name, notes in manifest(Path("out"), "name, notes")
    }
    assert noted == {"0.png": False, "1.png": True, "2.png": True}


def test_many_are_counted_and_the_worst_three_named_whenever_they_were_done(command: Command, tmp_path: Path) -> None:
    source = tmp_path / "src"
    for number in range(5):
        put(source / f"{number}.png", Image.fromarray(paper(level=80 + 30 * number)))
    first = command("protect", source, "out", "--method", "lsp", "--json", "--quiet")
    again = command("protect", source, "out", "--method", "lsp", "--json", "--quiet", "--resume")
    assert first.json["showing"] == again.json["showing"] == 5
    assert first.err == again.err
    assert "and 2 more" in first.err


def test_manifests_without_the_column_are_read_and_gone_on_with(tmp_path: Path) -> None:
    """Version 0.1.0 wrote none."""
    source = tmp_path / "src"
    for number in range(3):
        put(source / f"{number}.png", crop(number))
    whole = job(source, tmp_path / "out")
    with closing(sqlite3.connect(whole.manifest)) as db:
        db.execute("ALTER TABLE files DROP COLUMN flat_step")
        db.commit()
    assert verify(source, tmp_path / "out").checked == 3
    (tmp_path / "out" / "1.png").unlink()
    resumed = job(source, tmp_path / "out", resume=True)
    assert (resumed.protected, resumed.worked) == (3, 1)
    assert verify(source, tmp_path / "out").bad == 0
