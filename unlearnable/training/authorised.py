"""Authorised: one network's initial weights, and the recipe it is trained by. What a protection may leave learnable.

UGE (Ye and Wang, CVPR 2024, arXiv 2404.14016) protects images for a network f with initial weights theta_0: `weights`
here, with the recipe's numbers, in a folder of two files. Nothing of it is unpickled or imported.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from unlearnable.data import LARGEST_SIZE, ImageSet, blank
from unlearnable.models import MODELS, build
from unlearnable.models.stored import misfit, stored, weightless
from unlearnable.run import Run, write_atomically
from unlearnable.training.bundle import BUNDLE, WEIGHTS, contents, expect, is_scratch, parsed
from unlearnable.training.classifier import Classifier
from unlearnable.training.contrastive import Contrastive
from unlearnable.training.parts import Augmentation, CropFlip
from unlearnable.training.recipe import Recipe

FORMAT = 1
HOW = {"optimiser": "SGD with Nesterov momentum", "schedule": "one cycle, a line up and a cosine down"}
"""What `Recipe` does and has no number for; a bundle that says otherwise was made for another loop."""
AUGMENTATIONS: dict[str, type[Augmentation]] = {"CropFlip": CropFlip, "Contrastive": Contrastive}
NUMBERS = {"epochs": int, "lr": float, "batch": int, "momentum": float, "weight_decay": float}
"""The numbers of a recipe that a bundle writes down."""
ALLOWED: dict[str, tuple[int | float, int | float]] = {
    "epochs": (1, 10**6), "lr": (0, 10**6), "batch": (1, 10**6), "momentum": (1e-9, 1), "weight_decay": (0, 1),
    "classes": (2, 10**6), "size": (1, LARGEST_SIZE),
}  # fmt: skip
"""What numbers may be: a stranger's file must not make us allocate what it says."""
BARRED = ("init", "handed", "purify", "objective", "learner", "stop", "head_only")
"""What a recipe must not have to be a bundle's: the weights lie beside it, and the loss is an ordinary one."""


