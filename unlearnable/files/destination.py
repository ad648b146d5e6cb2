"""Where protected files go: a folder, or a folder beside an archive that is packed from it at the end."""

import errno
import os
import shutil
from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from unlearnable.files.collections.collection import Blocks, Collection, Packable, Staged, kept, sha256_file, sha256_of
from unlearnable.files.collections.item import BOOKKEEPING
from unlearnable.files.collections.parts import Parts
from unlearnable.files.collections.sources import kind_of, open_collection, promised
from unlearnable.files.formats import is_picture_name
from unlearnable.files.refused import Refused

_ABOUT_THE_NAME = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ)


@dataclass(frozen=True, slots=True)
class Destination:
    """path: what the user asked for, behind links where something is packed; root: the folder where outputs and
    bookkeeping lie until `finish`; packing: what packs `root` into `path` at the end, the source; None where `root` is
    `path`, nothing to be packed."""

    path: Path
    root: Path
    source: Collection
    packing: Packable | None

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

    def write(self, name: str, data: bytes | Blocks, scratch: Path) -> None:
        """Puts one output in place, whole or not at all, by way of `scratch`, a file on the same file system.

        Raises `Refused` where the name is not possible here, OSError where the disk is full or gone."""
        path = self.path_of(name)
        try:
            self._make_room(path)
            with open(scratch, "wb") as file:
                file.writelines([data] if isinstance(data, bytes) else data)
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
        if path.is_dir() or same(path, self.source.path):
            raise Refused("a folder or the source itself stands where it would go: rename one of them")

    def stranger(self, known: Container[str], written: Path | None = None) -> str | None:
        """A file of the folder that `finish` would replace which is neither `known` nor one that it writes; else None.

        written: what was packed; by default the source, whose file names what is packed will have."""
        if self.packing is None or not self.path.is_dir():
            return None
        packed = _names(self.source.path if written is None else written)
        parts = self.source.parts if isinstance(self.source, Parts) else ()
        ours = packed.union(parts)
        return next((name for name in sorted(_names(self.path)) if name not in ours and name not in known), None)

    def finish(self, names: Mapping[str, str], known: Container[str] = ()) -> dict[str, str]:
        """Packs the outputs, reads back what was packed, puts it at `path` and takes the outputs out of `root`.

        names: item name -> output name, of all items that were written; known: files that an earlier run put into the
        folder at `path`. Returns the SHA-256 of every file at `path` by its name ('' for `path` itself), nothing where
        nothing is to be packed. Raises OSError where the disk is full or what was packed is not what was written,
        ValueError where other files came to `path` meanwhile.
        """
        if self.packing is None:
            return {}
        written = [item.name for item in self.source.items if item.problem is None and item.name in names]
        staged = {name: (names[name], self.path_of(names[name])) for name in written}
        made = self.bookkeeping / "packing" / self.path.name  # the same name, which says how it is packed
        shutil.rmtree(made.parent, ignore_errors=True)
        made.parent.mkdir()
        self.packing.pack(made, staged)
        _check_packed(made, staged, self.source)
        for file in [made, *made.rglob("*")]:
            if file.is_file():
                with open(file, "rb") as opened:
                    os.fsync(opened.fileno())
        packed = hashes(made)
        self._replace(made, known)
        shutil.rmtree(made.parent)
        self._clear(names.values())
        return packed

    def _replace(self, made: Path, known: Container[str]) -> None:
        if strange := self.stranger(known, made):
            raise ValueError(f"{lost(self.path, strange)}: move it away, --resume goes on")
        if self.path.is_dir():
            self.path.rename(made.parent / "former")
        os.replace(made, self.path)

    def _clear(self, outputs: Iterable[str]) -> None:
        """The outputs go, and folders that are empty without them; what else lies in `root` is somebody's."""
        for name in outputs:
            file = self.path_of(name)
            file.unlink(missing_ok=True)
            with suppress(OSError):  # not empty, or gone already
                for folder in file.relative_to(self.root).parents[:-1]:
                    (self.root / folder).rmdir()


def open_destination(path: Path, source: Collection) -> Destination:
    """The place for the outputs of `source`; makes nothing on disk yet. A folder does for any source of one file; an
    archive, table or array file only for a source of the same kind. What is a folder of a format of its own becomes
    such a folder again. Raises ValueError, one line, for all else and for a place inside SRC.
    """
    if isinstance(source, Packable) and source.folder:
        return _folder_of_its_kind(path, source)
    kind = None if path.is_dir() else promised(path.name)
    if kind is None and not path.is_dir() and (path.exists() or is_picture_name(path.name)):
        raise ValueError(f"DST {str(path)!r} must be a folder: name one, the outputs keep their names in it")
    if kind is not None and not isinstance(source, kind):
        raise ValueError(
            f"DST {str(path)!r} would be a {kind.kind} but SRC is not one: name a folder, or the type of SRC"
        )
    _refuse_overlap(path, source.path)
    if kind is None or not isinstance(source, Packable):
        return Destination(path, path, source, None)
    place = behind(path) if path.is_symlink() else path
    if promised(place.name) is not kind:
        raise ValueError(f"DST {str(path)!r} is a link to {str(place)!r}, whose name is no {kind.kind}'s: name another")
    return _partial(path, place, source)


