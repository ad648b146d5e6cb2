"""The parts of a report: what survives, how sure an accuracy is, who undoes a protection, and the words for it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import crop

from benchmarks.known import known
from unlearnable import recorded
from unlearnable.adversaries import HANDLING, Jpeg, Resize
from unlearnable.data import ImageSet
from unlearnable.experiment import Evaluation
from unlearnable.experiment.evaluating import Row
from unlearnable.perturbation import apply
from unlearnable.proof import interval, learning, pictures
from unlearnable.proof.survival import left, survival, table
from unlearnable.protections import protection
from unlearnable.run import Run


def images(count: int = 3, side: int = 32) -> torch.Tensor:
    return torch.stack(
        [torch.from_numpy(np.array(crop(n, side, side)).transpose(2, 0, 1).copy()) for n in range(count)]
    )


def moved(clean: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    return (clean.clamp(16, 239).int() + by.int()).to(torch.uint8)


def test_what_is_left_of_a_flat_change_and_of_pixel_noise(run: Run) -> None:
    """A change of all pixels alike is the lowest frequency, which resizing keeps; a chequerboard is the highest."""
    clean = images().clamp(16, 239)
    flat, board = torch.full_like(clean, 8).int(), torch.full_like(clean, 8).int()
    board[..., ::2, ::2] *= -1
    board[..., 1::2, 1::2] *= -1
    half = Resize(2.0)
    kept, lost = (left(clean, moved(clean, change), half, run) for change in (flat, board))
    assert kept[0].min() > 0.99
    assert torch.allclose(kept[1], torch.ones(3), atol=0.05)
    assert lost[1].max() < 0.05


def test_correlation_and_energy_by_hand(run: Run) -> None:
    class Halved(Jpeg):
        def __call__(self, data: ImageSet, run: Run) -> torch.Tensor:
            return (data.images.float() / 255 * 0.5).contiguous()

    clean = images(2).clamp(16, 239)
    correlation, energy = left(clean, moved(clean, torch.full_like(clean, 4)), Halved(50), run)
    assert torch.allclose(correlation, torch.ones(2), atol=1e-4)
    assert torch.allclose(energy, torch.full((2,), 0.25), atol=1e-4)


def test_pictures_that_were_not_changed_do_not_count(run: Run) -> None:
    clean = images(3).clamp(16, 239)
    after = clean.clone()
    after[1] += 3
    found = left(clean, after, Resize(2.0), run)
    assert found[0].isnan().tolist() == [True, False, True]
    (row,) = table({"resized": found})
    assert (row.operation, row.pictures) == ("resized", 1)
    assert table({"resized": left(clean, clean, Resize(2.0), run)}) == []


def test_the_table_has_every_operation_and_a_stronger_jpeg_leaves_less(small: ImageSet, run: Run) -> None:
    method = protection("random")
    rows = survival(small, apply(method.fit(small, run), small, method.budget, run), run)
    assert [row.operation for row in rows] == list(HANDLING)
    alike = {row.operation: row.correlation for row in rows}
    assert alike["JPEG 95"] > alike["JPEG 85"] > alike["JPEG 75"] > alike["JPEG 50"]
    assert alike["resized to 0.75 and back"] > alike["resized to 0.5 and back"]
    assert all(row.pictures == len(small) for row in rows)


def test_wilson_as_newcombe_prints_it() -> None:
    """Newcombe, Statistics in Medicine 1998, Two-sided confidence intervals, table I, method 3: 81/263 and 0/20."""
    assert [round(value, 4) for value in interval.wilson(81 / 263, 263)] == [0.2553, 0.3662]
    assert [round(value, 4) for value in interval.wilson(0.0, 20)] == [0.0, 0.1611]


def test_an_interval_over_seeds_and_images() -> None:
    one = interval.accuracy([0.5], 400)
    low, high = interval.wilson(0.5, 400)
    assert (one.low, one.high) == (round(low, 4), round(high, 4))
    values = [0.48, 0.50, 0.52]
    student = 4.302653 * 0.02 / math.sqrt(3)  # t of two degrees of freedom, 97.5%
    both = interval.accuracy(values, 400)
    assert both.mean == 0.5
    assert both.high == pytest.approx(0.5 + math.hypot(high - 0.5, student), abs=1e-4)
    assert interval.accuracy([1.0, 1.0], 10).high == 1.0


def test_a_difference_that_the_seeds_share_is_surer_than_its_parts() -> None:
    clean, protected = [0.70, 0.60, 0.65], [0.40, 0.30, 0.35]
    found = interval.difference(clean, protected, 10_000)
    assert found.mean == 0.3
    assert found.high - found.low < 0.04
    assert interval.accuracy(clean, 10_000).high - interval.accuracy(clean, 10_000).low > 0.2
    assert (
        interval.difference([0.2, 0.6], [0.2, 0.6], 50).low < 0 < interval.difference([0.2, 0.6], [0.2, 0.6], 50).high
    )


def test_who_stops_early_is_counted_on_the_images_it_did_not_choose_on(run: Run) -> None:
    names = ("standard", "early_stop:10", "early_stop")
    found = Evaluation(tuple(Row(name, "cnn", 0, 0.8, 0.5, 0.5, 1.0) for name in names), (), {}, sizes={"tests": 100})
    rows = [learning._row(found, name, "cnn", run) for name in names]
    assert [row["tests"] for row in rows] == [100, 90, 80]  # a fifth at most is what is chosen on
    low, high = interval.wilson(0.5, 80)
    assert rows[2]["protected"] == {"mean": 0.5, "low": round(low, 4), "high": round(high, 4)}


def test_who_undoes_it() -> None:
    found = recorded.undoing(0.7, 0.1, {"a": 0.55, "b": 0.31, "c": 0.2, "d": 0.8})
    assert (found.undone, found.partly, found.withstood) == ({"d": 0.8, "a": 0.55}, {"b": 0.31}, {"c": 0.2})
    assert found.hindered
    assert not recorded.undoing(0.5, 0.48, {}).hindered


def test_what_a_report_says_of_a_method_is_what_the_records_say() -> None:
    assert recorded.RECORDS.read_text() == known(), "run: make docs"
    said = json.loads(recorded.RECORDS.read_text())
    found = recorded.recorded("lsp", "lsp")
    assert found is not None
    assert found.found is not None
    assert (found.named, found.setting["dataset"]) == ("lsp", "cifar10-quick")
    assert (found.setting["norm"], found.setting["eps"]) == ("linf", "8/255")
    assert found.found.standard == said["lsp"]["adversaries"]["standard"]
    assert {"grayscale", "finetune"} <= found.found.undone.keys()
    shipped, other = recorded.recorded("one_for_all", "one_for_all"), recorded.recorded("my-fit", "em")
    assert shipped is not None
    assert other is not None
    assert (shipped.named, other.named.partition(":")[0]) == ("one_for_all:shipped", "em")
    assert recorded.recorded("nothing", "") is None


def test_ssim_band_by_band_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    before = np.array(crop(1, 90, 230))
    noise = np.random.default_rng(0).integers(-8, 9, before.shape)
    after = (before.astype(int) + noise).clip(0, 255).astype(np.uint8)
    whole = pictures.ssim(before, after)
    monkeypatch.setattr(pictures, "_BAND", 90)
    assert pictures.ssim(before, after) == pytest.approx(whole, abs=1e-6)
    assert pictures.ssim(before, before) == pytest.approx(1.0)
    assert 0.5 < whole < 0.99
    grey = before[..., :1]
    assert pictures.ssim(grey.astype(np.uint16) * 256, after[..., :1].astype(np.uint16) * 256) == pytest.approx(
        pictures.ssim(grey, after[..., :1])
    )


def test_ssim_is_skimages_by_hand() -> None:
    """Two constant pictures: only the means count, (2ab + c) / (a^2 + b^2 + c) with c = 0.01^2."""
    one, other = (np.full((16, 16, 3), level, np.uint8) for level in (51, 102))
    expected = (2 * 0.2 * 0.4 + 1e-4) / (0.2**2 + 0.4**2 + 1e-4)
    assert pictures.ssim(one, other) == pytest.approx(expected, abs=1e-4)


def test_records_are_shipped() -> None:
    """A wheel without them would report nothing of what the project knows."""
    assert "recorded/records.json" in (Path(recorded.__file__).parents[2] / "pyproject.toml").read_text()
