"""The examples and the README's Python run as they stand."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

ROOT = Path(__file__).parent.parent


def run(*command: str) -> str:
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True, cwd=ROOT).stdout


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs one as a script, in this process, which has loaded what it needs: what it prints."""

    def run(name: str, *words: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *words])
        run_path(str(ROOT / "examples" / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_protect_folder(example: Callable[..., str], tmp_path: Path) -> None:
    for label in ("china", "flower"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        Image.fromarray(load_sample_image(f"{label}.jpg")).save(tmp_path / "photos" / label / "a.jpg")
    said = example("protect_folder.py", str(tmp_path / "photos"), str(tmp_path / "protected"))
    assert "2 protected, 0 failed, largest change 8 levels" in said
    assert "2 checked, 0 bad, 0 missing" in said


def test_measure(example: Callable[..., str]) -> None:
    assert len(re.findall(r"accuracy on clean test images 0\.\d+", example("measure.py", "lsp"))) == 3


@pytest.mark.slow
def test_federated() -> None:
    if not all(find_spec(library) for library in ("flwr", "ray")):
        pytest.skip("needs the extra `federated`")
    said = run("examples/federated.py")
    together = [float(value) for value in re.findall(r"round \d: accuracy (0\.\d+), 0 clients failed", said)]
    outside = {name: float(value) for name, value in re.findall(r"outsider, (.*) images: accuracy (0\.\d+)", said)}
    assert len(together) == 5  # before the first round, and after each of four
    for model in ("cnn", "resnet8"):
        assert outside[f"{model} on clean"] > 0.9
        assert outside[f"{model} on published"] < together[-1] - 0.15


def test_the_python_of_the_readme() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    made: dict[str, Any] = {}
    exec(code, made)
    assert len(made["protected"]) == 1200


def test_the_tables_of_the_readme_are_those_of_the_records() -> None:
    run("-m", "benchmarks.readme", "--check")


@pytest.mark.slow
def test_transmission(tmp_path: Path) -> None:
    said = json.loads(run("examples/transmission.py", str(tmp_path)))
    assert said["accuracy"] == said["protector_accuracy"]
    assert said["accuracy"] > said["outsider"] + 0.3
    assert said["outsider_clean"] > 0.8
    asked, answered = (tmp_path / place / "initial.safetensors" for place in ("bundle", "answer/authorised/bundle-0"))
    assert asked.read_bytes() == answered.read_bytes()  # made for the receiver's own network
    assert not (tmp_path / "bundle" / "signature.json").exists()  # what was sent is as it was


@pytest.mark.parametrize(("name", "holds"), [("federated", "federate"), ("transmission", "authorise")])
def test_what_only_the_slow_tests_run_finds_all_that_it_imports(name: str, holds: str) -> None:
    assert callable(run_path(str(ROOT / "examples" / f"{name}.py"))[holds])