def _folder_of_its_kind(path: Path, source: Packable) -> Destination:
    if promised(path.name) is not None or is_picture_name(path.name) or (path.exists() and not path.is_dir()):
        raise ValueError(f"DST {str(path)!r} must be a folder, as SRC is a {source.kind}: name one")
    _refuse_overlap(path, source.path)
    if not source.path.exists() and same(path, source.path.parent):  # a pattern of names
        raise ValueError(f"DST {str(path)!r} is the folder of SRC, which is never written to: name another place")
    place = behind(path)
    if _is_full(place) and kind_of(place) is not type(source):
        raise ValueError(f"DST {str(path)!r} is not empty, and no {source.kind}: name a new folder")
    return _partial(path, place, source)


def _partial(path: Path, place: Path, source: Packable) -> Destination:
    """What is packed at its end, and made in a folder beside it until then: on one disk, to be put there at once."""
    if os.path.ismount(place):
        raise ValueError(
            f"DST {str(path)!r} is a disk of its own (mounted there), which cannot be replaced: name a place inside it"
        )
    root = place.with_name(f"{place.name}.partial")
    if nested(root, source.path):
        raise ValueError(
            f"DST {str(path)!r} is made in {str(root)!r}: that and SRC {str(source.path)!r} lie inside each other: "
            "name another place"
        )
    return Destination(place if path.is_symlink() else path, root, source, source)


def behind(path: Path) -> Path:
    """Where a link leads: the work lies on that disk, and the link stays. Else the path itself, absolute."""
    return Path(os.path.realpath(path) if path.is_symlink() else os.path.abspath(path))


def lost(path: Path, name: str) -> str:
    """Why a folder is not replaced."""
    return f"DST {str(path)!r} is replaced as a whole and holds {name!r}, which is not of this job and would be lost"


def hashes(path: Path) -> dict[str, str]:
    """SHA-256 of the files below a folder by their names; of a file, by ''."""
    return {name: sha256_file(path / name) for name in (_names(path) if path.is_dir() else [""])}


def _names(path: Path) -> set[str]:
    """The files below a folder, by their names in it."""
    found = set()
    for folder, folders, files in os.walk(path):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        found |= {(Path(folder) / name).relative_to(path).as_posix() for name in (*files, *links)}
    return found


def _is_full(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())


def _check_packed(made: Path, staged: Staged, source: Collection) -> None:
    """All is read back from what was packed. Raises OSError where an output is not what was written, or what lies
    beside the pictures is not that of the source."""
    found = open_collection(made)
    try:
        items = {item.name: item for item in found.items}
        for name, path in staged.values():
            try:
                alike = sha256_of(found, items[name]) == sha256_file(path)
            except (KeyError, Refused):
                alike = False
            if not alike:
                raise OSError(errno.EIO, f"{name!r} reads back wrong from what was packed")
        try:
            same_beside = kept(found) == kept(source)
        except Refused:
            same_beside = False
        if not same_beside:
            raise OSError(errno.EIO, "labels, columns or arrays read back wrong from what was packed")
    finally:
        found.close()


def same(one: Path, other: Path) -> bool:
    """Is it one place? Spelled in other letters on a disk that ignores case, and mounted twice, too."""
    if one.resolve() == other.resolve():
        return True
    with suppress(OSError):  # one of them is not there
        return os.path.samefile(one, other)
    return False


def lies_in(inner: Path, outer: Path) -> bool:
    """Is a place, there or not yet, another one or below it?"""
    return any(same(place, outer) for place in (inner.resolve(), *inner.resolve().parents))


def nested(one: Path, other: Path) -> bool:
    """Is one of two places the other, or below it?"""
    return lies_in(one, other) or lies_in(other, one)


def _refuse_overlap(path: Path, source: Path) -> None:
    if same(path, source):
        raise ValueError(f"DST {str(path)!r} is SRC itself, which is never written to: name another place")
    if source.is_dir() and nested(path, source):
        raise ValueError(f"DST {str(path)!r} and SRC {str(source)!r} lie inside each other: name another place")
    if kind_of(source) is None and not source.is_dir() and same(path, source.resolve().parent):
        raise ValueError(f"DST {str(path)!r} is the folder of SRC, which would be overwritten: name another place")
