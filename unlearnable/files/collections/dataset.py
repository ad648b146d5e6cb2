"""Folders written by `save_to_disk` of Hugging Face `datasets`: Arrow files, one set of them or one for each split."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from unlearnable.files.collections.collection import Collection, Packable, Staged
from unlearnable.files.collections.digests import digest, pyarrow
from unlearnable.files.collections.folder import Folder, inside, listed
from unlearnable.files.collections.item import BOOKKEEPING, Item, is_card
from unlearnable.files.collections.parts import Parts, staged_of
from unlearnable.files.collections.tables import Rows
from unlearnable.files.copying import hashed
from unlearnable.files.formats import is_picture_name
from unlearnable.files.refused import Refused

_SPLITS, _INFO, _STATE = "dataset_dict.json", "dataset_info.json", "state.json"
_OF_THE_ORIGINALS = ("download_checksums", "download_size", "dataset_size", "size_in_bytes", "post_processing_size")
_CACHE = re.compile(r"(^|/)(cache-[^/]*\.arrow|tmp[^/]*)$")  # what `map` keeps, and what it had begun
_END = b"\xff\xff\xff\xff\0\0\0\0"


class Dataset(Parts):
    """A data set with its splits; what a `map` left beside it (cache-*.arrow) is no part of it."""

    kind: ClassVar[str] = "data set of save_to_disk"
    folder: ClassVar[bool] = True

    def __init__(self, path: Path) -> None:
        with ExitStack() as stack:
            parts: dict[str, Collection] = {}
            for name in _splits(path):
                parts[name] = _Split(inside(path, path / name), path)
                stack.callback(parts[name].close)
            super().__init__(path, parts)
            self._beside = _beside(path, parts)
            stack.pop_all()

    def pack(self, out: Path, staged: Staged) -> None:
        """Writes it again: same features, splits, file names and metadata, but for what was of the originals alone."""
        out.mkdir()
        for name, part in self.parts.items():
            if isinstance(part, Packable):
                part.pack(out / name, staged_of(name, staged))
        if (self.path / _SPLITS).is_file():
            (out / _SPLITS).write_bytes((self.path / _SPLITS).read_bytes())
        for item in self._beside.items:
            (out / item.name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.path / item.name, out / item.name)

    def kept(self) -> str | None:
        """That of the splits, and of the other files, which are looked into as they are read."""
        found = {item.name: self._copied(item) for item in self._beside.items}
        return digest([super().kept(), found]) if found else super().kept()

    def _copied(self, item: Item) -> str:
        try:
            return hashed(self._beside.blocks(item))
        except Refused as reason:
            raise Refused(f"holds {item.name!r} beside the data set, which would be copied, but {reason}") from None

    @classmethod
    def fits(cls, path: Path) -> bool:
        return (path / _SPLITS).is_file() or _Split.fits(path)


class _Split(Rows):
    """One set of Arrow files."""

    kind: ClassVar[str] = "split"
    folder: ClassVar[bool] = True

    def __init__(self, path: Path, root: Path | None = None) -> None:
        root = root or path
        self._state, self._info = (_read(inside(root, path / name)) for name in (_STATE, _INFO))
        if self._state.get("_indices_data_files"):
            raise ValueError(f"SRC {str(path)!r} picks rows by an index: save it again after flatten_indices()")
        names = [_file_name(path, said) for said in self._state.get("_data_files", ())]
        self._files = _Files(path, [inside(root, path / name).name for name in names])
        super().__init__(path, self._files)

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all its files."""
        return _STATE, _INFO, *self._files.chunks_of

    def pack(self, out: Path, staged: Staged) -> None:
        out.mkdir(exist_ok=True)
        seen = hashlib.blake2b(str(self._state.get("_fingerprint")).encode(), digest_size=8)
        for name, chunks in self._files.chunks_of.items():
            with (
                pyarrow().OSFile(str(out / name), "wb") as file,
                pyarrow("pyarrow.ipc").new_stream(file, self._files.schema) as writer,
            ):
                for chunk in chunks:
                    for table in self.rewritten(chunk, staged):
                        writer.write_table(table)
            with open(out / name, "rb") as written:
                seen.update(hashlib.file_digest(written, "blake2b").digest())
        # the name under which `datasets` keeps results of `map`: under the old one it would find those of the originals
        _write(out / _STATE, self._state | {"_fingerprint": seen.hexdigest()})
        _write(out / _INFO, self._carried())

    def _carried(self) -> dict[str, Any]:
        return {key: value for key, value in self._info.items() if key not in _OF_THE_ORIGINALS}

    def kept(self) -> str | None:
        return digest([super().kept(), self._carried()])

    def close(self) -> None:
        pass

    @classmethod
    def fits(cls, path: Path) -> bool:
        return (path / _STATE).is_file() and (path / _INFO).is_file()


