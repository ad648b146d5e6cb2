"""MobileNetV2 (arXiv 1801.04381) as trained on ImageNet by its authors, batch normalisation folded into the weights.

The weights are a file beside the package (github.com/google-coral/test_data, Apache-2.0, de-quantised to half
precision): 53 convolutions `conv00` to `conv52` in forward order, the last the classifier of 1,001 classes (index 0 =
background). Unlike the zoo's `mobilenetv2` it pads as TensorFlow does.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.models.layers import Pool, Resize, initialise
from unlearnable.models.mobilenet import FEATURES, STAGES

CLASSIFIER = "conv52"
IMAGENET = 1001


class Same(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: where an odd pixel is needed, it goes to the right and bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, across = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:])
        if down % 2 == 0 and across % 2 == 0:  # the convolution's own padding saves a copy of the image
            return F.conv2d(x, self.weight, self.bias, stride, (down // 2, across // 2), groups=self.groups)
        border = (across // 2, across - across // 2, down // 2, down - down // 2)
        return F.conv2d(F.pad(x, border), self.weight, self.bias, stride, groups=self.groups)


class Body(nn.Module):
    """The convolutions, named as the weights' file names them: random until `load_pretrained` has filled them.

    resize: what brings images to the size at which they are seen.
    """

    def __init__(self, resize: nn.Module) -> None:
        super().__init__()
        self.resize = resize
        self.blocks: list[tuple[int, int, bool]] = []  # first convolution, the one after the last, added to its input?
        self.convolutions = 0
        self._append(Same(3, 32, 3, 2))
        inputs = 32
        for expansion, outputs, repeats, first in STAGES:
            for repeat in range(repeats):
                self._block(inputs, outputs, 1 if repeat else first, expansion)
                inputs = outputs
        self._append(Same(inputs, FEATURES, 1))
        initialise(self, "fan_in")
        self.pool = Pool()

    def _append(self, layer: Same) -> None:
        self.add_module(f"conv{self.convolutions:02d}", layer)
        self.convolutions += 1

    def _block(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        start, width = self.convolutions, inputs * expansion
        if expansion > 1:
            self._append(Same(inputs, width, 1))
        self._append(Same(width, width, 3, stride, width))
        self._append(Same(width, outputs, 1))
        self.blocks.append((start, self.convolutions, stride == 1 and inputs == outputs))

    def _conv(self, index: int, x: Tensor) -> Tensor:
        return self.get_submodule(f"conv{index:02d}")(x)  # type: ignore[no-any-return]

    def features(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) in 0..1 -> (n, 1280): the global mean under the classifier, each value 0 to 6."""
        x = F.relu6(self._conv(0, self.resize(x) * 2 - 1))
        for start, stop, added in self.blocks:
            y = x
            for index in range(start, stop - 1):
                y = F.relu6(self._conv(index, y))
            y = self._conv(stop - 1, y)
            x = x + y if added else y
        return self.pool(F.relu6(self._conv(self.convolutions - 1, x)))  # type: ignore[no-any-return]


class Pretrained(Body):
    """(n, 3, size, size) in 0..1 -> (n, classes): the body, and a fresh `head`.

    Images are resized inside: up to 64 pixels they are enlarged to 96, larger ones are seen as they are, from 224 on
    at 224. Until `load_pretrained` has filled it, the body is random, and no good start for training. Having no batch
    normalisation it needs a small rate: fine-tuned with SGD (momentum 0.9) it learned at 0.001, forgot everything at
    0.01 unless gradients were clipped to norm 1, and diverged at 0.1. Its head alone takes 0.01.
    """

    def __init__(self, classes: int, size: int) -> None:
        super().__init__(Resize(96 if size <= 64 else min(size, 224)))
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))  # type: ignore[no-any-return]


def published(path: Path) -> bool:
    """Whether a safetensors file is that of the authors, its classifier with it."""
    try:
        with safe_open(path, "pt") as file:
            return f"{CLASSIFIER}.weight" in file.keys()  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError):
        return False


def load_pretrained(network: nn.Module, path: Path, classifier: bool = False) -> None:
    """Fills a `Body`, or that of a `Pretrained`, from the safetensors file, in float32; a head stays as it is.

    classifier: fill the head as well, with the original 1,001-way classifier; the network must have as many classes.
    Raises ValueError where the network is another one, or the file cannot be read or does not fit.
    """
    if not isinstance(network, Body):
        raise ValueError(f"ImageNet weights fit the model mobilenetv2_imagenet alone, got {type(network).__name__}")
    classes = network.head.out_features if isinstance(network, Pretrained) else 0
    if classifier and classes != IMAGENET:
        raise ValueError(f"the original classifier has {IMAGENET} classes, the network {classes}")
    try:
        file = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from None
    state = network.state_dict()
    names = {name: name.replace("head", CLASSIFIER) for name in state if classifier or not name.startswith("head")}
    shapes = {name: tuple(file[there].shape) if there in file else None for name, there in names.items()}
    wanted = {name: (*state[name].shape, 1, 1) if name == "head.weight" else tuple(state[name].shape) for name in names}
    if wrong := [name for name in names if shapes[name] != wanted[name]]:
        name = wrong[0]
        raise ValueError(
            f"{path} does not fit MobileNetV2: {len(wrong)} of {len(names)} tensors are missing or of another shape, "
            f"first {names[name]}: expected {wanted[name]}, found {shapes[name] or 'none'}"
        )
    with torch.no_grad():
        for name, there in names.items():
            state[name].copy_(file[there].reshape(state[name].shape))
