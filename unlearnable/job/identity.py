"""What a job was asked to do: what it protects with, and what two runs of one job have in common."""

from datetime import UTC, datetime
from pathlib import Path

from unlearnable import __version__
from unlearnable.files import Collection, Refused, kept
from unlearnable.job import crawlers, fitting, preflight
from unlearnable.job.fitting import Choice
from unlearnable.job.places import Job
from unlearnable.job.worker import credential_of
from unlearnable.protections import describe
from unlearnable.run import Run

_VERSION = 1
_OF_SOURCE = ("listing", "kept")


def check(job: Job, run: Run) -> None:
    """Raises ValueError where the job could not start, as far as can be said before its source is there."""
    now = _said(job, chosen(job), run)
    preflight.check_before(job.destination, job.resume, job.overwrite, now, _OF_SOURCE)


def chosen(job: Job) -> Choice:
    """What the job protects with, once it is sure that it can be had."""
    choice = fitting.choose(job.method, job.eps)
    if job.lend and choice.folder is None:
        raise ValueError(f"--lend gives pictures the noise of a folder that fit wrote, method {job.method!r} is none")
    credential_of(job)
    return choice


def about(job: Job, choice: Choice, source: Collection, run: Run) -> dict[str, object]:
    """What must be the same in a job that is resumed."""
    names = [item.name for item in source.items]
    try:
        held = kept(source)
    except Refused as reason:
        raise ValueError(f"SRC {str(job.source)!r} {reason}") from reason
    return {
        **_said(job, choice, run),
        "listing": {"files": len(names), "digest": fitting.digest(names)},
        **({} if held is None else {"kept": held}),
    }


def _said(job: Job, choice: Choice, run: Run) -> dict[str, object]:
    """The part that needs no source."""
    return {
        "version": _VERSION,
        **choice.identity,
        "norm": choice.budget.norm,
        "eps": choice.budget.eps,
        "labels": job.labels,
        **({"lend": True} if job.lend else {}),
        "container": job.container,
        "seed": run.seed,
        **({"signals": crawlers.VERSION} if job.signals else {}),
        **({"C2PA": True} if job.certificate else {}),
    }


def made(job: Job, choice: Choice) -> dict[str, object]:
    """What a report says of a job besides `about`; a job that is resumed by another version is still the same job."""
    name = Path(job.method).name if choice.folder is not None else job.method  # where folders lie is nobody's business
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    return {"version": __version__, "method": name, "protection": describe(choice.method)["name"], "date": today}
