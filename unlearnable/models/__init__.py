"""The zoo of victims and surrogates. Images go in as 0..1: normalisation is a network's first layer."""

from collections.abc import Callable

from torch import nn

from unlearnable.models import plain, resnet

MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "cnn": plain.cnn,
    "lenet": plain.lenet,
    "resnet8": resnet.cifar(8),
    "resnet20": resnet.cifar(20),
    "resnet18": resnet.resnet18,
}


def build(name: str, classes: int, size: int) -> nn.Module:
    """A fresh network for (n, 3, size, size) images in 0..1, giving (n, classes) logits.

    Weights come from the global generator: call it inside `Run.seeded`. Raises ValueError naming the models there are.
    """
    if name not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, got {name!r}")
    if size < 8:
        raise ValueError(f"networks here need images of at least 8 pixels a side, got {size}")
    return MODELS[name](classes, size)
