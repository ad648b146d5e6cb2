"""CIFAR-10 and CIFAR-100 in their binary version: records of label bytes and 3072 bytes of pixels (red, green, blue).

Source: Krizhevsky, "The CIFAR-10 dataset", https://www.cs.toronto.edu/~kriz/cifar.html."""

import hashlib
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unlearnable.files.collections.arrays import Arrays, Stack
from unlearnable.files.collections.collection import Staged
from unlearnable.files.collections.digests import digest
from unlearnable.files.collections.folder import inside
from unlearnable.files.collections.item import BOOKKEEPING, is_card
from unlearnable.files.copying import check_copy
from unlearnable.files.formats import is_picture_name
from unlearnable.files.refused import Refused

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE
_HUNDRED = ("train.bin", "test.bin")
_NAMES_TEN, _NAMES_HUNDRED = "batches.meta.txt", "fine_label_names.txt"


class Cifar(Arrays):
    """A folder of data_batch_*.bin and test_batch.bin (a label byte), or of train.bin and test.bin (coarse, fine)."""

    kind: ClassVar[str] = "CIFAR binary folder"
    folder: ClassVar[bool] = True

    def __init__(self, path: Path) -> None:
        self._labels = 1 if _ten(path) else 2
        names = _class_names(inside(path, path / (_NAMES_TEN if _ten(path) else _NAMES_HUNDRED)))
        self._others = _others(path)
        stacks, self._files = [], {}
        for file in sorted(path.glob("*.bin")):
            records = _records(inside(path, file), self._labels + _PIXELS)
            pixels = records[:, self._labels :].reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
            stacks.append(Stack(file.stem, pixels, _labels(file, records[:, self._labels - 1], names)))
            self._files[file.stem] = file, records
        super().__init__(path, stacks)

    def pack(self, out: Path, staged: Staged) -> None:
        """Writes the same files: every label as it was, every pixel from what was written."""
        out.mkdir()
        for stack in self.stacks:
            file, records = self._files[stack.name]
            with open(out / file.name, "wb") as written:
                for record, picture in zip(records, self.rows(stack, staged), strict=True):
                    written.write(record[: self._labels].tobytes() + picture.transpose(2, 0, 1).tobytes())
        for name in self._others:
            shutil.copyfile(self.path / name, out / name)

    def kept(self) -> str | None:
        """Every label byte, coarse ones too, and the texts."""
        labels = {file.name: records[:, : self._labels].tobytes() for file, records in self._files.values()}
        texts = {name: (self.path / name).read_bytes() for name in self._others}
        return digest({name: hashlib.sha256(data).hexdigest() for name, data in (labels | texts).items()})

    @classmethod
    def fits(cls, path: Path) -> bool:
        return _ten(path) or ((path / _NAMES_HUNDRED).is_file() and any((path / name).is_file() for name in _HUNDRED))


def _ten(path: Path) -> bool:
    return any(path.glob("data_batch_*.bin")) or (path / "test_batch.bin").is_file()


def _records(file: Path, size: int) -> NDArray[np.uint8]:
    """(n, size) uint8, read from disk where it is used."""
    length = file.stat().st_size
    if not length or length % size:
        raise ValueError(
            f"SRC {str(file)!r} is {length} bytes, no multiple of the {size} of a CIFAR record: cut short?"
        )
    return np.memmap(file, np.uint8, "r").reshape(-1, size)


def _labels(file: Path, numbers: NDArray[np.uint8], names: list[str]) -> list[str | None]:
    if names and len(numbers) and int(numbers.max()) >= len(names):
        wrong = int(numbers.argmax())
        raise ValueError(
            f"SRC {str(file)!r}: record {wrong} has label {int(numbers[wrong])}, but {len(names)} classes have a name: "
            "damaged, or another format"
        )
    return [names[number] if names else str(number) for number in numbers.tolist()]


def _class_names(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text().splitlines() if line.strip()] if file.is_file() else []


def _others(path: Path) -> list[str]:
    """The texts beside the records, a data card left out. ValueError for what might hold unprotected pictures."""
    beside = (child for child in path.iterdir() if child.suffix != ".bin" and child.name != BOOKKEEPING)
    found = sorted(child.name for child in beside if not is_card(child))
    for name in found:
        if not (path / name).is_file() or is_picture_name(name) or Path(name).suffix not in _TEXTS:
            raise ValueError(f"SRC {str(path)!r} holds {name!r}, which is no part of CIFAR binary: move it away")
        try:
            check_copy(inside(path, path / name).read_bytes())
        except Refused as reason:
            raise ValueError(f"SRC {str(path / name)!r} would be copied, but {reason}") from None
    return found


_TEXTS = (".txt", ".html", ".md")
