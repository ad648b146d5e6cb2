"""Which networks a method hands out: those of bundles, or some that are drawn for it."""

import secrets
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from unlearnable.data import ImageSet
from unlearnable.run import KEPT, Run, ranks
from unlearnable.training.authorised import BUNDLE, Authorised
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


Method = TypeVar("Method")


def handed_out(method: Handing, classes: Sequence[str], size: int, seed: int) -> list[Authorised]:
    """The networks that a method without bundles hands out for images of `size` pixels: whoever knows the seed can draw
    them too. Raises ValueError where there are no such networks.
    """
    recipe = Recipe.usual(method.model, method.epochs)
    handed = [Handed("blind" if method.blind else "plain", which) for which in range(method.networks)]
    return [Authorised.drawn(recipe.having(one), classes, size, seed) for one in handed]


def authorised_networks(method: Handing, data: ImageSet, run: Run) -> list[Authorised]:
    """The networks of bundles; where there are none, those that this seed hands out.

    Raises ValueError where a bundle cannot be read, or is for other images or classes.
    """
    if not method.bundles:
        return handed_out(method, data.classes, data.size, run.seed)
    found = [Authorised.read(Path(folder)) for folder in method.bundles]
    for one in found:
        one.check(data)
    return found


def in_secret(method: Method, data: ImageSet, run: Run) -> Method:
    """A method that hands out networks, with bundles: its own, or where it has none, of networks drawn from a seed that
    nobody knows. Those are kept where the run keeps what lies beside its result; a run that goes on finds them again.

    For what is published: the method is known, and most leave the seed at 0, from which anybody could draw them.
    """
    if not isinstance(method, Handing) or method.bundles or run.directory is None:
        return method
    folders = [run.directory / KEPT / f"authorised-{which}" for which in range(method.networks)]
    if run.first and not all((folder / BUNDLE).exists() for folder in folders):  # all anew: they share what is drawn
        networks = handed_out(method, data.classes, data.size, secrets.randbits(63))
        for folder, one in zip(folders, networks, strict=True):
            shutil.rmtree(folder, ignore_errors=True)
            one.write(folder)
    ranks.meet()
    return replace(method, bundles=tuple(map(str, folders)))  # type: ignore[type-var]
