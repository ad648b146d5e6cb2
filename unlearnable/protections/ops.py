"""OPS: one-pixel shortcut. Wu, Chen, Xie, Huang, ICLR 2023, arXiv 2205.12141, algorithm 1.

| paper | here |
|---|---|
| sigma_k, xi_k: where and what the pixel of class k is | `Dots` |
| colours at the corners of the cube, {0, 1}^3 | _COLOURS |
| E / sqrt(Var) of the change, over images and channels | `score` |
| number of pixels, sparsity | pixels |

The pixel changes as far as it can (budget "none"): it shows on smooth pictures. With an eps it is cut to it.

Differs from the paper:
* mean and variance come from two moments of every pixel, so each image is read once, however many colours there are;
* any number of classes and any size; pairs of place and colour go to the classes in order, as published.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from unlearnable.data import ImageSet
from unlearnable.perturbation import check_range, kind
from unlearnable.pixels import UNBOUNDED, Budget, Index, Labels, Pixels, to_float
from unlearnable.protections._fields import Checked
from unlearnable.run import Run

_COLOURS = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
_BATCH = 512


@dataclass(frozen=True)
class OPS(Checked):
    """One pixel, or a few, at the same place and in the same colour in every image of a class.

    Raises ValueError for fewer than 1 pixel; `fit` for more classes than there are pixels and colours, or a class
    without an image.
    """

    needs_labels = True
    needs_images: ClassVar[bool] = True
    transfers: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    budget: Budget = field(default=UNBOUNDED)
    pixels: int = 1

    def fit(self, data: ImageSet, run: Run) -> "Dots":
        """For each class the places and colours whose change is large and the same in its images."""
        room = len(_COLOURS) * data.size**2
        if (wanted := len(data.classes) * self.pixels) > room:
            raise ValueError(
                f"{len(data.classes)} classes of {self.pixels} pixels need {wanted} pairs of place and colour, at "
                f"{data.size} px there are {room}: take fewer pixels or classes"
            )
        taken = torch.zeros(room, dtype=torch.bool)
        chosen = torch.zeros(len(data.classes), self.pixels, dtype=torch.int64)
        for label, name in enumerate(data.classes):
            mine = (data.labels == label).nonzero()[:, 0]
            if not len(mine):
                raise ValueError(f"class {name!r} has no image: OPS looks for a pixel in the images of each class")
            chosen[label] = score(data, mine).flatten().masked_fill(taken, -1.0).topk(self.pixels).indices
            taken[chosen[label]] = True
        return Dots(chosen, data.size)


@kind
@dataclass(frozen=True, eq=False)
class Dots:
    """x with some pixels of its class in a colour. places: (colour * size + row) * size + column, for each class."""

    places: Int64[Tensor, "k m"]
    size: int

    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels:
        check_range(labels, len(self.places), "label")
        colour, where = self.places[labels] // self.size**2, self.places[labels] % self.size**2
        values = _COLOURS[colour].to(x).transpose(1, 2)
        return x.flatten(2).scatter(2, where[:, None].expand(-1, 3, -1).to(x.device), values).view(x.shape)


def score(data: ImageSet, rows: Index) -> Float64[Tensor, "8 s s"]:
    """Mean of the change over its standard deviation, over images and channels, for every colour and place."""
    first, second = torch.zeros(2, 3, data.size, data.size, dtype=torch.float64)
    for part in rows.split(_BATCH):
        x = to_float(data.images[part]).double()
        first, second = first + x.mean(0) * len(part) / len(rows), second + x.square().mean(0) * len(part) / len(rows)
    up = _COLOURS.double()[:, :, None, None]  # the change of a channel is x towards 0, 1 - x towards 1
    mean = (up * (1 - first) + (1 - up) * first).mean(1)
    square = (up * (1 - 2 * first + second) + (1 - up) * second).mean(1)
    found: Tensor = mean / (square - mean.square()).clamp_min(1e-12).sqrt()
    return found
