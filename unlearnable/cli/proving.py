"""report, verify: what a protected folder is worth, and whether it still is what was written."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from unlearnable.addresses import is_address, shown
from unlearnable.cli.answer import Answer
from unlearnable.cli.parsing import Names, Number, Parser, UsageError, adversaries_in, folder_out, split, within

if TYPE_CHECKING:
    from unlearnable.job import Verification
    from unlearnable.run import Run


_TRIAL = {"adversaries": None, "models": "cnn", "seeds": 3, "size": None, "epochs": None, "card": False}
"""The flags that say who trains, with their defaults."""


def report_flags(parser: Parser, first: str) -> None:
    """The two collections, who trains on them, and where the report goes."""
    parser.add_argument("source", metavar="SRC", type=str, help="the originals")
    parser.add_argument("destination", metavar="DST", type=str, help="what protect made of them, with its manifest")
    parser.add_argument("--out", type=str, metavar="FOLDER", help="report.md, .html, .json and manifest.json go there")
    parser.add_argument("--key", type=str, metavar="KEY.pem", help="your Ed25519 private key: signs manifest.json")
    parser.add_argument("--test", type=str, help="other pictures of the same classes, not protected: who learns what")
    parser.add_argument(
        "--adversaries", type=Names, metavar="A,B", help="who trains besides: names from unlearnable list"
    )
    parser.add_argument("--models", type=Names, default=_TRIAL["models"], metavar="M,N", help="what they train")
    parser.add_argument("--seeds", type=int, default=_TRIAL["seeds"], help="how often each of them trains")
    parser.add_argument("--size", type=int, help="side in training; by default the first picture's, 64 at most")
    parser.add_argument("--epochs", type=int, help="instead of the adversary's own number")
    parser.add_argument("--card", action="store_true", help="write the data card of DST, with what they learned")
    parser.add_argument("--pictures", type=int, default=100, help="on how many SSIM and what survives are measured")


def report(args: Namespace, run: "Run") -> Answer:
    """Reports on a protected folder."""
    from unlearnable import proof

    for flag in ("source", "destination", "test"):
        if is_address(args[flag] or ""):
            raise UsageError(f"report reads places of this machine, not {shown(args[flag])!r}: fetch it and name that")
    source, destination = Path(args.source), Path(args.destination)
    out = None if args.out is None else Path(args.out)
    _check(args, source, destination, out)
    trial = None
    if args.test is not None:
        who, what = adversaries_in(args.adversaries), split(args.models)
        trial = proof.Trial(Path(args.test), who, what, args.seeds, args.size, args.epochs)
    found = proof.gather(proof.Wanted(source, destination, trial, args.pictures), run)
    signed = None if out is None else proof.write(found, destination, out, args.key and Path(args.key))
    text = proof.markdown(found).encode(errors="backslashreplace").decode()
    if args.card:
        text += f"\nthe data card says so: {proof.write_card(found, destination, run)}"
    if out is not None:
        by = "nobody: --key KEY.pem does" if signed is None else f"the key {signed}"
        text += f"\nas a page: {out / 'report.html'}; signed by {by}"
    unwell = bool(found["checked"]["bad"] or found["checked"]["missing"])
    problems = [(name, reason) for name, reason in found["problems"]]
    return Answer(found | {"signed": signed}, text, problems, unwell)


def _check(args: Namespace, source: Path, destination: Path, out: Path | None) -> None:
    """What can be said before any work."""
    from unlearnable import proof
    from unlearnable.data import LARGEST_SIZE

    within(args, "size", 1, LARGEST_SIZE)
    for flag in ("epochs", "seeds", "pictures"):
        within(args, flag, 1)
    if args.key is not None and out is None:
        raise UsageError("--key signs what is written: --out FOLDER says where that goes")
    for flag, default in _TRIAL.items():
        if args.test is None and args[flag] != default:
            raise UsageError(f"--{flag} is for networks, which are tested on other pictures: --test TEST names those")
    if not split(args.models):
        raise UsageError("--models needs a name at least")
    if args.key is not None:
        from unlearnable.authorisation.keys import private_key

        private_key(Path(args.key))
    if args.card:
        proof.check_card(destination)
    if out is not None:
        folder_out(out, {"SRC": source, "DST": destination})
        proof.check_out(out)


def verify_flags(parser: Parser, first: str) -> None:
    """The two collections, or the protected one alone."""
    parser.add_argument("source", metavar="SRC", type=str, help="the originals; leave them out to compare hashes alone")
    parser.add_argument("destination", metavar="DST", nargs="?", type=str, help="what protect made of them")
    parser.add_argument(
        "--eps", type=Number, help="the largest change allowed, such as 8/255, whatever the manifest says"
    )
    parser.add_argument("--manifest", type=str, metavar="FILE", help="the manifest.json of a report, for DST alone")
    parser.add_argument("--key", type=str, metavar="KEY.pub", help="who must have signed that manifest")


def verify(args: Namespace, run: "Run") -> Answer:
    """Compares a protected collection with its originals, or with its manifest where they are not at hand."""
    from unlearnable import job
    from unlearnable.job import remote
    from unlearnable.pixels import parse_eps

    if args.destination is None:
        if args.eps is not None:
            raise UsageError("--eps is compared with the originals: name SRC and DST")
        with remote.copies(args.source, run=run) as (protected,):
            return _audited(args, protected, run)
    if args.manifest is not None or args.key is not None:
        raise UsageError("--manifest and --key are for DST alone: leave SRC out")
    with remote.copies(args.source, args.destination, run=run) as (source, destination):
        found = job.verify(source, destination, run, None if args.eps is None else parse_eps(args.eps))
    said = _keys(found) | {"eps": found.eps, "eps_of": found.eps_of}
    return Answer(said, _text(found), found.problems, unwell=bool(found.bad or found.missing))


def _audited(args: Namespace, protected: Path, run: "Run") -> Answer:
    """DST alone: its files have the hashes that the manifest says, and none is there that it does not list."""
    from unlearnable import job

    if args.manifest is None:
        if args.key is not None:
            raise UsageError("--key says who signed a manifest: --manifest FILE names it")
        found = job.audit(protected, run)
        return Answer(_keys(found), _alone(found), found.problems, unwell=bool(found.bad or found.missing))
    from unlearnable import proof

    listed = proof.read(Path(args.manifest), args.key and Path(args.key))
    found = job.audit(protected, run, listed.files, listed.kept)
    problems = (*found.problems, *listed.problems)
    found = replace(found, bad=found.bad + len(listed.problems), problems=problems)
    said = _keys(found) | {"key": listed.key, "trusted": listed.trusted}
    signer = "nobody signed the manifest" if listed.key is None else f"the manifest is signed by the key {listed.key}"
    if listed.key is not None and not listed.trusted:
        signer += ", which was not compared with one you trust: --key KEY.pub does that"
    return Answer(said, f"{_alone(found)}; {signer}", problems, unwell=bool(problems))


def _keys(found: "Verification") -> dict[str, Any]:
    return {key: getattr(found, key) for key in ("checked", "bad", "max_abs_delta", "missing")}


def _text(found: "Verification") -> str:
    return (
        f"{found.checked} checked, {found.bad} bad, {found.missing} missing; "
        f"largest change: {found.max_abs_delta} grey levels, allowed is eps {found.eps} {_EPS_OF[found.eps_of]}"
    )


_EPS_OF = {
    "manifest": "by the manifest, which nobody signed: --eps names another",
    "default": "by default, as there is no manifest: --eps names another",
    "caller": "by --eps",
    None: "",
}


def _alone(found: "Verification") -> str:
    return (
        f"{found.checked} checked by their hashes, without the originals, {found.bad} bad, {found.missing} missing; "
        f"largest change by the manifest: {found.max_abs_delta} grey levels"
    )
