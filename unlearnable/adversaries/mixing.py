"""Mixup (Zhang et al., ICLR 2018, arXiv 1710.09412), CutMix (Yun et al., ICCV 2019, arXiv 1905.04899) and Cutout
(DeVries and Taylor, 2017, arXiv 1708.04552). All are kornia's.

Differs from the papers: every image draws its own share (the papers draw one for a batch), and CutMix's box and
Cutout's square lie inside the image, where theirs are cut off at its border.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from kornia import augmentation
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.adversaries._filter import allow
from unlearnable.data import ImageSet
from unlearnable.pixels import Labels, Pixels
from unlearnable.run import Run
from unlearnable.training import Augmentation, Loss, Objective, Step, Teacher, forward


class _Mixing(Objective):
    """Images mixed in pairs, the loss mixed alike."""

    @abstractmethod
    def mixer(self) -> Any:
        """kornia's module: (x, y) -> (x mixed, rows of (label, the other's label, a share))."""

    def others(self, share: Tensor) -> Tensor:
        """The other image's share, of what kornia says."""
        return share

    def start(self, data: ImageSet, run: Run, teach: Teacher) -> Loss:
        mixer = self.mixer()

        def loss(network: nn.Module, x: Pixels, y: Labels, step: Step) -> tuple[Tensor, Tensor]:
            with step.seeded("mix"):
                mixed, pairs = mixer(x, y)
            logits = forward(network, mixed, step.run)
            pairs = pairs.reshape(-1, 3)
            share = self.others(pairs[:, 2])
            own, other = (F.cross_entropy(logits, pairs[:, i].long(), reduction="none") for i in (0, 1))
            return ((1 - share) * own + share * other).mean(), logits

        return loss


@dataclass(frozen=True)
class Mixup(_Mixing):
    """x = (1 - s) x1 + s x2 with s even over 0..`most`, that is Beta(1, 1) at 1; the loss likewise."""

    most: float = 1.0

    def __post_init__(self) -> None:
        allow("most", self.most, 0.0, 1.0)

    def mixer(self) -> Any:
        return augmentation.RandomMixUpV2(lambda_val=torch.tensor([0.0, self.most]), data_keys=["input", "class"])


@dataclass(frozen=True)
class CutMix(_Mixing):
    """A box from another image, its area Beta(`beta`, `beta`); the loss shared by area."""

    beta: float = 1.0

    def __post_init__(self) -> None:
        allow("beta", self.beta, 0.01, 100.0)

    def mixer(self) -> Any:
        beta = torch.tensor(self.beta)
        return augmentation.RandomCutMixV2(beta=beta, data_keys=["input", "class"], use_correct_lambda=True)

    def others(self, share: Tensor) -> Tensor:
        """kornia says the share of the image itself, once it is asked for the area as it was cut."""
        return 1 - share


@dataclass(frozen=True)
class Cutout(Augmentation):
    """A black square of `share` of the side: 16 of 32 pixels in the paper."""

    share: float = 0.5

    def __post_init__(self) -> None:
        allow("share", self.share, 0.01, 0.99)

    def __call__(self, x: Pixels, step: Step) -> Pixels:
        area = self.share**2
        with step.seeded("cutout"):
            erased: Pixels = augmentation.RandomErasing((area, area), (1.0, 1.0), p=1.0)(x)
        return erased
