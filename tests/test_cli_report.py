"""unlearnable report: what it says, signs and refuses."""

import json
import re
import shutil
import sqlite3
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from commands import Command, refused
from jobs import crop, everything, folder, job, put
from pictures import write_digits

KEYS = {"is", "format", "done", "checked", "problems", "fidelity", "survival", "learnability", "records", "provenance",
        "signed"}  # fmt: skip


@pytest.fixture
def done(tmp_path: Path) -> tuple[Path, Path]:
    source = folder(tmp_path / "src", 4, crop)
    put(source / "cat" / "photo.jpg", crop(5))
    put(source / "cat" / "<b>.png", crop(6).convert("L"))
    put(source / "cat" / "tiny.png", crop(7, 5, 4))
    put(source / "dog" / "deep.png", crop(8).convert("I;16"))
    put(source / "dog" / "seen.webp", crop(9), lossless=True)
    put(source / "notes.txt", b"notes")
    put(source / "dog" / "broken.png", b"no picture")
    job(source, tmp_path / "dst", signals=True)
    return source, tmp_path / "dst"


def key(tmp_path: Path, command: Command) -> Path:
    if find_spec("cryptography") is None:
        pytest.skip("needs the extra `authorise`")
    assert command("authorise", "key", tmp_path / "key.pem").code == 0
    return tmp_path / "key.pem"


def test_what_was_done_and_what_is_left(done: tuple[Path, Path], command: Command) -> None:
    before = everything(done[1]), everything(done[0])
    ended = command("report", *done, "--json", "--quiet")
    said = ended.json
    assert said.keys() == KEYS
    assert ended.code == 1  # a file of SRC could not be protected
    assert "failed: dog/broken.png: not protected: not a picture" in ended.err
    about = said["done"]
    assert (about["method"], about["protection"], about["eps"]) == ("lsp", "lsp", "8/255")
    assert (about["protected"], about["copied"], about["failed"]) == (9, 1, 1)
    assert (about["version"], about["signals"]["pictures"]) == (said["provenance"]["version"], 9)
    assert said["checked"] == {"checked": 9, "bad": 0, "missing": 1, "max_abs_delta": 8}
    fidelity = said["fidelity"]
    assert fidelity["max_abs_delta"] == 8
    assert 25 < fidelity["lowest_psnr"] <= fidelity["psnr"] < 40
    assert 0.3 < fidelity["lowest_ssim"] <= fidelity["ssim"] < 1
    assert [row["operation"] for row in said["survival"]["rows"]][:2] == ["JPEG 95", "JPEG 85"]
    assert all(0 < row["correlation"] <= 1 and row["pictures"] == 9 for row in said["survival"]["rows"])
    assert said["learnability"] is None
    assert said["records"]["named"] == "lsp"
    assert (everything(done[1]), everything(done[0])) == before


