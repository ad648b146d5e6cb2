"""How much more the authorised network learns than an outsider: same model, same recipe, other initial weights."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from unlearnable.authorisation.signing import tested_on
from unlearnable.data import load_labelled
from unlearnable.flags import doubts
from unlearnable.run import Run
from unlearnable.training import Authorised


def measured(bundles: Sequence[Path], source: Path, pictures: Path, test: Path, size: int, run: Run) -> dict[str, Any]:
    """Accuracy on the test pictures of each authorised network and of one outsider, trained on the protected pictures;
    of the outsider trained on the clean ones, the control; margin: the worst of the first less the outsider; flags:
    what to doubt (`flags.FLAGS`).

    Networks are kept below the run's directory as they are trained. Raises ValueError where the test pictures are of
    other classes.
    """
    protected, _ = load_labelled(pictures, size)
    tested = (tested_on(Authorised.read(one), protected, test, beneath(run, one)) for one in bundles)
    accuracies = [round(one["accuracy"], 4) for one in tested]
    tests, recipe = load_labelled(test, size)[0], Authorised.read(bundles[0]).recipe
    clean, outsider = (
        recipe.train(data, beneath(run, Path(f"outsider-{name}")), tests)
        for name, data in (("clean", load_labelled(source, size)[0]), ("protected", protected))
    )
    reached, control = round(outsider.test_acc[-1], 4), round(clean.test_acc[-1], 4)
    flags = doubts(
        classes=len(protected.classes), tests=len(tests), seeds=1, clean_acc=control, protected_acc=reached,
        best_acc=max(outsider.test_acc), train_acc=outsider.train_acc[-1],
        clean_train_acc=clean.train_acc[-1],
    )  # fmt: skip
    return {
        "pictures": len(tests), "authorised": accuracies, "outsider": reached, "outsider_clean": control,
        "margin": round(min(accuracies) - reached, 4), "model": recipe.model, "epochs": recipe.epochs, "seeds": 1,
        "flags": flags,
    }  # fmt: skip


def beneath(run: Run, network: Path) -> Run:
    """The run that keeps the training of one network by its name."""
    return replace(run, directory=run.directory and run.directory / network.name)
