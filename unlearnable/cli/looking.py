"""demo, list, doctor: a first look, what there is, and whether it works here."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from unlearnable.cli.answer import Answer
from unlearnable.cli.parsing import Parser

if TYPE_CHECKING:
    from unlearnable.run import Run


def demo_flags(parser: Parser, first: str) -> None:
    """Where it goes."""
    parser.add_argument("--out", type=str, default="unlearnable-demo", metavar="DIR", help="a folder of its own")


def no_flags(parser: Parser, first: str) -> None:
    """Nothing of its own."""


def demo(args: Namespace, run: "Run") -> Answer:
    """Protects pictures that came with scikit-learn and measures what that does."""
    from unlearnable import demo

    shown = demo.show(Path(args.out), run)
    return Answer(shown.as_json(), shown.text)


def listing(args: Namespace, run: "Run") -> Answer:
    """Everything that has a name."""
    from unlearnable.adversaries import ADVERSARIES
    from unlearnable.encoders import ENCODERS
    from unlearnable.models import MODELS
    from unlearnable.protections import PROTECTIONS, paper
    from unlearnable.suites import SUITES

    protections: list[dict[str, Any]] = [
        {"name": name, "paper": paper(name), "needs_labels": cls().needs_labels, "transfers": cls().transfers}
        for name, cls in PROTECTIONS.items()
    ]
    others = {"adversaries": list(ADVERSARIES), "models": list(MODELS)}
    others |= {"encoders": list(ENCODERS), "suites": list(SUITES)}
    lines = [f"  {entry['name']:15}{entry['paper']}{_presets(entry['name'])}" for entry in protections]
    lines += [f"{kind}: {', '.join(names)}" for kind, names in others.items()]
    return Answer({"protections": protections} | others, "\n".join(["protections:", *lines]))


def _presets(method: str) -> str:
    from unlearnable.protections import PROTECTIONS

    presets = ", ".join(f"{method}:{name}" for name in PROTECTIONS[method].presets)
    return f" Presets: {presets}." if presets else ""


def doctor(args: Namespace, run: "Run") -> Answer:
    """Whether this installation works."""
    from unlearnable import doctor

    report = doctor.examine(run)
    return Answer(report.as_json(), report.text, unwell=not report.well)