@dataclass(frozen=True, eq=False)
class Authorised:
    """The network that may learn: recipe, class names or their number, working size in pixels, weights by name, seed.

    seed: of the order of the images and of their augmentation. Raises ValueError, naming what is wrong, for a recipe
    that is more than an ordinary loss on given images, a model from outside the zoo and timm, a number out of range,
    and weights that are not this model's or not finite.
    """

    recipe: Recipe
    classes: tuple[str, ...] | int
    size: int
    weights: Mapping[str, Tensor]
    seed: int = 0

    def __post_init__(self) -> None:
        _check_recipe(self.recipe)
        _check_range("classes", self.count)
        _check_range("size", self.size)
        if isinstance(self.classes, tuple) and len(set(self.classes)) < self.count:
            raise ValueError(f"classes must have each its own name, got {str(self.classes)[:60]}")
        _check_weights(self.weights, self.recipe.model, self.count, self.size)
        for part in self.recipe.augment:
            if isinstance(part, CropFlip) and not 0 <= part.padding <= self.size:
                raise ValueError(f"padding must be 0 to {self.size}, the side of the images, got {part.padding}")

    @property
    def count(self) -> int:
        """The number of classes."""
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    def knows(self, classes: tuple[str, ...]) -> bool:
        """Whether these are the classes it was given for: as many, and of the same names where it has any."""
        return classes == self.classes if isinstance(self.classes, tuple) else len(classes) == self.classes

    @staticmethod
    def drawn(recipe: Recipe, classes: Sequence[str] | int, size: int, seed: int = 0) -> "Authorised":
        """With the weights that `recipe` begins with under that seed: random ones, those of `init` or of `handed`."""
        _check_recipe(replace(recipe, init=None, handed=None))
        _check_range("classes", classes if isinstance(classes, int) else len(classes))
        _check_range("size", size)
        known = classes if isinstance(classes, int) else tuple(classes)
        names = tuple(map(str, range(known))) if isinstance(known, int) else known
        _expected(recipe.model, len(names), size)
        nobody = blank(torch.zeros(0, dtype=torch.int64), names, size)
        network = recipe.start(nobody, Run(seed, device="cpu"))
        return Authorised(replace(recipe, init=None, handed=None), known, size, stored(network, half=False), seed)

    @staticmethod
    def read(folder: Path) -> "Authorised":
        """The network of a bundle, signed or not (`unlearnable.authorisation` verifies signatures).

        Raises ValueError, one line, where a file is missing, altered, a link or unknown, or says something impossible.
        """
        return Authorised.of(contents(folder), str(folder))

    @staticmethod
    def of(files: Mapping[str, bytes], place: str) -> "Authorised":
        """The same from the bytes of the files; place: what to call them in a message. Raises ValueError."""
        if missing := [name for name in (BUNDLE, WEIGHTS) if name not in files]:
            raise ValueError(f"{place} lacks {missing[0]}: it is no bundle, or not all of it")
        said = parsed(files[BUNDLE], f"{place}/{BUNDLE}")
        try:
            recipe = _recipe(said)
            if hashlib.sha256(files[WEIGHTS]).hexdigest() != said["weights"]:
                raise ValueError(f"{WEIGHTS} is not what {BUNDLE} was written with: it was altered or replaced")
            try:
                weights = load(files[WEIGHTS])
            except (SafetensorError, KeyError, RuntimeError) as error:
                raise ValueError(f"{WEIGHTS} cannot be read as safetensors, ask for it again: {error}") from None
            classes = said["classes"] if isinstance(said["classes"], int) else tuple(said["classes"])
            return Authorised(recipe, classes, said["size"], weights, said["seed"])
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{place}: {error}") from None

    def write(self, folder: Path) -> None:
        """Writes bundle.json and initial.safetensors, in a folder that it makes for its owner alone.

        Raises ValueError where the folder holds anything already.
        """
        if folder.exists() and (not folder.is_dir() or any(not is_scratch(path) for path in folder.iterdir())):
            raise ValueError(f"BUNDLE {str(folder)!r} holds something already: name a new folder")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in self._files().items():  # bundle.json last: without it, it is none
            write_atomically(folder / name, content)

    @property
    def identity(self) -> str:
        """The hash of bundle.json, which has that of the weights."""
        return hashlib.sha256(self._files()[BUNDLE]).hexdigest()

    def _files(self) -> dict[str, bytes]:
        weights = save({name: tensor.contiguous() for name, tensor in self.weights.items()})
        said = self.as_json() | {"weights": hashlib.sha256(weights).hexdigest()}
        return {WEIGHTS: weights, BUNDLE: json.dumps(said, indent=1).encode()}

    def as_json(self) -> dict[str, Any]:
        """All but the weights, as JSON values."""
        numbers = {name: kind(getattr(self.recipe, name)) for name, kind in NUMBERS.items()}
        parts = [{"is": type(part).__name__} | asdict(part) for part in self.recipe.augment]  # type: ignore[call-overload]
        classes = self.classes if isinstance(self.classes, int) else list(self.classes)
        network = {"format": FORMAT, "model": self.recipe.model, "classes": classes, "size": self.size}
        return network | {"seed": self.seed, "recipe": HOW | numbers | {"augment": parts}}

    def check(self, data: ImageSet) -> None:
        """Raises ValueError where images have another size than the network was given for, or other classes."""
        if data.size != self.size:
            raise ValueError(
                f"the bundle is for images of {self.size} pixels, these have {data.size}: take them at size {self.size}"
            )
        if len(data.classes) != self.count:
            raise ValueError(f"the bundle is for {self.count} classes, these images have {len(data.classes)}")
        if isinstance(self.classes, tuple) and not self.knows(data.classes):
            ours, theirs = next(pair for pair in zip(self.classes, data.classes, strict=True) if pair[0] != pair[1])
            raise ValueError(f"the bundle is for other classes: it has {ours!r} where these images have {theirs!r}")

    def start(self, data: ImageSet, run: Run) -> nn.Module:
        """A network with the initial weights, in train mode, on the device of the run. Raises ValueError as `check`."""
        self.check(data)
        network = self.recipe.start(data, run)
        network.load_state_dict(dict(self.weights))
        return network

    def train(
        self, data: ImageSet, run: Run, test: ImageSet | None = None, keep: Sequence[int] = ()
    ) -> Classifier:  # fmt: skip
        """`Recipe.train` from the initial weights, in the bundle's own order whatever the seed of the run.

        Raises ValueError as `check` does, of data and test alike.
        """
        if test is not None:
            self.check(test)
        own = replace(run, seed=self.seed)
        return self.recipe.train(data, own, test, keep, self.start(data, own))


@dataclass(frozen=True)
class Bundled:
    """A beginning (`training.handed`) that a bundle says: its initial weights, and its own order of the images."""

    folder: Path
    order: ClassVar[int | None] = None

    def network(self, model: str, data: ImageSet, run: Run) -> nn.Module:
        """As `Authorised.start`."""
        return Authorised.read(self.folder).start(data, run)

    def followed(self, run: Run) -> Run:
        """With the bundle's seed, whatever that of the run."""
        return replace(run, seed=Authorised.read(self.folder).seed)


