"""The score network: a small U-Net that is told how noisy an image is, and may be told its label; saved and loaded."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.models.stored import restored, stored
from unlearnable.pixels import Labels, Pixels
from unlearnable.run import Run, write_atomically

_FREQUENCIES = 16
_HALVINGS = 4  # the side of the feature maps is a multiple of this


class Norm(nn.GroupNorm):
    """Group normalisation in float32, whatever it is given: in bf16 a processor takes six times as long over it."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float())


class Block(nn.Module):
    """Two 3 x 3 convolutions with a way round them; between them the features are scaled and shifted by `told`."""

    def __init__(self, inputs: int, outputs: int, told: int) -> None:
        super().__init__()
        self.first = nn.Sequential(Norm(8, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.told = nn.Linear(told, 2 * outputs)
        self.norm = Norm(8, outputs)
        self.second = nn.Sequential(nn.SiLU(), nn.Conv2d(outputs, outputs, 3, padding=1))
        self.past = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        gain, shift = self.told(told)[:, :, None, None].chunk(2, 1)
        hidden: Tensor = self.second(self.norm(self.first(x)) * (1 + gain) + shift) + self.past(x)
        return hidden


class UNet(nn.Module):
    """Predicts the noise in (n, 3, h, w) images, any h and w. classes: 0 for a network that is told no label."""

    def __init__(self, width: int, patch: int, classes: int) -> None:
        super().__init__()
        told = 4 * width
        self.patch = patch
        self.level = nn.Sequential(nn.Linear(2 * _FREQUENCIES, told), nn.SiLU(), nn.Linear(told, told), nn.SiLU())
        self.label = nn.Embedding(classes, told) if classes else None
        self.stem = nn.Conv2d(3 * patch * patch, width, 3, padding=1)
        self.down = nn.ModuleList(
            [Block(width, width, told), Block(width, 2 * width, told), Block(2 * width, 4 * width, told)]
        )
        self.up = nn.ModuleList([Block(6 * width, 2 * width, told), Block(3 * width, width, told)])
        self.out = nn.Sequential(
            Norm(8, width), nn.SiLU(), nn.Conv2d(width, 3 * patch * patch, 3, padding=1)
        )  # fmt: skip

    def forward(self, x: Tensor, labels: Tensor | None, sigma: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        multiple = _HALVINGS * self.patch
        x = F.pad(2 * x - 1, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        told = self.level(_waves(sigma))
        if self.label is not None:
            told = told + self.label(labels)
        fine = self.down[0](self.stem(F.pixel_unshuffle(x, self.patch)), told)
        middle = self.down[1](F.avg_pool2d(fine, 2), told)
        hidden = self.down[2](F.avg_pool2d(middle, 2), told)
        for block, beside in zip(self.up, (middle, fine), strict=True):
            hidden = block(torch.cat([F.interpolate(hidden, scale_factor=2.0), beside], 1), told)
        out: Tensor = F.pixel_shuffle(self.out(hidden), self.patch)
        return out[:, :, :height, :width]


def _waves(sigma: Tensor) -> Float32[Tensor, "n d"]:
    """The noise level as sines and cosines of its logarithm."""
    angles = sigma.log()[:, None] * torch.linspace(0.2, 3.0, _FREQUENCIES, device=sigma.device)
    return torch.cat([angles.sin(), angles.cos()], 1)


@dataclass(frozen=True, eq=False)
class Score:
    """A trained score network, frozen. classes: 0 where it is told no label; sigmas: the levels it was trained at."""

    network: UNet
    width: int
    patch: int
    classes: int
    sigmas: tuple[float, ...]

    def __call__(self, x: Pixels, labels: Labels | None, sigma: float) -> Pixels:
        """The gradient of log p at x (n, 3, h, w in 0..1), the same shape, in 1 / pixel units; differentiable in x.

        sigma: the noise that the images are taken to hold. Raises ValueError where labels are missing or out of range.
        """
        if self.classes and (labels is None or not 0 <= int(labels.min()) <= int(labels.max()) < self.classes):
            raise ValueError(f"this score network needs a label of 0 to {self.classes - 1} for every image")
        level = torch.full((len(x),), sigma, device=x.device)
        noise: Tensor = self.network(x.contiguous(memory_format=torch.channels_last), labels, level)
        return -noise.float() / sigma

    def denoised(self, x: Pixels, labels: Labels | None, sigma: float) -> Pixels:
        """One step along the score, x + sigma^2 s(x): the mean of the clean images that x may have been."""
        return x + sigma**2 * self(x, labels, sigma)

    def to(self, run: Run) -> "Score":
        """The same, on the device of a run."""
        run.place(self.network)
        return self

    def save(self, folder: Path, about: dict[str, Any], half: bool = True) -> None:
        """Writes score.safetensors (in half precision unless told otherwise) and config.json with `about`."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(stored(self.network, half), folder / "score.safetensors")
        own = {"width": self.width, "patch": self.patch, "classes": self.classes, "sigmas": self.sigmas}
        write_atomically(folder / "config.json", json.dumps(about | own, indent=1).encode())


def load(folder: Path, classes: int | None = None) -> Score:
    """A saved score network, in float32. classes: of the images that it is to judge, where they are known.

    Raises ValueError where the folder holds none that can be read, or one that is told labels of other classes.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
        sizes = config["width"], config["patch"], config["classes"]
        network = restored(lambda: UNet(*sizes), load_file(folder / "score.safetensors"))
        sigmas = tuple(config["sigmas"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{folder} holds no score network (config.json, score.safetensors): {error}") from None
    if classes is not None and config["classes"] not in (0, classes):
        raise ValueError(
            f"{folder} knows {config['classes']} classes, the images have {classes}: "
            "take one that was trained on images of the same classes, or one that is told no labels"
        )
    return Score(network, *sizes, sigmas)
