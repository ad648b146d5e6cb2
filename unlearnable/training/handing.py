"""Which networks a method hands out: those of bundles, or some that are drawn for it."""

import json
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from unlearnable.data import ImageSet
from unlearnable.run import KEPT, Run, ranks, write_atomically
from unlearnable.training.authorised import Authorised
from unlearnable.training.bundle import BUNDLE
from unlearnable.training.handed import Handed
from unlearnable.training.recipe import Recipe

NETWORKS = "networks.json"


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

    Raises ValueError where a bundle cannot be read, or is for other images or classes, and where the run's directory
    holds the way of other networks.
    """
    if not method.bundles:
        found = handed_out(method, data.classes, data.size, run.seed)
    else:
        found = [Authorised.read(Path(folder)) for folder in method.bundles]
    for one in found:
        one.check(data)
    _bind(found, run)
    return found


def _bind(networks: Sequence[Authorised], run: Run) -> None:
    if run.directory is None or not run.first:
        return
    path, wanted = run.directory / NETWORKS, [one.identity for one in networks]
    if path.exists() and json.loads(path.read_text()) != wanted:
        raise ValueError(f"{run.directory} holds the training of other authorised networks: choose a new folder")
    run.directory.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(wanted).encode())


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
