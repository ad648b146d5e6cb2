"""Collections are listed in a fixed order, read from any thread, and cannot lead out of themselves."""

import importlib
import os
import socket
import stat
import sys
import tracemalloc
import zipfile
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import pytest
from sources import ODD_NAMES, content, fill, names, problems, write_parquet, write_tar, write_zip

from unlearnable.files import Collection, Item, Refused
from unlearnable.files.collections import archives
from unlearnable.files.collections import folder as folder_module

# ---- folders ----


def test_folder_is_listed_by_the_bytes_of_names_and_read(tmp_path, open_collection):
    fill(
        tmp_path,
        [*ODD_NAMES, "b/2.png", "b/10.png", "B.png", "b.png", ".unlearnable/state.db", "sub/.unlearnable/kept"],
    )
    source = open_collection(tmp_path)
    expected = sorted([*ODD_NAMES, "b/2.png", "b/10.png", "B.png", "b.png", "sub/.unlearnable/kept"], key=os.fsencode)
    assert names(source) == expected
    assert not problems(source)
    assert [source.read(item) for item in source.items] == [content(name) for name in expected]
    assert source.label(Item("猫/写真.png")) == "猫"
    assert source.label(Item("b.png")) is None
    assert source.label(Item("a/b/c.png")) == "b"


def test_a_single_file(tmp_path, open_collection):
    fill(tmp_path, ["one.png", "two.png"])
    source = open_collection(tmp_path / "one.png")
    assert names(source) == ["one.png"]
    assert source.read(source.items[0]) == content("one.png")
    assert source.label(source.items[0]) is None


def test_links_are_read_inside_reported_outside_and_never_loop(tmp_path, open_collection):
    root = tmp_path / "src"
    fill(root, ["in/a.png"])
    fill(tmp_path, ["out/secret.png"])
    (root / "good.png").symlink_to("in/a.png")
    (root / "leak.png").symlink_to(tmp_path / "out/secret.png")
    (root / "leak").symlink_to(tmp_path / "out")
    (root / "in/up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (root / "gone.png").symlink_to("nothing")
    source = open_collection(root)
    assert names(source) == ["gone.png", "good.png", "in/a.png", "in/up", "leak", "leak.png", "loop"]
    found = problems(source)
    assert found["leak.png"] == "symbolic link that leads out of SRC"
    assert found["in/up"] == found["leak"] == "symbolic link to a folder, not followed"
    assert found["loop"].startswith("broken symbolic link")
    assert found["gone.png"].startswith("broken symbolic link")
    assert source.read(Item("good.png")) == content("in/a.png")
    with pytest.raises(Refused, match="leads out of SRC"):
        source.read(next(item for item in source.items if item.name == "leak.png"))


def test_pipes_and_sockets_are_reported_not_opened(tmp_path, open_collection):
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.png"))
        source = open_collection(tmp_path)
    assert problems(source) == dict.fromkeys(("pipe.png", "s.png"), "not a regular file (a pipe, socket or device)")


def test_what_cannot_be_read_is_refused_and_the_rest_goes_on(tmp_path, monkeypatch, open_collection):
    fill(tmp_path, ["a.png", "locked/b.png", "c.png"])
    scandir = os.scandir

    def guarded(path):
        if str(path).rstrip("/").endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(folder_module.os, "scandir", guarded)
    source = open_collection(tmp_path)
    assert problems(source) == {"locked": "folder cannot be listed: Permission denied"}
    (tmp_path / "a.png").unlink()
    (tmp_path / "a.png").mkdir()
    with pytest.raises(Refused, match="cannot be read: Is a directory"):
        source.read(Item("a.png"))
    (tmp_path / "c.png").unlink()
    with pytest.raises(Refused, match="cannot be read: No such file"):
        source.read(Item("c.png"))


def test_files_above_the_limit_are_refused_before_they_are_read(tmp_path, open_collection):
    with open(tmp_path / "sparse.tif", "wb") as file:
        file.truncate((2 << 30) + 1)
    source = open_collection(tmp_path)
    with pytest.raises(Refused, match="larger than 2 GiB"):
        source.read(source.items[0])


def test_twenty_thousand_items_cost_a_few_megabytes(tmp_path, open_collection):
    for i in range(20):
        (tmp_path / f"class_{i:02d}").mkdir()
        for j in range(1_000):
            os.close(os.open(tmp_path / f"class_{i:02d}/image_{j:05d}.png", os.O_CREAT | os.O_WRONLY))
    tracemalloc.start()
    source = open_collection(tmp_path)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(source.items) == 20_000
    assert used < 5 << 20, used


@pytest.mark.parametrize(
    ("name", "data"), [("a.zip", b"no zip"), ("a.tar", b"no tar" * 200), ("a.tgz", b"no gzip"), ("b.zip", b"")]
)
def test_sources_that_are_none_end_in_one_line(tmp_path, name, data, open_collection):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=rf"SRC .*{name}.* is not a readable") as caught:
        open_collection(tmp_path / name)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="neither a file nor a folder"):
        open_collection(tmp_path / "missing")


