"""Steps that several papers share: projected sign descent on a perturbation, as pure functions."""

from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from unlearnable.pixels import Budget, Pixels, project
from unlearnable.run import Run
from unlearnable.training import forward


def frozen(network: nn.Module, run: Run) -> nn.Module:
    """A copy of the network as it judges images: eval mode, no gradients for weights, batch norms folded away.

    The same function up to rounding, and faster: folding takes away a quarter of the memory traffic.
    """
    copy = deepcopy(network).eval()
    for module in list(copy.modules()):
        layers = list(module.named_children()) if isinstance(module, nn.Sequential) else []
        for (first, conv), (second, norm) in pairwise(layers):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(conv, norm))
                setattr(module, second, nn.Identity())
    return run.place(copy).requires_grad_(False)


def sign_step(
    objective: Callable[[Pixels], Tensor], x: Pixels, delta: Pixels, step_size: float, budget: Budget
) -> tuple[Pixels, Tensor]:
    """delta after one step of sign descent on objective(x + delta), and the value of that before the step.

    delta is float32 and inside the budget, x + delta inside 0..1.
    """
    delta = delta.detach().requires_grad_()
    loss = objective(x + delta)
    (gradient,) = torch.autograd.grad(loss, delta)
    delta = project(delta.detach() - step_size * gradient.sign(), budget)
    return (x + delta).clamp(0, 1) - x, loss.detach()


def minimise_error(
    network: nn.Module, x: Pixels, y: Tensor, delta: Pixels, steps: int, step_size: float, budget: Budget, run: Run
) -> Pixels:
    """delta after `steps` steps of sign descent on the cross-entropy of (x + delta, y), each as `sign_step` does it."""
    for _ in range(steps):
        delta, _loss = sign_step(
            lambda pixels: F.cross_entropy(forward(network, pixels, run), y, reduction="sum"),
            x, delta, step_size, budget,
        )  # fmt: skip
    return delta
