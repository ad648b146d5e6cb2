"""Who was handed a network together with the images: UGE's authorised user (Ye and Wang, CVPR 2024, arXiv 2404.14016).

No adversary, but trained and tested beside them.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from unlearnable.training import Authorised, CropFlip, Form, Handed, Recipe, RecipeChange
from unlearnable.training.authorised import NUMBERS, Bundled


@dataclass(frozen=True)
class Given(RecipeChange):
    """Trains from the initial weights of a bundle, by its recipe, whose model it is.

    bundle: a folder of `unlearnable authorise create`; None: what the seed of the run hands out to a protector who has
    the same seed, of that form and, of several networks, `which`, trained in the protector's order of the images or in
    another one. Raises ValueError for a folder that is no bundle, and for a form or number beside one.
    """

    form: Form = "plain"
    which: int = 0
    order: int | None = None
    bundle: Path | None = None

    def __post_init__(self) -> None:
        if self.bundle is not None and (self.form, self.which, self.order) != ("plain", 0, None):
            raise ValueError(
                "a bundle is of one network, blind or not, in its own order: leave out form, which and order beside it"
            )

    def change(self, recipe: Recipe) -> Recipe:
        """The recipe that starts from these weights."""
        if self.bundle is None:
            return recipe.having(Handed(self.form, self.which, self.order))
        theirs = Authorised.read(self.bundle).recipe
        own = tuple(part for part in recipe.augment if part != CropFlip())
        numbers = {name: getattr(theirs, name) for name in NUMBERS}
        augment = (*theirs.augment, *own)
        return replace(recipe, model=theirs.model, handed=Bundled(self.bundle), augment=augment, **numbers)
