"""protect, fit: files in, files out."""

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import Namespace

from unlearnable.addresses import shown
from unlearnable.cli.answer import Answer
from unlearnable.cli.handed_out import draws_networks, for_whom
from unlearnable.cli.parsing import Number, Parser, UsageError, track_flag, typed

if TYPE_CHECKING:
    from unlearnable.job import Engine, Job, Preview, Summary
    from unlearnable.job.remote import Place
    from unlearnable.protections import Protection
    from unlearnable.run import Run

Labelling = Literal["auto", "folders", "none"]
Container = Literal["keep", "png", "webp"]
FITTED_TO = "a picture, a folder, an archive, table or array file on this machine; never written to"
SRC = "a picture, a folder, an archive, table or array file, or an address of one; never written to"
EPS = "the largest change of a value, such as 8/255"


def protect_flags(parser: Parser, first: str) -> None:
    """What to protect, where to, and how."""
    parser.add_argument("source", metavar="SRC", type=str, help=SRC)
    parser.add_argument("destination", metavar="DST", type=str, help="the protected collection: same names and layout")
    parser.add_argument(
        "--method", type=str, help="a name, a name:preset, or a folder made by fit (default: one_for_all)"
    )
    parser.add_argument("--eps", type=Number, help=EPS)
    parser.add_argument("--labels", type=Labelling, default="auto", help="where the classes come from")
    parser.add_argument("--format", type=Container, default="keep", help="what pictures are written as")
    parser.add_argument(
        "--signals", action="store_true", help="say in XMP too that training is not allowed; no protection"
    )
    parser.add_argument("--c2pa", type=str, metavar="CHAIN.pem", help="with --signals: C2PA too, by this certificate")
    parser.add_argument("--c2pa-key", type=str, metavar="KEY.pem", help="the private key of that certificate")
    parser.add_argument("--resume", action="store_true", help="go on where an earlier run stopped")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="start anew in DST: what an earlier run wrote goes, an archive is replaced, other files stay",
    )
    parser.add_argument("--card", action="store_true", help="write a data card: README.md in DST, or beside a file")
    parser.add_argument("--lend", action="store_true", help="give these pictures the noise fitted to others, by class")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, write nothing")
    parser.add_argument("--engine", type=Literal["local", "ray"], default="local", help="where the work runs")
    track_flag(parser)


def fit_flags(parser: Parser, first: str) -> None:
    """What to fit on, and a flag for every field of the method."""
    from unlearnable.protections import PROTECTIONS, protection

    asked = first in ("-h", "--help")
    if not asked and (not first or first.startswith("-")):
        raise UsageError(f"fit begins with a method, one of {', '.join(PROTECTIONS)}: unlearnable fit METHOD SRC OUT")
    parser.add_argument("method", metavar="METHOD", type=str, help="a name or name:preset")
    parser.add_argument("source", metavar="SRC", type=str, help=FITTED_TO)
    parser.add_argument("out", metavar="OUT", type=str, help="a folder: protect takes it as --method OUT")
    parser.add_argument("--eps", type=Number, help=EPS)
    parser.add_argument("--labels", type=Labelling, default="auto", help="where the classes come from")
    parser.add_argument("--size", type=int, help="side of the working copies; that of small pictures, else 64")
    track_flag(parser)
    if asked:
        parser.description = f"{parser.description}; a METHOD has flags of its own: fit METHOD --help. Methods: "
        parser.description += ", ".join(PROTECTIONS)
        return
    chosen = protection(first)
    parser.add_class_arguments(type(chosen), skip={"budget"})
    parser.set_defaults({name: getattr(chosen, name) for name in fields_of(chosen)})


def protect(args: Namespace, run: "Run") -> Answer:
    """Protects a collection."""
    from unlearnable import job
    from unlearnable.job import remote

    asked = (args.source, args.destination, args.resume, args.overwrite, args.dry_run)
    with remote.places(*asked) as (source, destination):
        wanted = _wanted(args, source.path, destination.path)
        if source.remote or destination.remote:
            job.check(wanted, run)  # before anything is fetched
        if destination.remote and draws_networks(wanted.method):
            raise UsageError(
                f"--method {wanted.method} draws networks, whose bundles must stay with you: fit it to a folder, and "
                "protect with --method FOLDER"
            )
        if destination.remote:
            destination.refuse_taken(args.overwrite)
        if source.remote:
            source.fetch(run)
        return _protect(args, wanted, source, destination, run)


def _wanted(args: Namespace, source: Path, destination: Path) -> "Job":
    """The job with what was typed."""
    from unlearnable import job
    from unlearnable.pixels import parse_eps

    return job.Job(
        source,
        destination,
        method=job.DEFAULT_METHOD if args.method is None else args.method,
        eps=None if args.eps is None else parse_eps(args.eps),
        labels=args.labels,
        container=args.format,
        resume=args.resume,
        overwrite=args.overwrite,
        card=args.card,
        signals=args.signals,
        certificate=args.c2pa and Path(args.c2pa),
        certificate_key=args.c2pa_key and Path(args.c2pa_key),
        lend=args.lend,
    )


