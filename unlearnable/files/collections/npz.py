"""NumPy archives (.npz) whose arrays of uint8 hold pictures; what would have to be unpickled is refused."""

import hashlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from unlearnable.files.collections.archives import EPOCH
from unlearnable.files.collections.arrays import Arrays, Stack
from unlearnable.files.collections.collection import Staged
from unlearnable.files.collections.digests import digest
from unlearnable.files.collections.item import BLOCK, class_of
from unlearnable.files.marks import OVERLAP, shows
from unlearnable.files.refused import Refused, refusing

_DAMAGE = (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError)
_PICTURES = {"x", "image", "images", "img", "imgs", "data", "picture", "pictures"}
_LABELS = ("y", "label", "labels", "target", "targets", "fine_labels")
_NO_PICTURES = {"y", "label", "labels", "target", "targets", "mask", "masks", "seg", "segmentation"}
_STATISTICS = {"mean", "std"}
_CHANNELS, _SMALLEST = (1, 3, 4), 8  # a side below this is no picture's
_CLASSES = ("classes", "class_names", "label_names")


@dataclass(frozen=True, slots=True)
class _Array:
    """What the header of one member says."""

    member: zipfile.ZipInfo
    name: str
    shape: tuple[int, ...]
    fortran: bool
    dtype: "np.dtype[Any]"
    start: int


class Npz(Arrays):
    """A .npz; pictures are its arrays of (n, h, w), (n, h, w, c) or (n, c, h, w) uint8, their labels those beside them.

    The arrays of pictures are unpacked into unnamed temporary files, and read from there.
    """

    kind: ClassVar[str] = "npz"

    def __init__(self, path: Path) -> None:
        with _explained(path), ExitStack() as stack:
            self._zip = stack.enter_context(zipfile.ZipFile(path))
            self._arrays = _listed(self._zip)
            names = _class_names(self._zip, self._arrays)
            stacks = []
            self._stored: dict[str, NDArray[np.uint8]] = {}
            for array in self._arrays.values():
                if _is_pictures(array):
                    self._stored[array.name] = _mapped(self._zip, array)
                    pixels = _as_nhwc(self._stored[array.name], array.name)
                    stacks.append(Stack(array.name, pixels, _labels_of(self._zip, array, self._arrays, names)))
            _refuse_others([array for array in self._arrays.values() if array.name not in self._stored], stacks)
            if not stacks:
                held = ", ".join(f"{a.name} {a.dtype} {a.shape}" for a in self._arrays.values())
                raise _Unfit(f"holds no array of pictures (its arrays: {held}): needed is (n, h, w, 1 or 3) uint8")
            super().__init__(path, stacks)
            stack.pop_all()

    def pack(self, out: Path, staged: Staged) -> None:
        """Writes the arrays again in their order: those of pictures from `staged`, all others byte for byte."""
        stacks = {stack.name: stack for stack in self.stacks}
        with zipfile.ZipFile(out, "w") as archive:
            for array in self._arrays.values():
                info = zipfile.ZipInfo(array.member.filename, EPOCH)
                info.compress_type, info.file_size = array.member.compress_type, array.member.file_size
                with archive.open(info, "w") as member:
                    if array.name in stacks:
                        for part in self._written(stacks[array.name], staged):
                            member.write(part)
                    else:
                        with self._zip.open(array.member) as source:
                            shutil.copyfileobj(source, member, BLOCK)

    def kept(self) -> str | None:
        """All other arrays, and the names and shapes of those of pictures."""
        said: list[tuple[str, object]] = []
        with refusing("cannot be read from the .npz"):
            for array in self._arrays.values():
                if array.name in self._stored:
                    said.append((array.name, array.shape))
                else:
                    said.append((array.name, self._copied(array)))
        return digest(said)

    def _copied(self, array: _Array) -> str:
        """A digest of an array that is written as it is. Raises `Refused` where it holds a picture, in whatever way."""
        held, before = hashlib.sha256(), b""
        with self._zip.open(array.member) as member:
            while part := member.read(BLOCK):
                if shows(before + part):
                    raise Refused(f"has a picture inside its array {array.name!r}, and nobody would protect that")
                held.update(part)
                before = part[-OVERLAP:]
        return held.hexdigest()

    def _written(self, stack: Stack, staged: Staged) -> Iterator[bytes]:
        stored, header = self._stored[stack.name], BytesIO()
        npy.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": stored.shape})
        yield header.getvalue()
        for picture, was in zip(self.rows(stack, staged), stored, strict=True):
            planes = picture.transpose(2, 0, 1) if _channels_first(stored) else picture
            yield planes.reshape(was.shape).tobytes()

    def close(self) -> None:
        self._zip.close()


