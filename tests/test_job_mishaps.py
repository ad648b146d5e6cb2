"""A job that meets full disks, files it cannot write or read back, or Ctrl-C: nothing wrong stays, and it can go on."""

import errno
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest
from jobs import folder, job, manifest, noise, packed, put, tree

from unlearnable.files import Destination
from unlearnable.job import Halted, Job, name_clashes, protect, protecting, worker
from unlearnable.job import manifest as manifests
from unlearnable.job.manifest import Manifest, Outcome
from unlearnable.run import Cancelled, Progress, Run


def failing(monkeypatch: pytest.MonkeyPatch, code: int, after: int) -> None:
    calls, real = [], Destination.write

    def write(self: Destination, name: str, data: bytes, scratch: Path) -> None:
        calls.append(name)
        if len(calls) > after:
            raise OSError(code, os.strerror(code))
        real(self, name, data, scratch)

    monkeypatch.setattr(Destination, "write", write)


def test_a_full_disk_stops_the_job_and_it_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder(tmp_path / "src", 20)
    job(source, tmp_path / "whole")
    with monkeypatch.context() as patch:
        failing(patch, errno.ENOSPC, 7)
        with pytest.raises(Halted, match="No space left on device") as error:
            job(source, tmp_path / "dst")
    assert str(tmp_path / "dst") in str(error.value)
    kept = tree(tmp_path / "dst")
    assert 0 < len(kept) <= 7
    assert not (tmp_path / "dst" / ".unlearnable" / "scratch").exists()
    assert job(source, tmp_path / "dst", resume=True).worked >= 13
    assert tree(tmp_path / "dst") == tree(tmp_path / "whole")


def test_a_disk_that_is_full_when_the_archive_is_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(folder(tmp_path / "src"), tmp_path / "src.zip")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Destination, "finish", full)
        with pytest.raises(Halted, match="No space left on device"):
            job(archive, tmp_path / "dst.zip")
    assert job(archive, tmp_path / "dst.zip", resume=True).worked == 0
    job(archive, tmp_path / "whole.zip")
    assert (tmp_path / "dst.zip").read_bytes() == (tmp_path / "whole.zip").read_bytes()


def test_a_file_that_cannot_be_written_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Destination.write

    def write(self: Destination, name: str, data: bytes, scratch: Path) -> None:
        if name == "cat/003.png":
            raise PermissionError(errno.EACCES, "Permission denied")
        real(self, name, data, scratch)

    source = folder(tmp_path / "src")
    with monkeypatch.context() as patch:
        patch.setattr(Destination, "write", write)
        summary = job(source, tmp_path / "dst")
    assert list(summary.failures) == [("cat/003.png", "Permission denied")]
    assert summary.protected == 7
    assert job(source, tmp_path / "dst", resume=True).failed == 0


def test_what_reads_back_wrong_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that gives back other bytes than it was given."""
    real = Destination.write

    def write(self: Destination, name: str, data: bytes | Iterable[bytes], scratch: Path) -> None:
        if name in ("cat/003.png", "notes.txt"):
            data = (data if isinstance(data, bytes) else b"".join(data))[:-30] + bytes(30)
        real(self, name, data, scratch)

    source = folder(tmp_path / "src")
    put(source / "notes.txt", b"a note that is longer than thirty bytes")
    with monkeypatch.context() as patch:
        patch.setattr(Destination, "write", write)
        summary = job(source, tmp_path / "dst")
    failures = dict(summary.failures)
    assert set(failures) == {"cat/003.png", "notes.txt"}
    assert all("read back" in reason for reason in failures.values())
    assert not {"cat/003.png", "notes.txt"} & set(tree(tmp_path / "dst"))


@pytest.mark.parametrize("how", ["cancelled", "interrupted"])
def test_a_job_that_is_stopped_can_be_resumed(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder(tmp_path / "src", 24)
    job(source, tmp_path / "whole")

    def listener(event: Progress) -> None:
        if how == "interrupted" and event.stage == "protect" and event.done > 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(protecting, "_REPORTS", 0)
    dst = tmp_path / "dst"
    run = Run(device="cpu", precision="fp32", listener=listener,
              cancelled=lambda: how == "cancelled" and len(tree(dst)) > 5)  # fmt: skip
    with pytest.raises((Cancelled, KeyboardInterrupt)):
        protect(Job(source, dst, "lsp"), run)
    done = sum(status == "protected" for (status,) in manifest(dst, "status"))
    assert 0 < done < 24
    assert not (dst / ".unlearnable" / "scratch").exists()
    assert job(source, dst, resume=True).worked == 24 - done
    assert tree(dst) == tree(tmp_path / "whole")


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_nothing_is_recorded_before_it_is_on_disk_for_good(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the manifest says is done must be there after a power cut: outputs, and what is packed of them."""
    source, dst = folder(tmp_path / "src"), tmp_path / f"dst{suffix}"
    synced, lasting, known = set[int](), list[set[str]](), set[str]()
    fsync, record, commit, replace = os.fsync, Manifest.record, Manifest.commit, os.replace

    def on_disk(file: int) -> None:
        synced.add(os.fstat(file).st_ino)
        fsync(file)

    def told(self: Manifest, row: int, outcome: Outcome) -> None:
        record(self, row, outcome)
        if outcome.output is not None:
            known.add(outcome.output)

    def last(self: Manifest) -> None:
        root = self.path.parent.parent
        assert all((root / name).stat().st_ino in synced for name in known if (root / name).exists())
        lasting.append(set(known))
        commit(self)

    def placed(old: str | Path, new: str | Path) -> None:
        assert Path(new) != dst or os.stat(old).st_ino in synced
        replace(old, new)

    monkeypatch.setattr(protecting, "_BATCH", 3)
    for owner, name, spy in ((os, "fsync", on_disk), (Manifest, "record", told), (Manifest, "commit", last),
                             (os, "replace", placed)):  # fmt: skip
        monkeypatch.setattr(owner, name, spy)
    job(packed(source, tmp_path / "src.zip") if suffix else source, dst)
    assert sorted({len(names) for names in lasting}) == [0, 3, 6, 8]
    assert not suffix or dst.stat().st_ino in synced


