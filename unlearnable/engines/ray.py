"""The main job by many processes, on this machine or a cluster, by Ray (extra `ray`): the same bytes as by one.

Only names and outcomes travel: every worker opens the job's places itself, so SRC and DST must be seen by all machines.
Without RAY_ADDRESS it is a cluster of this machine's cores that nobody else can reach, and that ends with the job.
"""

import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from unlearnable.extras import imported
from unlearnable.job import Job, fitting
from unlearnable.job.manifest import Outcome, Row
from unlearnable.job.worker import Worker
from unlearnable.run import Cancelled, Run

ALONE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what makes Ray listen on the loopback only
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a warning: workers are told their device
}
"""Ray calls nobody, and nobody can call it; it reads this when it is imported."""
_EACH = 8  # files that a worker is given at once
_AHEAD = 2  # such parts in flight for each worker: one at work, one waiting
_LIVES = 2  # times a part is tried again after its worker died
_PATIENCE = 5.0  # seconds for a cluster to answer
_STORE = 80 << 20  # bytes: names and outcomes only
_USERS = "UNLEARNABLE_USERS_HOME"  # what HOME was, for workers of a cluster that was started with another

Done = list[tuple[Row, Outcome]]


class Hand:
    """One worker process. Ray finds the class by its name: no code travels."""

    def __init__(self, job: Job) -> None:
        if _USERS in os.environ:
            os.environ["HOME"] = os.environ[_USERS]
        torch.set_num_threads(1)
        self._open = ExitStack()
        self._work = self._open.enter_context(Worker.again(job))

    def work(self, rows: Sequence[Row]) -> Done:
        """Does these files, one after the other."""
        return [self._work(row) for row in rows]


def on_ray(job: Job, worker: Worker, rows: Iterable[Row], run: Run) -> Generator[tuple[Row, Outcome], None, None]:
    """An engine of `job.protect`: one worker process for each core of the cluster.

    A worker that dies is replaced and its files are done again; a file that kills its worker every time is `failed`.
    Raises ValueError where Ray is missing or its cluster cannot be reached.
    """
    with _cluster() as ray:
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        hired = ray.remote(max_restarts=-1, max_task_retries=_LIVES, num_cpus=1)(Hand)
        crew = Crew(ray, [hired.remote(_from_anywhere(job)) for _ in range(cores)])
        waiting = _parts(rows)
        while crew.take(waiting):
            if run.cancelled():
                raise Cancelled("stopped: what was done is kept, resume to go on")
            yield from crew.next()


def _from_anywhere(job: Job) -> Job:
    """The same job for processes that may start in another folder."""
    named: dict[str, Any] = {name: path.absolute() for name, path in vars(job).items() if isinstance(path, Path)}
    folder = fitting.folder_of(job.method)
    return replace(job, **named, method=job.method if folder is None else str(folder.absolute()))


@dataclass(eq=False)
class Crew:
    """Workers and what they are at. hands: of Ray; at: the part and the worker of every answer that is awaited."""

    ray: Any
    hands: list[Any]

    def __post_init__(self) -> None:
        self.at: dict[Any, tuple[list[Row], Any]] = {}
        self._free = self.hands * _AHEAD

    def take(self, parts: Iterator[list[Row]]) -> bool:
        """Hands out parts to whoever is free; whether anything is awaited."""
        for part in islice(parts, len(self._free)):
            self._give(part, self._free.pop(0))
        return bool(self.at)

    def next(self) -> Done:
        """What is done first, after a tenth of a second at most: perhaps nothing."""
        done, _ = self.ray.wait(list(self.at), num_returns=1, timeout=0.1)
        found: Done = []
        for answer in done:
            part, hand = self.at.pop(answer)
            try:
                found += self.ray.get(answer)
            except self.ray.exceptions.RayActorError:
                found += self._alone(part, hand)
            self._free.append(hand)
        return found

    def _give(self, part: list[Row], hand: Any) -> None:
        self.at[hand.work.remote(part)] = (part, hand)

    def _alone(self, part: list[Row], hand: Any) -> Done:
        """A part whose worker died again and again: each file by itself, so that one takes no other with it."""
        if len(part) == 1:
            return [(part[0], Outcome("failed", "every process that worked on it died: is there enough memory?"))]
        for row in part:
            self._give([row], hand)
        return []


def _parts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    found = iter(rows)
    while part := list(islice(found, _EACH)):
        yield part


@contextmanager
def _cluster() -> Iterator[Any]:
    """Ray, connected; one that was started here ends here. Raises ValueError where it is missing or not reached."""
    os.environ |= {name: value for name, value in ALONE.items() if name not in os.environ}
    ray = imported("ray", "--engine ray", "ray")
    address = os.environ.get("RAY_ADDRESS", "local")
    home = tempfile.mkdtemp(prefix="ray-") if address == "local" else None  # short: sockets lie below it
    try:
        try:
            _reach(address)
            with _asking_no_cloud(home) as of_its_own:
                ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **of_its_own)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise ValueError(f"Ray at {address!r} cannot be used: {' '.join(str(error).split())}") from error
        yield ray
    finally:
        ray.shutdown()
        if home is not None:
            shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _asking_no_cloud(home: str | None) -> Iterator[dict[str, Any]]:
    """What a cluster of its own below `home` is started with; empty for one that runs already.

    Ray asks the clouds' metadata services which of them it runs in, statistics or not, unless the user's home has a
    description of the cluster: while it starts, home is another folder, with an empty one.
    """
    if home is None:
        yield {}
        return
    (Path(home) / "ray_bootstrap_config.yaml").write_text("{}")
    before = os.environ.get("HOME")
    os.environ |= {"HOME": home} | ({} if before is None else {_USERS: before})
    try:
        yield {"include_dashboard": False, "object_store_memory": _STORE, "_temp_dir": home}
    finally:
        del os.environ["HOME"]
        if before is not None:
            os.environ["HOME"] = os.environ.pop(_USERS)


def _reach(address: str) -> None:
    """Whether anybody is there at host:port; Ray itself would try for minutes. Raises OSError."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
