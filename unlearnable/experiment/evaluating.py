"""evaluate: what adversaries get out of somebody's own protected collection, against the clean one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import mean
from typing import Any

import torch

from unlearnable import labelling
from unlearnable.adversaries import STANDARD, adversary, of_the_seed, stops_early
from unlearnable.data import ImageSet
from unlearnable.experiment.mixing import as_long, clean_part, mix
from unlearnable.flags import doubts, fell_apart
from unlearnable.metrics import measured
from unlearnable.provenance import provenance
from unlearnable.run import Run
from unlearnable.training import Classifier, Recipe


@dataclass(frozen=True)
class Row:
    """One victim: accuracy on clean test images after training on clean and on protected ones.

    protected_acc: last epoch, of who stops early the chosen one; best_protected_acc: best epoch; early_protected_acc:
    what early stopping on a few clean images keeps; clean_part_acc: the unprotected share alone; train_acc,
    clean_train_acc: the share that was right on the batches of the last epoch, of protected and of clean images. A
    victim that learned without labels counts by a probe fitted on the protected images; clean_probe_acc: by one fitted
    on the clean ones, which gauges its features and is nothing that an adversary has.
    """

    adversary: str
    model: str
    seed: int
    clean_acc: float
    protected_acc: float
    best_protected_acc: float
    train_acc: float
    early_protected_acc: float | None = None
    clean_part_acc: float | None = None
    clean_probe_acc: float | None = None
    clean_train_acc: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """What adversaries get out of a protected collection. sizes: its images, tests, classes, side in pixels."""

    rows: tuple[Row, ...]
    flags: tuple[str, ...]
    measured: dict[str, float]
    provenance: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The rows (without what does not apply) and the flags."""
        rows = [{k: v for k, v in asdict(row).items() if v is not None} for row in self.rows]
        return {"rows": rows, "flags": list(self.flags)}


def evaluate(
    clean: ImageSet,
    protected: ImageSet,
    test: ImageSet,
    *,
    adversaries: Sequence[str] = (STANDARD,),
    models: Sequence[str] = ("cnn",),
    seeds: int = 1,
    rate: float = 1.0,
    relabel: str | None = None,
    epochs: int | None = None,
    run: Run,
) -> Evaluation:
    """Trains every adversary's every model on clean and on protected images, k seeds each; tests on clean images.

    rate: the share of images taken from the protected set, the rest clean; the clean part alone is then a control.
    relabel: labels of the adversary's own, such as "kmeans:K" (`labelling.groups_of`). epochs: not the recipe's.
    Raises ValueError where the sets do not fit together or a value is not allowed.
    """
    check(clean, protected, test, seeds, rate, adversaries)
    adversaries, models = (tuple(dict.fromkeys(names)) for names in (adversaries, models))  # twice is no second seed
    recipes = [(name, model, adversary(name, Recipe.usual(model, epochs))) for name in adversaries for model in models]
    change = measured(clean, protected)
    if relabel is not None:
        groups = labelling.groups_of(relabel, clean, run.seed)
        clean, protected, test = (labelling.relabel(part, groups) for part in (clean, protected, test))
    published = mix(clean, protected, rate, run)
    rows = []
    flags: set[str] = set()
    for done, (name, model, recipe, offset) in enumerate((*r, s) for r in recipes for s in range(seeds)):
        run.report("evaluate", done, len(recipes) * seeds)
        here = replace(run, seed=run.seed + offset, directory=None)
        control, victim = (recipe.train(images, here, test, clean=clean) for images in (clean, published))
        part = None
        if rate < 1:
            longer = adversary(name, as_long(Recipe.usual(model, epochs), rate))
            part = longer.train(clean_part(clean, rate, run), here, test, clean=clean)
        rows.append(_row(name, model, here.seed, control, victim, part))
        broken = any(one.diverged or fell_apart(one.train_acc) for one in (control, victim, part) if one is not None)
        flags |= {"diverged"} if broken else set()
    run.report("evaluate", len(recipes) * seeds, len(recipes) * seeds)
    sizes = {"images": len(clean), "tests": len(test), "classes": len(test.classes), "side": clean.size}
    flags |= {flag for name, model, _ in recipes for flag in flags_of(rows_of(rows, name, model), sizes)}
    asked = {"rate": rate, "relabel": relabel, "epochs": epochs, "seeds": seeds}
    return Evaluation(tuple(rows), tuple(sorted(flags)), change, provenance(run) | asked, sizes)


