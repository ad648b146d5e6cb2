"""mini: a small dual encoder of this project's own: MobileNetV2 for pictures, hashed words for names."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from jaxtyping import Float32
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.encoders.encoder import Vectors
from unlearnable.encoders.words import Words
from unlearnable.models.layers import Bicubic
from unlearnable.models.mobilenet import FEATURES
from unlearnable.models.pretrained import Body
from unlearnable.models.stored import restored, stored
from unlearnable.pixels import Pixels
from unlearnable.run import Run, write_atomically

SHIPPED = Path(__file__).parent.parent / "weights" / "mini"
CONFIG, WEIGHTS = "config.json", "mini.safetensors"
Features = Float32[Tensor, "n f"]


@dataclass(frozen=True)
class Sizes:
    """side: of a picture as it is seen, in pixels; dimension: of the vectors; buckets, width: of the table of words."""

    side: int = 160
    dimension: int = 256
    buckets: int = 16384
    width: int = 128


class Dual(nn.Module):
    """What is trained: `body` (see `load_pretrained`), `mean` of its unit-length features, `image`, and `words`."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.body = Body(Bicubic(sizes.side))
        self.mean = nn.Parameter(torch.zeros(FEATURES))
        self.image = nn.Linear(FEATURES, sizes.dimension)
        self.words = Words(sizes.dimension, sizes.buckets, sizes.width)


@dataclass(frozen=True, eq=False)
class Mini:
    """A `Dual` as an encoder, frozen. For training, thaw parts of `network`: `features`, `seen` and `text` follow."""

    network: Dual
    sizes: Sizes
    name: str = "mini"

    @classmethod
    def random(cls, run: Run, sizes: Sizes | None = None) -> "Mini":
        """One that has learned nothing, drawn from the run's seed."""
        sizes = sizes or Sizes()
        with run.seeded("mini"):
            return cls(Dual(sizes).eval().requires_grad_(False), sizes).to(run)

    @property
    def dimension(self) -> int:
        """How long its vectors are."""
        return self.sizes.dimension

    def image(self, x: Pixels) -> Vectors:
        """(n, 3, h, w) in 0..1, any h and w, -> (n, dimension) of unit length; differentiable in x."""
        return self.seen(self.features(x))

    def features(self, x: Pixels) -> Features:
        """(n, 3, h, w) in 0..1, any h and w, -> (n, 1280): what the body finds, each value 0 to 6."""
        return self.network.body.features(x).float()

    def seen(self, features: Features) -> Vectors:
        """(n, 1280) features -> (n, dimension) of unit length."""
        found: Tensor = self.network.image(F.normalize(features, dim=1) - self.network.mean)
        return F.normalize(found.float(), dim=1)

    def text(self, names: Sequence[str]) -> Vectors:
        """k names, of any words, -> (k, dimension) of unit length.

        Raises ValueError where there are none, or one has no letter or digit.
        """
        found: Vectors = self.network.words(names)
        return found

    def to(self, run: Run) -> "Mini":
        """The same, on the device of a run."""
        run.place(self.network)
        return self

    def save(self, folder: Path, about: dict[str, Any], half: bool = True) -> None:
        """Writes mini.safetensors (in half precision unless told otherwise) and config.json with `about`."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(stored(self.network, half), folder / WEIGHTS)
        write_atomically(folder / CONFIG, json.dumps(about | asdict(self.sizes), indent=1).encode())


def load(folder: Path = SHIPPED) -> Mini:
    """A saved one, in float32. Raises ValueError naming the files that are missing, or what cannot be read."""
    if missing := [file for file in (CONFIG, WEIGHTS) if not (folder / file).is_file()]:
        raise ValueError(
            f"{folder} holds no mini encoder: it lacks {' and '.join(missing)}; bring what Mini.save wrote"
        )
    try:
        config = json.loads((folder / CONFIG).read_text())
        sizes = Sizes(**{name: int(config[name]) for name in asdict(Sizes())})
        network = restored(lambda: Dual(sizes), load_file(folder / WEIGHTS))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        said = shorten(f"{type(error).__name__}: {error}", 300)
        raise ValueError(f"{folder} holds no mini encoder that can be read: {said}") from None
    return Mini(network, sizes, "mini" if folder == SHIPPED else f"mini:{folder}")
