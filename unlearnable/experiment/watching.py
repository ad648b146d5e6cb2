"""The same victim on several versions of a collection, its accuracy handed over after every epoch."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from unlearnable.adversaries import STANDARD, adversary
from unlearnable.data import ImageSet
from unlearnable.experiment.cell import CLEAN
from unlearnable.experiment.evaluating import check
from unlearnable.run import Progress, Run
from unlearnable.training import Recipe

Curve = tuple[float, ...]


def watch(
    sets: Mapping[str, ImageSet],
    test: ImageSet,
    tell: Callable[[str, Curve], None],
    *,
    model: str = "cnn",
    epochs: int = 12,
    run: Run,
) -> dict[str, Curve]:
    """Trains a victim in the standard way on each set, one of them "clean"; tests on clean images after every epoch.

    sets: by name, versions of the same images; tell: hears a set's name and its curve so far. Returns all curves.
    Raises ValueError where the sets do not fit together, `Cancelled` where the run is.
    """
    for protected in sets.values():
        check(sets[CLEAN], protected, test)
    recipe, found = adversary(STANDARD, Recipe.usual(model, epochs)), dict[str, Curve]()

    def heard(event: Progress) -> None:
        run.listener(event)
        if event.stage == "train" and "test_acc" in event.figures:
            found[name] = (*found[name], event.figures["test_acc"])
            tell(name, found[name])

    for done, (name, data) in enumerate(sets.items()):
        run.report("victims", done, len(sets))
        found[name] = ()
        found[name] = recipe.train(data, replace(run, directory=None, listener=heard), test).test_acc
    run.report("victims", len(sets), len(sets))
    return found
