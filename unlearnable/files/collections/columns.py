"""The columns of a table beside its pictures are written again as they are, once it is sure that none holds any."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from unlearnable.files.collections.digests import Columns, bytes_of, digest, pyarrow
from unlearnable.files.collections.item import BLOCK
from unlearnable.files.formats import sniff
from unlearnable.files.marks import OVERLAP, drawn, packed, shows
from unlearnable.files.refused import Refused

_HEAD = 1 << 9
_BY_CHANCE = 1000  # one value in so many may begin like a picture: numbers stored as bytes do


def kept(schema: Any, tables: Iterable[Any]) -> str:
    """A digest of the columns and of what the table says of itself. Raises `Refused` where a picture is among them."""
    if any(shows(key + value) for key, value in (schema.metadata or {}).items()):
        raise Refused("has a picture in its metadata, and nobody would protect that: write the table without it")
    columns = Columns()
    for table in tables:
        check_columns(table)
        columns.add(table)
    said = {key.hex(): value.hex() for key, value in (schema.metadata or {}).items()}
    return digest([schema.names, said, columns.digest()])


def check_columns(table: Any) -> None:
    """Raises `Refused`, which names the column, where a value is, packs or holds a picture, however deep it lies."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        for chunk in column.chunks:
            for place, leaf, depth in _leaves(name, chunk, 0):
                if kind := _pictured(leaf, depth):
                    raise Refused(
                        f"has a column {place!r} with {kind}, and nobody would protect that: leave the column out, or "
                        "make a table of its own of it"
                    )


def _leaves(name: str, array: Any, depth: int) -> Iterator[tuple[str, Any, int]]:
    """(name, values, how many lists they lie in) of every column and of every field inside one."""
    arrow = pyarrow()
    types, kind = arrow.types, array.type
    if isinstance(kind, arrow.BaseExtensionType):
        yield from _leaves(name, array.storage, depth)
    elif types.is_dictionary(kind):
        yield from _leaves(name, array.dictionary, depth)
    elif types.is_struct(kind):
        for field, part in zip(kind, array.flatten(), strict=True):
            yield from _leaves(f"{name}.{field.name}", part, depth)
    elif types.is_map(kind):
        yield from _leaves(f"{name}.key", array.keys, depth)
        yield from _leaves(f"{name}.value", array.items, depth)
    elif types.is_nested(kind) and hasattr(array, "flatten"):
        yield from _leaves(name, array.flatten(), depth + 1)
    else:
        yield name, array.drop_null(), depth


def _pictured(leaf: Any, depth: int) -> str | None:
    """What of a picture is in the values: its kind, in words; None where nothing is."""
    arrow = pyarrow()
    types, kind = arrow.types, leaf.type
    if types.is_int8(kind) or types.is_uint8(kind):
        if depth > 1:
            return "lists of lists of bytes, as samples are stored"
        data = leaf.cast(arrow.uint8(), safe=False).to_numpy(zero_copy_only=False).tobytes()
        return "a picture" if _shown(memoryview(data)) else None
    name = str(kind)
    if not any(word in name for word in ("string", "binary")):
        return None
    ends, held = bytes_of(leaf)
    if _shown(held):
        return "a picture"
    return None if "string" in name else _begun(ends, held)


def _begun(ends: Any, held: memoryview) -> str | None:
    """The kind of file that more values than chance would have begin like."""
    seen = Counter[str]()
    for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        head = bytes(held[start : min(end, start + _HEAD)])
        seen.update(filter(None, [sniff(head) or packed(head) or drawn(head)]))
    kind, count = seen.most_common(1)[0] if seen else ("", 0)
    return f"files ({kind})" if count * _BY_CHANCE > len(ends) - 1 else None


def _shown(held: memoryview) -> bool:
    starts = range(0, len(held), BLOCK)
    return any(shows(bytes(held[max(0, start - OVERLAP) : start + BLOCK])) for start in starts)
