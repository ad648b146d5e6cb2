"""The zoo of victims and surrogates. Images go in as 0..1: normalisation is a network's first layer."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, load_model
from torch import nn

from unlearnable.messages import one_line
from unlearnable.models import (
    densenet,
    mobilenet,
    outside,
    plain,
    pretrained,
    resnet,
    shufflenet,
    vgg,
    vit,
    wide,
)
from unlearnable.models.stored import misfit


@dataclass(frozen=True)
class Model:
    """A network of the zoo. lr: the peak rate of SGD with momentum that it learns at from random weights; the few
    without batch normalisation break down at the usual one.
    """

    build: outside.Builder
    lr: float = 0.1


MODELS: dict[str, Model] = {
    "cnn": Model(plain.cnn),
    "lenet": Model(plain.lenet, lr=0.02),
    "resnet8": Model(resnet.cifar(8)),
    "resnet20": Model(resnet.cifar(20)),
    "resnet32": Model(resnet.cifar(32)),
    "resnet18": Model(resnet.resnet18),
    "resnet50": Model(resnet.resnet50),
    "wrn34_10": Model(wide.wrn34_10),
    "vgg16": Model(vgg.vgg16),
    "densenet121": Model(densenet.densenet121),
    "mobilenetv2": Model(mobilenet.mobilenetv2),
    "shufflenetv2": Model(shufflenet.shufflenetv2),
    "vit": Model(vit.vit, lr=0.01),
    "mobilenetv2_imagenet": Model(pretrained.Pretrained, lr=0.001),
}
LEAST = 8
"""Side in pixels of the smallest images that the zoo takes."""


def check_model(name: str) -> None:
    """Raises ValueError for a name that cannot be built, naming what can; builds nothing.

    Of a `module:function` the module is imported, of a `timm/NAME` timm is.
    """
    _builder(name)


def usual_lr(name: str) -> float:
    """The peak learning rate of a model of the zoo, or of one from outside as of most."""
    return MODELS[name].lr if name in MODELS else Model.lr


def build(name: str, classes: int, size: int) -> nn.Module:
    """A fresh network for (n, 3, size, size) images in 0..1, giving (n, classes) logits.

    name: one of MODELS, `module:function` (a function of the user's, called with classes and size) or `timm/NAME`.
    Weights come from the global generator: call it inside `Run.seeded`. Raises ValueError naming the models there are,
    the least size, or what a network from outside the zoo did not do.
    """
    builder = _builder(name)
    if name in MODELS and size < LEAST:
        raise ValueError(f"networks here need images of at least {LEAST} pixels a side, got {size}")
    return builder(classes, size)


def load_weights(network: nn.Module, path: Path) -> None:
    """Fills a network from a safetensors file; of the ImageNet weights, all but the head.

    Raises ValueError where the file cannot be read or does not fit.
    """
    if isinstance(network, pretrained.Pretrained) and pretrained.published(path):
        pretrained.load_pretrained(network, path)
        return
    try:
        load_model(network, path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {one_line(error)}") from None
    except RuntimeError as error:
        wrong = misfit(network.state_dict(), load_file(path)) or one_line(error)
        raise ValueError(f"{path} does not hold the weights of this network: {wrong}") from None


def _builder(name: str) -> outside.Builder:
    if name in MODELS:
        return MODELS[name].build
    if name.startswith(outside.TIMM):
        return outside.timm(name)
    if ":" in name:
        return outside.own(name)
    raise ValueError(f"model must be one of {', '.join(MODELS)}, module:function or timm/NAME, got {name!r}")