class _Unfit(Exception):
    """Why this .npz is not taken."""


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except _Unfit as reason:
        raise ValueError(f"SRC {str(path)!r} {reason}") from None
    except _DAMAGE as error:
        raise ValueError(f"SRC {str(path)!r} is not a readable .npz: {error}") from error


def _listed(archive: zipfile.ZipFile) -> dict[str, _Array]:
    found: dict[str, _Array] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name == member.filename:
            raise _Unfit(f"holds {name!r}, which is no array (.npy): take it out")
        if name in found:
            raise _Unfit(f"holds two arrays {name!r}: damaged, or made with intent")
        found[name] = _header(archive, member, name)
    return found


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> _Array:
    with archive.open(member) as file:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise _Unfit(f"holds {name!r} in version {version} of .npy: save it with plain column names")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if dtype.hasobject:
            raise _Unfit(
                f"holds {name!r} as pickled Python objects, which are never opened: save it with a plain dtype"
            )
        start = file.tell()
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if start + size != member.file_size:
        raise _Unfit(f"is damaged: {name!r} says {shape} {dtype}, which is not the {member.file_size} bytes it has")
    return _Array(member, name, shape, fortran, dtype, start)


def _words(array: _Array) -> set[str]:
    return set(re.split(r"[^a-z]+", array.name.rpartition("/")[2].lower()))


def _is_pictures(array: _Array) -> bool:
    """By its name, or by four dimensions with one or three channels. Raises `_Unfit` where the two disagree."""
    words = _words(array)
    if words & _NO_PICTURES:
        return False
    byte = array.dtype == np.uint8
    shaped = len(array.shape) == 4 and (array.shape[3] in (1, 3) or array.shape[1] in (1, 3))
    if not words & _PICTURES:
        return byte and shaped
    if not byte or not (shaped or len(array.shape) == 3) or 0 in array.shape[1:]:
        raise _Unfit(
            f"holds {array.name!r} as {array.dtype} {array.shape}, which cannot be protected: "
            "pictures are (n, h, w), (n, h, w, 1 or 3) or (n, 1 or 3, h, w) uint8"
        )
    if len(array.shape) == 3 and array.shape[2] in _CHANNELS:
        raise _Unfit(
            f"holds {array.name!r} as {array.shape}, which may be one picture or {array.shape[0]}: "
            f"save one as (1, {', '.join(map(str, array.shape))}), more in grey as (n, h, w, 1)"
        )
    return True


def _refuse_others(arrays: list[_Array], stacks: list[Stack]) -> None:
    """Raises `_Unfit` where an array that would be copied looks like pictures."""
    counts, sizes = {len(stack.pixels) for stack in stacks}, {stack.pixels[:1].size for stack in stacks} - {0}
    for array in arrays if stacks else ():
        flat = len(array.shape) == 2 and array.dtype == np.uint8 and array.shape[1] in sizes
        looks = array.dtype.kind in "biuf" and _looks_pictured(array, counts) and not _is_said_to_be_none(array)
        if flat or looks:
            raise _Unfit(
                f"holds {array.name!r} as {array.dtype} {array.shape} beside pictures, which looks like more of them "
                "and would be copied: take it out, or save it as uint8 under a name such as 'images'; a map of classes "
                "is called 'mask', 'seg' or 'label', has one channel and whole numbers"
            )


