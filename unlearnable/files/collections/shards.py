"""Archives or tables that are parts of one collection: a folder of them, or a name with braces as WebDataset has it."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import ClassVar

from unlearnable.files.collections.archives import Tar, Zip
from unlearnable.files.collections.collection import Collection, Packable, Staged
from unlearnable.files.collections.folder import Folder, listed
from unlearnable.files.collections.item import BOOKKEEPING, Item
from unlearnable.files.collections.parquet import Bare, Table
from unlearnable.files.collections.parts import Parts, staged_of
from unlearnable.files.collections.tables import NoPictures
from unlearnable.files.formats import is_picture_name

SUFFIXES: dict[str, type[Packable]] = {".zip": Zip, ".tar": Tar, ".tar.gz": Tar, ".tgz": Tar, ".parquet": Table}
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST = 100_000


class Shards(Parts):
    """A folder that holds archives or tables and no picture beside them, or those that a pattern names.

    Other files of the folder are items as well, and are copied; of its shards, one that cannot be opened is an item
    with a problem, and a table without pictures is written again. All that a pattern names must be there and open.
    """

    kind: ClassVar[str] = "folder of shards"
    folder: ClassVar[bool] = True

    def __init__(self, path: Path) -> None:
        beside = None if is_pattern(path) else listed(path)
        home = path.parent if beside is None else path
        names = (
            expanded(path) if beside is None else [i.name for i in beside.items if not i.problem and _opener(i.name)]
        )
        with ExitStack() as stack:
            parts: dict[str, Collection] = {}
            lost: dict[str, Exception] = {}
            for name in names:
                try:
                    part = _part(path, home / name)
                except (ValueError, OSError) as error:
                    if beside is None:
                        raise
                    lost[name] = error
                    continue
                stack.callback(part.close)
                parts[name] = part
                if isinstance(part, Bare):
                    lost[name] = part.reason
            if lost and lost.keys() >= parts.keys():
                raise next(iter(lost.values()))
            if beside is not None:
                rest = (item for item in beside.items if item.name not in parts)
                parts[""] = Folder(path, tuple(_marked(item, home, lost.get(item.name)) for item in rest))
            super().__init__(path, parts)
            stack.pop_all()

    def pack(self, out: Path, staged: Staged) -> None:
        for name, part in self.parts.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(part, Packable):
                part.pack(out / name, staged_of(name, staged))
        for item in self.parts[""].items if "" in self.parts else ():
            if item.problem is None and item.name in staged:
                name, path = staged[item.name]
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, out / name)

    @classmethod
    def fits(cls, path: Path) -> bool:
        found = False
        for name in _walk(path):
            if is_picture_name(name):
                return False
            found = found or _opener(name) is not None
        return found


def _part(source: Path, file: Path) -> Packable:
    opener = _opener(file.name)
    if opener is None or not file.is_file():
        raise ValueError(f"SRC {str(source)!r} names {file.name!r}, which is no shard that is there: check it")
    try:
        return opener(file)
    except NoPictures as reason:
        return Bare(file, reason)


def _marked(item: Item, home: Path, error: Exception | None) -> Item:
    if error is None:
        return item
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return replace(item, problem="this shard " + said.removeprefix(f"SRC {str(home / item.name)!r} "))


def is_pattern(path: Path) -> bool:
    """Does the name stand for several, as in train-{0000..0009}.tar?"""
    return _BRACES.search(path.name) is not None and not path.exists()


def expanded(path: Path) -> list[str]:
    """The names that a pattern stands for, in its order: {a,b} and {000..123}. Raises ValueError above 100,000."""
    names = list(islice(_alternatives(path.name), _MOST + 1))
    if len(names) > _MOST:
        raise ValueError(f"SRC {str(path)!r} stands for more than {_MOST:,} names: name the folder instead")
    return names


def _alternatives(name: str) -> Iterator[str]:
    found = _BRACES.search(name)
    if found is None:
        yield name
        return
    numbers = _RANGE.fullmatch(found[1])
    if numbers is None:
        words: Iterator[str] = iter(found[1].split(","))
    else:
        words = (f"{i:0{len(numbers[1])}d}" for i in range(int(numbers[1]), int(numbers[2]) + 1))
    for word in words:
        yield from _alternatives(name[: found.start()] + word + name[found.end() :])


def _opener(name: str) -> type[Packable] | None:
    return next((kind for suffix, kind in SUFFIXES.items() if name.lower().endswith(suffix)), None)


def _walk(folder: Path) -> Iterator[str]:
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != BOOKKEEPING]
        yield from files
