"""The main job: what goes in, what comes out, what is refused, and that nobody's originals are touched."""

import errno
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import crop, everything, flat, folder, job, manifest, noise, put, samples, stored, tree
from PIL import Image
from sources import write_parquet

from unlearnable import perturbation
from unlearnable.data import load_labelled
from unlearnable.files import Destination
from unlearnable.job import Halted, Job, Preview, dry_run, parallel, protect, protecting, verify, worker
from unlearnable.job.fitting import load
from unlearnable.perturbation import apply
from unlearnable.pixels import LINF8, Budget
from unlearnable.run import Cancelled, Progress, Run

FORMATS: dict[str, tuple[str, dict[str, object]]] = {
    "rgb.png": ("RGB", {}), "rgba.png": ("RGBA", {}), "grey.png": ("L", {}), "la.png": ("LA", {}), "p.png": ("P", {}),
    "photo.jpg": ("RGB", {"quality": 92}), "grey.jpeg": ("L", {}), "cmyk.jpg": ("CMYK", {}),
    "lossless.webp": ("RGB", {"lossless": True}), "lossy.webp": ("RGB", {}), "rgb.tif": ("RGB", {}),
    "cmyk.tif": ("CMYK", {}), "rgb.bmp": ("RGB", {}), "still.gif": ("P", {}), "photo.png": ("RGB", {}),
}  # fmt: skip


def of_every_format(root: Path) -> Path:
    for number, (name, (mode, options)) in enumerate(FORMATS.items()):
        put(root / ("a" if number % 2 else "b") / name, crop(number).convert(mode), **options)
    deep = np.asarray(crop(3).convert("L")).astype(np.uint16) * 257
    put(root / "a" / "deep.png", Image.fromarray(deep))
    put(root / "readme.txt", b"hello")
    return root


@pytest.mark.parametrize("container", ["keep", "png", "webp"])
def test_every_format_comes_out_protected(tmp_path: Path, container: str) -> None:
    source = of_every_format(tmp_path / "src")
    before = everything(source)
    summary = job(source, tmp_path / "dst", container=container)
    refused = {"a/deep.png"} if container == "webp" else set()
    assert {name for name, _ in summary.failures} == refused
    assert (summary.protected, summary.copied, summary.failed) == (len(FORMATS) + 1 - len(refused), 1, len(refused))
    assert summary.max_abs_delta == 8
    assert (summary.method, summary.eps) == ("lsp", "8/255")
    assert everything(source) == before
    assert (tmp_path / "dst" / "readme.txt").read_bytes() == b"hello"
    found = verify(source, tmp_path / "dst")
    assert (found.checked, found.bad, found.missing, found.max_abs_delta) == (summary.protected, 0, len(refused), 8)
    for name, status, _, output, digest, written, delta, psnr, _ in manifest(tmp_path / "dst"):
        if status == "protected":
            assert 1 <= delta <= 8, name
            assert 29 < psnr < 50, name
            assert len(digest) == len(written) == 64
            assert digest != written
            assert (tmp_path / "dst" / os.fsdecode(output)).exists()


def test_names_and_types_stay_where_the_type_holds_exact_samples(tmp_path: Path) -> None:
    job(of_every_format(tmp_path / "src"), tmp_path / "dst")
    outputs = [os.fsdecode(out) for (out,) in manifest(tmp_path / "dst", "output")]
    assert sorted(outputs) == sorted(tree(tmp_path / "dst"))
    assert {"rgb.png", "rgb.tif", "rgb.bmp", "lossless.webp", "cmyk.tif", "readme.txt"} <= {
        Path(n).name for n in outputs
    }
    assert {Path(name).suffix for name in outputs} == {".png", ".tif", ".bmp", ".webp", ".txt"}


def test_a_small_picture_gets_exactly_what_apply_gives(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 12)
    job(source, tmp_path / "dst")
    fitted, config = perturbation.load(tmp_path / "dst" / ".unlearnable" / "perturbation")
    assert fitted.size == 32
    data, names = load_labelled(source, 32)
    assert data.classes == tuple(config["classes"])
    expected = apply(fitted, data, LINF8, Run(device="cpu")).images.permute(0, 2, 3, 1).numpy()
    assert np.array_equal(np.stack([samples(tmp_path / "dst" / name) for name in names]), expected)


