"""Adversarial training. Madry, Makelov, Schmidt, Tsipras, Vladu, ICLR 2018, arXiv 1706.06083, equation 2.1, by PGD.

| paper | here |
|---|---|
| S, the allowed perturbations | eps, norm |
| k steps of size alpha | steps; alpha = 2 eps / steps, which is the eps/5 of ten steps of REM and data collapse |
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.adversaries._filter import allow
from unlearnable.data import ImageSet
from unlearnable.pixels import Budget, Labels, Pixels, project
from unlearnable.run import Run
from unlearnable.training import Loss, Objective, Step, Teacher, cross_entropy, forward


@dataclass(frozen=True)
class Adversarial(Objective):
    """Every batch is first moved to where the network does worst, within eps of the 0..1 range.

    norm l2: eps is the root mean square change over an image, as in `Budget`. Gradients are taken in eval mode and
    start at a random point.
    """

    eps: float = 4 / 255
    steps: int = 10
    norm: Literal["linf", "l2"] = "linf"

    def __post_init__(self) -> None:
        allow("eps", self.eps, 0.0, 1.0)
        allow("steps", self.steps, 1, 1000)
        if self.norm not in ("linf", "l2"):
            raise ValueError(f"norm must be linf or l2, got {self.norm!r}")

    def start(self, data: ImageSet, run: Run, teach: Teacher) -> Loss:
        def loss(network: nn.Module, x: Pixels, y: Labels, step: Step) -> tuple[Tensor, Tensor]:
            network.eval()
            worst = self.attack(network, x, y, step)
            network.train()
            return cross_entropy(network, worst, y, step)

        return loss

    def attack(self, network: nn.Module, x: Pixels, y: Labels, step: Step) -> Pixels:
        """The images after `steps` steps up the loss: inside the ball and inside 0..1 after every one."""
        ball = Budget(self.norm, self.eps)
        noise = torch.rand(x.shape, generator=step.rng("attack")).to(x) * 2 - 1
        delta = project(noise * self.eps, ball)
        for _ in range(self.steps):
            moved = (x + delta).clamp(0, 1).requires_grad_()
            loss = F.cross_entropy(forward(network, moved, step.run), y, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, moved)
            delta = project(moved.detach() - x + self.size(gradient), ball)
        return (x + delta).clamp(0, 1)

    def size(self, gradient: Pixels) -> Pixels:
        """One step: the sign of the gradient, or its direction, 2 eps / steps long in the norm of the ball."""
        if self.norm == "linf":
            direction = gradient.sign()
        else:
            rms = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
            direction = gradient / rms.clamp_min(1e-12)
        return 2 * self.eps / self.steps * direction
