"""What may be typed: the flags of every verb, and what is said of a mistake, in one line."""

import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, NoReturn

from jsonargparse import ArgumentParser, Namespace

from unlearnable.addresses import shown

Number = str | float  # an eps: 8/255 is text, 0.03 in a recipe is a number
Names = str | list[str]  # a,b is text, [a, b] in a recipe a list


class UsageError(Exception):
    """What was typed cannot be done: why, in one line."""


class Parser(ArgumentParser):
    """The arguments of one verb. A mistake raises `UsageError`."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise UsageError(in_plain_words(" ".join(message.split()), self)) from ex

    @property
    def flags(self) -> list[str]:
        """All flags, as they are typed."""
        return [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]

    @property
    def switches(self) -> list[str]:
        """The flags that take no value, by the name their value has."""
        return [action.dest for action in self._actions if isinstance(action.default, bool) and action.nargs == 0]

    @property
    def places(self) -> dict[str, str]:
        """The arguments that are not flags: what they are called in help, by the name their value has."""
        return {a.dest: str(a.metavar or a.dest) for a in self._actions if not a.option_strings}


def parser(verb: str, about: str, add: Callable[[Parser], None]) -> Parser:
    """The parser of a verb: its own arguments, and those that every verb has."""
    made = Parser(prog=f"unlearnable {verb}", description=about, allow_abbrev=False, exit_on_error=True)
    made.add_argument("--config", action="config", metavar="FILE", help="a recipe.yaml with values for these flags")
    add(made)
    made.add_argument("--json", action="store_true", help="one JSON object on standard output, nothing else")
    made.add_argument("--quiet", action="store_true", help="no progress on standard error")
    made.add_argument("--seed", type=int, help="the same seed gives the same bytes (0, unless a verb draws a secret)")
    made.add_argument(
        "--device",
        type=Literal["auto", "cpu", "cuda"],
        default="auto",
        help="where networks train",
    )
    return made


def track_flag(made: Parser) -> None:
    """For verbs that train something."""
    made.add_argument(
        "--track", type=str, metavar="TRACKER:NAME",
        help="note figures in tensorboard:FOLDER, wandb:PROJECT, mlflow:EXPERIMENT, trackio:PROJECT; default: nowhere",
    )  # fmt: skip


def parse(made: Parser, argv: Sequence[str]) -> Namespace:
    """The values of the arguments: what is typed wins over a recipe, a recipe over the defaults.

    Raises UsageError.
    """
    try:
        args = made.parse_args(_recipe_first(_negatives_joined(_spelled(argv, made.flags))))
    except UnicodeDecodeError:
        raise UsageError("--config must be YAML of the form flag: value, got a file that is no text") from None
    for flag in made.switches:
        if not isinstance(args[flag], bool):  # a text would count as true: "false" too
            name = "--" + flag.replace("_", "-")
            raise UsageError(f"{name} must be true or false in a recipe, without quotes, got {args[flag]!r}")
    for place, called in made.places.items():
        if args[place] == "":
            raise UsageError(f"{called} is empty: an empty name would be the folder you are in, which is written as .")
    return args


def kind_first(words: list[str]) -> list[str]:
    """The words after a verb whose first argument says which flags there are, with the flags before it put after it."""
    at, switches = 0, parser("", "", lambda made: None).switches
    while at < len(words) and words[at].startswith("--") and words[at] != "--help":
        at += 1 if "=" in words[at] or words[at].removeprefix("--") in switches else 2
    return [*words[at : at + 1], *words[:at], *words[at + 1 :]]


def _spelled(argv: Sequence[str], flags: Sequence[str]) -> list[str]:
    """--train-steps as --train_steps: fields of a method have underscores, other flags hyphens."""
    words = []
    for word in argv:
        flag, equals, value = word.partition("=")
        other = flag.replace("-", "_").replace("__", "--", 1)
        words.append(other + equals + value if flag not in flags and other in flags else word)
    return words


def _negatives_joined(argv: list[str]) -> list[str]:
    """--eps -1/255 as --eps=-1/255: else the value is taken for a flag, and --eps said to have none."""
    joined: list[str] = []
    for word in argv:
        if joined and re.fullmatch(r"--[\w-]+", joined[-1]) and re.match(r"-\.?\d", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _recipe_first(argv: list[str]) -> list[str]:
    for at, word in enumerate(argv):
        if word == "--config" and at + 1 < len(argv):
            return [*argv[at : at + 2], *argv[:at], *argv[at + 2 :]]
        if word.startswith("--config="):
            return [word, *argv[:at], *argv[at + 1 :]]
    return argv


def split(names: Names | None) -> tuple[str, ...]:
    """The names of a list, or of a text with commas."""
    found = names.split(",") if isinstance(names, str) else names or ()
    return tuple(name.strip() for name in found if name.strip())


def adversaries_in(names: Names | None) -> tuple[str, ...]:
    """The adversaries of a list, or of a text with commas, which their parameters may have too.

    Raises UsageError for networks that a seed hands out: pictures on a disk were made for those of bundles.
    """
    from unlearnable.adversaries import at_hand, listed, of_the_seed

    asked = listed(names) if isinstance(names, str) else split(names)
    found = tuple(dict.fromkeys(one for name in asked for one in (at_hand() if name == "all" else (name,))))
    if astray := [name for name in found if of_the_seed(name)]:
        raise UsageError(
            f"{astray[0]!r} has a network drawn from a seed, and pictures are made for one of a bundle: name that, as "
            f"in {astray[0].partition(':')[0]}:bundle=BUNDLE"
        )
    return found


def within(args: Namespace, flag: str, least: int, most: int | None = None) -> None:
    """Raises UsageError where the flag was given a number outside least..most."""
    value = args[flag]
    if value is not None and not least <= value <= (value if most is None else most):
        allowed = f"{least} or more" if most is None else f"{least} to {most}"
        raise UsageError(f"--{flag} must be {allowed}, got {value}")


def folder_out(out: Path, kept: dict[str, Path]) -> None:
    """Raises UsageError where --out can be no folder of its own: before any work, which would be lost. kept: what stays
    as it is, by what it is called."""
    for name, place in kept.items():
        if place.is_dir() and out.resolve().is_relative_to(place.resolve()):
            raise UsageError(f"--out {str(out)!r} lies in {name}, which stays as it is: name another folder")
    there = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not there.is_dir():
        below = "" if there == out else f" lies below {str(there)!r}, which"
        raise UsageError(f"--out {str(out)!r}{below} is a file: name a folder")
    if not os.access(there, os.W_OK):
        raise UsageError(f"--out {str(out)!r} cannot be written: {str(there)!r} takes no files")


def typed(place: str) -> str:
    """A place as it can be typed in a shell, without what an address has of secrets."""
    said = shown(place)
    return shlex.quote(f"./{said}" if said.startswith("-") else said)


def nearest(word: str, allowed: Sequence[str]) -> str:
    """': did you mean X?' where something allowed looks like the word, else what is allowed."""
    near = get_close_matches(word, allowed, 1, 0.5)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(allowed)}"


def in_plain_words(message: str, made: Parser) -> str:
    """jsonargparse's words for a mistake as one line that says what is allowed."""
    for mistake in _MISTAKES:
        if found := re.search(mistake.pattern, message):
            return mistake.say(found.groupdict(), made)
    return message


