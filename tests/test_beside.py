"""What lies beside the pictures of a data set or a folder of shards: kept once it is looked into, or reported."""

import importlib
import json
from pathlib import Path

import pytest
from jobs import job, noise, put, stored
from sources import write_tar
from test_folders_of_formats import dataset, rows, split, write_members

from unlearnable.files import open_collection
from unlearnable.job import audit, verify


def test_files_beside_a_data_set_go_along_once_they_are_looked_into(tmp_path: Path) -> None:
    """They vanished without a word."""
    source, out = dataset(tmp_path / "dd"), tmp_path / "out"
    put(source / "README.md", b"licence: mine")
    put(source / "train/notes/ids.csv", b"0,1")
    assert job(source, out, method="random", card=False).protected == 6
    assert (out / "README.md").read_bytes() == b"licence: mine"
    assert (out / "train/notes/ids.csv").read_bytes() == b"0,1"
    assert verify(source, out).bad == 0
    put(out / "train/notes/ids.csv", b"0,2")
    assert [name for name, _ in audit(out).problems] == ["out"]
    put(source / "notes.json", json.dumps({"preview": stored(noise(0), "PNG").hex()}).encode())
    with pytest.raises(ValueError, match=r"holds 'notes.json' beside the data set, .* but it holds a picture"):
        job(source, tmp_path / "again", method="random")
    (source / "notes.json").rename(source / "0.png")
    with pytest.raises(ValueError, match=r"holds '0.png', which is a picture beside the data set: move it away"):
        job(source, tmp_path / "again", method="random")


def test_a_single_split_keeps_what_lies_beside_it(tmp_path: Path) -> None:
    source = split(tmp_path / "ds", rows(0, 2))
    put(source / "README.md", b"mine")
    assert job(source, tmp_path / "out", method="random").protected == 2
    assert (tmp_path / "out/README.md").read_bytes() == b"mine"
    assert (verify(source, tmp_path / "out").bad, audit(tmp_path / "out").bad) == (0, 0)


def test_a_card_is_no_part_of_what_it_describes(tmp_path: Path) -> None:
    """It was: verify said that the labels of a CIFAR folder with a card were others."""
    dataset(tmp_path / "dd")
    for batch in (1, 2):
        put(tmp_path / f"bin/data_batch_{batch}.bin", bytes(2 * 3073))
    for name in ("dd", "bin"):
        source, out = tmp_path / name, tmp_path / f"{name}-out"
        job(source, out, method="random", card=True)
        assert (out / "README.md").is_file()
        for found in (verify(source, out), audit(out)):
            assert (found.bad, found.missing, found.problems) == (0, 0, ()), name


def write_words(path: Path, **columns: list[object]) -> None:
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    parquet.write_table(arrow.table(columns), path)


def test_shards_of_img2dataset_keep_their_tables_of_words(tmp_path: Path) -> None:
    """The table that lies beside every shard has no pictures, and stopped all."""
    source, out = tmp_path / "src", tmp_path / "out"
    for shard in range(2):
        write_members(source / f"0000{shard}.tar", [(f"{shard}.jpg", stored(noise(shard), "JPEG"))])
        write_words(source / f"0000{shard}.parquet", url=["https://example.org/1.jpg"], caption=["a dog"])
        put(source / f"0000{shard}_stats.json", b"{}")
    summary = job(source, out, method="random")
    assert (summary.protected, summary.copied, summary.failed) == (2, 2, 0)
    assert importlib.import_module("pyarrow.parquet").read_table(out / "00001.parquet")["caption"].to_pylist() == [
        "a dog"
    ]
    assert (verify(source, out).bad, audit(out).bad) == (0, 0)
    write_words(out / "00001.parquet", url=["https://example.org/1.jpg"], caption=["a cat"])
    assert (verify(source, out).bad, audit(out).bad) == (1, 1)
    write_words(source / "00001.parquet", url=[""], jpg=[stored(noise(0), "JPEG")])
    with pytest.raises(ValueError, match=r"'jpg' with a picture, and nobody would .* \(00001.parquet\)"):
        job(source, tmp_path / "again", method="random")
    for shard in range(2):
        (source / f"0000{shard}.tar").unlink()
    with pytest.raises(ValueError, match=r"00000.parquet' has no image column"):
        job(source, tmp_path / "again", method="random")


def test_one_damaged_shard_is_reported_and_the_others_are_protected(tmp_path: Path) -> None:
    source, out = tmp_path / "src", tmp_path / "out"
    write_members(source / "a.tar", [("0.png", stored(noise(0), "PNG"))])
    put(source / "b.tar", b"no archive at all")
    put(source / "c.parquet", b"PAR1 cut")
    summary = job(source, out, method="random")
    assert (summary.protected, summary.copied, summary.failed) == (1, 0, 2)
    failures = dict(summary.failures)
    assert failures["b.tar"].startswith("this shard is not a readable tar archive")
    assert failures["c.parquet"].startswith("this shard is not a readable parquet file")
    assert [path.name for path in out.iterdir() if path.is_file()] == ["a.tar"]
    found = verify(source, out)
    assert (found.checked, found.bad, found.missing) == (1, 0, 2)
    with pytest.raises(ValueError, match=r"b.tar' is not a readable tar archive"):
        open_collection(source / "{a,b}.tar")
    (source / "a.tar").unlink()
    with pytest.raises(ValueError, match=r"b.tar' is not a readable tar archive"):
        open_collection(source)


def test_the_class_of_a_sample_is_what_its_own_json_says_first(tmp_path: Path) -> None:
    """Another .json of the sample, later in the archive, hid it."""
    members = [("0.png", b"0"), ("0.json", b'{"cls": 5}'), ("0.meta.json", b'{"width": 9}'), ("1.png", b"1"),
               ("1.json", b'{"width": 9}'), ("1.seen.json", b'{"label": "dog"}'), ("2.png", b"2"), ("2.a.cls", b"8"),
               ("2.cls", b"7"), ("2.json", b'{"cls": 6}'), ("d/3.png", b"3"), ("d/3.json", b"[]")]  # fmt: skip
    for number, order in enumerate((members, members[::-1])):
        write_tar(tmp_path / f"{number}.tar", order)
        opened = open_collection(tmp_path / f"{number}.tar")
        said = {item.name: opened.label(item) for item in opened.items if item.name.endswith(".png")}
        assert said == {"0.png": "5", "1.png": "dog", "2.png": "7", "d/3.png": "d"}
