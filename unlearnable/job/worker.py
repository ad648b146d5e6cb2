"""One file of a job, from reading it to having read back what was written."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from unlearnable.files import (
    Collection,
    Container,
    Destination,
    Refused,
    encode,
    matches,
    output_name,
    signalled,
    stems,
)
from unlearnable.files.collections.collection import Blocks, sha256_file
from unlearnable.files.collections.sources import promised
from unlearnable.files.copying import UNSEEN, inspected
from unlearnable.files.pictures.credentials import ADDED, MIME, Credential
from unlearnable.job import fitting, places
from unlearnable.job.fitting import Choice, Ready
from unlearnable.job.manifest import Outcome, Row, halting, sha256
from unlearnable.job.name_clashes import clashes, ignored
from unlearnable.job.parallel import decoded
from unlearnable.job.picture import GREY, change, protected, shown
from unlearnable.job.places import Job, scratch_of
from unlearnable.perturbation import Perturbation
from unlearnable.pixels import Budget


@dataclass(frozen=True, eq=False)
class Worker:
    """Does one file of the job, from reading to having read back what was written; safe in threads."""

    source: Collection
    destination: Destination
    perturbation: Perturbation
    budget: Budget
    container: Container
    stems: Mapping[str, int]
    unreadable: frozenset[int]
    signals: bool
    credential: Credential | None = None
    clashing: Mapping[int, str] = field(default_factory=dict)  # row -> an earlier name that the disk takes for the same

    @classmethod
    def of(cls, job: Job, choice: Choice, ready: Ready, source: Collection, destination: Destination) -> "Worker":
        names = [item.name for item in source.items]
        missed = frozenset() if choice.method.transfers else ready.unreadable
        return cls(
            source, destination, ready.perturbation, choice.budget, job.container, stems(names), missed, job.signals,
            credential_of(job), clashes(names, *ignored(scratch_of(destination))),
        )  # fmt: skip

    @classmethod
    @contextmanager
    def again(cls, job: Job) -> Iterator["Worker"]:
        """The worker of a job that is under way, in another process: places and perturbation as that job has them.

        Raises ValueError where they are not there any more.
        """
        choice = fitting.choose(job.method, job.eps)
        with places.opened(job) as (source, destination):
            folder = choice.folder or places.fitted_of(destination)
            yield cls.of(job, choice, fitting.load(folder, choice.budget, job.lend), source, destination)

    def __call__(self, row: Row) -> tuple[Row, Outcome]:
        """Raises `Halted` where the destination takes no more; every other trouble is the outcome of this file."""
        try:
            if row.id in self.clashing:
                raise Refused(f"DST's disk takes its name for that of {self.clashing[row.id]!r}: rename one of them")
            with halting(self.destination.path):
                return row, self._copy(row) if row.picture is None else self._protect(row, row.picture)
        except (Refused, OSError, ValueError, MemoryError) as error:
            return row, Outcome("failed", _line(error))

    def _copy(self, row: Row) -> Outcome:
        item = self.source.items[row.id]
        if item.problem is None and promised(row.name) is not None:
            raise Refused(UNSEEN)
        read = hashlib.sha256()
        path = self._place(row, row.name, _hashed(inspected(self.source.blocks(item)), read))
        if (written := sha256_file(path)) != read.hexdigest():
            self._withdraw(row.name, "the copy read back differs")
        return Outcome("copied", None, row.name, written, written)

    def _protect(self, row: Row, number: int) -> Outcome:
        if number in self.unreadable:
            raise Refused(
                "it could not be read when its noise was fitted: fit anew to include it (protect --overwrite, where "
                "protect does the fitting)"
            )
        data = self.source.read(self.source.items[row.id])
        label = -1 if row.label is None else row.label
        with decoded(data, row.name, self.container) as bare:
            picture = signalled(bare) if self.signals else bare
            planes = protected(picture, self.perturbation, label, number, self.budget)
            name = output_name(row.name, picture.target, self.stems)
            file, notes = encode(picture, planes), picture.notes
            notes += (GREY,) if planes.shape[2] == 1 else ()
            if self.credential is not None:
                file = self.credential.added(file, picture.target)
                notes += (ADDED if picture.target in MIME else f"no C2PA assertion: {picture.target} cannot hold it",)
            written = self._place(row, name, file).read_bytes()
            if wrong := matches(picture, planes, written, name):
                self._withdraw(name, f"read back wrong: {wrong}")
            found, step = change(picture.planes, planes), shown(picture, planes)
        hashes = sha256(data), sha256(written)
        return Outcome("protected", None, name, *hashes, found.max_delta, found.psnr, notes, step)

    def _place(self, row: Row, name: str, data: bytes | Blocks) -> Path:
        scratch = scratch_of(self.destination) / str(row.id)
        try:
            self.destination.write(name, data, scratch)
        except Refused:
            scratch.unlink(missing_ok=True)
            raise
        return self.destination.path_of(name)

    def _withdraw(self, name: str, reason: str) -> None:
        self.destination.path_of(name).unlink(missing_ok=True)
        raise Refused(reason)


def credential_of(job: Job) -> Credential | None:
    """What the job signs its pictures with, if anything. Raises ValueError where it cannot."""
    if job.certificate is None or job.certificate_key is None:
        return None
    return Credential.read(job.certificate, job.certificate_key)


def _hashed(blocks: Blocks, seen: "hashlib._Hash") -> Iterator[bytes]:
    for block in blocks:
        seen.update(block)
        yield block


def _line(error: BaseException) -> str:
    said = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return " ".join(said.split())
