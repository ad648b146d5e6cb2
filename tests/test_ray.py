"""The main job by several processes: the same bytes, whoever dies meanwhile."""

import contextlib
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands import Command
from jobs import crop, flat, folder, manifest, put, tree

from unlearnable.engines.ray import Crew, Hand, on_ray
from unlearnable.job import Job, fit, protect, verify
from unlearnable.job.manifest import Manifest, Outcome, Row
from unlearnable.job.worker import Worker
from unlearnable.protections import protection
from unlearnable.run import Cancelled, Progress, Run

RUN = Run(device="cpu", precision="fp32")
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")


class Died(Exception):
    pass


@dataclass(eq=False)
class Answer:
    part: list[Row]


class Pretended:
    """What `Crew` needs of Ray, without Ray: answers are worked out when they are asked for."""

    exceptions = SimpleNamespace(RayActorError=Died)

    def __init__(self, deadly: Iterable[int]) -> None:
        self.deadly, self.given = set(deadly), 0

    def hand(self) -> Any:
        return SimpleNamespace(work=SimpleNamespace(remote=self._remote))

    def _remote(self, part: list[Row]) -> Any:
        self.given += 1
        return Answer(part)

    def wait(self, answers: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        return answers[-1:], answers[:-1]

    def get(self, answer: Any) -> list[tuple[Row, Outcome]]:
        if self.deadly & {row.id for row in answer.part}:
            raise Died
        return [(row, Outcome("copied")) for row in answer.part]


def rows(count: int) -> list[Row]:
    return [Row(number, f"{number}.png", number, None, Outcome("waiting")) for number in range(count)]


def all_of(crew: Crew, parts: Iterator[list[Row]]) -> dict[int, str]:
    found: dict[int, str] = {}
    while crew.take(parts):
        for row, outcome in crew.next():
            assert row.id not in found, "done twice"
            found[row.id] = outcome.status
    return found


@pytest.mark.parametrize("workers", [1, 3])
def test_a_file_that_kills_its_worker_takes_no_other_with_it(workers: int) -> None:
    ray = Pretended(deadly=[5, 11])
    files = rows(20)
    found = all_of(Crew(ray, [ray.hand() for _ in range(workers)]), iter([files[:8], files[8:16], files[16:]]))
    assert {number for number, status in found.items() if status == "failed"} == {5, 11}
    assert sorted(found) == list(range(20))
    assert ray.given == 3 + 16


def test_no_more_is_handed_out_than_can_be_worked_on() -> None:
    taken: list[int] = []

    def parts() -> Iterator[list[Row]]:
        for row in rows(100):
            taken.append(row.id)
            yield [row]

    ray = Pretended(())
    crew, waiting = Crew(ray, [ray.hand(), ray.hand()]), parts()
    crew.take(waiting)
    assert len(taken) == 4
    crew.next()
    crew.take(waiting)
    assert len(taken) == 5


def test_without_ray_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    source = flat(tmp_path / "src", 2)
    ended = command("protect", str(source), str(tmp_path / "dst"), "--method", "lsp", "--engine", "ray")
    assert ended.code == 2
    assert "pip install 'unlearnable[ray]'" in ended.err


def test_a_worker_elsewhere_opens_the_same_job(tmp_path: Path) -> None:
    """What a process of its own does, in this one: from the job alone to the same bytes."""
    source = folder(tmp_path / "src", 6)
    job = Job(source, tmp_path / "dst", "lsp")
    protect(job, RUN)
    before = tree(tmp_path / "dst")
    for name in before:
        (tmp_path / "dst" / name).unlink()
    (tmp_path / "dst" / ".unlearnable" / "scratch").mkdir()
    with Worker.again(job) as worker:
        manifest = Manifest(tmp_path / "dst" / ".unlearnable" / "manifest.sqlite", writing=False)
        outcomes = [(worker(row)[1], row.outcome) for row in manifest.rows()]
        manifest.close()
    assert all(again == first for again, first in outcomes)
    assert tree(tmp_path / "dst") == before


class InProcess:
    """A cluster that runs already, of one core, whose processes began in another folder."""

    exceptions = SimpleNamespace(RayActorError=Died)

    def __init__(self, elsewhere: Path) -> None:
        self.elsewhere = elsewhere

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 1.0}

    def remote(self, **_: int) -> Any:
        return lambda hand: SimpleNamespace(remote=lambda job: self._hired(hand, job))

    def _hired(self, hand: type[Hand], job: Job) -> Any:
        return SimpleNamespace(work=SimpleNamespace(remote=lambda part: self._worked(hand, job, tuple(part))))

    def _worked(self, hand: type[Hand], job: Job, part: tuple[Row, ...]) -> Any:
        with contextlib.chdir(self.elsewhere):
            return tuple(hand(job).work(part))

    def wait(self, answers: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        return answers[:1], answers[1:]

    def get(self, answer: Any) -> Any:
        return answer


@pytest.mark.parametrize("method", ["fitted", "lsp"])
def test_workers_elsewhere_find_what_is_named_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    @contextlib.contextmanager
    def running() -> Iterator[InProcess]:
        yield InProcess(put(tmp_path / "elsewhere" / "a", b"").parent)

    monkeypatch.setattr("unlearnable.engines.ray._cluster", running)
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "src", 3)
    put(tmp_path / "lsp" / "a", b"")  # a folder that is called like a method is not meant by its name
    fit(protection("lsp"), Path("src"), Path("fitted"), RUN)
    summary = protect(Job(Path("src"), Path("dst"), method), RUN, on_ray)
    assert (list(summary.failures), summary.protected) == ([], 3)
    protect(Job(Path("src"), Path("alone"), method), RUN)
    assert tree(tmp_path / "dst") == tree(tmp_path / "alone")


