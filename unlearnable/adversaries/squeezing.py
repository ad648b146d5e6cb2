"""ISS: image shortcut squeezing. Liu, Zhao, Larson, ICML 2023, arXiv 2301.13838: greyscale, JPEG, bit depth.

| paper | here |
|---|---|
| Grayscale | Grayscale: training and test images alike, three equal channels |
| JPEG-10 | Jpeg(10): training images, Pillow's encoder and its 4:2:0 chroma |
| BDR | BitDepth(2): training images, `bits` bits a channel |

Differs from the paper: bit depth rounds to levels from black to white, evenly apart. The published code posterises: it
keeps the highest bits of a value, which makes training images darker than test images.
"""

import io
from dataclasses import dataclass

import numpy as np
import torch
from kornia.color import rgb_to_grayscale
from PIL import Image

from unlearnable.adversaries._filter import Filter, allow
from unlearnable.data import ImageSet
from unlearnable.pixels import Bytes, Pixels
from unlearnable.run import Run
from unlearnable.training import Purifier


@dataclass(frozen=True)
class Grayscale(Filter):
    """The luma of ITU-R 601 in all three channels, at training and at test."""

    def change(self, x: Pixels) -> Pixels:
        return rgb_to_grayscale(x).expand_as(x)

    def for_test(self, data: ImageSet) -> "Grayscale":
        return self


@dataclass(frozen=True)
class Jpeg(Purifier):
    """Through a JPEG file of `quality` (1 to 95) and back."""

    quality: int = 10

    def __post_init__(self) -> None:
        allow("quality", self.quality, 1, 95)

    def __call__(self, data: ImageSet, run: Run) -> Bytes:
        return torch.stack([self._through_a_file(image) for image in data.images.cpu()])

    def _through_a_file(self, image: torch.Tensor) -> torch.Tensor:
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=self.quality)
        read: torch.Tensor = torch.from_numpy(np.array(Image.open(file)).transpose(2, 0, 1).copy())
        return read


@dataclass(frozen=True)
class BitDepth(Filter):
    """Rounded to 2 ** `bits` equally spaced levels a channel."""

    bits: int = 2

    def __post_init__(self) -> None:
        allow("bits", self.bits, 1, 8)

    def change(self, x: Pixels) -> Pixels:
        steps = (1 << self.bits) - 1
        return (x * steps).round() / steps
