"""Learning from images without labels: SimCLR, MoCo-v2, BYOL and SimSiam (see `pairs`) as one loop."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import nn

from unlearnable.pixels import Pixels
from unlearnable.run import Run
from unlearnable.training.contrastive import Contrastive
from unlearnable.training.network import Images, as_pixels, doubled
from unlearnable.training.pairs import Learner, Pairs, headless
from unlearnable.training.parts import one_cycle

Probe = Literal["clean", "given"]


@dataclass(frozen=True)
class SelfSupervised:
    """How somebody trains a network without labels; the numbers are those of the quick tier.

    learner: simclr, moco, byol or simsiam; probe: whether the linear probe that makes a classifier of its features is
    fitted on clean images, as papers do it to measure features, or on the images given, which is all that an adversary
    has; epochs: 0 leaves the network as it began, the control; lr: the peak of a one-cycle schedule of SGD; batch:
    images a step, of which each is seen twice; strength, crops: of the views (`Contrastive`), with the least share of
    an image's area that one has; temperature: of simclr and moco; follow: how much the slow copy of moco and byol keeps
    at a step; queue: earlier images that moco compares with. Raises ValueError for a value outside its range.
    """

    learner: Learner = "simclr"
    probe: Probe = "clean"
    epochs: int = 24
    lr: float = 0.1
    batch: int = 128
    momentum: float = 0.9
    weight_decay: float = 1e-4
    strength: float = 1.0
    crops: float = 0.2
    temperature: float = 0.5
    follow: float = 0.99
    queue: int = 2048

    def __post_init__(self) -> None:
        if self.learner not in get_args(Learner):
            raise ValueError(f"learner must be one of {', '.join(get_args(Learner))}, got {self.learner!r}")
        if self.probe not in get_args(Probe):
            raise ValueError(f"probe of {self.learner} must be clean or given, got {self.probe!r}")
        least = {"epochs": 0, "batch": 1, "queue": 1}
        if low := [name for name in least if getattr(self, name) < least[name]]:
            raise ValueError(f"{low[0]} of {self.learner} must be {least[low[0]]} or more, got {getattr(self, low[0])}")
        if not self.temperature > 0 or not 0 <= self.follow <= 1:
            raise ValueError(
                f"temperature must be above 0 and follow 0 to 1, got {self.temperature:g} and {self.follow:g}"
            )
        if not 0 < self.crops <= 1:
            raise ValueError(f"crops of {self.learner} must be above 0, 1 at most, got {self.crops:g}")
        Contrastive(self.strength)

    def start(self, network: nn.Module, run: Run, name: str) -> Pairs:
        """The network without its head, on the device, with what the learner adds to it.

        Raises ValueError for a network that does not end in a linear layer.
        """
        features = headless(network).in_features
        with run.seeded(f"{name}-projector"):
            pairs = Pairs(self.learner, network, features, self.temperature, self.follow, self.queue)
        return run.agreed(run.place(pairs))  # type: ignore[return-value]

    def views(self, x: Pixels, run: Run, name: str, *moment: int) -> tuple[Pixels, Pixels]:
        """Two strongly augmented views of each image, differentiable in it."""
        draws = (run.rng(f"{name}-{which}", *moment) for which in ("first", "second"))
        first, second = (Contrastive(self.strength).view(x, rng, self.crops) for rng in draws)
        return first, second

    def optimiser(self, pairs: Pairs) -> torch.optim.SGD:
        """For the weights that learn."""
        weights = [weight for weight in pairs.parameters() if weight.requires_grad]
        return torch.optim.SGD(weights, self.lr, self.momentum, weight_decay=self.weight_decay)

    def step(self, pairs: Pairs, optimiser: torch.optim.SGD, x: Pixels, run: Run, name: str, *moment: int) -> float:
        """One step on two views of a batch; the loss before it. Ranks take the mean of their gradients."""
        pairs.train()
        loss, keys = pairs.loss(*self.views(doubled(x), run, name, *moment), run)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        run.average(weight.grad for weight in pairs.parameters() if weight.grad is not None)
        optimiser.step()
        pairs.learned(keys)
        return float(loss.detach())

    def train(self, network: nn.Module, images: Images, run: Run) -> list[float]:
        """Trains a network, of which the head is taken away, on images. The mean loss of each epoch: the last is no
        number where training went astray.
        """
        pairs = self.start(network, run, "pretrain")
        optimiser, images = self.optimiser(pairs), images.to(run.at)
        curve: list[float] = []
        state: dict[str, Any] = {"pairs": pairs, "optimiser": optimiser, "losses": curve}
        steps = -(-len(images) // self.batch)
        for epoch in run.loop("pretrain", self.epochs, state):
            losses = []
            for part, rows in enumerate(run.batches(len(images), self.batch, run.rng("pretrain-order", epoch))):
                optimiser.param_groups[0]["lr"] = self.lr * one_cycle(epoch * steps + part, self.epochs * steps)
                losses.append(self.step(pairs, optimiser, as_pixels(images[rows]), run, "pretrain", epoch, part))
            curve.append(sum(losses) / len(losses))
            run.report("pretrain", epoch + 1, self.epochs, {"loss": curve[-1]})
            if not math.isfinite(curve[-1]):
                run.stop("pretrain", self.epochs, state, "the loss was no number")
                break
        return curve
