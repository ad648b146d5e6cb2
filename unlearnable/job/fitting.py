"""From a method's name, or a folder written by `fit`, to a perturbation that fits the pictures of a job."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from unlearnable import perturbation as perturbations
from unlearnable.data import LARGEST_SIZE, WORKING_SIZE, ImageSet, blank
from unlearnable.files import Collection, Item, Refused, decode, is_picture_name, open_collection
from unlearnable.files.collections.item import BLOCK
from unlearnable.files.destination import lies_in
from unlearnable.job.labels import Fitted, Labelling, Wanted, label_pictures, views
from unlearnable.perturbation import Perturbation
from unlearnable.pixels import Budget, level_cap
from unlearnable.pretrained import write_card
from unlearnable.protections import PROTECTIONS, SHIPPED, Protection, describe, protection
from unlearnable.run import KEPT, Run, ranks
from unlearnable.training import Handing, in_secret
from unlearnable.training.bundle import identity

_CHECKPOINTS = ".checkpoints"
_LOOKED_AT = 64
_SAMPLE = 5000


@dataclass(frozen=True)
class Choice:
    """What a job protects with. method: fitted or to be fitted; identity: JSON values that two runs of one job share;
    folder: where the fitted perturbation lies, None where it must be fitted first."""

    method: Protection
    budget: Budget
    identity: dict[str, Any]
    folder: Path | None = None


@dataclass(frozen=True, eq=False)
class Ready:
    """A perturbation and what is known of how it was fitted. pictures: digest of their names; unreadable: the picture
    numbers that were black while it was fitted."""

    perturbation: Perturbation
    known: Fitted
    pictures: str
    unreadable: frozenset[int]


def choose(method: str, eps: float | None) -> Choice:
    """The method of that name, name:preset, or in that folder, with the budget wanted; a shipped one is fitted already.

    Raises ValueError.
    """
    if method in SHIPPED:
        return _fitted_choice(SHIPPED[method], eps)
    if (folder := folder_of(method)) is not None:
        if not (folder / perturbations.CONFIG).is_file():
            raise ValueError(
                f"method {method!r} is a folder that holds no fitted protection (it has no config.json): name a folder "
                f"written by `unlearnable fit`, or one of {', '.join(PROTECTIONS)}"
            )
        return _fitted_choice(folder, eps)
    try:
        chosen = protection(method)
    except ValueError as error:
        raise ValueError(f"{error}; or a folder written by `unlearnable fit`") from None
    if eps is not None:
        chosen = replace(chosen, budget=Budget("linf", eps))  # type: ignore[type-var]
    refuse_nothing(chosen.budget)
    return Choice(chosen, chosen.budget, {"method": _plain(chosen)})


def folder_of(method: str) -> Path | None:
    """The folder that is meant where a job says this method, None where it is a name that is known."""
    known = method in SHIPPED or method.partition(":")[0] in PROTECTIONS
    return Path(method) if method and not known and Path(method).is_dir() else None


def _fitted_choice(folder: Path, eps: float | None) -> Choice:
    perturbation, config = _opened(folder)
    try:
        method = _protection(config)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder}/config.json does not say which method was fitted: {error}") from None
    budget = method.budget if eps is None else Budget("linf", eps)
    refuse_nothing(budget)
    if budget.eps > method.budget.eps and not isinstance(perturbation, perturbations.Scaling):
        raise ValueError(f"eps {budget} is above {method.budget}, which {folder} was fitted for: use that or less")
    digest = hashlib.sha256()
    for name in (perturbations.CONFIG, perturbations.WEIGHTS):
        with open(folder / name, "rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return Choice(method, budget, {"method": f"fitted {digest.hexdigest()}"}, folder)


def fit(
    method: Protection, source: Path, out: Path, run: Run, labels: Wanted = "auto", size: int | None = None
) -> tuple[tuple[str, str], ...]:
    """Fits a protection to the pictures of a collection: config.json, perturbation.safetensors and README.md, its card,
    in `out`, usable as the method of a job. size: working size in pixels, by default that of small square pictures,
    else 64. Returns (name, reason) of every picture that it looked at and could not read: nothing was fitted to those.

    Checkpoints lie in out/.checkpoints until it is done. Raises ValueError where `out` is a file, holds anything but
    what an earlier fit was stopped at, or lies inside the source; where size or budget is out of range, or the pictures
    have no labels and need them, or none of them can be read.
    """
    if lies_in(out, source):
        raise ValueError(f"OUT {str(out)!r} lies in SRC, which is never written to: name another folder")
    if size is not None and not 1 <= size <= LARGEST_SIZE:
        raise ValueError(f"size must be 1 to {LARGEST_SIZE}, got {size}")
    _refuse_taken(out)
    refuse_nothing(method.budget)
    collection = open_collection(source)
    try:
        pictures = pictures_of(collection)
        labelling = label_pictures(collection, pictures, labels, method.needs_labels, run)
        side = size or working_size(collection, pictures)
        missed = fit_pictures(method, collection, pictures, labelling, side, out, out / _CHECKPOINTS, run)
        if run.first:
            write_card(out)
        return missed
    finally:
        collection.close()


def fit_pictures(
    method: Protection, source: Collection, pictures: Sequence[Item], labelling: Labelling, size: int,
    out: Path, checkpoints: Path, run: Run,
) -> tuple[tuple[str, str], ...]:  # fmt: skip
    """Fits the method and saves the perturbation in `out`; checkpoints are removed once it is saved. Returns (name,
    reason) of the pictures that could not be read. Raises ValueError where none could."""
    if isinstance(method, Handing) and labelling.origin != "folders":
        raise ValueError(
            f"{describe(method)['name']} is for networks that learn your classes, and the pictures have none: put them "
            "into class folders"
        )
    data, missed = _images(method, source, pictures, labelling, size, run)
    here = replace(run, directory=checkpoints)
    ready = in_secret(method, data, here)
    here.claim({"method": describe(method), "data": data.fingerprint} | _handed(ready))
    perturbation = ready.fit(data, here)
    ranks.meet()
    failures = tuple((pictures[number].name, reason) for number, reason in missed.items())
    if not run.first:
        return failures
    about = {
        "protection": describe(method),
        "seed": run.seed,
        "classes": list(labelling.classes),
        "labels": labelling.origin,
        "loose": labelling.loose,
        "pictures": digest(item.name for item in pictures),
        "unreadable": [] if method.transfers else list(missed),
        "ended": here.ended,
    }
    perturbations.save(out, perturbation, about)
    for made in (checkpoints / KEPT).glob("*"):
        shutil.move(made, out / made.name)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return failures


def load(folder: Path, budget: Budget, lend: bool = False) -> Ready:
    """What `fit_pictures` saved, as strong as the budget allows where that can be; to lend: for other pictures and
    classes. Raises ValueError where there is none, or none that can be lent.
    """
    perturbation, config = _opened(folder)
    if lend:
        perturbation, config = perturbations.lend(perturbation), config | {"unreadable": []}
    if isinstance(perturbation, perturbations.Scaling):
        perturbation = perturbation.within(budget.eps)
    try:
        known = Fitted(tuple(config["classes"]), config["labels"], config["seed"])
        return Ready(perturbation, known, config["pictures"], frozenset(config["unreadable"]))
    except KeyError as error:
        raise ValueError(f"{folder}/config.json has no {error}: fit the protection again") from None


def _opened(folder: Path) -> tuple[Perturbation, dict[str, Any]]:
    """What a folder holds; what it looks through is there too, or is refused once, and not by every picture."""
    perturbation, config = perturbations.load(folder)
    if isinstance(perturbation, perturbations.Seeing):
        perturbation.eyes()
    return perturbation, config


def pictures_of(source: Collection) -> list[Item]:
    """The files whose names promise a picture, in listing order: their place here is their picture number.

    Raises ValueError where there is none.
    """
    pictures = [item for item in source.items if is_picture_name(item.name)]
    if not pictures:
        held = "none of its files ends in .jpg, .png or the like" if source.items else "it is empty"
        raise ValueError(f"SRC {str(source.path)!r} holds no pictures, {held}: check the path")
    return pictures


def working_size(source: Collection, pictures: Sequence[Item]) -> int:
    """The side of small square pictures, where the first ones all are of one; else 64 pixels."""
    sides = set()
    for item in pictures[:_LOOKED_AT]:
        try:
            height, width, _ = decode(source.read(item), item.name).planes.shape
        except Refused:
            continue
        if height != width or height > WORKING_SIZE:
            return WORKING_SIZE
        sides.add(height)
    return sides.pop() if len(sides) == 1 else WORKING_SIZE


def digest(names: Iterable[str]) -> str:
    """A hash of a list of names."""
    found = hashlib.blake2b(digest_size=16)
    for name in names:
        found.update(os.fsencode(name) + b"\0")
    return found.hexdigest()


def refuse_nothing(budget: Budget) -> None:
    """An eps of 0 is a control; one that rounds to 0 is a mistake: raises ValueError."""
    if budget.eps > 0 and level_cap(budget) == 0:
        raise ValueError(f"eps {budget} changes no pixel: take at least 1/255, or 0 for none")


def _refuse_taken(out: Path) -> None:
    """A fit writes into a folder of its own: what else lies there would be replaced, or lie among pictures."""
    if (out / perturbations.CONFIG).exists():
        raise ValueError(f"OUT {str(out)!r} holds a fitted protection already: name another folder")
    if (file := next((place for place in (out, *out.parents) if place.is_file()), None)) is not None:
        what = "is a file" if file == out else f"lies below a file, {str(file)!r}"
        raise ValueError(f"OUT {str(out)!r} {what}: name a folder")
    found = {path.name for path in out.iterdir()} if out.exists() else set()
    if _CHECKPOINTS in found:  # an earlier fit was stopped: weights may be there without config.json, half of one too
        found = {name for name in found if name != perturbations.WEIGHTS and not name.startswith(".")}
    if found:
        raise ValueError(f"OUT {str(out)!r} holds {min(found)}, fit wants a folder of its own: name another folder")


def _images(
    method: Protection,
    source: Collection,
    pictures: Sequence[Item],
    labelling: Labelling,
    size: int,
    run: Run,
) -> tuple[ImageSet, dict[int, str]]:
    """What the method is fitted on; and by picture number why one is not in it, or black where noise is sample-wise."""
    labels, classes = labelling.labels, labelling.classes
    if not method.needs_images:
        return blank(labels, classes, size), {}
    few = min(_SAMPLE, len(pictures)) if method.transfers else len(pictures)
    rows = torch.arange(few) * len(pictures) // few
    images, refused = views(source, [pictures[row] for row in rows], size, run, "read")
    if len(refused) == few:
        raise ValueError(f"SRC {str(source.path)!r} holds no picture that can be read: nothing to fit on")
    missed = {int(rows[row]): reason for row, reason in refused.items()}
    if not method.transfers:
        return ImageSet(images, labels.clamp_min(0) if classes else labels, classes), missed
    readable = torch.tensor([row for row in range(few) if row not in refused])
    return ImageSet(images, labels[rows], classes).subset(readable), missed


def _handed(method: Protection) -> dict[str, Any]:
    """The networks that a method hands out: a bundle of the same name may be another by the time a fit goes on."""
    return {"networks": [identity(Path(one)) for one in method.bundles]} if isinstance(method, Handing) else {}


def _plain(method: Protection) -> dict[str, Any]:
    return {name: value for name, value in describe(method).items() if name != "budget"}


def _protection(config: dict[str, Any]) -> Protection:
    described = dict(config["protection"])
    return protection(described.pop("name"), **described)
