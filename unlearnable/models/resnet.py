"""Residual networks (He et al., CVPR 2016, arXiv 1512.03385): the CIFAR form of section 4.2, and ResNet-18."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.models.layers import Normalise, Pool, conv_bn


class Block(nn.Module):
    """Two 3 x 3 convolutions added to their input; `shortcut` brings the input to the output's shape."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.first = conv_bn(inputs, outputs, stride=stride)
        self.second = conv_bn(outputs, outputs)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


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
    stem: int, widths: tuple[int, ...], blocks: int, shortcut: Callable[[int, int, int], nn.Module]
) -> list[nn.Module]:
    layers: list[nn.Module] = [conv_bn(3, stem), nn.ReLU()]
    inputs = stem
    for stage, outputs in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            same = stride == 1 and inputs == outputs
            layers.append(Block(inputs, outputs, stride, nn.Identity() if same else shortcut(inputs, outputs, stride)))
            inputs = outputs
    return layers


def _initialise(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def cifar(depth: int) -> Callable[[int, int], nn.Module]:
    """ResNet-depth for small images: 6n + 2 layers, widths 16-32-64, option-A shortcuts."""

    def build(classes: int, size: int) -> nn.Module:
        layers = _stages(16, (16, 32, 64), (depth - 2) // 6, _option_a)
        return _initialise(nn.Sequential(Normalise(), *layers, Pool(), nn.Linear(64, classes)))

    return build


def resnet18(classes: int, size: int) -> nn.Module:
    """ResNet-18 with the 3 x 3 stride-1 stem and no pooling after it: the field's standard at 32 pixels."""
    layers = _stages(64, (64, 128, 256, 512), 2, _projection)
    return _initialise(nn.Sequential(Normalise(), *layers, Pool(), nn.Linear(512, classes)))
