"""The main job: a collection in, the same collection protected out, resumable at any moment."""

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from unlearnable.files import Collection, Destination, Item, Packable, is_picture_name
from unlearnable.files.collections.folder import listed
from unlearnable.files.formats import unsupported
from unlearnable.files.pictures.signals import ADDED
from unlearnable.job import card, crawlers, fitting, identity, places, preflight, resuming
from unlearnable.job.fitting import Choice, Ready
from unlearnable.job.labels import label_pictures, needs_folders
from unlearnable.job.manifest import Halted, Manifest, Outcome, Row, failures, halting
from unlearnable.job.parallel import results
from unlearnable.job.picture import GREY
from unlearnable.job.places import Job
from unlearnable.job.unlisted import strangers
from unlearnable.job.worker import Worker
from unlearnable.perturbation import Lent
from unlearnable.run import Run
from unlearnable.visibility import NOTICEABLE

_BATCH, _SECONDS = 64, 1.0
_NAMED = 3
_REPORTS = 0.1  # seconds between two


@dataclass(frozen=True)
class Summary:
    """What a job came to. protected, copied, failed: files of the whole job, those of earlier runs included; worked,
    seconds: pictures done by this run, and how long it took; max_abs_delta: in 8-bit levels; eps: the budget; showing:
    pictures on whose flat areas the change shows (`visibility.flat_step`), shown_most: the names of up to three;
    signalled: pictures that a signal was added to, None where none was asked for; grey: pictures of one channel;
    unchanged: protected pictures of which no pixel changed though eps is above 0; strange: pictures in the destination
    that are of no file of the job; of both the first three names; renamed: pictures whose output has another name;
    addresses: columns that were carried over and say where on the network something lies; labels: where the classes
    of the pictures come from: folders, clusters (k-means groups of looks) or none; loose: as a `Labelling` has it."""

    protected: int
    copied: int
    failed: int
    max_abs_delta: int
    seconds: float
    method: str
    eps: str
    worked: int
    manifest: Path
    showing: int
    shown_most: tuple[str, ...]
    signalled: int | None = None
    grey: int = 0
    unchanged: int = 0
    unchanged_named: tuple[str, ...] = ()
    strange: int = 0
    strange_named: tuple[str, ...] = ()
    renamed: int = 0
    addresses: tuple[str, ...] = ()
    labels: str = "none"
    loose: str | None = None

    @property
    def images_per_second(self) -> float:
        """Pictures protected by this run in a second of it."""
        return self.worked / self.seconds if self.seconds else 0.0

    @property
    def failures(self) -> Iterator[tuple[str, str]]:
        """(name, reason) of every file that failed, read from the manifest one after the other."""
        return failures(self.manifest)


@dataclass(frozen=True)
class Preview:
    """What a job would do, by names alone. failures: (name, reason) of every file that is refused unread."""

    protected: int
    copied: int
    failures: tuple[tuple[str, str], ...]
    method: str
    eps: str

    @property
    def failed(self) -> int:
        return len(self.failures)


def dry_run(job: Job) -> Preview:
    """What `protect` would do, as far as names tell; writes nothing. Raises ValueError where it could not start."""
    choice = identity.chosen(job)
    with places.checked(job) as (source, _):
        pictures = fitting.pictures_of(source)
        needs_folders(source, pictures, job.labels)
        refused = tuple((item.name, reason) for item in source.items if (reason := _refusal(item)))
        sound = sum(_refusal(item) is None for item in pictures)
        return Preview(sound, len(source.items) - len(refused) - sound, refused, job.method, str(choice.budget))


Engine = Callable[[Job, Worker, Iterable[Row], Run], Generator[tuple[Row, Outcome], None, None]]
"""Does the files of a job that are not done: (row, what became of it), in the order they finish. Raises `Cancelled`
where the run is, `Halted` where the destination takes no more."""


