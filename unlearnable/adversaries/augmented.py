"""UDP's defence: strong augmentation and the adversarial noise of a simple network. Zhu, Yu, Gao, AAAI 2024,
arXiv 2312.08898.

| paper | here |
|---|---|
| two-layer network, trained adversarially | `hidden` units, `epochs` passes, noise within eps |
| adversarial noise from it, added to the victim's images | one batch at a time, `steps` steps of sign ascent |
| augmentation as strong as that of contrastive learning | kornia: resized crop, colour jitter, greyscale |

The simple network learns the shortcut first; its noise takes the shortcut away, and little else.
"""

from dataclasses import dataclass
from typing import Any

import torch
from kornia import augmentation
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.adversaries._filter import allow
from unlearnable.data import ImageSet
from unlearnable.pixels import Labels, Pixels, to_float
from unlearnable.run import Run
from unlearnable.training import Loss, Objective, Step, Teacher, cross_entropy


@dataclass(frozen=True)
class Augmented(Objective):
    """Strong augmentation, and noise of at most eps against a two-layer network trained on the same images."""

    eps: float = 8 / 255
    hidden: int = 256
    epochs: int = 10
    steps: int = 3
    batch: int = 128

    def __post_init__(self) -> None:
        allow("eps", self.eps, 0.0, 1.0)

    def start(self, data: ImageSet, run: Run, teach: Teacher) -> Loss:
        simple = self.simple_network(data, run)
        policy = strong(data.size)

        def loss(network: nn.Module, x: Pixels, y: Labels, step: Step) -> tuple[Tensor, Tensor]:
            noisy = self.ascend(simple, x, y)
            with step.seeded("augmented"):
                views = policy(noisy).clamp(0, 1)
            return cross_entropy(network, views, y, step)

        return loss

    def simple_network(self, data: ImageSet, run: Run) -> nn.Module:
        """The two-layer network, trained on images moved against it."""
        with run.seeded("simple"):
            inputs = data.images[0].numel()
            layers = (
                nn.Flatten(),
                nn.Linear(inputs, self.hidden),
                nn.ReLU(),
                nn.Linear(self.hidden, len(data.classes)),
            )
            network = nn.Sequential(*layers).to(run.at)
        optimiser = torch.optim.Adam(network.parameters(), 1e-3)
        for epoch in range(self.epochs):
            for rows in run.batches(len(data), self.batch, run.rng("simple-order", epoch)):
                x, y = to_float(data.images[rows].to(run.at)), data.labels[rows].to(run.at)
                loss = F.cross_entropy(network(self.ascend(network, x, y) - 0.5), y)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        return network.eval().requires_grad_(False)

    def ascend(self, network: nn.Module, x: Pixels, y: Labels) -> Pixels:
        """x moved up the loss of the simple network, within eps and 0..1."""
        moved = x
        for _ in range(self.steps):
            moved = moved.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(network(moved - 0.5), y, reduction="sum"), moved)
            step = moved.detach() + 2 * self.eps / self.steps * gradient.sign()
            moved = (x + (step - x).clamp(-self.eps, self.eps)).clamp(0, 1)
        return moved.detach()


def strong(size: int) -> Any:
    """The augmentation of SimCLR (Chen et al., ICML 2020, arXiv 2002.05709, appendix A) without its blur."""
    return nn.Sequential(
        augmentation.RandomResizedCrop((size, size), scale=(0.2, 1.0)),
        augmentation.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        augmentation.RandomGrayscale(p=0.2),
    )
