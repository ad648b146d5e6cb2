"""Named data sets, and where they come from: scikit-learn, the packs of a data folder, or the hub where asked for.

A pack is a zip of SPLIT/CLASS/NAME with the splits `train` and `test`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, starmap
from pathlib import Path

import torch

from unlearnable.data import ImageSet, first_of_each, load_labelled
from unlearnable.extras import imported
from unlearnable.messages import in_words
from unlearnable.pixels import UNBOUNDED, release

DATA_VARIABLE = "UNLEARNABLE_DATA"
HUB = "hub"
"""In place of a data folder: the data set is downloaded, and kept where `huggingface_hub` keeps what it downloads."""


@dataclass(frozen=True)
class Hosted:
    """A data set of the hub, as one parquet file for each split. train, test: which rows, all unless said.

    commit: a data set of this name is the same everywhere, whatever its owners change.
    """

    repository: str
    commit: str
    folder: str
    train: tuple[tuple[int, int], ...] = ()
    test: tuple[tuple[int, int], ...] = ()

    def split(self, split: str, size: int) -> ImageSet:
        """The rows in the order of a pack: by class, then as they come. Raises ValueError where the hub gives none."""
        rows = [*chain.from_iterable(starmap(range, getattr(self, split)))] or None
        data, _ = load_labelled(self._file(split), size, rows=rows)
        return data.subset(data.labels.argsort(stable=True))

    def _file(self, split: str) -> Path:
        hub, name = imported("huggingface_hub", "the hub", "hub"), f"{self.folder}/{split}-00000-of-00001.parquet"
        try:  # no token: nobody needs one, and whoever downloads stays unknown
            return Path(
                hub.hf_hub_download(self.repository, name, repo_type="dataset", revision=self.commit, token=False)
            )
        except Exception as error:  # each library of the network has its own
            raise ValueError(
                f"the hub does not give {self.repository} ({in_words(error)}): try again, "
                f"or set {DATA_VARIABLE} to a folder with the pack"
            ) from None


@dataclass(frozen=True)
class Pack:
    """A data set of a zip in the data folder, squashed to (size, size).

    few: how many images of each class of (train, test), the first ones, None for all. hosted: the same on the hub.
    """

    file: str
    size: int
    few: tuple[int | None, int | None] = (None, None)
    hosted: Hosted | None = None

    def __call__(self) -> tuple[ImageSet, ImageSet]:
        """(train, test). Raises ValueError where the data folder has no such file."""
        train, test = map(self._split, ("train", "test"), self.few)
        return train, test

    @property
    def lacking(self) -> bool:
        """Whether it is neither in the data folder nor to be downloaded."""
        return not self._downloaded and _found(self.file) is None

    @property
    def _downloaded(self) -> bool:
        return self.hosted is not None and os.environ.get(DATA_VARIABLE) == HUB

    def _split(self, split: str, count: int | None) -> ImageSet:
        if self.hosted and self._downloaded:
            data = self.hosted.split(split, self.size)
        else:
            data, _ = load_labelled(_needed(self.file, self.hosted is not None), self.size, split)
        return data if count is None else first_of_each(data, count)


def digits() -> tuple[ImageSet, ImageSet]:
    """scikit-learn's 1,797 scanned digits at 16 px: (train 1,200, test 597). Needs no download."""
    from sklearn.datasets import load_digits

    grey, target = load_digits(return_X_y=True)
    levels = torch.from_numpy(grey).float().reshape(-1, 1, 8, 8) / 16
    images = release(torch.zeros(levels.shape, dtype=torch.uint8), levels, UNBOUNDED)
    images = images.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat(1, 3, 1, 1)
    whole = ImageSet(images, torch.from_numpy(target).to(torch.int64), tuple("0123456789"))
    return whole.subset(torch.arange(1200)), whole.subset(torch.arange(1200, 1797))


_CIFAR10 = "uoft-cs/cifar10", "0b2714987fa478483af9968de7c934580d0bb9a2", "plain_text"
_CIFAR100 = "uoft-cs/cifar100", "aadb3af77e9048adbea6b47c21a81e47dd092ae5", "cifar100"
_AT_HAND = ((0, 4000), (10000, 11017), (20000, 21017), (30000, 31101), (40000, 41017))
"""The rows of CIFAR-10 whose exact pixels the pack of the quick tier holds."""

DATASETS: dict[str, Callable[[], tuple[ImageSet, ImageSet]]] = {
    "digits": digits,
    "cifar10-quick": Pack("cifar10-lossless.zip", 32, (500, None), Hosted(*_CIFAR10, _AT_HAND, ((0, 1017),))),
    "cifar10": Pack("cifar10.zip", 32, hosted=Hosted(*_CIFAR10)),  # JPEG in the pack, exact pixels from the hub
    "cifar100": Pack("cifar100.zip", 32, hosted=Hosted(*_CIFAR100)),
    "tin100": Pack("tin100-32.zip", 32),  # 100 classes of Tiny-ImageNet at 32 px, where papers have CIFAR-100
    "tin100-quick": Pack("tin100-32.zip", 32, (50, 10)),
    "tin100-64-quick": Pack("tin100-32.zip", 64, (50, 10)),
    "tin100-64": Pack("tin100-32.zip", 64),
    "imagenette": Pack("imagenette224.zip", 224),  # 10 classes of ImageNet
    "imagenette-64": Pack("imagenette224.zip", 64),
    "imagenette-128": Pack("imagenette224.zip", 128),
    "places20": Pack("places20-128.zip", 128),  # 20 scenes, where papers have SUN397
    "places20-64": Pack("places20-128.zip", 64),
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
    """Within this block the data folder is the one given, or the hub, where one is. Raises ValueError where that is no
    folder.
    """
    if folder is None:
        yield
        return
    if folder != HUB and not Path(folder).is_dir():
        raise ValueError(f"the data folder {folder!r} is not there: name the folder the packs lie in, or {HUB!r}")
    before = os.environ.get(DATA_VARIABLE)
    os.environ[DATA_VARIABLE] = folder
    try:
        yield
    finally:
        os.environ.pop(DATA_VARIABLE)
        os.environ |= {} if before is None else {DATA_VARIABLE: before}


def lacking(name: str) -> str | None:
    """The file that a data set is read from, where it is neither there nor to be downloaded; else None."""
    source = DATASETS.get(name)
    return source.file if isinstance(source, Pack) and source.lacking else None


def weights_file(path: Path) -> Path:
    """A file of weights: where the path says, or else below the data folder. Raises ValueError if in neither."""
    found = path if path.is_file() else _found(str(path))
    if found is None or not found.is_file():
        raise ValueError(f"weights {str(path)!r} are no file, neither there nor below {DATA_VARIABLE}: check the path")
    return found


def _needed(file: str, hosted: bool) -> Path:
    if (found := _found(file)) is None:
        now = os.environ.get(DATA_VARIABLE) or "not set"
        instead = f", or to {HUB!r} to download the data set" if hosted else ""
        raise ValueError(f"{file} is needed: set {DATA_VARIABLE} to the folder it lies in{instead} (now {now})")
    return found


def _found(file: str) -> Path | None:
    root = os.environ.get(DATA_VARIABLE)
    return Path(root) / file if root and root != HUB and (Path(root) / file).exists() else None
