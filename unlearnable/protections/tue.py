"""TUE: transferable unlearnable examples. Ren, Xu, Wan, Ma, Sun, Tang, ICLR 2023, arXiv 2210.10114, equations 2 to 4.

| paper | here |
|---|---|
| epsilon | budget |
| CSD, the class-wise separability discriminant of the noise | `separability`; pi, d: `spread`, `apart` in it |
| lambda, weight of the discriminant | csd_weight; ssl_weight is that of the learner's loss |
| SimCLR, MoCo, SimSiam | learner (byol, too) |
| rounds; steps of the network; steps of the noise and their size | rounds; train_batches; steps, step_size |

Noise that a learner without labels finds easy, and that is linearly separable by class as it is.

Differs from the published code:
* the spread of a class is differentiated, as the equation has it; published code makes it a constant by copying it to a
  new tensor, so that classes are only pushed apart (`detached` has that);
* the noise is added to the images, before the views; published code adds one to both views;
* the surrogate learns by SGD along a cosine, one learning rate for all; published code has Adam at 1e-3 for SimCLR;
* by default a round is what published code calls an epoch, which there holds as many pairs of turns as its batches
  suffice for: 5 on CIFAR-10. The presets count those pairs;
* noise begins at random, with `moco` too, for which the authors' command begins at zero; x + delta stays within 0..1.
The presets are that code's: `published` (SimCLR), its `quick` form and `simsiam` give the learner's loss the weight 0,
which leaves no surrogate and costs next to nothing; `moco` has both at 1, where signs of steps are the discriminant's
(its gradient is some hundred times the learner's); `moco-quick` weighs it so that both are heard.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from unlearnable.data import ImageSet
from unlearnable.perturbation import Perturbation
from unlearnable.pixels import Labels, Pixels
from unlearnable.protections._fields import Natural
from unlearnable.protections._selfsupervised_surrogate import SelfSupervisedSurrogate
from unlearnable.protections._surrogate import check_classes
from unlearnable.run import Run
from unlearnable.training import Pairs


@dataclass(frozen=True)
class TUE(SelfSupervisedSurrogate):
    """Noise for every image that minimises ssl_weight times the learner's loss and csd_weight times the CSD.

    Without the CSD it needs no labels. Raises ValueError for a weight below 0, or both 0, and a count below 1; `fit`
    for fewer than two classes where the CSD has a weight, or where the surrogate could not be trained.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"ssl_weight": 0.0, "rounds": 10, "steps": 5, "step_size": 1.6 / 255, "batch": 250},
        "moco-quick": {"learner": "moco", "temperature": 0.2, "model": "resnet20", "rounds": 10, "steps": 3,
                       "step_size": 1.6 / 255, "batch": 128, "lr": 0.1, "csd_weight": 0.005},
        "published": {"ssl_weight": 0.0, "csd_weight": 0.1, "detached": True, "rounds": 200},
        "simsiam": {
            "learner": "simsiam", "ssl_weight": 0.0, "csd_weight": 0.1, "detached": True, "rounds": 200,
            "train_batches": 25,
        },
        "moco": {
            "learner": "moco", "detached": True, "temperature": 0.2, "rounds": 200, "train_batches": 100, "steps": 5,
            "lr": 0.3,
        },
    }  # fmt: skip

    crops: float = 0.08
    rounds: int = 40
    train_batches: Natural = 20
    steps: int = 20
    ssl_weight: float = 1.0
    csd_weight: float = 1.0
    detached: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.ssl_weight, self.csd_weight) < 0 or not self.ssl_weight + self.csd_weight:
            raise ValueError(
                f"ssl_weight and csd_weight must be 0 or more and not both 0, got {self.ssl_weight:g}, "
                f"{self.csd_weight:g}"
            )

    @property
    def needs_labels(self) -> bool:
        return self.csd_weight > 0

    @property
    def surrogate(self) -> bool:
        return self.ssl_weight > 0

    def fit(self, data: ImageSet, run: Run) -> Perturbation:
        if self.needs_labels:
            check_classes(self.stage, data)
        return super().fit(data, run)

    def loss(self, pairs: Pairs | None, x: Pixels, delta: Pixels, y: Labels, run: Run, *moment: int) -> Tensor:
        """The weighted sum."""
        value = self.csd_weight * separability(delta, y, self.detached) if self.needs_labels else delta.new_zeros(())
        if pairs is None:
            return value
        views = self.teaching.views((x + delta).clamp(0, 1), run, self.stage, *moment)
        return value + self.ssl_weight * pairs.loss(*views, run, both=True)[0]


def separability(delta: Pixels, y: Labels, detached: bool = False) -> Tensor:
    """CSD: the mean over ordered pairs of classes of (spread of one + spread of the other) / distance of their centres;
    0 where there is one class only. The less, the easier a linear classifier has it.

    spread: the mean distance of a class's perturbations from their centre; detached: is taken as given.
    """
    points = delta.flatten(1)
    classes, own = y.unique(return_inverse=True)
    counts = torch.bincount(own, minlength=len(classes)).to(points)
    centres = torch.zeros(len(classes), points.shape[1], device=points.device).index_add(0, own, points)
    centres = centres / counts[:, None]
    away = (points - centres[own]).square().sum(1).clamp_min(1e-12).sqrt()
    spread = torch.zeros_like(counts).index_add(0, own, away) / counts
    spread = spread.detach() if detached else spread
    pairs = torch.combinations(torch.arange(len(classes), device=points.device))
    if not len(pairs):
        return points.sum() * 0
    one, other = pairs.T
    apart = torch.cdist(centres, centres, compute_mode="donot_use_mm_for_euclid_dist")[one, other].clamp_min(1e-6)
    return ((spread[one] + spread[other] + 1e-5) / (apart + 1e-5)).mean()