def _looks_pictured(array: _Array, counts: set[int]) -> bool:
    """Has it, besides channels, two sides of a picture? Some numbers for every picture, such as boxes, have not."""
    sides = list(array.shape)
    if len(sides) == 3 and sides[2] in _CHANNELS:
        return sides[0] not in counts and min(sides[:2]) >= _SMALLEST
    if len(sides) > 3 and sides[-1] not in _CHANNELS and sides[-3] in _CHANNELS:
        del sides[-3]
    elif len(sides) > 3 and sides[-1] in _CHANNELS:
        del sides[-1]
    return len(sides) > 2 and min(sides[-2:]) >= _SMALLEST and 0 not in sides


def _is_said_to_be_none(array: _Array) -> bool:
    """Is it by its name a map of classes, or the mean of all pictures, and can it be one by its shape?"""
    words, shape = _words(array), array.shape
    if words & _STATISTICS:
        return len(shape) == 3 and array.dtype.kind == "f"
    flat = len(shape) == 3 or (len(shape) == 4 and 1 in (shape[1], shape[3]))
    return bool(words & _NO_PICTURES) and not words & _PICTURES and array.dtype.kind in "biu" and flat


def _channels_first(stored: NDArray[np.uint8]) -> bool:
    return stored.ndim == 4 and stored.shape[3] not in (1, 3)


def _as_nhwc(stored: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    if stored.ndim == 3:
        return stored[..., None]
    if stored.shape[3] in (1, 3) and stored.shape[1] in (1, 3) and stored.shape[2] > 3:
        raise _Unfit(f"holds {name!r} as {stored.shape}, which may be read in two ways: pad it to more than 3 pixels")
    return stored.transpose(0, 2, 3, 1) if _channels_first(stored) else stored


def _mapped(archive: zipfile.ZipFile, array: _Array) -> NDArray[np.uint8]:
    """The array on disk, unpacked whole so that its checksum is checked."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if array.member.file_size > free:
        raise _Unfit(f"unpacks to {array.member.file_size:,} bytes, {free:,} are free in {tempfile.gettempdir()}")
    with tempfile.TemporaryFile() as file, archive.open(array.member) as packed:
        shutil.copyfileobj(packed, file, BLOCK)
        file.flush()
        if 0 in array.shape:
            return np.zeros(array.shape, np.uint8)
        order = "F" if array.fortran else "C"
        return np.memmap(file, np.uint8, "r", array.start, array.shape, order)  # type: ignore[call-overload,no-any-return]


def _small(archive: zipfile.ZipFile, array: _Array) -> NDArray[Any]:
    with archive.open(array.member) as file:
        return npy.read_array(file, allow_pickle=False)


def _labels_of(
    archive: zipfile.ZipFile, pictures: _Array, arrays: dict[str, _Array], names: list[str]
) -> list[str | None]:
    """A class name for each picture, from the array named like theirs: train_images, train_labels; x_test, y_test."""
    count = pictures.shape[0]
    found = next((arrays[name] for name in _label_names(pictures.name) if name in arrays), None)
    if found is None:
        return [None] * count
    if not found.shape or found.shape[0] != count:
        raise _Unfit(
            f"holds {count} pictures in {pictures.name!r} but {found.name!r} is {found.shape}: they must agree"
        )
    if found.dtype.kind not in "iuU" or found.shape not in ((count,), (count, 1)):
        return [None] * count  # several labels a picture, or none that names a class
    values = _small(archive, found).reshape(count).tolist()
    return [class_of(value, names) for value in values]


def _label_names(name: str) -> Iterator[str]:
    """What the labels of the pictures `name` may be called: the same with the one word exchanged, in the same case."""
    for found in re.finditer("[A-Za-z]+", name):
        if found[0].lower() in _PICTURES:
            for label in _LABELS:
                yield name[: found.start()] + label + name[found.end() :]


def _class_names(archive: zipfile.ZipFile, arrays: dict[str, _Array]) -> list[str]:
    found = next((arrays[name] for name in _CLASSES if name in arrays), None)
    if found is None or found.dtype.kind != "U" or len(found.shape) != 1:
        return []
    return [str(name) for name in _small(archive, found)]
