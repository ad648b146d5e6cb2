"""Names that a disk takes for one: many ignore letter case, some the two ways in which Unicode writes an accent."""

import tempfile
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from unlearnable.files import is_picture_name


def ignored(folder: Path) -> tuple[bool, bool]:
    """Does the disk of that folder ignore letter case, and how accents are written? Found out by a file of our own."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        (Path(own) / "\u00e9").touch()
        return (Path(own) / "\u00c9").exists(), (Path(own) / "e\u0301").exists()


def clashes(names: Iterable[str], case: bool, accents: bool) -> dict[int, str]:
    """Place of every name whose output would be one file with that of an earlier name -> the earlier name."""
    if not (case or accents):
        return {}
    found: dict[int, str] = {}
    wholes: dict[str, str] = {}
    stems: dict[str, tuple[str, str]] = {}
    for place, name in enumerate(names):
        whole = _folded(name, case, accents)
        stem = str(PurePosixPath(name).with_suffix("")) if is_picture_name(name) else name
        # `output_name` tells photo.jpg from Photo.png, but not two ways to write an accent
        other = stems.setdefault(_folded(stem, case, accents), (stem.casefold(), name))
        if whole in wholes:
            found[place] = wholes[whole]
        elif accents and is_picture_name(name) and other[0] != stem.casefold():
            found[place] = other[1]
        else:
            wholes[whole] = name
    return found


def _folded(name: str, case: bool, accents: bool) -> str:
    name = unicodedata.normalize("NFC", name) if accents else name
    return name.casefold() if case else name
