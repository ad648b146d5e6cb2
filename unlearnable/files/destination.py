"""Where protected files go: a folder, or a folder beside an archive that is packed from it at the end."""

import errno
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from unlearnable.files import archives, parquet
from unlearnable.files.collection import Collection, Kind, archive_kind
from unlearnable.files.formats import is_picture_name
from unlearnable.files.item import BOOKKEEPING
from unlearnable.files.refused import Refused

_ABOUT_THE_NAME = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ)


@dataclass(frozen=True, slots=True)
class Destination:
    """path: what the user asked for.    root: the folder where outputs and bookkeeping lie until `finish`.
    kind: what `finish` packs `root` into; None where `root` is `path` and nothing is packed."""

    path: Path
    root: Path
    source: Collection
    kind: Kind | None

    @property
    def bookkeeping(self) -> Path:
        """The folder under `root` that is the program's own."""
        return self.root / BOOKKEEPING

    def path_of(self, name: str) -> Path:
        """Where the output of that name lies; raises `Refused` where that is outside `root` or in bookkeeping."""
        parts = name.split("/")
        foreign = os.sep != "/" and (os.sep in name or ":" in name)
        if not name or foreign or "\0" in name or any(part in ("", ".", "..") for part in parts):
            raise Refused("the name leads out of the destination: rename it")
        if parts[0].casefold() == BOOKKEEPING:
            raise Refused(f"the folder name {BOOKKEEPING} is reserved: rename it")
        return self.root.joinpath(*parts)

    def write(self, name: str, data: bytes, scratch: Path) -> None:
        """Puts one output in place, whole or not at all, by way of `scratch`, a file on the same file system.

        Raises `Refused` where the name is not possible here, OSError where the disk is full or gone."""
        path = self.path_of(name)
        try:
            self._make_room(path)
            with open(scratch, "wb") as file:
                file.write(data)
            os.replace(scratch, path)
        except OSError as error:
            if error.errno not in _ABOUT_THE_NAME:
                raise
            scratch.unlink(missing_ok=True)
            raise Refused(f"cannot be written under its name: {error.strerror}") from error

    def _make_room(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.parent.resolve().is_relative_to(self.root.resolve()):
            raise Refused("a symbolic link inside the destination leads out of it: remove it")
        if path.is_dir() or path.resolve() == self.source.path.resolve():
            raise Refused("a folder or the source itself stands where it would go: rename one of them")

    def finish(self, names: Mapping[str, str]) -> None:
        """Packs the outputs into `path` (by a temporary file beside it), then empties `root` but for its bookkeeping.

        names: item name -> output name, of all items that were written. Does nothing where the destination is a folder.
        """
        if self.kind is None:
            return
        written = [item.name for item in self.source.items if item.problem is None and item.name in names]
        staged = {name: (names[name], self.path_of(names[name])) for name in written}
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        with open(temporary, "wb") as out:
            self._pack(out, staged)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, self.path)
        self._empty()

    def _pack(self, out: IO[bytes], staged: Mapping[str, tuple[str, Path]]) -> None:
        if isinstance(self.source, parquet.Table):
            self.source.pack(out, staged)
        elif self.kind == "zip":
            archives.pack_zip(out, staged.values())
        else:
            archives.pack_tar(out, staged.values(), compressed=not self.path.name.lower().endswith(".tar"))

    def _empty(self) -> None:
        for child in self.root.iterdir():
            if child.name == BOOKKEEPING:
                continue
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()


def open_destination(path: Path, source: Collection) -> Destination:
    """The place for the outputs of `source`; makes nothing on disk yet. A folder does for any source; an archive or
    table only for a source of the same kind. Raises ValueError, one line, for all else and for a place inside SRC."""
    kind = None if path.is_dir() else archive_kind(path)
    if kind is None and not path.is_dir() and (path.exists() or is_picture_name(path.name)):
        raise ValueError(f"DST {str(path)!r} must be a folder: name one, the outputs keep their names in it")
    if kind is not None and (source.path.is_dir() or archive_kind(source.path) != kind):
        raise ValueError(f"DST {str(path)!r} would be a {kind} but SRC is not one: name a folder, or the type of SRC")
    _refuse_overlap(path, source.path)
    if kind is None:
        return Destination(path, path, source, None)
    return Destination(path, path.with_name(f"{path.name}.partial"), source, kind)


def _refuse_overlap(path: Path, source: Path) -> None:
    there, here = path.resolve(), source.resolve()
    if there == here:
        raise ValueError(f"DST {str(path)!r} is SRC itself, which is never written to: name another place")
    if source.is_dir() and (there.is_relative_to(here) or here.is_relative_to(there)):
        raise ValueError(f"DST {str(path)!r} and SRC {str(source)!r} lie inside each other: name another place")
    if archive_kind(source) is None and not source.is_dir() and there == here.parent:
        raise ValueError(f"DST {str(path)!r} is the folder of SRC, which would be overwritten: name another place")
