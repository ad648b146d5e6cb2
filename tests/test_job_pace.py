"""Threads, large pictures, progress and speed: however a job goes about it, the bytes are the same."""

from pathlib import Path

import pytest
import torch
from jobs import crop, flat, folder, job, manifest, noise, tree

from unlearnable.job import Job, parallel, protect, worker
from unlearnable.pixels import Budget
from unlearnable.run import Progress, Run


def test_threads_do_not_change_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = flat(tmp_path / "src", 20, lambda n: crop(n, 100 + n, 80))
    trees = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(parallel.os, "cpu_count", lambda threads=threads: threads)
        job(source, tmp_path / f"out{threads}")
        trees.append((tree(tmp_path / f"out{threads}"), manifest(tmp_path / f"out{threads}")))
    assert trees[0] == trees[1] == trees[2]


def test_threads_of_torch_are_put_back(tmp_path: Path) -> None:
    """Two of them: one is what the tests themselves keep to, and what a job sets."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        job(folder(tmp_path / "src"), tmp_path / "dst")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_large_pictures_go_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "LARGE", 5000)
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 4)
    inside, most = [], []

    def watched(*args: object) -> object:
        inside.append(1)
        most.append(len(inside))
        try:
            return real(*args)
        finally:
            inside.pop()

    real = worker.protected
    monkeypatch.setattr(worker, "protected", watched)
    job(folder(tmp_path / "src", 12, lambda n: noise(n, 80)), tmp_path / "dst")
    assert len(most) == 12
    assert max(most) == 1


def test_progress_tells_how_far_and_how_fast(tmp_path: Path) -> None:
    events: list[Progress] = []
    protect(Job(flat(tmp_path / "src", 12), tmp_path / "dst", "lsp"), Run(device="cpu", listener=events.append))
    labelled = [event.done for event in events if event.stage == "labels"]
    assert labelled == list(range(1, 13))
    last = events[-1]
    assert (last.stage, last.done, last.total) == ("protect", 12, 12)
    assert last.figures["images_per_second"] > 0


def test_the_summary_says_how_fast_it_was(tmp_path: Path) -> None:
    summary = job(folder(tmp_path / "src"), tmp_path / "dst")
    assert summary.images_per_second == pytest.approx(8 / summary.seconds)
    assert str(Budget("linf", 8 / 255)) == summary.eps
