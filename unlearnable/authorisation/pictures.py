"""Which pictures a bundle was signed for: the class and the bytes of each, by name.

Bytes, not pixels at the working size: what is signed is then all of a picture, also what a smaller copy does not show,
and no version of an image library decides whether it is the same. Packed into a zip it stays the same set; a
picture that somebody saved again is another one, even where it looks alike.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from unlearnable.data import labelled
from unlearnable.files import Refused, open_collection
from unlearnable.files.copying import UNSEEN

Listing = Mapping[str, list[str]]  # name -> [class, SHA-256 of the file]


def listing(path: Path) -> tuple[dict[str, list[str]], list[tuple[str, str]]]:
    """The pictures that training would see; (name, reason) of what it passes over and others may not, such as a link or
    a second member of one name. Raises ValueError where there is no picture, or one cannot be read.
    """
    found = {}
    with closing(open_collection(path, "PROTECTED")) as collection:
        for item, label in labelled(collection):
            try:
                found[item.name] = [label, hashlib.sha256(collection.read(item)).hexdigest()]
            except Refused as reason:
                raise ValueError(f"{path}: {item.name!r}: {reason}") from None
        return found, [(item.name, item.problem) for item in collection.items if item.problem not in (None, UNSEEN)]


def classes_of(pictures: Listing) -> list[str]:
    """The class names, in the order that labels count them."""
    return sorted({label for label, _ in pictures.values()})


def checked(found: dict[str, Any]) -> Listing:
    """A listing that was read from JSON. Raises ValueError where it is none."""
    for name, entry in found.items():
        if not (isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, str) for part in entry)):
            raise ValueError(f"{name[:40]!r} must have its class and its hash, got {str(entry)[:40]}")
    return found


def differences(signed: Listing, found: Listing) -> Iterator[tuple[str, str]]:
    """(name, what differs) of every picture; one line for all where not one is as it was signed."""
    if not any(signed.get(name) == entry for name, entry in found.items()):
        yield "PROTECTED", f"none of its {len(found)} pictures is as signed: the bundle is for another data set"
        return
    for name in sorted(signed.keys() | found.keys()):
        if name not in found:
            yield name, "is missing among the protected pictures"
        elif name not in signed:
            yield name, "is not among the pictures that were signed"
        elif signed[name][1] != found[name][1]:
            yield name, "is not the file that was signed: altered, or saved again"
        elif signed[name][0] != found[name][0]:
            yield name, f"is of class {found[name][0]!r}, and was signed as {signed[name][0]!r}"
