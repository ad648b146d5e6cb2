"""Game unlearnable examples (GUE there). Liu, Wang, Gao, AAAI 2024, arXiv 2401.17523, algorithm 1.

| paper | here |
|---|---|
| epsilon | budget |
| the leader: generator of poisons, minus its payoff on clean images | lr, width, downs, blocks; `payoff` |
| the follower: a classifier that learns from poisoned images | model, victim_lr |
| T steps of the follower's best answer | answer_steps at answer_lr |
| eta, how fast the follower's regret must fall | eta |
| epochs, batch | passes or steps, batch |

The generator plays first: whatever network answers by learning the protected images shall take clean ones for the worst
of all wrong classes. It is solved with first derivatives alone (BOME, Liu, Ye, Wright, Stone, Liu, NeurIPS 2022, arXiv
2209.08709): both descend on the payoff with the follower's regret, the error it could still save, as a constraint.

Differs from the published code:
* the generator is that of the other methods here, not a U-Net; both players take steps of Adam, not of SGD;
* the last generator is kept, not that of the epoch which was best on test images.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.models.generator import Generator
from unlearnable.pixels import LINF8, Budget, Labels, Pixels, to_float
from unlearnable.protections._fields import Natural, Positive, Staged
from unlearnable.protections._generator_training import steps_of
from unlearnable.protections._noise import drawn, take
from unlearnable.protections._painted import Painted, Painter, Told
from unlearnable.protections._surrogate import check_classes
from unlearnable.run import Run
from unlearnable.training import doubled, forward

Gradients = Sequence[Tensor]


@dataclass(frozen=True)
class Game(Staged):
    """A generator whose images teach any network that learns them to be wrong about clean ones; serves new images.

    passes: over the images, or `steps` where given; told: the generator is told the class (ours). Raises ValueError for
    answer_steps or batch below 1; `fit` for images without labels, a single class, and gradients that are not finite.
    """

    needs_labels: ClassVar[bool] = True
    needs_images: ClassVar[bool] = True
    transfers: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"model": "cnn", "width": 12, "blocks": 1, "steps": 500, "batch": 64, "lr": 2e-3, "told": True,
                  "answer_steps": 1, "answer_lr": 1e-3},
    }  # fmt: skip

    budget: Budget = field(default=LINF8)
    model: str = "resnet18"
    width: int = 64
    downs: Natural = 2
    blocks: Natural = 6
    passes: int = 50
    steps: int | None = None
    batch: int = 256
    lr: Positive = 1e-3
    victim_lr: Positive = 1e-3
    told: bool = False
    answer_steps: int = 10
    answer_lr: Positive = 1e-4
    eta: float = 1.5

    def fit(self, data: ImageSet, run: Run) -> Painted:
        """Algorithm 1; ranks share batches and take the mean of their gradients."""
        check_classes(self.stage, data)
        if unknown := int((data.labels < 0).sum()):
            raise ValueError(f"game needs labelled images: {unknown} of {len(data)} have no label")
        shape = {"width": self.width, "downs": self.downs, "blocks": self.blocks}
        told = Told(len(data.classes) if self.told else 0)
        with run.seeded(f"{self.stage}-init"):
            generator = Generator(**shape, code=told.length)
            victim = build(self.model, len(data.classes), data.size)
        for network in (generator, victim):
            run.agreed(run.place(network))
        leader = torch.optim.Adam(generator.parameters(), self.lr)
        follower = torch.optim.Adam(victim.parameters(), self.victim_lr)
        state = {"generator": generator, "victim": victim, "leader": leader, "follower": follower}
        paint = Painter(generator, self.budget.eps, "tanh", None, told)
        images, labels = run.near(data.images), run.near(data.labels)
        steps = steps_of(self.passes, len(data), self.batch) if self.steps is None else self.steps
        for step in run.loop(self.stage, steps, state):
            rows = doubled(drawn(len(data), self.stage, step, self.batch, run))
            figures = self.turn(paint, victim, to_float(take(images, rows, run)), take(labels, rows, run), run)
            leader.step()
            follower.step()
            run.report(self.stage, step + 1, steps, figures)
        run.agreed(generator)  # each rank had statistics of its own
        return paint.painted(shape, data.size)

    def turn(self, paint: Painter, victim: nn.Module, x: Pixels, y: Labels, run: Run) -> dict[str, float]:
        """Leaves their gradients with the generator and the victim."""
        generator, victim = paint.network.train(), victim.train()
        said = (x + paint(x, y)).clamp(0, 1)
        answer = self.answered(victim, said.detach(), y, run)
        leads, follows = list(generator.parameters()), list(victim.parameters())
        goal = payoff(forward(victim, x, run), y)
        of_goal = torch.autograd.grad(goal, follows)
        left = F.cross_entropy(forward(victim, said, run), y)
        regret = left - F.cross_entropy(forward(answer, said, run), y)
        of_regret = torch.autograd.grad(regret, [*leads, *follows])
        run.average([*of_goal, *of_regret])
        weight = multiplier(of_goal, of_regret[len(leads) :], of_regret, self.eta)
        if not weight.isfinite():
            raise ValueError(f"the generator could not be trained: not finite at lr {self.lr:g}, take a lower one")
        for network_weight, slope in zip(leads, of_regret[: len(leads)], strict=True):
            network_weight.grad = weight * slope
        for network_weight, slope, own in zip(follows, of_regret[len(leads) :], of_goal, strict=True):
            network_weight.grad = own + weight * slope
        return {"clean": float(goal.detach()), "protected": float(left.detach()), "regret": float(regret.detach())}

    def answered(self, victim: nn.Module, said: Pixels, y: Labels, run: Run) -> nn.Module:
        """What the victim becomes after a few steps on the protected batch: close to its best answer."""
        answer = deepcopy(victim)
        optimiser = torch.optim.Adam(answer.parameters(), self.answer_lr)
        for _ in range(self.answer_steps):
            loss = F.cross_entropy(forward(answer, said, run), y)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        return answer.requires_grad_(False)


def payoff(logits: Tensor, y: Labels) -> Tensor:
    """What falls for the leader: the mean cross-entropy with the wrong class furthest off. (n, k), (n,) -> ()."""
    wrong = -logits.log_softmax(1)
    return wrong.scatter(1, y[:, None], -torch.inf).amax(1).mean()


def multiplier(of_goal: Gradients, of_regret: Gradients, all_of_regret: Gradients, eta: float) -> Tensor:
    """How much the constraint weighs: max(0, eta - <grad goal, grad regret> / |grad regret|^2), of all variables."""
    product = torch.stack([(one * other).sum() for one, other in zip(of_goal, of_regret, strict=True)]).sum()
    square = torch.stack([slope.square().sum() for slope in all_of_regret]).sum()
    return torch.relu((eta * square - product) / (square + 1e-8))
