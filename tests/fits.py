"""What the tests of several methods ask of a fit: the deltas it found, and that stopping it loses nothing."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TypeVar

import pytest
from torch import Tensor

from unlearnable.data import ImageSet
from unlearnable.perturbation import SampleWise
from unlearnable.pixels import unpack
from unlearnable.protections import Protection
from unlearnable.run import Cancelled, Run

T = TypeVar("T")


def delta_of(method: Protection, data: ImageSet, run: Run) -> Tensor:
    fitted = method.fit(data, run)
    assert isinstance(fitted, SampleWise)
    return unpack(fitted.delta, fitted.unit)


def resumed(work: Callable[[Run], T], run: Run, directory: Path, at: int) -> T:
    """What `work` gives when it goes on after it was stopped before its step number `at`, the first being 1."""
    steps = count(1)
    with pytest.raises(Cancelled):
        work(replace(run, directory=directory, save_every=1e9, cancelled=lambda: next(steps) == at))
    return work(replace(run, directory=directory))
