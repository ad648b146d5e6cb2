"""From files that were dropped on the page to a source for the job: checked against limits, under their own names."""

import io
import os
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from unlearnable.files import is_picture_name

_MB = 1 << 20
_TAIL = (1 << 16) + 22  # where the end record of a zip lies, before a comment of any length: zipfile reads all of it
_A_MEMBER = 1024  # bytes a file takes in the list at the end of a zip: more than any sensible name
_NAME = 200  # bytes of a file's name that are kept


@dataclass(frozen=True)
class Limits:
    """What may be dropped. file_mb, total_mb: megabytes of one file and of all of them, those in a zip counted
    unpacked; files: how many. Raises ValueError where one of them is below 1."""

    file_mb: int = 512
    total_mb: int = 4096
    files: int = 1000

    def __post_init__(self) -> None:
        for name in ("file_mb", "total_mb", "files"):
            if getattr(self, name) < 1:
                raise ValueError(f"--max-{name.replace('_', '-')} must be 1 or more, got {getattr(self, name)}")


@dataclass(frozen=True)
class Upload:
    """A file as it arrived, and what it is called where it came from."""

    path: Path
    name: str


def source_of(uploads: Sequence[Upload], folder: Path, limits: Limits) -> Path:
    """A folder with the pictures below `folder`, or the zip: what a job can take as its source.

    Nothing is copied where a second name for the same file will do. Raises ValueError, one line, for what is too much,
    for archives of other kinds and where nothing is a picture.
    """
    _check(uploads, limits)
    folder.mkdir(parents=True)
    if zipped := [upload for upload in uploads if _is_zip(upload.name)]:
        if len(uploads) > 1:
            raise ValueError("drop pictures, or one zip alone: what lies in the zip is not mixed with other files")
        path = folder / "pictures.zip"
        _link(zipped[0].path, path)
        _check_zip(path, limits)
        return path
    if not any(is_picture_name(upload.name) for upload in uploads):
        raise ValueError("none of these files is a picture: drop pictures (JPEG, PNG, WebP, TIFF, ...) or one zip")
    taken: set[str] = set()
    for upload in uploads:
        _link(upload.path, folder / _free(_own_name(upload.name), taken))
    return folder


def _check(uploads: Sequence[Upload], limits: Limits) -> None:
    if not uploads:
        raise ValueError("drop pictures or a zip first")
    if len(uploads) > limits.files:
        raise ValueError(f"{len(uploads)} files are more than the {limits.files} allowed: drop fewer at a time")
    sizes = [upload.path.stat().st_size for upload in uploads]
    if max(sizes) > limits.file_mb * _MB:
        raise ValueError(f"a file of {max(sizes) // _MB} MB is larger than the {limits.file_mb} MB allowed")
    if sum(sizes) > limits.total_mb * _MB:
        raise ValueError(f"{sum(sizes) // _MB} MB are more than the {limits.total_mb} MB allowed: drop fewer at a time")


def _check_zip(path: Path, limits: Limits) -> None:
    """By its list of contents: a member is never unpacked to more than the list says. Raises ValueError."""
    try:
        with _Sparing(path, limits.files * _A_MEMBER) as file, zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except _Long:
        raise ValueError(f"the zip lists more than the {limits.files} files allowed: make smaller ones") from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise ValueError(f"this is not a readable zip ({error}): pack it again") from None
    if len(members) > limits.files:
        raise ValueError(f"the zip holds {len(members)} files, {limits.files} are allowed: make smaller ones")
    if (size := sum(member.file_size for member in members)) > limits.total_mb * _MB:
        raise ValueError(f"unpacked the zip has {size // _MB} MB, {limits.total_mb} MB are allowed: make smaller ones")
    if (size := max((member.file_size for member in members), default=0)) > limits.file_mb * _MB:
        raise ValueError(f"a file of {size // _MB} MB in the zip is larger than the {limits.file_mb} MB allowed")
    if not any(is_picture_name(member.filename) for member in members):
        raise ValueError("the zip holds no pictures: look at what is in it")


class _Long(Exception):
    """More was to be read at once than may be."""


class _Sparing(io.BufferedReader):
    """A zip of whose list of contents, which zipfile reads in one piece, at most so many bytes are taken: a huge one
    would fill the memory. Where the list lies zipfile alone decides: read by others too, a zip could have two."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__(io.FileIO(path))
        self._most = max(most, _TAIL)

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._most:
            raise _Long
        return super().read(size)


def _is_zip(name: str) -> bool:
    lower = name.lower()
    if lower.endswith((".tar", ".tar.gz", ".tgz", ".parquet")):
        raise ValueError("of archives the page takes zip alone: the command line takes tar and parquet too")
    return lower.endswith(".zip")


def _own_name(name: str) -> str:
    """The last part of a name, as a file can have it here; what the browser sent is not trusted to be one."""
    last = PurePosixPath(name.replace("\\", "/")).name.replace("\0", "")
    stem, dot, suffix = last.rpartition(".")
    short = os.fsencode(stem if dot else last)[:_NAME].decode(errors="ignore")
    kept = f"{short}.{suffix[:20]}" if dot else short
    return kept if kept.strip(".") and not kept.startswith(".unlearnable") else f"picture-{kept.strip('.')}"


def _free(name: str, taken: set[str]) -> str:
    """The name, or one with a number where another file has it already, in any spelling of its case."""
    stem, dot, suffix = name.rpartition(".")
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        free = f"{stem} ({number}).{suffix}" if dot else f"{name} ({number})"
    taken.add(free.casefold())
    return free


def _link(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except OSError:
        shutil.copyfile(path, to)
