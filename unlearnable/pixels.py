"""Pixels: 8-bit images, their 0..1 form, and the only way from a proposal back to 8 bits.

Nothing else in the package knows how many grey levels there are, or converts to integers.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float32, Int64, Integer, Shaped, UInt8
from numpy.typing import NDArray
from torch import Tensor

Bytes = UInt8[Tensor, "n c h w"]  # 0..255 as stored, RGB order
Pixels = Float32[Tensor, "n c h w"]  # 0..1
Labels = Int64[Tensor, " n"]  # -1 = unknown
PART = 512  # so many images are looked at together: never a whole collection in 32 bits
Index = Int64[Tensor, " n"]  # row in the ImageSet
Stored = Integer[Tensor, "n c h w"]  # as stored, any bit depth: uint8, or int32 for 16-bit pictures
Packed = Shaped[Tensor, "n c h w"]  # changes as they are kept: see `packing`

Norm = Literal["linf", "l2", "none"]
Depth = Literal[8, 16]
_NUMBER = re.compile(r"[+-]?[\d.]{1,25}(e[+-]?\d{1,3})?(/\d{1,9})?", re.IGNORECASE)
_TIE = 1e-6  # absorbs the error of eps such as 8/255, which is not a binary fraction


@dataclass(frozen=True)
class Budget:
    """How far a protected image may lie from the original, in units of the 0..1 range.

    linf: no value changes by more than eps. l2: the root mean square change over an image is at most eps
    (an L2 radius r of a c*h*w image is eps = r / sqrt(c*h*w), so that a budget means the same at every size).
    none: unbounded. Raises ValueError for an unknown norm or an eps outside 0..1.
    """

    norm: Norm
    eps: float

    def __post_init__(self) -> None:
        if self.norm not in get_args(Norm):
            raise ValueError(f"norm must be one of {', '.join(get_args(Norm))}, got {self.norm!r}")
        if not 0 <= self.eps <= 1:
            raise ValueError(f"eps is a fraction of the full range, 0 to 1 (for example 8/255), got {self.eps!r}")

    def __str__(self) -> str:
        return "none" if self.norm == "none" else eps_text(self.eps)


LINF8 = Budget("linf", 8 / 255)
UNBOUNDED = Budget("none", 1.0)


def eps_text(eps: float) -> str:
    """8/255 for 0.03137..., the decimal itself where it is no whole number of levels."""
    levels = Fraction(eps * 255).limit_denominator(100)
    return f"{levels}/255" if levels.denominator == 1 and abs(levels - eps * 255) < _TIE else f"{eps:g}"


def parse_eps(text: str | float) -> float:
    """'8/255' or '0.03' as a number of the 0..1 range. Raises ValueError with what is allowed."""
    try:
        plain = str(text).replace(" ", "")
        if not _NUMBER.fullmatch(plain):  # 1e999999999 would be worked out to its last digit
            raise ValueError(plain)
        eps = float(Fraction(plain))
    except (ValueError, ArithmeticError):  # 1/0, 1e400
        raise ValueError(f"eps must be a fraction such as 8/255 or a number from 0 to 1, got {text!r}") from None
    return Budget("linf", eps).eps


def eight_bit(samples: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Samples of a picture file as 8 bits, as a screen or a network sees them: of 16-bit ones the high byte."""
    return (samples >> 8).astype(np.uint8) if samples.dtype == np.uint16 else samples.astype(np.uint8, copy=False)


def to_float(images: Stored, depth: Depth = 8) -> Pixels:
    """Stored integers as 0..1."""
    return images.to(torch.float32) / _peak(depth)


def project(delta: Pixels, budget: Budget) -> Pixels:
    """The nearest perturbation inside the budget, before any rounding."""
    if budget.norm == "linf":
        return delta.clamp(-budget.eps, budget.eps)
    if budget.norm == "l2":
        return delta * (budget.eps / _rms(delta).clamp_min(1e-12)).clamp_max(1.0)
    return delta


