"""A victim that has seen other pictures before: MobileNetV2 of ImageNet (Sandler et al., CVPR 2018, arXiv 1801.04381).

What a pre-trained network already knows, no protected image can take away: the strongest realistic adversary.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from unlearnable.adversaries._filter import allow
from unlearnable.training import Recipe, RecipeChange

MODEL = "mobilenetv2_imagenet"
WEIGHTS = Path("weights/mobilenet_v2.safetensors")  # below the data folder


@dataclass(frozen=True)
class Finetune(RecipeChange):
    """All weights trained on, from those of ImageNet, for a quarter of the epochs; the recipe's model gives way.

    weights: the file they come from. lr: small, since this network has no batch normalisation left.
    """

    lr: float = 0.001
    weights: Path = WEIGHTS

    def __post_init__(self) -> None:
        allow("lr", self.lr, 0.0, 10.0)

    def change(self, recipe: Recipe) -> Recipe:
        """The recipe that starts from the weights."""
        return replace(recipe, model=MODEL, init=self.weights, lr=self.lr, epochs=max(1, recipe.epochs // 4))


@dataclass(frozen=True)
class LinearProbe(RecipeChange):
    """The last layer alone, on the features of ImageNet, for a quarter of the epochs."""

    lr: float = 0.01
    weights: Path = WEIGHTS

    def __post_init__(self) -> None:
        allow("lr", self.lr, 0.0, 10.0)

    def change(self, recipe: Recipe) -> Recipe:
        """The recipe that trains the head."""
        return replace(Finetune(self.lr, self.weights).change(recipe), head_only=True)
