"""ShuffleNetV2 1.0x (Ma et al., ECCV 2018, arXiv 1807.11164)."""

import torch
from torch import Tensor, nn

from unlearnable.models.layers import Normalise, Pool, conv_bn, initialise, large

STAGES = ((116, 4), (232, 8), (464, 4))
FEATURES = 1024


class Shuffle(nn.Module):
    """Figure 3 (c) and (d): half of the channels pass, half are changed; at stride 2 both halves see all of the input.

    The two halves leave interleaved, channel by channel, so that the next unit splits them across.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        self.splits = stride == 1
        entering = half if self.splits else inputs
        self.change = nn.Sequential(
            conv_bn(entering, half, 1),
            nn.ReLU(),
            conv_bn(half, half, 3, stride, half),
            conv_bn(half, half, 1),
            nn.ReLU(),
        )
        self.keep = (
            nn.Identity()
            if self.splits
            else nn.Sequential(conv_bn(inputs, inputs, 3, stride, inputs), conv_bn(inputs, half, 1), nn.ReLU())
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = x.chunk(2, 1) if self.splits else (x, x)
        return torch.stack((self.keep(kept), self.change(changed)), 2).flatten(1, 2)


def shufflenetv2(classes: int, size: int) -> nn.Module:
    """ShuffleNetV2 1.0x; below 128 pixels the stem keeps the resolution and no max pool follows it."""
    inputs = 24
    layers: list[nn.Module] = [conv_bn(3, inputs, 3, 2 if large(size) else 1), nn.ReLU()]
    if large(size):
        layers.append(nn.MaxPool2d(3, 2, 1))
    for outputs, units in STAGES:
        layers.append(Shuffle(inputs, outputs, 2))
        layers.extend(Shuffle(outputs, outputs, 1) for _ in range(units - 1))
        inputs = outputs
    layers += [conv_bn(inputs, FEATURES, 1), nn.ReLU()]
    return initialise(nn.Sequential(Normalise(), *layers, Pool(), nn.Linear(FEATURES, classes)))
