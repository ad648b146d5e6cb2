"""Verify finds one changed sample, one missing file, and whatever else is not as the job left it."""

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from jobs import crop, everything, folder, job, noise, put, samples, stored, tree
from PIL import Image
from sources import write_tar

from unlearnable.job import Verification, audit, verify, worker
from unlearnable.job.manifest import Manifest
from unlearnable.job.reasons import UNCHANGED
from unlearnable.job.unlisted import NOBODYS, STRANGE
from unlearnable.run import Progress, Run


@pytest.fixture
def done(tmp_path: Path) -> tuple[Path, Path]:
    source = folder(tmp_path / "src")
    put(source / "cat" / "photo.jpg", crop(1))
    put(source / "cat" / "grey.png", crop(2).convert("L"))
    put(source / "notes.txt", b"notes")
    job(source, tmp_path / "dst")
    return source, tmp_path / "dst"


def without_manifest(dst: Path) -> Path:
    shutil.rmtree(dst / ".unlearnable")
    return dst


def tamper(original: Path, path: Path, by: int) -> None:
    """Moves one sample, towards the original where it moves by one."""
    before, changed = samples(original), samples(path).copy()
    towards = 1 if int(changed[5, 5, 0]) < int(before[5, 5, 0]) else -1
    changed[5, 5, 0] = changed[5, 5, 0] + towards if by == 1 else (int(before[5, 5, 0]) + by) % 256
    Image.fromarray(changed).save(path)


def test_an_untouched_result_is_good_and_stays_untouched(done: tuple[Path, Path]) -> None:
    source, dst = done
    before = everything(dst)
    assert verify(source, dst) == Verification(10, 0, 8, 0, (), "8/255", "manifest")
    assert everything(dst) == before
    assert verify(source, without_manifest(dst)) == Verification(10, 0, 8, 0, (), "8/255", "default")


def test_one_sample_changed_by_one_level(done: tuple[Path, Path]) -> None:
    source, dst = done
    tamper(source / "dog" / "004.png", dst / "dog" / "004.png", 1)
    found = verify(source, dst)
    assert (found.checked, found.bad, found.missing) == (10, 1, 0)
    assert found.problems == (("dog/004.png", "the output has changed since it was written"),)


def test_one_sample_changed_by_many_levels(done: tuple[Path, Path]) -> None:
    source, dst = done
    tamper(source / "dog" / "004.png", dst / "dog" / "004.png", 40)
    found = verify(source, dst)
    assert found.bad == 1
    assert found.max_abs_delta >= 40
    assert "above 8 of eps 8/255" in found.problems[0][1]


def test_missing_files(done: tuple[Path, Path]) -> None:
    source, dst = done
    (dst / "cat" / "photo.png").unlink()
    (dst / "notes.txt").unlink()
    for path in (dst, without_manifest(dst)):
        found = verify(source, path)
        assert (found.checked, found.bad, found.missing) == (9, 0, 2)
        assert [name for name, _ in found.problems] == ["cat/photo.jpg", "notes.txt"]


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_not_as_it_was(done: tuple[Path, Path], kept: bool) -> None:
    source, dst = done
    (dst / "notes.txt").write_bytes(b"other")
    (dst / "cat" / "001.png").write_bytes((dst / "cat" / "001.png").read_bytes()[:400])
    put(dst / "dog" / "000.png", noise(0, 31))
    put(dst / "cat" / "grey.png", Image.open(dst / "cat" / "grey.png").convert("RGB"))
    found = verify(source, dst if kept else without_manifest(dst))
    assert {name for name, _ in found.problems} == {"notes.txt", "cat/001.png", "dog/000.png", "cat/grey.png"}
    assert (found.checked, found.bad, found.missing) == (10, 4, 0)


def test_lost_metadata_is_bad(tmp_path: Path) -> None:
    put(tmp_path / "src" / "a.png", crop(1), dpi=(300, 300))
    job(tmp_path / "src", tmp_path / "dst")
    put(tmp_path / "dst" / "a.png", Image.fromarray(samples(tmp_path / "dst" / "a.png")))
    shutil.rmtree(tmp_path / "dst" / ".unlearnable")
    assert verify(tmp_path / "src", tmp_path / "dst").bad == 1


def test_originals_that_changed_left_or_came(done: tuple[Path, Path]) -> None:
    source, dst = done
    put(source / "dog" / "000.png", noise(99))
    (source / "dog" / "002.png").unlink()
    put(source / "dog" / "new.png", noise(100))
    found = dict(verify(source, dst).problems)
    assert found == {
        "dog/000.png": "the original has changed since it was protected",
        "dog/002.png": "the original is no longer in SRC",
        "dog/new.png": "not protected: it came to SRC after the job began",
    }


def test_an_unprotected_copy_is_bad(done: tuple[Path, Path]) -> None:
    source, dst = done
    shutil.copy(source / "dog" / "000.png", dst / "dog" / "000.png")
    assert dict(verify(source, dst).problems) == {"dog/000.png": "the output has changed since it was written"}


