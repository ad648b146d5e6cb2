"""Zip and tar: listed with suspicion, read member by member, packed so that equal contents give equal bytes."""

import gzip
import json
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
from typing import IO, ClassVar, cast

from unlearnable.files.collections.collection import Packable, Staged
from unlearnable.files.collections.item import (
    BLOCK,
    MAX_BYTES,
    TOO_LARGE,
    Item,
    check_item,
    check_size,
    member_item,
    parent_label,
)
from unlearnable.files.formats import identify, is_picture_name
from unlearnable.files.refused import Refused, refusing

EPOCH = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o644
_ENCRYPTED = 0x1
_FREELY, _TIMES = 64 << 20, 100  # a compressed archive may unpack to so many bytes, or to so many times its size
_SPARE = 64 << 20  # of the disk stay free
_CLASS_KEYS = ("cls", "label", "class", "class_name")
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
    except Refused as reason:
        raise ValueError(f"SRC {str(path)!r} {reason}") from None
    except _DAMAGE as error:
        raise ValueError(f"SRC {str(path)!r} is not a readable {kind} archive: {error}") from error


class Zip(Packable):
    """A .zip; items sorted by the bytes of their names."""

    kind: ClassVar[str] = "zip"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()  # what is read block by block may be closed wherever it is forgotten
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
            data = member.read(BLOCK)
            if len(data) == BLOCK and is_picture_name(item.name):
                identify(data, item.name)  # a bomb that is no picture need not be unpacked to be refused
            data += member.read(MAX_BYTES + 1 - len(data))  # the declared size may be a lie
        check_size(len(data))
        return data

    def blocks(self, item: Item) -> Iterator[bytes]:
        check_item(item)
        with refusing("cannot be read from the archive"), self._opened(item) as member:
            while block := self._next_of(member):
                yield block

    @contextmanager
    def _opened(self, item: Item) -> Iterator[zipfile.ZipExtFile]:
        with self._lock:
            member = cast("zipfile.ZipExtFile", self._file.open(self._members[item.name]))
        try:
            yield member
        finally:
            with self._lock:
                member.close()

    def _next_of(self, member: zipfile.ZipExtFile) -> bytes:
        with self._lock:
            return member.read(BLOCK)

    def label(self, item: Item) -> str | None:
        return parent_label(item.name)

    def pack(self, out: Path, staged: Staged) -> None:
        with open(out, "wb") as file:
            pack_zip(file, (staged[item.name] for item in self.items if item.problem is None and item.name in staged))

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


class Tar(Packable):
    """A .tar, .tar.gz or .tgz, WebDataset shards among them; items in the order of the archive.

    A compressed one is unpacked once into an unnamed temporary file: to read a member of it would otherwise mean to
    decompress all that lies before.
    """

    kind: ClassVar[str] = "tar"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with _readable(path, "tar"):
            self._unpacked = None if _is_plain(path) else _unpacked(path)
            self._places: dict[str, tuple[int, int]] = {}
            try:
                with self._opened() as file:
                    self.items = tuple(self._list(file))
            except BaseException:
                self.close()
                raise
        self._classes: dict[str, list[str]] = {}  # of a sample: the members that may say its class, as they are asked
        for name in sorted(self._places, key=lambda name: (name.endswith(".json"), name.count("."))):
            if name.endswith((".cls", ".json")):
                self._classes.setdefault(_key(name), []).append(name)

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        """The plain archive. One that is not compressed is not held open: there may be thousands of shards."""
        if self._unpacked is not None:
            with self._lock:
                yield self._unpacked
        else:
            with open(self.path, "rb") as file:
                yield file

    def _list(self, file: IO[bytes]) -> Iterable[Item]:
        seen: set[str] = set()
        items: list[Item] = []
        with tarfile.open(fileobj=file, mode="r:") as archive:
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
        return self._piece(*self._places[item.name])

    def blocks(self, item: Item) -> Iterator[bytes]:
        check_item(item)
        start, size = self._places[item.name]
        for at in range(start, start + size, BLOCK):
            yield self._piece(at, min(BLOCK, start + size - at))

    def _piece(self, at: int, size: int) -> bytes:
        with refusing("cannot be read from the archive"), self._opened() as file:
            file.seek(at)
            data = file.read(size)
        if len(data) != size:
            raise Refused(f"the archive is cut short inside this member ({len(data)} of {size} bytes)")
        return data

    def label(self, item: Item) -> str | None:
        for name in self._classes.get(_key(item.name), ()):
            text = self.read(Item(name)).decode(errors="replace").strip()
            if name.endswith(".cls"):
                return text or None
            if (said := _class_in(text)) is not None:
                return said
        return parent_label(item.name)

    def pack(self, out: Path, staged: Staged) -> None:
        with open(out, "wb") as file:
            written = (staged[item.name] for item in self.items if item.problem is None and item.name in staged)
            pack_tar(file, written, compressed=not _is_plain(out))

    def close(self) -> None:
        if self._unpacked is not None:
            self._unpacked.close()


def _key(name: str) -> str:
    """What the files of one WebDataset sample share: the path up to the first dot of the file name."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def _class_in(text: str) -> str | None:
    """The class that the .json member of a sample says, under one of the names in use."""
    try:
        said = json.loads(text)
    except ValueError:
        return None
    found = (said.get(key) for key in _CLASS_KEYS) if isinstance(said, dict) else ()
    label = next((value for value in found if isinstance(value, str | int) and value != ""), None)
    return None if label is None else str(label)


def _is_plain(path: Path) -> bool:
    return path.name.lower().endswith(".tar")


def _unpacked(path: Path) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by Tar.close
    try:
        with gzip.open(path) as packed:
            _unpack(packed, file, max(_FREELY, _TIMES * path.stat().st_size))
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return cast("IO[bytes]", file)


def _unpack(packed: gzip.GzipFile, file: IO[bytes], most: int) -> None:
    """Raises `Refused` above `most` bytes, or where the disk would be full."""
    home, size = tempfile.gettempdir(), 0
    while block := packed.read(BLOCK):
        size += len(block)
        if size > most:
            raise Refused(f"unpacks to more than {most:,} bytes (a bomb?): unpack it yourself and name the .tar")
        if (free := shutil.disk_usage(home).free) < _SPARE:
            raise Refused(
                f"is unpacked into {home!r}, where only {free:,} bytes are free: make room, set TMPDIR to another "
                "folder, or unpack it yourself and name the .tar"
            )
        file.write(block)


def pack_zip(out: IO[bytes], files: Iterable[tuple[str, Path]]) -> None:
    """Stores the files uncompressed, in the given order, under the given names, with a fixed date."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files:
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | _FILE_MODE) << 16
            info.file_size = path.stat().st_size
            with open(path, "rb") as source, archive.open(info, "w") as member:
                shutil.copyfileobj(source, member, BLOCK)


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
