"""Where a job reads and writes: checked before anything is written, then taken for this process alone."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from unlearnable.files import (
    BOOKKEEPING,
    Collection,
    Container,
    Destination,
    Refused,
    open_collection,
    open_destination,
)
from unlearnable.job import card, preflight
from unlearnable.job.labels import Wanted
from unlearnable.job.manifest import FILE, Damaged, Manifest
from unlearnable.job.preflight import find_manifest as find_manifest
from unlearnable.job.preflight import manifest_of
from unlearnable.pixels import Budget

DEFAULT_METHOD = "one_for_all"


@dataclass(frozen=True)
class Job:
    """What to protect, where to write it, and how.

    source: a file, folder, archive or table; destination: a folder, or an archive of the same kind.
    method: a name, name:preset, or a folder written by `fit`. eps: None for the method's own budget, else an
    L-infinity budget in units of the 0..1 range. labels: where class names come from. container: the file type of
    the outputs. resume: go on with what is in the destination; overwrite: start anew there. card: write a data card,
    README.md in a folder or NAME.README.md beside a file. signals: say beside the pixels too that training is not
    allowed (`files.pictures.signals`); certificate, certificate_key: PEM files, to say it by C2PA as well
    (`files.pictures.credentials`). lend: give the pictures the noise that a folder holds for others, class for class.
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
    preflight.refuse_protected(job.source)
    with opened(job) as (source, destination):
        _check_container(job, destination)
        preflight.check_state(destination, job.resume, job.overwrite)
        preflight.check_writable(destination.root)
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


def _check_container(job: Job, destination: Destination) -> None:
    if destination.packing is not None and not destination.packing.encoded and job.container != "keep":
        raise ValueError(
            f"container {job.container!r} is a type of picture files, but DST {str(destination.path)!r} becomes a "
            f"{destination.packing.kind}, which has none: leave it at 'keep'"
        )


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
        preflight.refuse_other(destination.path, found, about)
        return
    _remove_outputs(destination, manifest)
    card.remove(destination)
    for child in destination.bookkeeping.iterdir():
        if child.is_dir():
            shutil.rmtree(child)
    there = manifest.get(preflight.THERE)
    manifest.begin(about, files)
    if there is not None:
        manifest.set(preflight.THERE, there)
        manifest.commit()


def _remove_outputs(destination: Destination, manifest: Manifest) -> None:
    """What an earlier job wrote goes, and only that: under another container it would stay beside the new."""
    for row in manifest.rows("protected", "copied"):
        try:
            destination.path_of(row.outcome.output or row.name).unlink(missing_ok=True)
        except (OSError, Refused):
            continue
