"""UEraser: for how long the worst of several copies is trained on."""

import pytest

from unlearnable.adversaries import adversary, ueraser
from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.pixels import to_float
from unlearnable.run import Run
from unlearnable.training import Step


@pytest.mark.parametrize(("mode", "views"), [("lite", [1, 1, 1]), ("standard", [5, 1, 1]), ("max", [5, 5, 5])])
def test_the_worst_copy_is_trained_on_for_a_quarter_of_the_epochs(
    mode: str, views: list[int], small: ImageSet, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in 50 of the 200 of the paper; never by the light form, and to the end by that of the most."""
    seen: list[int] = []
    monkeypatch.setattr(ueraser, "pipeline", lambda: lambda x: (seen.append(len(x)), x)[1])
    objective = adversary(f"ueraser:{mode}").objective
    assert objective is not None
    loss, x, y = (
        objective.start(small, run, lambda *_: build("lenet", 10, 16)),
        to_float(small.images[:4]),
        small.labels,
    )
    found = []
    for epoch in (0, 3, 9):
        seen.clear()
        loss(build("lenet", 10, 16), x, y[:4], Step(run, epoch, 10, 0))
        found.append(len(seen))
    assert found == views
    seen.clear()
    loss(build("lenet", 10, 16), x, y[:4], Step(run, 2, 10, 0))
    assert len(seen) == (1 if mode == "lite" else 5), "the third of ten epochs begins within the first quarter"
