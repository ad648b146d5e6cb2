"""Folders made for the tests of the job, and what they look at afterwards."""

import hashlib
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

from unlearnable.job import Job, Summary, protect
from unlearnable.run import Run


@cache
def photograph(name: str = "china.jpg") -> Image.Image:
    return Image.fromarray(load_sample_image(name))


def crop(number: int, width: int = 90, height: int = 60) -> Image.Image:
    """A piece of one of two real photographs, another one for every number."""
    source = photograph("china.jpg" if number % 2 else "flower.jpg")
    left, top = (number * 37) % (source.width - width), (number * 23) % (source.height - height)
    return source.crop((left, top, left + width, top + height))


def noise(number: int, side: int = 32) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8))


def put(path: Path, content: Image.Image | bytes, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content.save(path, **options)
    return path


def folder(root: Path, count: int = 8, make: Callable[[int], Image.Image] = noise) -> Path:
    """`count` PNG pictures in two class folders."""
    for number in range(count):
        put(root / ("cat" if number % 2 else "dog") / f"{number:03d}.png", make(number))
    return root


def flat(root: Path, count: int = 8, make: Callable[[int], Image.Image] = noise) -> Path:
    for number in range(count):
        put(root / f"{number:03d}.png", make(number))
    return root


def packed(source: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(source.rglob("*")):
            file.write(path, path.relative_to(source))
    return archive


def tree(root: Path) -> dict[str, str]:
    """Name -> hash of every file below a folder but for the bookkeeping."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and ".unlearnable" not in path.parts)
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def everything(root: Path) -> dict[str, tuple[str, int]]:
    """All below a folder: name -> (hash, time of change)."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(p): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files}


def job(source: Path, destination: Path, seed: int = 0, method: str = "lsp", **options: object) -> Summary:
    return protect(Job(source, destination, method, **options), Run(seed=seed, device="cpu", precision="fp32"))


def manifest(
    root: Path, columns: str = "name, status, label, output, source_sha256, output_sha256, max_delta, psnr, notes"
):
    with closing(sqlite3.connect(root / ".unlearnable" / "manifest.sqlite")) as db:
        return db.execute(f"SELECT {columns} FROM files ORDER BY id").fetchall()


def samples(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def stored(image: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
