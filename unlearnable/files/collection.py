"""Sources: a file, a folder, an archive or a table of pictures, each listed once and read item by item."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from unlearnable.files.refused import Refused

BOOKKEEPING = ".unlearnable"
"""The folder at the root of a destination that belongs to the program, never to the collection."""
MAX_BYTES = 2 << 30
"""No single file above this is read into memory."""

TOO_LARGE = f"larger than {MAX_BYTES >> 30} GiB: cut it into smaller files"

Kind = Literal["zip", "tar", "parquet"]
_KINDS: dict[str, Kind] = {
    ".zip": "zip",
    ".tar": "tar", ".tar.gz": "tar", ".tgz": "tar",
    ".parquet": "parquet",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a collection. name: its POSIX path inside it (surrogate escapes possible).
    problem: why it must not be read, in one line; None where it may."""

    name: str
    problem: str | None = None


@runtime_checkable
class Collection(Protocol):
    """A listed source. Order of `items`: folder and zip by the bytes of their names, tar and table as stored."""

    @property
    def path(self) -> Path: ...
    @property
    def items(self) -> tuple[Item, ...]: ...

    def read(self, item: Item) -> bytes:
        """Its bytes; safe in threads. Raises `Refused` where it has a problem, is gone, damaged or above 2 GiB."""
        ...

    def label(self, item: Item) -> str | None:
        """Its class: its folder, or what the table or the `.cls` member beside it says; None where unknown."""
        ...

    def close(self) -> None: ...


def open_collection(path: Path) -> Collection:
    """Lists a file, a folder (recursively), a .zip, .tar, .tar.gz, .tgz or a .parquet.

    Raises ValueError, one line, where there is none or it cannot be listed.
    """
    try:
        if path.is_dir():
            return Folder(path, tuple(_sorted(_walk(path))))
        if not path.is_file():
            raise ValueError(f"SRC {str(path)!r} is neither a file nor a folder: check the path")
        kind = archive_kind(path)
        if kind is None:
            return Folder(path, (Item(path.name),))
        return _open_archive(path, kind)
    except OSError as error:
        raise ValueError(f"SRC {str(path)!r} cannot be read: {error.strerror or error}") from error


def _open_archive(path: Path, kind: Kind) -> Collection:
    from unlearnable.files import archives, parquet  # they import this module

    if kind == "parquet":
        return parquet.Table(path)
    return archives.Zip(path) if kind == "zip" else archives.Tar(path)


def archive_kind(path: Path) -> Kind | None:
    """Which kind of archive or table the name promises."""
    name = path.name.lower()
    return next((kind for suffix, kind in _KINDS.items() if name.endswith(suffix)), None)


def check_item(item: Item) -> None:
    """Raises `Refused` where the item must not be read."""
    if item.problem is not None:
        raise Refused(item.problem)


def parent_label(name: str) -> str | None:
    """The folder a name lies in; None at the top."""
    return name.rpartition("/")[0] or None


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on disk, or one file in it (then `path` is that file)."""

    path: Path
    items: tuple[Item, ...]

    def read(self, item: Item) -> bytes:
        check_item(item)
        file = self.path / item.name if self.path.is_dir() else self.path
        try:
            with open(file, "rb") as opened:
                check_size(os.fstat(opened.fileno()).st_size)
                return opened.read()
        except OSError as error:
            raise Refused(f"cannot be read: {error.strerror or error}") from error

    def label(self, item: Item) -> str | None:
        return parent_label(item.name)

    def close(self) -> None:
        pass


def check_size(size: int) -> None:
    """Raises `Refused` where a file is larger than `MAX_BYTES`."""
    if size > MAX_BYTES:
        raise Refused(TOO_LARGE)


def _sorted(items: Iterator[Item]) -> list[Item]:
    return sorted(items, key=lambda item: os.fsencode(item.name))


def _walk(root: Path) -> Iterator[Item]:
    """All files below `root`; what cannot be listed or followed comes as an item with a problem."""
    real_root = os.path.realpath(root)
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as entries:
                listed = list(entries)
        except OSError as error:
            if not folder:
                raise
            yield Item(folder.rstrip("/"), f"folder cannot be listed: {error.strerror or error}")
            continue
        for entry in listed:
            name = folder + entry.name
            if name == BOOKKEEPING:
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(name + "/")
            else:
                yield Item(name, _problem(entry, real_root))


_SPECIAL = "not a regular file (a pipe, socket or device)"


def _problem(entry: "os.DirEntry[str]", real_root: str) -> str | None:
    if not entry.is_symlink():
        return None if entry.is_file(follow_symlinks=False) else _SPECIAL
    try:
        target = os.path.realpath(entry.path, strict=True)
        mode = os.stat(target).st_mode
    except OSError as error:
        return f"broken symbolic link: {error.strerror or error}"
    if stat.S_ISDIR(mode):
        return "symbolic link to a folder, not followed"
    if os.path.commonpath((real_root, target)) != real_root:
        return "symbolic link leads out of SRC"
    return None if stat.S_ISREG(mode) else _SPECIAL


_DRIVE = re.compile(r"[A-Za-z]:")


def member_item(name: str, seen: set[str]) -> Item:
    """The item for an archive member or table row of that name; unsafe and repeated names get a problem.

    `seen` collects the names accepted so far.
    """
    clean = "/".join(part for part in name.split("/") if part != ".")
    problem = _name_problem(name, clean)
    if problem is None and clean in seen:
        problem = "another member of the archive has the same name"
    if problem is None:
        seen.add(clean)
    return Item(name if problem else clean, problem)


def _name_problem(name: str, clean: str) -> str | None:
    parts = clean.split("/")
    if name.startswith("/") or _DRIVE.match(name):
        return "absolute path in an archive"
    if ".." in parts:
        return "path with '..' in an archive leads out of it"
    if "\\" in name or "\0" in name or "" in parts:
        return "path with a backslash, an empty part or a zero byte in an archive"
    if parts[0].casefold() == BOOKKEEPING:
        return f"the folder name {BOOKKEEPING} is reserved"
    return None
