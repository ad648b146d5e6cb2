"""verify without the originals: by the manifest of the folder, or by one that was published."""

import shutil
from pathlib import Path

import pytest
from commands import Command, refused
from jobs import everything, folder, job, packed, put

from unlearnable.job import Verification, audit
from unlearnable.job.unlisted import STRANGE


@pytest.fixture
def dst(tmp_path: Path) -> Path:
    source = folder(tmp_path / "src", 4)
    put(source / "notes.txt", b"notes")
    put(source / "cat" / "broken.png", b"no picture")
    job(source, tmp_path / "dst")
    shutil.rmtree(source)
    return tmp_path / "dst"


def test_what_nobody_touched_is_as_it_was_written(dst: Path) -> None:
    before = everything(dst)
    found = audit(dst)
    assert (found.checked, found.bad, found.max_abs_delta, found.missing) == (4, 0, 8, 1)
    assert found.problems[0][0] == "cat/broken.png"
    assert found.problems[0][1].startswith("not protected: not a picture")
    assert everything(dst) == before


def test_it_says_which_file_was_altered_is_gone_or_came_later(dst: Path) -> None:
    path = dst / "cat" / "001.png"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    (dst / "dog" / "002.png").unlink()
    (dst / "notes.txt").write_bytes(b"other")
    put(dst / "cat" / "new.png", b"whatever")
    put(dst / "more.txt", b"no picture")
    found = audit(dst)
    assert (found.checked, found.bad, found.missing) == (3, 3, 2)
    assert [(name, reason) for name, reason in found.problems if name != "cat/broken.png"] == [
        ("cat/001.png", "the output has changed since it was written"),
        ("dog/002.png", "its output is not there"),
        ("notes.txt", "the output has changed since it was written"),
        ("cat/new.png", STRANGE),
    ]


def test_a_picture_that_came_later_is_found_whatever_it_is_called(dst: Path) -> None:
    picture = (dst / "cat" / "001.png").read_bytes()
    for name in ("noext", "cat/x.png.bak", "more.zip"):
        put(dst / name, b"PK\3\4" if name == "more.zip" else picture)
    put(dst / "LICENSE.txt", b"All rights reserved.")
    (dst / "link").symlink_to(dst.parent)
    found = dict(audit(dst).problems)
    del found["cat/broken.png"]
    assert found == dict.fromkeys(("cat/x.png.bak", "link", "more.zip", "noext"), STRANGE)


def test_an_archive(tmp_path: Path) -> None:
    archive = packed(folder(tmp_path / "src", 3), tmp_path / "src.zip")
    job(archive, tmp_path / "dst.zip")
    assert audit(tmp_path / "dst.zip") == Verification(3, 0, 8, 0, ())


def test_the_command_line(dst: Path, command: Command) -> None:
    ended = command("verify", dst, "--json", "--quiet")
    assert ended.json == {"checked": 4, "bad": 0, "max_abs_delta": 8, "missing": 1}
    assert (ended.code, ended.err) == (1, "failed: cat/broken.png: " + audit(dst).problems[0][1] + "\n")
    assert "by their hashes, without the originals" in command("verify", dst, "--quiet").out


def test_without_a_manifest_it_says_what_to_bring(dst: Path, tmp_path: Path, command: Command) -> None:
    shutil.rmtree(dst / ".unlearnable")
    assert "has no manifest: name the originals too" in refused(command("verify", dst))
    assert "neither a file nor a folder" in refused(command("verify", tmp_path / "nowhere"))
    assert "is no file" in refused(command("verify", dst, "--manifest", tmp_path / "none.json"))
    assert "for DST alone" in refused(command("verify", dst, dst, "--manifest", "m.json"))
    assert "--manifest FILE names it" in refused(command("verify", dst, "--key", "k.pub"))


def test_a_damaged_manifest_is_refused(dst: Path, command: Command) -> None:
    (dst / ".unlearnable" / "manifest.sqlite").write_bytes(b"no database" * 99)
    assert "is damaged" in refused(command("verify", dst))


def test_a_manifest_that_is_damaged_inside_is_refused_too(tmp_path: Path, command: Command) -> None:
    """Its first page says what it is; what lies behind may still be anything."""
    source = folder(tmp_path / "src", 40)
    job(source, tmp_path / "dst", method="random")
    path = tmp_path / "dst" / ".unlearnable" / "manifest.sqlite"
    whole = path.read_bytes()
    size = int.from_bytes(whole[16:18], "big")
    damaged = 0
    for page in range(1, len(whole) // size):
        path.write_bytes(whole[: page * size] + b"\xff" * size + whole[(page + 1) * size :])
        for words in (("verify", source, tmp_path / "dst"), ("verify", tmp_path / "dst")):
            ended = command(*words, "--quiet")
            if ended.code:  # where it is a page that is not asked for, all is well
                assert "manifest.sqlite' is damaged" in refused(ended)
                damaged += 1
    assert damaged > 2
    path.write_bytes(whole[:size] + b"\xff" * (len(whole) - size))
    resumed = command("protect", source, tmp_path / "dst", "--method", "random", "--resume", "--quiet")
    assert "start anew with --overwrite" in refused(resumed)
    again = command("protect", source, tmp_path / "dst", "--method", "random", "--overwrite", "--quiet", "--json")
    assert (again.code, again.json["protected"]) == (0, 40)
    assert command("verify", source, tmp_path / "dst", "--quiet").code == 0