def killed(name: bytes, times: int, done: threading.Event) -> None:
    """Kills workers, one after the other, as soon as they are at work."""
    while times and not done.wait(0.05):
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if line.read_bytes().startswith(name) and times:
                    os.kill(int(line.parent.name), signal.SIGKILL)
                    times -= 1
            except (OSError, ValueError):
                continue


@needs_ray
@pytest.mark.slow  # a minute: Ray starts a process for every worker
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_the_same_bytes_when_workers_are_killed(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 60, lambda number: crop(number, 300, 200))
    put(source / "cat" / "broken.png", b"no picture")
    put(source / "notes.txt", b"kept")
    protect(Job(source, tmp_path / "alone", "lsp"), RUN)
    done = threading.Event()
    killer = threading.Thread(target=killed, args=(b"ray::Hand.work", 3, done))
    killer.start()
    try:
        summary = protect(Job(source, tmp_path / "many", "lsp"), RUN, on_ray)
    finally:
        done.set()
        killer.join()
    assert (summary.protected, summary.copied, summary.failed) == (60, 1, 1)
    assert tree(tmp_path / "many") == tree(tmp_path / "alone")
    assert verify(source, tmp_path / "many", RUN).bad == 0
    assert [row[1:] for row in manifest(tmp_path / "many")] == [row[1:] for row in manifest(tmp_path / "alone")]


LOOPBACK = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")


def open_to_others() -> set[str]:
    """Sockets of this machine that listen not on the loopback alone."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, place, _, state, *_ = line.split()
            if state == "0A" and place.partition(":")[0] not in LOOPBACK:
                found.add(f"{table} {place}")
    return found


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc")
def test_stopped_on_ray_it_goes_on_alone_and_nobody_could_reach_it(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 40, lambda number: crop(number, 200, 150))
    protect(Job(source, tmp_path / "alone", "lsp"), RUN)
    before, reached = open_to_others(), []

    def watch(event: Progress) -> None:
        reached.append(open_to_others() - before)

    run = Run(device="cpu", precision="fp32", listener=watch, cancelled=lambda: bool(reached))
    with pytest.raises(Cancelled):
        protect(Job(source, tmp_path / "many", "lsp"), run, on_ray)
    assert reached[0] == set()
    protect(Job(source, tmp_path / "many", "lsp", resume=True), RUN)
    assert tree(tmp_path / "many") == tree(tmp_path / "alone")


@needs_ray
@pytest.mark.filterwarnings("default")
def test_a_cluster_that_is_not_there_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    source = flat(tmp_path / "src", 2)
    ended = command("protect", str(source), str(tmp_path / "dst"), "--method", "lsp", "--engine", "ray")
    assert ended.code == 2
    assert "Ray at '127.0.0.1:1' cannot be used" in ended.err
