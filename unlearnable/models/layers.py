"""Layers that several networks share, and the one place that decides which form of a network an image size gets."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LARGE = 128
"""Side in pixels from which a network gets the ImageNet form that its paper describes; below it, the CIFAR form."""


def large(size: int) -> bool:
    """Whether images of this side get the ImageNet form: an early reduction by 4, or patches of 16 pixels."""
    return size >= LARGE


class Normalise(nn.Module):
    """0..1 to about -2..2: the first layer of every network, so that nothing outside a network is ever normalised."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5) * 4.0


class Resize(nn.Module):
    """(n, c, h, w) -> (n, c, side, side), bilinear; averages over what it drops where the image shrinks."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] == (self.side, self.side):
            return x
        shrinks = max(x.shape[-2:]) > self.side
        return F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=shrinks)


class Bicubic(nn.Module):
    """(n, c, h, w) in 0..1 -> (n, c, side, side), squashed as Pillow does it: bicubic, antialiased, clamped to 0..1."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] != (self.side, self.side):
            x = F.interpolate(x, (self.side, self.side), mode="bicubic", antialias=True)
        return x.clamp(0, 1)


class Pool(nn.Module):
    """Global average: (n, c, h, w) -> (n, c)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.mean(x, dim=(2, 3))


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (at stride 1) and its batch normalisation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def bn_relu_conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """The same two the other way round (pre-activation: He et al., ECCV 2016, arXiv 1603.05027)."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), conv)


def stem(outputs: int, size: int) -> list[nn.Module]:
    """What comes before the first stage: 3 x 3 for small images, 7 x 7 at stride 2 and a max pool for large ones."""
    if large(size):
        return [conv_bn(3, outputs, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return [conv_bn(3, outputs), nn.ReLU()]


def initialise(network: nn.Module, mode: Literal["fan_in", "fan_out"] = "fan_out") -> nn.Module:
    """The network with Kaiming-normal convolutions (He et al., ICCV 2015, arXiv 1502.01852).

    mode: which variance is kept, that of the activations (fan_in) or that of the gradients (fan_out).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
    return network