def local(job: Job, worker: Worker, rows: Iterable[Row], run: Run) -> Generator[tuple[Row, Outcome], None, None]:
    """The engine of one machine: a thread for each of its cores."""
    return results(worker, rows, run)


def protect(job: Job, run: Run, engine: Engine = local) -> Summary:
    """Protects every picture of a collection, and copies every other file as it is.

    The bytes are the same whichever engine does the work, and a job may be resumed on another.

    Kill it at any moment: the same job with resume=True gives the same bytes as one that was never stopped.
    A picture that cannot be protected is in the manifest with the reason, and nowhere in the destination.
    Raises ValueError, one line, where the job cannot start; `Cancelled` where the run is; `Halted` where the
    destination takes no more. In the last two cases all that was done is kept.
    """
    began = time.monotonic()
    choice = identity.chosen(job)
    with places.checked(job) as (source, destination):
        pictures = fitting.pictures_of(source)
        needs_folders(source, pictures, job.labels)
        about, listing = identity.about(job, choice, source, run), _listing(source)
        with halting(job.destination), places.taken(job, destination, about, listing) as manifest:
            if manifest.get("made") is None:
                manifest.set("made", identity.made(job, choice))
            ready = _prepare(job, choice, source, pictures, destination, manifest, run)
            resuming.forget(source, destination, manifest, run)
            worker = Worker.of(job, choice, ready, source, destination)
            if job.signals:
                crawlers.write(destination.bookkeeping)
            worked = _work(engine, job, worker, manifest, run)
            carded = job.card or card.is_there(destination)  # a folder that is replaced takes its card along
            _finish(destination, manifest)
            if carded and (worked or not card.is_there(destination)):  # one that says what was measured stays
                card.write(destination, manifest, run)
            return _summary(job, choice, source, destination, manifest, worked, time.monotonic() - began)


def _summary(
    job: Job, choice: Choice, source: Collection, destination: Destination, manifest: Manifest, worked: int,
    seconds: float,
) -> Summary:  # fmt: skip
    showing, shown_most = manifest.showing(NOTICEABLE, _NAMED)
    unchanged, unchanged_named = manifest.unchanged(_NAMED) if choice.budget.eps else (0, ())
    strange, strange_named = _strange(destination, manifest)
    labels, loose = manifest.get("classes from") or ("none", None)
    return Summary(
        protected=manifest.count("protected"), copied=manifest.count("copied"), failed=manifest.count("failed"),
        max_abs_delta=manifest.max_delta(), seconds=seconds, method=job.method, eps=str(choice.budget), worked=worked,
        manifest=manifest.path, showing=showing, shown_most=shown_most,
        signalled=manifest.noted(ADDED) if job.signals else None, grey=manifest.noted(GREY),
        unchanged=unchanged, unchanged_named=unchanged_named, strange=strange, strange_named=strange_named,
        renamed=manifest.renamed(), addresses=source.addresses() if isinstance(source, Packable) else (),
        labels=labels, loose=loose,
    )  # fmt: skip


def _prepare(
    job: Job, choice: Choice, source: Collection, pictures: list[Item], destination: Destination, manifest: Manifest,
    run: Run,
) -> Ready:  # fmt: skip
    """Labels every picture and has a perturbation ready; what an earlier run did of this is not done again."""
    given = None if choice.folder is None else fitting.load(choice.folder, choice.budget, job.lend)
    if (
        given
        and not (job.lend or choice.method.transfers)
        and given.pictures != fitting.digest(i.name for i in pictures)
    ):
        raise ValueError(
            f"{choice.folder} was fitted to other pictures and serves only those: fit it to these, or take --lend"
        )
    folder = choice.folder or places.fitted_of(destination)
    if manifest.get("prepared"):
        return given or fitting.load(folder, choice.budget)
    known = given.known if given and not job.lend else None
    labelling = label_pictures(source, pictures, job.labels, choice.method.needs_labels, run, known)
    if given and job.lend:
        _enough(given, len(labelling.classes))
    manifest.label(labelling.labels.tolist())
    manifest.set("classes from", [labelling.origin, labelling.loose])
    if choice.folder is None:
        size = fitting.working_size(source, pictures)
        checkpoints = destination.bookkeeping / "fit"
        fitting.fit_pictures(choice.method, source, pictures, labelling, size, folder, checkpoints, run)
    ready = given or fitting.load(folder, choice.budget)
    manifest.set("prepared", True)
    manifest.commit()
    return ready


