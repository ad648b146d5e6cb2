"""What is measured of a protection besides accuracy, and the flags that doubt a number (docs/flags.md)."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float32
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.files.picture import Samples
from unlearnable.pixels import PART, Budget, Bytes, Depth, Index, Labels, Pixels, beyond, levels_changed, to_float
from unlearnable.run import Run

FLAGS = {
    "undertrained": "the victim of clean data hardly beats guessing: the recipe was measured, not the protection",
    "not-learned": "the victim has not fitted the protected images, and fits clean ones better: more epochs may change "
    "it",
    "peak-differs": "the best epoch is 0.10 or more above the last: stopping early gains the adversary that much",
    "few-seeds": "fewer than three seeds: how far runs differ, often by several points, is not known here",
    "few-test-images": "fewer than 500 test images: the accuracy itself is uncertain by more than two points",
    "diverged": "the loss was no finite number, or what had been learned of the training images was lost again: the "
    "recipe failed, not the data",
    "over-budget": "an image was changed by more than its budget allows",
    "no-effect": "the protected accuracy is within 0.05 of the clean one: nothing was protected against this adversary",
}

_LEAST_LEARNED = 0.1  # of what there is to learn above guessing
NOTICEABLE = 2.3
"""CIELAB units: the difference of two colours that is just noticed (Mahy, Van Eycken, Oosterlinck: Evaluation of
uniform color spaces developed after the adoption of CIELAB and CIELUV, Color Research and Application 19, 1994)."""
_CELLS = 128  # along the longer side: where that spans 12 degrees, about as coarse as S-CIELAB's filters for colour
_WINDOW = 5  # cells a side
_FLAT = 3 / 255
_ENOUGH = 0.05
_BAND = 1 << 16
_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))  # of sRGB, IEC 61966-2-1
Colours = Float32[Tensor, "m 3"]
Points = Float32[Tensor, "n d"]


def psnr(before: Bytes, after: Bytes) -> float:
    """Peak signal-to-noise ratio of a set of images in dB; infinite where nothing changed."""
    parts = zip(before.split(PART), after.split(PART), strict=True)
    total = sum(float((to_float(one) - to_float(other)).square().sum(dtype=torch.float64)) for one, other in parts)
    return -10 * math.log10(total / before.numel()) if total else math.inf


def measured(clean: ImageSet, protected: ImageSet) -> dict[str, float]:
    """max_abs_delta in grey levels and, where anything changed, PSNR in dB of a protected set against its originals."""
    delta = levels_changed(clean.images, protected.images)
    noise = {"psnr": round(psnr(clean.images, protected.images), 2)} if delta else {}
    return {"max_abs_delta": float(delta)} | noise


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


def over_budget(clean: ImageSet, protected: ImageSet, budget: Budget) -> bool:
    """Whether a value changed by more levels than an L-infinity budget allows, or an image by more than an L2 one."""
    return beyond(clean.images, protected.images, budget)


def fell_apart(train_acc: Sequence[float]) -> bool:
    """Whether the accuracy on the training images ended below half of its best: such a network says nothing."""
    return bool(train_acc) and train_acc[-1] < max(train_acc) / 2


def audits(clean: ImageSet, protected: ImageSet, run: Run) -> dict[str, float]:
    """What gives a protection away, each an accuracy on the fifth of the images that the probe did not see.

    separability: of a linear classifier on delta alone, where there is one; 1.0 = the change is a label in disguise.
    detection: of a two-layer network on the protected images (Zhu et al., AAAI 2024, arXiv 2312.08898): high where a
    shallow network fits them far better than it ever fits natural images.
    """

    def shown(rows: Index) -> Points:
        return to_float(protected.images[rows]).flatten(1)

    def changed(rows: Index) -> Points:
        return shown(rows) - to_float(clean.images[rows]).flatten(1)

    found = {"detection": round(_probe(lambda rows: shown(rows) - 0.5, protected.labels, 256, run), 4)}
    if (spread := _deviation(changed, len(clean))) > 0:
        found["separability"] = round(_probe(lambda rows: changed(rows) / spread, protected.labels, 0, run), 4)
    return found


def _deviation(points: Callable[[Index], Points], n: int) -> float:
    """The standard deviation of all values, part by part: never all images in float32 at once."""
    count, total, squares = 0, 0.0, 0.0
    for rows in torch.arange(n).split(PART):
        part = points(rows).double()
        count, total, squares = count + part.numel(), total + float(part.sum()), squares + float(part.square().sum())
    return math.sqrt(max(0.0, squares - total**2 / count) / max(1, count - 1))


def _probe(points: Callable[[Index], Points], labels: Labels, hidden: int, run: Run, epochs: int = 10) -> float:
    """Held-out accuracy of a linear classifier, or of one with a hidden layer. points: of some rows."""
    order = torch.randperm(len(labels), generator=run.rng("probe"))
    held, seen = order[: len(labels) // 5], order[len(labels) // 5 :]
    sizes = (points(order[:1]).shape[1], hidden, int(labels.max()) + 1)
    with run.seeded("probe"):
        if hidden:
            network = nn.Sequential(nn.Linear(*sizes[:2]), nn.ReLU(), nn.Linear(*sizes[1:]))
        else:
            network = nn.Sequential(nn.Linear(sizes[0], sizes[2]))
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    for epoch in range(epochs):
        for rows in run.batches(len(seen), 128, run.rng("probe-order", epoch)):
            loss = F.cross_entropy(network(points(seen[rows])), labels[seen[rows]])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        right = [network(points(rows)).argmax(1) == labels[rows] for rows in held.split(PART)]
        return float(torch.cat(right).float().mean()) if right else math.nan


def doubts(
    *,
    classes: int,
    tests: int,
    seeds: int,
    clean_acc: float,
    protected_acc: float,
    best_acc: float,
    train_acc: float,
    clean_train_acc: float = 1.0,
) -> list[str]:
    """The names of the flags that one comparison earns, in the order of FLAGS.

    train_acc, clean_train_acc: the share that was right on the batches of the last epoch, as the recipe changes them,
    of protected and of clean images: who mixes or attacks its batches is seldom right on either.
    """
    found = {
        "undertrained": clean_acc - 1 / classes < _LEAST_LEARNED * (1 - 1 / classes),
        "not-learned": train_acc < min(0.6, clean_train_acc - 0.05),
        "peak-differs": best_acc - protected_acc >= 0.1,
        "few-seeds": seeds < 3,
        "few-test-images": tests < 500,
        "no-effect": clean_acc - protected_acc < 0.05,
    }
    return [name for name in FLAGS if found.get(name)]
