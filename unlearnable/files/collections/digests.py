"""Digests of what a table or an array file holds beside its pictures, by which a changed label is found."""

import hashlib
import json
from typing import Any

import numpy as np

from unlearnable.extras import imported


def pyarrow(module: str = "pyarrow") -> Any:
    """That module of pyarrow. Raises ValueError where it is not installed."""
    return imported(module, "reading tables and data sets", "hf")


def digest(said: Any) -> str:
    """Of JSON values; the order of keys does not count."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def bytes_of(array: Any) -> tuple[Any, memoryview]:
    """(where each value begins, and the last ends; all values one behind the other) of texts or bytes without nulls."""
    arrow = pyarrow()
    if arrow.types.is_fixed_size_binary(array.type):
        array = array.cast(arrow.binary())
    whole = array.cast(arrow.large_binary())
    _, offsets, data = whole.buffers()
    if data is None or not len(whole):
        return np.zeros(len(whole) + 1, np.int64), memoryview(b"")
    ends = np.frombuffer(offsets, np.int64, whole.offset + len(whole) + 1)[whole.offset :]
    return ends - ends[0], memoryview(data)[ends[0] : ends[-1]]


class Columns:
    """The values of a table's columns, taken piece by piece: the digest is the same however the rows are cut.

    What Arrow leaves open does not count: offsets, what lies under a null, which dictionary a column is coded by.
    """

    def __init__(self) -> None:
        self._arrow = pyarrow()
        self._compute = pyarrow("pyarrow.compute")
        self._streams: dict[str, Any] = {}

    def add(self, table: Any) -> None:
        """The next rows."""
        for place, column in enumerate(table.columns):
            for chunk in column.chunks:
                self._walk(str(place), chunk)

    def digest(self) -> dict[str, str]:
        """Of every stream of values, by its place and type."""
        return {name: stream.hexdigest() for name, stream in self._streams.items()}

    def _walk(self, place: str, array: Any) -> None:
        types, kind = self._arrow.types, array.type
        if not len(array):
            return
        if isinstance(kind, self._arrow.BaseExtensionType):
            self._walk(place, array.storage)
            return
        if types.is_dictionary(kind):
            self._walk(place, array.dictionary_decode())
            return
        self._feed(f"{place}?", array.is_valid().cast(self._arrow.uint8()))
        array = array.drop_null()
        if types.is_struct(kind):
            for field, part in zip(kind, array.flatten(), strict=True):
                self._walk(f"{place}.{field.name}", part)
        elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            self._feed(f"{place}#", self._compute.list_value_length(array).cast(self._arrow.int64()))
            self._walk(f"{place}[]", array.flatten())
        else:
            self._leaf(f"{place}:{kind}", array)

    def _leaf(self, place: str, array: Any) -> None:
        types, kind = self._arrow.types, array.type
        text = types.is_string(kind) or types.is_large_string(kind)
        if text or types.is_binary(kind) or types.is_large_binary(kind):
            self._feed(f"{place}#", self._compute.binary_length(array).cast(self._arrow.int64()))
            self._update(place, bytes_of(array)[1])
        elif types.is_boolean(kind):
            self._feed(place, array.cast(self._arrow.uint8()))
        elif types.is_primitive(kind) or types.is_decimal(kind) or types.is_fixed_size_binary(kind):
            self._feed(place, array)
        else:
            self._update(place, "".join(f"{value!r}\0" for value in array.to_pylist()).encode(errors="replace"))

    def _feed(self, place: str, array: Any) -> None:
        """The bytes of values of a fixed width."""
        width = array.type.bit_width // 8
        if len(array) and width:
            data = memoryview(array.buffers()[1])
            self._update(place, data[array.offset * width : (array.offset + len(array)) * width])

    def _update(self, place: str, data: Any) -> None:
        self._streams.setdefault(place, hashlib.sha256()).update(data)
