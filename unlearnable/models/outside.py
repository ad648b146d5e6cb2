"""Networks from outside the zoo: a function of the user's own (`module:function`), and timm's (`timm/NAME`).

timm: Wightman, PyTorch Image Models, doi 10.5281/zenodo.4414861; an optional dependency.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unlearnable.models.layers import Normalise, Resize

Builder = Callable[[int, int], nn.Module]
TIMM = "timm/"


def own(name: str) -> Builder:
    """The builder behind `module:function`; module is looked for on sys.path and in the current folder.

    The function takes (classes, size) and gives a network for (n, 3, size, size) images in 0..1. Raises ValueError
    naming what was not found; its builder does so where the network is not what it should be.
    """
    place, _, function = name.partition(":")
    with _current_folder():
        found = getattr(_module(name, place), function, None)
    if not callable(found):
        raise ValueError(f"model {name!r}: {place} has no function {function!r} taking (classes, size)")

    def make(classes: int, size: int) -> nn.Module:
        with _current_folder():
            network = found(classes, size)
        return checked(name, network, classes, size)

    return make


@contextmanager
def _current_folder() -> Iterator[None]:
    """Modules of the current folder can be imported meanwhile: an installed command does not look there by itself."""
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _module(name: str, place: str) -> Any:
    if not all(part.isidentifier() for part in place.split(".")):
        raise ValueError(f"model {name!r}: expected module:function, but {place!r} is no module's name")
    importlib.invalidate_caches()
    try:
        return importlib.import_module(place)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{place}.".startswith(f"{error.name}."):
            raise ValueError(f"model {name!r}: no module {error.name!r} on sys.path or in {Path.cwd()}") from None
        raise ValueError(f"model {name!r}: importing {place} failed: {type(error).__name__}: {error}") from error


def checked(name: str, network: Any, classes: int, size: int) -> nn.Module:
    """The network, after one forward pass of two grey images in eval mode.

    Raises ValueError saying what was expected and found where it is no network, fails or gives no (n, classes) logits.
    """
    if not isinstance(network, nn.Module):
        raise ValueError(f"model {name!r} must be a torch.nn.Module, got {type(network).__name__}")
    promise = f"model {name!r} must give (2, {classes}) logits for (2, 3, {size}, {size}) images"
    training = network.training
    try:
        with torch.no_grad():
            logits = network.eval()(torch.full((2, 3, size, size), 0.5))
    except Exception as error:
        raise ValueError(f"{promise}, but failed: {type(error).__name__}: {error}") from error
    finally:
        network.train(training)
    if not isinstance(logits, Tensor):
        raise ValueError(f"{promise}, gave {type(logits).__name__}")
    if logits.shape != (2, classes) or not logits.is_floating_point():
        raise ValueError(f"{promise}, gave {tuple(logits.shape)} of {logits.dtype}")
    return network


def timm(name: str) -> Builder:
    """The builder behind `timm/NAME`, with random weights and normalisation in front.

    It is built for the image size where timm can; where it cannot (TypeError, or a failing forward pass), images are
    resized inside to the size timm states for it. Raises ValueError where timm is missing or has no such model.
    """
    try:
        library = importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise ValueError(f"model {name!r} needs timm ({error}): pip install unlearnable[timm]") from None
    except Exception as error:
        raise ValueError(f"model {name!r}: importing timm failed: {type(error).__name__}: {error}") from error
    known = name.removeprefix(TIMM)
    if not library.is_model(known):
        raise ValueError(f"model {name!r}: timm has no {known!r}; timm.list_models() lists what it has")

    def make(classes: int, size: int) -> nn.Module:
        for options in ({"img_size": size}, {}):  # only networks with positions know img_size
            try:
                body = library.create_model(known, num_classes=classes, in_chans=3, **options)
                return checked(name, nn.Sequential(Normalise(), body), classes, size)
            except Exception:  # noqa: S112 - the last attempt below says what went wrong
                continue
        body = library.create_model(known, num_classes=classes, in_chans=3)
        native = body.default_cfg["input_size"][-1]
        return checked(name, nn.Sequential(Normalise(), Resize(native), body), classes, size)

    return make
