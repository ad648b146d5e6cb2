"""A small generator of perturbations, for a processor core: a U-Net (Ronneberger et al., arXiv 1505.04597) that a code
is joined to at the bottleneck, as in One for All, and that scales and shifts its features (FiLM, arXiv 1709.07871).
"""

import math

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.models.layers import conv_bn
from unlearnable.pixels import Pixels

_CELLS = 4
_FAINT = 0.03  # of the strongest direction: what is fainter is not blown up further
_GAIN = 2.0  # so that the first perturbations are strong enough to be learned from


class Coded(nn.Module):
    """Images (n, 3, h, w) in 0..1 and codes (n, code) -> (n, 3, h, w) in -1..1, float32; h and w multiples of 8.

    Unlike a code tiled over the bottleneck, this one is laid out on 4 x 4 cells: what it says may differ from place to
    place. Before that it is whitened: `whiten` sets how. Raises ValueError for other sides.
    """

    mean: Tensor
    whitening: Tensor

    def __init__(self, width: int = 32, code: int = 256, whitened: int = 128) -> None:
        super().__init__()
        whitened = min(whitened, code)
        self.register_buffer("mean", torch.zeros(code))
        self.register_buffer("whitening", torch.eye(code, whitened))
        self.down = nn.ModuleList(
            _layer(inputs, outputs, 2) for inputs, outputs in ((3, width), (width, 2 * width), (2 * width, 4 * width))
        )
        self.laid_out = nn.Sequential(nn.Linear(whitened, 256), nn.ReLU(), nn.Linear(256, 4 * width * _CELLS**2))
        self.join = _layer(8 * width, 4 * width)
        self.up = nn.ModuleList([_layer(4 * width, 2 * width), _layer(4 * width, width), _layer(2 * width, width)])
        self.told = nn.ModuleList(nn.Linear(whitened, 2 * n) for n in (4 * width, 2 * width, width))
        self.out = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Pixels, code: Float32[Tensor, "n d"]) -> Pixels:
        if x.shape[-2] % 8 or x.shape[-1] % 8:
            raise ValueError(f"height and width must be multiples of 8, got {tuple(x.shape[-2:])}")
        code = self.seen(code)
        fine = self.down[0](2 * x - 1)
        middle = self.down[1](fine)
        deep = self.down[2](middle)
        cells = self.laid_out(code).unflatten(1, (-1, _CELLS, _CELLS)).to(deep)
        cells = F.interpolate(cells, size=deep.shape[-2:], mode="bilinear", align_corners=False)
        hidden = self._telling(0, self.join(torch.cat([deep, cells], 1)), code)
        hidden = self._telling(1, self.up[0](_larger(hidden)), code)
        hidden = self._telling(2, self.up[1](_larger(torch.cat([hidden, middle], 1))), code)
        hidden = self.up[2](_larger(torch.cat([hidden, fine], 1)))
        said: Tensor = (_GAIN * self.out(hidden).float()).tanh()
        return said

    def whiten(self, codes: Float32[Tensor, "n d"]) -> None:
        """From now on codes count in the directions in which these vary most, in each by how rare they are."""
        self.mean.copy_(codes.mean(0))
        values, vectors = torch.linalg.eigh((codes - self.mean).T @ (codes - self.mean) / len(codes))
        kept = self.whitening.shape[1]
        spread = (values[-kept:].clamp_min(0) / values[-1].clamp_min(1e-12)).sqrt()  # relative: half precision holds it
        self.whitening.copy_(vectors[:, -kept:] / (spread + _FAINT))

    def seen(self, code: Float32[Tensor, "n d"]) -> Float32[Tensor, "n w"]:
        """Codes as the generator takes them: whitened, each value about 1 in size; float32 whatever else is."""
        with torch.autocast(code.device.type, enabled=False):
            white = (code - self.mean) @ self.whitening
        return F.normalize(white, dim=1) * math.sqrt(white.shape[1])

    def _telling(self, place: int, hidden: Tensor, code: Tensor) -> Tensor:
        gain, shift = self.told[place](code)[:, :, None, None].chunk(2, 1)
        told: Tensor = hidden * (1 + gain) + shift
        return told


def _layer(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(conv_bn(inputs, outputs, stride=stride), nn.ReLU())


def _larger(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
