"""Perturbations that a generator says in one forward pass, told what an encoder sees in the image."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from unlearnable.models.coded import Coded
from unlearnable.models.generator import Generator, Head, bounded
from unlearnable.perturbation import kind, load, resized
from unlearnable.pixels import Index, Labels, Pixels
from unlearnable.protections._encoded import kept

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
    A call raises ValueError where the encoder is not to be had any more, or sees in other dimensions.
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
        with torch.device("meta"):
            network = generator(self.shape, self.width, self.blocks, self.code)
        floats = {name: w.float() if w.is_floating_point() else w for name, w in self.weights.items()}
        network.load_state_dict(floats, assign=True)
        return network.eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels:
        eyes = kept(self.encoder)
        if eyes.dimension != self.code:
            raise ValueError(
                f"the encoder {self.encoder!r} sees in {eyes.dimension} dimensions, this protection was fitted with "
                f"{self.code}: bring that encoder back, or fit again"
            )
        # one at a time: convolutions of a larger batch round otherwise, and cost a processor no less
        changes = [said(self.network, one, eyes.image(one), self.grid, self.eps, self.head) for one in x.split(1)]
        return x + torch.cat(changes)

    def within(self, eps: float) -> "Generated":
        """The same generator with another bound, in units of the 0..1 range."""
        return replace(self, eps=eps)


def fitted(folder: Path, wanted: Generated) -> Generated:
    """The generator in a folder. Raises ValueError where it is none, or not of the kind, shape and encoder wanted."""
    found, _ = load(folder)
    if not isinstance(found, Generated):
        raise ValueError(f"{folder} holds no generator but {type(found).__name__}")
    for name in ("shape", "width", "blocks", "code", "encoder", "head", "grid"):
        if (there := getattr(found, name)) != getattr(wanted, name):
            raise ValueError(f"the generator in {folder} has {name} {there!r}, wanted is {getattr(wanted, name)!r}")
    return found


def said(network: nn.Module, x: Pixels, codes: Codes, grid: int, eps: float, head: Head) -> Pixels:
    """The change of each image, in 0..1 units: said at `grid` pixels, resized to the image."""
    raw: Pixels = network(resized(x, grid, grid), codes)
    return resized(bounded(raw, eps, head), *x.shape[2:])
