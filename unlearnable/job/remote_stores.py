"""The store that an address names: which files lie there, how large, and by what one sees that they changed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlearnable.addresses import is_address, shown
from unlearnable.extras import imported
from unlearnable.files.collections.shards import expanded
from unlearnable.files.destination import nested
from unlearnable.messages import in_words
from unlearnable.run import Cancelled

_HERE = ("LocalFileSystem", None)  # this machine, as fsspec calls it
_STAMPS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "modified", "created")


class Told(ValueError):
    """A mistake that has been put into words here: of addresses without what is secret in them."""

    def __init__(self, words: str) -> None:
        super().__init__(shown(words))


class Absent(Told):
    """Nothing is there."""


@contextmanager
def explained(place: str, doing: str) -> Iterator[None]:
    """Within this block every failure of a remote place is a ValueError of one line."""
    try:
        yield
    except (Told, Cancelled):
        raise
    except ImportError as error:
        raise Told(f"{place!r} needs a library: {error}; pip install 'unlearnable[remote]'") from error
    except Exception as error:  # every store throws classes of its own
        raise Told(f"{place!r} cannot be {doing}: {in_words(error)}") from error


@dataclass(frozen=True, slots=True)
class There:
    """A remote file. path: its whole name; stamp: what its store says that changes with its bytes, '' for nothing."""

    path: str
    size: int
    stamp: str


def system_of(address: str) -> tuple[Any, str]:
    """The file system of an address, and the name that the place has in it."""
    system, root = imported("fsspec.core", "an address", "remote").url_to_fs(address)
    return system, str(root).rstrip("/")


def found(system: Any, root: str) -> dict[str, There]:
    """Every file that is there, by its name below the root, '' for the root itself.

    The empty objects that stores keep in place of folders are none.
    """
    system.invalidate_cache()
    if not system.exists(root):
        return {}
    listed = {str(full): said for full, said in system.find(root, detail=True).items() if not _folder(str(full), said)}
    if len(listed) > 1:
        listed.pop(root, None)
    return {full.removeprefix(root).lstrip("/"): _there(system, full, said) for full, said in listed.items()}


def _folder(full: str, said: Mapping[str, Any]) -> bool:
    return full.endswith("/") or said.get("type") == "directory"


def overlap(source: str, destination: str) -> bool:
    """Whether one of two places, of which one at least is an address, is the other or lies in it. Users and passwords
    make no other store of one; a host does.
    """
    (one, here), (other, there) = (_canonical(place) for place in (source, destination))
    if one == other == _HERE:
        return nested(Path(here), Path(there))
    return one == other and (f"{here}/".startswith(f"{there}/") or f"{there}/".startswith(f"{here}/"))


def _canonical(place: str) -> tuple[tuple[str, Any], str]:
    """What tells a store from others, and the place's name in it."""
    if not is_address(place):
        return _HERE, place
    with explained(place, "read"):
        system, root = system_of(place)
        store = type(system).__name__, getattr(system, "storage_options", {}).get("host")
        return store, root if store == _HERE else root.strip("/")


def matching(system: Any, root: str) -> dict[str, There]:
    """The files that a pattern with braces names."""
    parent, _, name = root.rpartition("/")
    if "{" not in name:
        return {}
    return {one: _there(system, f"{parent}/{one}", {}) for one in expanded(Path(name))}


def _there(system: Any, path: str, said: Mapping[str, Any]) -> There:
    said = said if said.get("size") is not None else system.info(path)
    if said.get("size") is None:
        raise Told(f"{path!r} cannot be fetched, its server does not say how large it is: save it here and name that")
    return There(path, int(said["size"]), next((str(said[key]) for key in _STAMPS if said.get(key)), ""))


def inside(folder: Path, name: str) -> Path:
    """Where a file of that name lies in a folder of this machine. Raises ValueError where that is outside it."""
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise Told(f"the name {name!r} leads out of its place: rename it")
    return folder / name
