"""authorise release: one command from labelled pictures to a folder that can be published."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from unlearnable.addresses import is_address, shown
from unlearnable.cli.answer import Answer
from unlearnable.cli.parsing import Number, Parser, UsageError, track_flag, within
from unlearnable.cli.protecting import EPS, Container, fields_of, refuse_drawn

if TYPE_CHECKING:
    from unlearnable.authorisation import Released
    from unlearnable.protections.uge import UGE
    from unlearnable.run import Run

METHOD = "uge:blind"
SRC = "a folder, an archive, table or array file on this machine; never written to; one folder for each class"


def release_flags(parser: Parser) -> None:
    """What to release and where to, and a flag for every field of the method; what is not typed is the preset's."""
    from unlearnable.protections.uge import UGE

    parser.add_argument("source", metavar="SRC", type=str, help=SRC)
    parser.add_argument("out", metavar="OUT", type=str, help="a new folder: OUT/public for all, OUT/authorised for few")
    parser.add_argument("--method", type=str, default=METHOD, help="uge or uge:preset")
    parser.add_argument("--key", type=str, metavar="KEY.pem", help="your Ed25519 private key: signs both halves")
    parser.add_argument("--policy", type=str, metavar="FILE", help="a text: what may be done with the pictures")
    parser.add_argument("--test", type=str, help="other pictures of the same classes, not protected: who learns what")
    parser.add_argument("--eps", type=Number, help=EPS)
    parser.add_argument("--size", type=int, help="side that networks train on; that of bundles or of the first picture")
    parser.add_argument("--format", type=Container, default="keep", help="what pictures are written as")
    track_flag(parser)
    parser.add_class_arguments(UGE, skip={"budget"})
    parser.set_defaults(dict.fromkeys(fields_of(UGE())))


def release(args: Namespace, run: "Run") -> Answer:
    """Makes a release, or goes on with it."""
    from unlearnable import authorisation, job
    from unlearnable.data import LARGEST_SIZE

    if is_address(args.source):
        raise UsageError(f"SRC {shown(args.source)!r} is an address: fetch it first, a release is made of files here")
    within(args, "size", 1, LARGEST_SIZE)
    places = {name: args[name] and Path(args[name]) for name in ("key", "policy", "test")}
    asked = authorisation.Release(
        Path(args.source), Path(args.out), args.method, _method(args), **places, size=args.size, container=args.format
    )
    try:
        done = authorisation.release(asked, run)
    except job.Halted as reason:
        raise UsageError(f"{reason}; once that is mended the same command goes on") from reason
    said = {"out": args.out} | _said(done)
    return Answer(said, _text(args.out, done), done.failures, bool(done.failures), _advice(done, asked.method.blind))


def _advice(done: "Released", blind: bool) -> str:
    from unlearnable.authorisation import separates

    said = []
    if unchanged := done.report.get("unchanged"):
        said.append(f"{unchanged} pictures are as they were in every pixel: keep them back, or take a larger --eps")
    if done.report["copied"]:
        said.append(f"{done.report['copied']} other files were copied as they are: look at them before you publish")
    if done.report["measured"] and not separates(done.report["measured"]):
        said.append("the test does not show that others learn less: more --passes or --steps of the fit, more --epochs")
    if blind:
        said.append(
            "whoever looks for the colour of the change finds it in the pictures, and learns as from clean ones"
        )
    return "; ".join(said)


def _method(args: Namespace) -> "UGE":
    """The method with what was typed."""
    from unlearnable.pixels import Budget, parse_eps
    from unlearnable.protections import protection
    from unlearnable.protections.uge import UGE

    chosen = protection(args.method)
    if not isinstance(chosen, UGE):
        raise UsageError(f"--method must be uge or uge:preset, which has an authorised network, got {args.method!r}")
    typed = {name: args[name] for name in fields_of(chosen) if args[name] is not None}
    refuse_drawn(args, list(typed))
    if args.eps is not None:
        typed["budget"] = Budget("linf", parse_eps(args.eps))
    return replace(chosen, **typed)


def _said(done: "Released") -> dict[str, Any]:
    report = done.report
    names = ("pictures", "copied", "failed", "method", "eps", "max_abs_delta", "psnr_mean", "psnr_lowest")
    said = {name: report[name] for name in names} | {"classes": len(report["classes"])}
    said |= {"unchanged": report.get("unchanged")}
    said |= {"pictures_sha256": report["pictures_sha256"], "key": report["signed"] and report["signed"]["key"]}
    measured = report["measured"] or {}
    said |= {name: measured.get(name) for name in ("authorised", "outsider", "outsider_clean", "margin", "flags")}
    return said


def _text(out: str, done: "Released") -> str:
    report, measured = done.report, done.report["measured"]
    lines = [
        f"{report['pictures']} pictures of {len(report['classes'])} classes, changed by {report['max_abs_delta']} grey "
        f"levels at most, with {report['method']} at eps {report['eps']}",
        "nothing was tested: --test says who learns what" if measured is None else
        f"accuracy: authorised {min(measured['authorised']):.3f}, an outsider {measured['outsider']:.3f} (from clean "
        f"pictures {measured['outsider_clean']:.3f}), margin {measured['margin']:.3f}",
        "unsigned: --key KEY.pem signs" if report["signed"] is None else f"signed by the key {report['signed']['key']}",
        f"publish {out}/public; send {out}/authorised to those alone who may train; keep {out}/.unlearnable",
    ]  # fmt: skip
    return "\n".join(lines)
