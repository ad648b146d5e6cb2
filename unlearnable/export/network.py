"""A generator and its encoder as one network whose every step, resizing too, is arithmetic that ONNX knows."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unlearnable.encoders import Mini, encoder
from unlearnable.models.generator import bounded
from unlearnable.protections._generated import Generated

Side = Any  # an int, or what stands for one while a network is traced
Filter = Callable[[Tensor], Tensor]


class Whole(nn.Module):
    """A view (1, 3, side, side) in 0..1, of any side, -> its change, of the same shape, in 0..1 units, within eps.

    What `Generated` adds to the view, up to rounding. Raises ValueError where the encoder is not to be had, or is none
    that can be written as ONNX.
    """

    def __init__(self, found: Generated) -> None:
        super().__init__()
        eyes = encoder(found.encoder, fetch=False)  # one of its own: its resizing is changed
        if not isinstance(eyes, Mini):
            raise ValueError(f"export takes generators whose encoder is a mini, this one's is {found.encoder!r}")
        eyes.network.body.resize = Squashed(eyes.sizes.side)
        self.dual, self.generator = eyes.network, found.network
        self.eyes, self.found = eyes, found

    def forward(self, view: Tensor) -> Tensor:
        found = self.found
        raw = self.generator(resized(view, found.grid, linear), self.eyes.image(view))
        return resized(bounded(raw, found.eps, found.head), view.shape[-1], linear)


class Squashed(nn.Module):
    """`models.layers.Bicubic` of a square image."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return resized(x, self.side, cubic).clamp(0, 1)


def resized(x: Tensor, side: Side, filtered: Filter) -> Tensor:
    """Square images (n, c, s, s) -> (n, c, side, side), antialiased: a product with a matrix for each direction.

    The runtimes' own antialiased resizing is not to be relied on, and PyTorch exports none.
    """
    weights = _weights(x.shape[-1], side, filtered)
    return weights @ x @ weights.T


def linear(distance: Tensor) -> Tensor:
    """The weight of a pixel at that distance, in units of the larger pixels: bilinear."""
    return (1 - distance.abs()).clamp_min(0)


def cubic(distance: Tensor) -> Tensor:
    """The same: bicubic, with the coefficient -1/2 of Pillow and of PyTorch's antialiased form."""
    d = distance.abs()
    near = (1.5 * d - 2.5) * d * d + 1
    far = ((2.5 - 0.5 * d) * d - 4) * d + 2
    return torch.where(d < 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


def _weights(inputs: Side, outputs: Side, filtered: Filter) -> Tensor:
    """(outputs, inputs): what each pixel counts for each; the filter widens where the image shrinks."""
    scale = inputs / outputs
    centres = (torch.arange(outputs) + 0.5) * scale
    distances = (torch.arange(inputs) + 0.5)[None] - centres[:, None]
    weights = filtered(distances / torch.sym_max(scale, 1.0))
    return weights / weights.sum(1, keepdim=True)
