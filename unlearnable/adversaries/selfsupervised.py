"""Whoever learns without labels: SimCLR, MoCo-v2, BYOL and SimSiam (their papers: `training.pairs`).

A network learns from two strongly augmented views of each protected image, and a linear probe makes a classifier of it.
The probe is fitted on the clean images, as the papers of CP and TUE do it: it is the gauge that shows what the features
are worth, no possession of the adversary. With `probe=given` it is fitted on what the adversary was given.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from unlearnable.adversaries._filter import allow
from unlearnable.training import Probe, Recipe, RecipeChange, SelfSupervised
from unlearnable.training.pairs import Learner


@dataclass(frozen=True)
class Unlabelled(RecipeChange):
    """times: epochs, as a multiple of the recipe's, since there is more to find out without labels (0: none, which
    tells what the features of random weights are worth); strength, crops: of the views (`training.Contrastive`), and
    the least share of an image's area that one has; batch: images a step. The recipe's crops and flips give way to the
    views, its rate stays.
    """

    learner: ClassVar[Learner]
    temperature: ClassVar[float] = 0.5

    probe: Probe = "clean"
    times: int = 2
    strength: float = 1.0
    crops: float = 0.2
    batch: int = 128

    def __post_init__(self) -> None:
        allow("times", self.times, 0, 100)

    def change(self, recipe: Recipe) -> Recipe:
        """The recipe that learns without labels. Raises ValueError where it has what labels are needed for."""
        usual = recipe.augment == Recipe().augment
        learner = SelfSupervised(
            self.learner, self.probe, recipe.epochs * self.times, recipe.lr, self.batch, strength=self.strength,
            crops=self.crops, temperature=self.temperature,
        )  # fmt: skip
        return replace(recipe, augment=() if usual else recipe.augment, learner=learner)


class SimCLR(Unlabelled):
    """The other view of an image is to be found among all views of the batch."""

    learner = "simclr"


class MoCo(Unlabelled):
    """The same among the codes of earlier images, which a slow copy of the network gave."""

    learner = "moco"
    temperature = 0.2


class BYOL(Unlabelled):
    """What the slow copy says of the other view is to be told; nothing is to be found among others."""

    learner = "byol"


class SimSiam(Unlabelled):
    """The same without a copy."""

    learner = "simsiam"
