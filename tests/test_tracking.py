"""Experiment trackers: what a run watches is what they show, and they never get in its way."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pictures import write_digits

from unlearnable.cli import main
from unlearnable.run import Run
from unlearnable.tracking import TRACKERS, tracked

EPOCHS = 3
HERE = Path(__file__).parent


class Kept:
    """A tracker that keeps what it is told, until it is told too much."""

    def __init__(self, most: int = 99) -> None:
        self.noted: list[tuple[str, int, dict[str, float]]] = []
        self.most, self.closed = most, False

    def __call__(self, package: ModuleType, name: str, flags: Mapping[str, str]) -> "Kept":
        self.name, self.flags = name, flags
        return self

    def note(self, stage: str, step: int, figures: Mapping[str, float]) -> None:
        if len(self.noted) >= self.most:
            raise OSError("disk full")
        self.noted.append((stage, step, dict(figures)))

    def close(self) -> None:
        self.closed = True
        if self.most < 0:
            raise OSError("no answer")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    tracker = Kept()
    monkeypatch.setitem(TRACKERS, "tensorboard", tracker)
    return tracker


def trained(run: Run, times: int = 1) -> None:
    for _ in range(times):
        for step in run.loop("train", 2, {}):
            run.report("train", step + 1, 2, {"loss": 1 / (step + 1)})


def test_figures_are_noted_by_stage_and_step_and_the_first_listener_still_hears(kept: Kept) -> None:
    heard: list[str] = []
    with tracked(Run(listener=lambda event: heard.append(event.stage)), "tensorboard:here", {"eps": "8/255"}) as run:
        trained(run)
    assert (kept.name, kept.flags, kept.closed) == ("here", {"eps": "8/255"}, True)
    assert kept.noted == [("train", 1, {"loss": 1.0}), ("train", 2, {"loss": 0.5})]
    assert heard == ["train"] * 5


def test_a_stage_that_begins_anew_has_a_curve_of_its_own(kept: Kept) -> None:
    with tracked(Run(), "tensorboard:here") as run:
        trained(run, times=3)
    assert [stage for stage, step, _ in kept.noted if step == 1] == ["train", "train-2", "train-3"]


def test_a_tracker_that_fails_ends_nothing_and_says_so_once(kept: Kept) -> None:
    kept.most, said = 1, list[str]()
    with tracked(Run(), "tensorboard:here", tell=said.append) as run:
        trained(run, times=2)
    assert said == ["tensorboard notes no more figures: OSError disk full"]
    assert kept.closed


def test_what_fails_at_the_end_is_said_too(kept: Kept) -> None:
    kept.most, said = -1, list[str]()
    with tracked(Run(), "tensorboard:here", tell=said.append):
        pass
    assert said == ["tensorboard notes no more figures: OSError no answer"]


def test_nothing_is_tracked_unless_asked() -> None:
    run = Run()
    with tracked(run, None) as same:
        assert same is run


@pytest.mark.parametrize("where", ["tensorboard", "tensorboard:", "neptune:mine", "", "runs/"])
def test_an_unknown_tracker_or_one_without_a_name_is_refused(where: str) -> None:
    with pytest.raises(ValueError, match="a tracker must be one of tensorboard:NAME"), tracked(Run(), where):
        pass


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match=r"pip install 'unlearnable\[wandb\]'"), tracked(Run(), "wandb:mine"):
        pass


def test_a_folder_that_cannot_be_made_is_the_user_s_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ValueError, match="tensorboard does not begin a run called"),
        tracked(Run(), f"tensorboard:{tmp_path}/file"),
    ):
        pass


def test_the_command_line_notes_a_victim_s_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean, test = write_digits(tmp_path / "clean", 4), write_digits(tmp_path / "test", 2, first=4)
    words = ["evaluate", str(clean), str(clean), str(test), "--adversaries", "standard", "--epochs", str(EPOCHS)]
    assert main([*words, "--json", "--quiet", "--track", f"tensorboard:{tmp_path / 'runs'}"]) == 0
    said = json.loads(capsys.readouterr().out)
    scalars, flags = shown(tmp_path / "runs")
    assert set(scalars) == {"train/test_acc", "train-2/test_acc"}, "the clean and the protected victim"
    assert [step for step, _ in scalars["train/test_acc"]] == list(range(1, EPOCHS + 1))
    assert str(round(scalars["train/test_acc"][-1][1], 3)) in json.dumps(said)
    assert f"epochs: {EPOCHS}" in flags
    assert "test: test" in flags
    assert str(tmp_path) not in flags, "where folders lie is nobody's business"


def test_a_tracker_hears_of_no_folder_also_where_none_is_yet(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_digits(tmp_path / "private" / "in", 2)
    (tmp_path / "private" / "recipe.yaml").write_text("patch: 4\n")
    words = ["fit", "lsp:imagenet", "private/in", "private/a/out", "--config", "private/recipe.yaml", "--quiet"]
    assert main([*words, "--track", "tensorboard:private/runs"]) == 0
    assert {flag: kept.flags[flag] for flag in ("verb", "method", "source", "out", "patch")} == {
        "verb": "fit", "method": "lsp:imagenet", "source": "in", "out": "out", "patch": "4"
    }  # fmt: skip
    assert not [value for value in kept.flags.values() if "private" in value or tmp_path.name in value]


def shown(folder: Path) -> tuple[dict[str, list[tuple[int, float]]], str]:
    """What TensorBoard's own reader finds: (step, value) by tag, and the text."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read: Any = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    read.Reload()
    text = read.Tensors("flags/text_summary")[0].tensor_proto.string_val[0].decode()
    return {tag: [(e.step, e.value) for e in read.Scalars(tag)] for tag in read.Tags()["scalars"]}, text