def release(images: Stored, proposed: Pixels, budget: Budget, depth: Depth = 8) -> Stored:
    """The protected images as integers: the change projected, rounded to nearest, and within budget *after* rounding.

    images: (n, c, h, w) as stored; proposed: the same shape in 0..1, may lie outside it; returns the dtype of images.
    Raises ValueError where the shapes differ or a proposed value is not finite.
    """
    if images.shape != proposed.shape:
        raise ValueError(f"proposed images have shape {tuple(proposed.shape)}, the originals {tuple(images.shape)}")
    if not torch.isfinite(proposed).all():
        raise ValueError("proposed images hold values that are not finite")
    stored = images.to(torch.int32)
    delta = project(proposed - to_float(stored, depth), budget) * _peak(depth)
    if budget.norm == "linf":
        cap = level_cap(budget, depth)
        steps = delta.round().clamp(-cap, cap)
    elif budget.norm == "l2":
        steps = _round_within(delta, budget.eps * _peak(depth))
    else:
        steps = delta.round()
    return (stored + steps.to(torch.int32)).clamp(0, _peak(depth)).to(images.dtype)


def level_cap(budget: Budget, depth: Depth = 8) -> int:
    """The largest change of one stored value that the budget allows, in levels of that depth."""
    if budget.norm != "linf":
        return _peak(depth)
    levels = math.floor(255 * budget.eps + _TIE)
    # 256, not 257: a reader that keeps only the high byte must not see a larger change either
    return levels if depth == 8 else levels * 256


def rms_cap(budget: Budget) -> float:
    """The largest root mean square of an image's change that counts as within an L2 budget."""
    return budget.eps * (1 + _TIE)


def in_levels(count: int) -> float:
    """So many levels of 8 bits, in units of the 0..1 range."""
    return count / 255


def levels_changed(before: Stored, after: Stored, depth: Depth = 8) -> int:
    """The largest change of any value, in 8-bit levels, rounded up: what max |delta| is reported as."""
    if before.shape != after.shape:
        raise ValueError(f"cannot compare images of shape {tuple(before.shape)} and {tuple(after.shape)}")
    if before.numel() == 0:
        return 0
    parts = zip(before.split(PART), after.split(PART), strict=True)
    change = max(int((one.to(torch.int32) - other.to(torch.int32)).abs().max()) for one, other in parts)
    return -(-change * 255 // _peak(depth))


def beyond(before: Stored, after: Stored, budget: Budget, depth: Depth = 8) -> bool:
    """Whether a value changed by more than an L-infinity budget allows, or an image by more than an L2 one."""
    if budget.norm != "l2":
        return levels_changed(before, after, depth) > level_cap(budget)
    parts = zip(before.split(PART), after.split(PART), strict=True)
    changes = ((after.to(torch.int32) - before.to(torch.int32)).to(torch.float32) for before, after in parts)
    return any(bool((_rms(change) > rms_cap(budget) * _peak(depth)).any()) for change in changes)


def packing(budget: Budget) -> tuple[torch.dtype, float]:
    """What changes within a budget are kept as, and what 1 stands for there: a byte a value where each is bounded
    (1/127 of the bound, a sixteenth of a grey level at 8/255), half precision where it is not.
    """
    return (torch.int8, max(budget.eps, 1e-9) / 127) if budget.norm == "linf" else (torch.float16, 1.0)


def pack(delta: Pixels, budget: Budget) -> Packed:
    """Changes of 0..1 images as `packing` says, rounded to nearest."""
    kept, unit = packing(budget)
    return (delta / unit).round().clamp(-127, 127).to(kept) if kept is torch.int8 else delta.to(kept)


def unpack(packed: Packed, unit: float) -> Pixels:
    """What was packed, as changes of 0..1 images."""
    return packed.to(torch.float32) * unit


def amplified(before: Bytes, after: Bytes, gain: int = 16) -> Bytes:
    """The change itself as a picture: mid-grey where nothing changed, gain times as large as it is."""
    change = after.to(torch.int32) - before.to(torch.int32)
    return (128 + gain * change).clamp(0, 255).to(torch.uint8)


def _round_within(delta: Pixels, limit: float) -> Pixels:
    """Rounds to nearest; images whose rounding went over the limit are shrunk a little until it does not."""
    steps = delta.round()
    while (over := _rms(steps) > limit * (1 + _TIE)).any():
        delta = torch.where(over, delta * 0.995, delta)
        steps = delta.round()
    return steps


def _rms(delta: Pixels) -> Float32[Tensor, "n 1 1 1"]:
    return delta.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()


def _peak(depth: Depth) -> int:
    return 255 if depth == 8 else 65535
