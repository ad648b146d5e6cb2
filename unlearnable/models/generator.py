"""The generator of perturbations: Poursaeed, Katsman, Gao, Belongie, CVPR 2018, arXiv 1712.02328, from Johnson et al.'s
network for style transfer (ECCV 2016, arXiv 1603.08155). No classifier, hence no line in the table of the zoo.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.models.layers import conv_bn
from unlearnable.pixels import Pixels

Head = Literal["tanh", "clamp", "rms"]
Raw = Float32[Tensor, "n 3 h w"]  # -1..1
_RMS = 0.89  # of eps: 31 dB at 8/255, before rounding


class Generator(nn.Module):
    """Images (n, 3, h, w) in 0..1, or noise, -> (n, 3, h, w) in -1..1, float32, at any height and width.

    width: channels at full size; downs: how often they double while the sides halve; blocks: residual blocks there;
    code: length of the vector that every image brings along, 0 for none. As it stands it is that of One for All;
    Unlearnable Clusters has downs=2, blocks=6, code=0. `forward` raises ValueError where codes and images do not fit.
    """

    def __init__(self, width: int = 64, downs: int = 3, blocks: int = 24, code: int = 512) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(downs + 1)]
        deep = widths[-1]
        self.code, self.multiple = code, 2**downs
        # no normalisation of the input: with mirrored edges the first batch norm undoes any shift and scale of it
        self.stem = nn.Sequential(*mirrored_conv(3, width, 7), nn.ReLU())
        self.down = nn.Sequential(
            *(nn.Sequential(conv_bn(n, 2 * n, stride=2), nn.ReLU()) for n in widths[:-1]),
        )
        self.join = nn.Sequential(*mirrored_conv(deep + code, deep, 3), nn.ReLU()) if code else None
        self.blocks = nn.Sequential(*(Residual(deep) for _ in range(blocks)))
        self.up = nn.Sequential(*(Up(2 * n, n) for n in reversed(widths[:-1])))
        self.out = nn.Sequential(Mirror(3), nn.Conv2d(width, 3, 7))

    def forward(self, x: Pixels, code: Float32[Tensor, "m d"] | None = None) -> Raw:
        if (0 if code is None else code.shape[1]) != self.code or (code is not None and len(code) != len(x)):
            got = "none" if code is None else tuple(code.shape)
            raise ValueError(f"{len(x)} images need codes of shape {(len(x), self.code)} (0: none), got {got}")
        height, width = x.shape[-2:]
        x = mirrored(x, (0, -height % self.multiple), (0, -width % self.multiple))
        hidden = self.down(self.stem(x))
        if self.join is not None and code is not None:
            tiled = code[:, :, None, None].expand(-1, -1, *hidden.shape[-2:])
            hidden = self.join(torch.cat([hidden, tiled.to(hidden)], 1))
        raw: Tensor = self.out(self.up(self.blocks(hidden)))
        return raw[:, :, :height, :width].float().tanh()


class Pattern(nn.Module):
    """One perturbation, said by a generator of the only image it ever gets: (1, 3, h, w), bounded as `bounded` says."""

    noise: Tensor

    def __init__(self, generator: Generator, noise: Pixels, eps: float, head: Head) -> None:
        super().__init__()
        self.generator, self.eps, self.head = generator, eps, head
        self.register_buffer("noise", noise)

    def forward(self) -> Raw:
        return bounded(self.generator(self.noise), self.eps, self.head)


def bounded(raw: Raw, eps: float, head: Head) -> Raw:
    """What a generator says in -1..1 as changes of 0..1 images, none above eps.

    "tanh" scales it by eps; "clamp" cuts it there, as the code of Unlearnable Clusters does: what lies beyond gets no
    gradient; "rms" is "tanh", weaker where the root mean square of an image's changes were above 0.89 eps.
    Raises ValueError for another head.
    """
    if head not in get_args(Head):
        raise ValueError(f"head must be one of {', '.join(get_args(Head))}, got {head!r}")
    if head == "clamp":
        return raw.clamp(-eps, eps)
    if head == "rms":
        raw = raw * (_RMS / raw.square().mean((1, 2, 3), keepdim=True).clamp_min(_RMS**2).sqrt())
    return raw * eps


class Residual(nn.Module):
    """x + two 3 x 3 convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.way = nn.Sequential(*mirrored_conv(width, width, 3), nn.ReLU(), *mirrored_conv(width, width, 3))

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.way(x)
        return changed


class Up(nn.Sequential):
    """(n, inputs, h, w) -> (n, outputs, 2h, 2w)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        conv = nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Mirror(nn.Module):
    """The image with `border` more pixels on every side."""

    def __init__(self, border: int) -> None:
        super().__init__()
        self.border = border

    def forward(self, x: Tensor) -> Tensor:
        return mirrored(x, (self.border, self.border), (self.border, self.border))


def mirrored_conv(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    """A convolution that keeps the size, with mirrored edges, and its batch normalisation."""
    conv = nn.Conv2d(inputs, outputs, kernel, bias=False)
    return [Mirror(kernel // 2), conv, nn.BatchNorm2d(outputs)]


def mirrored(x: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """More rows (above, below) and columns (left, right): mirrored, or repeated where too few are there to mirror."""
    height, width = x.shape[-2:]
    x = F.pad(x, (*columns, 0, 0), mode="reflect" if max(columns) < width else "replicate")
    return F.pad(x, (0, 0, *rows), mode="reflect" if max(rows) < height else "replicate")
