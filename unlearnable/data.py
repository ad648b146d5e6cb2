"""ImageSet: labelled images of one size, for fitting and for evaluating; and where they come from."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from unlearnable.files import Collection, Item, Picture, Refused, decode, is_picture_name, open_collection
from unlearnable.pixels import Bytes, Labels

DATA_VARIABLE = "UNLEARNABLE_DATA"
WORKING_SIZE = 64
"""Side in pixels at which larger pictures are fitted and evaluated, unless another is asked for."""
LARGEST_SIZE = 1024
"""Side in pixels above which nothing is fitted or evaluated: batches of such pictures do not fit into memory."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """n images of one size with a label each: images (n, c, h, w) uint8, labels (n,) int64 (-1 = unknown), class names.

    Raises ValueError where the parts do not fit together.
    """

    images: Bytes
    labels: Labels
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise ValueError(f"images must be uint8 (n, c, h, w), got {self.images.dtype} {tuple(self.images.shape)}")
        if self.labels.shape != (len(self.images),) or self.labels.dtype != torch.int64:
            raise ValueError(f"{len(self.images)} images need as many int64 labels, got {tuple(self.labels.shape)}")
        if len(self.labels) and not -1 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ValueError(f"labels must be -1 to {len(self.classes) - 1}, got {int(self.labels.max())}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """Height of the images in pixels (they are square wherever a protection is fitted)."""
        return self.images.shape[-2]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of pixels, labels and class names: what a fitted perturbation records about its data."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((tuple(self.images.shape), self.classes)).encode())
        digest.update(self.labels.contiguous().numpy().tobytes())
        if self.images.is_contiguous():  # a blank set has no pixels of its own
            digest.update(self.images.numpy().tobytes())
        return digest.hexdigest()

    def with_images(self, images: Bytes) -> "ImageSet":
        """The same labels on other pixels."""
        return replace(self, images=images)

    def subset(self, rows: Tensor) -> "ImageSet":
        """The images of the given rows, in that order."""
        return ImageSet(self.images[rows], self.labels[rows], self.classes)


def blank(labels: Labels, classes: Sequence[str], size: int) -> ImageSet:
    """A set whose pixels nobody looks at: for protections that need only labels. It takes no memory for its images."""
    images = torch.zeros(1, dtype=torch.uint8).expand(len(labels), 3, size, size)
    return ImageSet(images, labels, tuple(classes))


def load_labelled(path: Path, size: int | None = None, within: str = "") -> tuple[ImageSet, tuple[str, ...]]:
    """A labelled folder or archive as an ImageSet, and the names of its pictures row by row; class = folder.

    within: only what lies in that folder (a split), which is then not part of the class name. size None: that of the
    first picture, 64 pixels at most. Raises ValueError where there is no labelled picture, or one cannot be decoded.
    """
    data, names, bad = load_readable(path, size, within)
    if bad:
        raise ValueError(f"{path}: {len(bad)} pictures cannot be decoded, the first is {bad[0][0]!r}")
    return data, names


def load_readable(
    path: Path, size: int | None = None, within: str = "", what: str = "SRC"
) -> tuple[ImageSet, tuple[str, ...], tuple[tuple[str, str], ...]]:
    """As `load_labelled`, without the pictures that cannot be decoded: name and reason of each come third. what: the
    argument that the path is.

    Raises ValueError where there is no labelled picture, or none that can be decoded.
    """
    with closing(open_collection(path, what)) as collection:
        listed = labelled(collection, within)
        classes, bad = _classes(listed), dict[str, str]()
        images, labels = torch.zeros(0, 3, 1, 1, dtype=torch.uint8), list[int]()
        for item, label in listed:
            try:
                picture = decode(collection.read(item), item.name)
            except Refused as reason:
                bad[item.name] = str(reason)
                continue
            if not labels:
                size = size or _side(picture)
                images = torch.zeros(len(listed), 3, size, size, dtype=torch.uint8)
            images[len(labels)] = view(picture, images.shape[-1])
            labels.append(classes.index(label))
    if not labels:
        raise ValueError(f"{path}: none of {len(bad)} pictures can be decoded, the first is {next(iter(bad))!r}")
    names = tuple(item.name for item, _ in listed if item.name not in bad)
    return ImageSet(images[: len(labels)], torch.tensor(labels), classes), names, tuple(bad.items())


def labelled_as(path: Path, what: str = "SRC") -> tuple[tuple[str, ...], int]:
    """The class names and the size in pixels that `load_labelled` would give, with only one picture decoded."""
    with closing(open_collection(path, what)) as collection:
        listed = labelled(collection)
        item = listed[0][0]
        try:
            return _classes(listed), _side(decode(collection.read(item), item.name))
        except Refused as reason:
            raise ValueError(f"{path}: {item.name!r}: {reason}") from None


def _classes(listed: list[tuple[Item, str]]) -> tuple[str, ...]:
    """The class names, in the order that labels count them."""
    return tuple(sorted({label for _, label in listed}))


def labelled(collection: Collection, within: str = "") -> list[tuple[Item, str]]:
    """The pictures that lie in a class folder below `within`, and their class. ValueError where there is none."""
    prefix = within + "/" if within else ""
    chosen = [i for i in collection.items if i.name.startswith(prefix) and not i.problem and is_picture_name(i.name)]
    labels = [collection.label(item) for item in chosen]
    found = [(i, n.removeprefix(prefix)) for i, n in zip(chosen, labels, strict=True) if n and n != within]
    if not found:
        below = f" under {within}" if within else ""
        raise ValueError(f"{collection.path} holds no labelled pictures{below}: expected CLASS/NAME")
    return found


def _side(picture: Picture) -> int:
    """The shorter side of a picture in pixels, `WORKING_SIZE` at most."""
    height, width = picture.planes.shape[:2]
    return min(int(height), int(width), WORKING_SIZE)


def view(picture: Picture, size: int) -> UInt8[Tensor, "3 s s"]:
    """What a network sees of a picture: all of it, squashed to (3, size, size)."""
    return torch.from_numpy(np.ascontiguousarray(picture.view(size).transpose(2, 0, 1)))


def digits() -> tuple[ImageSet, ImageSet]:
    """scikit-learn's 1,797 scanned digits at 16 px: (train 1,200, test 597). Needs no download."""
    from sklearn.datasets import load_digits

    grey, target = load_digits(return_X_y=True)
    levels = torch.from_numpy(grey).reshape(-1, 1, 8, 8) / 16
    images = (levels * torch.iinfo(torch.uint8).max).round().to(torch.uint8)
    images = images.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat(1, 3, 1, 1)
    whole = ImageSet(images, torch.from_numpy(target).to(torch.int64), tuple("0123456789"))
    return whole.subset(torch.arange(1200)), whole.subset(torch.arange(1200, 1797))


