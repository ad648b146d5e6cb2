"""A folder on disk, or one file in it, as a collection."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from unlearnable.files.collections.item import BLOCK, BOOKKEEPING, Item, check_item, check_size, parent_label
from unlearnable.files.refused import Refused


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on disk, or one file in it (then `path` is that file)."""

    path: Path
    items: tuple[Item, ...]

    def read(self, item: Item) -> bytes:
        with self._opened(item) as opened:
            check_size(os.fstat(opened.fileno()).st_size)
            return opened.read()

    def blocks(self, item: Item) -> Iterator[bytes]:
        """Its bytes piece by piece, of a file of any size."""
        with self._opened(item) as opened:
            while block := opened.read(BLOCK):
                yield block

    @contextmanager
    def _opened(self, item: Item) -> Iterator[IO[bytes]]:
        check_item(item)
        try:
            with open(self.path / item.name if self.path.is_dir() else self.path, "rb") as opened:
                yield opened
        except OSError as error:
            raise Refused(f"cannot be read: {error.strerror or error}") from error

    def label(self, item: Item) -> str | None:
        return parent_label(item.name)

    def close(self) -> None:
        pass


def listed(root: Path) -> Folder:
    """All files below a folder, by the bytes of their names."""
    return Folder(root, tuple(sorted(_walk(root), key=lambda item: os.fsencode(item.name))))


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


def inside(root: Path, file: Path) -> Path:
    """`file`, once it is sure that no symbolic link takes it out of `root`. Raises ValueError where one does."""
    if not _below(os.path.realpath(root), os.path.realpath(file)):
        raise ValueError(f"SRC {str(file)!r} is a {_LEADS_OUT}: put what it points at in its place")
    return file


def _below(real_root: str, target: str) -> bool:
    return os.path.commonpath((real_root, target)) == real_root


_LEADS_OUT = "symbolic link that leads out of SRC"
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
    if not _below(real_root, target):
        return _LEADS_OUT
    return None if stat.S_ISREG(mode) else _SPECIAL
