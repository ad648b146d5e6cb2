"""The files of a bundle, read once and taken at no word: what an authorised network begins with lies in a folder."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unlearnable.run import scratch_of

BUNDLE, WEIGHTS = "bundle.json", "initial.safetensors"
POLICY, PICTURES, STATEMENT, SIGNATURE = "policy.txt", "pictures.json", "authorisation.json", "signature.json"
SIGNED = (POLICY, PICTURES, STATEMENT, SIGNATURE)
"""What signing adds to the folder; nothing else may lie there."""


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every file of a bundle, read once; what a kill left of writing one is passed over.

    Raises ValueError for what is no plain file, or not known.
    """
    if not folder.is_dir():
        raise ValueError(f"BUNDLE {str(folder)!r} is no folder: name one that `unlearnable authorise create` wrote")
    entries = sorted(path for path in folder.iterdir() if not is_scratch(path))
    for entry in entries:
        if entry.name not in (BUNDLE, WEIGHTS, *SIGNED):
            said = f"{folder} holds {entry.name!r}, which is no part of a bundle: remove it"
            raise ValueError(said if (folder / BUNDLE).exists() else f"{folder} lacks {BUNDLE}: it is no bundle")
        if entry.is_symlink() or not entry.is_file():
            raise ValueError(f"{folder}/{entry.name} is no plain file but a link or a folder: ask for the file itself")
    return {entry.name: entry.read_bytes() for entry in entries}


def identity(folder: Path) -> str:
    """The hash of bundle.json, which has that of the weights. Raises ValueError as `contents`."""
    return hashlib.sha256(contents(folder).get(BUNDLE, b"")).hexdigest()


def is_scratch(path: Path) -> bool:
    """Whether it is a file of a bundle that was being written."""
    names = {scratch_of(path.with_name(name)).name for name in (BUNDLE, WEIGHTS, *SIGNED)}
    return path.name in names and path.is_file() and not path.is_symlink()


def parsed(data: bytes, place: str) -> dict[str, Any]:
    """The JSON object in a file of a bundle. Raises ValueError, naming the place, for anything else."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} is not JSON: {str(error) or type(error).__name__}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{place} must hold a JSON object, got {type(found).__name__}")
    return found


def expect(found: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    """Raises ValueError unless an object has these fields, each of its type or types, and no other.

    A bool is no number.
    """
    if wrong := sorted(found.keys() ^ kinds.keys()):
        raise ValueError(f"{'unknown' if wrong[0] in found else 'missing'} field {wrong[0]!r}")
    for name, kind in kinds.items():
        allowed = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(found[name], allowed) or (isinstance(found[name], bool) and bool not in allowed):
            words = " or ".join(part.__name__ for part in allowed)
            raise ValueError(f"{name} must be {words}, got {str(found[name])[:40]!r}")
