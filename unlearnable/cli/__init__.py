"""The command line: a thin face. It parses, calls the library and prints; nothing else in the package prints."""

import contextlib
import dis
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from jsonargparse import Namespace

from unlearnable import __version__
from unlearnable.addresses import is_address
from unlearnable.cli.parsing import Parser, UsageError, kind_first, nearest, parse, parser
from unlearnable.cli.progress import listening
from unlearnable.cli.progress import to_stderr as _tell
from unlearnable.cli.verbs import VERBS
from unlearnable.messages import printable

COULD_NOT_START, STOPPED, PIPE_CLOSED = 2, 130, 141
_FOLDERS = "out", "data"
_UNTOLD = "config", "track"  # what is in a recipe is told flag by flag; the tracker knows its own name


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit status: 0 all well, 1 some items failed, 2 could not start."""
    words = list(sys.argv[1:] if argv is None else argv)
    # a stream that was closed before the start is None
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    # read when torch is loaded: threads that spin while they wait make small networks 6 times slower on a busy machine
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return _command(words)
    except SystemExit as end:  # --help and --print_config
        return int(end.code or 0)
    except UsageError as mistake:
        return _refuse(str(mistake))
    except KeyboardInterrupt:
        _tell(f"stopped: {VERBS[words[0]].stopped if words and words[0] in VERBS else 'run it again'}")
        return STOPPED
    except BrokenPipeError:
        # the interpreter flushes once more at exit and would complain then
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        return _refuse(f"{error.strerror or error}{f': {error.filename!r}' if error.filename else ''}")
    except ValueError as error:
        if not _said_on_purpose(error.__traceback__):
            raise
        return _refuse(str(error))
    except Exception as error:
        if not _is_refusal(error):
            raise
        return _refuse(str(error))


def _command(words: list[str]) -> int:
    if not words:
        raise UsageError(f"nothing to do: the verbs are {', '.join(VERBS)}; unlearnable --help says more")
    if words[0] in ("-h", "--help", "help", "-V", "--version"):
        _answer(f"unlearnable {__version__}" if words[0] in ("-V", "--version") else _overview())
        return 0
    if words[0].startswith("-"):
        raise UsageError(f"the verb comes before {words[0]}: unlearnable VERB [flags], with one of {', '.join(VERBS)}")
    if words[0] not in VERBS:
        raise UsageError(f"unknown verb {words[0]!r}: {nearest(words[0], list(VERBS))}")
    return _verb(words[0], words[1:])


def _verb(name: str, words: list[str]) -> int:
    verb = VERBS[name]
    words = kind_first(words) if verb.kinds else words
    asked = parser(name, verb.about, lambda made: verb.flags(made, words[0] if words else ""))
    args = parse(asked, words)
    with contextlib.redirect_stdout(sys.stderr), listening(args.quiet) as listener:  # stdout is the answer's alone
        from unlearnable.run import Run, ranks

        if not verb.ranks and ranks.announced() > 1:
            raise UsageError(f"{name} runs as one process; torchrun is for {', '.join(_shared())}")
        from unlearnable.tracking import tracked

        with ranks.joined(args.device):
            run = Run(args.seed or 0, args.device, listener=listener)
            with tracked(run, args.get("track"), {"verb": name, **_noted(args, asked)}, _tell) as watched:
                answer, first = verb.work(args, watched), run.first
    if not first:
        return int(answer.unwell)
    for failed, reason in answer.failures:
        _tell(f"failed: {printable(failed)}: {printable(reason)}")
    if answer.advice:
        _tell(printable(answer.advice))
    _answer(json.dumps(answer.json) if args.json else answer.text)
    return int(answer.unwell)


def _noted(args: Namespace, asked: Parser) -> dict[str, str]:
    """What a tracker is told of the arguments: of a place the last part only, also where nothing is there yet."""
    from unlearnable.provenance import bare

    places = {*asked.places, *_FOLDERS}
    said = {flag: str(value) for flag, value in args.items() if value is not None and flag not in _UNTOLD}
    return {flag: Path(v).name if flag in places and not is_address(v) else bare(v) for flag, v in said.items()}


def _shared() -> list[str]:
    return [name for name, verb in VERBS.items() if verb.ranks]


def _overview() -> str:
    verbs = [f"  {name:10}{verb.about}" for name, verb in VERBS.items()]
    first = "unlearnable makes image collections useless for training that their owner did not allow."
    last = "unlearnable VERB --help shows the flags of a verb. A first look: unlearnable demo"
    return "\n".join([first, "", "verbs:", *verbs, "", last])


def _said_on_purpose(trace: TracebackType | None) -> bool:
    """Was it a `raise` of this package, for the user to read? Whatever else is a bug, and keeps its traceback."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    ours = str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0] == "unlearnable"
    return ours and trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _is_refusal(error: Exception) -> bool:
    """Is it about one file of the user's, met where only the whole can be refused?"""
    from unlearnable.files import Refused  # not before it is needed: it loads half of the program

    return isinstance(error, Refused)


def _refuse(reason: str) -> int:
    _tell(f"unlearnable: {printable(' '.join(reason.split()))}")
    return COULD_NOT_START


def _answer(text: str) -> None:
    """What the terminal or the file has no letters for is escaped: all work is done by now."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()
