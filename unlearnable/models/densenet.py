"""DenseNet-BC-121 (Huang et al., CVPR 2017, arXiv 1608.06993): growth 32, blocks of 6, 12, 24 and 16 layers."""

import torch
from torch import Tensor, nn

from unlearnable.models.layers import Normalise, Pool, bn_relu_conv, initialise, large, stem

GROWTH = 32
BLOCKS = (6, 12, 24, 16)


class Dense(nn.Module):
    """(n, c, h, w) -> (n, c + 32, h, w): what came in, and 32 new channels made of all of it."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.new = nn.Sequential(bn_relu_conv(inputs, 4 * GROWTH, 1), bn_relu_conv(4 * GROWTH, GROWTH))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.new(x)), 1)


def densenet121(classes: int, size: int) -> nn.Module:
    """DenseNet-121; below 128 pixels a bare 3 x 3 convolution stands for the stem, so accuracies do not compare."""
    width = 2 * GROWTH
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, bias=False)]
    if large(size):
        layers = stem(width, size)
    for block, depth in enumerate(BLOCKS):
        if block > 0:
            layers += [bn_relu_conv(width, width // 2, 1), nn.AvgPool2d(2)]
            width //= 2
        layers += [Dense(width + GROWTH * layer) for layer in range(depth)]
        width += GROWTH * depth
    layers += [nn.BatchNorm2d(width), nn.ReLU()]
    return initialise(nn.Sequential(Normalise(), *layers, Pool(), nn.Linear(width, classes)), "fan_in")
