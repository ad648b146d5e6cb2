"""One file of a collection: its name, whether it may be read, and which class its place gives it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unlearnable.files.refused import Refused

BOOKKEEPING = ".unlearnable"
"""The folder at the root of a destination that belongs to the program, never to the collection."""
MAX_BYTES = 2 << 30
"""No single file above this is read into memory."""

CARD_MARK = b"---\n# data card by unlearnable\n"
"""How a data card begins, a comment of its YAML: the program's own file too, though among those of the collection."""
CARD = "README.md"

BLOCK = 1 << 20
"""How much is read at once of a file that is passed on."""

TOO_LARGE = f"larger than {MAX_BYTES >> 30} GiB: cut it into smaller files"


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a collection. name: its POSIX path inside it (surrogate escapes possible).
    problem: why it must not be read, in one line; None where it may."""

    name: str
    problem: str | None = None


def is_card(file: Path) -> bool:
    """Is it a data card that `protect --card` wrote, in a folder or beside a file?"""
    if not file.name.casefold().endswith(CARD.casefold()) or not file.is_file():
        return False
    try:
        with open(file, "rb") as opened:
            return opened.read(len(CARD_MARK)) == CARD_MARK
    except OSError:
        return False


def check_item(item: Item) -> None:
    """Raises `Refused` where the item must not be read."""
    if item.problem is not None:
        raise Refused(item.problem)


def check_size(size: int) -> None:
    """Raises `Refused` where a file is larger than `MAX_BYTES`."""
    if size > MAX_BYTES:
        raise Refused(TOO_LARGE)


def parent_label(name: str) -> str | None:
    """The name of the folder a file lies in, so that train/cat and test/cat are one class; None at the top."""
    return name.rpartition("/")[0].rpartition("/")[2] or None


def class_of(value: object, names: Sequence[str]) -> str | None:
    """The class that a stored label means: a text is its own name, a number the place of one; None where unknown."""
    if isinstance(value, int) and not isinstance(value, bool):
        return None if value < 0 else names[value] if value < len(names) else str(value)
    return (value or None) if isinstance(value, str) else None


_DRIVE = re.compile(r"[A-Za-z]:")


def member_item(name: str, seen: set[str]) -> Item:
    """The item for an archive member or table row of that name; unsafe and repeated names get a problem.

    `seen` collects the names accepted so far.
    """
    clean = "/".join(part for part in name.split("/") if part != ".")
    problem = _name_problem(name, clean)
    if problem is None and clean in seen:
        problem = "another member of the archive has the same name"
    if problem is None:
        seen.add(clean)
    return Item(name if problem else clean, problem)


def _name_problem(name: str, clean: str) -> str | None:
    parts = clean.split("/")
    if name.startswith("/") or _DRIVE.match(name):
        return "absolute path in an archive"
    if ".." in parts:
        return "path with '..' in an archive leads out of it"
    if "\\" in name or "\0" in name or "" in parts:
        return "path with a backslash, an empty part or a zero byte in an archive"
    if parts[0].casefold() == BOOKKEEPING:
        return f"the folder name {BOOKKEEPING} is reserved"
    return None
