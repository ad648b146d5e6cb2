"""What comes out of a training: a network, and how its accuracy went."""

import math
from dataclasses import dataclass, field

from torch import Tensor, nn

from unlearnable.run import Run
from unlearnable.training.network import Images, classes_given
from unlearnable.training.parts import EarlyStop


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained network, and how its accuracy went: one entry an epoch.

    early_acc: of the epoch that early stopping chooses, on test images it was not chosen on.
    diverged: the loss was not finite any more, and training ended there.
    checkpoints: the network as it was after the epochs that were asked for. probes: of one that learned without labels,
    what its features are worth on test images: of a linear probe and of nearest neighbours, fitted on clean and on the
    given images.
    """

    network: nn.Module
    train_acc: tuple[float, ...]
    test_acc: tuple[float, ...]
    early_acc: float | None = None
    diverged: bool = False
    checkpoints: tuple[nn.Module, ...] = ()
    probes: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def of(network: nn.Module, curves: dict[str, list[float]]) -> "Classifier":
        """By the curves of its training: after the loss was no number, nothing counts as right."""
        own, rest = curves["own_acc"], curves["rest_acc"]
        best = own.index(max(own)) if own else None
        diverged = math.isnan(curves["train_acc"][-1])
        train = [0.0 if math.isnan(value) else value for value in curves["train_acc"]]
        early = None if best is None or math.isnan(rest[best]) else rest[best]
        return Classifier(network, tuple(train), tuple(curves["test_acc"]), early, diverged)


class Trial:
    """The test after every epoch: on all images, on the adversary's few, and on the others."""

    def __init__(self, images: Images, labels: Tensor, stop: EarlyStop | None, run: Run) -> None:
        self.images, self.labels, self.run = images, labels, run
        self.own, self.rest = (stop or EarlyStop()).split(len(labels), run)

    def judge(self, network: nn.Module, curves: dict[str, list[float]]) -> None:
        right = (classes_given(network, self.images, self.run) == self.labels).float()
        for name, rows in (("test_acc", slice(None)), ("own_acc", self.own), ("rest_acc", self.rest)):
            curves[name].append(float(right[rows].mean()))
