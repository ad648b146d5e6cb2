"""authorise through the real entry point: what its actions print, how they end, and that they are named when asked."""

import json
import re
import shutil
from pathlib import Path

import pytest
from commands import Command, refused
from pictures import write_digits

from unlearnable import authorisation
from unlearnable.cli.authorising import ACTIONS

TINY = ("--model", "lenet", "--epochs", "1", "--lr", "0.03", "--batch", "16", "--augment", "crop", "--seed", "4")


@pytest.fixture
def signed(command: Command, tmp_path: Path) -> Path:
    """A folder, the current one, with everything that the receiver of a bundle has, and the owner's key."""
    write_digits(tmp_path / "protected", 3)
    write_digits(tmp_path / "test", 2, first=3)
    (tmp_path / "policy.txt").write_text("For research alone.\n")
    said = command("authorise", "create", "bundle", "--classes", "protected", *TINY, "--json").json
    assert (said["bundle"], said["model"], said["size"], said["seed"]) == ("bundle", "lenet", 16, 4)
    made = command("authorise", "key", "key.pem", "--json").json
    words = ("sign", "bundle", "protected", "--key", "key.pem", "--policy", "policy.txt", "--test", "test")
    ended = command("authorise", *words, "--json", "--quiet")
    assert (ended.code, ended.json["key"], ended.json["pictures"]) == (0, made["fingerprint"], 30)
    assert list(ended.json) == ["bundle", "key", "pictures", "accuracy"]
    return tmp_path


def test_from_a_signed_bundle_to_the_same_network(command: Command, signed: Path) -> None:
    ended = command("authorise", "verify", "bundle", "protected", "--key", "key.pub")
    assert ended.code == 0
    assert ended.out.startswith("all is as signed: 30 pictures and the files of the bundle; by the key you trust, ")
    said = command("authorise", "verify", "bundle", "--json").json
    assert list(said) == ["well", "key", "trusted", "pictures", "problems"]
    assert (said["well"], said["trusted"], said["pictures"], said["problems"]) == (True, False, 0, [])
    ended = command("authorise", "train", "bundle", "protected", "out", "--test", "test", "--seed", "9", "--json")
    assert (ended.code, ended.json["outcome"], ended.json["trusted"]) == (0, "exactly", False)
    assert ended.json["accuracy"] == ended.json["protector_accuracy"]
    assert sorted(path.name for path in Path("out").iterdir()) == ["config.json", "network.safetensors"]
    words = ("authorise", "train", "bundle", "protected", "again", "--key", "key.pub")
    assert command(*words).out.startswith("not tested: give --test; the protector's was 0.")
    ended = command("authorise", "inspect", "bundle")
    assert "lenet, 16 pixels\n" in ended.out
    assert "policy     For research alone." in ended.out
    assert ended.out.endswith("nothing of this was verified: unlearnable authorise verify\n")
    assert command("authorise", "inspect", "bundle", "--json").json["pictures"] == 30


def test_what_differs_is_named_and_counted_and_not_trained_from(command: Command, signed: Path) -> None:
    gone = sorted((signed / "protected" / "3").iterdir())[:2]
    for path in gone:
        path.unlink()
    ended = command("authorise", "verify", "bundle", "protected", "--json", "--quiet")
    assert (ended.code, ended.json["well"]) == (1, False)
    names = [f"3/{path.name}" for path in gone]
    assert ended.err.splitlines() == [f"failed: {name}: is missing among the protected pictures" for name in names]
    said = refused(command("authorise", "train", "bundle", "protected", "out", "--quiet"))
    assert f"bundle cannot be trained from: {names[0]}: is missing" in said
    assert not Path("out").exists()
    ended = command("authorise", "verify", "bundle", "protected")
    assert ended.out == "not as signed: 2 problems; train refuses it\n"


def test_an_accuracy_on_other_pictures_is_not_compared(command: Command, signed: Path) -> None:
    shutil.rmtree("test")
    write_digits(signed / "test", 2, first=8)
    ended = command("authorise", "train", "bundle", "protected", "out", "--test", "test")
    assert ended.code == 0
    assert ": not comparable" in ended.out
    assert "the protector tested on other pictures" in ended.out


