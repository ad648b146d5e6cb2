"""Perturbations that a generator says in one forward pass, told what an encoder sees in the image."""

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from unlearnable import perturbation
from unlearnable.encoders import Encoder
from unlearnable.models.coded import Coded
from unlearnable.models.generator import Generator, Head, bounded
from unlearnable.models.stored import restored, stored
from unlearnable.perturbation import kind, resized
from unlearnable.pixels import Index, Labels, Pixels
from unlearnable.protections._encoded import kept_for
from unlearnable.run import Run

_SEEN = 160  # pixels: larger pictures are seen at this side
Kind = Literal["small", "published"]
Codes = Float32[Tensor, "n d"]


def generator(shape: Kind, width: int, blocks: int, code: int) -> nn.Module:
    """The network of that kind with random weights, told codes of that length. blocks: of the published one."""
    if shape == "published":
        return Generator(width, blocks=blocks, code=code)
    return Coded(width, code)


@kind
@dataclass(frozen=True, eq=False)
class Generated:
    """x + eps times what the generator says of it and of what the encoder sees; serves any image, reads no label.

    weights: of the generator; grid: the side at which it works, in pixels; size: that of the largest image it takes.
    A call raises ValueError as `eyes` does.
    """

    weights: dict[str, Tensor]
    shape: Kind
    width: int
    blocks: int
    code: int
    encoder: str
    eps: float
    head: Head
    grid: int
    size: int

    any_size = True

    @cached_property
    def network(self) -> nn.Module:
        """The generator, frozen."""
        return restored(lambda: generator(self.shape, self.width, self.blocks, self.code), self.weights)

    def eyes(self) -> Encoder:
        """What it is told by. Raises ValueError where that is not to be had any more, or sees in other dimensions."""
        return kept_for(self.encoder, self.code)

    @torch.no_grad()
    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels:
        eyes = self.eyes()
        # one at a time: convolutions of a larger batch round otherwise, and cost a processor no less
        changes = [said(self.network, one, eyes.image(one), self.grid, self.eps, self.head) for one in x.split(1)]
        return x + torch.cat(changes)

    def within(self, eps: float) -> "Generated":
        """The same generator with another bound, in units of the 0..1 range."""
        return replace(self, eps=eps)


@dataclass(frozen=True)
class Make:
    """What generators must have in common for one to go on from the weights of another; fields as in `Generated`."""

    shape: Kind
    width: int
    blocks: int
    code: int
    encoder: str
    head: Head
    grid: int

    def begun(self, stage: str, init: Path | None, run: Run) -> nn.Module:
        """A generator with its first weights: random, or those that `fit` left in the folder `init`."""
        with run.seeded(f"{stage}-init"):
            network = generator(self.shape, self.width, self.blocks, self.code)
        if init is not None:
            network.load_state_dict(self.given(init).network.state_dict())
        return network

    def given(self, folder: Path) -> Generated:
        """The generator in a folder. Raises ValueError where it holds none, or one of another make."""
        found, _ = perturbation.load(folder)
        if not isinstance(found, Generated):
            raise ValueError(f"init {str(folder)!r} holds no generator but {type(found).__name__}: name one that does")
        for name, wanted in asdict(self).items():
            if (there := getattr(found, name)) != wanted:
                raise ValueError(f"init {str(folder)!r} has {name} {there!r}, wanted is {wanted!r}: give it the same")
        return found

    def fitted(self, network: nn.Module, eps: float) -> Generated:
        """What was fitted, in half precision."""
        return Generated(stored(network), eps=eps, size=max(_SEEN, self.grid), **asdict(self))


def said(network: nn.Module, x: Pixels, codes: Codes, grid: int, eps: float, head: Head) -> Pixels:
    """The change of each image, in 0..1 units: said at `grid` pixels, resized to the image."""
    raw: Pixels = network(resized(x, grid, grid), codes)
    return resized(bounded(raw, eps, head), *x.shape[2:])