READ = {
    "mlflow": """
from mlflow import MlflowClient
client = MlflowClient()
(run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
noted = {figure.step: figure.value for figure in client.get_metric_history(run.info.run_id, "train/loss")}
print([noted, run.data.params, run.info.status])
""",
    "trackio": """
import json, pathlib, sqlite3
(kept,) = pathlib.Path("trackio").glob("*.db")
rows = sqlite3.connect(kept)
noted = {step: json.loads(figures)["train/loss"] for step, figures in rows.execute("select step, metrics from metrics")}
((config,),) = rows.execute("select config from configs")
print([noted, {name: value for name, value in json.loads(config).items() if name == "eps"}, "FINISHED"])
""",
    "wandb": """
import json, pathlib
from wandb.proto.wandb_internal_pb2 import Record
(log,) = pathlib.Path().rglob("*.wandb")
data, at, whole, noted, flags = log.read_bytes(), 7, b"", {}, {}
while at + 7 <= len(data):  # LevelDB's log format: checksum, length, kind; 1 is a whole record, 4 the end of one
    length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
    whole, at = whole + data[at + 7 : at + 7 + length], at + 7 + length
    at += 32768 - at % 32768 if at % 32768 > 32761 else 0
    if kind in (1, 4):
        record, whole = Record.FromString(whole), b""
        row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        noted |= {row["train/step"]: row["train/loss"]} if "train/loss" in row else {}
        for changed in (record.config, record.run.config):
            flags |= {item.key: json.loads(item.value_json) for item in changed.update if item.key == "eps"}
print([noted, flags, "FINISHED"])
""",
}
"""Programs that read with a tracker's own means what it kept: figures by step, flags, and how the run ended."""


@pytest.mark.slow
@pytest.mark.parametrize("tracker", READ)
def test_each_tracker_has_the_figures_and_not_what_was_typed(tracker: str, tmp_path: Path) -> None:
    """In processes of their own: trackers begin threads and servers."""
    pytest.importorskip(tracker)
    write = (
        "from test_tracking import Run, tracked, trained\n"
        f"with tracked(Run(), '{tracker}:mine', {{'eps': '8/255'}}) as run: trained(run)"
    )
    local = {"WANDB_MODE": "offline", "TRACKIO_DIR": str(tmp_path / "trackio")}
    local["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    said = ""
    for program in (write, READ[tracker]):
        words = [sys.executable, "-c", program, "ftp://alice:S3CRET@host"]
        done = subprocess.run(words, cwd=tmp_path, env=os.environ | local, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said = done.stdout
    assert ast.literal_eval(said) == [{1: 1.0, 2: 0.5}, {"eps": "8/255"}, "FINISHED"]
    files = (path for path in tmp_path.rglob("*") if path.is_file())
    assert [path for path in files if b"S3CRET" in path.read_bytes()] == []
