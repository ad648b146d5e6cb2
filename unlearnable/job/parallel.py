"""Work on many files at once: one thread a core, few in flight, results as they come."""

import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch

from unlearnable.files import Picture, decode
from unlearnable.files.formats import Container, identify
from unlearnable.files.pictures.opening import opened
from unlearnable.run import Cancelled, Run

LARGE = 16_000_000
"""Pictures above so many pixels are worked on one at a time."""
_EACH = 2  # files in flight for each thread: one at work, one waiting

Task = TypeVar("Task")
Result = TypeVar("Result")
_one_large = threading.Lock()


def results(work: Callable[[Task], Result], tasks: Iterable[Task], run: Run) -> Generator[Result, None, None]:
    """work(task) of every task, in the order they finish. Close it where it is left early.

    Raises what `work` raises, and `Cancelled` where the run is; no thread is at work any more after that.
    """
    threads = os.cpu_count() or 1
    waiting: set[Future[Result]] = set()
    with _one_thread_each(), ThreadPoolExecutor(threads, "picture", torch.set_num_threads, (1,)) as pool:
        try:
            for task in tasks:
                if len(waiting) >= _EACH * threads:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
                if run.cancelled():
                    raise Cancelled("stopped: what was done is kept, resume to go on")
                waiting.add(pool.submit(work, task))
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """PyTorch keeps to one thread in every thread: the pictures are what is done in parallel."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def decoded(data: bytes, name: str, container: Container = "keep") -> Iterator[Picture]:
    """The picture, alone in memory for the length of the block where it is large. Raises `Refused`."""
    with _room(data, name):
        yield decode(data, name, container)


def _room(data: bytes, name: str) -> AbstractContextManager[object]:
    with opened(data, identify(data, name)) as image:
        return _one_large if image.width * image.height > LARGE else nullcontext()
