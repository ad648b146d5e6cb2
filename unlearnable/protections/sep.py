"""SEP: self-ensemble protection. Chen, Yuan, Cheng, Gong, Qin, Wang, Huang, ICLR 2023, arXiv 2211.12005, equation 3.

| paper | here |
|---|---|
| epsilon: 2/255 and more | budget |
| n checkpoints of one training, 30 | checkpoints, of `epochs` |
| 30 steps of 1/255 on the mean of their gradients | steps, step_size |
| g(y) = y + 5 mod 10 | shift; half the number of classes where it is 0 |

TAP against a network at every stage of its training, whose mistakes differ as much as those of different networks.

Differs from the paper:
* the plain form, without feature alignment and variance reduction, which take half of the checkpoints, 15;
* noise begins at a random point, uniform within the budget; in the published code at the image;
* other epochs and rates.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from unlearnable.data import ImageSet
from unlearnable.pixels import Labels
from unlearnable.protections._fields import Natural, Positive
from unlearnable.protections._fixed_surrogate import FixedSurrogate, misled
from unlearnable.run import Run


@dataclass(frozen=True)
class SEP(FixedSurrogate):
    """Images that every checkpoint of a training takes for another class, `shift` after their own.

    Raises ValueError for more checkpoints than epochs; `fit` for a single class, or where training failed.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {
            "model": "cnn", "epochs": 12, "checkpoints": 6, "surrogate_batch": 64, "steps": 15, "step_size": 2 / 255,
            "batch": 128,
        },
        "paper": {"budget": {"norm": "linf", "eps": 2 / 255}},
    }  # fmt: skip

    epochs: int = 60
    checkpoints: int = 30
    steps: int = 30
    step_size: Positive = 1 / 255
    shift: Natural = 0
    batch: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.checkpoints > self.epochs:
            raise ValueError(f"checkpoints must be 1 to {self.epochs}, one an epoch at most, got {self.checkpoints}")

    def losses(self, logits: Tensor, y: Labels) -> Tensor:
        """The cross-entropy with the class `shift` after its own."""
        return misled(logits, y, "targeted", self.shift % logits.shape[1] or logits.shape[1] // 2)

    def networks(self, data: ImageSet, run: Run) -> list[nn.Module]:
        """The checkpoints of one training, evenly spaced, the last at its end."""
        epochs = [self.epochs * (place + 1) // self.checkpoints - 1 for place in range(self.checkpoints)]
        return list(self.trained(self.recipe(), data, run, keep=epochs).checkpoints)
