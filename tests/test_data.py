"""ImageSets from folders and archives, pseudo-labels, and what is said where there are none."""

import zipfile
from pathlib import Path

import pytest
import torch
from commands import picture
from PIL import Image

from unlearnable.data import ImageSet, blank, load_labelled
from unlearnable.files import Item, Refused
from unlearnable.files.collections.folder import Folder
from unlearnable.job import verify, verifying
from unlearnable.labelling import cluster
from unlearnable.packs import digits


@pytest.fixture
def folder(tmp_path: Path, small: ImageSet) -> Path:
    for row in range(12):
        path = tmp_path / "pictures" / "train" / small.classes[int(small.labels[row])] / f"{row:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(small.images[row].permute(1, 2, 0).numpy()).save(path)
    return tmp_path / "pictures"


def test_a_folder_gives_the_exact_pixels_and_the_folder_as_class(folder: Path, small: ImageSet) -> None:
    data, names = load_labelled(folder, within="train")
    assert data.size == 16
    for row, name in enumerate(names):
        original = int(Path(name).stem)
        assert torch.equal(data.images[row], small.images[original])
        assert data.classes[int(data.labels[row])] == small.classes[int(small.labels[original])]


def test_an_archive_gives_what_its_folder_gives(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder))
    assert load_labelled(tmp_path / "pack.zip")[0].fingerprint == load_labelled(folder)[0].fingerprint


def test_a_fingerprint_is_of_the_pixels_in_whatever_order_they_lie(small: ImageSet) -> None:
    turned = small.with_images(small.images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2))
    assert not turned.images.is_contiguous()
    assert turned.fingerprint == small.fingerprint
    assert small.with_images(turned.images.flip(0).mT).fingerprint != small.fingerprint
    one = small.with_images(small.images[:1].expand(len(small), -1, -1, -1))
    assert one.fingerprint != blank(small.labels, small.classes, 16).fingerprint


def test_another_size_squashes_the_whole_picture(folder: Path) -> None:
    assert load_labelled(folder, 9)[0].images.shape == (12, 3, 9, 9)


def test_a_folder_without_classes_or_with_a_broken_picture_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "flat" / "a.png")
    with pytest.raises(ValueError, match="CLASS/NAME"):
        load_labelled(tmp_path / "flat")
    (folder / "train" / "0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ValueError, match=r"broken\.png"):
        load_labelled(folder)


def test_pseudo_labels_are_groups_of_what_looks_alike() -> None:
    train, _ = digits()
    groups = cluster(train, 10, seed=0)
    purity = sum(int(train.labels[groups == g].bincount().max()) for g in groups.unique()) / len(train)
    assert purity > 0.6, "k-means on thumbnails finds most digits"
    assert torch.equal(groups, cluster(train, 10, seed=0))


def test_pseudo_labels_of_fewer_pictures_than_groups(small: ImageSet) -> None:
    same = small.subset(torch.zeros(5, dtype=torch.int64))
    assert cluster(same, 10, seed=0).tolist() == [0] * 5


def test_a_blank_set_takes_no_memory() -> None:
    data = blank(torch.zeros(1_000_000, dtype=torch.int64), ("a",), 224)
    assert data.images.untyped_storage().nbytes() == 1
    assert data.size == 224
    assert data.fingerprint


def test_a_label_that_cannot_be_read_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged label file of an archive is no reason to end with a traceback."""

    def damaged(self: Folder, item: Item) -> str | None:
        if item.name.endswith("1.png"):
            raise Refused("cannot be read from the archive")
        return item.name.partition("/")[0]

    for number in range(3):
        picture(tmp_path / "src" / f"class{number}" / f"{number}.png", number)
    monkeypatch.setattr(Folder, "label", damaged)
    assert load_labelled(tmp_path / "src")[1] == ("class0/0.png", "class2/2.png")


def test_what_lies_beside_the_originals_and_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "src/a.png")

    def damaged(collection: object) -> str | None:
        raise Refused("cannot be read from the table")

    monkeypatch.setattr(verifying, "kept", damaged)
    with pytest.raises(ValueError, match=r"SRC .*src' cannot be read from the table"):
        verify(tmp_path / "src", tmp_path / "src")
