"""The command line, through its real entry point: what it prints, where, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest
from pictures import write_digits
from PIL import Image

from unlearnable import __version__, cli, job
from unlearnable.adversaries import SHORT
from unlearnable.cli import main
from unlearnable.cli.answer import printable
from unlearnable.cli.measuring import matching
from unlearnable.cli.progress import Lines, duration, listening
from unlearnable.cli.verbs import VERBS
from unlearnable.experiment import Cell
from unlearnable.models import MODELS
from unlearnable.protections import PROTECTIONS
from unlearnable.run import Progress, Run
from unlearnable.suites import SUITES

PROTECT_KEYS = ["protected", "copied", "failed", "max_abs_delta", "seconds", "images_per_second", "method", "eps"]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        """The one JSON object that must be all of standard output."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out
        found = json.loads(lines[0])
        assert isinstance(found, dict)
        return found


Command = Callable[..., Ended]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> Ended:
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (24, 20)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    level = np.add.outer(np.arange(size[1]) * 5, np.arange(size[0]) * 4) + 7 * seed
    Image.fromarray(np.stack([level % 200, level % 190, level % 180], -1).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of two pictures, and a file that is no picture."""
    folder = tmp_path / "photos"
    for i, name in enumerate(("cat/a.png", "cat/b.jpg", "dog/a.png", "dog/c.png")):
        picture(folder / name, i)
    (folder / "notes.txt").write_text("mine")
    return folder


def refused(ended: Ended) -> str:
    """What a command that could not start said: one line on standard error, and nothing else anywhere."""
    assert ended.code == 2, ended
    assert ended.out == ""
    assert ended.err.count("\n") == 1, ended.err
    assert "Traceback" not in ended.err
    assert "usage" not in ended.err
    return ended.err


def test_help_lists_every_verb(command: Command) -> None:
    ended = command("--help")
    assert ended.code == 0
    assert all(f"  {verb} " in ended.out for verb in VERBS)


def test_version(command: Command) -> None:
    assert command("--version").out == f"unlearnable {__version__}\n"


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "fit"])
def test_every_verb_has_help_and_the_common_flags(command: Command, verb: str) -> None:
    ended = command(verb, "--help")
    assert ended.code == 0
    assert all(flag in ended.out for flag in ("--json", "--seed", "--device", "--config", "--quiet"))


@pytest.mark.parametrize("method", PROTECTIONS)
def test_fit_has_a_flag_for_every_field_of_the_method(command: Command, method: str) -> None:
    ended = command("fit", method, "--help")
    assert ended.code == 0
    names = {field.name for field in fields(PROTECTIONS[method])} - {"budget"}  # type: ignore[arg-type]
    assert all(f"--{name}" in ended.out for name in names | {"eps", "size", "labels"})


def test_help_and_version_do_not_wait_for_torch() -> None:
    """Two seconds of import for a line of help is what makes a command line feel broken."""
    code = "import sys; from unlearnable.cli import main; main(['--version']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_the_default_method_in_help_is_that_of_the_job(command: Command) -> None:
    assert f"(default: {job.DEFAULT_METHOD})" in " ".join(command("protect", "--help").out.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the verbs are protect, fit"),
        (["protcet", "a", "b"], "did you mean protect?"),
        (["--json", "list"], "the verb comes before --json"),
        (["protect", "a"], "DST missing: the form is unlearnable protect SRC DST"),
        (["protect", "a", "b", "c"], "'c' is one argument too many"),
        (["protect", "a", "b", "--metod", "em"], "unknown flag --metod: did you mean --method?"),
        (["protect", "a", "b", "--labels", "x"], "--labels must be one of auto, folders, none, got 'x'"),
        (["protect", "a", "b", "--format", "gif"], "--format must be one of keep, png, webp, got 'gif'"),
        (["protect", "a", "b", "--engine", "ray"], "--engine must be one of local, got 'ray'"),
        (["protect", "a", "b", "--eps", "300"], "0 to 1 (for example 8/255), got 300"),
        (["protect", "a", "b", "--eps", "much"], "a fraction such as 8/255 or a number from 0 to 1, got 'much'"),
        (["protect", "a", "b", "--eps"], "--eps needs a value"),
        (["protect", "a", "b", "--resume=1"], "--resume takes no value"),
        (["protect", "a", "b", "--resume", "--overwrite"], "choose one of them"),
        (["protect", "nowhere", "b"], "nowhere"),
        (["protect", ".", "out", "--method", "emm"], f"method must be one of {', '.join(PROTECTIONS)}, got 'emm'"),
        (["protect", "a", "b", "--config", "none.yaml"], "none.yaml"),
        (["list", "--seed", "x"], "--seed must be a whole number, got 'x'"),
        (["list", "--device", "tpu"], "--device must be one of auto, cpu, cuda, got 'tpu'"),
        (["fit"], f"one of {', '.join(PROTECTIONS)}"),
        (["fit", "emm", "a", "b"], f"method must be one of {', '.join(PROTECTIONS)}, got 'emm'"),
        (["fit", "em:nope", "a", "b"], "preset of em must be one of quick"),
        (["fit", "em", "a", "b", "--scope", "pixel"], "--scope must be one of sample, class, got 'pixel'"),
        (["fit", "em", "a", "b", "--rounds", "many"], "--rounds must be a whole number, got 'many'"),
        (["fit", "em", "a", "b", "--lr", "fast"], "--lr must be a number, got 'fast'"),
        (["fit", "em", "a", "b", "--patch", "3"], "unknown flag --patch"),
        (["evaluate", "a", "b", "c", "--adversaries", "burglar"], "adversary must be one of standard"),
        (["evaluate", "a", "b", "c", "--models", "vgg"], f"model must be one of {', '.join(MODELS)}, module:function"),
        (["evaluate", "a", "b", "c", "--models", ","], "need a name at least"),
        (["evaluate", "a", "b", "c", "--size", "big"], "--size must be a whole number, got 'big'"),
        (["evaluate", "a", "b", "c", "--size", "0"], "--size must be 1 or more, got 0"),
        (["bench", "main", "--shard", "half"], "--shard must be I/N, such as 1/4, got 'half'"),
        (["bench", "nope"], "suite must be one of"),
        (["tables", "nowhere"], "nowhere"),
        (["verify", "nowhere", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_is_allowed(command: Command, words: list[str], said: str) -> None:
    assert said in refused(command(*words))


def test_a_recipe_with_an_unknown_key_names_the_nearest(command: Command) -> None:
    Path("recipe.yaml").write_text("lables: none\n")
    assert "did you mean labels?" in refused(command("protect", "a", "b", "--config", "recipe.yaml"))


@pytest.mark.parametrize("text", ["labels: [none\n", "- 3\n"])
def test_a_recipe_that_is_no_yaml_of_flags_is_refused(command: Command, text: str) -> None:
    Path("recipe.yaml").write_text(text)
    assert "--config must be YAML" in refused(command("protect", "a", "b", "--config", "recipe.yaml"))


def test_list_as_json_names_everything(command: Command) -> None:
    found = command("list", "--json").json
    assert list(found) == ["protections", "adversaries", "models", "encoders", "suites"]
    protections = found["protections"]
    assert isinstance(protections, list)
    assert [entry["name"] for entry in protections] == list(PROTECTIONS)
    assert all(list(entry) == ["name", "paper", "needs_labels", "transfers"] for entry in protections)
    assert all("arXiv" in entry["paper"] for entry in protections)
    assert found["encoders"] == ["mini", "clip"]
    assert "standard" in str(found["adversaries"])


def test_list_as_text_names_everything(command: Command) -> None:
    out = command("list").out
    assert all(name in out for name in [*PROTECTIONS, *MODELS, "standard"])


def test_doctor_says_what_is_here_and_that_all_is_well(command: Command) -> None:
    found = command("doctor", "--json").json
    assert found["well"] is True
    assert {"python", "packages", "device", "cores", "native_bf16", "formats", "memory_free_gb", "extras"} <= set(found)
    assert "ok" in command("doctor").out


def test_doctor_says_what_to_do_where_a_check_fails(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNABLE_DATA", "/nowhere/at/all")
    ended = command("doctor")
    assert ended.code == 1
    assert "FAILED" in ended.out
    assert "set it to a folder, or unset it" in ended.out


def test_protect_prints_exactly_the_promised_keys(command: Command, photos: Path) -> None:
    ended = command("protect", photos, "out", "--json", "--eps", "4/255")
    assert ended.code == 0
    said = ended.json
    assert list(said) == PROTECT_KEYS
    assert (said["protected"], said["copied"], said["failed"]) == (4, 1, 0)
    assert (said["max_abs_delta"], said["method"], said["eps"]) == (4, "lsp", "4/255")
    assert Path("out/cat/b.png").exists()


def test_protect_for_people_says_the_same_and_how_to_check_it(command: Command, photos: Path) -> None:
    ended = command("protect", photos, "out")
    assert ended.out.startswith("4 protected, 1 copied, 0 failed in ")
    assert f"unlearnable verify {photos} out" in ended.out


def test_a_failed_item_is_named_on_stderr_and_counted(command: Command, photos: Path) -> None:
    (photos / "cat" / "broken\n.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    ended = command("protect", photos, "out", "--json", "--quiet")
    assert ended.code == 1
    assert ended.json["failed"] == 1
    (line,) = ended.err.splitlines()
    assert line.startswith(r"failed: cat/broken\n.png: ")


def test_a_dry_run_writes_nothing(command: Command, photos: Path) -> None:
    ended = command("protect", photos, "out", "--dry-run", "--json")
    assert ended.code == 0
    assert list(ended.json) == PROTECT_KEYS
    assert (ended.json["protected"], ended.json["seconds"]) == (4, None)
    assert not Path("out").exists()
    assert "nothing was written" in command("protect", photos, "out", "--dry-run").out


def test_protect_goes_on_or_starts_anew_only_when_told(command: Command, photos: Path) -> None:
    assert command("protect", photos, "out").code == 0
    assert "--resume" in refused(command("protect", photos, "out"))
    assert command("protect", photos, "out", "--resume").code == 0
    assert command("protect", photos, "out", "--overwrite", "--seed", "3").code == 0


def test_the_same_seed_gives_the_same_bytes(command: Command, photos: Path) -> None:
    for out, seed in (("one", "5"), ("two", "5"), ("three", "6")):
        command("protect", photos, out, "--seed", seed)
    one, two, three = ((Path(out) / "cat" / "a.png").read_bytes() for out in ("one", "two", "three"))
    assert one == two != three


def test_what_is_typed_wins_over_a_recipe_and_a_recipe_over_defaults(command: Command, photos: Path) -> None:
    Path("recipe.yaml").write_text("method: random\neps: 2/255\nseed: 3\n")
    by_recipe = command("protect", photos, "one", "--json", "--config", "recipe.yaml").json
    assert (by_recipe["method"], by_recipe["eps"]) == ("random", "2/255")
    typed = command("protect", photos, "two", "--eps", "3/255", "--config=recipe.yaml", "--json").json
    assert (typed["method"], typed["eps"]) == ("random", "3/255")


def test_verify_finds_what_was_changed_and_what_is_missing(command: Command, photos: Path) -> None:
    command("protect", photos, "out")
    ended = command("verify", photos, "out", "--json")
    assert (ended.code, list(ended.json)) == (0, ["checked", "bad", "max_abs_delta", "missing"])
    assert ended.json["bad"] == ended.json["missing"] == 0
    picture(Path("out/cat/a.png"), 40)
    Path("out/dog/a.png").unlink()
    ended = command("verify", photos, "out", "--json", "--quiet")
    assert (ended.code, ended.json["bad"], ended.json["missing"]) == (1, 1, 1)
    assert [line.rpartition(": ")[0].split(": ")[1] for line in ended.err.splitlines()] == ["cat/a.png", "dog/a.png"]


def test_a_fitted_method_protects(command: Command, photos: Path) -> None:
    said = command("fit", "lsp", photos, "fitted", "--eps", "2/255", "--patch", "4", "--size", "16", "--json").json
    assert said == {"method": "lsp", "eps": "2/255", "out": "fitted"}
    config = json.loads(Path("fitted/config.json").read_text())
    assert config["protection"]["patch"] == 4
    said = command("protect", photos, "out", "--method", "fitted", "--json").json
    assert (said["protected"], said["max_abs_delta"], said["eps"]) == (4, 2, "2/255")


def test_the_values_of_a_preset_are_the_defaults_and_can_be_changed(command: Command, photos: Path) -> None:
    Path("recipe.yaml").write_text("rounds: 1\ntrain_steps: 2\n")
    assert command("fit", "em:class-quick", photos, "fitted", "--size", "16", "--config", "recipe.yaml").code == 0
    about = json.loads(Path("fitted/config.json").read_text())["protection"]
    preset = PROTECTIONS["em"].presets["class-quick"]
    assert (about["rounds"], about["train_steps"]) == (1, 2)
    assert (about["scope"], about["model"]) == (preset["scope"], preset["model"])


def test_protect_verify_evaluate_on_a_folder_of_digits(command: Command, tmp_path: Path) -> None:
    clean, test = write_digits(tmp_path / "clean", 8), write_digits(tmp_path / "test", 4, first=8)
    assert command("protect", clean, "out", "--json").json["protected"] == 80
    assert command("verify", clean, "out", "--json").json["checked"] == 80
    Path("recipe.yaml").write_text("epochs: 3\nmodels: cnn,lenet\n")
    ended = command("evaluate", clean, "out", test, "--json", "--config", "recipe.yaml", "--out", "report")
    said = ended.json
    assert list(said) == ["rows", "flags"]
    rows, flags = said["rows"], said["flags"]
    assert isinstance(rows, list)
    assert isinstance(flags, list)
    assert [row["model"] for row in rows] == ["cnn", "lenet"] * len(SHORT)
    assert [row["adversary"] for row in rows[::2]] == list(SHORT)
    wanted = {"adversary", "model", "seed", "clean_acc", "protected_acc", "best_protected_acc", "train_acc"}
    assert wanted <= set(rows[0])
    assert "few-seeds" in flags
    assert any(Path("report").iterdir())


def test_evaluate_for_people_is_a_table(command: Command, tmp_path: Path) -> None:
    clean = write_digits(tmp_path / "clean", 3)
    ended = command("evaluate", clean, clean, clean, "--epochs", "1", "--rate", "0.5", "--relabel", "kmeans:4")
    assert ended.code == 0
    assert "|" in ended.out
    assert "standard" in ended.out


def test_evaluate_refuses_a_protected_folder_that_lacks_pictures(command: Command, tmp_path: Path) -> None:
    clean = write_digits(tmp_path / "clean", 2)
    command("protect", clean, "out")
    next(Path("out/3").glob("*.png")).unlink()
    assert "lacks 1 of 20 pictures" in refused(command("evaluate", clean, "out", clean))


def test_bench_fills_what_is_missing_and_tables_shows_it(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [Cell("digits", name, model="lenet", epochs=1) for name in ("clean", "random")]
    monkeypatch.setitem(SUITES, "two", lambda tier: cells)
    assert command("bench", "two", "--shard", "1/2", "--json").json == {
        "measured": 1, "already": 0, "failed": 0, "out": "results"
    }  # fmt: skip
    seeded = [Cell("digits", "clean", model="lenet", epochs=1, seed=seed) for seed in range(3)]
    monkeypatch.setitem(SUITES, "seeded", lambda tier: seeded)
    assert command("bench", "seeded", "--seeds", "1", "--json").json["already"] == 1
    assert "--seeds must be 1 or more, got 0" in refused(command("bench", "seeded", "--seeds", "0"))
    assert command("bench", "two").out.startswith("1 cells measured, 1 were there; as a table: unlearnable tables")
    ended = command("tables", "results")
    assert "| `random` |" in ended.out
    assert command("tables", "results", "--json").json == {"markdown": ended.out.rstrip("\n")}
    assert "with 1 <= i <= n, got 3/2" in refused(command("bench", "two", "--shard", "3/2"))


def test_rows_are_matched_by_name_whatever_the_suffix_became() -> None:
    names = ("a/x.jpg", "a/x.png", "b/y.jpg", "c/z.png")
    copied = ("b/y.png", "a/x.jpg.png", "c/q.png", "a/x.png")
    assert matching(names, copied) == [1, 3, 0, None]
    assert matching(("a/x.jpg", "a/x.png"), ("a/x.png",)) == [None, 0]


def test_names_are_printable_whatever_bytes_they_hold() -> None:
    assert printable("a\nb\x1b[2J\udcff\u202e ü") == r"a\nb\x1b[2J\udcff\u202e ü"


def test_off_a_terminal_progress_is_a_line_now_and_then() -> None:
    now, lines = [0.0], list[str]()
    listener = Lines(lines.append, every=10.0, now=lambda: now[0])
    for second in range(35):
        now[0] = float(second)
        listener(Progress("em", 2 * second, 100, {"error": 0.25}))
    assert len(lines) == 3
    assert lines[0] == "em 20/100, 2/s, 40 s left, error 0.25"


def test_a_stage_that_starts_again_is_timed_anew() -> None:
    now, lines = [0.0], list[str]()
    listener = Lines(lines.append, every=10.0, now=lambda: now[0])
    for at, done in ((0, 0), (9, 9), (9, 0), (19, 5)):
        now[0] = float(at)
        listener(Progress("train", done, 10, {}))
    assert lines == ["train 5/10, 0.5/s, 10 s left"]


def test_a_line_shows_what_a_stage_is_part_of() -> None:
    now, lines = [0.0], list[str]()
    listener = Lines(lines.append, every=10.0, now=lambda: now[0])
    for at, stage, done in ((0, "labels", 6), (1, "evaluate", 2), (12, "train", 3)):
        now[0] = float(at)
        listener(Progress(stage, done, 6, {}))
    assert lines == ["evaluate 2/6; train 3/6"]


def test_progress_goes_to_stderr_and_quiet_silences_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    for quiet in (False, True):
        with listening(quiet) as listener:
            listener(Progress("em", 1, 4, {"error": 0.5}))
            listener(Progress("em", 4, 4, {}))
            listener(Progress("em", 0, 4, {}))
        said = capsys.readouterr()
        assert said.out == ""
        assert ("em" in said.err) is not quiet


@pytest.mark.parametrize(("seconds", "text"), [(7.6, "8 s"), (200.0, "3 min 20 s"), (7500.0, "2 h 05 min")])
def test_durations_read_like_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_ctrl_c_says_how_to_go_on(command: Command, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(asked: job.Job, run: Run) -> job.Summary:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "protect", interrupted)
    ended = command("protect", photos, "out")
    assert (ended.code, ended.out) == (130, "")
    assert ended.err == "stopped: the same command with --resume goes on where it stopped\n"


def test_a_full_disk_is_one_line_and_how_to_go_on(
    command: Command, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def halted(asked: job.Job, run: Run) -> job.Summary:
        raise job.Halted("DST 'out' takes no more: No space left on device")

    monkeypatch.setattr(job, "protect", halted)
    assert "No space left on device; once that is mended" in refused(command("protect", photos, "out"))


@pytest.mark.parametrize("bug", [RuntimeError("a bug"), KeyError("a bug")])
def test_a_bug_keeps_its_traceback(
    command: Command, photos: Path, monkeypatch: pytest.MonkeyPatch, bug: Exception
) -> None:
    def fall_over(asked: job.Job, run: Run) -> job.Summary:
        raise bug

    monkeypatch.setattr(job, "protect", fall_over)
    with pytest.raises(type(bug), match="a bug"):
        command("protect", photos, "out")


def test_a_value_error_that_nobody_of_us_raised_is_a_bug_too(
    command: Command, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own words for a slip of ours must not be shown as the user's mistake."""
    monkeypatch.setattr(job, "protect", lambda asked, run: int("x"))
    with pytest.raises(ValueError, match="invalid literal"):
        command("protect", photos, "out")


def test_whatever_a_library_prints_stays_out_of_the_answer(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def chatty(args: object, run: object) -> cli.answer.Answer:
        print("loading ...")
        return cli.answer.Answer({"a": 1}, "a")

    monkeypatch.setitem(VERBS, "list", cli.verbs.Verb("", VERBS["list"].flags, chatty))
    ended = command("list", "--json")
    assert ended.out == '{"a": 1}\n'
    assert "loading" in ended.err


def started(*words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
    line = [sys.executable, "-m", "unlearnable", *words]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment, timeout=120)


def test_as_a_process_it_protects(photos: Path, tmp_path: Path) -> None:
    ended = started("protect", str(photos), str(tmp_path / "out"), "--json")
    assert ended.returncode == 0, ended.stderr
    assert list(json.loads(ended.stdout)) == PROTECT_KEYS
    ended = started("protect", str(photos), str(tmp_path / "out"), "--json")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


def test_a_closed_pipe_is_quiet() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
    line = [sys.executable, "-m", "unlearnable", "--help"]
    ended = subprocess.run(line, stdout=writing, stderr=subprocess.PIPE, check=False, env=environment, timeout=60)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


def _heed_ctrl_c() -> None:
    """A shell starts background jobs with SIGINT ignored, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_in_the_middle_keeps_what_was_done(tmp_path: Path) -> None:
    for i in range(60):  # large enough that the signal comes before the end
        picture(tmp_path / "many" / f"{i}.png", i, (800, 600))
    out = tmp_path / "out"
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
    line = [sys.executable, "-m", "unlearnable", "protect", str(tmp_path / "many"), str(out), "--quiet"]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=_heed_ctrl_c
    ) as process:
        while process.poll() is None and not list(out.glob("*.png")):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said, complaint = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")
    assert complaint == "stopped: the same command with --resume goes on where it stopped\n"
    resumed = started("protect", str(tmp_path / "many"), str(out), "--resume", "--json")
    assert (resumed.returncode, json.loads(resumed.stdout)["protected"]) == (0, 60)
