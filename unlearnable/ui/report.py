"""What was done to a collection, in words that go with it: for the page and for the zip."""

from collections.abc import Sequence
from datetime import UTC, datetime

from unlearnable import __version__
from unlearnable.job import Summary
from unlearnable.job.advice import CLASSES, of_protection
from unlearnable.job.manifest import Row
from unlearnable.messages import printable
from unlearnable.visibility import NOTICEABLE

REPORT = "unlearnable-report.txt"
HEADERS = ["file", "what became of it", "PSNR in dB", "largest change, of 255"]
_MEANS = """\
What this means: networks trained on these pictures learn less from them than from the originals; how much less, and who
is not stopped by it, is measured in the documentation. It raises the cost of training. It does not make training
impossible, it cannot undo what was collected before, and it does nothing about models that exist already. Saving the
pictures as JPEG or editing them weakens it. Keep the originals, this file and the folder .unlearnable to yourself: they
say how it was done.

PSNR says how close a picture is to its original: the higher, the closer.
"""


def report(rows: Sequence[Row], method: str, eps: str, seed: int, summary: Summary | None) -> str:
    """The text that lies in the zip beside the pictures. summary: None where the job was stopped."""
    lines = [
        "What was done",
        f"unlearnable {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"method {method}, strength {eps}, seed {seed}",
        counted(rows, summary is None),
        *told(summary, method, seed),
        "",
        *(_line(values) for values in table(rows)),
        "",
        _MEANS,
        "To check it again, unpack this zip and run: unlearnable verify ORIGINALS FOLDER",
    ]
    return "\n".join(lines) + "\n"


def counted(rows: Sequence[Row], stopped: bool) -> str:
    """How many files became what, and how far the farthest value was changed, in one line."""
    count = {status: sum(row.outcome.status == status for row in rows) for status in ("protected", "copied", "failed")}
    said = [f"{count['protected']} protected"]
    said += [f"{count['copied']} other files copied as they are"] if count["copied"] else []
    said += [f"{count['failed']} could not be protected and are left out"] if count["failed"] else []
    waiting = len(rows) - sum(count.values())
    said += [f"stopped before the other {waiting}"] if stopped else []
    farthest = max((row.outcome.max_delta or 0 for row in rows), default=0)
    same = sum(row.outcome.status == "protected" and not row.outcome.max_delta for row in rows)
    said += [f"of these {same} as they were in every pixel"] if same and farthest else []
    showing = sum((row.outcome.flat_step or 0) >= NOTICEABLE for row in rows)
    more = f". In {showing} the change can be seen on flat areas such as sky" if showing else ""
    return f"{', '.join(said)}; the largest change of any value is {farthest} of 255{more}."


def told(summary: Summary | None, method: str, seed: int) -> list[str]:
    """What keeps the change from protecting, a line each; nothing of a job that was stopped."""
    if summary is None:
        return []
    classes = CLASSES.get(summary.labels)
    return [*([f"classes: {classes}"] if classes and not summary.loose else []), *of_protection(summary, method, seed)]


def table(rows: Sequence[Row]) -> list[list[str]]:
    """A line for every file, as `HEADERS` says; what failed comes first."""
    order = {"failed": 0, "waiting": 1, "protected": 2, "copied": 3}
    return [_cells(row) for row in sorted(rows, key=lambda row: (order[row.outcome.status], row.id))]


def _cells(row: Row) -> list[str]:
    found = row.outcome
    psnr = "unchanged" if found.psnr is None else f"{found.psnr:.1f}"
    if found.status == "protected":
        named = [] if found.output == row.name else [f"as {found.output}"]
        noted = [f"({'; '.join(found.notes)})"] if found.notes else []
        return [printable(row.name), printable(" ".join(["protected", *named, *noted])), psnr, str(found.max_delta)]
    said = {"copied": "not a picture: copied as it is", "waiting": "not done: stopped before"}
    return [printable(row.name), printable(said.get(found.status, f"not protected: {found.reason}")), "", ""]


def _line(cells: Sequence[str]) -> str:
    name, became, psnr, delta = cells
    return f"{name}: {became}" + (f", PSNR {psnr} dB, largest change {delta}" if delta else "")
