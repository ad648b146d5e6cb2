"""Cell and Result: what is to be measured, and the record of what happened."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from unlearnable.adversaries import adversary, stops_early
from unlearnable.experiment.mixing import as_long
from unlearnable.pixels import eps_text
from unlearnable.protections import Protection, describe, protection, shipped_weights
from unlearnable.training import Recipe

CLEAN = "clean"
CONTROLS = (CLEAN, "random")


@dataclass(frozen=True)
class Cell:
    """What is to be measured. protection: "clean", a method or method:preset; rate: the share of images protected.

    surrogate: the model that the protection is fitted with, where not its own; fitted_on: the data set it is fitted on,
    where not the one it protects; fitted_at: the size in pixels that it is fitted at, where not that of the images;
    eps: of the budget, where not the protection's own; relabel: the adversary's own labels (`unlearnable.labelling`).
    """

    dataset: str
    protection: str
    adversary: str = "standard"
    model: str = "cnn"
    seed: int = 0
    rate: float = 1.0
    epochs: int = 12
    surrogate: str | None = None
    fitted_on: str | None = None
    relabel: str | None = None
    fitted_at: int | None = None
    eps: float | None = None

    @property
    def key(self) -> str:
        """A hash of the cell and of what its names stand for: a changed default is another cell, measured anew."""
        method = self.method
        begun = {} if method is None or (weights := shipped_weights(method)) is None else {"weights": weights}
        made = method and describe(method)
        return hashed({"cell": meaning(self), "recipe": meaning(self.recipe), "method": made} | begun)

    @property
    def method(self) -> Protection | None:
        """The protection that the name stands for; None for clean images."""
        if self.protection == CLEAN:
            return None
        made = protection(self.protection, **({} if self.surrogate is None else {"model": self.surrogate}))
        if self.eps is None:
            return made
        return protection(**describe(made) | {"budget": replace(made.budget, eps=self.eps)})

    @property
    def control(self) -> "Cell":
        """Clean images, all of them, under the same adversary: what a number of this cell is compared with."""
        own = {"surrogate": None, "fitted_on": None, "fitted_at": None, "eps": None}
        return replace(self, protection=CLEAN, rate=1.0, **own)  # type: ignore[arg-type]

    @property
    def alone(self) -> bool:
        """Whether it is the clean part of a mixture alone, without the protected images."""
        return self.protection == CLEAN and self.rate < 1

    @property
    def made(self) -> tuple[str, ...]:
        """What the protection was made with, where not with what is its own."""
        words = {
            "surrogate {}": self.surrogate,
            "fitted on {}": self.fitted_on,
            "fitted at {} px": self.fitted_at,
            "eps {}": None if self.eps is None else eps_text(self.eps),
        }
        return tuple(word.format(value) for word, value in words.items() if value is not None)

    @property
    def recipe(self) -> Recipe:
        """How the victim is trained; on a clean part alone for as many steps as on the whole."""
        usual = Recipe.usual(self.model, self.epochs)
        return adversary(self.adversary, as_long(usual, self.rate) if self.alone else usual)

    @property
    def fit_name(self) -> str:
        """Cells of the same fit share a fitted protection."""
        source = self.fitted_on or self.dataset
        parts = (source, self.protection, *([self.surrogate] if self.surrogate else []), f"seed{self.seed}")
        parts += (f"{self.fitted_at}px",) if self.fitted_at else ()
        parts += () if self.eps is None else (f"eps{eps_text(self.eps)}",)
        return _file_name("_".join(parts))

    @property
    def file(self) -> str:
        """The name of the record of this cell."""
        named = (self.dataset, self.protection, self.adversary, self.model, f"seed{self.seed}", self.key)
        return _file_name("_".join(named)) + ".json"


@dataclass(frozen=True)
class Result:
    """What happened: accuracy on clean test images after each epoch, what was measured, and where it ran.

    early_acc: at the epoch that early stopping chooses (`training.EarlyStop`), on test images it was not chosen on.
    """

    cell: Cell
    key: str
    test_acc: tuple[float, ...]
    train_acc: tuple[float, ...]
    measured: dict[str, float]
    flags: tuple[str, ...]
    provenance: dict[str, Any]
    early_acc: float | None = None

    @property
    def accuracy(self) -> float:
        """What the adversary ends up with: the last epoch, or the one it chose."""
        chosen = self.early_acc if stops_early(self.cell.adversary) else None
        return self.test_acc[-1] if chosen is None else chosen

    @staticmethod
    def read(path: Path) -> "Result":
        """The record in a file. Raises ValueError where it is none."""
        try:
            values = json.loads(path.read_text())
            cell, rest = Cell(**values.pop("cell")), dict(values)
            for name in ("test_acc", "train_acc", "flags"):
                rest[name] = tuple(rest[name])
            return Result(cell, **rest)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a record of a measurement: {error}") from None

    def as_json(self) -> str:
        """The text of the record."""
        return json.dumps(asdict(self) | {"cell": meaning(self.cell)}, indent=1)


def meaning(value: Any) -> Any:
    """A dataclass as JSON values, its name with it where it stands for a choice. What is None or empty is left out:
    an option that is not taken must not change the key of the cells that do not take it.
    """
    if is_dataclass(value) and not isinstance(value, type):
        named = {} if isinstance(value, Cell | Recipe) else {"is": type(value).__name__}
        found = {field.name: meaning(getattr(value, field.name)) for field in fields(value)}
        return named | {name: item for name, item in found.items() if item not in (None, [], ())}
    if isinstance(value, tuple | list):
        return [meaning(item) for item in value]
    return value.name if isinstance(value, Path) else value


def hashed(value: Any) -> str:
    """Twelve hexadecimal digits of JSON values."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=6).hexdigest()


def _file_name(text: str) -> str:
    return "".join("-" if letter in ":/,+" else letter for letter in text)
