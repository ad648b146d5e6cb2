"""Which pictures a job takes to be alike: by their folders, by their looks, or not at all."""

import os
from pathlib import Path

import pytest
from jobs import flat, folder, job, manifest, noise, put
from PIL import Image

from unlearnable.job import Job, dry_run, fit
from unlearnable.protections import protection
from unlearnable.run import Run


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


def test_that_one_picture_lies_outside_the_class_folders_is_told(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    assert (sorted_ := job(source, tmp_path / "sorted")).labels == "folders"
    assert sorted_.loose is None
    put(source / "loose.png", noise(1))
    found = job(source, tmp_path / "groups")
    assert (found.labels, found.loose) == ("clusters", "loose.png")
    asked = job(source, tmp_path / "asked", labels="none")
    assert (asked.labels, asked.loose) == ("clusters", None)
    alike = job(source, tmp_path / "alike", method="random")
    assert (alike.labels, alike.loose) == ("none", None)


def test_networks_are_handed_out_for_classes_of_the_owner_alone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="uge is for networks that learn your classes, and the pictures have none"):
        fit(protection("uge:blind-quick"), flat(tmp_path / "src"), tmp_path / "fitted", Run())
    assert not (tmp_path / "fitted" / "config.json").exists()


def test_a_method_without_labels_gets_none(tmp_path: Path) -> None:
    assert job(flat(tmp_path / "src"), tmp_path / "dst", method="random").protected == 8
    assert set(labels(tmp_path / "dst").values()) == {-1}


def test_folders_are_required_where_asked_for(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    put(source / "loose.png", noise(1))
    for start in (job, lambda s, d, **o: dry_run(Job(s, d, "lsp", **o))):
        with pytest.raises(ValueError, match=r"'loose\.png' lies in none"):
            start(source, tmp_path / "dst", labels="folders")
    assert not (tmp_path / "dst").exists()
