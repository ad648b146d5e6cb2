"""The way an authorised network takes while it learns, and perturbations that do not turn it aside: equations 5 and 6
of UGE (Ye and Wang, CVPR 2024, arXiv 2404.14016).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from unlearnable.data import ImageSet
from unlearnable.models.blind import Direction, blind_to
from unlearnable.pixels import Bytes, Index, Labels, Pixels, to_float
from unlearnable.protections._generator_training import Settled
from unlearnable.protections._noise import take
from unlearnable.run import Run
from unlearnable.training import Authorised, Step

Granularity = Literal["batch", "class", "sample"]
Scope = Literal["layer", "all"]
Combine = Literal["sum", "mean", "worst"]


def unseen(networks: Sequence[Authorised], data: ImageSet, run: Run) -> Direction:
    """The direction of colour that all are blind to. Raises ValueError where one is not, or not to the same."""
    found: list[Direction] = []
    for place, network in enumerate(networks):
        one = blind_to(network.start(data, run))
        if one is None or (found and (one - found[0]).abs().max() > 1e-2):
            what = "sees all colours" if one is None else "is blind to another colour than the first"
            raise ValueError(f"authorised network {place} {what}: create all of them --blind with one seed")
        found.append(one)
    return found[0].cpu()


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Checkpoints of an authorised network from its initial weights on, and what it ends as."""

    network: Authorised
    count: int
    name: str
    checkpoints: list[nn.Module]
    last: nn.Module

    @staticmethod
    def walked(networks: Sequence[Authorised], data: ImageSet, count: int, run: Run) -> "list[Trajectory]":
        """Trains each of the networks and keeps it `count` times, mostly early, where it changes most."""
        found = []
        for which, network in enumerate(networks):
            begun, name = _frozen(network.start(data, run), run), f"authorised-{which}"
            kept, last = _kept(network, data, count, name, run)
            found.append(Trajectory(network, count, name, [begun, *kept], last))
        return found

    def walk_on(self, data: ImageSet, turn: int, run: Run) -> None:
        """Checkpoints of the same training on images as they are protected by now, too."""
        kept, _ = _kept(self.network, data, self.count, f"{self.name}-again-{turn}", run)
        self.checkpoints.extend(kept)


def _kept(network: Authorised, data: ImageSet, count: int, name: str, run: Run) -> tuple[list[nn.Module], nn.Module]:
    own = replace(run, directory=run.directory and run.directory / name)
    found = network.train(data, own, keep=early(network.recipe.epochs, count - 1))
    return [_frozen(part, run) for part in found.checkpoints], _frozen(found.network, run)


def _frozen(network: nn.Module, run: Run) -> nn.Module:
    return run.agreed(network).eval().requires_grad_(False)


def early(epochs: int, count: int) -> list[int]:
    """Up to `count` of the epochs 0..epochs-1, the last among them, growing further apart."""
    return sorted({round((epochs - 1) * (place / max(1, count)) ** 2) for place in range(1, count + 1)})


@dataclass(frozen=True, eq=False)
class Matching(Settled):
    """1 less the cosine between the gradients that an authorised network gets from clean and from protected images.

    granularity: one gradient for a batch, for each class in it, or for each image (slow, and batch normalisation uses
    what it has learned); scope: a cosine for every weight tensor, or one for all; combine: what counts of
    several networks (`combined`). Both images are seen as the network's own recipe augments them, by the same draws.
    """

    trajectories: Sequence[Trajectory]
    images: Bytes
    labels: Labels
    granularity: Granularity
    scope: Scope
    combine: Combine
    run: Run
    turns: list[int] = field(default_factory=list)

    def __call__(self, rows: Index, protected: Pixels, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        both = (to_float(take(self.images, rows, self.run)), protected.clamp(0, 1))
        y, moment = self.labels[rows].to(self.run.at), Step(self.run, 0, 1, step)
        losses = []
        for place, trajectory in enumerate(self.trajectories):
            rng = self.run.rng("matching-checkpoint", step, place)
            at = trajectory.checkpoints[int(torch.randint(len(trajectory.checkpoints), (), generator=rng))]
            view = [trajectory.network.recipe.augmented(x, moment) for x in both]
            losses.append(torch.stack([self._distance(at, view, y, part) for part in self._parts(y)]).mean())
        each = torch.stack(losses)
        return combined(each, self.combine), {"gradients": each.detach().mean()}

    def walk_on(self, turn: int, protected: Callable[[], ImageSet]) -> None:
        """Adds checkpoints of training on images as they are protected now; what a run that goes on had added before
        is read back.
        """
        for missing in range(len(self.turns) + 1, turn + 1):
            images = protected()
            for trajectory in self.trajectories:
                trajectory.walk_on(images, missing, self.run)
            self.turns.append(missing)

    def _parts(self, y: Labels) -> Iterator[Tensor]:
        """The rows of a batch whose gradient is one."""
        if self.granularity == "batch":
            yield torch.arange(len(y), device=y.device)
        elif self.granularity == "class":
            yield from ((y == label).nonzero().flatten() for label in y.unique())
        else:
            yield from torch.arange(len(y), device=y.device).split(1)

    def _distance(self, network: nn.Module, view: Sequence[Pixels], y: Labels, rows: Tensor) -> Tensor:
        train = self.granularity != "sample" and len(rows) > 1
        wanted, found = (
            gradients(network, x[rows], y[rows], train, follow) for x, follow in zip(view, (False, True), strict=True)
        )
        if self.scope == "all":
            return 1 - F.cosine_similarity(_flat(wanted), _flat(found), dim=0)
        pairs = [(a, b) for a, b in zip(wanted, found, strict=True) if a.ndim > 1]
        return torch.stack([1 - F.cosine_similarity(a.flatten(), b.flatten(), dim=0) for a, b in pairs]).mean()


def combined(losses: Tensor, how: Combine) -> Tensor:
    """Of the losses of several networks the sum, as the paper has it, the mean, or that of the one worst off."""
    return losses.max() if how == "worst" else losses.mean() if how == "mean" else losses.sum()


def gradients(network: nn.Module, x: Pixels, y: Labels, train: bool, follow: bool) -> tuple[Tensor, ...]:
    """Of the cross-entropy, for every weight of a network that stays as it is; in float32, as cosines of small numbers
    need. train: batch normalisation by the batch; follow: whether they can be differentiated in x.
    """
    weights = {name: w.detach().requires_grad_() for name, w in network.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network.train(train)
    with sdpa_kernel(SDPBackend.MATH):  # fused attention cannot be differentiated twice
        loss = F.cross_entropy(functional_call(network, (weights, buffers), (x,)), y)
    network.eval()
    return torch.autograd.grad(loss, list(weights.values()), create_graph=follow)


def _flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in parts])
