"""export: a generator as a file for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from unlearnable.cli.answer import Answer
from unlearnable.cli.parsing import Number, Parser
from unlearnable.cli.protecting import EPS

if TYPE_CHECKING:
    from unlearnable.run import Run


def export_flags(parser: Parser, first: str) -> None:
    """What to write, where to, and on what to check it."""
    parser.add_argument("method", metavar="METHOD", type=str, help="one_for_all, or a folder made by fit one_for_all")
    parser.add_argument("out", metavar="OUT", type=str, help="the file, NAME.onnx")
    parser.add_argument("--eps", type=Number, help=EPS)
    parser.add_argument(
        "--check", type=str, metavar="FOLDER",
        help="real pictures to compare on, 200 at most (default: some of scikit-learn)",
    )  # fmt: skip


def export(args: Namespace, run: "Run") -> Answer:
    """Writes a generator as ONNX, kept only if it does what PyTorch does."""
    from unlearnable.export import export
    from unlearnable.pixels import parse_eps

    eps = None if args.eps is None else parse_eps(args.eps)
    done = export(args.method, Path(args.out), eps, None if args.check is None else Path(args.check))
    found, kept = done.difference, done.out is not None
    said = {
        "out": args.out if kept else None,
        "bytes": done.size,
        "pictures": found.pictures,
        "values": found.values,
        "different": found.different,
        "max_difference": found.max_difference,
    }
    compared = (
        f"{found.different} of {found.values} values of {found.pictures} protected pictures differ from PyTorch's, "
        f"by {found.max_difference} levels at most"
    )
    if kept:
        text = f"{args.out}: {done.size / 1e6:.1f} MB, {done.method} at eps {done.eps}; its metadata say how to use it"
        return Answer(said, f"{text}\n{compared}")
    why = f"removed, for it is not what it was made from: {compared} (allowed: 1 level, 1 in 10,000)"
    return Answer(said, "nothing was written", [(args.out, why)], unwell=True)
