"""Encoders: networks, not trained here, that see pictures and names in one space of unit vectors."""

import json
from collections.abc import Callable
from pathlib import Path

from unlearnable.encoders import clip, mini
from unlearnable.encoders.clip import Clip as Clip
from unlearnable.encoders.encoder import Encoder as Encoder
from unlearnable.encoders.encoder import Vectors as Vectors
from unlearnable.encoders.mini import Mini as Mini

ENCODERS: dict[str, Callable[[str, bool], Encoder]] = {
    "mini": lambda place, fetch: mini.load(Path(place) if place else mini.SHIPPED),
    "clip": lambda place, fetch: clip.load(place, fetch=fetch),
}
CONCEPTS = Path(__file__).parent / "concepts.txt"
"""A vocabulary, one concept a line: the 1,203 of LVIS (Gupta, Dollar, Girshick, CVPR 2019, arXiv 1908.03195)."""
_ALLOWED = "mini, mini:FOLDER, clip:FOLDER, clip:OWNER/NAME[@REVISION] or a folder"


def encoder(name: str, fetch: bool = True) -> Encoder:
    """The encoder of a name, on the CPU: "mini" (the shipped one), "clip:OWNER/NAME@REVISION", or a folder of either.

    fetch: whether the hub may be asked; else only its cache is. Raises ValueError naming what is allowed, or what the
    folder lacks.
    """
    kind, _, place = name.partition(":")
    if kind not in ENCODERS:
        kind, place = _kind(Path(name)), name
    if kind == "clip" and not place:
        raise ValueError("encoder 'clip' needs to know which: clip:FOLDER or clip:OWNER/NAME[@REVISION]")
    return ENCODERS[kind](place, fetch)


def _kind(folder: Path) -> str:
    """What a folder holds: every model of transformers says its type in config.json."""
    if not folder.is_dir():
        raise ValueError(f"encoder must be {_ALLOWED}, got {str(folder)!r}, which is no folder here")
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} holds no encoder: config.json is missing")
    try:
        return "clip" if "model_type" in json.loads((folder / "config.json").read_text()) else "mini"
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{folder} holds no encoder: its config.json cannot be read: {error}") from None