class _Files:
    """The record batches of some Arrow files, mapped into memory and not read until they are asked for."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        arrow, ipc = pyarrow(), pyarrow("pyarrow.ipc")
        self._batches: list[Any] = []
        self.chunks_of: dict[str, range] = {}
        self.schema: Any = None
        for name in names:
            try:
                _refuse_cut_short(folder / name)
                table = ipc.open_stream(arrow.memory_map(str(folder / name))).read_all()
            except (arrow.ArrowException, OSError) as error:
                raise ValueError(f"SRC {str(folder / name)!r} is not a readable Arrow file: {error}") from error
            if self.schema is not None and not table.schema.equals(self.schema):
                raise ValueError(
                    f"SRC {str(folder / name)!r} has other columns than {names[0]!r}: damaged, or mixed up"
                )
            self.schema = table.schema if self.schema is None else self.schema
            first = len(self._batches)
            self._batches += table.to_batches()
            self.chunks_of[name] = range(first, len(self._batches))
        if self.schema is None:
            raise ValueError(f"SRC {str(folder)!r} names no data files in {_STATE}: save the data set again")
        self.counts = [batch.num_rows for batch in self._batches]

    def column(self, chunk: int, name: str, field: str | None = None) -> Any:
        return self._batches[chunk].column(name)

    def table(self, chunk: int) -> Any:
        return pyarrow().Table.from_batches([self._batches[chunk]])

    def others(self, chunk: int, name: str) -> Any:
        return self.table(chunk).drop_columns([name])

    def complete(self, chunk: int, name: str, field: str | None = None) -> bool:
        return False  # nulls are looked up in a map of bits, no picture is read for it


def _beside(path: Path, parts: Mapping[str, Collection]) -> Folder:
    """The other files, such as README.md. Raises ValueError for what is not copied anyway: links, pictures."""
    own = {_SPLITS}
    for name, part in parts.items():
        own |= {str(PurePosixPath(name, file)) for file in (part.files if isinstance(part, _Split) else ())}
    items = [
        item for item in listed(path).items
        if item.name not in own and not _CACHE.search(item.name) and not is_card(path / item.name)
    ]  # fmt: skip
    for item in items:
        if item.problem or is_picture_name(item.name):
            reason = item.problem or "which is a picture beside the data set"
            raise ValueError(f"SRC {str(path)!r} holds {item.name!r}, {reason}: move it away")
    return Folder(path, tuple(items))


def _splits(path: Path) -> list[str]:
    if not (path / _SPLITS).is_file():
        return [""]
    names = _read(inside(path, path / _SPLITS)).get("splits")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and _is_name(name) for name in names):
        raise ValueError(f"SRC {str(path / _SPLITS)!r} names no splits: save the data set again")
    return names


def _file_name(folder: Path, said: object) -> str:
    name = said.get("filename") if isinstance(said, dict) else None
    if not isinstance(name, str) or not _is_name(name):
        raise ValueError(
            f"SRC {str(folder / _STATE)!r} names {name!r}, which is no file in it: save the data set again"
        )
    return name


def _is_name(name: str) -> bool:
    return Path(name).name == name and name not in ("", "..", BOOKKEEPING)


def _refuse_cut_short(file: Path) -> None:
    """A stream that ends between two batches looks whole to its reader."""
    with open(file, "rb") as opened:
        opened.seek(max(0, file.stat().st_size - len(_END)))
        if opened.read() != _END:
            raise OSError("it is cut short")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"SRC {str(path)!r} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"SRC {str(path)!r} is no JSON object: save the data set again")
    return found


def _write(path: Path, said: dict[str, Any]) -> None:
    path.write_text(json.dumps(said, indent=2))