def test_an_accuracy_that_is_not_reproduced_ends_in_1(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    verified = authorisation.Verified((), key="0" * 64)
    done = authorisation.Trained(verified, 0.31, 0.62, "not reproduced", ("threads is 1 here, was \x1b[2J2\nx",))
    monkeypatch.setattr(authorisation, "train", lambda *words: done)
    ended = command("authorise", "train", "bundle", "protected", "out", "--test", "test")
    assert ended.code == 1
    first, second, _ = ended.out.splitlines()
    assert first == "accuracy 0.3100; the protector's was 0.6200: not reproduced"
    assert second == r"threads is 1 here, was \x1b[2J2\nx"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "authorise begins with one of create, key, release, sign, verify, train, inspect"),
        (["--json"], "authorise begins with one of create"),
        (["cretae", "bundle"], "unknown action 'cretae' of authorise: did you mean create?"),
        (["create", "bundle"], "classes missing: the form is unlearnable authorise create BUNDLE [flags]"),
        (["create", "bundle", "--classes", "nowhere"], "'nowhere' is neither a file nor a folder"),
        (["create", "bundle", "--classes", "1"], "classes must be 2 to 1,000,000, got 1"),
        (["create", "bundle", "--classes", "99999999999"], "classes must be 2 to 1,000,000, got 99999999999"),
        (["create", "bundle", "--classes", "10", "--size", "-3"], "size must be 1 to 1,024, got -3"),
        (["create", "bundle", "--classes", "10", "--model", "alexnet"], "model must be one of cnn, lenet"),
        (["create", "bundle", "--classes", "10", "--model", "own:make"], "model must be one of cnn, lenet"),
        (["create", "bundle", "--classes", "10", "--epochs", "0"], "epochs must be 1 to 1,000,000, got 0"),
        (["create", "bundle", "--classes", "10", "--lr", "-1"], "lr must be 0 to 1,000,000, got -1"),
        (["create", "bundle", "--classes", "10", "--weights", "x.safetensors"], "weights 'x.safetensors' are no file"),
        (["create", "bundle", "--classes", "10", "--augment", "x"], "--augment must be one of crop_flip, crop"),
        (["key"], "KEY.pem missing"),
        (["sign", "nowhere", "photos", "--key", "k.pem"], "BUNDLE 'nowhere' is no folder"),
        (["sign", "nowhere", "photos"], "key missing"),
        (["verify", "nowhere"], "BUNDLE 'nowhere' is no folder"),
        (["verify", "photos", "--key", "k.pub"], "KEY 'k.pub' is no file"),
        (["train", "nowhere", "photos", "out"], "BUNDLE 'nowhere' is no folder"),
        (["inspect", "photos"], "photos lacks bundle.json: it is no bundle"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(command: Command, photos: Path, words: list[str], said: str) -> None:
    assert said in refused(command("authorise", *words))
    assert not Path("bundle").exists()


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_help(command: Command, action: str) -> None:
    ended = command("authorise", action, "--help")
    assert ended.code == 0
    assert all(flag in ended.out for flag in ("--json", "--seed", "--device"))
    assert action in command("authorise", "--help").out


def test_a_strangers_words_cannot_pass_for_ours(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    network = {"model": "lenet", "size": 16, "classes": ["cat", "\x1b[2Jdog"], "recipe": {"epochs": 1}}
    found = {"network": network, "statement": {"tested": None}, "pictures": 2, "signed_by": "0" * 64}
    monkeypatch.setattr(authorisation, "inspect", lambda path: found | {"policy": "None.\x1b[2J\naccuracy   1.0000\n"})
    lines = command("authorise", "inspect", "bundle").out.splitlines()
    assert lines[1] == r"classes    2, cat, \x1b[2Jdog"
    assert lines[-3:-1] == [r"policy     None.\x1b[2J", "           accuracy   1.0000"]
    network["classes"] = list("abcdef")
    assert "classes    6, a, b, c, d, e and so on\n" in command("authorise", "inspect", "bundle").out


def test_nothing_is_written_over(command: Command, photos: Path) -> None:
    assert command("authorise", "key", "key.pem").code == 0
    assert "is there already" in refused(command("authorise", "key", "key.pem"))
    before = json.dumps(sorted(str(path) for path in photos.rglob("*")))
    said = refused(command("authorise", "create", photos, "--classes", "2", "--model", "lenet"))
    assert "holds something already: name a new folder" in said
    assert before == json.dumps(sorted(str(path) for path in photos.rglob("*")))


def test_the_python_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parent.parent / "docs" / "authorise.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert capsys.readouterr().out.startswith("(0.")


def test_the_weights_are_anybodys_guess_only_where_a_seed_is_named(command: Command) -> None:
    words = ("--classes", "3", "--size", "16", "--model", "lenet")
    seeds = []
    for name, form in (("one", ["--json"]), ("other", [])):
        said = command("authorise", "create", name, *words, *form).out
        said += command("authorise", "inspect", name, *form).out
        seeds.append(json.loads(Path(name, "bundle.json").read_text())["seed"])
        assert str(seeds[-1]) not in said
    assert min(seeds) > 1 << 40
    assert seeds[0] != seeds[1]
    assert command("authorise", "create", "named", *words, "--seed", "0", "--json").json["seed"] == 0
