"""One picture protected: what is added to a small view of it, resized to the picture and released there."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from unlearnable import visibility
from unlearnable.files import Picture
from unlearnable.files.pictures.picture import Samples
from unlearnable.perturbation import Perturbation, resized, side_seen
from unlearnable.pixels import UNBOUNDED, Budget, Depth, Stored, levels_changed, release, rms_cap, to_float

IN_ONE_PIECE = 4 << 20
"""Pictures of up to so many pixels are worked on whole, larger ones block by block."""
_BLOCK = 1 << 16  # small enough that its intermediate values stay in the processor's cache

GREY = "grey: changed by the mean of three channels' changes"
"""What is noted of a picture of one channel: much of what most methods change is colour, which it cannot hold."""

Block = tuple[slice, slice]
Delta = Float32[Tensor, "1 c _ _"]  # a change in units of the 0..1 range, at any size


@dataclass(frozen=True, slots=True)
class Change:
    """How far two pictures lie apart. max_delta: the largest change of any value, in 8-bit levels; rms: the root mean
    square change in units of the 0..1 range."""

    max_delta: int
    rms: float

    @property
    def psnr(self) -> float | None:
        """In dB; None where nothing changed."""
        return -20 * math.log10(self.rms) if self.rms else None


def protected(picture: Picture, perturbation: Perturbation, label: int, row: int, budget: Budget) -> Samples:
    """The planes of the picture, (h, w, c), with the perturbation in them and within the budget.

    The perturbation sees the picture squashed to its working size; what it adds there is resized to the picture, never
    the picture itself. A picture that already has the working size gets exactly what `perturbation.apply` gives.
    Raises ValueError where the perturbation knows nothing of that label or row.
    """
    view = picture.view(side_seen(perturbation, *picture.planes.shape[:2]))
    x = to_float(torch.from_numpy(view.transpose(2, 0, 1).copy())[None])
    with torch.no_grad():
        proposed = perturbation(x, torch.tensor([label]), torch.tensor([row]))
    if np.array_equal(view, picture.planes):  # exact by construction: x + (proposed - x) need not be
        return _planes(release(_stored(view), proposed, budget), picture.planes)
    delta = proposed - x
    return add(picture.planes, delta if picture.planes.shape[2] == 3 else delta.mean(1, keepdim=True), budget)


def add(planes: Samples, delta: Delta, budget: Budget, in_one_piece: int = IN_ONE_PIECE) -> Samples:
    """planes (h, w, c) changed by delta (1, c, s, s), resized to (h, w), within the budget.

    Above `in_one_piece` pixels the work is done in blocks, whose values differ from those of the whole by at most one
    rounding step.
    """
    height, width = planes.shape[:2]
    if height * width <= in_one_piece:
        whole = resized(delta, height, width)
        if budget.norm != "l2":  # every value on its own, so that blocks give the same and stay in the cache
            return _in_blocks(planes, lambda block: whole[(..., *block)], budget)
        stored, depth = _stored(planes), _depth(planes)
        return _planes(release(stored, to_float(stored, depth) + whole, budget, depth), planes)
    # what must shrink shrinks at once, by the antialiased filter; the blocks only ever interpolate
    small = resized(delta, min(height, delta.shape[2]), min(width, delta.shape[3]))
    if budget.norm == "l2":
        return _within_l2(planes, small, budget)
    return _in_blocks(planes, lambda block: _part(small, planes, block), budget)


def change(before: Samples, after: Samples) -> Change:
    """Measures the change between planes of one shape and type. Raises ValueError where they have not."""
    if before.shape != after.shape or before.dtype != after.dtype:
        raise ValueError(f"cannot compare {before.dtype} {before.shape} with {after.dtype} {after.shape}")
    kinds = np.iinfo(before.dtype).max + 1
    counts = torch.zeros(kinds, dtype=torch.int64)  # of values by how far they moved: exact, and faster than floats
    for block in _blocks(before):
        distance = np.maximum(after[block], before[block]) - np.minimum(after[block], before[block])
        values = distance if distance.dtype == np.uint8 else distance.astype(np.int32)
        counts += torch.bincount(torch.from_numpy(values.ravel()), minlength=kinds)
    moved = counts.nonzero().to(torch.int32).reshape(-1, 1, 1, 1)
    squares = to_float(moved, _depth(before)).double().square().flatten() @ counts[counts > 0].double()
    levels = levels_changed(torch.zeros_like(moved), moved, _depth(before))
    return Change(levels, math.sqrt(float(squares) / max(1, before.size)))


def shown(picture: Picture, planes: Samples) -> float | None:
    """How much the planes put in place of the picture's show on its flat areas: see `visibility.flat_step`."""
    alpha = picture.aside if picture.mode in ("LA", "RGBA") else None
    return visibility.flat_step(picture.planes, planes, _depth(planes), alpha)


def _within_l2(planes: Samples, small: Delta, budget: Budget) -> Samples:
    """An l2 budget is a mean over the whole picture, so the blocks share one factor, as small as rounding needs it."""
    squares = sum(float(_part(small, planes, b).square().sum()) for b in _blocks(planes))
    share = min(1.0, budget.eps / max(math.sqrt(squares / planes.size), 1e-12))
    while True:
        weak = small * share
        found = _in_blocks(planes, lambda block, weak=weak: _part(weak, planes, block), UNBOUNDED)  # type: ignore[misc]
        if change(planes, found).rms <= rms_cap(budget):
            return found
        share *= 0.995


def _in_blocks(planes: Samples, part: Callable[[Block], Delta], budget: Budget) -> Samples:
    out, depth = np.empty_like(planes), _depth(planes)
    for block in _blocks(planes):
        stored = _stored(planes[block])
        proposed = to_float(stored, depth) + part(block)
        out[block] = _planes(release(stored, proposed, budget, depth), planes)
    return out


def _part(small: Delta, planes: Samples, block: Block) -> Delta:
    """That block of `resized(small, h, w)`, where nothing shrinks."""
    rows, columns = (
        ((2 * torch.arange(part.start, part.stop, dtype=torch.float64) + 1) / whole - 1).float()
        for part, whole in zip(block, planes.shape, strict=False)
    )
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)[None]
    return F.grid_sample(small, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _blocks(planes: Samples) -> Iterator[Block]:
    height, width = planes.shape[:2]
    wide = max(1, min(width, _BLOCK))
    tall = max(1, _BLOCK // wide)
    for top in range(0, height, tall):
        for left in range(0, width, wide):
            yield slice(top, min(top + tall, height)), slice(left, min(left + wide, width))


def _stored(planes: Samples) -> Stored:
    """(1, c, h, w) int32, a copy: samples are read-only, and torch has no arithmetic for uint16."""
    return torch.from_numpy(planes.astype(np.int32)).permute(2, 0, 1)[None]


def _planes(stored: Stored, like: Samples) -> Samples:
    found: Samples = np.ascontiguousarray(stored[0].permute(1, 2, 0).numpy().astype(like.dtype))
    return found


def _depth(planes: Samples) -> Depth:
    return 16 if planes.dtype == np.uint16 else 8
