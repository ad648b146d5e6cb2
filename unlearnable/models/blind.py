"""Networks that do not see one direction of colour, whatever they are trained on. This project's own.

A first layer whose filters are orthogonal to a direction lets nothing of it through, forwards or backwards. Behind a
batch normalisation only the direction of its weights counts, and a step of a given size turns them the less the longer
they are: scaled up, they stay what they are through any training by ordinary rates, and the network learns as ever.
"""

from copy import deepcopy

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional as F

Direction = Float32[Tensor, "3"]  # of colour: red, green, blue, the largest of them 1 in size
_HOLD = 1e5  # a gradient turns weights that long by 1e-10 of what it turned them before; weight decay takes some of it
_GREY = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601: what is left of a colour in grey
_MOST_BRIGHT, _LEAST_GREY, _LEAST_LONG = 0.4, 0.3, 1.4
_PARTS = 4  # of the largest part of a direction: what is added in steps of so many levels is whole in every channel


def direction(rng: torch.Generator) -> Direction:
    """One at random that carries little of natural images, which differ mostly in brightness; that shows in grey, or
    turning images grey would undo it; and that is long for its largest part, which alone is bounded. Its parts are
    quarters of that, so that 8-bit images can be changed along it exactly: what rounding adds, a network would see.
    """
    while True:
        drawn = torch.randint(-_PARTS, _PARTS + 1, (3,), generator=rng) / _PARTS
        if drawn.abs().max() < 1:
            continue
        bright = abs(float(F.normalize(drawn, dim=0).mean())) * 3**0.5
        if bright <= _MOST_BRIGHT and abs(float(drawn @ _GREY)) >= _LEAST_GREY and drawn.norm() >= _LEAST_LONG:
            return drawn


def blinded(network: nn.Module, to: Direction, size: int, name: str = "this network") -> nn.Module:
    """The network itself, blind to a direction of colour from now on; size: of its images, in pixels; name: its own.

    Raises ValueError for one whose first layer is not followed by a normalisation that undoes its scale.
    """
    stem = _stem(network)
    unit = F.normalize(to, dim=0).to(stem.weight)
    with torch.no_grad():
        seen = torch.einsum("ocij,c->oij", stem.weight, unit)
        stem.weight -= seen[:, None] * unit[None, :, None, None]
        if stem.bias is not None or not _scale_is_undone(network, size):
            raise ValueError(
                f"{name} cannot be made blind: its first layer needs a batch normalisation behind it "
                "and no bias; take a network such as cnn, resnet20 or resnet18"
            )
        stem.weight *= _HOLD
    return network


def blind_to(network: nn.Module) -> Direction | None:
    """The direction of colour that the first layer lets nothing of through; None where it sees them all."""
    colours = _stem(network).weight.detach().float().transpose(0, 1).flatten(1)
    _, strengths, directions = torch.linalg.svd(colours.T, full_matrices=False)
    if strengths[-1] > 1e-3 * strengths[0]:
        return None
    unseen: Direction = directions[-1]
    return unseen / unseen[unseen.abs().argmax()]


def levels(along: Direction) -> int:
    """The least number of levels whose every multiple is whole in all channels, in that direction; 1 where none is."""
    exact = (n for n in range(1, _PARTS + 1) if (along * n - (along * n).round()).abs().max() < 1e-3)
    return next(exact, 1)


def _stem(network: nn.Module) -> nn.Conv2d:
    """The first layer that sees colours."""
    found = next((part for part in network.modules() if isinstance(part, nn.Conv2d)), None)
    if found is None or found.in_channels != 3:
        raise ValueError(f"{type(network).__name__} has no convolution of three colours at its beginning")
    return found


def _scale_is_undone(network: nn.Module, size: int) -> bool:
    """Whether twice the weights of the first layer give the same logits while training."""
    copies = [deepcopy(network).train() for _ in range(2)]
    _stem(copies[1]).weight *= 2
    x = torch.rand(8, 3, size, size, generator=torch.Generator().manual_seed(0)).to(_stem(network).weight)
    once, twice = (copy(x) for copy in copies)
    return bool((once - twice).norm() <= 1e-2 * once.norm())
