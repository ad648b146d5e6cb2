"""Before, after, and the change made larger: three small PNGs of a picture, whole or a part at its own size."""

from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from unlearnable.files import Picture, decode, open_collection
from unlearnable.job.manifest import Row
from unlearnable.job.parallel import decoded
from unlearnable.pixels import Bytes, amplified, eight_bit

GAIN = 16
SIDE = 480
_BAND = 256  # rows at once: the change of a large picture takes twelve times its memory


def draw(source: Path, out: Path, row: Row, folder: Path, whole: bool) -> tuple[Path, Path, Path]:
    """The three files, made where they are not there yet. whole: shrunk to `SIDE`, else the middle of the picture.

    Raises `Refused` where the original or what was made of it cannot be read any more.
    """
    folder.mkdir(exist_ok=True)
    kind = "whole" if whole else "part"
    before, after, change = (folder / f"{row.id}-{kind}-{what}.png" for what in ("before", "after", "change"))
    if not change.exists():
        written = row.outcome.output or row.name
        with closing(open_collection(source)) as collection:
            data = collection.read(next(item for item in collection.items if item.name == row.name))
        with decoded(data, row.name) as picture:
            old, new = seen(picture, whole), seen(decode((out / written).read_bytes(), written), whole)
        for path, pixels in ((before, old), (after, new), (change, changed(old, new))):
            image = Image.fromarray(pixels)
            image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
            image.save(path)
    return before, after, change


def seen(picture: Picture, whole: bool) -> NDArray[np.uint8]:
    """(h, w, 3) as a screen shows it: all of it, or the middle at its own size; transparency is not applied."""
    height, width = picture.planes.shape[:2]
    top, left = (0, 0) if whole else (max(0, (height - SIDE) // 2), max(0, (width - SIDE) // 2))
    rows, columns = (slice(0, height), slice(0, width)) if whole else (slice(top, top + SIDE), slice(left, left + SIDE))
    planes = picture.planes[rows, columns]
    shown = eight_bit(planes)
    if picture.mode == "CMYK" and picture.aside is not None:
        inks = np.concatenate((~shown, picture.aside[rows, columns, None]), axis=2)
        return np.array(Image.fromarray(inks, "CMYK").convert("RGB"))
    return np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown


def changed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The change `GAIN` times as large, on mid-grey, band by band."""
    bands = [
        amplified(_tensor(before[top : top + _BAND]), _tensor(after[top : top + _BAND]), GAIN)[0]
        for top in range(0, len(before), _BAND)
    ]
    return torch.cat(bands, dim=1).permute(1, 2, 0).contiguous().numpy()


def _tensor(pixels: NDArray[np.uint8]) -> Bytes:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
