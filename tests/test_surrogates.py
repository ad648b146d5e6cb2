"""What the networks that noise is sought against are trained on: the images as they are protected by then."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.pixels import LINF8, to_float
from unlearnable.protections import protection
from unlearnable.protections._noise import NoisyImages
from unlearnable.protections._pgd import uniform
from unlearnable.protections._robust_surrogate import RobustSurrogate
from unlearnable.protections._selfsupervised_surrogate import SelfSupervisedSurrogate
from unlearnable.protections._surrogate import Surrogate
from unlearnable.protections.em import EM
from unlearnable.run import Run
from unlearnable.training import SelfSupervised

ALTERNATING: dict[str, Any] = {"model": "lenet", "train_steps": 1, "batch": 40}
UNLABELLED: dict[str, Any] = {"model": "lenet", "train_batches": 1, "batch": 40}
ROBUST: dict[str, Any] = {"model": "lenet", "batch": 40, "radius": 0.0, "padding": 0}
METHODS = {"em": ALTERNATING, "em:class": ALTERNATING, "pue": ALTERNATING, "cp": UNLABELLED, "cp:class": UNLABELLED,
           "tue": UNLABELLED, "rem": ROBUST, "sem": ROBUST, "collapse": ROBUST}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_a_surrogate_is_trained_on_the_images_as_they_are_protected_by_then(
    name: str, small: ImageSet, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []

    def step(self: Surrogate, x: Tensor, *_: Any, **__: Any) -> None:
        seen.append(x)

    def unlabelled_step(self: SelfSupervised, pairs: nn.Module, optimiser: Any, x: Tensor, *_: Any) -> float:
        seen.append(x)
        return 0.0

    monkeypatch.setattr(Surrogate, "step", step)
    monkeypatch.setattr(SelfSupervised, "step", unlabelled_step)
    method, by_class = protection(name, **METHODS[name]), name.endswith(":class")
    images = NoisyImages(small, LINF8, run, small.labels if by_class else None)
    x, stage = to_float(small.images), name.partition(":")[0]
    images.keep(torch.arange(len(small)), uniform(x, LINF8, run.rng("any")))
    rows = images.drawn(stage, 0, 40)
    if isinstance(method, SelfSupervisedSurrogate):
        pairs = method.teaching.start(build("lenet", 10, small.size), run, stage)
        method._train({"pairs": pairs, "optimiser": method.teaching.optimiser(pairs)}, images, len(small), run, 0)
    else:
        surrogate = Surrogate.start("lenet", small, run, stage, 0.1, 0.9, 5e-4)
        if isinstance(method, RobustSurrogate):
            method._train(surrogate, surrogate.judge(run), images, rows, run, 0)
        else:
            assert isinstance(method, EM)
            method._train(surrogate, images, run, 0, [])
    (found,) = seen
    assert (images.delta(rows).flatten(1).abs().amax(1) > (0.1 if by_class else 0.9) * LINF8.eps).all()
    wanted = x[rows] + images.delta(rows)
    assert torch.equal(found, wanted.clamp(0, 1) if isinstance(method, SelfSupervisedSurrogate) else wanted)
