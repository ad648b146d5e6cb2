"""Parquet files with a column of pictures, read and written by row groups."""

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from unlearnable.files.collections import columns
from unlearnable.files.collections.collection import Packable, Staged
from unlearnable.files.collections.digests import pyarrow
from unlearnable.files.collections.item import Item
from unlearnable.files.collections.tables import NoPictures, Rows
from unlearnable.files.refused import Refused, refusing

_GROUPS_IN_MEMORY = 2  # threads working in order stand on both sides of a border at most


class Table(Rows):
    """A .parquet with one column of pictures."""

    kind: ClassVar[str] = "parquet"

    def __init__(self, path: Path) -> None:
        self._groups = _groups(path)
        try:
            super().__init__(path, self._groups)
        except BaseException as error:
            self.close()
            if isinstance(error, pyarrow().ArrowException | OSError):
                raise ValueError(f"SRC {str(path)!r} is damaged: {error}") from error
            raise

    def pack(self, out: Path, staged: Staged) -> None:
        """Writes the table again: same schema, its metadata, other columns and row groups."""
        with pyarrow("pyarrow.parquet").ParquetWriter(out, self._groups.schema) as writer:
            for group in range(len(self._groups.counts)):
                for table in self.rewritten(group, staged):
                    writer.write_table(table, row_group_size=max(1, table.num_rows))

    def close(self) -> None:
        self._groups.file.close()


class Bare(Packable):
    """A .parquet without pictures among shards that have some, such as what img2dataset says of each.

    reason: why it is no collection by itself.
    """

    kind: ClassVar[str] = "parquet without pictures"

    def __init__(self, path: Path, reason: NoPictures) -> None:
        self.path, self.items, self.reason, self._groups = path, (), reason, _groups(path)

    def read(self, item: Item) -> bytes:
        raise Refused("the table has no pictures")

    def label(self, item: Item) -> str | None:
        return None

    def kept(self) -> str | None:
        with refusing("cannot be read from the table"):
            return columns.kept(self._groups.schema, self._tables())

    def pack(self, out: Path, staged: Staged) -> None:
        with pyarrow("pyarrow.parquet").ParquetWriter(out, self._groups.schema) as writer:
            for table in self._tables():
                writer.write_table(table, row_group_size=max(1, table.num_rows))

    def close(self) -> None:
        self._groups.file.close()

    def _tables(self) -> Iterator[Any]:
        return map(self._groups.table, range(len(self._groups.counts)))


def _groups(path: Path) -> "_Groups":
    try:
        return _Groups(pyarrow("pyarrow.parquet").ParquetFile(path))
    except (pyarrow().ArrowException, OSError) as error:
        raise ValueError(f"SRC {str(path)!r} is not a readable parquet file: {error}") from error


class _Groups:
    """The row groups of a file; of the pictures, the last two stay in memory."""

    def __init__(self, file: Any) -> None:
        self.file, self.schema = file, file.schema_arrow
        self.counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        self._kept: OrderedDict[tuple[int, str], Any] = OrderedDict()

    def column(self, chunk: int, name: str, field: str | None = None) -> Any:
        leaf = f"{name}.{field}" if field else name
        if (chunk, leaf) not in self._kept:
            while len(self._kept) >= _GROUPS_IN_MEMORY:
                self._kept.popitem(last=False)
            self._kept[chunk, leaf] = self.file.read_row_group(chunk, columns=[leaf]).column(0)
        return self._kept[chunk, leaf]

    def table(self, chunk: int) -> Any:
        return self.file.read_row_group(chunk)

    def others(self, chunk: int, name: str) -> Any:
        return self.file.read_row_group(chunk, columns=[other for other in self.schema.names if other != name])

    def complete(self, chunk: int, name: str, field: str | None = None) -> bool:
        group, leaf = self.file.metadata.row_group(chunk), f"{name}.{field}" if field else name
        columns = (group.column(i) for i in range(group.num_columns))
        found = next((c.statistics for c in columns if c.path_in_schema == leaf), None)
        return found is not None and found.has_null_count and found.null_count == 0
