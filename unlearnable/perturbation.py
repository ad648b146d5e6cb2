"""What a protection learns: a value that proposes a protected image, and knows nothing of how it was learned."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float32, Int64
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.encoders import Encoder
from unlearnable.pixels import PART, UNBOUNDED, Budget, Index, Labels, Packed, Pixels, release, to_float, unpack
from unlearnable.run import Run, scratch_of, write_atomically


@runtime_checkable
class Perturbation(Protocol):
    """Proposes protected images: x (n, 3, size, size) in 0..1 -> the same shape, unclamped and unrounded.

    labels are read by class-wise perturbations, index (row in the fitted ImageSet) by sample-wise ones; a value depends
    on nothing else, so batches can be cut anywhere. `size` is the working size; one whose class has `any_size` also
    takes smaller images, as they are. Raises ValueError for a label or row it knows nothing of.
    """

    @property
    def size(self) -> int: ...

    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels: ...


@runtime_checkable
class Scaling(Protocol):
    """A perturbation that can be had at another strength."""

    def within(self, eps: float) -> Perturbation:
        """The same with no value above eps, in units of the 0..1 range."""
        ...


@runtime_checkable
class Seeing(Protocol):
    """A perturbation that looks at images through an encoder."""

    def eyes(self) -> Encoder:
        """The encoder, opened when it is first asked for. Raises ValueError where it is not to be had or is another."""
        ...


Values = Float32[Tensor, "n c _ _"]
P = TypeVar("P", bound=type)
KINDS: dict[str, Callable[..., Perturbation]] = {}
CONFIG, WEIGHTS = "config.json", "perturbation.safetensors"
_INNER = "/"  # between the name of a field and that of a tensor in it


def kind(cls: P) -> P:
    """Class decorator: lets `load` find a perturbation by its name. Its fields are tensors, dicts of tensors and JSON
    values."""
    KINDS[cls.__name__] = cls
    return cls


@kind
@dataclass(frozen=True, eq=False)
class SampleWise:
    """One delta for each image of the set it was fitted on, kept in steps of `unit` (`pixels.pack`). labels: of these
    images, for `lend`.
    """

    delta: Packed
    unit: float = 1.0
    labels: Labels | None = None

    @property
    def size(self) -> int:
        return self.delta.shape[-1]

    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels:
        check_range(index, len(self.delta), "row")
        return x + unpack(self.delta[index], self.unit)


@kind
@dataclass(frozen=True, eq=False)
class ClassWise:
    """One delta for each class; serves images it has never seen."""

    delta: Float32[Tensor, "k 3 s s"]

    @property
    def size(self) -> int:
        return self.delta.shape[-1]

    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels:
        check_range(labels, len(self.delta), "label")
        return x + self.delta[labels]


@kind
@dataclass(frozen=True, eq=False)
class Lent:
    """Deltas found for other images: class k takes those of class pairs[k, 0], plus those of pairs[k, 1] where the two
    differ; of the deltas of a class, row i takes number i modulo how many there are. Serves images never seen.

    delta: sorted by the class they were found for, class c from starts[c] to before starts[c + 1].
    """

    delta: Packed
    starts: Int64[Tensor, " m"]
    pairs: Int64[Tensor, "k 2"]
    unit: float

    @property
    def size(self) -> int:
        return self.delta.shape[-1]

    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels:
        check_range(labels, len(self.pairs), "label")
        first, second = self.pairs[labels].unbind(1)
        mixed = self._of(second, index) * (first != second)[:, None, None, None]
        return x + self._of(first, index) + mixed

    def _of(self, classes: Labels, index: Index) -> Pixels:
        begin = self.starts[classes]
        return unpack(self.delta[begin + index % (self.starts[classes + 1] - begin)], self.unit)


def lend(found: Perturbation) -> Lent:
    """The same noise for images of other classes and sizes, as One for All has CP and TUE: class k gets that of the
    k-th class it was found for; further classes get the mixed noise of two (0 and 1, 0 and 2, ..).

    Raises ValueError for what is not noise of images or of classes.
    """
    if isinstance(found, ClassWise):
        delta, unit, labels = found.delta, 1.0, torch.arange(len(found.delta))
    elif isinstance(found, SampleWise) and found.labels is not None:
        delta, unit, labels = found.delta, found.unit, found.labels
    else:
        old = "was fitted before labels were kept with it: fit it again"
        why = old if isinstance(found, SampleWise) else "is no noise of images or classes, which alone can be lent"
        raise ValueError(f"what was fitted ({type(found).__name__}) {why}")
    if unknown := int((labels < 0).sum()):
        raise ValueError(f"noise is lent by class, {unknown} of its {len(labels)} images have none: fit it with labels")
    counts = torch.bincount(labels)
    counts = counts[counts > 0]
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    alone = torch.arange(len(counts))
    pairs = torch.cat([torch.stack([alone, alone], 1), torch.combinations(alone, 2)])
    return Lent(delta[labels.argsort(stable=True)], starts, pairs, unit)


def apply(perturbation: Perturbation, data: ImageSet, budget: Budget, run: Run, batch: int = 512) -> ImageSet:
    """The protected set: every image proposed, projected and released; labels unchanged. data stays as it is.

    Images of another size than the perturbation's are seen resized to that, and what is added there is resized back.
    """
    protected = torch.empty_like(data.images, memory_format=torch.contiguous_format)
    for rows in run.batches(len(data), batch):
        originals = data.images[rows]
        x, size = to_float(originals), side_seen(perturbation, *data.images.shape[2:])
        view = resized(x, size, size)
        proposed = perturbation(view, data.labels[rows], rows)
        if view.shape != x.shape:
            proposed = x + resized(proposed - view, *x.shape[2:])
        protected[rows] = release(originals, proposed, budget)
    return data.with_images(protected)


def side_seen(perturbation: Perturbation, height: int, width: int) -> int:
    """The side of the square that a picture of that size is squashed to for a perturbation: no larger than the picture
    where the perturbation takes any size."""
    size = perturbation.size
    return min(size, max(height, width)) if getattr(perturbation, "any_size", False) else size


def resized(values: Values, height: int, width: int) -> Values:
    """Images or changes at another size: bilinear, antialiased where they shrink; the same values at the same size."""
    if values.shape[2:] == (height, width):
        return values
    if width == 1 < height:  # PyTorch 2.13 reads the wrong rows where the width becomes 1
        return resized(values.mT.contiguous(), 1, height).mT
    return F.interpolate(values, size=(height, width), mode="bilinear", antialias=True, align_corners=False)


def at_size(data: ImageSet, size: int) -> ImageSet:
    """The same images, squashed to another size and rounded: the working copies that something is fitted on."""
    found = torch.zeros(len(data), 3, size, size, dtype=torch.uint8)
    for rows in torch.arange(len(data)).split(PART):
        found[rows] = release(found[rows], resized(to_float(data.images[rows]), size, size), UNBOUNDED)
    return data.with_images(found)


def save(folder: Path, perturbation: Perturbation, about: dict[str, Any]) -> None:
    """Writes perturbation.safetensors and config.json (`about`: which method made it, with what budget and seed).

    Over an older one config.json goes first and comes last: killed meanwhile, the folder holds none, never a mixture.
    """
    values = {f.name: getattr(perturbation, f.name) for f in fields(perturbation)}  # type: ignore[arg-type]
    tensors = {name: value.contiguous() for name, value in values.items() if isinstance(value, Tensor)}
    for name, value in values.items():
        if isinstance(value, dict) and all(isinstance(part, Tensor) for part in value.values()):
            tensors |= {f"{name}{_INNER}{key}": part.contiguous() for key, part in value.items()}
    kept = {name.partition(_INNER)[0] for name in tensors}
    plain = {name: value for name, value in values.items() if name not in kept}
    folder.mkdir(parents=True, exist_ok=True)
    scratch = scratch_of(folder / WEIGHTS)
    save_file(tensors, scratch)  # not in place: what is replaced may be mapped into memory
    (folder / CONFIG).unlink(missing_ok=True)
    os.replace(scratch, folder / WEIGHTS)
    config = about | {"kind": type(perturbation).__name__, "values": plain}
    write_atomically(folder / CONFIG, json.dumps(config, indent=1).encode())
    shutil.copymode(folder / CONFIG, folder / WEIGHTS)  # safetensors writes for the owner alone


def load(folder: Path) -> tuple[Perturbation, dict[str, Any]]:
    """The perturbation and what was said about it. Raises ValueError where the folder holds none that can be read."""
    try:
        config = json.loads((folder / CONFIG).read_text())
        tensors = load_file(folder / WEIGHTS)
        found: dict[str, Any] = {}
        for name, tensor in tensors.items():
            outer, _, inner = name.partition(_INNER)
            if inner:
                found.setdefault(outer, {})[inner] = tensor
            else:
                found[outer] = tensor
        if config["kind"] not in KINDS:
            raise ValueError(f"nothing here is of the kind {config['kind']!r}: was it made by a later version?")
        return KINDS[config["kind"]](**found, **config["values"]), config
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ValueError(
            f"{folder} holds no fitted protection (config.json, perturbation.safetensors): {error}"
        ) from None


def budget_of(config: Mapping[str, Any]) -> Budget:
    """The budget of what `load` found, by what was said about it. Raises ValueError where nothing was."""
    try:
        said = config["protection"]["budget"]
        return Budget(said["norm"], said["eps"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"config.json does not say the budget ({error}): fit the protection again") from None


def check_range(values: Tensor, count: int, what: str) -> None:
    """Raises ValueError unless all values are 0..count-1."""
    if len(values) and not 0 <= int(values.min()) <= int(values.max()) < count:
        wrong = int(values.max()) if int(values.max()) >= count else int(values.min())
        raise ValueError(f"{what} {wrong} was not among the {count} that this perturbation was fitted on")
