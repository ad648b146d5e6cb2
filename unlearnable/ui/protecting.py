"""The first tab's work: the job of the command line on what was dropped, and what it came to in one zip."""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from unlearnable.files.collections import archives
from unlearnable.files.collections.item import BOOKKEEPING
from unlearnable.job import DEFAULT_METHOD, Job, Summary, protect
from unlearnable.job.manifest import FILE, Manifest, Row
from unlearnable.job.places import find_manifest
from unlearnable.pixels import parse_eps
from unlearnable.protections import PROTECTIONS
from unlearnable.run import Cancelled, Run
from unlearnable.ui.report import REPORT, report, told
from unlearnable.ui.uploads import Limits, Upload, source_of

LEVELS = 8
"""The strength unless another is chosen: the largest change of a value, of 255."""
_FULL = "there is no room left on the disk for this: drop fewer pictures at a time"


@dataclass(frozen=True)
class Wanted:
    """What somebody chose: a method's name, and the strength as a fraction such as 8/255."""

    method: str = DEFAULT_METHOD
    eps: str = f"{LEVELS}/255"


@dataclass(frozen=True)
class Done:
    """What a job came to. source, out: where the originals and the protected lie; rows: what became of every file;
    summary: None where it was stopped; archive: the zip of what is done, None where nothing is; seed: the run's."""

    source: Path
    out: Path
    wanted: Wanted
    rows: tuple[Row, ...]
    summary: Summary | None
    archive: Path | None
    seed: int = 0

    @property
    def protected(self) -> tuple[Row, ...]:
        """The pictures that can be looked at."""
        return tuple(row for row in self.rows if row.outcome.status == "protected")

    @property
    def told(self) -> list[str]:
        """What keeps the change from protecting, a line each."""
        return told(self.summary, self.wanted.method, self.seed)

    def count(self, status: str) -> int:
        """How many files have that status."""
        return sum(row.outcome.status == status for row in self.rows)


def methods() -> list[tuple[str, str]]:
    """(what is said of it, name) of every method whose strength is the largest change of a value, the default first."""
    bounded = [name for name, cls in PROTECTIONS.items() if cls().budget.norm == "linf" and name != DEFAULT_METHOD]
    first = (f"Standard: works on any picture at once ({DEFAULT_METHOD})", DEFAULT_METHOD)
    return [first, *((f"{name}: {_said(name)}", name) for name in sorted(bounded, key=_learns))]


def _said(name: str) -> str:
    if name == "random":
        return "plain noise, for comparison: it protects nothing"
    return "learns your pictures first, minutes to hours" if _learns(name) else "a pattern for each class, at once"


def _learns(name: str) -> bool:
    return PROTECTIONS[name]().needs_images


def protect_uploads(uploads: Sequence[Upload], folder: Path, wanted: Wanted, limits: Limits, run: Run) -> Done:
    """Protects what was dropped, in `folder`; stopped, it keeps what is done. Raises ValueError, one line."""
    folder.mkdir(parents=True)
    source, out = source_of(uploads, folder / "originals", limits), folder / "protected"
    job = Job(source, out, wanted.method, parse_eps(wanted.eps))
    summary = None
    try:
        summary = protect(job, run)
    except ValueError as reason:
        raise ValueError(str(reason).replace(str(folder), "").replace("SRC ", "").replace("DST ", "")) from reason
    except Cancelled:
        if find_manifest(out) is None:
            raise
    with closing(Manifest(out / BOOKKEEPING / FILE, writing=False)) as manifest:
        rows = tuple(manifest.rows())
    done = Done(source, out, wanted, rows, summary, None, run.seed)
    return replace(done, archive=_packed(done, folder))


def _packed(done: Done, folder: Path) -> Path | None:
    """The outputs under their names, the manifest where `unlearnable verify` looks for it, and the report."""
    written = [row.outcome.output for row in done.rows if row.outcome.output is not None]
    if not written:
        return None
    text = folder / "report.txt"
    text.write_text(report(done.rows, done.wanted.method, done.wanted.eps, done.seed, done.summary), "utf-8")
    files = [*((name, done.out / name) for name in written), (_free(REPORT, written), text)]
    files.append((f"{BOOKKEEPING}/{FILE}", done.out / BOOKKEEPING / FILE))
    archive, partial = folder / "protected.zip", folder / "protected.zip.partial"
    try:
        with open(partial, "wb") as file:
            archives.pack_zip(file, files)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ValueError(f"{_FULL} ({error.strerror})") from error
    os.replace(partial, archive)
    return archive


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name = f"_{name}"
    return name
