"""The main job by several processes: the same bytes, whoever dies meanwhile."""

import importlib.util
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from commands import Command
from jobs import crop, flat, folder, manifest, put, tree

from unlearnable.engines.ray import on_ray
from unlearnable.job import Job, protect, verify
from unlearnable.run import Cancelled, Progress, Run

RUN = Run(device="cpu", precision="fp32")
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")


def descendants(process: int) -> set[int]:
    """Processes that it started, that these started, and so on."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found, more = set[int](), {process}
    while more:
        found |= more
        more = {one for one, parent in parents.items() if parent in found} - found
    return found


def killed(name: bytes, times: int, done: threading.Event) -> None:
    """Kills workers of this very process, one after the other, as soon as they are at work."""
    while times and not done.wait(0.05):
        for number in descendants(os.getpid()):
            try:
                if Path(f"/proc/{number}/cmdline").read_bytes().startswith(name) and times:
                    os.kill(number, signal.SIGKILL)
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
    """Sockets of this process and of those it started that listen not on the loopback alone."""
    ours, found = set(), set()
    for number in descendants(os.getpid()):
        with suppress(OSError):
            ours |= {os.readlink(file) for file in Path(f"/proc/{number}/fd").iterdir()}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, place, _, state, *_ = words = line.split()
            if state == "0A" and f"socket:[{words[9]}]" in ours and place.partition(":")[0] not in LOOPBACK:
                found.add(f"{table} {place}")
    return found


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc")
def test_stopped_on_ray_it_goes_on_alone_and_nobody_could_reach_it(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 40, lambda number: crop(number, 200, 150))
    protect(Job(source, tmp_path / "alone", "lsp"), RUN)
    before, stages, reached = open_to_others(), [], []

    def watch(event: Progress) -> None:
        stages.append(event.stage)
        if event.stage == "protect":
            reached.append(open_to_others() - before)

    run = Run(device="cpu", precision="fp32", listener=watch, cancelled=lambda: bool(reached))
    with pytest.raises(Cancelled):
        protect(Job(source, tmp_path / "many", "lsp"), run, on_ray)
    assert reached[0] == set()
    assert list(dict.fromkeys(stages)) == ["start ray", "start workers", "protect"], "it takes long, and says so"
    protect(Job(source, tmp_path / "many", "lsp", resume=True), RUN)
    assert tree(tmp_path / "many") == tree(tmp_path / "alone")


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_session_of_the_user_is_used_and_stays_open(tmp_path: Path) -> None:
    """And it is a busy one: of its two cores one is taken for good."""
    import ray

    @ray.remote(num_cpus=1)
    class Other:
        def there(self) -> bool:
            return True

    source = folder(tmp_path / "src", 40, lambda number: crop(number, 200, 150))
    protect(Job(source, tmp_path / "alone", "lsp"), RUN)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 << 20)
    try:
        other = Other.remote()
        assert ray.get(other.there.remote())
        protect(Job(source, tmp_path / "many", "lsp"), RUN, on_ray)
        assert ray.is_initialized()
        assert ray.get(other.there.remote()), "it is not ours to end"
    finally:
        ray.shutdown()
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