def cifar10_quick() -> tuple[ImageSet, ImageSet]:
    """500 exact-pixel CIFAR-10 images of each class (the lowest official indices) and the 1,017 test images at hand."""
    path = _pack(PACKS["cifar10-quick"])
    train, _ = load_labelled(path, 32, "train")
    test, _ = load_labelled(path, 32, "test")
    return first_of_each(train, 500), test


def cifar10() -> tuple[ImageSet, ImageSet]:
    """All of CIFAR-10 as the pack holds it: JPEG at quality 75, so that clean accuracies lie a little low."""
    path = _pack(PACKS["cifar10"])
    return load_labelled(path, 32, "train")[0], load_labelled(path, 32, "test")[0]


def pack(name: str, size: int) -> Callable[[], tuple[ImageSet, ImageSet]]:
    """A loader of the train and test folders of a data set's zip in the data folder, squashed to (size, size)."""

    def loader() -> tuple[ImageSet, ImageSet]:
        return tuple(load_labelled(_pack(PACKS[name]), size, split)[0] for split in ("train", "test"))  # type: ignore[return-value]

    return loader


def tin100_quick(size: int = 32) -> tuple[ImageSet, ImageSet]:
    """The first 50 training and 10 test images of each class of tin100."""
    train, test = pack("tin100", size)()
    return first_of_each(train, 50), first_of_each(test, 10)


