"""How a command ends: stopped, out of room, by a bug or as a process; and what it says then."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import PROTECT_KEYS, Command, picture, refused

from unlearnable import cli, job
from unlearnable.cli.verbs import VERBS
from unlearnable.files import Refused
from unlearnable.run import Run


def test_ctrl_c_says_how_to_go_on(command: Command, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(asked: job.Job, run: Run, engine: job.Engine) -> job.Summary:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "protect", interrupted)
    ended = command("protect", photos, "out")
    assert (ended.code, ended.out) == (130, "")
    assert ended.err == "stopped: the same command with --resume goes on where it stopped\n"


def test_ctrl_c_while_the_program_is_loaded_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "jsonargparse.py").write_text("raise KeyboardInterrupt")
    with_it = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "unlearnable", "list"]
    ended = subprocess.run(
        command, env=with_it, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[1]
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.parametrize(("words", "name"), [(("", "out"), "SRC"), (("photos", ""), "DST")])
def test_an_empty_name_is_not_the_folder_one_is_in(
    command: Command, photos: Path, words: tuple[str, str], name: str
) -> None:
    assert f"{name} is empty" in refused(command("protect", *words, "--method", "lsp"))


def test_a_full_disk_is_one_line_and_how_to_go_on(
    command: Command, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def halted(asked: job.Job, run: Run, engine: job.Engine) -> job.Summary:
        raise job.Halted("DST 'out' takes no more: No space left on device")

    monkeypatch.setattr(job, "protect", halted)
    assert "No space left on device; once that is mended" in refused(command("protect", photos, "out"))


@pytest.mark.parametrize("bug", [RuntimeError("a bug"), KeyError("a bug")])
def test_a_bug_keeps_its_traceback(
    command: Command, photos: Path, monkeypatch: pytest.MonkeyPatch, bug: Exception
) -> None:
    def fall_over(asked: job.Job, run: Run, engine: job.Engine) -> job.Summary:
        raise bug

    monkeypatch.setattr(job, "protect", fall_over)
    with pytest.raises(type(bug), match="a bug"):
        command("protect", photos, "out")


def test_a_value_error_that_nobody_of_us_raised_is_a_bug_too(
    command: Command, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own words for a slip of ours must not be shown as the user's mistake."""
    monkeypatch.setattr(job, "protect", lambda asked, run, engine: int("x"))
    with pytest.raises(ValueError, match="invalid literal"):
        command("protect", photos, "out")


def test_a_refusal_that_nobody_caught_is_one_line(
    command: Command, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(asked: job.Job, run: Run, engine: job.Engine) -> job.Summary:
        raise Refused("cannot be read from the archive")

    monkeypatch.setattr(job, "protect", refusing)
    assert "unlearnable: cannot be read from the archive" in refused(command("protect", photos, "out"))


def test_a_name_that_standard_output_cannot_write_is_escaped(
    command: Command, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, said = photos.rename(tmp_path / "\u732b\udcff"), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(said, encoding="latin-1"))
    ended = command("protect", there, tmp_path / "out", "--method", "random", "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert rb"\u732b\udcff" in said.getvalue()


def test_whatever_a_library_prints_stays_out_of_the_answer(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def chatty(args: object, run: object) -> cli.answer.Answer:
        print("loading ...")
        return cli.answer.Answer({"a": 1}, "a")

    monkeypatch.setitem(VERBS, "list", cli.verbs.Verb("", VERBS["list"].flags, chatty))
    ended = command("list", "--json")
    assert ended.out == '{"a": 1}\n'
    assert "loading" in ended.err


def test_as_a_process_it_protects_and_loads_nothing_slow_for_it(photos: Path, tmp_path: Path) -> None:
    """As it does where nothing is asked for but pictures: PyTorch's compiler and scikit-learn take a second each."""
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
    line = [sys.executable, "-X", "importtime", "-m", "unlearnable", "protect", photos, tmp_path / "out", "--json"]
    ended = subprocess.run(line, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert list(json.loads(ended.stdout)) == PROTECT_KEYS
    loaded = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines() if line.startswith("import time:")}
    assert "unlearnable.protections" in loaded
    assert loaded.isdisjoint({"torch._dynamo", "sympy", "sklearn", "kornia", "matplotlib"})


def test_a_closed_pipe_is_quiet() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
    line = [sys.executable, "-m", "unlearnable", "--help"]
    ended = subprocess.run(line, stdout=writing, stderr=subprocess.PIPE, check=False, env=environment, timeout=60)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full", ">&-", ">&- 2>&-", "<&-"])
def test_closed_or_full_streams_do_not_stop_the_work(photos: Path, tmp_path: Path, redirected: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
    (photos / "cat" / "broken.png").write_bytes(b"no picture")  # something to say on standard error
    line = f"{sys.executable} -m unlearnable protect {photos} {tmp_path / 'out'} --method lsp --json {redirected}"
    ended = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False), ended.stderr
    assert (tmp_path / "out" / "cat" / "a.png").exists()
    if not redirected.startswith(">"):
        assert json.loads(ended.stdout)["protected"] == 4


def _heed_ctrl_c() -> None:
    """A shell starts background jobs with SIGINT ignored, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_in_the_middle_keeps_what_was_done(command: Command, tmp_path: Path) -> None:
    for i in range(30):  # and large enough that the signal comes before the end
        picture(tmp_path / "many" / f"{i}.png", i, (800, 600))
    out = tmp_path / "out"
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
    words = ["protect", str(tmp_path / "many"), str(out), "--method", "lsp"]
    line = [sys.executable, "-m", "unlearnable", *words, "--quiet"]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=_heed_ctrl_c
    ) as process:
        while process.poll() is None and not list(out.glob("*.png")):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said, complaint = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")
    assert complaint == "stopped: the same command with --resume goes on where it stopped\n"
    resumed = command(*words, "--resume", "--json")
    assert (resumed.code, resumed.json["protected"]) == (0, 30)
