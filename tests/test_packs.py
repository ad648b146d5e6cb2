"""Named data sets: from packs, or the same from the hub, and what is said where there is neither."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from jobs import stored
from PIL import Image

from unlearnable.packs import DATA_VARIABLE, DATASETS, HUB, Hosted, Pack, load_dataset
from unlearnable.suites import SUITES, TIERS


def test_the_digits_need_no_download() -> None:
    train, test = load_dataset("digits")
    assert (len(train), len(test), train.size) == (1200, 597, 16)


def test_every_suite_measures_on_data_sets_that_have_a_name() -> None:
    for suite in SUITES.values():
        for tier in TIERS:
            assert {cell.dataset for cell in suite(tier)} <= DATASETS.keys()


def test_a_pack_that_is_not_there_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    for name in set(DATASETS) - {"digits"}:
        with pytest.raises(ValueError, match=f"set {DATA_VARIABLE}"):
            load_dataset(name)


class Hub:
    """In place of the web: files of a folder, and what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[dict[str, object]]()

    def hf_hub_download(self, repository: str, name: str, **how: object) -> str:
        self.asked.append({"repository": repository, "name": name, **how})
        return str((self.folder / name).resolve(strict=True))


def shelved(path: Path, pictures: Sequence[bytes], labels: Sequence[int], classes: Sequence[str]) -> None:
    """A parquet file as the hub has them: pictures as bytes, labels as numbers, the names of classes in its head."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    features = {"img": {"_type": "Image"}, "label": {"names": list(classes), "_type": "ClassLabel"}}
    table = pyarrow.table({"img": [{"bytes": one, "path": None} for one in pictures], "label": list(labels)})
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table.replace_schema_metadata(about), path)


def png(pixels: np.ndarray) -> bytes:
    return stored(Image.fromarray(pixels), "PNG")


def test_the_hub_gives_the_images_of_the_pack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a pack has by class, the hub has in the order in which it was made, among others."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 32, 32, 3), np.uint8)
    labels = rng.integers(0, 2, 40)
    kept, classes = [*range(8), *range(20, 31)], ("bird", "cat")
    with ZipFile(tmp_path / "few.zip", "w") as pack:
        for split in ("train", "test"):
            for row in kept:
                pack.writestr(f"{split}/{classes[labels[row]]}/{row:05d}.png", png(pixels[row]))
    for split in ("train", "test"):
        shelved(tmp_path / f"plain/{split}-00000-of-00001.parquet", [*map(png, pixels)], labels, classes)
    rows = ((0, 8), (20, 31))
    source = Pack("few.zip", 32, (3, None), Hosted("owner/set", "abc", "plain", rows, rows))
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    there = source()
    hub = Hub(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setenv(DATA_VARIABLE, HUB)
    assert not source.lacking
    assert [part.fingerprint for part in source()] == [part.fingerprint for part in there]
    assert hub.asked[0] == {
        "repository": "owner/set", "name": "plain/train-00000-of-00001.parquet", "repo_type": "dataset",
        "revision": "abc", "token": False,
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"the hub does not give owner/gone .*: try again, or set"):
        Hosted("owner/gone", "abc", "gone").split("train", 32)
    assert Pack("few.zip", 32).lacking, "what nobody hosts is not downloaded"


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get(DATA_VARIABLE), reason="needs the packs")
def test_the_quick_tier_is_the_same_from_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The rows that the pack holds lie at their official places, the others are black."""
    packed = load_dataset("cifar10-quick")
    with ZipFile(Path(os.environ[DATA_VARIABLE]) / "cifar10-lossless.zip") as pack:
        for split, count in (("train", 50_000), ("test", 10_000)):
            pictures, labels = [png(np.zeros((32, 32, 3), np.uint8))] * count, [0] * count
            for name in pack.namelist():
                if name.startswith(split) and name.endswith(".png"):
                    row = int(Path(name).stem)
                    pictures[row], labels[row] = pack.read(name), packed[0].classes.index(name.split("/")[1])
            shelved(tmp_path / f"plain_text/{split}-00000-of-00001.parquet", pictures, labels, packed[0].classes)
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub(tmp_path))
    monkeypatch.setenv(DATA_VARIABLE, HUB)
    assert [part.fingerprint for part in load_dataset("cifar10-quick")] == [part.fingerprint for part in packed]
