"""DUNE: dual-branch robust unlearnable examples. Wang, Zhang, Pan, Zhou, Jiang, Zeng, Jia, ICML 2026, arXiv 2605.01718.

| paper | here |
|---|---|
| epsilon of the spatial branch, 8/255 | the part 1 - colour of budget |
| the colour branch: a shift of R, G and B for each class, up to 0.1 | the part `colour` of budget |
| 5 checkpoints of one training, whose gradients are averaged | checkpoints, of `epochs` |
| 30 steps of 0.5/255 towards class y + 3 | steps, step_size, shift |
| particle swarm, 10 particles for 10 turns, on the first images of a class | particles, turns, seen |

The sum of both branches exceeds the 8/255 of the field. Here they share the budget; the preset `published` has the
published strength of either and so a budget of its own, 8/255 + 0.1.

Differs from the published code:
* the swarm stays inside the box of +-0.1, which is its PSNR of 20 dB; SSIM and LPIPS do not stop it;
* the best place of all is kept; there it moves on with the particle that found it, as both are one array;
* noise begins at a random point; the preset `quick` shows the checkpoints crops and flips, as TAP does.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from unlearnable.data import ImageSet
from unlearnable.perturbation import Perturbation
from unlearnable.pixels import Pixels, to_float
from unlearnable.protections._fields import Natural, Positive, Share
from unlearnable.protections._noise import NoisyImages
from unlearnable.protections._pgd import cropped
from unlearnable.protections.sep import SEP
from unlearnable.run import Run

Shifts = Float32[Tensor, "n 3"]  # of R, G and B, in units of the 0..1 range
_COLOUR = 0.1
_INERTIA, _PULL = 0.5, 0.3
_QUICK: dict[str, Any] = {
    "model": "cnn",
    "epochs": 16,
    "checkpoints": 3,
    "surrogate_batch": 64,
    "steps": 10,
    "step_size": 2 / 255,
    "batch": 128,
    "particles": 6,
    "turns": 6,
    "seen": 100,
    "padding": 4,
}
_PUBLISHED: dict[str, Any] = {
    "budget": {"norm": "linf", "eps": 8 / 255 + _COLOUR},
    "colour": _COLOUR / (8 / 255 + _COLOUR),
}


@dataclass(frozen=True)
class DUNE(SEP):
    """Images that every checkpoint of a training takes for another class, and a tint of their class that says so too.

    colour: the part of the budget that the tint may take, 0 to 1; seen: images of a class that the tint is sought on;
    padding: of the random crops that the checkpoints see, 0 for images as they are.
    Raises ValueError for a colour outside 0..1, a count below 1, or more checkpoints than epochs; `fit` for a single
    class, or where training failed.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": _QUICK, "published": _PUBLISHED, "published-quick": _QUICK | _PUBLISHED,
    }  # fmt: skip

    checkpoints: int = 5
    step_size: Positive = 0.5 / 255
    shift: Natural = 3
    padding: Natural = 0
    colour: Share = 0.125
    particles: int = 10
    turns: int = 10
    seen: int = 1000

    def view(self, pixels: Pixels, rng: torch.Generator) -> Pixels:
        """A random crop, flipped or not, where there is a padding."""
        return cropped(pixels, self.padding, rng)

    def fit(self, data: ImageSet, run: Run) -> Perturbation:
        """Both branches by themselves, as published; then their sum."""
        spatial = replace(self, budget=replace(self.budget, eps=(1 - self.colour) * self.budget.eps))
        images, both = (NoisyImages(data, budget, run) for budget in (spatial.budget, self.budget))
        judges = self.judges(data, run)
        tints = self.tints(judges, data, run)
        spatial.search(judges, images, run)
        for rows in run.shard(len(data)).split(self.batch):
            _, y = images.clean(rows)
            both.keep(rows, images.delta(rows) + tints[y][:, :, None, None])
        return both.sample_wise()

    def tints(self, judges: list[nn.Module], data: ImageSet, run: Run) -> Shifts:
        """For each class the shift that its images are taken for class y + 3 with; none for a class without images."""
        bound = self.colour * self.budget.eps
        found = torch.zeros(len(data.classes), 3, device=run.at)
        for label in run.loop(f"{self.stage}-colour", len(found), {"tints": found}):
            rows = (data.labels == label).nonzero().flatten()[: self.seen]
            if not len(rows):
                continue
            x, y = to_float(data.images[rows].to(run.at)), data.labels[rows].to(run.at)

            def error(tint: Tensor, x: Tensor = x, y: Tensor = y) -> Tensor:
                return self.mean(judges, (x + tint[:, None, None]).clamp(0, 1), y, run).mean()

            rng = run.rng(f"{self.stage}-swarm", label)
            found[label], lowest = swarm(error, bound, self.particles, self.turns, rng, found.device)
            run.report(f"{self.stage}-colour", label + 1, len(found), {"loss": float(lowest)})
        return found


@torch.no_grad()
def swarm(
    value: Callable[[Tensor], Tensor], bound: float, particles: int, turns: int, rng: torch.Generator, at: torch.device
) -> tuple[Tensor, Tensor]:
    """Where in the cube of +-bound the value was lowest, (3,), and how low: particle swarm with the published pulls."""
    place, speed = ((2 * torch.rand(particles, 3, generator=rng) - 1).to(at) * bound for _ in range(2))
    speed = speed / 10
    own, lowest = place, torch.full((particles,), float("inf"), device=at)
    for _ in range(turns):
        values = torch.stack([value(one) for one in place])
        better = values < lowest
        own, lowest = torch.where(better[:, None], place, own), torch.where(better, values, lowest)
        speed = _INERTIA * speed + _PULL * (own - place) + _PULL * (own[lowest.argmin()] - place)
        place = (place + speed).clamp(-bound, bound)
    return own[lowest.argmin()], lowest.min()
