"""Worst: what adversarial training minimises. Madry et al., ICLR 2018, arXiv 1706.06083, equation 2.1."""

from dataclasses import dataclass

from torch import Tensor, nn

from unlearnable.data import ImageSet
from unlearnable.pixels import Budget, Labels, Pixels
from unlearnable.run import Run
from unlearnable.training.parts import Loss, Objective, Step, Teacher, cross_entropy
from unlearnable.training.pgd import attack


@dataclass(frozen=True)
class Worst(Objective):
    """The loss of every batch where the network does worst near it: within `ball`, after `steps` of `attack`.

    Its gradients are taken in eval mode.
    """

    ball: Budget
    steps: int

    def start(self, data: ImageSet, run: Run, teach: Teacher) -> Loss:
        def loss(network: nn.Module, x: Pixels, y: Labels, step: Step) -> tuple[Tensor, Tensor]:
            network.eval()
            worst = attack(network, x, y, self.ball, self.steps, step.rng("attack"), step.run)
            network.train()
            return cross_entropy(network, worst, y, step)

        return loss
