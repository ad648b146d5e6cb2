"""The main job by several processes, as far as it goes without Ray: who gets what, and what a death costs."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands import Command
from jobs import flat, folder, put, tree

from unlearnable.engines.ray import Crew, Hand, on_ray
from unlearnable.job import Job, fit, protect
from unlearnable.job.manifest import Manifest, Outcome, Row
from unlearnable.job.worker import Worker
from unlearnable.protections import protection
from unlearnable.run import Run

RUN = Run(device="cpu", precision="fp32")


class Lost(Exception):
    """What Ray says where a worker died."""


class Raised(Exception):
    """What Ray says where a worker raised."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("a traceback")
        self.cause = cause


ERRORS = SimpleNamespace(RayError=Exception, RayTaskError=Raised)


@dataclass(eq=False)
class Answer:
    part: list[Row]
    said: str | None = None


class Pretended:
    """What `Crew` needs of Ray, without Ray: answers are worked out when they are asked for.

    deadly: files that kill their worker; absent: how many workers the cluster never has room for; unable: how many
    cannot open the job.
    """

    exceptions = ERRORS

    def __init__(self, deadly: Iterable[int] = (), absent: int = 0, unable: int = 0) -> None:
        self.deadly, self.absent, self.unable = set(deadly), absent, unable
        self.given, self.busy, self.killed = 0, set[int](), 0

    def hire(self) -> Any:
        hand = SimpleNamespace()
        hand.problem = SimpleNamespace(remote=self._asked)
        hand.work = SimpleNamespace(remote=lambda part: self._given(part))
        return hand

    def _asked(self) -> Answer:
        if self.absent:
            self.absent -= 1
            return Answer([], "absent")
        self.unable -= 1
        return Answer([], "SRC 'x' is not there" if self.unable >= 0 else "")

    def _given(self, part: list[Row]) -> Answer:
        self.given += 1
        return Answer(part)

    def wait(self, answers: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        there = [answer for answer in answers if answer.said != "absent"]
        return there[-1:], there[:-1]

    def get(self, answer: Answer) -> Any:
        if answer.said is not None:
            return answer.said
        if self.deadly & {row.id for row in answer.part}:
            raise Lost
        return [(row, Outcome("copied")) for row in answer.part]

    def kill(self, hand: Any) -> None:
        self.killed += 1


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
    found = all_of(Crew(ray, ray.hire, workers), iter([files[:8], files[8:16], files[16:]]))
    assert {number for number, status in found.items() if status == "failed"} == {5, 11}
    assert sorted(found) == list(range(20))
    assert ray.given == 3 + 16 + 2 * 2, "each file of a part that died alone, the two deadly ones three times"


def test_nobody_waits_for_workers_that_the_cluster_has_no_room_for() -> None:
    ray = Pretended(absent=3)
    crew = Crew(ray, ray.hire, 4)
    assert set(all_of(crew, iter([[row] for row in rows(20)])).values()) == {"copied"}
    crew.dismiss()
    assert ray.killed == 4
    nothing: Iterator[list[Row]] = iter(())
    assert not Crew(ray, Pretended(absent=1).hire, 1).take(nothing), "nothing to do, nobody to wait for"


def test_a_worker_that_cannot_open_the_job_leaves_it_to_the_others_and_says_why() -> None:
    ray = Pretended(unable=2)
    assert set(all_of(Crew(ray, ray.hire, 3), iter([[row] for row in rows(20)])).values()) == {"copied"}
    ray = Pretended(unable=3)
    with pytest.raises(ValueError, match="no worker of Ray can open the job: SRC 'x' is not there"):
        all_of(Crew(ray, ray.hire, 3), iter([rows(2)]))


def test_what_a_worker_raises_is_raised_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = Pretended()

    def full(answer: Answer) -> Any:
        if answer.said is not None:
            return ""
        raise Raised(OSError("no space left"))

    monkeypatch.setattr(ray, "get", full)
    with pytest.raises(OSError, match=r"^no space left$"):
        all_of(Crew(ray, ray.hire, 1), iter([rows(2)]))


def test_no_more_is_handed_out_than_can_be_worked_on() -> None:
    taken: list[int] = []

    def parts() -> Iterator[list[Row]]:
        for row in rows(100):
            taken.append(row.id)
            yield [row]

    ray = Pretended()
    crew, waiting = Crew(ray, ray.hire, 2), parts()
    for _ in range(4):
        crew.take(waiting)
        crew.next()
    assert ray.given == 3, "two began, and one of them was done with the first"
    assert len(taken) == 4


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

    exceptions = ERRORS

    def __init__(self, elsewhere: Path) -> None:
        self.elsewhere = elsewhere

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 1.0}

    def remote(self, **_: int) -> Any:
        return lambda hand: SimpleNamespace(remote=lambda job: self._hired(hand, job))

    def _hired(self, hand: type[Hand], job: Job) -> Any:
        return SimpleNamespace(
            problem=SimpleNamespace(remote=lambda: ("",)),
            work=SimpleNamespace(remote=lambda part: self._worked(hand, job, tuple(part))),
        )

    def _worked(self, hand: type[Hand], job: Job, part: tuple[Row, ...]) -> Any:
        with contextlib.chdir(self.elsewhere):
            return tuple(hand(job).work(part))

    def wait(self, answers: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        return answers[:1], answers[1:]

    def get(self, answer: Any) -> Any:
        return answer[0] if answer == ("",) else list(answer)

    def kill(self, hand: Any) -> None:
        pass


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
