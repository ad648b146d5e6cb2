"""Plain convolutional networks: the quick tier's small CNN, and LeNet-5 (LeCun et al., 1998) for colour images."""

from torch import nn

from unlearnable.models.layers import Normalise, conv_bn

_PLACES = 4


def cnn(classes: int, size: int) -> nn.Module:
    """Three 3 x 3 convolutions (32, 64, 128) with batch normalisation and pooling, then one linear layer on 4 x 4
    places, whatever the size: on all places of larger images it would learn the images by heart.
    """
    side = min(size // 8, _PLACES)
    stages = [
        layer
        for inputs, outputs in ((3, 32), (32, 64), (64, 128))
        for layer in (conv_bn(inputs, outputs), nn.MaxPool2d(2), nn.ReLU())  # in this order ReLU has a quarter to do
    ]
    places = [nn.AdaptiveAvgPool2d(side)] if side < size // 8 else []
    return nn.Sequential(Normalise(), *stages, *places, nn.Flatten(), nn.Linear(128 * side**2, classes))


def lenet(classes: int, size: int) -> nn.Module:
    """5 x 5 convolutions (6, 16), fully connected 120-84-classes, ReLU and max pooling."""
    side = (((size - 4) // 2) - 4) // 2 if size >= 16 else size // 4
    padding = 0 if size >= 16 else 2
    return nn.Sequential(
        Normalise(),
        nn.Conv2d(3, 6, 5, padding=padding), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(6, 16, 5, padding=padding), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(16 * side * side, 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes),
    )  # fmt: skip