@pytest.mark.parametrize("kept", [True, False])
def test_a_picture_that_came_later_is_bad(done: tuple[Path, Path], kept: bool) -> None:
    """An original beside its protected version would undo the whole."""
    source, dst = done
    shutil.copy(source / "dog" / "000.png", dst / "original.png")
    shutil.copy(source / "cat" / "photo.jpg", dst / "cat" / "photo.jpg")
    put(dst / "more.txt", b"no picture")
    found = verify(source, dst if kept else without_manifest(dst))
    reason = STRANGE if kept else NOBODYS
    assert found.problems == (("cat/photo.jpg", reason), ("original.png", reason))
    assert (found.checked, found.bad, found.missing) == (10, 2, 0)


def test_a_picture_that_failed_is_black_in_an_array_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "in.npz", images=pixels)
    real = worker.protected

    def failing(picture: object, perturbation: object, label: int, row: int, budget: object) -> object:
        if row == 2:
            raise ValueError("no luck")
        return real(picture, perturbation, label, row, budget)

    monkeypatch.setattr(worker, "protected", failing)
    job(tmp_path / "in.npz", tmp_path / "out.npz", method="random")
    for found in (verify(tmp_path / "in.npz", tmp_path / "out.npz"), audit(tmp_path / "out.npz")):
        assert (found.checked, found.bad, found.missing) == (3, 0, 1)
    with np.load(tmp_path / "out.npz") as arrays:
        written = arrays["images"].copy()
    written[2] = pixels[2]
    np.savez(tmp_path / "out.npz", images=written)
    for found in (verify(tmp_path / "in.npz", tmp_path / "out.npz"), audit(tmp_path / "out.npz")):
        assert found.problems[-1] == ("images/2.bmp", STRANGE)


def forge(dst: Path, name: str, **columns: object) -> None:
    """Whoever can write the pictures can write the manifest: it is not signed."""
    columns["output_sha256"] = hashlib.sha256((dst / name).read_bytes()).hexdigest()
    with closing(sqlite3.connect(dst / ".unlearnable" / "manifest.sqlite")) as db:
        said = ", ".join(f"{column} = ?" for column in columns)
        db.execute(f"UPDATE files SET {said} WHERE output = ?", [*columns.values(), name.encode()])
        db.commit()


def test_what_is_only_copied_is_compared_and_no_picture(done: tuple[Path, Path]) -> None:
    source, dst = done
    put(dst / "dog" / "000.png", noise(77))
    forge(dst, "dog/000.png", status="copied")
    shutil.copy(source / "dog" / "002.png", dst / "dog" / "002.png")
    forge(dst, "dog/002.png", status="copied")
    put(dst / "notes.txt", b"other")
    forge(dst, "notes.txt")
    assert dict(verify(source, dst).problems) == {
        "dog/000.png": "it is a picture, and was only copied",
        "dog/002.png": "it is a picture, and was only copied",
        "notes.txt": "the copy differs from the original",
    }


def test_the_bound_is_the_callers_where_he_names_one_and_is_said(done: tuple[Path, Path]) -> None:
    source, dst = done
    put(dst / "dog" / "000.png", noise(77))
    with closing(Manifest(dst / ".unlearnable" / "manifest.sqlite")) as manifest:
        manifest.set("about", manifest.get("about") | {"eps": 1.0})
        manifest.commit()
    forge(dst, "dog/000.png")
    found = verify(source, dst)
    assert (found.eps, found.eps_of) == ("255/255", "manifest")
    assert "where the manifest says 8" in dict(found.problems)["dog/000.png"]
    forge(dst, "dog/000.png", max_delta=found.max_abs_delta)
    assert verify(source, dst).bad == 0
    found = verify(source, dst, eps=8 / 255)
    assert (found.bad, found.eps, found.eps_of) == (1, "8/255", "caller")
    assert "above 8 of eps 8/255" in found.problems[0][1]
    with pytest.raises(ValueError, match="eps is a fraction"):
        verify(source, dst, eps=8.0)


def test_without_a_manifest_the_default_budget_is_checked(done: tuple[Path, Path]) -> None:
    source, dst = done
    put(dst / "dog" / "000.png", noise(77))
    found = verify(source, without_manifest(dst))
    assert (found.bad, found.eps, found.eps_of) == (1, "8/255", "default")
    assert verify(source, dst, eps=1.0).bad == 0


def test_without_a_manifest_originals_are_not_taken_for_outputs(done: tuple[Path, Path], tmp_path: Path) -> None:
    source, _ = done
    shutil.copytree(source, tmp_path / "copy")
    found = verify(source, tmp_path / "copy")
    assert dict(found.problems)["copy"] == "no picture differs from its original: nothing here is protected"


@pytest.mark.parametrize("kept", [True, False])
def test_a_picture_that_is_its_original_is_bad_among_good_ones(done: tuple[Path, Path], kept: bool) -> None:
    """Whoever puts it there can write that it was meant to be so."""
    source, dst = done
    shutil.copy(source / "dog" / "000.png", dst / "dog" / "000.png")
    forge(dst, "dog/000.png", max_delta=0, psnr=None)
    found = verify(source, dst if kept else without_manifest(dst))
    assert (found.problems, found.unchanged) == ((("dog/000.png", UNCHANGED),), 1)