def first_of_each(data: ImageSet, count: int) -> ImageSet:
    """The first `count` images of every class."""
    rows = [(data.labels == label).nonzero().flatten()[:count] for label in range(len(data.classes))]
    return data.subset(torch.cat(rows))


PACKS = {
    "cifar10-quick": "cifar10-lossless.zip",
    "cifar10": "cifar10.zip",
    "tin100": "tin100-32.zip",
    "tin100-quick": "tin100-32.zip",
    "tin100-64-quick": "tin100-32.zip",
    "tin100-64": "tin100-32.zip",
    "imagenette": "imagenette224.zip",
    "imagenette-64": "imagenette224.zip",
    "imagenette-128": "imagenette224.zip",
    "places20": "places20-128.zip",
    "places20-64": "places20-128.zip",
}
"""The file of the data folder that a data set is read from; one without needs none."""
DATASETS: dict[str, Callable[[], tuple[ImageSet, ImageSet]]] = {
    "digits": digits,
    "cifar10-quick": cifar10_quick,
    "cifar10": cifar10,
    "tin100": pack("tin100", 32),  # 100 classes of Tiny-ImageNet at 32 px, where papers have CIFAR-100
    "tin100-quick": tin100_quick,
    "tin100-64-quick": lambda: tin100_quick(64),
    "tin100-64": pack("tin100-64", 64),
    "imagenette": pack("imagenette", 224),  # 10 classes of ImageNet
    "imagenette-64": pack("imagenette-64", 64),
    "imagenette-128": pack("imagenette-128", 128),
    "places20": pack("places20", 128),  # 20 scenes, where papers have SUN397
    "places20-64": pack("places20-64", 64),
}


def load_dataset(name: str) -> tuple[ImageSet, ImageSet]:
    """The (train, test) sets of a named data set. Raises ValueError naming what there is, or what is missing."""
    if name not in DATASETS:
        raise ValueError(f"data set must be one of {', '.join(DATASETS)}, got {name!r}")
    return _loaded(name, os.environ.get(DATA_VARIABLE))


@lru_cache(maxsize=2)
def _loaded(name: str, root: str | None) -> tuple[ImageSet, ImageSet]:
    """Decoded once for all cells of a suite: an ImageSet is never changed."""
    return DATASETS[name]()


@contextmanager
def data_in(folder: str | None) -> Iterator[None]:
    """Within this block the data folder is the one given, where one is. Raises ValueError where that is no folder."""
    if folder is None:
        yield
        return
    if not Path(folder).is_dir():
        raise ValueError(f"the data folder {folder!r} is not there: name the folder the packs lie in")
    before = os.environ.get(DATA_VARIABLE)
    os.environ[DATA_VARIABLE] = folder
    try:
        yield
    finally:
        os.environ.pop(DATA_VARIABLE)
        os.environ |= {} if before is None else {DATA_VARIABLE: before}


def lacking(name: str) -> str | None:
    """The file that the data set of that name is read from, where the data folder has none; else None."""
    file = PACKS.get(name)
    return None if file is None or _found(file) else file


def weights_file(path: Path) -> Path:
    """A file of weights: where the path says, or else below the data folder. Raises ValueError if in neither."""
    return path if path.is_file() else _pack(str(path))


def _pack(file: str) -> Path:
    if (found := _found(file)) is None:
        now = os.environ.get(DATA_VARIABLE) or "not set"
        raise ValueError(f"{file} is needed: set {DATA_VARIABLE} to the folder it lies in (now {now})")
    return found


def _found(file: str) -> Path | None:
    root = os.environ.get(DATA_VARIABLE)
    return Path(root) / file if root and (Path(root) / file).exists() else None
