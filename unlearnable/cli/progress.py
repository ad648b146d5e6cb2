"""How far the work is, on standard error: a bar on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from unlearnable.addresses import shown

if TYPE_CHECKING:
    import rich.progress

    from unlearnable.run import Progress

Listener = Callable[["Progress"], None]


@contextmanager
def listening(quiet: bool) -> Iterator[Listener]:
    """The listener for a run; what it draws is gone afterwards."""
    if quiet:
        yield lambda event: None
    elif sys.stderr.isatty():
        with Bars() as bars:
            yield bars
    else:
        yield Lines(to_stderr)


def to_stderr(line: str) -> None:
    """A line for people; where it cannot be written (a full disk, a pipe that nobody reads) the work goes on."""
    with suppress(OSError):
        sys.stderr.write(shown(line) + "\n")
        sys.stderr.flush()


class Bars:
    """A bar for each stage: done of total, rate, time left and the figures the stage watches."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        bar = ("{task.description}", BarColumn(), MofNCompleteColumn(), "{task.fields[rate]}", TimeRemainingColumn())
        # stdout is for the answer alone: rich must not take hold of it
        self._drawn = Progress(
            *bar, TextColumn("{task.fields[figures]}"),
            console=Console(stderr=True), transient=True, redirect_stdout=False,
        )  # fmt: skip
        self._tasks: dict[str, rich.progress.TaskID] = {}
        self._clocks: dict[str, Clock] = {}

    def __enter__(self) -> "Bars":
        self._drawn.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._drawn.stop()

    def __call__(self, event: "Progress") -> None:
        if event.stage not in self._tasks:
            self._tasks[event.stage] = self._drawn.add_task(event.stage, total=event.total, rate="", figures="")
        clock = self._clocks.setdefault(event.stage, Clock(time.monotonic))
        if clock.restarted(event):
            self._drawn.reset(self._tasks[event.stage])
        rate = clock.rate(event)
        self._drawn.update(
            self._tasks[event.stage], completed=event.done, total=event.total,
            rate=f"{rate:.3g}/s" if rate else "", figures=", ".join(figures(event)),
        )  # fmt: skip


class Lines:
    """One line of text every `every` seconds at most, for logs: the stages that are not done, outermost first."""

    def __init__(self, write: Callable[[str], None], every: float = 10.0, now: Callable[[], float] = time.monotonic):
        self._write, self._every, self._now = write, every, now
        self._last = now()
        self._clocks: dict[str, Clock] = {}
        self._stages: dict[str, str] = {}

    def __call__(self, event: "Progress") -> None:
        clock = self._clocks.setdefault(event.stage, Clock(self._now))
        clock.restarted(event)
        self._stages[event.stage] = _line(event, clock.rate(event))
        if self._now() - self._last >= self._every:
            self._last = self._now()
            self._write("; ".join(self._stages.values()))
        if event.done >= event.total:
            del self._stages[event.stage]


def _line(event: "Progress", rate: float) -> str:
    """em 20/100, 2/s, 40 s left, error 0.25."""
    known = [f"{event.stage} {event.done}/{event.total}"]
    if rate:
        known += [f"{rate:.3g}/s", f"{duration((event.total - event.done) / rate)} left"]
    return ", ".join([*known, *figures(event)])


class Clock:
    """The rate of a stage since it started, or started again."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._first: tuple[float, int] | None = None
        self._seen = 0

    def restarted(self, event: "Progress") -> bool:
        """Whether the stage began anew with this event (a second victim is trained, say)."""
        again = self._first is None or event.done < self._seen
        if again:
            self._first = (self._now(), event.done)
        self._seen = event.done
        return again

    def rate(self, event: "Progress") -> float:
        """Steps a second; 0 where it is not known yet."""
        begun, done = self._first or (self._now(), event.done)
        seconds = self._now() - begun
        return (event.done - done) / seconds if seconds > 0 else 0.0


def figures(event: "Progress") -> list[str]:
    """What the stage watches, as texts."""
    return [f"{name} {value:.4g}" for name, value in event.figures.items()]


def duration(seconds: float) -> str:
    """8 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
