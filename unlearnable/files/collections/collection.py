"""What a source of pictures can do, whatever its format."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from unlearnable.files.collections.item import Item

Staged = Mapping[str, tuple[str, Path]]
"""Item name -> (output name, file that holds the output), of every item that has an output."""

Blocks = Iterable[bytes]
"""A file piece by piece, of any size."""


@runtime_checkable
class Collection(Protocol):
    """A listed source. Order of `items`: folder and zip by the bytes of their names, everything else as stored."""

    @property
    def path(self) -> Path: ...
    @property
    def items(self) -> tuple[Item, ...]: ...

    def read(self, item: Item) -> bytes:
        """Its bytes; safe in threads. Raises `Refused` where it has a problem, is gone, damaged or above 2 GiB."""
        ...

    def blocks(self, item: Item) -> Iterator[bytes]:
        """Its bytes piece by piece, never all in memory; safe in threads. Raises `Refused` as `read`, at any piece."""
        ...

    def label(self, item: Item) -> str | None:
        """Its class: its folder, or what the table, the array or the member beside it says; None where unknown."""
        ...

    def close(self) -> None: ...


def kept(collection: Collection) -> str | None:
    """See `Packable.kept`: None for a folder, where every file is an item."""
    return collection.kept() if isinstance(collection, Packable) else None


class Packable(ABC):
    """A source in a format of its own, which protected pictures can be packed into again; also a `Collection`.

    kind: its name in messages; folder: it is a folder of files, not one file; encoded: its pictures are stored as
    files of some type, not as bare arrays of samples."""

    kind: ClassVar[str]
    folder: ClassVar[bool] = False
    encoded: ClassVar[bool] = True
    path: Path
    items: tuple[Item, ...]

    @abstractmethod
    def __init__(self, path: Path) -> None: ...

    @abstractmethod
    def read(self, item: Item) -> bytes: ...

    def blocks(self, item: Item) -> Iterator[bytes]:
        yield self.read(item)

    @abstractmethod
    def label(self, item: Item) -> str | None: ...

    @abstractmethod
    def close(self) -> None: ...

    def kept(self) -> str | None:
        """A digest of everything that it holds beside its items, such as labels and other columns; the same before and
        after packing. None where all is in items. Raises `Refused` where it cannot be read."""
        return None

    def addresses(self) -> tuple[str, ...]:
        """The columns beside its pictures that say where on the network something lies; an original might."""
        return ()

    @abstractmethod
    def pack(self, out: Path, staged: Staged) -> None:
        """Writes the collection again to `out`, which is not there yet: the same but for its pictures, which come from
        `staged`; where one has no output there is none, never the original. OSError where the disk is full."""


def sha256_file(path: Path) -> str:
    """SHA-256 of a file of this machine, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(collection: Collection, item: Item) -> str:
    """SHA-256 of its bytes, in hexadecimal. Raises `Refused`."""
    seen = hashlib.sha256()
    for block in collection.blocks(item):
        seen.update(block)
    return seen.hexdigest()