@pytest.mark.parametrize(("eps", "cap"), [(4 / 255, 4), (1 / 255, 1), (0.1, 25)])
def test_a_budget_given_is_the_budget_kept(tmp_path: Path, eps: float, cap: int) -> None:
    summary = job(folder(tmp_path / "src"), tmp_path / "dst", eps=eps, method="random")
    assert summary.max_abs_delta == cap
    assert summary.eps == ("0.1" if cap == 25 else f"{cap}/255")


def test_a_preset_with_another_norm_keeps_it_unless_eps_is_given(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    assert job(source, tmp_path / "l2", method="lsp:paper").max_abs_delta > 8
    assert verify(source, tmp_path / "l2").bad == 0
    assert job(source, tmp_path / "linf", method="lsp:paper", eps=8 / 255).max_abs_delta == 8


def labels(root: Path) -> dict[str, int]:
    return {os.fsdecode(name): label for name, label in manifest(root, "name, label")}


def dark_and_light(number: int) -> Image.Image:
    return noise(number).point(lambda v: v // 8 + (200 if number % 2 else 0))


def test_folder_names_are_the_labels(tmp_path: Path) -> None:
    job(folder(tmp_path / "src"), tmp_path / "dst")
    assert all(label == ("dog" in name) for name, label in labels(tmp_path / "dst").items())


@pytest.mark.parametrize(("make", "wanted"), [(flat, "auto"), (folder, "none")])
def test_without_folder_names_alike_pictures_share_a_label(tmp_path: Path, make: object, wanted: str) -> None:
    job(make(tmp_path / "src", 30, dark_and_light), tmp_path / "dst", labels=wanted)
    found = labels(tmp_path / "dst")
    dark, light = ({label for name, label in found.items() if int(name[-7:-4]) % 2 == odd} for odd in (0, 1))
    assert dark
    assert light
    assert not dark & light
    assert len(dark | light) == 10
    assert set(found.values()) == set(range(10))


def test_one_class_folder_is_no_label_unless_asked_for(tmp_path: Path) -> None:
    for number in range(12):
        put(tmp_path / "src" / "cat" / f"{number}.png", noise(number))
    job(tmp_path / "src", tmp_path / "auto")
    assert set(labels(tmp_path / "auto").values()) == set(range(10))
    job(tmp_path / "src", tmp_path / "folders", labels="folders")
    assert set(labels(tmp_path / "folders").values()) == {0}


def test_a_method_without_labels_gets_none(tmp_path: Path) -> None:
    assert job(flat(tmp_path / "src"), tmp_path / "dst", method="random").protected == 8
    assert set(labels(tmp_path / "dst").values()) == {-1}


def test_folders_are_required_where_asked_for(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    put(source / "loose.png", noise(1))
    for start in (job, lambda s, d, **o: dry_run(Job(s, d, **o))):
        with pytest.raises(ValueError, match=r"'loose\.png' lies in none"):
            start(source, tmp_path / "dst", labels="folders")
    assert not (tmp_path / "dst").exists()


def test_the_working_size_is_that_of_small_squares_else_64(tmp_path: Path) -> None:
    for name, sides, expected in (("small", (48, 48), 48), ("mixed", (48, 32), 64), ("large", (80, 80), 64)):
        for number, side in enumerate(sides):
            put(tmp_path / name / f"{number}.png", noise(number, side))
        job(tmp_path / name, tmp_path / f"{name}-out")
        assert load(tmp_path / f"{name}-out" / ".unlearnable" / "perturbation").perturbation.size == expected


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
        (empty, tmp_path / "dst", "holds no pictures"), (source, Path("/proc/unlearnable"), "cannot be written"),
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
        dry_run(Job(tmp_path / "dst", tmp_path / "again"))


def test_a_method_that_cannot_be_fitted_leaves_no_trace(tmp_path: Path) -> None:
    for number in range(9):
        put(tmp_path / "src" / f"class{number}" / "a.png", Image.new("RGB", (8, 8), (number, 0, 0)))
    (tmp_path / "there").mkdir()
    for dst in (tmp_path / "dst" / "deep" / "er", tmp_path / "there"):
        with pytest.raises(ValueError, match="3 patches cannot tell 9 classes apart"):
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


def test_a_dry_run_counts_what_the_job_will_do_and_writes_nothing(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    put(source / "notes.txt", b"notes")
    put(source / "raw.nef", b"raw")
    (source / "loop").symlink_to(source)
    planned = dry_run(Job(source, tmp_path / "dst", method="random", eps=4 / 255))
    assert not (tmp_path / "dst").exists()
    done = job(source, tmp_path / "dst", method="random", eps=4 / 255)
    assert isinstance(planned, Preview)
    assert (
        (planned.protected, planned.copied, planned.failed) == (done.protected, done.copied, done.failed) == (8, 1, 2)
    )
    assert {name for name, _ in planned.failures} == {name for name, _ in done.failures}
    assert (planned.method, planned.eps) == (done.method, done.eps)


def test_one_picture(tmp_path: Path) -> None:
    source = put(tmp_path / "src" / "photo.jpg", crop(1, 200, 150))
    summary = job(source, tmp_path / "dst")
    assert (summary.protected, summary.copied) == (1, 0)
    assert set(tree(tmp_path / "dst")) == {"photo.png"}
    assert verify(source, tmp_path / "dst").checked == 1


def packed(source: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(source.rglob("*")):
            file.write(path, path.relative_to(source))
    return archive


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


def test_a_table_comes_back_as_a_table(tmp_path: Path) -> None:
    rows = [{"bytes": stored(noise(i), "PNG"), "path": f"{i}.png"} for i in range(5)]
    write_parquet(tmp_path / "src.parquet", rows)
    assert job(tmp_path / "src.parquet", tmp_path / "dst.parquet").protected == 5
    found = verify(tmp_path / "src.parquet", tmp_path / "dst.parquet")
    assert (found.checked, found.bad, found.missing, found.max_abs_delta) == (5, 0, 0, 8)


def test_threads_do_not_change_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = flat(tmp_path / "src", 20, lambda n: crop(n, 100 + n, 80))
    trees = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(parallel.os, "cpu_count", lambda threads=threads: threads)
        job(source, tmp_path / f"out{threads}")
        trees.append((tree(tmp_path / f"out{threads}"), manifest(tmp_path / f"out{threads}")))
    assert trees[0] == trees[1] == trees[2]


def test_threads_of_torch_are_put_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    job(folder(tmp_path / "src"), tmp_path / "dst")
    assert torch.get_num_threads() == before


def test_large_pictures_go_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "LARGE", 5000)
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 4)
    inside, most = [], []

    def watched(*args: object) -> object:
        inside.append(1)
        most.append(len(inside))
        try:
            return real(*args)
        finally:
            inside.pop()

    real = worker.protected
    monkeypatch.setattr(worker, "protected", watched)
    job(folder(tmp_path / "src", 12, lambda n: noise(n, 80)), tmp_path / "dst")
    assert len(most) == 12
    assert max(most) == 1


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

    def write(self: Destination, name: str, data: bytes, scratch: Path) -> None:
        if name in ("cat/003.png", "notes.txt"):
            data = data[:-30] + bytes(30)
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


def test_progress_tells_how_far_and_how_fast(tmp_path: Path) -> None:
    events: list[Progress] = []
    protect(Job(flat(tmp_path / "src", 12), tmp_path / "dst"), Run(device="cpu", listener=events.append))
    labelled = [event.done for event in events if event.stage == "labels"]
    assert labelled == list(range(1, 13))
    last = events[-1]
    assert (last.stage, last.done, last.total) == ("protect", 12, 12)
    assert last.figures["images_per_second"] > 0


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
        protect(Job(source, dst), run)
    done = sum(status == "protected" for (status,) in manifest(dst, "status"))
    assert 0 < done < 24
    assert not (dst / ".unlearnable" / "scratch").exists()
    assert job(source, dst, resume=True).worked == 24 - done
    assert tree(dst) == tree(tmp_path / "whole")


def test_the_summary_says_how_fast_it_was(tmp_path: Path) -> None:
    summary = job(folder(tmp_path / "src"), tmp_path / "dst")
    assert summary.images_per_second == pytest.approx(8 / summary.seconds)
    assert str(Budget("linf", 8 / 255)) == summary.eps
