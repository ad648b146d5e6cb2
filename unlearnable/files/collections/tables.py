"""Tables with one column of pictures, as Hugging Face `datasets` writes them: what parquet and Arrow files share."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from unlearnable.files.collections import columns
from unlearnable.files.collections.collection import Packable, Staged
from unlearnable.files.collections.digests import pyarrow
from unlearnable.files.collections.item import Item, check_item, check_size, class_of, member_item
from unlearnable.files.formats import SUFFIXES, is_picture_name, sniff
from unlearnable.files.refused import Refused, refusing

_LABEL_COLUMNS = ("label", "labels", "class", "fine_label")
_PICTURE_COLUMNS = ("image", "img")
_ADDRESS_COLUMNS = ("image", "img", "url", "image_url", "image_path", "path", "file", "file_name")
_LOOKED_AT = 64  # rows
_AT_ONCE = 1 << 28  # bytes of pictures written together: an Arrow column of bytes ends at 2 GiB


@runtime_checkable
class Chunks(Protocol):
    """A table on disk in pieces that fit into memory. counts: rows of each piece."""

    schema: Any
    counts: list[int]

    def column(self, chunk: int, name: str, field: str | None = None) -> Any:
        """One column of a piece, or one field of a struct column (as a struct of that field alone, or whole)."""
        ...

    def table(self, chunk: int) -> Any:
        """All columns of a piece."""
        ...

    def others(self, chunk: int, name: str) -> Any:
        """All columns of a piece but that one."""
        ...

    def complete(self, chunk: int, name: str, field: str | None = None) -> bool:
        """Is it known, without reading it, that this column of a piece holds no null?"""
        ...


class Rows(Packable):
    """The pictures of one table: one item a row, named by its path or, where the paths cannot serve, by its number.

    Raises ValueError where no column or more than one holds pictures, or where a row names a picture that lies
    elsewhere (a path or an address without bytes): what was written would still point at the unprotected one.
    """

    def __init__(self, path: Path, chunks: Chunks) -> None:
        self.path, self._chunks = path, chunks
        self._lock = threading.Lock()
        self.column = _image_column(chunks.schema, path)
        kind = chunks.schema.field(self.column).type
        self._nested = pyarrow().types.is_struct(kind)
        self._paths = self._nested and kind.get_field_index("path") >= 0
        self._more = [field.name for field in kind if field.name not in ("bytes", "path")] if self._nested else []
        self._starts = [sum(chunks.counts[:i]) for i in range(len(chunks.counts) + 1)]
        self.items = self._list()
        self._rows = {item.name: row for row, item in enumerate(self.items) if item.problem is None}
        self._labels = self._read_labels()

    def _list(self) -> tuple[Item, ...]:
        names: list[str | None] = []
        for chunk in range(len(self._chunks.counts)) if self._paths else ():
            cells = self._chunks.column(chunk, self.column, "path").to_pylist()
            names += [cell["path"] if cell else None for cell in cells]
        empty = self._empty()
        if pointing := [row for row in sorted(empty) if names and names[row]]:
            raise ValueError(_points_elsewhere(self.path, self.column, pointing[0], names[pointing[0]] or ""))
        if len(empty) >= len(names):
            return tuple(self._numbered())
        seen, digits = set[str](), self._digits()
        items = {row: member_item(name or "", seen) for row, name in enumerate(names) if row not in empty}
        if any(item.problem or not is_picture_name(names[row] or "") for row, item in items.items()):
            return tuple(self._numbered())
        return tuple(items.get(row) or Item(f"{row:0{digits}d}", NO_BYTES) for row in range(len(names)))

    def _empty(self) -> set[int]:
        """The rows that hold no bytes."""
        found: set[int] = set()
        compute, field = pyarrow("pyarrow.compute"), "bytes" if self._nested else None
        for chunk, start in enumerate(self._starts[:-1]):
            if self._chunks.complete(chunk, self.column, field):
                continue
            cells = self._chunks.column(chunk, self.column, field)
            null = compute.is_null(compute.struct_field(cells, "bytes") if self._nested else cells)
            found.update(start + row for row in compute.indices_nonzero(null).to_pylist())
        return found

    def _digits(self) -> int:
        return len(str(max(0, self._starts[-1] - 1)))

    def _numbered(self) -> Iterator[Item]:
        digits = self._digits()
        for row in range(self._starts[-1]):
            data = self._bytes(row)
            kind = sniff(data[:256]) if data else None
            suffix = next((s for s, k in SUFFIXES.items() if k == kind), "")
            unread = f"not a picture in a format that is read ({kind or 'unknown'}, it begins {(data or b'')[:8]!r})"
            problem = NO_BYTES if not data else None if suffix else f"{unread}: convert it to PNG, or take the row out"
            yield Item(f"{row:0{digits}d}{suffix}", problem)

    def _bytes(self, row: int) -> bytes | None:
        chunk = max(i for i, start in enumerate(self._starts[:-1]) if start <= row)
        with self._lock:
            cells = self._chunks.column(chunk, self.column, "bytes" if self._nested else None)
            cell: Any = cells[row - self._starts[chunk]].as_py()
        data: bytes | None = (cell["bytes"] if cell else None) if self._nested else cell
        return data

    def read(self, item: Item) -> bytes:
        check_item(item)
        with refusing("cannot be read from the table"):
            data = self._bytes(self._rows[item.name])
        if not data:
            raise Refused(NO_BYTES)
        check_size(len(data))
        return data

    def _read_labels(self) -> list[str | None]:
        names = _class_names(self._chunks.schema)
        column = next((c for c in (*names, *_LABEL_COLUMNS) if c in self._chunks.schema.names), None)
        if column is None:
            return []
        found = names.get(column, [])
        cells = (self._chunks.column(chunk, column).to_pylist() for chunk in range(len(self._chunks.counts)))
        return [class_of(value, found) for values in cells for value in values]

    def label(self, item: Item) -> str | None:
        row = self._rows.get(item.name)
        return self._labels[row] if self._labels and row is not None else None

    def kept(self) -> str | None:
        with self._lock, refusing("cannot be read from the table"):
            return columns.kept(self._chunks.schema, map(self._others, range(len(self._chunks.counts))))

    def addresses(self) -> tuple[str, ...]:
        types = pyarrow().types
        texts = [f.name for f in self._chunks.schema if types.is_string(f.type) or types.is_large_string(f.type)]
        first = {name: self._chunks.column(0, name).slice(0, _LOOKED_AT).to_pylist() for name in texts if self.items}
        return tuple(name for name, cells in first.items() if any("://" in (cell or "") for cell in cells))

    def _others(self, chunk: int) -> Any:
        """All of a piece that is written again as it is: other columns, and what else the column of pictures says."""
        compute, found = pyarrow("pyarrow.compute"), self._chunks.others(chunk, self.column)
        names, values = list(found.column_names), list(found.columns)
        for field in self._more:
            names.append(f"{self.column}.{field}")
            values.append(compute.struct_field(self._chunks.column(chunk, self.column, field), field))
        return pyarrow().table(values, names) if self._more else found

    def rewritten(self, chunk: int, staged: Staged) -> Iterator[Any]:
        """One piece again, in tables of bounded size: the pictures from `staged`, null where there is none."""
        table, start = self._chunks.table(chunk), self._starts[chunk]
        index = table.schema.get_field_index(self.column)
        first = 0
        for end in self._cuts(start, table.num_rows, staged):
            part, items = table.slice(first, end - first), self.items[start + first : start + end]
            images = self._images(items, part.column(self.column), staged)
            yield part.set_column(index, table.schema.field(index), images)
            first = end

    def _cuts(self, start: int, count: int, staged: Staged) -> Iterator[int]:
        """Where a piece is cut, so that no part holds more than so many bytes."""
        size = 0
        for row in range(count):
            name = self.items[start + row].name
            more = staged[name][1].stat().st_size if name in staged else 0
            if size and size + more > _AT_ONCE:
                yield row
                size = 0
            size += more
        yield count

    def _images(self, items: Sequence[Item], old: Any, staged: Staged) -> Any:
        rows: list[Any] = []
        for item, was in zip(items, old, strict=True):
            if item.problem is not None or item.name not in staged:
                rows.append({**_other_fields(was, None), "bytes": None} if self._more and was.is_valid else None)
                continue
            name, path = staged[item.name]
            data = path.read_bytes()
            rows.append({**_other_fields(was, name), "bytes": data} if self._nested else data)
        return pyarrow().array(rows, old.type)


class NoPictures(ValueError):
    """A table holds no picture; beside others that do it may be of use."""


NO_BYTES = "the row holds no image bytes"


def _other_fields(was: Any, name: str | None) -> dict[str, Any]:
    fields = {key: value.as_py() for key, value in was.items() if key != "bytes"}
    return {key: name if key == "path" and value is not None else value for key, value in fields.items()}


def _image_column(schema: Any, path: Path) -> str:
    types, features = pyarrow().types, _features(schema)
    said = [column for column, feature in features.items() if _type(feature) == "Image"]
    inside = [c for c in features if c not in said and '"_type": "Image"' in json.dumps(features[c])]
    if inside:
        raise ValueError(
            f"SRC {str(path)!r} holds several pictures a row, in {inside[0]!r}: give every picture a row of its own"
        )
    others = set(features) - set(said)  # of another kind, such as sound, which is stored in the same way
    structs = [f.name for f in schema if types.is_struct(f.type) and f.type.get_field_index("bytes") >= 0]
    blobs = [f.name for f in schema if types.is_binary(f.type) or types.is_large_binary(f.type)]
    found = [name for name in structs if name not in others]
    found += [name for name in blobs if name in said or (name in _PICTURE_COLUMNS and not found)]
    if len(found) > 1:
        raise ValueError(
            f"SRC {str(path)!r} has {len(found)} columns of pictures ({', '.join(found)}): leave one, "
            "for only one would be protected"
        )
    if found:
        return str(found[0])
    names, addresses = ", ".join(schema.names), [c for c in _ADDRESS_COLUMNS if c in schema.names]
    text = [
        c for c in addresses if types.is_string(schema.field(c).type) or types.is_large_string(schema.field(c).type)
    ]
    if text:
        raise NoPictures(
            f"SRC {str(path)!r} has no image column, only {text[0]!r} that names them elsewhere (columns: {names}): "
            "nothing is fetched, download them and store their bytes"
        )
    raise NoPictures(
        f"SRC {str(path)!r} has no image column (columns: {names}): "
        "needed is a struct with a field 'bytes', or a binary column named 'image' or 'img'"
    )


def _points_elsewhere(path: Path, column: str, row: int, name: str) -> str:
    where = "on the network" if "://" in name else "in a file elsewhere"
    return (
        f"SRC {str(path)!r}: row {row} of {column!r} holds no bytes, its picture lies {where} ({name!r}) "
        "and would stay unprotected there: store the bytes in the table first"
    )


def _features(schema: Any) -> Mapping[str, Any]:
    """Column -> its feature, as `datasets` stores them in the schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {c: f for c, f in features.items() if c in schema.names}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _class_names(schema: Any) -> dict[str, list[str]]:
    """Column -> names of its classes."""
    found = {c: f for c, f in _features(schema).items() if _type(f) == "ClassLabel"}
    return {c: [str(n) for n in f.get("names") or []] for c, f in found.items()}


def _type(feature: object) -> object:
    """What `datasets` calls a feature; one of several values a row may be a list."""
    return feature.get("_type") if isinstance(feature, dict) else None