# ---- archives ----

HOSTILE = [
    "../up.png",
    "/abs.png",
    "a/../../b.png",
    "C:/win.png",
    "back\\slash.png",
    ".unlearnable/state.db",
    "a//b.png",
]


def check_hostile(source: Collection) -> None:
    assert set(problems(source)) >= set(HOSTILE)
    for item in source.items:
        if item.problem:
            with pytest.raises(Refused):
                source.read(item)


def test_zip(tmp_path, open_collection):
    good = ["b.png", "a/x.png", "猫.png", "new\nline.png"]
    write_zip(tmp_path / "s.zip", [*good, *HOSTILE])
    source = open_collection(tmp_path / "s.zip")
    assert names(source) == sorted([*good, *HOSTILE], key=os.fsencode)
    check_hostile(source)
    assert all(source.read(Item(name)) == content(name) for name in good)
    assert source.label(Item("a/x.png")) == "a"
    source.close()


def test_zip_links_doubles_encrypted_and_damaged_members(tmp_path, recwarn, open_collection):
    path = tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("x/twice.png", b"1")
        archive.writestr("./x/twice.png", b"2")
        archive.writestr("locked.png", b"secret")
        archive.writestr("hurt.png", b"0123456789" * 9)
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"locked.png") - 46
    raw[at + 8] |= 1
    raw[raw.index(b"0123456789")] ^= 1
    path.write_bytes(raw)
    source = open_collection(path)
    found = problems(source)
    assert "link or device" in found["link.png"]
    assert "encrypted" in found["locked.png"]
    assert found["./x/twice.png"] == "another member of the archive has the same name"
    assert source.read(Item("x/twice.png")) == b"1"
    with pytest.raises(Refused, match="Bad CRC"):
        source.read(Item("hurt.png"))


@pytest.mark.parametrize(("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".tgz", "w:gz")])
def test_tar_is_in_its_own_order_and_links_stay_unread(tmp_path, suffix, mode, open_collection):
    good = ["z.png", "a/x.png", "./m.png", "bad\udcff.png", "x" * 200 + ".png"]
    members = [(name, content(name)) for name in [*good, *HOSTILE]]
    write_tar(tmp_path / f"s{suffix}", [*members, ("link.png", None)], mode)
    source = open_collection(tmp_path / f"s{suffix}")
    assert names(source)[:5] == ["z.png", "a/x.png", "m.png", "bad\udcff.png", "x" * 200 + ".png"]
    check_hostile(source)
    assert "link or device" in problems(source)["link.png"]
    assert source.read(Item("m.png")) == content("./m.png")
    source.close()


def test_a_bomb_is_not_unpacked_nor_is_what_the_disk_has_no_room_for(tmp_path, monkeypatch, open_collection):
    """200 KB became 200 MiB in the temporary folder, and might have become all that was free."""
    write_tar(tmp_path / "bomb.tgz", [("a.png", bytes(70 << 20))], "w:gz")
    with pytest.raises(ValueError, match=r"bomb.tgz' unpacks to more than 67,108,864 bytes .*: unpack it yourself"):
        open_collection(tmp_path / "bomb.tgz")
    write_tar(tmp_path / "s.tgz", [("a.png", bytes(3 << 20))], "w:gz")
    assert open_collection(tmp_path / "s.tgz").items == (Item("a.png"),)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(1 << 20))
    with pytest.raises(ValueError, match=r"s.tgz' is unpacked into .* where only 1,048,576 bytes are free") as caught:
        open_collection(tmp_path / "s.tgz")
    assert "\n" not in str(caught.value)


def test_webdataset_classes_come_from_the_cls_member(tmp_path, open_collection):
    write_tar(tmp_path / "s.tar", [("d/01.jpg", b"1"), ("d/01.cls", b"7\n"), ("d/02.jpg", b"2"), ("03.jpg", b"3")])
    source = open_collection(tmp_path / "s.tar")
    assert [source.label(Item(name)) for name in ("d/01.jpg", "d/02.jpg", "03.jpg")] == ["7", "d", None]


def test_tar_cut_short_refuses_the_member(tmp_path, open_collection):
    write_tar(tmp_path / "s.tar", [("a.png", b"1"), ("b.png", bytes(5_000))])
    raw = (tmp_path / "s.tar").read_bytes()
    (tmp_path / "s.tar").write_bytes(raw[: 1024 + 512 + 2_000])
    source = open_collection(tmp_path / "s.tar")
    assert source.read(Item("a.png")) == b"1"
    with pytest.raises(Refused, match="cut short"):
        source.read(Item("b.png"))
    assert [item.problem for item in source.items][2:] == ["the archive is damaged or cut short: what followed is lost"]


@pytest.mark.parametrize("kind", ["zip", "tar", "folder", "parquet"])
def test_reading_is_safe_in_threads(tmp_path, kind, open_collection):
    members = [f"{i:03d}.png" for i in range(200)]
    path = tmp_path / f"s.{kind}"
    if kind == "zip":
        write_zip(path, members)
    elif kind == "tar":
        write_tar(path, [(name, content(name)) for name in members])
    elif kind == "folder":
        fill(path, members)
    else:
        write_parquet(path, [{"bytes": content(name), "path": name} for name in members], row_group_size=16)
    source = open_collection(path)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(source.read, source.items)) == [content(name) for name in members]
        whole = pool.map(lambda item: b"".join(source.blocks(item)), source.items)
        assert list(whole) == [content(name) for name in members]


