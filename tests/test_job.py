"""The main job: what goes in, what comes out, and that nobody's originals are touched."""

import os
from pathlib import Path

import numpy as np
import pytest
from jobs import crop, everything, folder, job, manifest, noise, put, samples, tree
from PIL import Image

from unlearnable import perturbation
from unlearnable.data import load_labelled
from unlearnable.job import Job, Preview, dry_run, verify
from unlearnable.job.fitting import load
from unlearnable.perturbation import apply
from unlearnable.pixels import LINF8
from unlearnable.run import Run

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


def test_the_working_size_is_that_of_small_squares_else_64(tmp_path: Path) -> None:
    for name, sides, expected in (("small", (48, 48), 48), ("mixed", (48, 32), 64), ("large", (80, 80), 64)):
        for number, side in enumerate(sides):
            put(tmp_path / name / f"{number}.png", noise(number, side))
        job(tmp_path / name, tmp_path / f"{name}-out")
        assert load(tmp_path / f"{name}-out" / ".unlearnable" / "perturbation", LINF8).perturbation.size == expected


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
