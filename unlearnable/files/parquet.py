"""Parquet tables as Hugging Face `datasets` writes them: a column of {bytes, path}, read and written by row groups."""

import importlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from unlearnable.files.formats import SUFFIXES, sniff
from unlearnable.files.item import Item, check_item, check_size, member_item
from unlearnable.files.refused import Refused, refusing

_LABEL_COLUMNS = ("label", "labels", "class")
_GROUPS_IN_MEMORY = 2  # threads working in order stand on both sides of a border at most


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ValueError("reading .parquet needs pyarrow: pip install unlearnable[hf]") from error


class Table:
    """A .parquet with one column of pictures; one item a row, named by its path or by its number."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        arrow, parquet = _pyarrow()
        try:
            self._file = parquet.ParquetFile(path)
        except (arrow.ArrowException, OSError) as error:
            raise ValueError(f"SRC {str(path)!r} is not a readable parquet file: {error}") from error
        schema = self._file.schema_arrow
        self.column = _image_column(arrow, schema, path)
        self._nested = arrow.types.is_struct(schema.field(self.column).type)
        counts = [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
        self._starts = [sum(counts[:i]) for i in range(len(counts) + 1)]
        self._groups: OrderedDict[int, list[bytes | None]] = OrderedDict()
        self.items = self._list()
        self._rows = {item.name: row for row, item in enumerate(self.items) if item.problem is None}
        self._labels = self._read_labels(schema)

    def _list(self) -> tuple[Item, ...]:
        names: list[str | None] = []
        if self._nested and self._file.schema_arrow.field(self.column).type.get_field_index("path") >= 0:
            for group in range(self._file.num_row_groups):
                part = self._file.read_row_group(group, columns=[f"{self.column}.path"])
                names += [row["path"] if row else None for row in part.column(0).to_pylist()]
        if not names or None in names or len(set(names)) < len(names):
            return tuple(self._numbered())
        seen: set[str] = set()
        return tuple(member_item(name or "", seen) for name in names)

    def _numbered(self) -> Iterator[Item]:
        digits = len(str(max(0, self._starts[-1] - 1)))
        for group, start in enumerate(self._starts[:-1]):
            for row, data in enumerate(self._load(group), start):
                kind = sniff(data[:256]) if data else None
                suffix = next((s for s, k in SUFFIXES.items() if k == kind and s != ".apng"), "")
                problem = None if data else "the row holds no image bytes"
                yield Item(f"{row:0{digits}d}{suffix}", problem)

    def _load(self, group: int) -> list[bytes | None]:
        """The image bytes of one row group; the last two stay in memory."""
        if group not in self._groups:
            leaf = f"{self.column}.bytes" if self._nested else self.column
            values = self._file.read_row_group(group, columns=[leaf]).column(0).to_pylist()
            while len(self._groups) >= _GROUPS_IN_MEMORY:
                self._groups.popitem(last=False)
            self._groups[group] = [row["bytes"] if row else None for row in values] if self._nested else values
        return self._groups[group]

    def read(self, item: Item) -> bytes:
        check_item(item)
        row = self._rows[item.name]
        group = max(i for i, start in enumerate(self._starts[:-1]) if start <= row)
        with self._lock, refusing("cannot be read from the table"):
            data: bytes | None = self._load(group)[row - self._starts[group]]
        if data is None:
            raise Refused("the row holds no image bytes")
        check_size(len(data))
        return data

    def _read_labels(self, schema: Any) -> list[str | None]:
        names = _class_names(schema)
        column = next((c for c in (*names, *_LABEL_COLUMNS) if c in schema.names), None)
        if column is None:
            return []
        found = names.get(column, [])
        labels: list[str | None] = []
        for group in range(self._file.num_row_groups):
            for value in self._file.read_row_group(group, columns=[column]).column(0).to_pylist():
                labels.append(_label(value, found))
        return labels

    def label(self, item: Item) -> str | None:
        row = self._rows.get(item.name)
        return self._labels[row] if self._labels and row is not None else None

    def close(self) -> None:
        self._file.close()

    def pack(self, out: IO[bytes], staged: Mapping[str, tuple[str, Path]]) -> None:
        """Writes the table again: same schema, its metadata and other columns; the images from `staged`
        (item name -> output name, file), null where there is none."""
        _, parquet = _pyarrow()
        schema = self._file.schema_arrow
        index = schema.get_field_index(self.column)
        with parquet.ParquetWriter(out, schema) as writer:
            for group, start in enumerate(self._starts[:-1]):
                table = self._file.read_row_group(group)
                items = self.items[start : start + table.num_rows]
                images = self._images(items, table.column(self.column), staged)
                writer.write_table(table.set_column(index, schema.field(index), images), row_group_size=len(items))

    def _images(self, items: tuple[Item, ...], old: Any, staged: Mapping[str, tuple[str, Path]]) -> Any:
        arrow, _ = _pyarrow()
        rows: list[Any] = []
        for item, was in zip(items, old, strict=True):
            if item.problem is not None or item.name not in staged:
                rows.append(None)
                continue
            name, path = staged[item.name]
            data = path.read_bytes()
            rows.append({**_other_fields(was, name), "bytes": data} if self._nested else data)
        return arrow.array(rows, old.type)


def _other_fields(was: Any, name: str) -> dict[str, Any]:
    fields = {key: value.as_py() for key, value in was.items() if key != "bytes"}
    return {key: name if key == "path" and value is not None else value for key, value in fields.items()}


def _image_column(arrow: Any, schema: Any, path: Path) -> str:
    for field in schema:
        if arrow.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            return str(field.name)
    for field in schema:
        binary = arrow.types.is_binary(field.type) or arrow.types.is_large_binary(field.type)
        if binary and field.name in ("image", "img"):
            return str(field.name)
    raise ValueError(
        f"SRC {str(path)!r} has no image column (columns: {', '.join(schema.names)}): "
        "needed is a struct with a field 'bytes', or a binary column named 'image' or 'img'"
    )


def _class_names(schema: Any) -> dict[str, list[str]]:
    """Column -> names of its classes, from the features that `datasets` stores in the schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {c: list(f["names"]) for c, f in features.items() if f.get("_type") == "ClassLabel"}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _label(value: object, names: list[str]) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            return None
        return names[value] if value < len(names) else str(value)
    return value if isinstance(value, str) else None
