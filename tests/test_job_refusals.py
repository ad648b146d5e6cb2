"""What a job refuses: bad files one by one, and as a whole places and values that cannot be or what is done already."""

import os
from pathlib import Path

import pytest
from jobs import crop, everything, folder, job, noise, packed, put, stored, tree
from PIL import Image

from unlearnable.job import Job, dry_run, verify


def bad_inputs(root: Path) -> dict[str, str]:
    """Good pictures among bad ones; name -> what the reason must say."""
    folder(root, 6)
    photo = stored(crop(1), "JPEG")
    put(root / "cat" / "empty.png", b"")
    put(root / "cat" / "cut.jpg", photo[: len(photo) // 2])
    put(root / "cat" / "cut.png", stored(crop(2), "PNG")[:900])
    put(root / "dog" / "really-a-jpeg.png", photo)
    put(root / "dog" / "raw.dng", b"II*\0 some raw data")
    put(root / "dog" / "disguised.dat", photo)
    put(root / "dog" / "moving.gif", crop(1).quantize(), save_all=True, append_images=[crop(2).quantize()])
    header = stored(Image.new("L", (1, 1)), "PNG")
    bomb = header.replace((1).to_bytes(4) * 2, (30_000).to_bytes(4) * 2)
    put(root / "dog" / "bomb.png", bomb)
    (root / "loop").symlink_to(root)
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    (root / "dog" / "outside.png").symlink_to(put(root.parent / "outside.png", noise(1)))
    os.mkfifo(root / "dog" / "pipe")
    return {
        "cat/empty.png": "empty", "cat/cut.jpg": "", "cat/cut.png": "", "dog/really-a-jpeg.png": "JPEG",
        "dog/raw.dng": "raw", "dog/disguised.dat": "JPEG", "dog/moving.gif": "animation", "dog/bomb.png": "",
        "loop": "link", "cat/gone.png": "broken", "dog/outside.png": "out of SRC", "dog/pipe": "pipe",
    }  # fmt: skip


def test_bad_files_fail_alone_and_are_never_copied(tmp_path: Path) -> None:
    source = tmp_path / "src"
    expected = bad_inputs(source)
    good = ["new\nline.png", "x" * 246 + ".png", "猫.png", "bad\udcff.png", "-rf.png", "tab\t'\".png"]
    for number, name in enumerate(good):
        put(source / "cat" / name, noise(number))
    put(source / "cat" / "notes.txt", b"notes")
    before = everything(source)
    summary = job(source, tmp_path / "dst")
    failures = dict(summary.failures)
    assert set(failures) == set(expected)
    for name, said in expected.items():
        assert said in failures[name], name
        assert failures[name]
        assert "\n" not in failures[name]
    assert (summary.protected, summary.copied, summary.failed) == (6 + len(good), 1, len(expected))
    written = set(tree(tmp_path / "dst"))
    assert written == {f"cat/{name}" for name in (*good, "notes.txt")} | {
        f"{'cat' if n % 2 else 'dog'}/{n:03d}.png" for n in range(6)
    }
    assert everything(source) == before
    found = verify(source, tmp_path / "dst")
    assert (found.checked, found.bad, found.missing) == (6 + len(good), 0, len(expected))


def test_the_pattern_of_a_good_picture_does_not_depend_on_what_fails(tmp_path: Path) -> None:
    """Rows are counted over all names, so that a file repaired later changes nobody else's noise."""
    source = folder(tmp_path / "src", 8)
    job(source, tmp_path / "all")
    whole = (source / "dog" / "000.png").read_bytes()
    put(source / "dog" / "000.png", whole[:100])
    job(source, tmp_path / "some")
    expected = tree(tmp_path / "all")
    del expected["dog/000.png"]
    assert tree(tmp_path / "some") == expected
    put(source / "dog" / "000.png", whole)
    assert job(source, tmp_path / "some", resume=True).failed == 0
    assert tree(tmp_path / "some") == tree(tmp_path / "all")


def test_places_that_cannot_be(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    a_file = put(tmp_path / "file.txt", b"here")
    full = put(tmp_path / "full" / "mine.txt", b"mine").parent
    empty = tmp_path / "empty"
    empty.mkdir()
    before = everything(tmp_path)
    cases = [
        (tmp_path / "nowhere", tmp_path / "dst", "neither a file nor a folder"), (source, source, "is SRC itself"),
        (source, source / "inside", "inside each other"), (source, tmp_path, "inside each other"),
        (source, a_file, "must be a folder"), (source, a_file / "below", "is a file"), (source, full, "not empty"),
        (empty, tmp_path / "dst", "holds no pictures, it is empty"),
        (full, tmp_path / "dst", r"holds no pictures, none of its files ends in \.jpg"),
        (source, Path("/proc/unlearnable"), "cannot be written"),
    ]  # fmt: skip
    for src, dst, said in cases:
        with pytest.raises(ValueError, match=said) as error:
            job(src, dst)
        assert "\n" not in str(error.value)
    assert everything(tmp_path) == before
    assert not (tmp_path / "dst").exists()


@pytest.mark.parametrize("values", [{"method": "nonsense"}, {"eps": 3.0},
                                    {"method": "lsp:nonsense"}, {"resume": True, "overwrite": True}])  # fmt: skip
def test_values_that_cannot_be(tmp_path: Path, values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be one of|fraction of the full range|choose one"):
        job(folder(tmp_path / "src"), tmp_path / "dst", **values)
    assert not (tmp_path / "dst").exists()


def test_what_was_protected_already_is_refused(tmp_path: Path) -> None:
    job(folder(tmp_path / "src"), tmp_path / "dst")
    with pytest.raises(ValueError, match="was protected already"):
        job(tmp_path / "dst", tmp_path / "again")
    with pytest.raises(ValueError, match="was protected already"):
        dry_run(Job(tmp_path / "dst", tmp_path / "again", "lsp"))


def test_a_partial_folder_that_is_somebody_elses_is_never_touched(tmp_path: Path) -> None:
    """Archives are made in DST.partial: what lies there without our manifest is not ours to empty."""
    archive = packed(folder(tmp_path / "src", 2), tmp_path / "in.zip")
    put(tmp_path / "out.zip.partial" / "sub" / "mine.txt", b"mine")
    shards = tmp_path / "ds.partial"
    put(shards / "a.zip", archive.read_bytes())
    before = everything(tmp_path)
    for source, dst, said in [
        (archive, tmp_path / "out.zip", "out.zip.partial.*holds files of somebody else"),
        (shards, tmp_path / "ds", "ds.partial.*SRC.*lie inside each other"),
        (shards / "{a,a}.zip", tmp_path / "ds", "ds.partial.*SRC.*lie inside each other"),
        (shards / "a.zip", tmp_path / "ds", None),  # a folder: nothing is packed
    ]:
        for overwrite in (False, True):
            if said is None:
                dry_run(Job(source, dst, "random", overwrite=overwrite))
                continue
            with pytest.raises(ValueError, match=said):
                job(source, dst, method="random", overwrite=overwrite)
    assert everything(tmp_path) == before


def test_only_outputs_leave_a_partial_folder(tmp_path: Path) -> None:
    archive = packed(folder(tmp_path / "src", 2), tmp_path / "in.zip")
    job(archive, tmp_path / "out.zip")
    mine = put(tmp_path / "out.zip.partial" / "cat" / "mine.txt", b"mine")
    job(archive, tmp_path / "out.zip", overwrite=True)
    assert set(tree(tmp_path / "out.zip.partial")) == {"cat/mine.txt"}
    assert not (tmp_path / "out.zip.partial" / "dog").exists()
    assert mine.read_bytes() == b"mine"


def test_a_part_of_what_was_protected_is_refused(tmp_path: Path) -> None:
    """Protected twice, a picture would change by twice the budget."""
    source = folder(tmp_path / "src", 2)
    put(source / "cat" / "deep" / "a.png", noise(3))
    job(source, tmp_path / "dst", method="random")
    (tmp_path / "link").symlink_to(tmp_path / "dst" / "cat" / "deep")
    (tmp_path / "shards").mkdir()
    packed(source, tmp_path / "shards" / "a.zip")
    job(tmp_path / "shards", tmp_path / "packed", method="random")
    for part in ("dst/cat", "dst/cat/deep", "dst/cat/deep/a.png", "link", "packed", "packed/a.zip", "packed/{a,a}.zip"):
        with pytest.raises(ValueError, match="was protected already"):
            dry_run(Job(tmp_path / part, tmp_path / "again", "random"))
    dry_run(Job(source / "cat", tmp_path / "again", "random"))


def test_a_method_that_cannot_be_fitted_leaves_no_trace(tmp_path: Path) -> None:
    for number in range(9):
        put(tmp_path / "src" / f"class{number}" / "a.png", Image.new("RGB", (8, 8), (number, 0, 0)))
    (tmp_path / "there").mkdir()
    for dst in (tmp_path / "dst" / "deep" / "er", tmp_path / "there"):
        with pytest.raises(
            ValueError, match="3 patches tell 8 classes apart at most, here are 9: use a patch of 7 or less"
        ):
            job(tmp_path / "src", dst)
    assert not (tmp_path / "dst").exists()
    assert not list((tmp_path / "there").iterdir())


def test_overwrite_starts_anew_and_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    put(source / "cat" / "photo.jpg", crop(1))
    mine = put(tmp_path / "dst" / "mine.txt", b"mine")
    job(source, tmp_path / "dst", overwrite=True)
    with pytest.raises(ValueError, match="holds a job already"):
        job(source, tmp_path / "dst")
    job(source, tmp_path / "dst", overwrite=True, container="webp", seed=5)
    assert mine.read_bytes() == b"mine"
    mine.unlink()
    job(source, tmp_path / "fresh", container="webp", seed=5)
    assert tree(tmp_path / "dst") == tree(tmp_path / "fresh")
    assert {Path(name).suffix for name in tree(tmp_path / "dst")} == {".webp"}
