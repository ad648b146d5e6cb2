"""The network that a perturbation is sought against, while both are being made."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.pixels import Labels, Pixels
from unlearnable.protections._pgd import frozen
from unlearnable.run import Run
from unlearnable.training import doubled, forward


def check_classes(stage: str, data: ImageSet) -> None:
    """Raises ValueError for a single class, of which nothing can be told apart."""
    if len(data.classes) < 2:
        raise ValueError(f"{stage} needs at least 2 classes, got {len(data.classes)}: put the pictures into more")


def check_finite(stage: str, network: nn.Module, lr: float) -> None:
    """Raises ValueError for a network whose training has gone astray."""
    if not torch.stack([weight.isfinite().all() for weight in network.parameters()]).all():
        raise ValueError(f"the surrogate of {stage} could not be trained: its weights are not finite at lr {lr:g}")


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A network and its optimiser. Ranks train it on batches of their own and take the mean of their gradients."""

    stage: str
    network: nn.Module
    optimiser: torch.optim.SGD

    @staticmethod
    def start(
        model: str, data: ImageSet, run: Run, stage: str, lr: float, momentum: float, weight_decay: float
    ) -> "Surrogate":
        """With first weights that belong to the stage, so that a victim of the same seed has others.

        Raises ValueError for a single class: whatever the image, its error is 0, and so is the gradient of it.
        """
        check_classes(stage, data)
        with run.seeded(f"{stage}-init"):
            network = run.agreed(run.place(build(model, len(data.classes), data.size)))
        optimiser = torch.optim.SGD(network.parameters(), lr, momentum, weight_decay=weight_decay)
        return Surrogate(stage, network, optimiser)

    @property
    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"network": self.network, "optimiser": self.optimiser}

    def step(
        self, x: Pixels, y: Labels, run: Run, lr: float | None = None, clip: float | None = None,
        forms: Iterable[nn.Module] = (), share: float = 1.0,
    ) -> None:  # fmt: skip
        """One step of SGD on the cross-entropy of a batch. lr: from now on; clip: of the norm of gradients; forms: of
        the network, whose errors count instead of its own, one after the other; share: what each of them counts.
        """
        self.network.train()
        x, y = doubled(x), doubled(y)
        self.optimiser.zero_grad(set_to_none=True)
        for form in forms or (self.network,):
            (share * F.cross_entropy(forward(form, x, run), y)).backward()
        run.average(weight.grad for weight in self.network.parameters() if weight.grad is not None)
        if clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), clip)
        if lr is not None:
            self.optimiser.param_groups[0]["lr"] = lr
        self.optimiser.step()

    def judge(self, run: Run, folded: bool = True) -> nn.Module:
        """The network as it judges images now (see `frozen`). Raises ValueError where training has gone astray."""
        check_finite(self.stage, self.network, self.optimiser.param_groups[0]["lr"])
        run.average(buffer for buffer in self.network.buffers() if buffer.is_floating_point())
        return frozen(self.network, run, folded)