@pytest.mark.parametrize(("code", "said"), [
    (sqlite3.SQLITE_FULL, "database or disk is full"), (sqlite3.SQLITE_IOERR | 3 << 8, "disk I/O error"),
    (sqlite3.SQLITE_CORRUPT, "is damaged"), (sqlite3.SQLITE_NOTADB, "is damaged"),
    (sqlite3.SQLITE_BUSY, "another run is at work"),
])  # fmt: skip
def test_only_a_manifest_that_is_broken_is_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    """--overwrite throws a damaged one away, and with it all that is known of the outputs."""
    source, dst = folder(tmp_path / "src", 2), tmp_path / "dst"
    job(source, dst)
    wrong = sqlite3.OperationalError("database or disk is full" if code == sqlite3.SQLITE_FULL else "disk I/O error")
    wrong.sqlite_errorcode = code

    real = Manifest._ask

    def ask(self: Manifest, query: str, *values: object) -> list[object]:
        with manifests._explained(self.path):
            if "quick_check" in query:
                raise wrong
        return real(self, query, *values)

    monkeypatch.setattr(Manifest, "_ask", ask)
    if said == "is damaged":
        assert job(source, dst, overwrite=True).protected == 2
        return
    before = tree(dst)
    with pytest.raises(ValueError, match=said) as error:
        job(source, dst, overwrite=True)
    assert "--overwrite" not in str(error.value)
    assert tree(dst) == before
    assert [status for (status,) in manifest(dst, "status")] == ["protected"] * 2


def test_a_disk_that_is_full_for_the_manifest_stops_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = sqlite3.OperationalError("database or disk is full")
    wrong.sqlite_errorcode = sqlite3.SQLITE_FULL

    def showing(self: Manifest, least: float, most: int) -> None:
        with manifests._explained(self.path):
            raise wrong

    source = folder(tmp_path / "src", 2)
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "showing", showing)
        with pytest.raises(Halted, match="takes no more: the manifest cannot be used: database or disk is full"):
            job(source, tmp_path / "dst")
    assert job(source, tmp_path / "dst", resume=True).worked == 0


def test_names_that_the_disk_takes_for_one_do_not_overwrite_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["cat/A.png", "cat/a.png", "cat/b.jpg", "cat/\u00e9.jpg", "cat/e\u0301.png", "notes.TXT", "notes.txt"]
    for number, name in enumerate(names):
        put(tmp_path / "src" / name, b"mine" if name.lower().endswith("txt") else noise(number))
    assert job(tmp_path / "src", tmp_path / "both").failed == 0
    monkeypatch.setattr(worker, "ignored", lambda folder: (True, True))
    done = job(tmp_path / "src", tmp_path / "dst")
    failures = dict(done.failures)
    assert list(failures) == ["cat/a.png", "cat/\u00e9.jpg", "notes.txt"], "the second of each pair, as listed"
    assert failures["cat/a.png"] == "DST's disk takes its name for that of 'cat/A.png': rename one of them"
    assert (tmp_path / "dst/cat/A.png").read_bytes() == (tmp_path / "both/cat/A.png").read_bytes()
    assert not (tmp_path / "dst/cat/a.png").exists()
    assert not list((tmp_path / "dst/.unlearnable").glob("scratch*"))
    assert name_clashes.clashes(names, False, False) == {}
    assert set(name_clashes.clashes(names, True, False)) == {1, 6}
    assert set(name_clashes.clashes(names, False, True)) == {4}
