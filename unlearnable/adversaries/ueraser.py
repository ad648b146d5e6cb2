"""UEraser: adversarial augmentations. Qin, Gao, Zhao, Ye, Xu, 2023, arXiv 2303.15127, algorithm 1.

| paper | here |
|---|---|
| K, augmented copies of an image | copies |
| UEraser-Lite, UEraser, UEraser-Max | mode: lite, standard, max |
| W, epochs with the worst copy | worst_share of all epochs (50 of 200), all of them for max |
| PlasmaBrightness, PlasmaContrast, ChannelShuffle at p = 0.5, TrivialAugment | kornia's, in that order |

Differs from the paper: the worst of an image's copies is found without gradients and then trained on alone, which costs
K + 3 passes instead of 3 K; batch normalisation thus sees the chosen copies, as at K = 1. They are chosen in
evaluation mode, in published code in training mode. Every copy is a call of the policy, which draws one operation a
call; of the published code one file does so and another calls it once for all copies.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
from kornia import augmentation
from kornia.augmentation.auto import TrivialAugment
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.adversaries._filter import allow
from unlearnable.data import ImageSet
from unlearnable.pixels import Labels, Pixels
from unlearnable.run import Run
from unlearnable.training import Loss, Objective, Step, Teacher, cross_entropy, forward

Mode = Literal["lite", "standard", "max"]


@dataclass(frozen=True)
class UEraser(Objective):
    """Trains on the augmented copy of each image that the network does worst on."""

    worst_share: ClassVar[dict[str, float]] = {"lite": 0.0, "standard": 0.25, "max": 1.0}

    mode: Mode = "standard"
    copies: int = 5

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ValueError(f"mode of ueraser must be one of {', '.join(get_args(Mode))}, got {self.mode!r}")
        allow("copies", self.copies, 1, 100)

    def start(self, data: ImageSet, run: Run, teach: Teacher) -> Loss:
        policy = pipeline()

        def loss(network: nn.Module, x: Pixels, y: Labels, step: Step) -> tuple[Tensor, Tensor]:
            copies = self.copies if step.epoch < self.worst_share[self.mode] * step.epochs else 1
            with step.seeded("ueraser"):
                views = torch.cat([policy(x) for _ in range(copies)]).clamp(0, 1)  # a call draws one operation for all
            if copies > 1:
                views = worst(network, views.unflatten(0, (copies, len(x))), y, step)
            return cross_entropy(network, views, y, step)

        return loss


def pipeline() -> Any:
    """The augmentations of the paper, x (n, 3, h, w) in 0..1 -> the same shape."""
    return nn.Sequential(
        augmentation.RandomPlasmaBrightness(roughness=(0.3, 0.7), intensity=(0.5, 1.0), p=0.5),
        augmentation.RandomPlasmaContrast(roughness=(0.3, 0.7), p=0.5),
        augmentation.RandomChannelShuffle(p=0.5),
        TrivialAugment(),
    )


@torch.no_grad()
def worst(network: nn.Module, views: Tensor, y: Labels, step: Step) -> Pixels:
    """views (copies, n, c, h, w): of each image the copy with the largest loss, (n, c, h, w)."""
    training = network.training
    network.eval()
    losses = torch.stack([F.cross_entropy(forward(network, x, step.run), y, reduction="none") for x in views])
    network.train(training)
    return views[losses.argmax(0), torch.arange(len(y), device=y.device)]
