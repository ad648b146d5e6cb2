"""Steps that several papers share: projected descent on a perturbation, as pure functions."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from unlearnable.pixels import Budget, Pixels, project
from unlearnable.run import Run
from unlearnable.training import CropFlip, direction


def frozen(network: nn.Module, run: Run, folded: bool = True) -> nn.Module:
    """A copy of the network as it judges images: eval mode, no gradients for weights, batch norms folded away.

    The same function up to rounding, and faster: folding takes away a quarter of the memory traffic. Not folded, it has
    the weights of the network.
    """
    copy = deepcopy(network).eval()
    for module in list(copy.modules()) if folded else []:
        layers = list(module.named_children()) if isinstance(module, nn.Sequential) else []
        for (first, conv), (second, norm) in pairwise(layers):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(conv, norm))
                setattr(module, second, nn.Identity())
    return run.place(copy).requires_grad_(False)


@dataclass(frozen=True)
class Term:
    """One thing that falls: its sum over a batch of images, and how far a step goes against its gradient."""

    name: str
    loss: Callable[[Pixels], Tensor]
    step_size: float


def descend(
    terms: Sequence[Term], x: Pixels, delta: Pixels, steps: int, budget: Budget
) -> tuple[Pixels, dict[str, Tensor]]:
    """delta after `steps` steps: in each, every term takes its own, by the sign of its gradient (linf) or by the
    gradient at length 1 (l2); then delta is projected to the budget and x + delta to 0..1.

    delta is float32. Also returns the value of each term before the last step.
    """
    values: dict[str, Tensor] = {}
    for _ in range(steps):
        delta = delta.detach().requires_grad_()
        moved = delta.detach()
        for term in terms:
            value = term.loss(x + delta)
            (gradient,) = torch.autograd.grad(value, delta)
            moved = moved - term.step_size * direction(gradient, budget)
            values[term.name] = value.detach()
        delta = (x + project(moved, budget)).clamp(0, 1) - x
    return delta.detach(), values


def cropped(x: Pixels, padding: int, rng: torch.Generator) -> Pixels:
    """A random crop of every image, flipped or not; the images as they are where padding is 0."""
    return CropFlip(padding).crop(x, rng) if padding else x


def uniform(x: Pixels, budget: Budget, rng: torch.Generator) -> Pixels:
    """A random perturbation to begin with: uniform in -eps..eps, projected to the budget and x + delta to 0..1."""
    noise = budget.eps * (2 * torch.rand(x.shape, generator=rng) - 1)
    return (x + project(noise.to(x), budget)).clamp(0, 1) - x
