"""What a data thief may do with protected images. An adversary changes a Recipe, and is told nothing of the protection.

A name is one of the table, with parameters after a colon, and several joined by a plus: "jpeg:10",
"adversarial:2/255,5", "purify:noise=0.1", "grayscale+mixup".
"""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from unlearnable.adversaries.adversarial import Adversarial
from unlearnable.adversaries.augmented import Augmented
from unlearnable.adversaries.authorised import Given
from unlearnable.adversaries.coin import Coin
from unlearnable.adversaries.decolour import Decolour
from unlearnable.adversaries.distill import Distill
from unlearnable.adversaries.dvae import DVAE
from unlearnable.adversaries.mixing import CutMix, Cutout, Mixup
from unlearnable.adversaries.orthogonal import Orthogonal
from unlearnable.adversaries.pretrained import Finetune, LinearProbe
from unlearnable.adversaries.purify import Purify
from unlearnable.adversaries.selfsupervised import BYOL, MoCo, SimCLR, SimSiam
from unlearnable.adversaries.smoothing import Bilateral, Gaussian, Mean, Median, Resize
from unlearnable.adversaries.squeezing import BitDepth, Grayscale, Jpeg
from unlearnable.adversaries.subtract import Subtract
from unlearnable.adversaries.ueraser import UEraser
from unlearnable.pixels import parse_eps
from unlearnable.training import EarlyStop, Handed, Purifier, Recipe

STANDARD = "standard"


@dataclass(frozen=True)
class Adversary:
    """part: the class of what changes a recipe, None for nothing; plain: what it does, in plain words."""

    part: type | None
    plain: str


ADVERSARIES: dict[str, Adversary] = {
    STANDARD: Adversary(None, "ordinary training"),
    "adversarial": Adversary(Adversarial, "adversarial training"),
    "mixup": Adversary(Mixup, "mixing pictures in pairs"),
    "cutmix": Adversary(CutMix, "pasting boxes between pictures"),
    "cutout": Adversary(Cutout, "covering squares"),
    "gaussian": Adversary(Gaussian, "Gaussian blur"),
    "mean": Adversary(Mean, "averaging neighbours"),
    "median": Adversary(Median, "a median filter"),
    "bilateral": Adversary(Bilateral, "smoothing within edges"),
    "jpeg": Adversary(Jpeg, "JPEG compression"),
    "grayscale": Adversary(Grayscale, "taking the colour away"),
    "decolour": Adversary(Decolour, "finding the one colour that pictures were changed in, and taking it out"),
    "bitdepth": Adversary(BitDepth, "fewer levels of colour"),
    "resize": Adversary(Resize, "shrinking and enlarging"),
    "orthogonal": Adversary(Orthogonal, "projecting away what a linear model finds"),
    "ueraser": Adversary(UEraser, "training on the worst of many augmented copies"),
    "coin": Adversary(Coin, "scrambling neighbouring pixels"),
    "dvae": Adversary(DVAE, "restoring the pictures with an autoencoder"),
    "purify": Adversary(Purify, "restoring the pictures by diffusion"),
    "subtract": Adversary(Subtract, "taking off what the public generator would add"),
    "augmented": Adversary(Augmented, "strong augmentation"),
    "distill": Adversary(Distill, "learning from a teacher network"),
    "early_stop": Adversary(EarlyStop, "stopping at the best epoch on a few clean pictures"),
    "finetune": Adversary(Finetune, "a network that knows ImageNet"),
    "linear_probe": Adversary(LinearProbe, "the features of a network that knows ImageNet"),
    "simclr": Adversary(SimCLR, "learning without labels (SimCLR)"),
    "moco": Adversary(MoCo, "learning without labels (MoCo)"),
    "byol": Adversary(BYOL, "learning without labels (BYOL)"),
    "simsiam": Adversary(SimSiam, "learning without labels (SimSiam)"),
}
AUTHORISED = {"authorised": Adversary(Given, "the network that was handed out with the pictures")}
"""Who trains from weights that came with the images (UGE): no adversary, but in the same tables; its name goes here
with the others."""
HANDLING: dict[str, Purifier] = {
    "JPEG 95": Jpeg(95),
    "JPEG 85": Jpeg(85),
    "JPEG 75": Jpeg(75),
    "JPEG 50": Jpeg(50),
    "resized to 0.75 and back": Resize(4 / 3),
    "resized to 0.5 and back": Resize(2.0),
    "blurred as in a screenshot": Gaussian(0.7),
}
"""What happens to pictures on their way, without anybody being an adversary; a screenshot that is scaled to the screen
mixes neighbouring pixels about as that Gaussian does."""
SHORT = (STANDARD, "grayscale", "jpeg", "ueraser:lite")  # cheap, and between them they undo most published methods


