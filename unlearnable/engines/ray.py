"""The main job by many processes, on this machine or a cluster, by Ray (extra `ray`): the same bytes as by one.

Only names and outcomes travel: every worker opens the job's places itself, so SRC and DST must be seen by all machines.
Without RAY_ADDRESS it is a cluster of this machine's cores that nobody else can reach, and that ends with the job.
"""

import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
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
from unlearnable.messages import in_words
from unlearnable.run import Cancelled, Run

ALONE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what makes Ray listen on the loopback only
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a warning: workers are told their device
}
"""Ray calls nobody, and nobody can call it; it reads this when it is imported."""
_EACH = 8  # files that a worker is given at once
_TRIES = 3  # workers that a file may kill before it is given up
_PATIENCE = 5.0  # seconds for a cluster to answer
_STORE = 80 << 20  # bytes: names and outcomes only
_STARTING, _HIRING = "start ray", "start workers"
_USERS = "UNLEARNABLE_USERS_HOME"  # what HOME was, for workers of a cluster that was started with another

Done = list[tuple[Row, Outcome]]


class Hand:
    """One worker process. Ray finds the class by its name: no code travels."""

    def __init__(self, job: Job) -> None:
        if _USERS in os.environ:
            os.environ["HOME"] = os.environ[_USERS]
        torch.set_num_threads(1)
        self._open, self._problem = ExitStack(), ""
        try:
            self._work = self._open.enter_context(Worker.again(job))
        except Exception as error:  # a process that cannot begin must live to say why
            self._problem = in_words(error)

    def problem(self) -> str:
        """Why this process cannot work, or nothing: the first question to every worker."""
        return self._problem

    def work(self, rows: Sequence[Row]) -> Done:
        """Does these files, one after the other."""
        return [self._work(row) for row in rows]


def on_ray(job: Job, worker: Worker, rows: Iterable[Row], run: Run) -> Generator[tuple[Row, Outcome], None, None]:
    """An engine of `job.protect`: one worker process for each core of the cluster, as soon as that is free.

    A worker that dies is replaced and its files are done again; a file that kills its worker every time is `failed`.
    Raises ValueError where Ray is missing, its cluster cannot be reached, or no worker can open the job's places.
    """
    run.report(_STARTING, 0, 1)
    with _cluster() as ray:
        run.report(_STARTING, 1, 1)
        hired, there = ray.remote(num_cpus=1)(Hand), _from_anywhere(job)
        crew = Crew(ray, lambda: hired.remote(there), max(1, int(ray.cluster_resources().get("CPU", 1))))
        waiting, begun = _parts(rows), 0
        try:
            while crew.take(waiting):
                if run.cancelled():
                    raise Cancelled("stopped: what was done is kept, resume to go on")
                if begun < crew.size:
                    begun = min(crew.begun, crew.size)
                    run.report(_HIRING, begun, crew.size)
                yield from crew.next()
        finally:
            crew.dismiss()


def _from_anywhere(job: Job) -> Job:
    """The same job for processes that may start in another folder."""
    named: dict[str, Any] = {name: path.absolute() for name, path in vars(job).items() if isinstance(path, Path)}
    folder = fitting.folder_of(job.method)
    return replace(job, **named, method=job.method if folder is None else str(folder.absolute()))


