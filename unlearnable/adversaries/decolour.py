"""Taking out one colour. Of no paper: whoever changes pictures along one direction of colour alone, as `uge:blind`
does, is found out from these pictures.

Between neighbouring pixels natural images differ in much the same colours as between larger areas, only less. What was
added along one direction, pixel by pixel, stands out against that: two covariances say where, without a label or a
clean image.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from unlearnable.adversaries._filter import allow
from unlearnable.data import ImageSet
from unlearnable.pixels import Pixels, to_float
from unlearnable.run import Run
from unlearnable.training import Purifier


@dataclass(frozen=True)
class Decolour(Purifier):
    """Projects the direction out of every image whose share of fine differences stands out most; its mean stays.

    side: of the areas that pixels are compared with; least: how many times the next direction's share the largest must
    be, or the images stay as they are: clean ones have about 1.2. Raises ValueError for a side outside 2..16, or a
    least below 1.
    """

    side: int = 2
    least: float = 2.0

    def __post_init__(self) -> None:
        allow("side", self.side, 2, 16)
        allow("least", self.least, 1.0, 1e6)

    def __call__(self, data: ImageSet, run: Run) -> Pixels:
        x = to_float(data.images)
        unit, stands_out = standing_out(x, self.side)
        if stands_out < self.least:
            return x
        along = torch.einsum("nchw,c->nhw", x, unit)
        return x - (along - along.mean())[:, None] * unit[:, None, None]


def standing_out(x: Pixels, side: int) -> tuple[Float32[Tensor, "3"], float]:
    """The direction of colour, of length 1, whose share of fine differences is largest, and how many times the next's.

    1 where images are too small or too plain to say.
    """
    grey = torch.full((3,), 3**-0.5)
    if x.shape[1] != 3 or min(x.shape[2:]) < 2 * side:
        return grey, 1.0
    fine, coarse = _differences(x), _differences(F.avg_pool2d(x, side))
    floor = 1e-6 * coarse.trace() + 1e-12
    root = torch.linalg.cholesky(coarse + floor * torch.eye(3, dtype=coarse.dtype))
    whitened = torch.linalg.solve_triangular(
        root, torch.linalg.solve_triangular(root, fine, upper=False).T, upper=False
    )
    shares, directions = torch.linalg.eigh(whitened)
    # what maximises the share is a filter; the colour that was added is what it picks out
    found = F.normalize(root @ directions[:, -1], dim=0).float()
    return found, float(shares[-1] / shares[-2].clamp_min(1e-12))


def _differences(x: Pixels) -> Tensor:
    """The covariance (3, 3) of the colours of differences between neighbours, in double precision."""
    total, count = torch.zeros(3, 3, dtype=torch.float64), 0
    for part in x.split(1000):
        for step in (part[..., 1:] - part[..., :-1], part[..., 1:, :] - part[..., :-1, :]):
            flat = step.transpose(0, 1).flatten(1).double()
            total, count = total + flat @ flat.T, count + flat.shape[1]
    return total / max(1, count)
