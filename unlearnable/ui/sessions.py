"""What each open tab has: a folder, its work, and the files it may fetch; all of it gone when the tab is."""

import os
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from unlearnable.ui.work import Work

_PREFIX = "unlearnable-ui-"
_YOUNG = 60.0  # seconds in which a folder may not have been locked yet, and a file may be on its way to a session
_PATIENCE = 20.0  # seconds that a work has to end before its folder is removed all the same


class Session:
    """One tab. token: what its addresses begin with, unknown to others; works: by the name of what is done."""

    def __init__(self, root: Path) -> None:
        self.token = secrets.token_urlsafe(16)
        self.folder = root / self.token
        self.folder.mkdir()
        self.works: dict[str, Work[Any]] = {}
        self.uploads: set[Path] = set()
        self.files: dict[str, Path] = {}
        self.watched: Any = None  # what the second tab's work knows so far
        self._made = 0
        self._beginning = threading.Lock()

    def new_folder(self, name: str) -> Path:
        """The path of a folder of that kind that does not exist yet; what an earlier one held is removed."""
        for old in self.folder.glob(f"{name}-*"):
            shutil.rmtree(old, ignore_errors=True)
        self._made += 1
        return self.folder / f"{name}-{self._made}"

    def begin(self, name: str, make: Callable[[], Work[Any]]) -> Work[Any]:
        """The work of that name that is not over, else the one that `make` begins; of two calls at once one begins."""
        with self._beginning:
            if name not in self.works or self.works[name].over:
                self.works[name] = make()
            return self.works[name]

    def offer(self, name: str, path: Path) -> str:
        """The address, below that of the page, under which this tab may fetch a file."""
        self.files[name] = path
        return f"session/{self.token}/{name}"

    def close(self) -> None:
        """Ends the works, then removes the folder."""
        for work in self.works.values():
            work.stop()
        until = time.monotonic() + _PATIENCE
        for work in self.works.values():
            work.wait(max(0.0, until - time.monotonic()))
        shutil.rmtree(self.folder, ignore_errors=True)


class Sessions:
    """All tabs, by the name that Gradio gives each. turn: one work at a time, whoever asked for it."""

    def __init__(self, root: Path) -> None:
        self.uploads, self._folder = root / "uploads", root / "sessions"
        self.uploads.mkdir()
        self._folder.mkdir()
        self.turn = threading.Lock()
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def of(self, name: str) -> Session:
        """The session of that name, new where there is none."""
        with self._lock:
            if name not in self._open:
                self._open[name] = Session(self._folder)
            return self._open[name]

    def file(self, token: str, name: str) -> Path | None:
        """The file that a session with that token offers under that name."""
        if not token.isascii():
            return None  # no token of ours, and more than can be compared
        with self._lock:
            owner = next((s for s in self._open.values() if secrets.compare_digest(s.token, token)), None)
        return None if owner is None else owner.files.get(name)

    def end(self, name: str) -> None:
        """Ends a session, and removes what it had uploaded unless another has uploaded the same; and what is left of
        uploads that were broken off, which no session has."""
        with self._lock:
            ended = self._open.pop(name, None)
        if ended is not None:
            ended.close()
        unwanted = _left_lying(self.uploads) | (set() if ended is None else ended.uploads)
        with self._lock:
            unwanted -= set().union(*(session.uploads for session in self._open.values()))
        for path in unwanted:
            with suppress(OSError):
                path.unlink()

    def close(self) -> None:
        """Ends all of them."""
        for session in list(self._open.values()):
            for work in session.works.values():
                work.stop()
        for name in list(self._open):
            self.end(name)


@contextmanager
def rooms() -> Iterator[Path]:
    """A folder for the length of the block, which only this user can look into; and those of servers that were killed
    are removed."""
    place = Path(tempfile.gettempdir())
    for old in place.glob(f"{_PREFIX}*"):
        _remove_abandoned(old)
    root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    try:
        with FileLock(root / "lock"):
            yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _remove_abandoned(root: Path) -> None:
    """Others can make folders of that name too, and what lies in theirs may be links to files of ours."""
    with suppress(OSError, Timeout):
        found = root.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == getattr(os, "getuid", lambda: found.st_uid)()
        if ours and time.time() - found.st_mtime > _YOUNG:
            with FileLock(root / "lock", timeout=0):
                shutil.rmtree(root, ignore_errors=True)


def _left_lying(uploads: Path) -> set[Path]:
    """The files that are not young. What is on its way lies at the top, and all of it waits for the last of it."""
    root = uploads.resolve()
    files = {path for path in root.rglob("*") if path.is_file()}
    young = {path for path in files if _age(path) < _YOUNG}
    arriving = {path for path in files if path.parent == root}
    return files - young - (arriving if arriving & young else set())


def _age(path: Path) -> float:
    """Seconds since a file was written or got its name; none of one that has gone."""
    try:
        found = path.stat()
    except OSError:
        return 0.0
    return time.time() - max(found.st_mtime, found.st_ctime)
