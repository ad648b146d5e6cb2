"""The manifest: what became of every file of a job, in one sqlite file that survives a kill at any moment."""

import errno
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Status = Literal["waiting", "protected", "copied", "failed"]
FILE = "manifest.sqlite"
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)  # the last: its tables are not ours
_ERRNO = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_READONLY: errno.EROFS}
_PAGE = 1000
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_TABLES = """
CREATE TABLE IF NOT EXISTS job (key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY, name BLOB, picture INTEGER, label INTEGER, status TEXT DEFAULT 'waiting', reason TEXT,
    output BLOB, source_sha256 TEXT, output_sha256 TEXT, max_delta INTEGER, psnr REAL, notes TEXT,
    flat_step REAL);
"""
_ROWS = """
SELECT id, name, picture, label, status, reason, output, source_sha256, output_sha256, max_delta, psnr, notes, flat_step
FROM files WHERE id > ? AND status IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?
"""
_RECORD = """
UPDATE files SET status = ?, reason = ?, output = ?, source_sha256 = ?, output_sha256 = ?, max_delta = ?, psnr = ?,
notes = ?, flat_step = ? WHERE id = ?
"""
_COUNT = "SELECT count(*) FROM files WHERE status IN (SELECT value FROM json_each(?))"
_SHOWING = "SELECT count(*) OVER (), name FROM files WHERE flat_step >= ? ORDER BY flat_step DESC, id LIMIT ?"
_NOTED = "SELECT count(*) FROM files WHERE instr(notes, ?) > 0"
_UNCHANGED = "SELECT count(*) OVER (), name FROM files WHERE status = 'protected' AND psnr IS NULL ORDER BY id LIMIT ?"
_RENAMED = "SELECT count(*) FROM files WHERE status = 'protected' AND output IS NOT name"
_COLUMN = "SELECT count(*) FROM pragma_table_info('files') WHERE name = 'flat_step'"
_ALL: tuple[Status, ...] = ("waiting", "protected", "copied", "failed")


class Halted(Exception):
    """The destination takes no more (disk full, read-only); what was done is kept and the job can be resumed."""


@contextmanager
def halting(destination: Path) -> Iterator[None]:
    """Within this block a disk that is full or read-only is `Halted`; other errors stay what they are."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise Halted(f"DST {str(destination)!r} takes no more: {error.strerror}") from error


class Damaged(ValueError):
    """The manifest is no manifest any more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file. max_delta: in 8-bit levels; psnr: in dB, None where nothing changed; flat_step: how much
    the change shows on flat areas (`visibility.flat_step`), None where there are none."""

    status: Status
    reason: str | None = None
    output: str | None = None
    source_sha256: str | None = None
    output_sha256: str | None = None
    max_delta: int | None = None
    psnr: float | None = None
    notes: tuple[str, ...] = ()
    flat_step: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One file of the job. id: its place in the listing; picture: its number among the pictures, None for other
    files; label: its class, -1 or None where unknown."""

    id: int
    name: str
    picture: int | None
    label: int | None
    outcome: Outcome


