"""One piece of work of a tab: in a thread of its own, watched while it runs, stopped when somebody says so."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, Literal, TypeVar

from unlearnable.job import Halted
from unlearnable.run import Cancelled, Progress, Run

Status = Literal["waiting", "working", "done", "stopped", "refused", "broken"]
Result = TypeVar("Result")
_LOOK = 0.1  # seconds between two looks at whose turn it is


class Work(Generic[Result]):
    """Begins when it is made; of all works that share a turn one is done at a time, which bounds memory.

    status: waiting for its turn, working, or how it ended; result: where it is done; said: why it was refused.
    """

    def __init__(self, do: Callable[[Run], Result], run: Run, turn: threading.Lock) -> None:
        self.status: Status = "waiting"
        self.progress: Progress | None = None
        self.result: Result | None = None
        self.said = ""
        self._stop = threading.Event()
        self._do, self._turn = do, turn
        self._run = replace(run, listener=self._hear, cancelled=self._stop.is_set, ended={})
        self._thread = threading.Thread(target=self._begin, name="ui-work", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether the thread has nothing more to do."""
        return self.status not in ("waiting", "working")

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Asks it to end at the next place where nothing is half done."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it was over within so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _hear(self, event: Progress) -> None:
        self.progress = event

    def _begin(self) -> None:
        while not self._turn.acquire(timeout=_LOOK):
            if self.stopping:
                self.status = "stopped"
                return
        try:
            if self.stopping:
                raise Cancelled("stopped before it began")
            self.status = "working"
            self.result = self._do(self._run)
            self.status = "done"
        except Cancelled:
            self.status = "stopped"
        except (ValueError, Halted, OSError) as reason:
            self.said, self.status = " ".join(str(reason).split()), "refused"
        except Exception:
            logging.getLogger(__name__).exception("a piece of work of the page broke")
            self.status = "broken"
        finally:
            self._turn.release()
