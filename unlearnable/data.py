"""ImageSet: labelled images of one size, for fitting and for evaluating, from a folder or an archive."""

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from unlearnable.files import Collection, Item, Picture, Refused, decode, is_picture_name, open_collection
from unlearnable.pixels import Bytes, Labels

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
        wrong = self.labels[(self.labels < -1) | (self.labels >= len(self.classes))]
        if len(wrong):
            raise ValueError(f"labels must be -1 to {len(self.classes) - 1}, got {int(wrong[0])}")

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
        if not self._blank:
            digest.update(self.images.contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def _blank(self) -> bool:
        """Is one value all that there is of the pixels, as `blank` has it?"""
        steps = [step for step, count in zip(self.images.stride(), self.images.shape, strict=True) if count > 1]
        return not self.images.is_contiguous() and not any(steps)

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


def load_labelled(
    path: Path, size: int | None = None, within: str = "", rows: Sequence[int] | None = None, what: str = "SRC"
) -> tuple[ImageSet, tuple[str, ...]]:
    """A labelled folder or archive as an ImageSet, and the names of its pictures row by row; class = folder.

    within: only what lies in that folder (a split), which is then not part of the class name. size None: that of the
    first picture, 64 pixels at most. rows: only these of the listed pictures, so that no other is decoded. what: the
    argument that the path is. Raises ValueError where there is no labelled picture, or one cannot be decoded.
    """
    data, names, bad = load_readable(path, size, within, what, rows)
    if bad:
        raise ValueError(f"{path}: {len(bad)} pictures cannot be decoded, the first is {bad[0][0]!r}")
    return data, names


def load_readable(
    path: Path, size: int | None = None, within: str = "", what: str = "SRC", rows: Sequence[int] | None = None
) -> tuple[ImageSet, tuple[str, ...], tuple[tuple[str, str], ...]]:
    """As `load_labelled`, without the pictures that cannot be decoded: name and reason of each come third. what: the
    argument that the path is.

    Raises ValueError where there is no labelled picture, or none that can be decoded.
    """
    with closing(open_collection(path, what)) as collection:
        listed = labelled(collection, within)
        classes, bad = _classes(listed), dict[str, str]()
        listed = listed if rows is None else [listed[row] for row in rows]
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
    labels = [class_of(collection, item) for item in chosen]
    found = [(i, n.removeprefix(prefix)) for i, n in zip(chosen, labels, strict=True) if n and n != within]
    if not found:
        below = f" under {within}" if within else ""
        raise ValueError(f"{collection.path} holds no labelled pictures{below}: expected CLASS/NAME")
    return found


def class_of(collection: Collection, item: Item) -> str | None:
    """The class of a picture, None where nothing says it, or what says it cannot be read."""
    try:
        return collection.label(item)
    except Refused:  # a label file of an archive
        return None


def _side(picture: Picture) -> int:
    """The shorter side of a picture in pixels, `WORKING_SIZE` at most."""
    height, width = picture.planes.shape[:2]
    return min(int(height), int(width), WORKING_SIZE)


def view(picture: Picture, size: int) -> UInt8[Tensor, "3 s s"]:
    """What a network sees of a picture: all of it, squashed to (3, size, size)."""
    return torch.from_numpy(np.ascontiguousarray(picture.view(size).transpose(2, 0, 1)))


def first_of_each(data: ImageSet, count: int) -> ImageSet:
    """The first `count` images of every class."""
    rows = [(data.labels == label).nonzero().flatten()[:count] for label in range(len(data.classes))]
    return data.subset(torch.cat(rows))
