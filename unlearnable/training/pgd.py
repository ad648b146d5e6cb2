"""PGD: where a network does worst near an image. Madry et al., ICLR 2018, arXiv 1706.06083, equation 2.1's inner part.

| paper | here |
|---|---|
| S, the allowed perturbations | ball: linf, or l2 as root mean square over an image |
| k steps of size alpha | steps; alpha = 2 eps / steps, which is the eps/5 of ten steps of REM and data collapse |
"""

import torch
from torch import nn
from torch.nn import functional as F

from unlearnable.pixels import Budget, Labels, Pixels, project
from unlearnable.run import Run
from unlearnable.training.network import forward


def attack(
    network: nn.Module, x: Pixels, y: Labels, ball: Budget, steps: int, rng: torch.Generator, run: Run
) -> Pixels:
    """The images after `steps` steps up the loss from a random start: inside the ball, and in 0..1 where the images
    are, after every one.

    The network is taken in the mode it is in; its weights get no gradient.
    """
    noise = torch.rand(x.shape, generator=rng).to(x) * 2 - 1
    delta, low, high = project(noise * ball.eps, ball), x.clamp_max(0), x.clamp_min(1)
    for _ in range(steps):
        moved = (x + delta).clamp(low, high).requires_grad_()
        loss = F.cross_entropy(forward(network, moved, run), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, moved)
        delta = project(moved.detach() - x + 2 * ball.eps / steps * direction(gradient, ball), ball)
    return (x + delta).clamp(low, high)


def direction(gradient: Pixels, ball: Budget) -> Pixels:
    """One step of length 1 in the norm of the ball: the sign of the gradient, or the gradient over its size."""
    if ball.norm == "linf":
        return gradient.sign()
    return gradient / gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
