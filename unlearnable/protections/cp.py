"""CP: contrastive poisoning. He, Zha, Katabi, ICLR 2023, arXiv 2202.11202, equation 3 and algorithm 1.

| paper | here |
|---|---|
| epsilon | budget |
| CP-S, CP-C: noise of a sample, of a class | scope |
| CL algorithm: SimCLR, MoCo v2, BYOL | learner (simsiam, too) |
| theta, eta_theta, M batches in a round | model, lr, train_batches |
| delta, eta_delta, N batches and PGD steps in a round | step_size, noise_batches, steps |
| dual-branch gradient propagation | dual |

Noise and network minimise the same contrastive loss in turn. The noise is added before the views, so that its gradient
comes back through the views, and with `dual` through the branch that the learner itself holds still.

Differs from the paper:
* sample-wise noise begins at random and needs no label; the published one begins at class-wise noise, which does;
* one network on one device; the published code needs two GPUs;
* the surrogate's rate falls along a cosine to 0; published, it rises for 10 epochs first, and a thousandth is left;
* learners are those of `training.pairs`: a projector of 512 and 128 at most with a batch normalisation, a queue of
  2,048 codes, a copy that keeps 0.99; published, SimCLR's has none, the queue 4,096, and BYOL 4,096 and 256 at 0.999;
* noise is kept in steps of eps / 127 between turns, so that the one short step of `byol` is rounded to 0.19/255.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from unlearnable.pixels import Labels, Pixels
from unlearnable.protections._selfsupervised_surrogate import SelfSupervisedSurrogate
from unlearnable.run import Run
from unlearnable.training import Pairs

_CLASS: dict[str, Any] = {"scope": "class", "rounds": 1000, "train_batches": 20, "noise_batches": 20, "steps": 1}
_MOCO: dict[str, Any] = {"learner": "moco", "lr": 0.3, "temperature": 0.2}
_BYOL: dict[str, Any] = {"learner": "byol", "lr": 1.0}


@dataclass(frozen=True)
class CP(SelfSupervisedSurrogate):
    """Noise that makes the two views of an image easy to tell from all others.

    scope: "sample" gives every image its own noise, "class" every class.
    Raises ValueError for an unknown word or a count below 1; `fit` where the surrogate could not be trained.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"model": "cnn", "rounds": 10, "batch": 250, "lr": 0.1, "step_size": 1.6 / 255},
        "class": _CLASS,
        "moco": _MOCO,
        "class-moco": _CLASS | _MOCO,
        "byol": _BYOL | {"steps": 1, "step_size": 0.16 / 255},
        "class-byol": _CLASS | _BYOL,
        "class-quick": {
            "scope": "class", "model": "cnn", "rounds": 20, "batch": 250, "lr": 0.1, "steps": 1,
        },
        "class-moco-quick": _CLASS | _MOCO | {"model": "resnet20", "rounds": 40, "batch": 128, "lr": 0.1},
    }  # fmt: skip

    scope: Literal["sample", "class"] = "sample"
    dual: bool = True

    @property
    def class_wise(self) -> bool:
        """Whether images of a class share their delta."""
        return self.scope == "class"

    def loss(self, pairs: Pairs | None, x: Pixels, delta: Pixels, y: Labels, run: Run, *moment: int) -> Tensor:
        """The learner's loss of two views of the protected images."""
        assert pairs is not None
        views = self.teaching.views((x + delta).clamp(0, 1), run, self.stage, *moment)
        return pairs.loss(*views, run, self.dual)[0]
