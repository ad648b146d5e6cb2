"""Taking out one colour. Of no paper: whoever changes pictures along one direction of colour alone, as `uge:blind`
does, is found out from these pictures.

Between neighbouring pixels natural images differ in much the same colours as between larger areas, only less, and in
brightness most. A change along one direction, pixel by pixel or smooth, stands out against that: two covariances say
where, without a label or a clean image. In clean images some direction is taken all the same, and little is lost.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from unlearnable.adversaries._filter import allow
from unlearnable.data import ImageSet
from unlearnable.pixels import Bytes, Pixels, to_float
from unlearnable.run import Run
from unlearnable.training import Purifier

_GREY = 0.8  # cosine to equal parts of red, green and blue from which a direction counts as brightness


@dataclass(frozen=True)
class Decolour(Purifier):
    """Projects the direction of colour whose share of fine differences is largest out of all images, test images too.

    side: of the areas that pixels are compared with. Raises ValueError for one outside 2..16.
    """

    side: int = 2

    def __post_init__(self) -> None:
        allow("side", self.side, 2, 16)

    def __call__(self, data: ImageSet, run: Run) -> Pixels:
        return self.for_test(data)(data, run)

    def for_test(self, data: ImageSet) -> "Without":
        unit = standing_out(data.images, self.side)
        return Without((0.0, 0.0, 0.0) if unit is None else (float(unit[0]), float(unit[1]), float(unit[2])))


@dataclass(frozen=True)
class Without(Purifier):
    """Images without what they have of a colour, a vector of length 1; as they are for one of length 0."""

    colour: tuple[float, float, float]

    def __call__(self, data: ImageSet, run: Run) -> Pixels:
        x, unit = to_float(data.images), torch.tensor(self.colour)
        return x - torch.einsum("nchw,c->nhw", x, unit)[:, None] * unit[:, None, None]


def standing_out(images: Bytes, side: int) -> Float32[Tensor, "3"] | None:
    """The direction of colour, of length 1, whose differences between pixels are largest for those between areas of
    `side` pixels; brightness is passed over. None where images are too small to say, or not in colour.
    """
    if images.shape[1] != 3 or min(images.shape[2:]) < 2 * side:
        return None
    fine, coarse = (_differences(images, area) for area in (1, side))
    if torch.linalg.eigvalsh(coarse)[1] <= 1e-6 * coarse.trace():
        return None
    root = torch.linalg.cholesky(coarse + 1e-6 * coarse.trace() * torch.eye(3, dtype=coarse.dtype))
    half = torch.linalg.solve_triangular(root, fine, upper=False)
    _, filters = torch.linalg.eigh(torch.linalg.solve_triangular(root, half.T, upper=False))  # the largest share last
    # a filter has the largest share; the colour that was added is what it picks out
    found = F.normalize(root @ filters, dim=0).float().T.flip(0)
    colours: list[Tensor] = [colour for colour in found if abs(float(colour.sum())) * 3**-0.5 <= _GREY]
    return colours[0] if colours else None


def _differences(images: Bytes, side: int) -> Tensor:
    """The covariance (3, 3) of the colours of differences between neighbouring areas, in double precision."""
    total, count = torch.zeros(3, 3, dtype=torch.float64), 0
    for some in images.split(1000):
        part = F.avg_pool2d(to_float(some), side)
        for step in (part[..., 1:] - part[..., :-1], part[..., 1:, :] - part[..., :-1, :]):
            flat = step.transpose(0, 1).flatten(1).double()
            total, count = total + flat @ flat.T, count + flat.shape[1]
    return total / max(1, count)
