"""From a method to a file: the generator written as ONNX, compared with itself in PyTorch, and kept if they agree."""

import os
from dataclasses import dataclass
from pathlib import Path

from unlearnable.export.checking import Difference, compared, pictures_in, samples
from unlearnable.export.file import written
from unlearnable.extras import imported
from unlearnable.job import fitting
from unlearnable.pixels import Budget, eps_text
from unlearnable.protections import SHIPPED
from unlearnable.protections._generated import Generated

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Exported:
    """What came of an export. out: None where the file failed its comparison, and was removed; size: of the file in
    bytes; eps: the budget; difference: between the file and PyTorch."""

    out: Path | None
    size: int
    method: str
    eps: str
    difference: Difference


def export(method: str, out: Path, eps: float | None = None, pictures: Path | None = None) -> Exported:
    """Writes the generator of a method as one ONNX file, and compares both on pictures, in 8-bit values.

    method: "one_for_all", the shipped generator, or a folder in which `fit` left one; eps: as in a `Job`; pictures: a
    folder or archive, by default photographs and digits of scikit-learn. A file that differs too much is removed.
    Raises ValueError, one line, where the method is no generator, a package is missing, OUT is there already or cannot
    be, or there is no picture that can be read.
    """
    _check_packages()
    _check_place(out)
    found, budget = generator(method, eps)
    shown = samples() if pictures is None else pictures_in(pictures)
    scratch = _scratch(out)
    try:
        written(found, method, budget, scratch)
        difference, size = compared(found, budget, scratch, shown), scratch.stat().st_size
        if difference.small:
            os.replace(scratch, out)
    finally:
        scratch.unlink(missing_ok=True)
    return Exported(out if difference.small else None, size, method, eps_text(budget.eps), difference)


def generator(method: str, eps: float | None) -> tuple[Generated, Budget]:
    """The generator of a method at that strength, and its budget. Raises ValueError where it has none."""
    allowed = f"{', '.join(SHIPPED)} or a folder written by `unlearnable fit {next(iter(SHIPPED))}`"
    choice = fitting.choose(method.removesuffix(":shipped"), eps)
    if choice.folder is None:
        raise ValueError(f"export takes a generator that is fitted, {allowed}; {method!r} is none")
    if not choice.budget.eps:
        raise ValueError("a generator of eps 0 changes nothing: take a larger --eps")
    found = fitting.load(choice.folder, choice.budget).perturbation
    if not isinstance(found, Generated):
        raise ValueError(f"export takes a generator, {allowed}; {method!r} holds {type(found).__name__}")
    if choice.budget.norm != "linf":
        raise ValueError(f"export takes an linf budget, {method!r} has {choice.budget.norm}: name one with --eps")
    return found, choice.budget


def _scratch(out: Path) -> Path:
    return out.with_name(f".{out.name[:100]}.tmp")


def _check_packages() -> None:
    for name in _PACKAGES:
        imported(name, "export", "onnx")


def _check_place(out: Path) -> None:
    if out.suffix != ".onnx":
        raise ValueError(f"OUT must be the name of a file that ends in .onnx, got {str(out)!r}")
    if out.exists():
        raise ValueError(f"OUT {str(out)!r} exists already: name another file, or remove it")
    if not out.parent.is_dir():
        raise ValueError(f"OUT {str(out)!r} cannot be written: {str(out.parent)!r} is no folder, make it first")
    scratch = _scratch(out)
    try:
        scratch.touch()
        scratch.unlink()
    except OSError as error:
        raise ValueError(f"OUT {str(out)!r} cannot be written: {error.strerror}") from None
