"""A job killed at any moment and resumed gives the bytes of one never stopped; and only the same job resumes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jobs import crop, folder, job, manifest, noise, packed, put, tree

from unlearnable.job import Job, fitting, protect, verify
from unlearnable.job.manifest import Manifest
from unlearnable.run import Run

ONE_JOB = """
import sys
from pathlib import Path
from unlearnable.job import Job, protect
from unlearnable.run import Run
protect(Job(Path(sys.argv[1]), Path(sys.argv[2]), "lsp", resume=True), Run(device="cpu", precision="fp32"))
"""

KILLED_AT = """
import os, signal, sys
from pathlib import Path
from unlearnable.files import destination
from unlearnable.job import Job, fitting, protect
from unlearnable.job.manifest import Manifest
from unlearnable.run import Run

def die(*_): os.kill(os.getpid(), signal.SIGKILL)

def at_call(owner, name, number, before):
    real, calls = getattr(owner, name), []
    def call(*args, **values):
        calls.append(1)
        if before and len(calls) == number: die()
        found = real(*args, **values)
        if not before and len(calls) == number: die()
        return found
    setattr(owner, name, call)

moments = {
    "folder made": (Manifest, "__init__", 1, True), "manifest made": (Manifest, "begin", 1, True),
    "half listed": (Manifest, "set", 1, True), "listed": (Manifest, "begin", 1, False),
    "fitted": (fitting.perturbations, "save", 1, False), "half saved": (fitting.perturbations, "save_file", 1, False),
    "labelled": (Manifest, "label", 1, False), "in scratch": (destination.os, "replace", 9, True),
    "in place": (destination.os, "replace", 9, False), "recorded": (Manifest, "record", 4, False),
    "committing": (Manifest, "commit", 5, True), "committed": (Manifest, "commit", 5, False),
    "all done": (Manifest, "close", 1, True), "closed": (Manifest, "close", 1, False),
}
source, root = Path(sys.argv[1]), Path(sys.argv[2])
from unlearnable.job import protecting
protecting._BATCH = 3
for name in sys.argv[3:]:
    child = os.fork()  # no thread has been started yet
    if child == 0:
        at_call(*moments[name])
        protect(Job(source, root / name, "lsp"), Run(device="cpu", precision="fp32"))
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == -signal.SIGKILL, f"{name}: {code}"
"""
MOMENTS = ["folder made", "manifest made", "half listed", "listed", "fitted", "half saved", "labelled", "in scratch",
           "in place", "recorded", "committing", "committed", "all done", "closed"]  # fmt: skip
CORE = "name, status, label, output, source_sha256, output_sha256, max_delta, psnr, notes, reason"


def python(script: str, *arguments: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, cwd=Path(__file__).parent.parent)


def test_killed_at_every_moment_and_resumed(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 14)
    put(source / "notes.txt", b"notes")
    put(source / "cat" / "broken.png", b"no picture")
    job(source, tmp_path / "whole")
    assert python(KILLED_AT, source, tmp_path, *MOMENTS).wait(timeout=120) == 0
    expected = tree(tmp_path / "whole")
    for name in MOMENTS:
        left = len(tree(tmp_path / name))
        assert (left < len(expected)) == (name not in ("all done", "closed")), name
        if name in ("in scratch", "in place", "recorded", "committing", "committed"):
            assert (tmp_path / name / ".unlearnable" / "scratch").exists(), name
            assert left > 0, name
        if name == "all done":
            found = verify(source, tmp_path / name)  # reads what a killed process left open
            assert (found.checked, found.bad, found.missing) == (14, 0, 1)
        job(source, tmp_path / name, resume=True)
        assert tree(tmp_path / name) == expected, name
        assert manifest(tmp_path / name, CORE) == manifest(tmp_path / "whole", CORE), name
        inside = {path.name for path in (tmp_path / name / ".unlearnable").iterdir()}
        assert inside == {"manifest.sqlite", "perturbation"}, name


def test_killed_from_outside_twice_and_resumed(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 40, lambda n: crop(n, 300, 250))
    dst = tmp_path / "dst"
    for wanted in (3, 15):
        process = python(ONE_JOB, source, dst)
        while len(list(dst.glob("*/*.png"))) < wanted:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert wanted <= len(list(dst.glob("*/*.png"))) < 40
    summary = job(source, dst, resume=True)
    assert (summary.protected, summary.failed) == (40, 0)
    job(source, tmp_path / "whole")
    assert tree(dst) == tree(tmp_path / "whole")
    assert manifest(dst, CORE) == manifest(tmp_path / "whole", CORE)


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    job(source, tmp_path / "dst")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "dst").rglob("*.png")}
    again = job(source, tmp_path / "dst", resume=True)
    assert (again.protected, again.worked) == (8, 0)
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "dst").rglob("*.png")}


def test_an_output_that_was_removed_is_made_again(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    job(source, tmp_path / "dst")
    whole = tree(tmp_path / "dst")
    (tmp_path / "dst" / "cat" / "003.png").unlink()
    assert job(source, tmp_path / "dst", resume=True).worked == 1
    assert tree(tmp_path / "dst") == whole


def test_an_output_that_was_changed_is_made_again(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    put(source / "notes.txt", b"notes")
    job(source, tmp_path / "dst")
    whole = tree(tmp_path / "dst")
    put(tmp_path / "dst" / "cat" / "003.png", (source / "cat" / "003.png").read_bytes())
    put(tmp_path / "dst" / "notes.txt", b"other")
    again = job(source, tmp_path / "dst", resume=True)
    assert (again.worked, again.protected, again.copied) == (1, 8, 1)
    assert tree(tmp_path / "dst") == whole


def test_an_archive_that_was_changed_is_packed_again(tmp_path: Path) -> None:
    archive = packed(folder(tmp_path / "src", 3), tmp_path / "src.zip")
    job(archive, tmp_path / "dst.zip")
    whole = (tmp_path / "dst.zip").read_bytes()
    put(tmp_path / "dst.zip", archive.read_bytes())
    assert job(archive, tmp_path / "dst.zip", resume=True).worked == 3
    assert (tmp_path / "dst.zip").read_bytes() == whole


def test_a_picture_that_changed_is_done_again_and_one_that_broke_goes(tmp_path: Path) -> None:
    """What was made of the old one is neither left nor mixed with the new."""
    source = folder(tmp_path / "src", 6)
    put(source / "notes.txt", b"notes")
    job(source, tmp_path / "dst", method="random")
    put(source / "cat" / "003.png", noise(99))
    put(source / "notes.txt", b"other")
    put(source / "dog" / "004.png", b"no picture any more")
    again = job(source, tmp_path / "dst", method="random", resume=True)
    assert (again.worked, again.protected, again.copied, again.failed) == (1, 5, 1, 1)
    job(source, tmp_path / "whole", method="random")
    assert tree(tmp_path / "dst") == tree(tmp_path / "whole")
    assert not (tmp_path / "dst" / "dog" / "004.png").exists()


def test_resume_where_nothing_was_begun_begins(tmp_path: Path) -> None:
    assert job(folder(tmp_path / "src"), tmp_path / "dst", resume=True).protected == 8


@pytest.mark.parametrize(("values", "said"), [
    ({"eps": 4 / 255}, "eps was 8/255, is now 4/255"), ({"method": "random"}, "name was lsp, is now random"),
    ({"seed": 1}, "seed was 0, is now 1"), ({"labels": "none"}, "labels was auto, is now none"),
    ({"container": "webp"}, "container was keep, is now webp"), ({"method": "lsp:paper"}, "norm was linf, is now l2"),
    ({"method": "one_for_all"}, "method was lsp, is now fitted"),
])  # fmt: skip
def test_only_the_same_job_resumes(tmp_path: Path, values: dict[str, object], said: str) -> None:
    source = folder(tmp_path / "src", 2)
    job(source, tmp_path / "dst")
    before = tree(tmp_path / "dst")
    with pytest.raises(ValueError, match=said) as error:
        job(source, tmp_path / "dst", resume=True, **values)
    assert "\n" not in str(error.value)
    assert tree(tmp_path / "dst") == before
    assert job(source, tmp_path / "dst", resume=True).protected == 2


def test_a_source_with_other_names_does_not_resume(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 2)
    job(source, tmp_path / "dst")
    put(source / "cat" / "another.png", noise(5))
    with pytest.raises(ValueError, match=r"names in SRC have changed \(2 files then, 3 now\)"):
        job(source, tmp_path / "dst", resume=True)


def test_two_jobs_cannot_write_to_one_place_at_once(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 2)
    job(source, tmp_path / "dst")
    holder = Manifest(tmp_path / "dst" / ".unlearnable" / "manifest.sqlite")
    for values in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(ValueError, match="another run is at work"):
            job(source, tmp_path / "dst", **values)
    holder.close()
    assert job(source, tmp_path / "dst", resume=True).protected == 2


def test_a_damaged_manifest_is_refused_and_can_be_overwritten(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 2)
    job(source, tmp_path / "dst")
    whole = tree(tmp_path / "dst")
    path = tmp_path / "dst" / ".unlearnable" / "manifest.sqlite"
    path.write_bytes(b"no database, but long enough to be taken for one" * 100)
    with pytest.raises(ValueError, match="is damaged"):
        job(source, tmp_path / "dst", resume=True)
    assert job(source, tmp_path / "dst", overwrite=True).protected == 2
    assert tree(tmp_path / "dst") == whole


def test_fitting_goes_on_where_it_was_killed_and_is_not_done_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The perturbation of the finished job serves the resumed one."""
    source = folder(tmp_path / "src", 6)
    job(source, tmp_path / "dst", method="em:quick")
    whole = tree(tmp_path / "dst")
    put(source / "cat" / "001.png", noise(1))
    (tmp_path / "dst" / "cat" / "001.png").unlink()

    def never(*_: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(fitting, "fit_pictures", never)
    protect(Job(source, tmp_path / "dst", "em:quick", resume=True), Run(device="cpu", precision="fp32"))
    assert tree(tmp_path / "dst") == whole
