"""The one place that chooses a format: by what the path is, what its name promises, and which names a folder holds."""

from dataclasses import replace
from pathlib import Path

from unlearnable.addresses import is_address, shown
from unlearnable.files.collections import shards
from unlearnable.files.collections.cifar import Cifar
from unlearnable.files.collections.collection import Collection, Packable
from unlearnable.files.collections.dataset import Dataset
from unlearnable.files.collections.folder import Folder, listed
from unlearnable.files.collections.item import Item
from unlearnable.files.collections.npz import Npz
from unlearnable.files.copying import UNSEEN

FOLDERS = (Dataset, Cifar, shards.Shards)
FILES: dict[str, type[Packable]] = {**shards.SUFFIXES, ".npz": Npz}
_SRC = "SRC"  # what every format calls the path, unless the caller says otherwise
_PICKLES = "is CIFAR as Python pickles, which are never opened: take cifar-10-binary.tar.gz, unpacked"


def open_collection(path: Path, what: str = "SRC") -> Collection:
    """Lists a picture, a folder (recursively), or any format of `FILES` and `FOLDERS`. what: the argument it is.

    Raises ValueError, one line that begins with `what`, where there is none or it cannot be listed.
    """
    try:
        return _opened(path)
    except ValueError as error:
        said = str(error)
        raise ValueError(f"{what}{said.removeprefix(_SRC)}" if said.startswith(_SRC) else said) from error


def _opened(path: Path) -> Collection:
    try:
        kind = kind_of(path)
        if kind is not None:
            return kind(path)
        if path.is_dir():
            return _folder(path)
        if not path.is_file():
            address = str(path).replace(":/", "://", 1)  # a path has one slash of two
            if is_address(address):
                here = "is an address, and this reads places of this machine: fetch it and name that"
                raise ValueError(f"SRC {shown(address)!r} {here}")
            raise ValueError(f"SRC {str(path)!r} is neither a file nor a folder: check the path")
        return Folder(path, (Item(path.name),))
    except OSError as error:
        raise ValueError(f"SRC {str(path)!r} cannot be read: {error.strerror or error}") from error


def kind_of(path: Path) -> type[Packable] | None:
    """The format of what lies there, found by names alone; None for pictures and folders of pictures."""
    if path.is_dir():
        return next((kind for kind in FOLDERS if kind.fits(path)), None)
    if path.is_file():
        return promised(path.name)
    return shards.Shards if shards.is_pattern(path) else None


def promised(name: str) -> type[Packable] | None:
    """The format of one file that the name promises."""
    return next((kind for suffix, kind in FILES.items() if name.lower().endswith(suffix)), None)


def _folder(path: Path) -> Folder:
    if (path / "batches.meta").is_file() or ((path / "meta").is_file() and (path / "train").is_file()):
        raise ValueError(f"SRC {str(path)!r} {_PICKLES}")
    folder = listed(path)
    archives = tuple(FILES)
    held = (item.problem is None and item.name.lower().endswith(archives) for item in folder.items)
    items = zip(folder.items, held, strict=True)
    return Folder(path, tuple(replace(item, problem=UNSEEN) if archive else item for item, archive in items))
