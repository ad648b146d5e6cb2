"""Archives and tables in and out: the same as their folders, packed once, resumed without work."""

import tracemalloc
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from jobs import folder, job, noise, packed, put, stored, tree
from sources import write_parquet

from unlearnable.files import Refused, open_collection
from unlearnable.job import verify


def test_a_zip_gives_the_same_as_its_folder(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    put(source / "notes.txt", b"notes")
    archive = packed(source, tmp_path / "src.zip")
    job(source, tmp_path / "dst")
    assert job(archive, tmp_path / "from-zip").protected == 8
    assert tree(tmp_path / "from-zip") == tree(tmp_path / "dst")
    summary = job(archive, tmp_path / "out.zip")
    assert (summary.protected, summary.copied, summary.failed) == (8, 1, 0)
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        file.extractall(tmp_path / "unpacked")
    assert tree(tmp_path / "unpacked") == tree(tmp_path / "dst")
    found = verify(archive, tmp_path / "out.zip")
    assert (found.checked, found.bad, found.missing) == (8, 0, 0)


def test_a_member_that_is_no_picture_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """A bomb of zeros under the name of a picture takes no more memory than a block of it."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("big.png", bytes(1 << 28))
    with closing(open_collection(tmp_path / "a.zip")) as source:
        tracemalloc.start()
        with pytest.raises(Refused, match="not a picture in any known format"):
            source.read(source.items[0])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 1 << 25


def test_a_packed_archive_is_resumed_without_work_and_packed_again_for_what_failed(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    whole = (source / "cat" / "001.png").read_bytes()
    put(source / "cat" / "001.png", whole[:50])
    archive = packed(source, tmp_path / "src.zip")
    assert job(archive, tmp_path / "out.zip").failed == 1
    with pytest.raises(ValueError, match="holds a job already"):
        job(archive, tmp_path / "out.zip")
    put(source / "cat" / "001.png", whole)
    packed(source, archive)
    assert job(archive, tmp_path / "out.zip", resume=True).failed == 0
    done = (tmp_path / "out.zip").read_bytes()
    job(archive, tmp_path / "fresh.zip")
    assert done == (tmp_path / "fresh.zip").read_bytes()
    assert job(archive, tmp_path / "out.zip", resume=True).worked == 0
    assert (tmp_path / "out.zip").read_bytes() == done


@pytest.mark.parametrize("home", ["", "/home/me/"])
def test_a_table_comes_back_as_a_table(tmp_path: Path, home: str) -> None:
    rows = [{"bytes": stored(noise(i), "PNG"), "path": f"{home}{i}.png"} for i in range(5)]
    write_parquet(tmp_path / "src.parquet", rows)
    assert job(tmp_path / "src.parquet", tmp_path / "dst.parquet").protected == 5
    found = verify(tmp_path / "src.parquet", tmp_path / "dst.parquet")
    assert (found.checked, found.bad, found.missing, found.max_abs_delta) == (5, 0, 0, 8)