def adversary(name: str, recipe: Recipe | None = None) -> Recipe:
    """The recipe of an adversary: the given one (or the quick tier's) with what the name says.

    Raises ValueError naming what is allowed.
    """
    made = recipe or Recipe()
    for word in name.split("+"):
        part = _part(word)
        made = made if part is None else made.having(part)
    return made


def listed(text: str) -> tuple[str, ...]:
    """The names in a text with commas: what begins with no known name is a parameter of the name before it."""
    found: list[str] = []
    for piece in (piece.strip() for piece in text.split(",")):
        if found and ":" in found[-1] and re.split(r"[:+]", piece)[0] not in ADVERSARIES | AUTHORISED:
            found[-1] += f",{piece}"
        else:
            found.append(piece)
    return tuple(name for name in found if name)


def of_the_seed(name: str) -> bool:
    """Whether somebody of that name has, or learns from, a network that the run's seed hands out, by no bundle."""
    made = adversary(name)
    taught = isinstance(made.objective, Distill) and made.objective.authorised is not None
    return taught or isinstance(made.handed, Handed)


def stops_early(name: str) -> bool:
    """Whether an adversary of that name keeps an epoch that it chose."""
    return any(word.partition(":")[0] == "early_stop" for word in name.split("+"))


def at_hand() -> tuple[str, ...]:
    """The names of all adversaries that can start here: those that need weights only where these are."""
    return tuple(name for name in ADVERSARIES if _starts(name))


def _starts(name: str) -> bool:
    try:
        adversary(name).check()
    except ValueError:
        return False
    return True


def _part(word: str) -> Any:
    """What one word stands for: `jpeg:30` is Jpeg(30). None for standard training."""
    kind, colon, text = word.partition(":")
    known = ADVERSARIES | AUTHORISED
    if kind not in known:
        raise ValueError(f"adversary must be one of {', '.join(known)}, got {kind!r}")
    cls = known[kind].part
    values = text.split(",") if colon else []
    parameters = [] if cls is None else [field.name for field in fields(cls)]
    named = {name: value for name, is_named, value in (word.partition("=") for word in values) if is_named}
    placed = dict(zip(parameters, (value for value in values if "=" not in value), strict=False))
    if "" in values or len(values) > len(parameters) or not named.keys() <= set(parameters) - placed.keys():
        raise ValueError(f"{kind} takes {_list(parameters)}, got {text!r}")
    if cls is None:
        return None
    hints = get_type_hints(cls)
    return cls(**{name: _value(kind, name, hints[name], value) for name, value in (placed | named).items()})


def _value(kind: str, name: str, hint: Any, text: str) -> Any:
    """A parameter as its field wants it. Raises ValueError naming the parameter."""
    allowed = (hint, *get_args(hint))  # where None is allowed too, X lies in the hint
    number = next((part for part in allowed if part in (int, float)), str)
    try:
        if name == "eps":
            return parse_eps(text)
        if number is not str:
            return number(text)
    except ValueError:
        wanted = "a fraction such as 4/255" if name == "eps" else {int: "a whole number", float: "a number"}[number]
        raise ValueError(f"{name} of {kind} must be {wanted}, got {text!r}") from None
    words = [word for part in allowed if get_origin(part) is Literal for word in get_args(part)]
    if words and text not in words:
        raise ValueError(f"{name} of {kind} must be one of {', '.join(words)}, got {text!r}")
    return Path(text) if Path in allowed else text


def _list(names: list[str]) -> str:
    return f"{', '.join(names)} after the colon" if names else "no parameters"
