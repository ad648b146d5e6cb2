"""The one exception of this package, and the guard that turns what decoders throw into it."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_PILLOW = r"PIL\."


class Refused(Exception):
    """Why one file was not protected, in one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(" ".join(reason.split()))


@contextmanager
def refusing(doing: str) -> Iterator[None]:
    """Within this block every failure of a decoder is `Refused("<doing>: <what it said>")`."""
    try:
        yield
    except Refused:
        raise
    except Exception as error:  # decoders meeting damaged data raise nearly every class there is
        said = str(error).encode(errors="replace").decode()[:200] or type(error).__name__
        raise Refused(f"{doing}: {said}") from error


class _PillowSilence:
    """Ignores Pillow's warnings while at least one thread is inside.

    `warnings.catch_warnings` is not safe in threads: overlapping blocks leave the filters of the wrong thread behind.
    Counting the threads inside and removing only our own entry is.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            warnings.filterwarnings("ignore", module=_PILLOW)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for entry in [f for f in warnings.filters if getattr(f[3], "pattern", None) == _PILLOW]:
                    warnings.filters.remove(entry)  # type: ignore[attr-defined]


pillow_silence = _PillowSilence()
