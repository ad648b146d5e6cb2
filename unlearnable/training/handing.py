"""Which networks a method hands out: those of bundles, or some that are drawn for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from unlearnable.data import ImageSet
from unlearnable.run import Run
from unlearnable.training.authorised import BUNDLE, WEIGHTS, Authorised
from unlearnable.training.handed import Handed
from unlearnable.training.recipe import Recipe


@runtime_checkable
class Handing(Protocol):
    """A method that hands out networks: the fields that say which."""

    @property
    def bundles(self) -> tuple[str, ...]: ...
    @property
    def model(self) -> str: ...
    @property
    def networks(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def blind(self) -> bool: ...


def handed_out(method: Handing, classes: Sequence[str], size: int, seed: int) -> list[Authorised]:
    """The networks that a method without bundles hands out for images of `size` pixels: whoever knows the seed can draw
    them too. Raises ValueError where there are no such networks.
    """
    recipe = Recipe.usual(method.model, method.epochs)
    handed = [Handed("blind" if method.blind else "plain", which) for which in range(method.networks)]
    return [Authorised.drawn(recipe.having(one), classes, size, seed) for one in handed]


def authorised_networks(method: Handing, data: ImageSet, run: Run) -> list[Authorised]:
    """The networks of bundles; where there are none, those that this seed hands out, and their bundles are written down
    beside the result. Raises ValueError where a bundle cannot be read, or is for other images or classes.
    """
    if method.bundles:
        found = [Authorised.read(Path(folder)) for folder in method.bundles]
        for one in found:
            one.check(data)
        return found
    made = handed_out(method, data.classes, data.size, run.seed)
    for which, one in enumerate(made):
        if (folder := run.beside(f"authorised-{which}")) is not None and not (folder / BUNDLE).exists():
            (folder / WEIGHTS).unlink(missing_ok=True)  # of a fit that was stopped between the two
            one.write(folder)
    return made
