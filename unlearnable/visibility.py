"""Whether a change shows: on flat areas, such as a sky or paper, where no texture hides it."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float32
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from unlearnable.files.pictures.picture import Samples
from unlearnable.pixels import Depth, Pixels, in_levels, to_float

NOTICEABLE = 2.3
"""CIELAB units: the difference of two colours that is just noticed (Mahy, Van Eycken, Oosterlinck: Evaluation of
uniform color spaces developed after the adoption of CIELAB and CIELUV, Color Research and Application 19, 1994)."""
_CELLS = 128  # along the longer side: where that spans 12 degrees, about as coarse as S-CIELAB's filters for colour
_WINDOW = 5  # cells a side
_FLAT = in_levels(3)
_ENOUGH = 0.05
_BAND = 1 << 16
_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))  # of sRGB, IEC 61966-2-1
Colours = Float32[Tensor, "m 3"]


def flat_step(before: Samples, after: Samples, depth: Depth, alpha: NDArray[np.uint8] | None = None) -> float | None:
    """How far apart two places in the flat areas of a picture were moved: root mean square, in CIELAB units.

    From `NOTICEABLE` on the change shows there; None where less than a twentieth of the picture is flat. Flat is where
    the samples' standard deviation is below 3 of 255 levels in a window of about a 25th of the longer side. What is
    finer than a 128th of that side is averaged, as the eye averages it (S-CIELAB: Zhang, Wandell, SID 1996), and
    what moves all of the flat areas alike is no step. Colours count as sRGB, whatever profile the picture has.

    before, after: (h, w, c) as stored at that depth, c = 1 or 3; alpha: (h, w), where it is below a half nothing shows.
    """
    height, width = before.shape[:2]
    side = -(-max(height, width) // _CELLS)
    cell = min(side, height), min(side, width)
    was = _cells(before, cell, depth)
    flat = _flat(was, before, cell, depth)
    if alpha is not None:
        flat &= _cells(alpha[..., None], cell, 8)[0, 0] >= 0.5
    if flat.float().mean() < _ENOUGH:
        return None
    first, second = (_lab(cells[0, :, flat].T.expand(-1, 3)) for cells in (was, _cells(after, cell, depth)))
    moved = second - first
    return math.sqrt(2 * float((moved - moved.mean(0)).square().sum(1).mean()))


def _flat(mean: Pixels, planes: Samples, cell: tuple[int, int], depth: Depth) -> Bool[Tensor, "h w"]:
    """Where the window round a cell is flat; judged by green, which carries most of what the eye sees as detail."""
    green = mean.shape[1] // 2
    squares = _cells(planes[..., green : green + 1], cell, depth, squared=True)
    both = torch.cat([mean[:, green : green + 1], squares], 1)
    one, two = F.avg_pool2d(both, _WINDOW, 1, _WINDOW // 2, count_include_pad=False)[0]
    flat: Tensor = two - one.square() < _FLAT**2
    return flat


def _cells(planes: Samples, cell: tuple[int, int], depth: Depth, squared: bool = False) -> Pixels:
    """(1, c, rows, columns): the mean of the samples, or of their squares, in every whole cell of so many pixels."""
    down, width = cell[0], planes.shape[1]
    tall = down * max(1, _BAND // (down * width))
    found = []
    for top in range(0, planes.shape[0] - down + 1, tall):
        band = torch.from_numpy(planes[top : top + tall].copy()).permute(2, 0, 1)[None]
        values = to_float(band, depth)
        found.append(F.avg_pool2d(values.square() if squared else values, cell))
    return torch.cat(found, 2)


def _lab(rgb: Colours) -> Colours:
    """CIELAB of sRGB colours in 0..1, for the white D65."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(_XYZ)
    x, y, z = (linear @ (matrix / matrix.sum(1, keepdim=True)).T).T
    x, y, z = (
        torch.where(v > (6 / 29) ** 3, v.clamp_min(1e-9) ** (1 / 3), v * (29 / 6) ** 2 / 3 + 4 / 29) for v in (x, y, z)
    )
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)
