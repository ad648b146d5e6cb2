"""A generator as an ONNX file: the network that is traced, the real file, what is kept of it and what is refused."""

import importlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
import torch
from commands import Command, picture, refused
from PIL import Image
from torch.nn import functional as F

from unlearnable import perturbation
from unlearnable.cli import main
from unlearnable.encoders import encoder
from unlearnable.export import checking, exporting, network
from unlearnable.export.checking import Difference
from unlearnable.models.stored import stored
from unlearnable.perturbation import ClassWise, SampleWise
from unlearnable.pixels import LINF8, Budget
from unlearnable.protections import describe, protection
from unlearnable.protections._generated import Generated, Kind, generator
from unlearnable.run import Run

DOCS = Path(__file__).parent.parent / "docs" / "export.md"
FLOWER = Path(sklearn.datasets.__file__).parent / "images" / "flower.jpg"


def random(eyes: str, run: Run, shape: Kind = "small") -> Generated:
    """A generator that has learned nothing, on a small encoder."""
    with run.seeded("export"):
        weights = stored(generator(shape, 8, 1, 16).eval())
    return Generated(weights, shape, 8, 1, 16, eyes, 8 / 255, "tanh", 16, 160)


def put(folder: Path, found: Any, budget: Budget = LINF8) -> Path:
    """As `fit` leaves it."""
    about = {"protection": describe(protection("one_for_all", budget=budget)), "seed": 0, "classes": []}
    perturbation.save(folder, found, about | {"labels": "none", "pictures": "", "unreadable": []})
    return folder


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped generator as a file; the one export of these tests, for it takes seconds."""
    folder = tmp_path_factory.mktemp("export")
    picture(folder / "few" / "a.png", size=(70, 50))
    Image.open(FLOWER).resize((320, 213)).save(folder / "few" / "b.png")
    assert main(["export", "one_for_all", str(folder / "made.onnx"), "--check", str(folder / "few"), "--quiet"]) == 0
    return folder / "made.onnx"


@pytest.mark.parametrize("side", [1, 2, 15, 16, 17, 31, 32, 33, 100, 160])
def test_resizing_by_matrices_is_that_of_pytorch(side: int) -> None:
    x = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    for mode, filtered in (("bilinear", network.linear), ("bicubic", network.cubic)):
        for wanted in (1, 16, 32, 160):
            found = network.resized(x, wanted, filtered)
            there = x if wanted == side else F.interpolate(x, (wanted, wanted), mode=mode, antialias=True)
            assert torch.allclose(found, there, atol=3e-6), (mode, wanted)
    assert torch.equal(network.resized(x, side, network.cubic), x)


@pytest.mark.parametrize(("shape", "head"), [("small", "tanh"), ("small", "clamp"), ("published", "tanh")])
def test_the_network_that_is_traced_says_what_the_generator_says(
    shape: Kind, head: Any, eyes: str, run: Run
) -> None:  # fmt: skip
    found = replace(random(eyes, run, shape), head=head)
    whole = network.Whole(found).eval()
    for side in (3, 16, 40, 160):
        view = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(side))
        wanted = found(view, torch.tensor([-1]), torch.tensor([0])) - view
        said = whole(view)
        assert said.shape == view.shape
        assert torch.allclose(said, wanted, atol=2e-6)
        assert 0 < float(said.abs().max()) <= found.eps * (1 + 1e-6)


def test_tracing_leaves_the_encoder_that_others_use_alone(eyes: str, run: Run) -> None:
    network.Whole(random(eyes, run))
    assert type(encoder(eyes).network.body.resize).__name__ == "Bicubic"  # type: ignore[attr-defined]


def test_the_file_says_how_to_use_it_and_nothing_of_where_it_was_made(shipped: Path) -> None:
    about = checking.opened(shipped).session.get_modelmeta()
    said = about.custom_metadata_map
    assert {key: said[key] for key in ("method", "eps", "levels", "side")} == {
        "method": "one_for_all", "eps": "8/255", "levels": "8", "side": "160"
    }  # fmt: skip
    assert "min(160, the longer side of the picture" in said["use"]
    assert "round to nearest (half to even)" in said["use"]
    assert about.producer_name == "unlearnable"
    data = shipped.read_bytes()
    assert not [word for word in (b"site-packages", b"stack_trace", b".py", str(Path.home()).encode()) if word in data]


@pytest.mark.parametrize("size", [(300, 201), (90, 120)])
def test_the_python_of_the_docs_gives_what_protect_gives(
    size: tuple[int, int], shipped: Path, command: Command, tmp_path: Path
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (tmp_path / "one_for_all.onnx").symlink_to(shipped)
    with Image.open(FLOWER) as flower:
        flower.resize(size).save("photo.png")
    command("protect", "photo.png", "wanted")
    barred = "import sys; sys.modules.update({'torch': None, 'unlearnable': None})\n"
    subprocess.run([sys.executable, "-c", barred + code.replace("photo.jpg", "photo.png")], check=True)
    found, wanted, original = (
        np.asarray(Image.open(name)).astype(int) for name in ("protected.png", "wanted/photo.png", "photo.png")
    )
    assert found.shape == wanted.shape
    difference = np.abs(found - wanted)
    assert difference.max() <= 1
    assert (difference > 0).sum() <= -(-difference.size // 10_000)
    assert 6 <= np.abs(found - original).max() <= 8


def test_the_file_takes_every_side(shipped: Path) -> None:
    made = checking.opened(shipped)
    for side in (1, 2, 17, 160):
        view = torch.full((1, 3, side, side), 0.5)
        assert made(view, torch.tensor([-1]), torch.tensor([0])).shape == view.shape


class Fake:
    """Stands in for a file, which takes seconds to make; what it says is `off` by some levels."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, off: float) -> None:
        self.off = off
        monkeypatch.setattr(exporting, "written", lambda found, method, budget, path: path.write_bytes(b"1234"))
        monkeypatch.setattr(checking, "opened", lambda path: self)

    size, any_size = 160, True
    said: Any = None

    def __call__(self, x: torch.Tensor, labels: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = Fake.said(x, labels, index) + self.off / 255
        return found


@pytest.fixture
def fitted(eyes: str, run: Run, tmp_path: Path) -> Path:
    Fake.said = random(eyes, run)
    return put(tmp_path / "fitted", Fake.said)


def test_export_says_exactly_the_promised_keys(
    command: Command, fitted: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fake(monkeypatch, 0.0)
    ended = command("export", fitted, "a.onnx", "--check", photos, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.json == {
        "out": "a.onnx", "bytes": 4, "pictures": 4, "values": 4 * 24 * 20 * 3, "different": 0, "max_difference": 0
    }  # fmt: skip
    assert Path("a.onnx").read_bytes() == b"1234"
    text = command("export", fitted, "b.onnx", "--check", photos).out
    assert "at eps 8/255; its metadata say how to use it" in text
    assert "0 of 5760 values of 4 protected pictures differ" in text


def test_a_file_that_says_something_else_is_removed(
    command: Command, fitted: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fake(monkeypatch, 0.4)
    ended = command("export", fitted, "a.onnx", "--check", photos, "--json", "--quiet")
    assert ended.code == 1
    assert (ended.json["out"], ended.json["max_difference"]) == (None, 1)
    assert ended.err.startswith("failed: a.onnx: removed, for it is not what it was made from: ")
    assert [path.name for path in Path().iterdir() if "onnx" in path.name] == []


@pytest.mark.parametrize(
    ("values", "different", "levels", "small"),
    [(10_000, 1, 1, True), (10_000, 2, 1, False), (10_000, 1, 2, False), (9, 1, 1, True), (10**6, 100, 1, True)],
)
def test_one_value_in_ten_thousand_may_differ_by_one_level(
    values: int, different: int, levels: int, small: bool
) -> None:  # fmt: skip
    assert Difference(1, values, different, levels).small is small


def test_the_strength_is_that_of_protect(fitted: Path) -> None:
    for eps in (3 / 255, 24 / 255):
        found, budget = exporting.generator(str(fitted), eps)
        assert (found.eps, budget) == (eps, Budget("linf", eps))
    assert exporting.generator("one_for_all:shipped", None)[0].eps == 8 / 255


def test_pictures_that_cannot_be_read_are_left_out_and_none_at_all_is_refused(
    command: Command, fitted: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fake(monkeypatch, 0.0)
    (photos / "cat" / "a.png").write_bytes(b"no picture")
    assert command("export", fitted, "a.onnx", "--check", photos, "--json").json["pictures"] == 3
    only = Path("only")
    only.mkdir()
    assert "holds no pictures" in refused(command("export", fitted, "b.onnx", "--check", only))
    (only / "x.png").write_bytes(b"no picture")
    assert "name a folder with pictures that can be read" in refused(
        command("export", fitted, "b.onnx", "--check", only)
    )
    assert not Path("b.onnx").exists()


def test_samples_are_real_pictures_of_many_sides() -> None:
    sides = {max(found.planes.shape[:2]) for found in checking.samples()}
    assert sides == {640, 160, 100, 40, 16}


def test_what_is_no_generator_is_refused_by_name(command: Command, run: Run, tmp_path: Path) -> None:
    allowed = "one_for_all or a folder written by `unlearnable fit one_for_all`"
    for method in ("lsp", "one_for_all:quick"):
        said = refused(command("export", method, "a.onnx"))
        assert f"export takes a generator that is fitted, {allowed}; {method!r} is none" in said
    for name, found in (
        ("ClassWise", ClassWise(torch.zeros(2, 3, 8, 8))),
        ("SampleWise", SampleWise(torch.zeros(2, 3, 8, 8, dtype=torch.int8), 1 / 127)),
    ):
        folder = put(tmp_path / name, found)
        assert f"export takes a generator, {allowed}; '{folder}' holds {name}" in refused(
            command("export", folder, "a.onnx")
        )
    assert "method must be one of" in refused(command("export", "nothing", "a.onnx"))


def test_what_cannot_be_written_is_refused_before_any_work(
    command: Command, eyes: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "written", None)
    Path("there.onnx").write_bytes(b"")
    assert "ends in .onnx, got 'a.pt'" in refused(command("export", "one_for_all", "a.pt"))
    assert "'there.onnx' exists already" in refused(command("export", "one_for_all", "there.onnx"))
    assert "'no' is no folder, make it first" in refused(command("export", "one_for_all", "no/a.onnx"))
    unbounded = put(tmp_path / "l2", random(eyes, run), Budget("l2", 0.02))
    assert "has l2: name one with --eps" in refused(command("export", unbounded, "a.onnx"))


def test_another_encoder_and_one_that_is_gone_are_refused(eyes: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="'nowhere', which is no folder here"):
        network.Whole(replace(random(eyes, run), encoder="nowhere"))
    monkeypatch.setattr(network, "encoder", lambda name, fetch: object())
    with pytest.raises(ValueError, match="export takes generators whose encoder is a mini, this one's is 'clip:x'"):
        network.Whole(replace(random(eyes, run), encoder="clip:x"))


def test_without_the_packages_one_line_says_what_to_install(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.import_module

    def missing(name: str) -> Any:
        if name == "onnxscript":
            raise ImportError("No module named 'onnxscript'")
        return there(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    said = refused(command("export", "one_for_all", "a.onnx"))
    assert "export needs onnxscript (No module named 'onnxscript'): pip install 'unlearnable[onnx]'" in said


def test_a_folder_that_takes_no_files_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(exporting, "_check_packages", lambda: None)
    monkeypatch.setattr(exporting, "generator", lambda method, eps: pytest.fail("it was loaded first"))
    monkeypatch.setattr(Path, "touch", full)
    with pytest.raises(ValueError, match=r"OUT .*a\.onnx' cannot be written: Permission denied"):
        exporting.export("one_for_all", tmp_path / "a.onnx")
