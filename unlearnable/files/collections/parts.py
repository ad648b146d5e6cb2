"""Several collections as one: shards in a folder, splits of a data set. Names begin with the part they are from."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from unlearnable.files.collections.collection import Collection, Packable, Staged, kept
from unlearnable.files.collections.digests import digest
from unlearnable.files.collections.item import Item, check_item
from unlearnable.files.refused import Refused


class Parts(Packable):
    """parts: name of each ('' for the whole) -> its collection, in order. Owns and closes them."""

    def __init__(self, path: Path, parts: Mapping[str, Collection]) -> None:
        self.path, self.parts = path, dict(parts)
        self.items: tuple[Item, ...] = ()
        self._homes: dict[str, tuple[Collection, Item]] = {}
        for name, part in self.parts.items():
            prefix = _prefix(name)
            named = tuple(replace(item, name=prefix + item.name) for item in part.items)
            for new, old in zip(named, part.items, strict=True):
                self._homes.setdefault(new.name, (part, old))  # a second one of that name has a problem
            self.items += named

    def read(self, item: Item) -> bytes:
        check_item(item)
        part, inner = self._homes[item.name]
        return part.read(inner)

    def blocks(self, item: Item) -> Iterator[bytes]:
        check_item(item)
        part, inner = self._homes[item.name]
        yield from part.blocks(inner)

    def label(self, item: Item) -> str | None:
        part, inner = self._homes[item.name]
        return part.label(inner)

    def kept(self) -> str | None:
        found = {name: said for name, part in self.parts.items() if (said := _kept(name, part)) is not None}
        return digest(found) if found else None

    def addresses(self) -> tuple[str, ...]:
        found = (part.addresses() for part in self.parts.values() if isinstance(part, Packable))
        return tuple(dict.fromkeys(name for names in found for name in names))

    def close(self) -> None:
        with ExitStack() as stack:
            for part in self.parts.values():
                stack.callback(part.close)


def staged_of(part: str, staged: Staged) -> Staged:
    """What was written of one part, by its own names."""
    prefix = _prefix(part)
    return {
        name.removeprefix(prefix): (output.removeprefix(prefix), path)
        for name, (output, path) in staged.items()
        if name.startswith(prefix)
    }


def _kept(name: str, part: Collection) -> str | None:
    try:
        return kept(part)
    except Refused as reason:
        raise Refused(f"{reason} ({name})" if name else str(reason)) from reason


def _prefix(part: str) -> str:
    return part + "/" if part else ""