def test_the_words(done: tuple[Path, Path], command: Command, tmp_path: Path) -> None:
    ended = command("report", *done, "--out", "rep", "--pictures", "3", "--quiet")
    text = (tmp_path / "rep" / "report.md").read_text()
    assert ended.out.startswith(text)
    assert "9 pictures protected with `lsp`, eps 8/255, by unlearnable" in text
    assert "signals, which stop nobody" in text
    assert "It is undone by " in text
    assert "taking the colour away (`grayscale`)" in text
    assert re.search(
        r"of `lsp`, eps 8/255, on cifar10-quick with `cnn`, \d( to \d)? seeds?, and not of your pictures", text
    )
    assert "of `lsp`, eps 8/255, on cifar10-quick, 1 seed, and not of your pictures" in text
    assert "another budget" not in text
    assert "SSIM" in text
    assert "of 3 pictures" in text
    page = (tmp_path / "rep" / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<b>.png" not in page
    assert {path.name for path in (tmp_path / "rep").iterdir()} == {
        "report.json", "report.md", "report.html", "manifest.json"
    }  # fmt: skip
    assert "signed by nobody" in ended.out


def test_records_of_another_budget_are_said_to_be(tmp_path: Path, command: Command) -> None:
    job(folder(tmp_path / "src", 2, crop), tmp_path / "dst", eps=16 / 255)
    text = command("report", "src", "dst", "--quiet").out
    assert text.count("another budget than that of your pictures (eps 16/255): with theirs it may go otherwise") == 2


def test_what_is_no_report_is_not_written_over(done: tuple[Path, Path], command: Command, tmp_path: Path) -> None:
    for name, content in (("manifest.json", b'{"name": "my page"}'), ("signature.json", b"{}"), ("report.md", b"mine")):
        put(tmp_path / name / name, content)
        said = refused(command("report", *done, "--out", name, "--quiet"))
        assert f"--out '{name}' holds a {name} that is of no report" in said
        assert (tmp_path / name / name).read_bytes() == content
    for _ in range(2):
        assert command("report", *done, "--out", "rep", "--pictures", "1", "--quiet").code == 1
    (tmp_path / "rep" / "manifest.json").unlink()  # stopped before it was written
    assert command("report", *done, "--out", "rep", "--pictures", "1", "--quiet").code == 1
    put(tmp_path / "rep" / "manifest.json", b"[]")
    assert "is of no report" in refused(command("report", *done, "--out", "rep", "--quiet"))


def test_an_altered_file_is_named_and_does_not_count(done: tuple[Path, Path], command: Command) -> None:
    path = done[1] / "cat" / "photo.png"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    (done[1] / "dog" / "000.png").unlink()
    ended = command("report", *done, "--json", "--quiet")
    assert ended.code == 1
    assert ended.json["checked"]["bad"] == 1
    assert ended.json["checked"]["missing"] == 2
    assert dict(ended.json["problems"])["cat/photo.jpg"].startswith("the output cannot be read: damaged PNG")
    assert ended.json["fidelity"]["pictures"] == 7
    assert "| `cat/photo.jpg` | the output cannot be read: damaged PNG" in command("report", *done, "--quiet").out


def test_signed_and_verified_without_the_originals(done: tuple[Path, Path], command: Command, tmp_path: Path) -> None:
    (done[0] / "dog" / "broken.png").unlink()
    shutil.rmtree(done[1])
    job(*done)
    owner = key(tmp_path, command)
    fingerprint = command("report", *done, "--out", "rep", "--key", owner, "--json", "--quiet").json["signed"]
    shutil.rmtree(done[1] / ".unlearnable")  # as it is published
    shutil.rmtree(done[0])
    ask = ("verify", done[1], "--manifest", "rep/manifest.json", "--quiet")
    said = command(*ask, "--key", "key.pub", "--json")
    assert said.json == {"checked": 9, "bad": 0, "max_abs_delta": 8, "missing": 0, "key": fingerprint, "trusted": True}
    assert said.code == 0
    assert "not compared with one you trust" in command(*ask).out
    (done[1] / "cat" / "001.png").write_bytes(b"other")
    assert "failed: cat/001.png: the output has changed" in command(*ask).err
    put(tmp_path / "rep" / "report.md", b"# All is well")
    ended = command(*ask)
    assert "failed: report.md: is not what was listed" in ended.err
    assert "2 bad" in ended.out
    command("authorise", "key", tmp_path / "mallory.pem")
    assert "is signed by the key" in refused(command(*ask, "--key", "mallory.pub"))
    listed = tmp_path / "rep" / "manifest.json"
    listed.write_text(listed.read_text().replace("cat/001.png", "cat/002.png"))
    assert "is not what was signed" in refused(command(*ask))
    (tmp_path / "rep" / "signature.json").unlink()
    assert "is not signed" in refused(command(*ask, "--key", "key.pub"))


def test_a_published_manifest_says_nothing_that_helps_to_undo_it(
    done: tuple[Path, Path], command: Command, tmp_path: Path
) -> None:
    command("report", *done, "--out", "rep", "--quiet")
    said = json.loads((tmp_path / "rep" / "manifest.json").read_text())
    assert said["job"].keys() == {"norm", "eps", "container", "signals"}
    assert str(tmp_path) not in json.dumps(said)
    one = said["files"][0]
    changed = [{"files": [1]}, {"files": [[]]}, {"beside": {"report.md": 5}}, {"format": 2}]
    changed += [{"files": [one | wrong]} for wrong in ({"name": 5}, {"output": []}, {"max_delta": "8"}, {"new": 1})]
    for wrong in (b"{}", b"not json", *(json.dumps(said | part).encode() for part in changed)):
        put(tmp_path / "other.json", wrong)
        assert "cannot be used" in refused(command("verify", done[1], "--manifest", "other.json"))


def test_what_networks_learn_with_intervals(command: Command, tmp_path: Path) -> None:
    source, test = write_digits(tmp_path / "src", 6), write_digits(tmp_path / "test", 5, first=10)
    job(source, tmp_path / "dst")
    ended = command(
        "report", source, "dst", "--test", test, "--epochs", "1", "--seeds", "2", "--adversaries", "grayscale",
        "--quiet", "--out", "rep", "--card",
    )  # fmt: skip
    assert ended.code == 0
    found = json.loads((tmp_path / "rep" / "report.json").read_text())["learnability"]
    assert [(row["adversary"], row["model"]) for row in found["rows"]] == [("standard", "cnn"), ("grayscale", "cnn")]
    assert (found["seeds"], found["sizes"]["tests"]) == (2, 50)
    for row in found["rows"]:
        for name in ("clean", "protected", "lost"):
            assert row[name]["low"] <= row[name]["mean"] <= row[name]["high"]
    assert "Intervals are of 95%, over 2 seeds and 50 test images" in ended.out
    assert "Measured here, with `cnn`: ordinary training gets" in ended.out
    card = (tmp_path / "dst" / "README.md").read_text()
    row = found["rows"][1]
    reached = [f"{row[key]['mean']:.3f} ({row[key]['low']:.3f} to" for key in ("clean", "protected")]
    assert re.search(rf"\| `grayscale` \| `cnn` \| {re.escape(reached[0])} .* {re.escape(reached[1])} ", card)
    assert "on 50 test pictures that were not changed, after training on 60 of these" in card.replace("Accuracy ", "")
    assert "On record for `lsp`" in card
    assert command("verify", source, "dst").code == 0
    assert command("protect", source, "dst", "--method", "lsp", "--resume").code == 0
    assert (tmp_path / "dst" / "README.md").read_text() == card, "nothing was done that it does not say"
    one = command("report", source, "dst", "--test", test, "--epochs", "1", "--seeds", "1", "--quiet")
    assert "one seed says nothing of how far two trainings differ" in one.out
    (tmp_path / "dst" / "3" / next((tmp_path / "dst" / "3").iterdir()).name).write_bytes(b"other")
    lost = refused(command("report", source, "dst", "--test", test, "--epochs", "1", "--seeds", "1", "--quiet"))
    assert "measured on intact pictures only" in lost


def test_a_folder_of_an_earlier_version(done: tuple[Path, Path], command: Command) -> None:
    """Manifests of 0.1.0 held neither what made them nor what shows on flat areas."""
    with closing(sqlite3.connect(done[1] / ".unlearnable" / "manifest.sqlite")) as db:
        db.execute("DELETE FROM job WHERE key = 'made'")
        db.execute("ALTER TABLE files DROP COLUMN flat_step")
        db.commit()
    ended = command("report", *done, "--json", "--quiet")
    assert (ended.json["done"]["method"], ended.json["done"]["version"]) == ("lsp", None)
    assert "by an earlier version, not recorded" in command("report", *done, "--quiet").out


def test_the_shipped_generator_is_known_by_its_digest(tmp_path: Path, command: Command) -> None:
    job(folder(tmp_path / "src", 2, crop), tmp_path / "dst", method="one_for_all")
    with closing(sqlite3.connect(tmp_path / "dst" / ".unlearnable" / "manifest.sqlite")) as db:
        db.execute("DELETE FROM job WHERE key = 'made'")
        db.commit()
    said = command("report", "src", "dst", "--json", "--quiet").json
    assert said["done"]["method"] == "one_for_all"
    assert said["records"]["named"] == "one_for_all:shipped"


def test_what_it_refuses(done: tuple[Path, Path], command: Command, tmp_path: Path) -> None:
    source, dst = done
    ask = ("report", source, dst)
    assert "neither a file nor a folder" in refused(command("report", "nowhere", dst))
    assert "has no manifest" in refused(command("report", source, source))
    assert "--out FOLDER says where" in refused(command(*ask, "--key", "key.pem"))
    assert "is no file" in refused(command(*ask, "--key", "key.pem", "--out", "rep"))
    assert "lies in DST" in refused(command(*ask, "--out", dst / "rep"))
    assert "lies in SRC" in refused(command(*ask, "--out", source / "rep"))
    assert "is a file" in refused(command(*ask, "--out", put(tmp_path / "file", b"")))
    for flag, value in {"adversaries": "jpeg", "models": "lenet", "seeds": "2", "size": "9", "epochs": "1"}.items():
        said = refused(command(*ask, f"--{flag}", value))
        assert f"--{flag} is for networks, which are tested on other pictures: --test TEST names those" in said
    assert "--card is for networks" in refused(command(*ask, "--card"))
    mine = put(dst / "README.md", b"mine")
    assert "where the card would go, and is none" in refused(command(*ask, "--card", "--test", source))
    assert mine.read_bytes() == b"mine"
    assert "adversary must be one of" in refused(command(*ask, "--test", source, "--adversaries", "wizard"))
    assert "model must be one of" in refused(command(*ask, "--test", source, "--models", "wizard"))
    assert "seeds must be 1 or more" in refused(command(*ask, "--test", source, "--seeds", "0"))
    assert "pictures must be 1 or more" in refused(command(*ask, "--pictures", "0"))
    other = folder(tmp_path / "other", 4)
    assert "is not what" in refused(command("report", other, dst))
    assert not (tmp_path / "rep").exists()
