"""Which class each picture of a job belongs to: the folder it lies in, a k-means cluster, or nothing known."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal

import torch

from unlearnable.data import ImageSet, class_of, view
from unlearnable.files import Collection, Item, Refused
from unlearnable.job.parallel import decoded, results
from unlearnable.labelling import cluster
from unlearnable.pixels import Bytes, Labels
from unlearnable.run import Run

Wanted = Literal["auto", "folders", "none"]
Origin = Literal["folders", "clusters", "none"]
_CLUSTERS = 10
_THUMBNAIL = 8


@dataclass(frozen=True, eq=False)
class Labelling:
    """labels: (n,) by picture number, -1 = unknown; classes: their names; origin: where they come from; loose: the
    first picture without a class where others have one, so that clusters had to serve for all."""

    labels: Labels
    classes: tuple[str, ...]
    origin: Origin
    loose: str | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """The classes that a perturbation was fitted on, which further pictures must be sorted into."""

    classes: tuple[str, ...]
    origin: Origin
    seed: int


def label_pictures(
    source: Collection,
    pictures: Sequence[Item],
    wanted: Wanted,
    needed: bool,
    run: Run,
    known: Fitted | None = None,
) -> Labelling:
    """The class of every picture.

    auto: folder names where every picture lies in one and there are at least two; clusters of small views, only where
    labels are needed, otherwise. folders: folder names or nothing. none: never folder names.
    known: use these classes. Raises ValueError where folder names are wanted or needed and missing.
    """
    found = [class_of(source, item) for item in pictures]
    sound = [name for name, item in zip(found, pictures, strict=True) if item.problem is None]
    complete = bool(sound) and all(sound)
    if wanted == "folders" and not complete:
        said = _first_without(found, pictures)
        raise ValueError(f"labels 'folders' needs every picture in a class folder, but {said}")
    if known is not None and known.origin == "none":
        return _unknown(pictures)
    clustered = known is not None and known.origin == "clusters" and wanted != "folders"
    if wanted == "folders" or (wanted == "auto" and complete and len(set(sound)) >= 2 and not clustered):
        return _by_folder(found, sound, known)
    if not needed:
        return _unknown(pictures)
    k, seed = (len(known.classes), known.seed) if known else (_CLUSTERS, run.seed)
    found_some = wanted == "auto" and not clustered and len(set(sound) - {None}) >= 2
    loose = _without(found, pictures) if found_some else None
    return replace(_by_cluster(source, pictures, k, seed, run), loose=loose)


def needs_folders(source: Collection, pictures: Sequence[Item], wanted: Wanted) -> None:
    """Raises ValueError where folder names are wanted and a picture has none: what can be said before any work."""
    if wanted == "folders":
        label_pictures(source, pictures, wanted, False, Run())


def views(
    source: Collection, pictures: Sequence[Item], size: int, run: Run, stage: str
) -> tuple[Bytes, dict[int, str]]:
    """(the pictures squashed to (n, 3, size, size), black where unreadable; row and reason of those that are)."""
    images = torch.zeros(len(pictures), 3, size, size, dtype=torch.uint8)
    refused: dict[int, str] = {}

    def load(row: int) -> int:
        try:
            name = pictures[row].name
            with decoded(source.read(pictures[row]), name) as picture:
                images[row] = view(picture, size)
        except Refused as reason:
            refused[row] = str(reason)
        return row

    with closing(results(load, range(len(pictures)), run)) as loaded:
        for done, _ in enumerate(loaded, 1):
            run.report(stage, done, len(pictures))
    return images, dict(sorted(refused.items()))


def _without(found: Sequence[str | None], pictures: Sequence[Item]) -> str | None:
    """The first sound picture without a class."""
    return next((i.name for name, i in zip(found, pictures, strict=True) if not name and not i.problem), None)


def _first_without(found: Sequence[str | None], pictures: Sequence[Item]) -> str:
    missing = _without(found, pictures)
    return "there is none that can be read" if missing is None else f"{missing!r} lies in none"


def _by_folder(found: Sequence[str | None], sound: Sequence[str | None], known: Fitted | None) -> Labelling:
    names = {name for name in sound if name}
    classes = known.classes if known else tuple(sorted(names))
    if strange := sorted(names - set(classes)):
        raise ValueError(
            f"class {strange[0]!r} is not among those the protection was fitted on ({', '.join(classes[:10])}): "
            "rename the folder, use labels 'none', or take --lend"
        )
    number = {name: i for i, name in enumerate(classes)}
    return Labelling(torch.tensor([number.get(name or "", -1) for name in found]), classes, "folders")


def _by_cluster(source: Collection, pictures: Sequence[Item], k: int, seed: int, run: Run) -> Labelling:
    """Unreadable pictures get the first cluster, so that they can be protected once they are repaired."""
    thumbnails, refused = views(source, pictures, _THUMBNAIL, run, "labels")
    labels, readable = torch.zeros(len(pictures), dtype=torch.int64), torch.ones(len(pictures), dtype=torch.bool)
    readable[list(refused)] = False
    if readable.any():
        seen = thumbnails[readable]
        labels[readable] = cluster(ImageSet(seen, torch.zeros(len(seen), dtype=torch.int64), ("all",)), k, seed)
    return Labelling(labels, tuple(f"cluster {i}" for i in range(int(labels.max()) + 1)), "clusters")


def _unknown(pictures: Sequence[Item]) -> Labelling:
    return Labelling(torch.full((len(pictures),), -1), (), "none")
