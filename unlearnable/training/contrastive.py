"""Augmentation as strong as that of contrastive learning. Chen, Kornblith, Norouzi, Hinton, ICML 2020, arXiv
2002.05709, with the one strength of Wang, Zhu, Gao, NeurIPS 2024, arXiv 2402.04010.
"""

from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from unlearnable.pixels import Pixels
from unlearnable.training.parts import Augmentation, Step


@dataclass(frozen=True)
class Contrastive(Augmentation):
    """Resized crop, flip, colour jitter and greyscale of the given strength, all differentiable.

    strength s: crops of max(1 - 0.9 s, 0.05) of the area and more; brightness, contrast and saturation by 0.4 s, hue by
    0.1 s, in 0.8 s of the images; grey in 0.2 s. Raises ValueError for a strength outside 0..1.
    """

    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must be 0 to 1, got {self.strength:g}")

    def __call__(self, x: Pixels, step: Step) -> Pixels:
        return self.view(x, step.rng("contrastive"))

    def view(self, x: Pixels, rng: torch.Generator, crops: float | None = None) -> Pixels:
        """x (n, 3, h, w) -> the same shape in 0..1; draws come from rng. crops: the least share of the area that is
        taken, where it does not follow from the strength.
        """
        seed = int(torch.randint(2**62, (1,), generator=rng))
        with torch.random.fork_rng(devices=[]):  # kornia draws from nowhere else
            torch.manual_seed(seed)
            least = max(1 - 0.9 * self.strength, 0.05) if crops is None else crops
            seen: Pixels = _policy(self.strength, x.shape[-2], x.shape[-1], least)(x)
        return seen.clamp(0, 1)


@cache
def _policy(strength: float, height: int, width: int, crops: float) -> nn.Module:
    from kornia import augmentation  # loaded here: it takes a second, and few need it

    s = strength
    return nn.Sequential(
        augmentation.RandomResizedCrop((height, width), scale=(crops, 1.0), cropping_mode="resample"),
        augmentation.RandomHorizontalFlip(),
        augmentation.ColorJitter(0.4 * s, 0.4 * s, 0.4 * s, 0.1 * s, p=0.8 * s),
        augmentation.RandomGrayscale(p=0.2 * s),
    )
