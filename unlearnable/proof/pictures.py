"""What the eye and a few operations find between originals and protected pictures, pair by pair."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import kornia
import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from unlearnable.adversaries import HANDLING
from unlearnable.files import Collection, Item, decode, open_collection
from unlearnable.files.pictures.picture import Samples
from unlearnable.job.manifest import Row
from unlearnable.job.parallel import decoded, results
from unlearnable.pixels import Bytes, eight_bit, to_float
from unlearnable.proof.survival import Left, left, table
from unlearnable.run import Run

_WINDOW, _REACH = 11, 5
_BAND = 1 << 18
_MIDDLE = 1024  # of larger pictures only the middle goes through the operations
_BLOCK = 16  # JPEG's, with its colours at half the size: the middle begins where one begins


@dataclass(frozen=True)
class Compared:
    """What was found on some of the pictures. ssim, lowest_ssim: None where all are smaller than the window of 11."""

    pictures: int
    ssim: float | None
    lowest_ssim: float | None
    survival: tuple[Left, ...]


def compared(source: Path, destination: Path, rows: Sequence[Row], run: Run) -> Compared:
    """SSIM, and what is left after every operation of `HANDLING`, of these rows of a manifest, whose outputs and
    originals are what they were.
    """
    similar: list[float] = []
    kept: dict[str, list[Float32[Tensor, "2 1"]]] = {name: [] for name in HANDLING}
    with ExitStack() as stack:
        originals, outputs = (stack.enter_context(closing(open_collection(path))) for path in (source, destination))
        found = stack.enter_context(closing(results(_Pair.of(originals, outputs, run), rows, run)))
        for done, (same, survived) in enumerate(found, 1):
            run.report("compare", done, len(rows))
            similar += [] if same is None else [same]
            for name, one in survived.items():
                kept[name].append(one)
    whole = {name: torch.cat(parts, 1) for name, parts in kept.items() if parts}
    average, lowest = (round(mean(similar), 4), round(min(similar), 4)) if similar else (None, None)
    return Compared(len(rows), average, lowest, tuple(table(whole)))


@dataclass(frozen=True, eq=False)
class _Pair:
    originals: Collection
    outputs: Collection
    sources: dict[str, Item]
    written: dict[str, Item]
    run: Run

    @classmethod
    def of(cls, originals: Collection, outputs: Collection, run: Run) -> "_Pair":
        sources, written = ({item.name: item for item in reversed(held.items)} for held in (originals, outputs))
        return cls(originals, outputs, sources, written, run)

    def __call__(self, row: Row) -> tuple[float | None, dict[str, Float32[Tensor, "2 1"]]]:
        output = row.outcome.output or row.name
        data = self.originals.read(self.sources[row.name])
        written = self.outputs.read(self.written[output])
        with decoded(data, row.name) as picture:
            before, after = picture.planes, decode(written, output).planes[..., : picture.planes.shape[2]]
            same = ssim(before, after) if min(before.shape[:2]) >= _WINDOW else None
            pair = _bytes(_middle(before)), _bytes(_middle(after))
            return same, {name: left(*pair, operation, self.run) for name, operation in HANDLING.items()}


def ssim(before: Samples, after: Samples) -> float:
    """Structural similarity of pictures (h, w, c) with the 11 x 11 Gaussian window of Wang et al., IEEE TIP 2004, mean
    over the colours; band by band, which gives what the whole would. 16-bit pictures by their high byte.
    """
    height, width = before.shape[:2]
    tall, total = max(64, _BAND // width), 0.0
    for top in range(0, height, tall):
        start, end = max(0, top - _REACH), min(height, top + tall + _REACH)
        one, other = (to_float(_bytes(planes[start:end])) for planes in (before, after))
        found = kornia.metrics.ssim(one, other, _WINDOW)[:, :, top - start : top - start + tall]
        total += float(found.double().sum())
    return float(total / (3 * height * width))


def _middle(planes: Samples) -> Samples:
    rows, columns = (_part(side) for side in planes.shape[:2])
    return planes[rows, columns]


def _part(side: int) -> slice:
    start = max(0, side - _MIDDLE) // 2 // _BLOCK * _BLOCK
    return slice(start, start + _MIDDLE)


def _bytes(planes: Samples) -> Bytes:
    """(1, 3, h, w) of (h, w, c) samples."""
    eight = eight_bit(planes)
    colours = np.repeat(eight, 3, axis=2) if eight.shape[2] == 1 else eight
    return torch.from_numpy(colours.transpose(2, 0, 1).copy())[None]


def chosen(rows: Iterator[Row], count: int, most: int) -> list[Row]:
    """Up to `most` of `count` rows, evenly spaced."""
    wanted = {place * count // min(most, count) for place in range(min(most, count))}
    return [row for place, row in enumerate(rows) if place in wanted]
