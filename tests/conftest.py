"""What the tests share: small real images (scikit-learn's digits), a run on the CPU, and a command line in a folder."""

import contextlib
import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded: as the command line has it

import pytest
import torch
from commands import Command, Ended, picture

from unlearnable import files
from unlearnable.cli import main
from unlearnable.data import ImageSet
from unlearnable.encoders import Mini
from unlearnable.encoders.mini import Sizes
from unlearnable.packs import digits
from unlearnable.run import Run

torch.set_num_threads(1)  # the tests run in as many processes as there are cores, on images too small to share out
os.environ.setdefault("OMP_NUM_THREADS", "1")  # and so do the processes that they start


@pytest.fixture(scope="session")
def small() -> ImageSet:
    """96 scanned digits at 16 px, about ten of each class."""
    train, _ = digits()
    return train.subset(torch.arange(96))


@pytest.fixture
def run() -> Run:
    return Run(seed=0, device="cpu", precision="fp32")


@pytest.fixture(scope="session")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a small encoder that has learned nothing, of 16 dimensions."""
    folder = tmp_path_factory.mktemp("eyes")
    run = Run(seed=0, device="cpu", precision="fp32")
    Mini.random(run, Sizes(side=32, dimension=16, buckets=256, width=8)).save(folder, {})
    return str(folder)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> Ended:
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of two pictures, and a file that is no picture."""
    folder = tmp_path / "photos"
    for i, name in enumerate(("cat/a.png", "cat/b.jpg", "dog/a.png", "dog/c.png")):
        picture(folder / name, i)
    (folder / "notes.txt").write_text("mine")
    return folder


@pytest.fixture
def open_collection():
    """`open_collection`, closed after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda path: stack.enter_context(contextlib.closing(files.open_collection(path)))