class Manifest:
    """Opened for writing it belongs to this process alone; changes last from `commit` on.

    Raises ValueError where another process has it, `Damaged` where it is, then or later, OSError where it cannot be
    made or the disk is full or fails.
    """

    def __init__(self, path: Path, writing: bool = True) -> None:
        self.path, self._writing = path, writing
        target = str(path) if writing else f"{path.absolute().as_uri()}?mode=ro"
        with _explained(path):
            self._db = sqlite3.connect(target, timeout=1.0, isolation_level=None, uri=not writing)
            try:
                if writing:
                    # EXCLUSIVE keeps a second process out, and its lock ends with this process however that ends
                    self._db.executescript(
                        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                        f"BEGIN IMMEDIATE; {_TABLES} COMMIT; BEGIN;"
                    )
                self._db.execute("SELECT 1 FROM job").fetchone()
                self._rows = self._with_flat_step()
            except BaseException:
                self._db.close()
                raise

    def _with_flat_step(self) -> str:
        """How rows are asked for; manifests of version 0.1.0 have no flat_step."""
        if self._db.execute(_COLUMN).fetchone()[0]:
            return _ROWS
        if not self._writing:
            return _ROWS.replace("flat_step", "NULL")
        self._db.execute("ALTER TABLE files ADD COLUMN flat_step REAL")
        return _ROWS

    def begin(self, about: dict[str, Any], files: Iterable[tuple[str, int | None]]) -> None:
        """Starts anew: what the job is, and (name, picture number or None) of every file. All of it or nothing."""
        with _halting(self.path):
            self._db.execute("DELETE FROM job")
            self._db.execute("DELETE FROM files")
            rows = ((i, os.fsencode(name), picture) for i, (name, picture) in enumerate(files))
            self._db.executemany("INSERT INTO files (id, name, picture) VALUES (?, ?, ?)", rows)
        self.set("about", about)
        self.commit()

    def set(self, key: str, value: Any) -> None:
        """Keeps a JSON value under a name."""
        with _halting(self.path):
            self._db.execute("INSERT OR REPLACE INTO job VALUES (?, ?)", (key, json.dumps(value)))

    def get(self, key: str) -> Any:
        """The JSON value kept under that name, or None."""
        found = self._ask("SELECT value FROM job WHERE key = ?", key)
        with _explained(self.path):
            return json.loads(found[0][0]) if found else None

    def check(self) -> None:
        """Looks at the whole file. Raises `Damaged`, and is closed then."""
        try:
            if self._ask("PRAGMA quick_check") != [("ok",)]:
                raise _damaged(self.path, "its pages are no tables any more")
        except BaseException:
            self._db.close()
            raise

    def _ask(self, query: str, *values: Any) -> list[Any]:
        with _explained(self.path):
            return self._db.execute(query, values).fetchall()

    def label(self, labels: Sequence[int]) -> None:
        """The class of every picture, by picture number."""
        with _halting(self.path):
            pairs = ((label, number) for number, label in enumerate(labels))
            self._db.execute("CREATE INDEX IF NOT EXISTS by_picture ON files (picture)")
            self._db.executemany("UPDATE files SET label = ? WHERE picture = ?", pairs)

    def record(self, row: int, outcome: Outcome) -> None:
        """What became of a file."""
        values = (
            outcome.status, _text(outcome.reason), _blob(outcome.output), outcome.source_sha256,
            outcome.output_sha256, outcome.max_delta, outcome.psnr, _text("\n".join(outcome.notes)),
            outcome.flat_step, row,
        )  # fmt: skip
        with _halting(self.path):
            self._db.execute(_RECORD, values)

    def commit(self) -> None:
        """Makes the changes since the last commit last, whatever happens to this process."""
        with _halting(self.path):
            self._db.execute("COMMIT")
            self._db.execute("BEGIN")

    def rows(self, *statuses: Status) -> Iterator[Row]:
        """The files with one of these statuses (all, where none is named) in listing order.

        They come page by page, so that rows already passed may be changed meanwhile.
        """
        wanted, last = json.dumps(statuses or _ALL), -1
        while page := self._ask(self._rows, last, wanted, _PAGE):
            with _explained(self.path):
                rows = [_row(values) for values in page]
            yield from rows
            last = page[-1][0]

    def count(self, *statuses: Status) -> int:
        """How many files have one of these statuses (any, where none is named)."""
        return int(self._ask(_COUNT, json.dumps(statuses or _ALL))[0][0])

    def noted(self, words: str) -> int:
        """How many files have a note with these words."""
        return int(self._ask(_NOTED, words)[0][0])

    def max_delta(self) -> int:
        """The largest change of any value of any picture, in 8-bit levels."""
        return int(self._ask("SELECT coalesce(max(max_delta), 0) FROM files")[0][0])

    def showing(self, least: float, most: int) -> tuple[int, tuple[str, ...]]:
        """How many pictures have a flat_step of `least` or above, and the names of the `most` that show it most."""
        return _counted(self._ask(_SHOWING, least, most))

    def unchanged(self, most: int) -> tuple[int, tuple[str, ...]]:
        """How many protected pictures are as they were in every pixel, and the names of the first `most`."""
        return _counted(self._ask(_UNCHANGED, most))

    def renamed(self) -> int:
        """How many pictures have an output of another name."""
        return int(self._ask(_RENAMED)[0][0])

    def close(self) -> None:
        """Leaves one plain file behind, which can be read from a read-only medium; uncommitted changes are lost."""
        if not self._writing:
            self._db.close()
            return
        try:
            self._db.execute("ROLLBACK")
            self._db.execute("PRAGMA journal_mode=DELETE")
            # made by whoever read the manifest of a killed job, and not removed by a connection of our kind
            self.path.with_name(f"{FILE}-shm").unlink(missing_ok=True)
        except (sqlite3.Error, OSError):
            pass  # a full disk: the log stays beside the file, and the next opening reads both
        finally:
            self._db.close()


def sha256(data: bytes) -> str:
    """How the manifest knows a file again."""
    return hashlib.sha256(data).hexdigest()


def failures(path: Path) -> Iterator[tuple[str, str]]:
    """(name, reason) of every file that failed, read from the manifest as they are asked for."""
    with closing(Manifest(path, writing=False)) as manifest:
        for row in manifest.rows("failed"):
            yield row.name, row.outcome.reason or ""


def _counted(found: list[Any]) -> tuple[int, tuple[str, ...]]:
    return (found[0][0] if found else 0), tuple(os.fsdecode(name) for _, name in found)


def _row(values: tuple[Any, ...]) -> Row:
    number, name, picture, label, status, reason, output, source, written, delta, psnr, notes, step = values
    place = None if output is None else os.fsdecode(output)
    said = tuple(notes.split("\n")) if notes else ()
    outcome = Outcome(status, reason, place, source, written, delta, psnr, said, step)
    return Row(number, os.fsdecode(name), picture, label, outcome)


def _text(value: str | None) -> str | None:
    return None if value is None else value.encode(errors="backslashreplace").decode()


def _blob(name: str | None) -> bytes | None:
    return None if name is None else os.fsencode(name)


@contextmanager
def _halting(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Halted(f"the manifest cannot be written: {error}") from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, error) from error


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) % 256  # of an extended one, what it is of
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise ValueError(f"another run is at work in {str(path.parent.parent)!r}: wait until it ends") from error
        if code not in _BROKEN:  # the disk's trouble: --overwrite would throw away a manifest that is sound
            raise OSError(_ERRNO.get(code, errno.EIO), f"the manifest cannot be used: {error}") from error
        raise _damaged(path, error) from error
    except (TypeError, ValueError) as error:  # a value that no job has written
        raise _damaged(path, error) from error


def _damaged(path: Path, why: object) -> Damaged:
    return Damaged(f"{str(path)!r} is damaged ({why}): start anew with --overwrite")
