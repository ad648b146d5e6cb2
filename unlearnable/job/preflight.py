"""What stands where a job would read and write, and whether the job may begin there."""

import json
import os
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Literal

from unlearnable.files import BOOKKEEPING, Destination, kind_of
from unlearnable.files.collections.item import CARD
from unlearnable.files.destination import behind, lost
from unlearnable.job import card
from unlearnable.job.manifest import FILE, Damaged, Manifest
from unlearnable.pixels import eps_text

THERE = "there"
"""Under this name a manifest keeps the files that were put into the folder at DST."""


def find_manifest(path: Path) -> Path | None:
    """The manifest of what was protected into that folder or archive; None where there is none."""
    place = behind(path)
    inside, beside = (Path(f"{place}{end}") / BOOKKEEPING / FILE for end in ("", ".partial"))
    if os.path.exists(inside):
        return inside
    # in this order: to find the kind of a folder may mean to list all that is below it
    return beside if os.path.exists(beside) and (not place.is_dir() or kind_of(place)) else None


def manifest_of(destination: Destination) -> Path:
    """Where the manifest of a destination lies, there or not."""
    return destination.bookkeeping / FILE


def refuse_protected(source: Path) -> None:
    """Nor is a part of what was protected taken, under whatever name it is reached."""
    for place in (Path(os.path.abspath(source)), source.resolve()):
        for folder in (place, *place.parents):
            if manifest := find_manifest(folder):
                raise ValueError(
                    f"SRC {str(source)!r} was protected already (see {str(manifest)!r}): name the originals, or move "
                    "what is not of that job elsewhere"
                )


def check_state(destination: Destination, resume: bool, overwrite: bool) -> None:
    """Raises ValueError where what is at DST was not to be touched, or would be lost."""
    where, packed = f"DST {str(destination.path)!r}", destination.packing is not None
    if destination.bookkeeping.is_symlink():  # what it leads to would be emptied
        raise ValueError(f"{str(destination.bookkeeping)!r} is a link: remove it, the folder is the program's own")
    state = _state(destination)
    if state == "taken":
        raise ValueError(
            f"{str(destination.root)!r}, where {where} is made, holds files of somebody else: move them away, or name "
            "another DST"
        )
    if destination.stranger(()) and (strange := destination.stranger(known(destination))):
        raise ValueError(f"{lost(destination.path, strange)}: name a new folder, or move it away")
    if state == "ours" and not (resume or overwrite):
        raise _begun(destination.path)
    if state == "foreign" and not overwrite:
        what = "is not empty: name a new folder" if destination.path.is_dir() else "is there already: name another"
        how = "replace it" if packed else "write into it: files of other names stay there"
        raise ValueError(f"{where} {what}, or --overwrite to {how}")


def check_before(path: Path, resume: bool, overwrite: bool, now: dict[str, Any], later: tuple[str, ...]) -> None:
    """The same, as far as can be said before the source is there. now: what the job says of itself but for `later`."""
    if overwrite:
        return
    found = find_manifest(path)
    if found is None:
        if path.is_file() or (path.is_dir() and any(child.name != BOOKKEEPING for child in path.iterdir())):
            raise ValueError(f"DST {str(path)!r} is not empty: name a new place, or --overwrite")
        return
    if not resume:
        raise _begun(path)
    now = json.loads(json.dumps(now))
    with closing(Manifest(found, writing=False)) as manifest:
        was = {key: value for key, value in (manifest.get("about") or now).items() if key not in later}
    refuse_other(path, was, now)


def refuse_other(path: Path, was: dict[str, Any], now: dict[str, Any]) -> None:
    """Raises ValueError where a job that is resumed was another."""
    if differing := _differences(was, now):
        raise ValueError(
            f"DST {str(path)!r} was begun otherwise: {'; '.join(differing)}. "
            "Resume it as it was begun, or start anew with --overwrite"
        )


def _begun(path: Path) -> ValueError:
    return ValueError(f"DST {str(path)!r} holds a job already: --resume goes on with it, --overwrite starts anew")


def known(destination: Destination, opened: Manifest | None = None) -> set[str]:
    """What an earlier run put into the folder at DST: its manifest says so, and a card says what it is.

    opened: that manifest, where it is open for writing already."""
    names = {CARD} if card.is_there(destination) else set[str]()
    if opened is not None:
        return names | set(opened.get(THERE) or ())
    if manifest_of(destination).exists():
        with suppress(Damaged), closing(Manifest(manifest_of(destination), writing=False)) as manifest:
            names |= known(destination, manifest)
    return names


def _state(destination: Destination) -> Literal["empty", "ours", "foreign", "taken"]:
    """What is there. taken: files that nobody offered, in the folder where DST is made."""
    if manifest_of(destination).exists():
        return "ours"
    path, root, packed = destination.path, destination.root, destination.packing is not None
    if root.is_dir() and any(child.name != BOOKKEEPING for child in root.iterdir()):
        return "taken" if packed else "foreign"
    there = packed and path.exists() and (not path.is_dir() or any(path.iterdir()))
    return "foreign" if there else "empty"


def check_writable(root: Path) -> None:
    """Raises ValueError where a folder can be neither written nor made."""
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise ValueError(f"DST {str(root)!r} cannot be made: {str(there)!r} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"DST {str(root)!r} cannot be written: no permission to write in {str(there)!r}")


def _differences(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What a job that is resumed says otherwise than it was begun, in words."""
    said = []
    for key in was | now:
        before: Any = was.get(key)
        after: Any = now.get(key)
        if before == after or (key == "kept" and before is None):  # begun by a version that did not keep it
            continue
        if key == "listing":
            said.append(f"the names in SRC have changed ({before['files']} files then, {after['files']} now)")
        elif key == "kept":
            said.append("what SRC holds beside its pictures (labels, columns, arrays) has changed")
        elif isinstance(before, dict) and isinstance(after, dict):
            said += _differences(before, after)
        elif key == "method":
            said.append(f"method was {_called(before)}, is now {_called(after)}")
        elif key in ("signals", "C2PA"):
            said.append(f"it was {'with' if before else 'without'} {key}, is now {'with' if after else 'without'}")
        elif key == "eps":
            said.append(f"eps was {eps_text(before)}, is now {eps_text(after)}")
        else:
            said.append(f"{key} was {before}, is now {after}")
    return said


def _called(method: Any) -> str:
    """What a method of a job is called: the name, or that it was fitted, with the first digits of its digest."""
    return str(method["name"] if isinstance(method, dict) else method)[:20]
