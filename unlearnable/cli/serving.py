"""ui: the page in a browser."""

import sys
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from unlearnable.cli.answer import Answer
from unlearnable.cli.parsing import Parser

if TYPE_CHECKING:
    from unlearnable.run import Run


def ui_flags(parser: Parser, first: str) -> None:
    """Where it listens, and how much it takes."""
    parser.add_argument("--host", type=str, default="127.0.0.1", help="the address it listens on: this computer's own")
    parser.add_argument("--port", type=int, default=7860, help="0: any free one")
    parser.add_argument("--let-others-in", action="store_true", help="allow a --host that other computers reach")
    parser.add_argument("--max-file-mb", type=int, default=512, metavar="MB", help="the largest file it takes")
    parser.add_argument(
        "--max-total-mb", type=int, default=4096, metavar="MB", help="all files, those of a zip unpacked"
    )
    parser.add_argument("--max-files", type=int, default=1000, metavar="N", help="how many, those of a zip counted")


def ui(args: Namespace, run: "Run") -> Answer:
    """Serves the page until it is ended."""
    from unlearnable import ui

    limits = ui.Limits(args.max_file_mb, args.max_total_mb, args.max_files)
    port = ui.serve(ui.Address(args.host, args.port, args.let_others_in), limits, run, _say)
    return Answer({"host": args.host, "port": port}, "ended; what was uploaded is removed")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
