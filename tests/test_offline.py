"""With the network cut off everything works or says what to bring, and with it nobody is asked anything.

The commands run in a network namespace without an interface, and every attempt of theirs, or of a process they start,
to find a host or to connect to one is noted. Connections within the machine (the page, Ray) need its loopback.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from jobs import crop, put
from pictures import write_digits

CUT = ("unshare", "-rn")
WITH_LOOPBACK = (*CUT, "sh", "-c", 'ip link set lo up && exec "$@"', "sh")

NOTE = """
import os, sys
def note(event, args):
    asked = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.connect": 1}.get(event)
    if asked == 0 or asked == 1 and isinstance(args[1], tuple):  # else a socket of this machine, a path
        with open(os.environ["NOTED"], "a") as file:
            file.write(f"{event} {args[asked]}\\n")
sys.addaudithook(note)
"""

RUN = """
import contextlib, io, json, sys
from unlearnable.cli import main
ended = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    ended.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(ended))
"""

LENET = ("--model", "lenet", "--epochs", "1", "--batch", "16")
WORKS = [
    ["list"], ["doctor"], ["protect", "--help"], ["tables", "records"],
    ["protect", "photos", "out"], ["verify", "photos", "out"], ["verify", "out"], ["report", "photos", "out"],
    ["protect", "photos", "marked", "--signals", "--card"],
    ["fit", "lsp", "clean", "fitted"], ["protect", "clean", "protected", "--method", "fitted"],
    ["fit", "one_for_all", "photos", "own", "--init", "shipped", "--steps", "1"], ["export", "own", "own.onnx"],
    ["evaluate", "clean", "protected", "test", "--epochs", "1", "--adversaries", "standard,jpeg"],
    ["authorise", "create", "bundle", "--classes", "clean", *LENET], ["authorise", "key", "key.pem"],
    ["authorise", "sign", "bundle", "clean", "--key", "key.pem", "--policy", "policy.txt", "--test", "test"],
    ["authorise", "verify", "bundle", "clean"], ["authorise", "inspect", "bundle"],
    ["authorise", "train", "bundle", "clean", "network", "--test", "test"],
]  # fmt: skip
DATA_THAT_IS_NOT_THERE = ["bench", "main", "--out", "measured", "--seeds", "1"]
SAYS_WHAT_TO_BRING = {
    "a CLIP of the hub": (
        ["fit", "clusters", "photos", "fitted", "--encoder", "clip:openai/clip-vit-base-patch32"],
        "bring a folder with config.json",
    ),
    "an address": (["protect", "https://example.org/photos.zip", "out"], "example.org"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        put(tmp_path / "photos" / f"{number}.png", crop(number))
    write_digits(tmp_path / "clean", 3)
    write_digits(tmp_path / "test", 2, first=3)
    (tmp_path / "policy.txt").write_text("For research alone.\n")
    records = Path(__file__).parent.parent / "benchmarks" / "results" / "quick"
    (tmp_path / "records").mkdir()
    for record in sorted(records.glob("*.json"))[:3]:
        shutil.copy(record, tmp_path / "records")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NOTE)
    return tmp_path


def offline(folder: Path, commands: Sequence[Sequence[str]], before: Sequence[str] = CUT) -> tuple[Any, list[str]]:
    """(exit status, standard output and error of every command, the attempts to reach somebody)."""
    if not shutil.which("unshare") or subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a network namespace cannot be made here")
    noted = folder / "noted"
    path = os.pathsep.join([str(folder / "site"), os.environ.get("PYTHONPATH", "")])
    environment = {name: value for name, value in os.environ.items() if name != "UNLEARNABLE_DATA"}
    done = subprocess.run(
        [*before, sys.executable, "-c", RUN, json.dumps(commands)], cwd=folder, capture_output=True, text=True,
        env=environment | {"NOTED": str(noted), "PYTHONPATH": path, "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), noted.read_text().splitlines() if noted.exists() else []


def test_it_works_without_a_network_and_asks_nobody(folder: Path) -> None:
    ended, noted = offline(folder, [*WORKS, DATA_THAT_IS_NOT_THERE])
    code, out, err = ended.pop()
    assert [(words, end) for words, end in zip(WORKS, ended, strict=True) if end[0] != 0] == []
    assert (code, out) == (2, "")
    assert "UNLEARNABLE_DATA" in err
    assert noted == []


def test_what_only_the_web_has_is_named_in_one_line(folder: Path) -> None:
    commands = [words for words, _ in SAYS_WHAT_TO_BRING.values()]
    ended, noted = offline(folder, commands)
    for (code, out, err), (_, named) in zip(ended, SAYS_WHAT_TO_BRING.values(), strict=True):
        assert (code, out) == (2, "")
        assert err.count("\n") == 1, err
        assert named in err
    assert noted, "the hub and the address are asked, so attempts are noted where there are any"


@pytest.mark.slow
def test_the_demo_and_several_processes_work_without_a_network(folder: Path) -> None:
    commands = [["demo", "--quiet"], ["protect", "photos", "many", "--method", "lsp", "--engine", "ray", "--quiet"]]
    ended, noted = offline(folder, commands, WITH_LOOPBACK)
    assert [end for end in ended if end[0] != 0] == []
    # the Ray of the constraints looks up its own machine's name; nothing else is passed over
    known = "socket.getaddrinfo localhost"
    assert [line for line in noted if "127.0.0.1" not in line and line != known] == []
