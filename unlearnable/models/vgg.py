"""VGG-16 (Simonyan & Zisserman, ICLR 2015, arXiv 1409.1556), configuration D, in the form that CIFAR papers use."""

from torch import nn

from unlearnable.models.layers import Normalise, Pool, conv_bn, initialise

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def vgg16(classes: int, size: int) -> nn.Module:
    """Thirteen 3 x 3 convolutions with batch normalisation, five max pools, a global average, one linear layer.

    Differs from the paper: batch normalisation, and one linear layer instead of three (no 4096-4096 head, no dropout).
    Pools round up, so that images under 32 pixels come through: at 8 pixels the last two stages see a single pixel.
    """
    layers: list[nn.Module] = []
    inputs = 3
    for outputs, convolutions in STAGES:
        for _ in range(convolutions):
            layers += [conv_bn(inputs, outputs), nn.ReLU()]
            inputs = outputs
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    return initialise(nn.Sequential(Normalise(), *layers, Pool(), nn.Linear(inputs, classes)))
