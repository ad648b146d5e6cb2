"""Layers that several networks share."""

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """0..1 to about -2..2: the first layer of every network, so that nothing outside a network is ever normalised."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5) * 4.0


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (at stride 1) and its batch normalisation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Pool(nn.Module):
    """Global average: (n, c, h, w) -> (n, c)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.mean(x, dim=(2, 3))
