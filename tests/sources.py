"""Collections made for the tests: folders, archives and tables of files with odd names."""

import hashlib
import importlib
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

from unlearnable.files import Collection

ODD_NAMES = ["new\nline.png", "猫/写真.png", "ünï/é.png", "a b/c'd\"e.png", "x" * 246 + ".png", "-rf.png", "b\\c.png",
             "bad\udcff\udc80.png"]  # fmt: skip


def fill(root: Path, names: list[str]) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(hashlib.sha256(os.fsencode(name)).digest())


def content(name: str) -> bytes:
    return hashlib.sha256(os.fsencode(name)).digest()


def names(collection: Collection) -> list[str]:
    return [item.name for item in collection.items]


def problems(collection: Collection) -> dict[str, str]:
    return {item.name: item.problem for item in collection.items if item.problem}


def write_zip(path: Path, members: list[str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in members:
            info = zipfile.ZipInfo("placeholder")
            info.filename = name
            archive.writestr(info, content(name))


def write_tar(path: Path, members: list[tuple[str, bytes | None]], mode: str = "w", link: str = "/etc/passwd") -> None:
    """Regular members, and symbolic links where the content is None."""
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if data is None:
                info.type, info.linkname = tarfile.SYMTYPE, link
                archive.addfile(info)
            else:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


def write_parquet(path: Path, images: list[object], row_group_size: int = 2, column: str = "image") -> None:
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    binary = column == "img"
    kind = arrow.binary() if binary else arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    table = arrow.table({"id": list(range(len(images))), column: arrow.array(images, kind),
                         "label": arrow.array([i % 3 - 1 for i in range(len(images))], arrow.int64())})  # fmt: skip
    features = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}, column: {"_type": "Image"}}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}}), "mine": "kept"})
    parquet.write_table(table, path, row_group_size=row_group_size)