def _enough(given: Ready, classes: int) -> None:
    lent = given.perturbation
    if isinstance(lent, Lent) and classes > len(lent.pairs):
        raise ValueError(
            f"noise of {len(lent.starts) - 1} classes and their pairs serves {len(lent.pairs)} classes, here are "
            f"{classes}: lend what was fitted on more"
        )


def _work(engine: Engine, job: Job, worker: Worker, manifest: Manifest, run: Run) -> int:
    """Every file that is not done; the number of pictures protected. What is done is recorded however this ends."""
    total = manifest.count()
    done = manifest.count("protected", "copied")
    batch = _Batch(manifest, worker.destination)
    began = reported = time.monotonic()
    worked = 0
    try:
        with closing(engine(job, worker, manifest.rows("waiting", "failed"), run)) as finished:
            for row, outcome in finished:
                batch.add(row, outcome)
                worked += outcome.status == "protected"
                done += 1
                if (now := time.monotonic()) - reported > _REPORTS:
                    run.report("protect", done, total, {"images_per_second": worked / (now - began)})
                    reported = now
    finally:
        batch.commit()
    run.report("protect", done, total, {"images_per_second": worked / max(time.monotonic() - began, 1e-9)})
    return worked


class _Batch:
    """Records outcomes; about once a second their files are put on disk for good, then the manifest says so."""

    def __init__(self, manifest: Manifest, destination: Destination) -> None:
        self._manifest, self._destination = manifest, destination
        self._written: list[str] = []
        self._since, self._count = time.monotonic(), 0

    def add(self, row: Row, outcome: Outcome) -> None:
        self._manifest.record(row.id, outcome)
        if outcome.output is not None:
            self._written.append(outcome.output)
        self._count += 1
        if self._count >= _BATCH or time.monotonic() - self._since >= _SECONDS:
            self.commit()

    def commit(self) -> None:
        for name in self._written:
            try:
                with open(self._destination.path_of(name), "rb") as file:
                    os.fsync(file.fileno())
            except OSError as error:
                raise Halted(f"DST {str(self._destination.path)!r} did not keep {name!r}: {error.strerror}") from error
        self._manifest.commit()
        self._written, self._count, self._since = [], 0, time.monotonic()


def _finish(destination: Destination, manifest: Manifest) -> None:
    """Packs an archive, unless it is packed already."""
    if destination.packing is None or manifest.get("packed"):
        return
    rows = manifest.rows("protected", "copied")
    written = {row.name: row.outcome.output for row in rows if row.outcome.output is not None}
    packed = destination.finish(written, preflight.known(destination, manifest))
    manifest.set("packed", packed)
    manifest.set(preflight.THERE, sorted(packed))
    manifest.commit()


def _strange(destination: Destination, manifest: Manifest) -> tuple[int, tuple[str, ...]]:
    """What lies among the outputs and is or holds a picture that this job did not write."""
    written = {row.outcome.output for row in manifest.rows("protected", "copied") if row.outcome.output is not None}
    found = [name for name, _ in strangers(listed(destination.root), written)]
    return len(found), tuple(found[:_NAMED])


def _listing(source: Collection) -> list[tuple[str, int | None]]:
    listing: list[tuple[str, int | None]] = []
    pictures = 0
    for item in source.items:
        listing.append((item.name, pictures if is_picture_name(item.name) else None))
        pictures += listing[-1][1] is not None
    return listing


def _refusal(item: Item) -> str | None:
    """Why a file is refused unread, or None."""
    return item.problem or unsupported(item.name)
