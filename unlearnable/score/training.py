"""The score network of Fang et al., preprint 2023, arXiv 2305.11191, equations 2-5: how it is trained.

| paper | here |
|---|---|
| s_theta(x, y), the gradient of log p(x given y) with respect to x | Score(x, labels, sigma) |
| sigma | sigmas: one, as printed; of several one is drawn for every image (Song and Ermon, arXiv 1907.05600) |
| eq. 5, half the mean of the squared norm of s(x~, y) + (x~ - x) / sigma^2 | times sigma^2: the error of the noise |

Differs from the paper, which names neither a network nor any of these numbers:
* a small U-Net: blocks of group normalisation and SiLU at three scales, to which label and noise level are added;
* `patch` 2 lets it see 2 x 2 pixels as one place, for a quarter of the cost: the preset `quick`, for a processor core.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.pixels import to_float
from unlearnable.run import Run
from unlearnable.score.network import Score, UNet


@dataclass(frozen=True)
class ScoreTraining:
    """Denoising score matching with Adam, a cosine schedule and an average of the weights.

    sigmas: noise levels in 0..1 units, one drawn for every image; width: channels at the finest scale, a multiple of 8;
    ema: how much of the average stays at each step; conditional: the network is told the labels.
    Raises ValueError for no level or one that is not above 0, or such a width.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"epochs": 12, "batch": 64, "lr": 2e-3, "width": 32, "patch": 2, "ema": 0.99},
    }

    sigmas: tuple[float, ...] = (0.05,)
    epochs: int = 150
    batch: int = 128
    lr: float = 2e-4
    width: int = 64
    patch: int = 1
    ema: float = 0.999
    flip: bool = True
    conditional: bool = True

    def __post_init__(self) -> None:
        if not self.sigmas or min(self.sigmas) <= 0:
            raise ValueError(f"sigmas must be levels above 0, at least one, got {self.sigmas}")
        if self.width % 8 or self.width < 8:
            raise ValueError(f"width must be a multiple of 8, got {self.width}")

    def fit(self, data: ImageSet, run: Run) -> Score:
        """Equation 5 on the images of `data`, which are to be clean. Labels are read only by a conditional network.

        Raises ValueError where a conditional network meets an unknown label (-1).
        """
        classes = len(data.classes) if self.conditional else 0
        if classes and int(data.labels.min()) < 0:
            raise ValueError("a conditional score network needs a label for every image")
        with run.seeded("score-init"):
            network = run.place(UNet(self.width, self.patch, classes))
            average = run.place(UNet(self.width, self.patch, classes))
        average.load_state_dict(network.state_dict())
        optimiser = torch.optim.Adam(network.parameters(), self.lr)
        state = {"network": network, "average": average, "optimiser": optimiser}
        for epoch in run.loop("score", self.epochs, state):
            loss = self._epoch(network, average.requires_grad_(False), optimiser, data, run, epoch)
            run.report("score", epoch + 1, self.epochs, {"loss": loss})
        frozen = run.agreed(average).eval().requires_grad_(False)
        assert isinstance(frozen, UNet)
        return Score(frozen, self.width, self.patch, classes, self.sigmas)

    def _epoch(
        self, network: nn.Module, average: nn.Module, optimiser: Any, data: ImageSet, run: Run, epoch: int
    ) -> float:
        """One pass over the images: the mean squared error of the predicted noise; 1 is what saying nothing has."""
        network.train()
        levels, total = torch.tensor(self.sigmas), 0.0
        batches = -(-len(data) // self.batch)
        for number, rows in enumerate(run.batches(len(data), self.batch, run.rng("score-order", epoch))):
            rng, step = run.rng("score-noise", epoch, number), epoch * batches + number
            optimiser.param_groups[0]["lr"] = self.lr * warm_cosine(step, self.epochs * batches)
            x = to_float(data.images[rows])
            if self.flip:
                x = torch.where((torch.rand(len(x), generator=rng) < 0.5)[:, None, None, None], x.flip(3), x)
            noise = torch.randn(x.shape, generator=rng)
            sigma = levels[torch.randint(len(levels), (len(x),), generator=rng)]
            noisy = (x + sigma[:, None, None, None] * noise).to(run.at).contiguous(memory_format=torch.channels_last)
            with run.autocast():
                found = network(noisy, data.labels[rows].to(run.at), sigma.to(run.at))
            loss = F.mse_loss(found.float(), noise.to(run.at))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            keep = min(self.ema, (1 + step) / (10 + step))
            for mean, weight in zip(average.parameters(), network.parameters(), strict=True):
                mean.lerp_(weight.detach(), 1 - keep)
            total += float(loss.detach()) * len(rows)
        return total / len(data)


def warm_cosine(step: int, steps: int) -> float:
    """The share of the full rate: up over the first twentieth of the steps, then down a cosine."""
    return min(1.0, 20 * (step + 1) / steps) * 0.5 * (1 + math.cos(math.pi * step / steps))
