"""The command line, through its real entry point: what it lists, what it refuses, and what it says then."""

import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from commands import Command, refused
from PIL import Image

from unlearnable import __version__, doctor, job
from unlearnable.cli.verbs import VERBS
from unlearnable.data import ImageSet
from unlearnable.doctor import EXTRAS, formats
from unlearnable.messages import printable
from unlearnable.models import MODELS
from unlearnable.protections import PROTECTIONS


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


def test_help_of_fit_names_the_methods(command: Command) -> None:
    ended = command("fit", "--help")
    assert ended.code == 0
    assert "Methods: one_for_all, " in " ".join(ended.out.split())


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
        (["protect", "a", "b", "--engine", "spark"], "--engine must be one of local, ray, got 'spark'"),
        (["protect", "a", "b", "--eps", "300"], "0 to 1 (for example 8/255), got 300"),
        (["protect", "a", "b", "--eps", "much"], "a fraction such as 8/255 or a number from 0 to 1, got 'much'"),
        (["protect", "a", "b", "--eps"], "--eps needs a value"),
        (["protect", "a", "b", "--eps", "-1/255"], "0 to 1 (for example 8/255), got -0.0039"),
        (["protect", "a", "b", "--seed", ""], "--seed must be a whole number, got ''"),
        (["protect", "photos", "b", "--method", ""], f"method must be one of {', '.join(PROTECTIONS)}, got ''"),
        (["protect", "photos", "b", "--method", "photos"], "'photos' is a folder that holds no fitted protection"),
        (["protect", "photos", "b", "--method", "em:"], "preset of em must be one of quick"),
        (["fit", "em:", "a", "b"], "preset of em must be one of quick"),
        (["fit", "uge", "a", "b", "--steps", "many"], "--steps must be a whole number, got 'many'"),
        (["fit", "uge", "a", "b", "--told", "flase"], "--told must be true or false, got 'flase'"),
        (["fit", "uge", "a", "b", "--surrogates", "cnn"], """a list such as '["a", "b"]', got 'cnn'"""),
        (["fit", "lsp", "photos", "photos/cat/b.jpg/x"], "lies in SRC"),
        (["evaluate", "a", "b", "c", "--adversaries", "jpeg:"], "jpeg takes quality after the colon, got ''"),
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
        (["evaluate", "a", "b", "c", "--size", "0"], "--size must be 1 to 1024, got 0"),
        (["bench", "main", "--shard", "half"], "--shard must be I/N, such as 1/4, got 'half'"),
        (["bench", "nope"], "suite must be one of"),
        (["protect", "--", "-a", "b", "--quiet"], "--quiet stands after --: flags come before it"),
        (["authorise", "train", "b", "nowhere", "o"], "PROTECTED 'nowhere' is neither a file nor a folder"),
        (["tables", "nowhere"], "nowhere"),
        (["fit", "lsp", "s3://me:secret@bucket/x", "o"], "SRC 's3://bucket/x' is an address"),
        (
            ["fit", "lsp", "s3://bucket/x", "o"],
            "SRC 's3://bucket/x' is an address, and this reads places of this machine",
        ),
        (["verify", "nowhere", "nowhere"], "SRC 'nowhere' is neither a file nor a folder"),
        (["verify", ".", "nowhere"], "DST 'nowhere' is neither a file nor a folder"),
        (["verify", "nowhere"], "DST 'nowhere' is neither a file nor a folder"),
        (["evaluate", "nowhere", ".", "."], "CLEAN 'nowhere' is neither a file nor a folder"),
        (["evaluate", "photos", "nowhere", "."], "PROTECTED 'nowhere' is neither a file nor a folder"),
        (["evaluate", "photos", "photos", "nowhere"], "TEST 'nowhere' is neither a file nor a folder"),
        (["authorise", "create", "b", "--classes", "nowhere"], "--classes 'nowhere' is neither a file nor a folder"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_is_allowed(
    command: Command, words: list[str], said: str, photos: Path
) -> None:
    assert said in refused(command(*words))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["fit", "--json", "--seed", "1", "em", "a", "b", "--train-steps", "0"],
            "train_steps must be 1 or more, got 0",
        ),
        (["fit", "--seed=1", "em", "a", "b", "--train_steps=0"], "train_steps must be 1 or more, got 0"),
        (["fit", "em", "a", "b", "--train-step=0"], "unknown flag --train-step: did you mean --train_steps?"),
        (["authorise", "--json", "create"], "BUNDLE and classes missing"),
        (["fit", "--json"], "fit begins with a method"),
    ],
)
def test_common_flags_may_stand_before_a_method_and_fields_be_spelled_with_hyphens(
    command: Command, words: list[str], said: str
) -> None:
    assert said in refused(command(*words))


def test_names_are_a_list_in_a_recipe_where_they_are_a_text_with_commas_in_a_shell(command: Command) -> None:
    Path("recipe.yaml").write_text("adversaries: [standard, burglar]\nmodels: [cnn]\n")
    assert "got 'burglar'" in refused(command("evaluate", "a", "b", "c", "--config", "recipe.yaml"))


