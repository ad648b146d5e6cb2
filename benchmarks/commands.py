"""The command line as a page: every verb with its arguments, from the program's own parsers."""

from collections.abc import Iterator
from typing import Any

from unlearnable.cli.authorising import ACTIONS
from unlearnable.cli.parsing import parser
from unlearnable.cli.verbs import VERBS

FIRST = {"fit": ("em",), "authorise": tuple(ACTIONS)}
"""Words that a verb must begin with, and whose arguments are shown: one method stands for all."""
EVERY = ("--config", "--json", "--quiet", "--seed", "--device")


def page() -> str:
    """Sections as Markdown: what every verb takes, then each verb."""
    return "\n\n".join([_shared(), *(_section(verb, first) for verb in VERBS for first in FIRST.get(verb, ("",)))])


def _shared() -> str:
    return "## Every verb takes\n\n" + _table(row for row in _rows("verify", "") if _shares(row[0]))


def _shares(typed: str) -> bool:
    return typed.split()[0] in EVERY


def _section(verb: str, first: str) -> str:
    title = f"## {verb} {first}".rstrip() if verb != "fit" else "## fit METHOD"
    rows = [row for row in _rows(verb, first) if not _shares(row[0])]
    note = f"\n\nA flag for every field of the method follows; here those of `{first}`." if verb == "fit" else ""
    about = ACTIONS[first].about if first in ACTIONS else VERBS[verb].about
    return f"{title}\n\n{about[0].upper()}{about[1:]}.{note}" + (f"\n\n{_table(rows)}" if rows else "")


def _table(rows: Any) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| `{word}` | {said} |" for word, said in rows)])


def _rows(verb: str, first: str) -> Iterator[tuple[str, str]]:
    """(as it is typed, what it is) of every argument."""
    made = parser(verb, VERBS[verb].about, lambda asked: VERBS[verb].flags(asked, first))
    for action in made._actions:
        flags = [flag for flag in action.option_strings if flag.startswith("--")]
        in_the_heading = {"fit": "method", "authorise": "action"}.get(verb) == action.dest and not flags
        if in_the_heading or any(flag.endswith(("--help", ".help")) or flag == "--print_config" for flag in flags):
            continue
        said = " ".join((action.help or "").replace("|", "\\|").split()).replace("%s", "")
        yield _typed(action, flags).replace("|", "\\|"), f"{said} {_default(action, flags)}".strip()


def _typed(action: Any, flags: list[str]) -> str:
    if not flags:
        return str(action.metavar or action.dest)
    if action.nargs == 0:
        return flags[0]
    choices = getattr(action, "choices", None)
    value = "{" + ",".join(map(str, choices)) + "}" if choices else action.metavar or action.dest.upper()
    return f"{flags[0]} {value}"


def _default(action: Any, flags: list[str]) -> str:
    if not flags or action.nargs == 0 or action.default is None or str(action.default).startswith("=="):
        return ""
    return f"(default {action.default})"