def _row(name: str, model: str, seed: int, control: Classifier, victim: Classifier, part: Classifier | None) -> Row:
    best = _reached(name, victim) if victim.probes else max(_reached(name, victim), *victim.test_acc)
    train_acc = victim.probes.get("train_given", victim.train_acc[-1])
    accuracies = (_reached(name, control), _reached(name, victim), best, train_acc)
    clean, protected, best, train = (round(value, 4) for value in accuracies)
    early = None if victim.early_acc is None else round(victim.early_acc, 4)
    alone = round(_reached(name, part), 4) if part else None
    gauge, own = victim.probes.get("probe_clean"), round(control.train_acc[-1], 4)
    return Row(
        name, model, seed, clean, protected, best, train, early_protected_acc=early, clean_part_acc=alone,
        clean_probe_acc=gauge, clean_train_acc=own,
    )  # fmt: skip


def _reached(name: str, victim: Classifier) -> float:
    """What an adversary ends up with who has the images that were given and no others."""
    if victim.probes:
        return victim.probes["probe_given"]
    return victim.test_acc[-1] if victim.early_acc is None or not stops_early(name) else victim.early_acc


def rows_of(rows: Sequence[Row], name: str, model: str) -> list[Row]:
    """Those of an adversary with a model, all its seeds."""
    return [row for row in rows if (row.adversary, row.model) == (name, model)]


def flags_of(rows: Sequence[Row], sizes: dict[str, int]) -> list[str]:
    """The flags that victims earn which differ in their seeds only. sizes: as an Evaluation has them."""
    return doubts(
        classes=sizes["classes"], tests=sizes["tests"], seeds=len(rows),
        clean_acc=mean(row.clean_acc for row in rows), protected_acc=mean(row.protected_acc for row in rows),
        best_acc=mean(row.best_protected_acc for row in rows), train_acc=mean(row.train_acc for row in rows),
        clean_train_acc=mean(1.0 if row.clean_train_acc is None else row.clean_train_acc for row in rows),
    )  # fmt: skip


def check(
    clean: ImageSet, protected: ImageSet, test: ImageSet, seeds: int = 1, rate: float = 1.0,
    adversaries: Sequence[str] = (),
) -> None:  # fmt: skip
    """Raises ValueError where the sets do not fit together, or seeds or rate are not allowed."""
    if seeds < 1:
        raise ValueError(f"seeds must be 1 or more, got {seeds}")
    given = [name for name in adversaries if of_the_seed(name)]
    if seeds > 1 and given:
        raise ValueError(
            f"{given[0]} takes its first weights from the seed that the pictures were made with: seeds must be 1, "
            f"got {seeds}"
        )
    if not 0 < rate <= 1:
        raise ValueError(f"rate must be above 0 and at most 1, got {rate}")
    kept = round(rate * len(clean))
    if not kept or 0 < len(clean) - kept < 2:
        raise ValueError(
            f"rate {rate:g} of {len(clean)} images leaves {kept} protected and {len(clean) - kept} clean: take one "
            "that leaves one and two at least, or 1"
        )
    if clean.images.shape != protected.images.shape or not torch.equal(clean.labels, protected.labels):
        raise ValueError(f"the protected set has {len(protected)} images, the clean one {len(clean)}: they must match")
    if clean.classes != test.classes:
        raise ValueError(
            f"classes of the test set are {', '.join(test.classes)}, of the clean one {', '.join(clean.classes)}"
        )
    if clean.images.shape[1:] != test.images.shape[1:]:
        raise ValueError(f"test images are {test.size} pixels a side, the others {clean.size}: they must match")
    counts = torch.bincount(clean.labels[clean.labels >= 0], minlength=len(clean.classes)).tolist()
    if alone := [name for name, count in zip(clean.classes, counts, strict=True) if count < 2]:
        raise ValueError(f"every class needs at least 2 images to be learned, {alone[0]!r} has fewer")
    if len(clean.classes) < 2:
        raise ValueError(f"a classifier needs at least 2 classes, got {', '.join(clean.classes)} alone")
