"""Run: seeds that are pure functions, loops that resume, directories that refuse another configuration."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from unlearnable.run import Cancelled, Progress, Run


def test_a_stream_depends_on_seed_name_and_step_only() -> None:
    def draw(run: Run, *name: object) -> float:
        return float(torch.rand(1, generator=run.rng(*name)))  # type: ignore[arg-type]

    assert draw(Run(0), "a", 1) == draw(Run(0), "a", 1)
    assert len({draw(Run(0), "a", 1), draw(Run(1), "a", 1), draw(Run(0), "b", 1), draw(Run(0), "a", 2)}) == 4


def test_seeding_leaves_the_global_generator_as_it_was() -> None:
    before = torch.random.get_rng_state()
    with Run(0).seeded("weights"):
        first = torch.rand(3)
    with Run(0).seeded("weights"):
        assert torch.equal(first, torch.rand(3))
    assert torch.equal(before, torch.random.get_rng_state())


def train(run: Run, steps: int = 6) -> dict[str, object]:
    """A loop with everything a state may hold."""
    with run.seeded("weights"):
        network = nn.Linear(3, 2)
    optimiser = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 2)
    delta, curve = torch.zeros(4), {"loss": [0.0]}
    state = {"network": network, "optimiser": optimiser, "schedule": schedule, "delta": delta, "curve": curve}
    for step in run.loop("stage", steps, state):
        x = torch.randn(5, 3, generator=run.rng("x", step))
        loss = network(x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        delta += step
        curve["loss"].append(float(loss.detach()))
    return {"weights": network.weight.detach().clone(), "delta": delta, "curve": curve, "lr": schedule.get_last_lr()}


@pytest.mark.parametrize("at", range(1, 6))
def test_a_loop_stopped_anywhere_and_resumed_is_the_loop(at: int, tmp_path: Path) -> None:
    whole = train(Run(0))
    calls = iter(range(100))
    with pytest.raises(Cancelled, match=f"after {at} of 6"):
        train(Run(0, directory=tmp_path, cancelled=lambda: next(calls) == at))
    resumed = train(Run(0, directory=tmp_path))
    assert torch.equal(whole.pop("weights"), resumed.pop("weights"))  # type: ignore[call-overload]
    assert torch.equal(whole.pop("delta"), resumed.pop("delta"))  # type: ignore[call-overload]
    assert whole == resumed


def test_a_finished_stage_is_not_run_again(tmp_path: Path) -> None:
    run = Run(0, directory=tmp_path)
    assert list(run.loop("stage", 3, {})) == [0, 1, 2]
    assert list(run.loop("stage", 3, {})) == []


def test_a_stage_stopped_early_is_finished(tmp_path: Path) -> None:
    run, count = Run(0, directory=tmp_path), torch.zeros(1)
    for _ in run.loop("stage", 10, {"count": count}):
        count += 1
        if count == 4:
            run.stop("stage", 10, {"count": count}, "enough")
            break
    assert run.ended == {"stage": "enough"}
    again = torch.zeros(1)
    later = Run(0, directory=tmp_path)
    assert list(later.loop("stage", 10, {"count": again})) == []
    assert again == 4
    assert later.ended == {"stage": "enough"}


def test_a_stage_that_did_all_its_steps_says_so(tmp_path: Path) -> None:
    run = Run(0, directory=tmp_path)
    list(run.loop("stage", 3, {}))
    assert run.ended == {"stage": "all 3 steps done"}


def test_a_large_table_lies_in_a_file_and_is_saved_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlearnable.run.run._MAPPED", 100)
    run = Run(0, device="cpu", directory=tmp_path)
    table = run.table((50, 7), torch.int8)
    assert not table.any()
    assert str(tmp_path) in Path("/proc/self/maps").read_text()
    for step in run.loop("stage", 50, {"table": table}):
        table[step] = step
        if step == 30:
            break
    run._save("stage", 31, {"table": table})
    again = Run(0, device="cpu", directory=tmp_path).table((50, 7), torch.int8)
    assert next(iter(run.loop("stage", 50, {"table": again}))) == 31
    assert torch.equal(again, table)
    assert [path.name for path in tmp_path.iterdir()] == ["stage.safetensors"]


def test_a_directory_that_holds_work_refuses_another_configuration(tmp_path: Path) -> None:
    """By the name of what differs, inner values included."""
    run = Run(0, directory=tmp_path)
    run.claim({"method": {"name": "em", "steps": 20}, "size": 32})
    run.claim({"method": {"name": "em", "steps": 10}, "size": 32})  # nothing was made yet
    list(run.loop("stage", 1, {}))
    run.claim({"method": {"name": "em", "steps": 10}, "size": 32})
    with pytest.raises(ValueError, match=r"another method.steps: choose"):
        run.claim({"method": {"name": "em", "steps": 20}, "size": 32})
    with pytest.raises(ValueError, match=r"another method.name, method.steps, size"):
        run.claim({"method": {"name": "tap"}, "size": 64})
    with pytest.raises(ValueError, match="another seed"):
        replace(run, seed=1).claim({"method": {"name": "em", "steps": 10}, "size": 32})
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json is damaged"):
        run.claim({"method": {"name": "em", "steps": 10}, "size": 32})


def test_progress_is_reported_and_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    events: list[Progress] = []
    list(Run(0, listener=events.append).loop("stage", 2, {}))
    assert [(event.stage, event.done, event.total) for event in events] == [
        ("stage", 0, 2),
        ("stage", 1, 2),
        ("stage", 2, 2),
    ]
    assert capsys.readouterr() == ("", "")


def test_batches_never_drop_the_tail() -> None:
    rows = list(Run(0).batches(10, 4, Run(0).rng("order")))
    assert [len(part) for part in rows] == [4, 4, 2]
    assert sorted(torch.cat(rows).tolist()) == list(range(10))


def test_what_draws_from_nowhere_else_draws_the_same_in_the_same_step(tmp_path: Path) -> None:
    """A network with dropout say, and also where the loop was stopped in between."""

    def draws(run: Run) -> list[float]:
        return [float(torch.rand(1)) for _ in run.loop("fit", 4, {})]

    before, stop = torch.random.get_rng_state(), iter([False, False, True])
    whole = draws(Run(3))
    assert len(set(whole)) == 4
    with pytest.raises(Cancelled):
        draws(Run(3, directory=tmp_path, cancelled=lambda: next(stop)))
    assert draws(Run(3, directory=tmp_path)) == whole[2:]
    assert torch.equal(torch.random.get_rng_state(), before)
