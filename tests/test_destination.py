"""Outputs land whole under their names and nowhere else, and are packed so that equal contents give equal bytes."""

import gzip
import importlib
import os
import zipfile
from pathlib import Path

import pytest
from sources import ODD_NAMES, content, fill, names, write_parquet, write_tar, write_zip

from unlearnable.files import Collection, Item, Refused, open_destination


def protect(source: Collection, path: Path, renamed: dict[str, str] | None = None, skip: tuple[str, ...] = ()) -> None:
    """What the job does: write something for every item, then finish."""
    destination = open_destination(path, source)
    destination.bookkeeping.mkdir(parents=True, exist_ok=True)
    given = {}
    for item in source.items:
        if item.problem is None and item.name not in skip:
            given[item.name] = (renamed or {}).get(item.name, item.name)
            destination.write(given[item.name], source.read(item)[::-1], destination.bookkeeping / "scratch")
    destination.finish(given)


def test_folder_destination_takes_every_name(tmp_path, open_collection):
    fill(tmp_path / "src", ODD_NAMES)
    source = open_collection(tmp_path / "src")
    protect(source, tmp_path / "dst")
    out = open_collection(tmp_path / "dst")
    assert names(out) == names(source)
    assert [out.read(item) for item in out.items] == [source.read(item)[::-1] for item in source.items]
    assert not (tmp_path / "dst/.unlearnable/scratch").exists()


@pytest.mark.parametrize(
    "name", ["../x.png", "/x.png", "a/../../x.png", "", ".", "a//b", "a/", ".unlearnable/x", "z\0"]
)
def test_no_name_leads_out_of_the_destination(tmp_path, name, open_collection):
    fill(tmp_path / "src", ["a.png"])
    destination = open_destination(tmp_path / "dst", open_collection(tmp_path / "src"))
    with pytest.raises(Refused):
        destination.path_of(name)
    with pytest.raises(Refused):
        destination.write(name, b"x", tmp_path / "scratch")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.png", "src"]


def test_links_folders_and_files_in_the_way_are_refused(tmp_path, open_collection):
    fill(tmp_path / "src", ["a.png"])
    (tmp_path / "dst").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "dst/out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "dst/folder.png").mkdir()
    (tmp_path / "dst/file").write_bytes(b"")
    destination = open_destination(tmp_path / "dst", open_collection(tmp_path / "src"))
    for name in ("out/x.png", "folder.png", "file/x.png", "y" * 300 + ".png"):
        with pytest.raises(Refused):
            destination.write(name, b"x", tmp_path / "scratch")
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, open_collection):
    fill(tmp_path / "src", ["a.png"])
    destination = open_destination(tmp_path / "dst", open_collection(tmp_path / "src"))
    destination.write("a.png", b"old", tmp_path / "scratch")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        destination.write("a.png", b"new", tmp_path / "scratch")
    assert (tmp_path / "dst/a.png").read_bytes() == b"old"


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_archives_are_packed_in_order_and_give_equal_bytes(tmp_path, suffix, open_collection):
    members = ["b/2.jpg", "a.png", "new\nline.txt", "猫.png"]
    if suffix == ".zip":
        write_zip(tmp_path / "s.zip", [*members, "../evil.png"])
    else:
        write_tar(
            tmp_path / f"s{suffix}",
            [(n, content(n)) for n in [*members, "../evil.png"]],
            "w:gz" if "gz" in suffix else "w",
        )
    source = open_collection(tmp_path / f"s{suffix}")
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        protect(source, tmp_path / place / f"d{suffix}", {"b/2.jpg": "b/2.png"}, skip=("a.png",))
    first, second = (tmp_path / place / f"d{suffix}" for place in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    assert sorted(p.name for p in first.parent.iterdir()) == [first.name, f"{first.name}.partial"]
    assert [p.name for p in (tmp_path / f"one/d{suffix}.partial").iterdir()] == [".unlearnable"]
    out = open_collection(first)
    expected = ["b/2.png", "new\nline.txt", "猫.png"]
    assert names(out) == (sorted(expected, key=os.fsencode) if suffix == ".zip" else expected)
    assert out.read(Item("b/2.png")) == content("b/2.jpg")[::-1]
    if suffix == ".zip":
        assert {info.date_time for info in zipfile.ZipFile(first).infolist()} == {(1980, 1, 1, 0, 0, 0)}
    if suffix == ".tar.gz":
        assert gzip.decompress(first.read_bytes())[:3] == b"b/2"


def test_parquet_keeps_schema_other_columns_and_row_groups(tmp_path, open_collection):
    parquet = importlib.import_module("pyarrow.parquet")
    rows = [{"bytes": b"%d" % i * 3, "path": f"{i}.jpg"} for i in range(5)]
    write_parquet(tmp_path / "s.parquet", rows)
    source = open_collection(tmp_path / "s.parquet")
    protect(source, tmp_path / "d.parquet", {"1.jpg": "1.png"}, skip=("3.jpg",))
    before, after = parquet.ParquetFile(tmp_path / "s.parquet"), parquet.ParquetFile(tmp_path / "d.parquet")
    assert after.schema_arrow.equals(before.schema_arrow, check_metadata=True)
    assert after.num_row_groups == before.num_row_groups == 3
    old, new = before.read().to_pydict(), after.read().to_pydict()
    assert new["label"] == old["label"]
    assert new["id"] == old["id"]
    assert new["image"][1] == {"bytes": b"111", "path": "1.png"}
    assert new["image"][3] is None
    assert new["image"][0] == {"bytes": b"000", "path": "0.jpg"}
    protect(source, tmp_path / "folder")
    assert names(open_collection(tmp_path / "folder")) == [f"{i}.jpg" for i in range(5)]


def test_destinations_that_cannot_be(tmp_path, open_collection):
    fill(tmp_path / "src", ["sub/a.png"])
    write_zip(tmp_path / "s.zip", ["a.png", "s.zip"])
    folder, archive = open_collection(tmp_path / "src"), open_collection(tmp_path / "s.zip")
    single = open_collection(tmp_path / "src/sub/a.png")
    for path, source, reason in [
        (tmp_path / "d.zip", folder, "would be a zip but SRC is not one"),
        (tmp_path / "d.tar", archive, "would be a tar"),
        (tmp_path / "out.png", single, "must be a folder"),
        (tmp_path / "src/dst", folder, "inside each other"),
        (tmp_path, folder, "inside each other"),
        (tmp_path / "src", folder, "is SRC itself"),
        (tmp_path / "s.zip", archive, "is SRC itself"),
        (tmp_path / "src/sub", single, "folder of SRC"),
        (tmp_path / "src/sub/a.png", archive, "must be a folder"),
    ]:
        with pytest.raises(ValueError, match=reason):
            open_destination(path, source)
    with pytest.raises(Refused, match="the source itself"):
        open_destination(tmp_path, archive).write("s.zip", b"x", tmp_path / "scratch")
    assert open_destination(tmp_path / "new.folder", archive).root == tmp_path / "new.folder"


def test_what_cannot_be_read_again_beside_the_pictures_stops_the_packing(tmp_path, monkeypatch, open_collection):
    write_zip(tmp_path / "s.zip", ["a.png"])
    source = open_collection(tmp_path / "s.zip")

    def damaged(collection: Collection) -> str | None:
        raise Refused("cannot be read from the table")

    monkeypatch.setattr("unlearnable.files.destination.kept", damaged)
    with pytest.raises(OSError, match="labels, columns or arrays read back wrong"):
        protect(source, tmp_path / "d.zip")
    assert not (tmp_path / "d.zip").exists()