def _recipe(said: dict[str, Any]) -> Recipe:
    """The recipe in bundle.json, and the types of all the rest of it."""
    if said.get("format") != FORMAT:
        raise ValueError(f"format must be {FORMAT}, got {str(said.get('format'))[:40]}: another version wrote it")
    whole = {"format": int, "model": str, "classes": (int, list), "size": int, "seed": int, "recipe": dict}
    expect(said, whole | {"weights": str})
    if isinstance(said["classes"], list) and not all(isinstance(name, str) for name in said["classes"]):
        raise ValueError(f"classes must be a number or names, got {str(said['classes'])[:40]}")
    numbers = {name: _as_in_json(kind) for name, kind in NUMBERS.items()}
    expect(said["recipe"], {**dict.fromkeys(HOW, str), **numbers, "augment": list})
    for name, ours in HOW.items():
        if said["recipe"][name] != ours:
            raise ValueError(f"{name} must be {ours!r}, got {said['recipe'][name][:40]!r}")
    augment = tuple(_augmentation(part) for part in said["recipe"]["augment"])
    for name in NUMBERS:
        _check_range(name, said["recipe"][name])
    values = {name: kind(said["recipe"][name]) for name, kind in NUMBERS.items()}
    return Recipe(model=said["model"], augment=augment, **values)


def _augmentation(part: Any) -> Augmentation:
    cls = AUGMENTATIONS.get(str(part.get("is"))) if isinstance(part, dict) else None
    if cls is None:
        raise ValueError(f"augment must be of {', '.join(AUGMENTATIONS)}, got {str(part)[:60]}")
    kinds: dict[str, Any] = {field.name: field.type for field in fields(cls)}  # type: ignore[arg-type]
    expect(part, {"is": str} | {name: _as_in_json(kind) for name, kind in kinds.items()})
    return cls(**{name: kind(part[name]) for name, kind in kinds.items()})


def _as_in_json(kind: type) -> tuple[type, ...]:
    """1.0 may be written 1."""
    return (int, float) if kind is float else (kind,)


def _check_recipe(recipe: Recipe) -> None:
    """An ordinary training by numbers in range, and a model that is part of this package or of timm."""
    if taken := [name for name in BARRED if getattr(recipe, name) not in (None, (), False)]:
        raise ValueError(f"an authorised network is trained by an ordinary loss alone: leave out {', '.join(taken)}")
    if unknown := [type(part).__name__ for part in recipe.augment if type(part) not in AUGMENTATIONS.values()]:
        raise ValueError(f"augment must be of {', '.join(AUGMENTATIONS)}, got {unknown[0]}")
    if recipe.model not in MODELS and not recipe.model.startswith("timm/"):
        raise ValueError(f"model must be one of {', '.join(MODELS)} or timm/NAME, got {recipe.model!r}")
    for name in NUMBERS:
        _check_range(name, getattr(recipe, name))


def _check_range(name: str, value: int | float) -> None:
    least, most = ALLOWED[name]
    if not least <= value <= most:
        raise ValueError(f"{name} must be {least:,} to {most:,}, got {str(value)[:20]}")


def _check_weights(weights: Mapping[str, Tensor], model: str, count: int, size: int) -> None:
    """Raises ValueError, naming the first, where the tensors are not those of the model, or not finite."""
    wanted = _expected(model, count, size)
    if wrong := misfit(wanted, weights):
        raise ValueError(f"the weights are not those of {model} for {count} classes: {wrong}")
    for name, theirs in sorted(weights.items()):
        if theirs.dtype != wanted[name].dtype:
            raise ValueError(f"the weights must be {wanted[name].dtype}: {name} is {theirs.dtype}")
        if not bool(torch.isfinite(theirs).all()):
            raise ValueError(f"the weights are no numbers everywhere: {name} has NaN or infinite values")


def _expected(model: str, count: int, size: int) -> dict[str, Tensor]:
    """The weights of a network that has no memory for them: a stranger's file must not make us allocate what it says.

    Raises ValueError where there is no such network.
    """
    try:
        with torch.random.fork_rng(devices=[]), weightless():
            return build(model, count, size).state_dict()
    except (RuntimeError, TypeError, OverflowError):  # PyTorch's words for a number beyond its own
        raise ValueError(f"{model} cannot be built for {str(count)[:20]} classes and {str(size)[:20]} pixels") from None
