"""What stands at DST: nothing of the user's is replaced, emptied or left among outputs without a word."""

import os
from pathlib import Path

import pytest
from commands import Command, picture, refused
from jobs import everything, folder, job, noise, packed, put, tree

from unlearnable.files import destination
from unlearnable.job import Job, dry_run, protecting, verify


def shards(tmp_path: Path, *names: str) -> Path:
    for number, name in enumerate(names or ("a.zip", "b.zip")):
        (tmp_path / "shards").mkdir(exist_ok=True)
        packed(folder(tmp_path / f"of-{number}", 2), tmp_path / "shards" / name)
    return tmp_path / "shards"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_an_archive_in_it_is_not_taken_for_shards_of_ours(tmp_path: Path, overwrite: bool) -> None:
    source = shards(tmp_path)
    put(tmp_path / "Documents/backup.zip", b"all I have")
    put(tmp_path / "Documents/tax/2024.pdf", b"tax")
    before = everything(tmp_path)
    with pytest.raises(ValueError, match=r"replaced as a whole and holds 'backup.zip'.*would be lost: name a new"):
        job(source, tmp_path / "Documents", overwrite=overwrite)
    assert everything(tmp_path) == before


def test_shards_of_an_earlier_job_are_replaced_and_nothing_else(tmp_path: Path) -> None:
    source, out = shards(tmp_path), tmp_path / "out"
    job(source, out, card=True)
    (source / "a.zip").rename(source / "c.zip")
    with pytest.raises(ValueError, match="holds a job already"):
        job(source, out)
    job(source, out, overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == ["b.zip", "c.zip"]
    put(out / "diary.txt", b"dear")
    for how in ("overwrite", "resume"):
        with pytest.raises(ValueError, match=r"holds 'diary.txt'"):
            job(source, out, **{how: True})
    assert (out / "diary.txt").exists()


def test_what_has_the_names_of_shards_is_replaced_once_that_is_said(tmp_path: Path) -> None:
    source = shards(tmp_path)
    put(tmp_path / "out/b.zip", b"old")
    with pytest.raises(ValueError, match="is not empty: name a new folder, or --overwrite to replace it"):
        job(source, tmp_path / "out")
    assert job(source, tmp_path / "out", overwrite=True).protected == 4
    put(tmp_path / "one.zip", b"old")
    with pytest.raises(ValueError, match=r"one.zip' is there already: name another, or --overwrite to replace it"):
        job(source / "a.zip", tmp_path / "one.zip")


def test_files_that_come_to_dst_while_it_is_made_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, real = shards(tmp_path), protecting._work

    def meanwhile(*given: object) -> int:
        put(tmp_path / "out/diary.zip", b"dear")
        return real(*given)

    monkeypatch.setattr(protecting, "_work", meanwhile)
    with pytest.raises(ValueError, match=r"holds 'diary.zip'.*move it away, --resume goes on"):
        job(source, tmp_path / "out")
    assert (tmp_path / "out/diary.zip").read_bytes() == b"dear"
    (tmp_path / "out/diary.zip").unlink()
    monkeypatch.undo()
    again = job(source, tmp_path / "out", resume=True)
    assert (again.protected, again.worked) == (4, 0)


def test_originals_among_the_outputs_are_named(command: Command, tmp_path: Path) -> None:
    picture(tmp_path / "photos/a.jpg", 1)
    picture(tmp_path / "photos/b.png", 2)
    for name in ("a.jpg", "b.png"):
        put(tmp_path / "out" / name, (tmp_path / "photos" / name).read_bytes())
    assert "--overwrite to write into it: files of other names stay" in refused(command("protect", "photos", "out"))
    ended = command("protect", "photos", "out", "--method", "random", "--overwrite", "--json", "--quiet")
    assert (ended.code, ended.json["strange"]) == (1, 1)
    assert "did not write, nothing says that they are protected (a.jpg): move them away" in ended.err
    (tmp_path / "out/a.jpg").unlink()
    ended = command("protect", "photos", "out", "--method", "random", "--resume", "--json", "--quiet")
    assert (ended.code, ended.json["strange"], ended.err) == (0, 0, "")


def test_an_output_that_a_killed_job_did_not_record_is_named(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 2)
    put(tmp_path / "dst/dog/000.png", noise(0))
    put(tmp_path / "dst/more.zip", packed(source, tmp_path / "p.zip").read_bytes())
    put(tmp_path / "dst/notes.txt", b"mine")
    done = job(source, tmp_path / "dst", overwrite=True, container="webp")
    assert (done.strange, done.strange_named) == (2, ("dog/000.png", "more.zip"))


def test_a_disk_of_its_own_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = shards(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "flat").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda place: Path(place) in (tmp_path / "out", tmp_path / "flat"))
    with pytest.raises(ValueError, match=r"is a disk of its own .* name a place inside it"):
        dry_run(Job(source, tmp_path / "out", "lsp"))
    assert job(source, tmp_path / "out" / "inside").protected == 4
    assert job(folder(tmp_path / "src", 2), tmp_path / "flat").protected == 2, "nothing is packed there"


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    source = shards(tmp_path)
    (tmp_path / "big/empty").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "big/empty")
    (tmp_path / "one.zip").symlink_to(tmp_path / "big/one.zip")
    (tmp_path / "two.zip").symlink_to(tmp_path / "big/two")
    for src, dst in ((source, tmp_path / "out"), (source / "a.zip", tmp_path / "one.zip")):
        job(src, dst)
        assert dst.is_symlink()
        assert not dst.with_name(f"{dst.name}.partial").exists()
        assert verify(src, dst).bad == 0
        assert job(src, dst, resume=True).worked == 0
        with pytest.raises(ValueError, match="was protected already"):
            dry_run(Job(dst, tmp_path / "again", "lsp"))
    assert set(tree(tmp_path / "big")) == {"empty/a.zip", "empty/b.zip", "one.zip"}
    with pytest.raises(ValueError, match=r"is a link to .*big/two', whose name is no zip's"):
        job(source / "a.zip", tmp_path / "two.zip")


def test_places_that_are_one_under_two_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that ignores case; a bind mount is the same case."""
    source = folder(tmp_path / "src", 2)
    archive = packed(source, tmp_path / "in.zip")
    for name in ("SRC/cat", "IN"):
        (tmp_path / name).mkdir(parents=True)
    put(tmp_path / "IN.zip", b"")
    monkeypatch.setattr(os.path, "samefile", lambda one, two: str(one).casefold() == str(two).casefold())
    before = everything(tmp_path)
    for src, dst, said in [
        (source, tmp_path / "SRC", "is SRC itself"), (source, tmp_path / "SRC/new/er", "inside each other"),
        (source / "cat", tmp_path / "SRC", "inside each other"), (archive, tmp_path / "IN.zip", "is SRC itself"),
        (source / "cat/001.png", tmp_path / "SRC/cat", "is the folder of SRC"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=said):
            job(src, dst, overwrite=True)
    assert everything(tmp_path) == before
    assert not destination.same(source, archive)


def test_a_linked_bookkeeping_folder_is_refused(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 2)
    put(tmp_path / "mine/scratch/diary.txt", b"dear")
    put(tmp_path / "mine/deep/diary.txt", b"dear")
    (tmp_path / "dst").mkdir()
    (tmp_path / "dst/.unlearnable").symlink_to(tmp_path / "mine")
    before = everything(tmp_path)
    for how in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(ValueError, match=r".unlearnable' is a link: remove it"):
            job(source, tmp_path / "dst", **how)
    assert everything(tmp_path) == before