def test_a_control_is_what_it_should_be(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 2)
    job(source, tmp_path / "dst", eps=0.0)
    assert verify(source, tmp_path / "dst").bad == 0
    assert verify(source, without_manifest(tmp_path / "dst"), eps=0.0).bad == 0
    assert verify(source, tmp_path / "dst").unchanged == 2


@pytest.mark.parametrize("kept", [True, False])
def test_a_copy_that_protect_would_have_refused_is_bad(done: tuple[Path, Path], kept: bool) -> None:
    source, dst = done
    thumbnails = b"\xd0\xcf\x11\xe0" + bytes(600) + stored(crop(1), "JPEG")
    put(source / "Thumbs.db", thumbnails)
    put(dst / "Thumbs.db", thumbnails)
    columns = "id, name, output, status, source_sha256, output_sha256"
    said = f"INSERT INTO files ({columns}) VALUES (99, ?1, ?1, 'copied', ?2, ?2)"
    with closing(sqlite3.connect(dst / ".unlearnable" / "manifest.sqlite")) as db:
        db.execute(said, [b"Thumbs.db", hashlib.sha256(thumbnails).hexdigest()])
        db.commit()
    ((name, reason),) = verify(source, dst if kept else without_manifest(dst)).problems
    assert (name, reason[:18]) == ("Thumbs.db", "it holds a picture")


@pytest.mark.parametrize("container", ["png", "webp", "keep"])
def test_nothing_is_appended_to_a_picture(tmp_path: Path, container: str) -> None:
    photo = put(tmp_path / "src" / "photo.bmp", crop(1))
    job(photo.parent, tmp_path / "dst", method="random", container=container)
    (path,) = without_manifest(tmp_path / "dst").iterdir()
    assert verify(photo.parent, tmp_path / "dst").bad == 0
    path.write_bytes(path.read_bytes() + photo.read_bytes())
    found = verify(photo.parent, tmp_path / "dst")
    assert (found.bad, found.problems[0][1].endswith("bytes follow its end")) == (1, True), found


def test_a_job_that_was_not_finished(done: tuple[Path, Path], tmp_path: Path) -> None:
    source, _ = done
    put(source / "cat" / "broken.png", b"no picture")
    job(source, tmp_path / "other")
    found = verify(source, tmp_path / "other")
    assert (found.checked, found.missing) == (10, 1)
    assert found.problems[0][0] == "cat/broken.png"
    assert found.problems[0][1].startswith("not protected: not a picture")


@pytest.mark.parametrize("container", ["png", "webp"])
def test_other_containers_are_found_by_name(tmp_path: Path, container: str) -> None:
    source = folder(tmp_path / "src", 3)
    put(source / "cat" / "grey.png", crop(2).convert("L"))
    put(source / "cat" / "photo.bmp", crop(1))
    job(source, tmp_path / "dst", container=container)
    assert verify(source, tmp_path / "dst") == Verification(5, 0, 8, 0, (), "8/255", "manifest")
    assert verify(source, without_manifest(tmp_path / "dst")) == Verification(5, 0, 8, 0, (), "8/255", "default")


def test_an_l2_budget_is_checked_as_one(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 3)
    job(source, tmp_path / "dst", method="lsp:paper")
    assert verify(source, tmp_path / "dst").bad == 0
    path = tmp_path / "dst" / "dog" / "000.png"
    Image.fromarray(samples(source / "dog" / "000.png") ^ np.uint8(16)).save(path)
    assert "root mean square" in dict(verify(source, tmp_path / "dst").problems)["dog/000.png"]


def test_places_that_are_not_there(done: tuple[Path, Path], tmp_path: Path) -> None:
    for src, dst in ((tmp_path / "no", done[1]), (done[0], tmp_path / "no")):
        with pytest.raises(ValueError, match="neither a file nor a folder"):
            verify(src, dst)


def test_progress(done: tuple[Path, Path]) -> None:
    events: list[Progress] = []
    verify(*done, Run(device="cpu", listener=events.append))
    assert [event.done for event in events] == list(range(1, 12))
    assert {event.total for event in events} == {11}
    assert tree(done[1])


@pytest.mark.parametrize("shards", [False, True])
def test_a_second_member_of_one_name_does_not_stand_in_for_the_first(tmp_path: Path, shards: bool) -> None:
    files = [(name, stored(noise(row), "PNG")) for row, name in enumerate(("x/1.png", "x/2.png", "x/1.png"))]
    source, out = tmp_path / "src", tmp_path / ("dst" if shards else "dst.tar")
    packed = source / "a.tar" if shards else source.with_suffix(".tar")
    packed.parent.mkdir(exist_ok=True)
    write_tar(packed, files)
    source = source if shards else packed
    done = job(source, out)
    assert done.failed == 1
    found = verify(source, out)
    assert (found.checked, found.bad, found.missing) == (done.protected, 0, 1)
