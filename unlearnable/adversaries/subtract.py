"""Subtraction: whoever can make the change of a picture can take it off again. Of no paper: it follows from weights, or
parameters and a seed, that others have.
"""

from dataclasses import dataclass
from pathlib import Path

from unlearnable.adversaries._filter import allow
from unlearnable.data import ImageSet
from unlearnable.perturbation import SampleWise, apply, budget_of, load
from unlearnable.pixels import PART, UNBOUNDED, Bytes, release, to_float
from unlearnable.protections import SHIPPED
from unlearnable.run import Run
from unlearnable.training import Purifier


@dataclass(frozen=True)
class Subtract(Purifier):
    """Asks a fitted protection what it would add to an image, and takes that off; then asks again of what is left.

    fitted: a folder that `fit` wrote; None: the generator that comes with the package. turns: how often it is asked.
    Raises ValueError for turns outside 1..100 and, when called, for a folder that holds no protection, or noise of
    single images, which says nothing of others.
    """

    fitted: Path | None = None
    turns: int = 3

    def __post_init__(self) -> None:
        allow("turns", self.turns, 1, 100)

    def __call__(self, data: ImageSet, run: Run) -> Bytes:
        found, config = load(self.fitted or SHIPPED["one_for_all"])
        if isinstance(found, SampleWise):
            raise ValueError(f"{self.fitted} holds the noise of single images: name a method that serves new ones")
        budget, left = budget_of(config), data.images.clone()
        for turn in run.loop("subtract", self.turns, {"images": left}):
            again = apply(found, data.with_images(left), budget, run)
            for rows in run.batches(len(data), PART):
                change = to_float(again.images[rows]) - to_float(left[rows])
                left[rows] = release(data.images[rows], to_float(data.images[rows]) - change, UNBOUNDED)
            run.report("subtract", turn + 1, self.turns)
        return left