@dataclass(eq=False)
class Crew:
    """Workers and what they are at. hire: a new worker of Ray; size: how many there are to be.

    A worker gets a part once it said that it can work, and the next one when that is done: so if it dies it is known
    over what, and a worker for which the cluster has no room yet keeps nobody waiting.
    """

    ray: Any
    hire: Callable[[], Any]
    size: int

    def __post_init__(self) -> None:
        self.asked: dict[Any, Any] = {}  # answer of a worker that begins -> worker
        self.at: dict[Any, tuple[list[Row], Any]] = {}  # answer -> part, worker
        self._idle: list[Any] = []
        self._again: deque[list[Row]] = deque()
        self._killed = Counter[int]()  # workers, by the number of the file
        self._problem = ""
        self.begun = 0  # workers that said that they can work, those that died since among them
        for _ in range(self.size):
            self._hire()

    def take(self, parts: Iterator[list[Row]]) -> bool:
        """Hands out parts to whoever is free; whether there is more to do. ValueError where nobody can work."""
        while self._ahead(parts) and self._idle:
            part, hand = self._again.popleft(), self._idle.pop()
            self.at[hand.work.remote(part)] = (part, hand)
        if self._again and not self.at and not self.asked:
            raise ValueError(f"no worker of Ray can open the job: {self._problem}")
        return bool(self.at or self._again)

    def next(self) -> Done:
        """What is done first, after a tenth of a second at most: perhaps nothing."""
        done, _ = self.ray.wait([*self.at, *self.asked], num_returns=1, timeout=0.1)
        return [one for answer in done for one in (self._begun if answer in self.asked else self._done)(answer)]

    def dismiss(self) -> None:
        """Ends all workers: in a session of the user's own nobody else does."""
        for hand in [*self._idle, *self.asked.values(), *(hand for _, hand in self.at.values())]:
            self.ray.kill(hand)

    def _ahead(self, parts: Iterator[list[Row]]) -> bool:
        """Whether there is a part to hand out."""
        if not self._again and (part := next(parts, None)):
            self._again.append(part)
        return bool(self._again)

    def _hire(self) -> None:
        hand = self.hire()
        self.asked[hand.problem.remote()] = hand

    def _begun(self, answer: Any) -> Done:
        hand = self.asked.pop(answer)
        try:
            problem = self.ray.get(answer)
        except self.ray.exceptions.RayError as error:
            problem = in_words(error)
        if problem:  # another on the same machine would fare no better: the others do its work
            self._problem = problem
        else:
            self.begun += 1
            self._idle.append(hand)
        return []

    def _done(self, answer: Any) -> Done:
        part, hand = self.at.pop(answer)
        try:
            found: Done = self.ray.get(answer)
        except self.ray.exceptions.RayTaskError as error:  # what the worker raised, as it raised it
            raise error.cause from None
        except self.ray.exceptions.RayError as error:
            self._hire()
            return self._survived(part, in_words(error))
        self._idle.append(hand)
        return found

    def _survived(self, part: list[Row], reason: str) -> Done:
        """A part whose worker died: each file by itself from now on, so that one takes no other with it."""
        if len(part) > 1:
            self._again.extend([row] for row in part)
            return []
        self._killed[part[0].id] += 1
        if self._killed[part[0].id] < _TRIES:
            self._again.append(part)
            return []
        return [(part[0], Outcome("failed", f"{_TRIES} processes died over it, too little memory perhaps: {reason}"))]


def _parts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    found = iter(rows)
    while part := list(islice(found, _EACH)):
        yield part


@contextmanager
def _cluster() -> Iterator[Any]:
    """Ray, connected: the session that is open, or one that ends here. Raises ValueError where it is missing or not
    reached.
    """
    os.environ |= {name: value for name, value in ALONE.items() if name not in os.environ}
    ray = imported("ray", "--engine ray", "ray")
    if ray.is_initialized():
        yield ray
        return
    address = os.environ.get("RAY_ADDRESS", "local")
    home = tempfile.mkdtemp(prefix="ray-") if address == "local" else None  # short: sockets lie below it
    try:
        try:
            _reach(address)
            with _asking_no_cloud(home) as of_its_own:
                ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **of_its_own)
        except Exception as error:  # where a node does not start in time Ray raises nothing more exact
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
    os.environ.setdefault("RAY_AUTH_TOKEN", _token())
    before = os.environ.get("HOME")
    os.environ |= {"HOME": home} | ({} if before is None else {_USERS: before})
    try:
        yield {"include_dashboard": False, "object_store_memory": _STORE, "_temp_dir": home}
    finally:
        del os.environ["HOME"]
        if before is not None:
            os.environ["HOME"] = os.environ.pop(_USERS)


def _token() -> str:
    """What processes of a cluster show each other. A process keeps the first that it read, so that of the user's home
    is taken where there is one, and never another one later.
    """
    kept = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    return (kept.read_text().strip() if kept.is_file() else "") or secrets.token_hex(32)


def _reach(address: str) -> None:
    """Whether anybody is there at host:port; Ray itself would try for minutes. Raises OSError."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
