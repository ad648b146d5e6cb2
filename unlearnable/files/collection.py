"""Sources: a file, a folder, an archive or a table of pictures, each listed once and read item by item."""

from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from unlearnable.files import archives, parquet
from unlearnable.files.folder import Folder, listed
from unlearnable.files.item import Item

Kind = Literal["zip", "tar", "parquet"]
_KINDS: dict[str, Kind] = {
    ".zip": "zip",
    ".tar": "tar", ".tar.gz": "tar", ".tgz": "tar",
    ".parquet": "parquet",
}  # fmt: skip


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
            return listed(path)
        if not path.is_file():
            raise ValueError(f"SRC {str(path)!r} is neither a file nor a folder: check the path")
        kind = archive_kind(path)
        if kind is None:
            return Folder(path, (Item(path.name),))
        return _open_archive(path, kind)
    except OSError as error:
        raise ValueError(f"SRC {str(path)!r} cannot be read: {error.strerror or error}") from error


def _open_archive(path: Path, kind: Kind) -> Collection:
    if kind == "parquet":
        return parquet.Table(path)
    return archives.Zip(path) if kind == "zip" else archives.Tar(path)


def archive_kind(path: Path) -> Kind | None:
    """Which kind of archive or table the name promises."""
    name = path.name.lower()
    return next((kind for suffix, kind in _KINDS.items() if name.endswith(suffix)), None)
