"""AVATAR: diffusion purification. Dolatabadi, Erfani, Leckie, SaTML 2024, arXiv 2303.08500; DiffPure, arXiv 2205.07460.

| paper | here |
|---|---|
| t*, how far an image is diffused: 100 of 1000 | noise: the ratio of noise to image that it has there, 0..1 units |
| steps of the reverse SDE: 100 | steps |
| the reverse SDE, or the probability flow ODE of the same score | equation |
| the pre-trained score network | score: a folder, as `Score.save` writes it |

Differs from the paper:
* noise is added to an image that is not shrunk (variance exploding); at t* the published one is 0.947 x + 0.161 noise,
  which is 0.947 times x + 0.17 noise;
* the network is hundreds of times smaller, and the steps are few, their levels a geometric row: one processor core;
* the noise of an image is a function of the seed and its row, so batches may be cut anywhere.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from unlearnable.data import ImageSet
from unlearnable.pixels import UNBOUNDED, Bytes, Labels, Pixels, release, to_float
from unlearnable.run import Run
from unlearnable.score import Score, load
from unlearnable.training import Purifier, fewer

SHIPPED = Path(__file__).parent.parent / "weights" / "score-32"
_BATCH = 100


@dataclass(frozen=True)
class Purify(Purifier):
    """Drowns the perturbation in noise, then walks back to where clean images lie.

    score: trained on clean images other than the protected ones; None: the one that is shipped (Tiny-ImageNet at 32 px,
    told no labels; it has seen the images of `tin100*`, for which it is not to be taken). One that is told labels
    gets those of the images, as whoever trains on them has them: that of a `collapse` is the most an adversary could
    know. Raises ValueError for noise or steps that are not above 0 and, when called, for a network of other classes or
    one that never saw so much noise.
    """

    score: Path | None = None
    noise: float = 0.17
    steps: int = 6
    equation: Literal["sde", "ode"] = "sde"

    def __post_init__(self) -> None:
        if self.noise <= 0 or self.steps < 1:
            raise ValueError(f"purify needs noise above 0 and at least 1 step, got {self.noise} and {self.steps}")

    def __call__(self, data: ImageSet, run: Run) -> Bytes:
        network = self.network(data).to(run)
        pure = data.images.clone(memory_format=torch.contiguous_format)
        batches = list(run.batches(len(data), fewer(_BATCH, data.size)))
        for number in run.loop("purify", len(batches), {"images": pure}):
            rows = batches[number]
            draws = [torch.randn(self.steps, *pure.shape[1:], generator=run.rng("purify", int(row))) for row in rows]
            x, y = to_float(data.images[rows]).to(run.at), data.labels[rows].to(run.at)
            found = self.walk(network, x, y if network.classes else None, torch.stack(draws, 1).to(run.at), run)
            pure[rows] = release(data.images[rows], found.cpu(), UNBOUNDED)
        return pure

    def network(self, data: ImageSet) -> Score:
        """The score network. Raises ValueError where there is none, or one that does not serve these images."""
        folder = SHIPPED if self.score is None else self.score
        network = load(folder, len(data.classes))
        if self.noise > max(network.sigmas) * 1.001:
            raise ValueError(f"{folder} knows noise up to {max(network.sigmas):g}, not {self.noise:g}")
        return network

    @torch.no_grad()
    def walk(self, score: Score, x: Pixels, labels: Labels | None, draws: Tensor, run: Run) -> Pixels:
        """Diffuses x and walks back; draws: (steps, n, c, h, w) of standard normal noise. Unclamped."""
        low = min(self.noise, *score.sigmas)
        levels = [self.noise * (low / self.noise) ** (step / max(1, self.steps - 1)) for step in range(self.steps)]
        x = x + self.noise * draws[0]
        for step, (level, following) in enumerate(zip(levels, [*levels[1:], 0.0], strict=True), 1):
            with run.autocast():
                clean = score.denoised(x, labels, level)
            ratio = following / level
            if self.equation == "ode" or not following:
                x = clean + ratio * (x - clean)
            else:
                fresh = following * (1 - ratio**2) ** 0.5
                x = clean + ratio**2 * (x - clean) + fresh * draws[step]
        return x
