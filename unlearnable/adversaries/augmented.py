"""UDP's defence: the adversarial noise of a simple network, then strong augmentation. Zhu, Yu, Gao, AAAI 2024,
arXiv 2312.08898.

| paper | here |
|---|---|
| two-layer network, trained adversarially | `hidden` units, `epochs` passes, `train_steps` of noise within eps |
| adversarial noise from it, added to the victim's images | once, on the whole images: `steps` of sign ascent |
| augmentation as strong as that of contrastive learning | kornia: resized crop, colour jitter, greyscale |

Differs from the paper:
* the simple network has 256 hidden units, not 3,072, and takes 10 passes, not 100; Adam at 1e-3 trains it, not SGD at
  0.01 that falls at passes 75 and 90;
* its noise in training has 3 steps of 2 * eps / 3, not 10 of 2/255; that added at the end 10 of 1.6/255, not of 1/255;
* crops have 0.2 of the area and more; there 0.1, as `training.Contrastive` has them at strength 1; the recipe's own
  crops and flips come before them;
* the simple network sees x - 0.5, there x.

The simple network learns the shortcut first; its noise takes the shortcut away, and little else. It knows it where it
lies: of crops it would know little.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from kornia import augmentation
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.adversaries._filter import allow
from unlearnable.data import ImageSet
from unlearnable.pixels import Budget, Bytes, Labels, Pixels, release, to_float
from unlearnable.run import Run
from unlearnable.training import Augmentation, Purifier, Recipe, RecipeChange, Step


@dataclass(frozen=True)
class Augmented(RecipeChange):
    """Noise of at most eps against a two-layer network trained on the same images; then strong augmentation."""

    eps: float = 8 / 255
    hidden: int = 256
    epochs: int = 10
    train_steps: int = 3
    steps: int = 10
    batch: int = 128

    def __post_init__(self) -> None:
        allow("eps", self.eps, 0.0, 1.0)
        for name in ("hidden", "epochs", "train_steps", "steps", "batch"):
            allow(name, getattr(self, name), 1, 100_000)

    def change(self, recipe: Recipe) -> Recipe:
        """The recipe with both parts more."""
        return recipe.having(Unlearned(self)).having(Strong())


@dataclass(frozen=True)
class Unlearned(Purifier):
    """What a simple network has learned of the images, taken away from them."""

    by: Augmented

    def __call__(self, data: ImageSet, run: Run) -> Bytes:
        simple = self.simple_network(data, run)
        parts = []
        for rows in torch.arange(len(data)).split(self.by.batch):
            x, y = to_float(data.images[rows].to(run.at)), data.labels[rows].to(run.at)
            moved = self.ascend(simple, x, y, self.by.steps)
            parts.append(release(data.images[rows], moved.to(data.images.device), Budget("linf", self.by.eps)))
        return torch.cat(parts)

    def simple_network(self, data: ImageSet, run: Run) -> nn.Module:
        """The two-layer network, trained on images moved against it."""
        with run.seeded("simple"):
            inputs = data.images[0].numel()
            layers = (
                nn.Flatten(),
                nn.Linear(inputs, self.by.hidden),
                nn.ReLU(),
                nn.Linear(self.by.hidden, len(data.classes)),
            )
            network = nn.Sequential(*layers).to(run.at)
        optimiser = torch.optim.Adam(network.parameters(), 1e-3)
        for epoch in range(self.by.epochs):
            for rows in run.batches(len(data), self.by.batch, run.rng("simple-order", epoch)):
                x, y = to_float(data.images[rows].to(run.at)), data.labels[rows].to(run.at)
                loss = F.cross_entropy(network(self.ascend(network, x, y, self.by.train_steps) - 0.5), y)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        return network.eval().requires_grad_(False)

    def ascend(self, network: nn.Module, x: Pixels, y: Labels, steps: int) -> Pixels:
        """x moved up the loss of the simple network, within eps and 0..1."""
        moved, eps = x, self.by.eps
        for _ in range(steps):
            moved = moved.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(network(moved - 0.5), y, reduction="sum"), moved)
            step = moved.detach() + 2 * eps / steps * gradient.sign()
            moved = (x + (step - x).clamp(-eps, eps)).clamp(0, 1)
        return moved.detach()


@dataclass(frozen=True)
class Strong(Augmentation):
    """Crops, colour jitter and greyscale after SimCLR (Chen et al., ICML 2020, arXiv 2002.05709, appendix A).

    Colours have its strength for CIFAR-10, 0.5; crops have 0.2 of the area and more, where it has 0.08; no blur.
    """

    def __call__(self, x: Pixels, step: Step) -> Tensor:
        with step.seeded("augmented"):
            views: Tensor = _policy(*x.shape[-2:])(x).clamp(0, 1)
        return views


@cache
def _policy(height: int, width: int) -> Any:
    return nn.Sequential(
        augmentation.RandomResizedCrop((height, width), scale=(0.2, 1.0)),
        augmentation.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        augmentation.RandomGrayscale(p=0.2),
    )
