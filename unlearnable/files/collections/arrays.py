"""Pictures that are rows of an array, given out as uncompressed picture files and taken back as rows."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from unlearnable.files.collections.collection import Packable, Staged
from unlearnable.files.collections.item import Item, check_item
from unlearnable.files.pictures.picture import decode, plain
from unlearnable.files.refused import Refused

_UNSAFE = re.compile(r"[^\w.()+-]+")
_SUFFIX = ".bmp"  # the same samples give the same bytes wherever and whenever it is written


@dataclass(frozen=True, eq=False, slots=True)
class Stack:
    """pixels: (n, h, w, c) uint8, c = 1 or 3, a view of what is stored; labels: a class name or None for each."""

    name: str
    pixels: NDArray[np.uint8]
    labels: Sequence[str | None]


class Arrays(Packable):
    """Some stacks of pictures. Items are called STACK/CLASS/ROW.bmp, so that a folder of them has its classes."""

    encoded: ClassVar[bool] = False

    def __init__(self, path: Path, stacks: Sequence[Stack]) -> None:
        self.path, self.stacks = path, tuple(stacks)
        self._places: dict[str, tuple[Stack, int]] = {}
        for stack in stacks:
            digits = len(str(max(0, len(stack.pixels) - 1)))
            for row, label in enumerate(stack.labels):
                where = f"{_safe(label)}/" if label else ""
                self._places[f"{stack.name}/{where}{row:0{digits}d}{_SUFFIX}"] = stack, row
        self.items = tuple(Item(name) for name in self._places)

    def read(self, item: Item) -> bytes:
        check_item(item)
        stack, row = self._places[item.name]
        return plain(np.ascontiguousarray(stack.pixels[row]))

    def label(self, item: Item) -> str | None:
        stack, row = self._places[item.name]
        return stack.labels[row]

    def rows(self, stack: Stack, staged: Staged) -> Iterator[NDArray[np.uint8]]:
        """What stands in place of every picture of a stack, (h, w, c) uint8: black where there is no output."""
        for item in self.items:
            home, row = self._places[item.name]
            if home is stack:
                yield _samples(staged[item.name][1], stack) if item.name in staged else np.zeros_like(stack.pixels[row])

    def close(self) -> None:
        pass


def _samples(path: Path, stack: Stack) -> NDArray[np.uint8]:
    planes = decode(path.read_bytes(), path.name).planes
    if planes.dtype != np.uint8 or planes.shape != stack.pixels.shape[1:]:
        raise Refused(f"{path.name} is {planes.dtype} {planes.shape}, not uint8 {stack.pixels.shape[1:]}")
    return cast(NDArray[np.uint8], planes)


def _safe(label: str) -> str:
    return _UNSAFE.sub("_", label).strip(".") or "_"
