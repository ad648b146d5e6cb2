"""The demonstration, on fewer digits than it shows; and once, slowly, as it is."""

import json
from pathlib import Path

import pytest
import sklearn.datasets
import torch
from PIL import Image

from unlearnable import demo
from unlearnable.cli import main
from unlearnable.packs import digits

KEYS = [
    "out", "seconds", "method", "eps", "max_abs_delta", "accuracy", "random_acc", "rows", "flags", "pictures",
]  # fmt: skip


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """240 digits to train on and 60 to test, one seed, in an empty folder."""
    train, test = digits()
    sets = (train.subset(torch.arange(240)), test.subset(torch.arange(60)))
    monkeypatch.setattr(demo, "digits", lambda: sets)
    monkeypatch.setattr(demo, "SEEDS", 1)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("few")
def test_it_writes_protects_trains_and_shows_and_replaces_only_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said) == KEYS
    assert (said["method"], said["eps"], said["max_abs_delta"]) == ("lsp", "8/255", 8)
    assert list(said["accuracy"]) == ["clean", "random", "lsp"]
    out = Path("unlearnable-demo")
    assert len(list((out / "digits" / "lsp").rglob("*.png"))) == 240
    installed = Path(sklearn.datasets.__file__).parent / "images"
    for name in ("china", "flower"):
        original = out / "photographs" / "original" / f"{name}.jpg"
        assert original.read_bytes() == (installed / f"{name}.jpg").read_bytes()
        assert (out / "photographs" / "protected" / f"{name}.png").exists()
    assert [Path(path).is_file() for path in said["pictures"]] == [True] * 3
    with Image.open(said["pictures"][1]) as china, Image.open(out / "photographs" / "original" / "china.jpg") as one:
        assert china.height == one.height
        assert china.width >= 3 * one.width
    (out / "mine.txt").write_text("keep me")
    (out / "digits/clean/0/stale.png").write_bytes(b"")
    assert main(["demo", "--out", str(out)]) == 0
    assert (out / "mine.txt").read_text() == "keep me"
    assert not (out / "digits/clean/0/stale.png").exists()
    shown = capsys.readouterr().out
    assert "accuracy on clean test digits" in shown
    for words in ("raises the cost of training", "Not shown", "cannot undo what was already collected", "few-seeds"):
        assert words in " ".join(shown.split())
    for word in ("irreversible", "undetectable", "protects from", "certified", "survives"):
        assert word not in shown


@pytest.mark.usefixtures("few")
def test_a_folder_that_is_not_its_own_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/digits").mkdir(parents=True)
    Path("photos/digits/a.png").write_bytes(b"mine")
    Path("file").write_text("mine")
    for path in ("photos", "file"):
        assert main(["demo", "--out", path]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert f"{path} is not a folder of an earlier demo: name a new one with --out" in said.err
        assert said.err.count("\n") == 1
    assert Path("photos/digits/a.png").read_bytes() == b"mine"


@pytest.mark.slow
def test_protected_digits_teach_little_and_noise_changes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["demo", "--json", "--out", str(tmp_path / "demo")]) == 0
    said = json.loads(capsys.readouterr().out)
    accuracy = said["accuracy"]
    assert accuracy["clean"] > 0.9
    assert abs(accuracy["random"] - accuracy["clean"]) < 0.03
    assert accuracy["lsp"] < 0.6
    assert "few-seeds" not in said["flags"]