def test_a_recipe_with_an_unknown_key_names_the_nearest(command: Command) -> None:
    for key, meant in {"lables": "labels", "SRC": "source", "DST": "destination"}.items():
        Path("recipe.yaml").write_text(f"{key}: none\n")
        assert f"did you mean {meant}?" in refused(command("protect", "a", "b", "--config", "recipe.yaml"))
    Path("recipe.yaml").write_text("qqq: none\n")
    said = refused(command("protect", "a", "b", "--config", "recipe.yaml"))
    assert "there are source, destination, " in said
    assert "print" not in said


@pytest.mark.parametrize("value", ['"false"', "flase", "1", "[]"])
def test_a_switch_in_a_recipe_is_true_or_false(command: Command, photos: Path, value: str) -> None:
    """Words count as true: overwrite: "false" began anew, and removed what was there."""
    Path("recipe.yaml").write_text(f"overwrite: {value}\n")
    said = refused(command("protect", photos, "out", "--method", "lsp", "--config", "recipe.yaml"))
    assert "--overwrite must be true or false in a recipe, without quotes, got " in said
    assert not Path("out").exists()
    Path("recipe.yaml").write_text("dry_run: true\noverwrite: false\n")
    assert command("protect", photos, "out", "--method", "lsp", "--config", "recipe.yaml").code == 0
    assert not Path("out").exists()


def test_a_list_where_a_value_belongs_is_one_line(command: Command) -> None:
    Path("recipe.yaml").write_text("eps: [1, 2]\n")
    said = refused(command("protect", "a", "b", "--config", "recipe.yaml"))
    assert "--eps must be a number or text, got '[1, 2]'" in said


@pytest.mark.parametrize("text", ["labels: [none\n", "- 3\n", ""])
def test_a_recipe_that_is_no_yaml_of_flags_is_refused(command: Command, text: str) -> None:
    Path("recipe.yaml").write_text(text)
    assert "--config must be YAML" in refused(command("protect", "a", "b", "--config", "recipe.yaml"))


@pytest.mark.parametrize("verb", ["protect", "verify"])
def test_a_recipe_that_is_a_picture_is_refused(command: Command, verb: str, photos: Path) -> None:
    said = refused(command(verb, "a", "b", "--config", photos / "cat" / "b.jpg"))
    assert "--config must be YAML of the form flag: value, got a file that is no text" in said


def test_list_as_json_names_everything(command: Command) -> None:
    found = command("list", "--json").json
    assert list(found) == ["protections", "adversaries", "models", "encoders", "suites"]
    protections = found["protections"]
    assert isinstance(protections, list)
    assert [entry["name"] for entry in protections] == list(PROTECTIONS)
    assert all(list(entry) == ["name", "paper", "needs_labels", "transfers"] for entry in protections)
    assert all(re.search("arXiv|PMLR", entry["paper"]) for entry in protections)
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


def test_doctor_knows_every_extra() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS) == project["optional-dependencies"].keys() - {"dev", "docs", "slow"}


def test_doctor_says_no_of_a_package_that_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pillow_heif.py").write_text("raise OSError('libheif.so.1 is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pillow_heif", raising=False)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    assert formats()["HEIF"] == "no"


@pytest.mark.parametrize(
    ("broken", "said"),
    [("release", "rounding"), ("Image.fromarray", "PNG files"), ("apply", "same seed"), ("protection", "same seed")],
)
def test_the_doctor_sees_what_is_broken(
    broken: str, said: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cuts off instead of rounding, loses the lowest bit, takes another seed every time, or falls over."""
    image, seeds = Image.fromarray, iter(range(100))

    def other(found: object, data: ImageSet, *budget: object) -> ImageSet:
        return data.with_images(torch.full_like(data.images, next(seeds)))

    wrong: dict[str, object] = {
        "release": lambda images, proposed, budget: (proposed.clamp(0, 1) * 254.9).byte(),
        "Image.fromarray": lambda pixels: image(pixels & 0xFE), "apply": other, "protection": lambda name: 1 / 0,
    }  # fmt: skip
    monkeypatch.setattr(f"{doctor.__name__}.{broken}", wrong[broken])
    ended = command("doctor")
    assert ended.code == 1
    (line,) = [line for line in ended.out.splitlines() if said in line]
    assert "FAILED" in line


def test_doctor_says_what_to_do_where_a_check_fails(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNABLE_DATA", "/nowhere/at/all")
    ended = command("doctor")
    assert ended.code == 1
    assert "FAILED" in ended.out
    assert "set it to a folder, or unset it" in ended.out


def test_names_are_printable_whatever_bytes_they_hold() -> None:
    assert printable("a\nb\x1b[2J\udcff\u202e ü") == r"a\nb\x1b[2J\udcff\u202e ü"
