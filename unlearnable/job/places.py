"""Where a job reads and writes: checked before anything is written, then taken for this process alone."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from unlearnable.files import (
    BOOKKEEPING,
    Collection,
    Container,
    Destination,
    Refused,
    kind_of,
    open_collection,
    open_destination,
)
from unlearnable.job import card
from unlearnable.job.labels import Wanted
from unlearnable.job.manifest import FILE, Damaged, Manifest
from unlearnable.pixels import Budget, eps_text

DEFAULT_METHOD = "one_for_all"


@dataclass(frozen=True)
class Job:
    """What to protect, where to write it, and how.

    source: a file, folder, archive or table; destination: a folder, or an archive of the same kind.
    method: a name, name:preset, or a folder written by `fit`. eps: None for the method's own budget, else an
    L-infinity budget in units of the 0..1 range. labels: where class names come from. container: the file type of
    the outputs. resume: go on with what is in the destination; overwrite: start anew there. card: write a data card,
    README.md in a folder or NAME.README.md beside a file. signals: say beside the pixels too that training is not
    allowed (`files.signals`); certificate, certificate_key: PEM files, to say it by C2PA as well (`files.credentials`).
    lend: give the pictures the noise that a folder holds for others, class for class.
    Raises ValueError where a value is not allowed.
    """

    source: Path
    destination: Path
    method: str = DEFAULT_METHOD
    eps: float | None = None
    labels: Wanted = "auto"
    container: Container = "keep"
    resume: bool = False
    overwrite: bool = False
    card: bool = False
    signals: bool = False
    certificate: Path | None = None
    certificate_key: Path | None = None
    lend: bool = False

    def __post_init__(self) -> None:
        if self.labels not in get_args(Wanted):
            raise ValueError(f"labels must be one of {', '.join(get_args(Wanted))}, got {self.labels!r}")
        if self.container not in get_args(Container):
            raise ValueError(f"container must be one of {', '.join(get_args(Container))}, got {self.container!r}")
        if self.eps is not None:
            Budget("linf", self.eps)
        if self.resume and self.overwrite:
            raise ValueError("resume goes on where a job stopped, overwrite starts anew: choose one of them")
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("a C2PA assertion takes a certificate and its key: one of them is missing")
        if self.certificate is not None and not self.signals:
            raise ValueError("a C2PA certificate is for signals: ask for those too")


@contextmanager
def checked(job: Job) -> Iterator[tuple[Collection, Destination]]:
    """The places of a job, once it is sure that it may begin; nothing is written. Raises ValueError, one line."""
    _refuse_protected(job.source)
    with opened(job) as (source, destination):
        _check_container(job, destination)
        _check_state(job, destination)
        _check_writable(destination.root)
        if job.card:
            card.check(destination, source)
        yield source, destination


@contextmanager
def opened(job: Job) -> Iterator[tuple[Collection, Destination]]:
    """The places of a job as they are. Raises ValueError, one line, where the source is not there."""
    source = open_collection(job.source)
    try:
        yield source, open_destination(job.destination, source)
    finally:
        source.close()


def find_manifest(path: Path) -> Path | None:
    """The manifest of what was protected into that folder or archive; None where there is none."""
    place = Path(os.path.abspath(path))
    inside, beside = (Path(f"{place}{end}") / BOOKKEEPING / FILE for end in ("", ".partial"))
    if os.path.exists(inside):
        return inside
    # in this order: to find the kind of a folder may mean to list all that is below it
    return beside if os.path.exists(beside) and (not place.is_dir() or kind_of(place)) else None


def manifest_of(destination: Destination) -> Path:
    """Where the manifest of a destination lies, there or not."""
    return destination.bookkeeping / FILE


def fitted_of(destination: Destination) -> Path:
    """The folder of a perturbation that was fitted for this job alone."""
    return destination.bookkeeping / "perturbation"


def scratch_of(destination: Destination) -> Path:
    """The folder for files that are not complete yet."""
    return destination.bookkeeping / "scratch"


@contextmanager
def taken(
    job: Job, destination: Destination, about: dict[str, Any], files: list[tuple[str, int | None]]
) -> Iterator[Manifest]:
    """The manifest of the job, for this process alone, begun or found again; no scratch is there before or after.

    about: what must be the same in a job that is resumed. Where a new job fails with ValueError before its first
    file, it leaves no trace. Raises ValueError where the place is another job's or cannot be written.
    """
    made = _missing(destination.bookkeeping)
    forget = False
    try:
        destination.bookkeeping.mkdir(parents=True, exist_ok=True)
        manifest = _open(job, destination)
    except OSError as error:
        _remove(made)
        raise ValueError(f"DST {str(destination.path)!r} cannot be written: {error.strerror or error}") from error
    scratch = scratch_of(destination)
    try:
        _claim(job, destination, manifest, about, files)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        yield manifest
    except ValueError:
        forget = not manifest.get("prepared")
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        manifest.close()
        if forget:
            _remove(made)


def _missing(folder: Path) -> list[Path]:
    """The folder and those above it that do not exist yet, the innermost first."""
    return [path for path in (folder, *folder.absolute().parents) if not path.exists()]


def _remove(made: list[Path]) -> None:
    """Removes the bookkeeping, and the folders above it that were made for it and hold nothing else."""
    for folder in made:
        if folder.name == BOOKKEEPING:
            shutil.rmtree(folder, ignore_errors=True)
        elif folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _refuse_protected(source: Path) -> None:
    """Nor is a part of what was protected taken, under whatever name it is reached."""
    for place in (Path(os.path.abspath(source)), source.resolve()):
        for folder in (place, *place.parents):
            if manifest := find_manifest(folder):
                raise ValueError(
                    f"SRC {str(source)!r} was protected already (see {str(manifest)!r}): name the originals, or move "
                    "what is not of that job elsewhere"
                )


def _check_state(job: Job, destination: Destination) -> None:
    where = f"DST {str(destination.path)!r}"
    state = _state(destination)
    if state == "taken":
        raise ValueError(
            f"{str(destination.root)!r}, where {where} is made, holds files of somebody else: move them away, or name "
            "another DST"
        )
    if state == "ours" and not (job.resume or job.overwrite):
        raise ValueError(f"{where} holds a job already: --resume goes on with it, --overwrite starts anew")
    if state == "foreign" and not job.overwrite:
        raise ValueError(f"{where} is not empty: name a new folder, or --overwrite to write into it")


def _check_container(job: Job, destination: Destination) -> None:
    if destination.packing is not None and not destination.packing.encoded and job.container != "keep":
        raise ValueError(
            f"container {job.container!r} is a type of picture files, but DST {str(destination.path)!r} becomes a "
            f"{destination.packing.kind}, which has none: leave it at 'keep'"
        )


def _state(destination: Destination) -> Literal["empty", "ours", "foreign", "taken"]:
    """What is there. taken: files that nobody offered, in the folder where DST is made."""
    if manifest_of(destination).exists():
        return "ours"
    path, root, packed = destination.path, destination.root, destination.packing is not None
    if root.is_dir() and any(child.name != BOOKKEEPING for child in root.iterdir()):
        return "taken" if packed else "foreign"
    there = packed and path.exists() and (not path.is_dir() or any(path.iterdir()))
    return "foreign" if there else "empty"


def _check_writable(root: Path) -> None:
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise ValueError(f"DST {str(root)!r} cannot be made: {str(there)!r} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"DST {str(root)!r} cannot be written: no permission to write in {str(there)!r}")


def _open(job: Job, destination: Destination) -> Manifest:
    path = manifest_of(destination)
    try:
        manifest = Manifest(path)
        if job.overwrite:
            manifest.check()
        return manifest
    except Damaged:
        if not job.overwrite:
            raise
    for leftover in path.parent.glob(f"{FILE}*"):
        leftover.unlink()
    return Manifest(path)


def _claim(
    job: Job,
    destination: Destination,
    manifest: Manifest,
    about: dict[str, Any],
    files: list[tuple[str, int | None]],
) -> None:
    found, about = manifest.get("about"), json.loads(json.dumps(about))
    if found is not None and not job.overwrite:
        if differing := _differences(found, about):
            raise ValueError(
                f"DST {str(destination.path)!r} was begun otherwise: {'; '.join(differing)}. "
                "Resume it as it was begun, or start anew with --overwrite"
            )
        return
    _remove_outputs(destination, manifest)
    card.remove(destination)
    for child in destination.bookkeeping.iterdir():
        if child.is_dir():
            shutil.rmtree(child)
    manifest.begin(about, files)


def _remove_outputs(destination: Destination, manifest: Manifest) -> None:
    """What an earlier job wrote goes, and only that: under another container it would stay beside the new."""
    for row in manifest.rows("protected", "copied"):
        try:
            destination.path_of(row.outcome.output or row.name).unlink(missing_ok=True)
        except (OSError, Refused):
            continue


def _differences(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What a job that is resumed says otherwise than it was begun, in words."""
    said = []
    for key in was | now:
        before: Any = was.get(key)
        after: Any = now.get(key)
        if before == after or (key == "kept" and before is None):  # begun by a version that did not keep it
            continue
        if key == "listing":
            said.append(f"the names in SRC have changed ({before['files']} files then, {after['files']} now)")
        elif key == "kept":
            said.append("what SRC holds beside its pictures (labels, columns, arrays) has changed")
        elif isinstance(before, dict) and isinstance(after, dict):
            said += _differences(before, after)
        elif key in ("signals", "C2PA"):
            said.append(f"it was {'with' if before else 'without'} {key}, is now {'with' if after else 'without'}")
        elif key == "eps":
            said.append(f"eps was {eps_text(before)}, is now {eps_text(after)}")
        else:
            said.append(f"{key} was {before}, is now {after}")
    return said