def _protect(args: Namespace, asked: "Job", source: "Place", destination: "Place", run: "Run") -> Answer:
    """What is at hand on this machine; where DST is elsewhere it is checked, then put there."""
    from unlearnable import job
    from unlearnable.job import advice
    from unlearnable.pixels import eps_text

    if args.dry_run:
        return _planned(job.dry_run(asked))
    try:
        done = job.protect(asked, run, _engine(args.engine))
    except job.Halted as reason:
        raise UsageError(f"{reason}; once that is mended the same command with --resume goes on") from reason
    if destination.remote:
        found = job.verify(source.path, destination.path, run)
        if wrong := found.bad - found.unchanged:
            raise UsageError(
                f"DST {shown(args.destination)!r}: {wrong} outputs are not as they should be: nothing was put"
            )
        destination.deliver(run)
    there = shown(args.destination)
    kept = str(done.manifest.parent)
    kept = kept.replace(str(destination.path), there) if destination.remote else kept
    control = done.eps == eps_text(0.0)
    text = "a control: at eps 0 the pictures are as they were\n" if control else ""
    text += (
        f"{_counted(done)} in {done.seconds:.1f} s ({done.images_per_second:.3g} images/s)\n"
        f"largest change: {done.max_abs_delta} grey levels, with {done.method} at eps {done.eps}\n"
        f"{_classes(done.labels)}{_renamed(done, args.format)}"
        f"to check it again: unlearnable verify {typed(args.source)} {typed(args.destination)}"
    )
    if done.signalled is not None:
        text += (
            f"\nsignals, which stop nobody: {done.signalled} of {done.protected} pictures say in XMP that training is "
            f"not allowed; templates for a web site: {kept}/signals"
        )
    text += for_whom(done.manifest.parent / "perturbation")
    failures = tuple(done.failures) if source.remote or destination.remote else done.failures
    if destination.remote:
        text += f"\nkept apart: {kept} says how it was done: publish the pictures without it"
    said = advice.of_protection(done, asked.method, run.seed)
    said += advice.of_outputs(done, there, there if destination.remote else str(done.manifest))
    unwell = bool(done.failed or done.unchanged or done.strange)
    return Answer(_summary(done), text, failures, unwell, "; ".join(said))


def _engine(name: Literal["local", "ray"]) -> "Engine":
    if name == "local":
        from unlearnable.job import local

        return local
    from unlearnable.engines.ray import on_ray

    return on_ray


def _classes(labels: str) -> str:
    from unlearnable.job.advice import CLASSES

    return f"{CLASSES[labels]}\n" if labels in CLASSES else ""


def _renamed(done: "Summary", container: str) -> str:
    if not done.renamed:
        return ""
    now = "png" if container == "keep" else container
    said = "; files that were copied may say the old names: see docs/how-to.md" if done.copied else ""
    return f"renamed: {done.renamed} of {done.protected} pictures (photo.jpg is photo.{now} now){said}\n"


def _summary(done: "Summary") -> dict[str, Any]:
    return {
        "protected": done.protected,
        "copied": done.copied,
        "failed": done.failed,
        "max_abs_delta": done.max_abs_delta,
        "seconds": round(done.seconds, 3),
        "images_per_second": round(done.images_per_second, 3),
        "method": done.method,
        "eps": done.eps,
        "showing": done.showing,
        "unchanged": done.unchanged,
        "strange": done.strange,
        "renamed": done.renamed,
        "labels": done.labels,
    } | ({} if done.signalled is None else {"signals": done.signalled})


def _planned(plan: "Preview") -> Answer:
    """What would be done has the same keys; what only work can tell is null."""
    said: dict[str, Any] = {
        "protected": plan.protected,
        "copied": plan.copied,
        "failed": plan.failed,
        "max_abs_delta": None,
    }
    said |= {"seconds": None, "images_per_second": None}
    text = f"nothing was written; it would be {_counted(plan)} with {plan.method} at eps {plan.eps}"
    said |= {"method": plan.method, "eps": plan.eps} | dict.fromkeys(
        ("showing", "unchanged", "strange", "renamed", "labels")
    )
    return Answer(said, text, plan.failures, unwell=plan.failed > 0)


def _counted(files: "Summary | Preview") -> str:
    return f"{files.protected} protected, {files.copied} copied, {files.failed} failed"


def fit(args: Namespace, run: "Run") -> Answer:
    """Fits a method on a collection, to be used by protect."""
    from unlearnable import job
    from unlearnable.job.advice import loosely
    from unlearnable.perturbation import CONFIG

    method = method_of(args)
    missed = job.fit(method, Path(args.source), Path(args.out), run, labels=args.labels, size=args.size)
    said = {"method": args.method, "eps": str(method.budget), "out": args.out, "failed": len(missed)}
    about = json.loads((Path(args.out) / CONFIG).read_text()) if run.first else {}  # who alone answers
    said["labels"] = labels = about.get("labels", "none")
    text = f"fitted {args.method}; {_classes(labels)}to use it: unlearnable protect SRC DST --method "
    text += typed(args.out) + for_whom(Path(args.out))
    return Answer(said, text, missed, bool(missed), loosely(about["loose"]) if about.get("loose") else "")


def method_of(args: Namespace) -> "Protection":
    """The method with the values that were typed."""
    from unlearnable.pixels import Budget, parse_eps
    from unlearnable.protections import protection

    chosen = protection(args.method)
    values = {name: args[name] for name in fields_of(chosen)}
    refuse_drawn(args, [name for name, value in values.items() if value != getattr(chosen, name)])
    method = protection(args.method, **values)
    if args.eps is None:
        return method
    return replace(method, budget=Budget("linf", parse_eps(args.eps)))  # type: ignore[type-var]


def refuse_drawn(args: Namespace, typed: Sequence[str]) -> None:
    """Raises UsageError where bundles bring their networks and others are described; typed: the fields that were."""
    drawn = [name for name in ("model", "networks", "epochs") if name in typed]
    if drawn and args.get("bundles"):
        raise UsageError(f"--{drawn[0]} is of networks to be drawn, and --bundles brings its own: leave one out")


def fields_of(method: "Protection") -> list[str]:
    """The hyper-parameters that have a flag each; the budget is --eps."""
    return [field.name for field in fields(method) if field.name != "budget"]  # type: ignore[arg-type]
