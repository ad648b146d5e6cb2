"""Is a file what it was made from? Both protect the same pictures, as `protect` does, and every value is compared."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.datasets
import torch
from PIL import Image

from unlearnable.files import Picture, Refused, decode, open_collection
from unlearnable.job.fitting import pictures_of
from unlearnable.job.picture import change, protected
from unlearnable.packs import digits
from unlearnable.perturbation import Perturbation
from unlearnable.pixels import Budget, Index, Labels, Pixels

_MOST = 200  # pictures of a folder, spread evenly over it
_DIGITS = 8
_SMALLER = (160, 100, 40)  # longer side of the photographs: their views have other sides too
_SHARE = 10_000  # one value of so many may differ: a rounding that fell the other way


@dataclass(frozen=True)
class Difference:
    """Between two protected forms of the same pictures. values: 8-bit values compared, different: those that differ,
    max_difference: by how many levels at most."""

    pictures: int
    values: int
    different: int
    max_difference: int

    @property
    def small(self) -> bool:
        """At most one level, at most in one value of 10,000: what rounding explains. A single value may always."""
        return self.max_difference <= 1 and self.different <= -(-self.values // _SHARE)


@dataclass(frozen=True, eq=False)
class FromFile:
    """The perturbation that a file says; size: side in pixels of the largest view it takes."""

    session: Any
    size: int

    any_size = True

    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels:
        (name,) = (put.name for put in self.session.get_inputs())
        said = [torch.from_numpy(self.session.run(None, {name: one.numpy()})[0]) for one in x.split(1)]
        return x + torch.cat(said)


def opened(path: Path) -> FromFile:
    """A file that `export` wrote, through onnxruntime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # on a busy machine that is what costs
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return FromFile(session, int(session.get_modelmeta().custom_metadata_map["side"]))


def compared(one: Perturbation, budget: Budget, path: Path, pictures: Iterable[Picture]) -> Difference:
    """What a perturbation makes of pictures, beside what the file makes of them. Raises ValueError without pictures."""
    other, found = opened(path), Difference(0, 0, 0, 0)
    for picture in pictures:
        before, after = (protected(picture, made, -1, 0, budget) for made in (one, other))
        differ = before != after if before.dtype == np.uint8 else before >> 8 != after >> 8
        found = Difference(
            found.pictures + 1,
            found.values + before.size,
            found.different + int(differ.sum()),
            max(found.max_difference, change(before, after).max_delta),
        )
    if not found.pictures:
        raise ValueError("there is no picture to compare on: name a folder with pictures that can be read")
    return found


def pictures_in(path: Path) -> Iterator[Picture]:
    """Those of a folder or archive that can be read, 200 at most, spread evenly over it. Raises ValueError where no
    file has a picture's name."""
    with closing(open_collection(path, "--check")) as source:
        items = pictures_of(source)
        count = min(_MOST, len(items))
        for at in range(count):
            item = items[at * len(items) // count]
            try:
                yield decode(source.read(item), item.name)
            except Refused:
                continue


def samples() -> Iterator[Picture]:
    """Real pictures that need no download: scikit-learn's two photographs, as they are and smaller, and digits."""
    for path in sorted((Path(sklearn.datasets.__file__).parent / "images").glob("*.jpg")):
        yield decode(path.read_bytes(), path.name)
        with Image.open(path) as photograph:
            for side in _SMALLER:
                small = photograph.copy()
                small.thumbnail((side, side))
                yield _decoded(small)
    train, _ = digits()
    for image in train.images[:_DIGITS]:
        yield _decoded(Image.fromarray(image.permute(1, 2, 0).numpy()))


def _decoded(image: Image.Image) -> Picture:
    file = BytesIO()
    image.save(file, "PNG")
    return decode(file.getvalue(), "sample.png")