@dataclass(frozen=True)
class _Mistake:
    pattern: str
    say: Callable[[dict[str, str], Parser], str]


_INTERNAL = ("--help", "--config", "--print_")  # flags that no recipe holds
_KINDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "text",
    "tuple": """a list such as '["a", "b"]'""",
}  # fmt: skip


def _wrong_value(said: dict[str, str], made: Parser) -> str:
    name = made.places.get(said["key"]) or "--" + said["key"]
    kind = said["kind"]
    choices = re.findall(r"'([^']*)'", kind.partition("Literal")[2])
    kinds = [name for word, name in _KINDS.items() if f"'{word}'" in kind]
    allowed = f"one of {', '.join(choices)}" if choices else " or ".join(kinds) or kind
    return f"{name} must be {allowed}, got {said['value']!r}"


def _unknown(said: dict[str, str], made: Parser) -> str:
    words = said["words"].split()
    flag = next((word.partition("=")[0] for word in words if word.startswith("-")), None)
    if flag in made.flags:
        return f"{flag} stands after --: flags come before it"
    if flag is None:
        return f"{words[0]!r} is one argument too many: the form is {form(made)}"
    return f"unknown flag {flag}: {nearest(flag, made.flags)}"


def _missing(said: dict[str, str], made: Parser) -> str:
    names = [made.places.get(name, name) for name in said["names"].split(", ")]
    return f"{' and '.join(names)} missing: the form is {form(made)}"


def _unknown_key(said: dict[str, str], made: Parser) -> str:
    if meant := {name: key for key, name in made.places.items()}.get(said["key"]):
        return f"the recipe has an unknown {said['key']}: did you mean {meant}?"
    flags = [flag.removeprefix("--") for flag in made.flags if not flag.startswith(_INTERNAL)]
    keys = [*made.places, *(flag.replace("-", "_") for flag in flags if "." not in flag)]
    return f"the recipe has an unknown {said['key']}: {nearest(said['key'], keys)}"


def form(made: Parser) -> str:
    """How the verb is typed."""
    return " ".join([made.prog, *made.places.values(), "[flags]"])


_MISTAKES = (
    _Mistake(r'Parser key "config": (?P<why>.*)', lambda said, _: f"--config: {said['why']}"),
    _Mistake(r'Parser key "(?P<key>\w+)": Expected an? (?P<kind>.*)\. Got value: ?(?P<value>.*)$', _wrong_value),
    _Mistake(r'Parser key "(?P<key>\w+)": .*Subtypes: \[(?P<kind>.*?)\] E.*Given value: ?(?P<value>.*)$', _wrong_value),
    _Mistake(r"unrecognized arguments: (?P<words>.*)", _unknown),
    _Mistake(r"the following arguments are required: (?P<names>.*)", _missing),
    _Mistake(r"Option '(?P<key>[^']*)' is not accepted", _unknown_key),
    _Mistake(r"argument (?P<flag>--\S+): expected one argument", lambda said, _: f"{said['flag']} needs a value"),
    _Mistake(r"argument (?P<flag>--\S+): ignored explicit", lambda said, _: f"{said['flag']} takes no value"),
    _Mistake(
        r"Problems parsing config: (?P<why>.*)|Unexpected config: ?(?P<what>.*)",
        lambda said, _: (
            f"--config must be YAML of the form flag: value: {said['why'] or said['what'] or 'it is empty'}"
        ),
    ),
)
