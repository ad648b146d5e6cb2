"""Zip and tar: listed with suspicion, read member by member, packed so that equal contents give equal bytes."""

import gzip
import os
import shutil
import stat
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

from unlearnable.files.item import (
    MAX_BYTES,
    TOO_LARGE,
    Item,
    check_item,
    check_size,
    member_item,
    parent_label,
)
from unlearnable.files.refused import Refused, refusing

_EPOCH = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o644
_ENCRYPTED = 0x1
_COPY = 1 << 20


_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
    NotImplementedError,
    ValueError,
)


@contextmanager
def _readable(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise ValueError(f"SRC {str(path)!r} is not a readable {kind} archive: {error}") from error


class Zip:
    """A .zip; items sorted by the bytes of their names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with _readable(path, "zip"):
            self._file = zipfile.ZipFile(path)
        seen: set[str] = set()
        self._members: dict[str, zipfile.ZipInfo] = {}
        items = []
        for info in self._file.infolist():
            if info.is_dir():
                continue
            item = member_item(info.filename, seen)
            if item.problem is None:
                item = Item(item.name, _zip_problem(info))
            if item.problem is None:
                self._members[item.name] = info
            items.append(item)
        self.items = tuple(sorted(items, key=lambda item: os.fsencode(item.name)))

    def read(self, item: Item) -> bytes:
        check_item(item)
        info = self._members[item.name]
        with self._lock, refusing("cannot be read from the archive"), self._file.open(info) as member:
            data = member.read(MAX_BYTES + 1)  # the declared size may be a lie
        check_size(len(data))
        return data

    def label(self, item: Item) -> str | None:
        return parent_label(item.name)

    def close(self) -> None:
        self._file.close()


def _zip_problem(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & _ENCRYPTED:
        return "encrypted member of an archive: decrypt it first"
    if info.file_size > MAX_BYTES:
        return TOO_LARGE
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "not a regular file (a link or device in an archive)"
    return None


class Tar:
    """A .tar, .tar.gz or .tgz, WebDataset shards among them; items in the order of the archive.

    A compressed one is unpacked once into an unnamed temporary file: to read a member of it would otherwise mean to
    decompress all that lies before.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with _readable(path, "tar"):
            self._file = _plain(path)
            self._places: dict[str, tuple[int, int]] = {}
            try:
                self.items = tuple(self._list())
            except BaseException:
                self._file.close()
                raise
        self._classes = {_key(name): name for name in self._places if name.endswith(".cls")}

    def _list(self) -> Iterable[Item]:
        seen: set[str] = set()
        items: list[Item] = []
        with tarfile.open(fileobj=self._file, mode="r:") as archive:
            while member := self._next(archive, items):
                archive.members.clear()  # type: ignore[attr-defined]  # else each would stay in memory
                if member.isdir():
                    continue
                item = member_item(member.name, seen)
                if item.problem is None and (not member.isreg() or member.issparse()):
                    item = Item(item.name, "not a regular file (a link or device in an archive)")
                if item.problem is None and member.size > MAX_BYTES:
                    item = Item(item.name, TOO_LARGE)
                if item.problem is None:
                    self._places[item.name] = (member.offset_data, member.size)
                items.append(item)
        return items

    def _next(self, archive: tarfile.TarFile, items: list[Item]) -> tarfile.TarInfo | None:
        """The next member; None at the end, and where the archive is damaged after some: that becomes an item."""
        try:
            return archive.next()
        except tarfile.ReadError:
            if not items:
                raise
            items.append(Item("(end of the archive)", "the archive is damaged or cut short: what followed is lost"))
            return None

    def read(self, item: Item) -> bytes:
        check_item(item)
        start, size = self._places[item.name]
        with self._lock, refusing("cannot be read from the archive"):
            self._file.seek(start)
            data = self._file.read(size)
        if len(data) != size:
            raise Refused(f"the archive is cut short inside this member ({len(data)} of {size} bytes)")
        return data

    def label(self, item: Item) -> str | None:
        name = self._classes.get(_key(item.name))
        if name is None:
            return parent_label(item.name)
        return self.read(Item(name)).decode(errors="replace").strip() or None

    def close(self) -> None:
        self._file.close()


def _key(name: str) -> str:
    """What the files of one WebDataset sample share: the path up to the first dot of the file name."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def _plain(path: Path) -> IO[bytes]:
    if path.name.lower().endswith(".tar"):
        return open(path, "rb")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by Tar.close
    try:
        with gzip.open(path) as packed:
            shutil.copyfileobj(packed, file, _COPY)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return cast("IO[bytes]", file)


def pack_zip(out: IO[bytes], files: Iterable[tuple[str, Path]]) -> None:
    """Stores the files uncompressed, in the given order, under the given names, with a fixed date."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | _FILE_MODE) << 16
            info.file_size = path.stat().st_size
            with open(path, "rb") as source, archive.open(info, "w") as member:
                shutil.copyfileobj(source, member, _COPY)


def pack_tar(out: IO[bytes], files: Iterable[tuple[str, Path]], compressed: bool) -> None:
    """Stores the files in the given order under the given names, with neither date nor owner."""
    with ExitStack() as stack:
        plain = stack.enter_context(gzip.GzipFile("", "wb", fileobj=out, mtime=0)) if compressed else out
        archive = stack.enter_context(
            tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape")
        )
        for name, path in files:
            info = tarfile.TarInfo(name)
            info.size, info.mode = path.stat().st_size, _FILE_MODE
            with open(path, "rb") as source:
                archive.addfile(info, source)