# ---- tables ----


PNG_HEAD, JPEG_HEAD = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"


def test_parquet_names_labels_and_missing_images(tmp_path, open_collection):
    rows = [{"bytes": b"1", "path": "x/1.png"}, {"bytes": b"2", "path": "./2.png"}, {"bytes": b"3", "path": "3.png"}]
    write_parquet(tmp_path / "a.parquet", [*rows, None])
    source = open_collection(tmp_path / "a.parquet")
    assert names(source) == ["x/1.png", "2.png", "3.png", "3"]
    assert list(problems(source)) == ["3"]
    assert source.read(Item("x/1.png")) == b"1"
    assert source.label(Item("x/1.png")) is None
    assert source.label(Item("3.png")) == "dog"
    with pytest.raises(Refused, match="no image bytes"):
        source.read(source.items[3])


def test_parquet_rows_without_usable_paths_are_numbered_by_content(tmp_path, open_collection):
    rows = [{"bytes": PNG_HEAD, "path": "same.png"}, {"bytes": JPEG_HEAD, "path": "same.png"}, None]
    write_parquet(tmp_path / "a.parquet", rows)
    source = open_collection(tmp_path / "a.parquet")
    assert names(source) == ["0.png", "1.jpg", "2"]
    assert list(problems(source)) == ["2"]
    write_parquet(tmp_path / "b.parquet", [PNG_HEAD] * 11, column="img")
    assert names(open_collection(tmp_path / "b.parquet"))[9:] == ["09.png", "10.png"]


@pytest.mark.parametrize("path", ["/home/me/1.png", "C:\\1.png", "../1.png", "./0.png", "a\\1.png"])
def test_parquet_rows_whose_paths_cannot_be_names_are_numbered(tmp_path, path, open_collection):
    """Absolute paths, as `datasets` keeps them of local files, lost every picture."""
    write_parquet(tmp_path / "a.parquet", [{"bytes": PNG_HEAD, "path": "0.png"}, {"bytes": PNG_HEAD, "path": path}])
    source = open_collection(tmp_path / "a.parquet")
    assert names(source) == ["0.png", "1.png"]
    assert not problems(source)
    assert source.read(source.items[1]) == PNG_HEAD


def test_parquet_without_pictures_or_without_its_reader(tmp_path, monkeypatch, open_collection):
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    parquet.write_table(arrow.table({"text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"no image column \(columns: text\)"):
        open_collection(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match="not a readable parquet"):
        open_collection(tmp_path / "b.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"pip install 'unlearnable\[hf\]'"):
        open_collection(tmp_path / "a.parquet")
