"""Residual networks (He et al., CVPR 2016, arXiv 1512.03385): the CIFAR form of section 4.2, ResNet-18 and -50."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.models.layers import Normalise, Pool, conv_bn, initialise, stem


class Block(nn.Module):
    """Two 3 x 3 convolutions added to their input; `shortcut` brings the input to the output's shape."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.first = conv_bn(inputs, width, stride=stride)
        self.second = conv_bn(width, width)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions, four times as wide at the end.

    Differs from the paper: the stride is that of the 3 x 3 convolution, as in most code since, not of the first 1 x 1.
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.first = conv_bn(inputs, width, 1)
        self.second = conv_bn(width, width, stride=stride)
        self.third = conv_bn(width, width * self.expansion, 1)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.third(F.relu(self.second(F.relu(self.first(x))))) + self.shortcut(x))


class Subsample(nn.Module):
    """Option A: every second pixel, the new channels zero; no parameters."""

    def __init__(self, added: int) -> None:
        super().__init__()
        self.added = added

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))


def _projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    return conv_bn(inputs, outputs, 1, stride)


def _option_a(inputs: int, outputs: int, stride: int) -> nn.Module:
    return Subsample(outputs - inputs)


def _stages(
    inputs: int,
    stages: tuple[tuple[int, int], ...],
    block: type[Block] | type[Bottleneck],
    shortcut: Callable[[int, int, int], nn.Module],
) -> list[nn.Module]:
    """Stages of (width, blocks), each after the first at half the resolution of the one before."""
    layers: list[nn.Module] = []
    for stage, (width, blocks) in enumerate(stages):
        outputs = width * block.expansion
        for index in range(blocks):
            stride = 2 if stage > 0 and index == 0 else 1
            same = stride == 1 and inputs == outputs
            layers.append(block(inputs, width, stride, nn.Identity() if same else shortcut(inputs, outputs, stride)))
            inputs = outputs
    return layers


def cifar(depth: int) -> Callable[[int, int], nn.Module]:
    """ResNet-depth for small images: 6n + 2 layers, widths 16-32-64, option-A shortcuts."""
    blocks = (depth - 2) // 6

    def build(classes: int, size: int) -> nn.Module:
        layers = _stages(16, ((16, blocks), (32, blocks), (64, blocks)), Block, _option_a)
        return initialise(
            nn.Sequential(Normalise(), conv_bn(3, 16), nn.ReLU(), *layers, Pool(), nn.Linear(64, classes))
        )

    return build


def resnet18(classes: int, size: int) -> nn.Module:
    """ResNet-18; below 128 pixels with the 3 x 3 stride-1 stem and no pooling after it, the field's standard."""
    layers = [*stem(64, size), *_stages(64, ((64, 2), (128, 2), (256, 2), (512, 2)), Block, _projection)]
    return initialise(nn.Sequential(Normalise(), *layers, Pool(), nn.Linear(512, classes)))


def resnet50(classes: int, size: int) -> nn.Module:
    """ResNet-50, its stem chosen as ResNet-18's is."""
    layers = [*stem(64, size), *_stages(64, ((64, 3), (128, 4), (256, 6), (512, 3)), Bottleneck, _projection)]
    return initialise(nn.Sequential(Normalise(), *layers, Pool(), nn.Linear(2048, classes)))
