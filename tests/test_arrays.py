"""Arrays of pixels in and out: .npz and CIFAR's binary files give the pixels of a folder, and keep all the rest."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from jobs import everything, job, noise, put, samples, stored, tree

from unlearnable.data import load_labelled
from unlearnable.files import open_collection
from unlearnable.job import Job, dry_run, verify

NAMES = ("cat", "dog")


def pixels(count: int = 6) -> np.ndarray:
    return np.stack([np.asarray(noise(number)) for number in range(count)])


def labels(count: int = 6) -> np.ndarray:
    return np.arange(count) // 3


def as_folder(root: Path, count: int = 6) -> np.ndarray:
    """The protected pixels of the same pictures and labels in a folder, in the order of their numbers."""
    for number in range(count):
        put(root / "src" / str(number // 3) / f"{number}.png", noise(number))
    job(root / "src", root / "dst")
    return np.stack([samples(root / "dst" / str(number // 3) / f"{number}.png") for number in range(count)])


def cifar(root: Path, hundred: bool = False) -> Path:
    root.mkdir()
    files = ("train.bin", "test.bin") if hundred else ("data_batch_1.bin", "test_batch.bin")
    for rows, file in zip((range(4), range(4, 6)), files, strict=True):
        coarse = [bytes([7])] if hundred else [b""]
        records = [coarse[0] + bytes([n // 3]) + pixels()[n].transpose(2, 0, 1).tobytes() for n in rows]
        (root / file).write_bytes(b"".join(records))
    (root / ("fine_label_names.txt" if hundred else "batches.meta.txt")).write_text("\n".join(NAMES) + "\n\n")
    return root


@pytest.mark.parametrize("layout", ["nhwc", "nchw", "compressed"])
def test_an_npz_comes_back_with_the_pixels_of_a_folder_and_every_other_array(tmp_path: Path, layout: str) -> None:
    x, y = pixels(), labels()
    x = x.transpose(0, 3, 1, 2) if layout == "nchw" else x
    save = np.savez_compressed if layout == "compressed" else np.savez
    others = {"mean": x.mean(0), "ids": np.array(["a", "b"]), "test_masks": np.ones((2, 8, 8), np.uint8)}
    save(
        tmp_path / "s.npz", train_images=x[:4], train_labels=y[:4, None], test_images=x[4:], test_labels=y[4:], **others
    )
    assert job(tmp_path / "s.npz", tmp_path / "d.npz", labels="folders").protected == 6
    with np.load(tmp_path / "s.npz") as was, np.load(tmp_path / "d.npz") as found:
        assert found.files == was.files
        written = np.concatenate([found["train_images"], found["test_images"]])
        assert written.dtype == np.uint8
        assert all(np.array_equal(found[k], was[k]) for k in was.files if k not in ("train_images", "test_images"))
    written = written.transpose(0, 2, 3, 1) if layout == "nchw" else written
    assert np.array_equal(written, as_folder(tmp_path))
    seen = verify(tmp_path / "s.npz", tmp_path / "d.npz")
    assert (seen.checked, seen.bad, seen.missing, seen.max_abs_delta) == (6, 0, 0, 8)


def test_an_npz_becomes_a_folder_of_classes_and_is_read_for_training(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x_train=pixels(), y_train=labels(), classes=np.array(NAMES))
    job(tmp_path / "s.npz", tmp_path / "out", container="png")
    assert sorted(tree(tmp_path / "out"))[0] == "x_train/cat/0.png"
    data, names = load_labelled(tmp_path / "s.npz")
    assert (data.classes, names[5], data.labels.tolist()) == (NAMES, "x_train/dog/5.bmp", labels().tolist())
    assert np.array_equal(data.images.permute(0, 2, 3, 1).numpy(), pixels())
    grey = pixels()[..., 0]
    np.savez(tmp_path / "grey.npz", images=grey, label=np.full(6, -1))
    assert job(tmp_path / "grey.npz", tmp_path / "d.npz", labels="none").protected == 6
    with np.load(tmp_path / "d.npz") as found:
        assert found["images"].shape == grey.shape
        assert 0 < np.abs(found["images"].astype(int) - grey).max() <= 8


def bad_npz(path: Path, case: str) -> None:
    x = pixels()
    if case == "objects":
        np.savez(path, images=x, names=np.array([{}], object))
    elif case == "float":
        np.savez(path, x_train=x / 255)
    elif case == "counts":
        np.savez(path, x_train=x, y_train=labels()[:5])
    elif case == "none":
        np.savez(path, weights=np.ones(3))
    elif case == "twice":
        np.savez(path, images=x)
        with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("images.npy", archive.read("images.npy"))
    elif case == "two ways":
        np.savez(path, images=np.zeros((2, 3, 9, 3), np.uint8))
    elif case == "cut short":
        np.savez(path, images=x)
        path.write_bytes(path.read_bytes()[:-200])
    else:
        np.savez(path, images=x)
        path.write_bytes(path.read_bytes().replace(x[3].tobytes()[:500], bytes(500)))


@pytest.mark.parametrize(
    ("case", "reason"),
    [("objects", "pickled Python objects, which are never opened"), ("float", "'x_train' as float64"),
     ("counts", r"6 pictures in 'x_train' but 'y_train' is \(5,\)"), ("none", "no array of pictures"),
     ("twice", "two arrays 'images': damaged, or made with intent"), ("two ways", "may be read in two ways"),
     ("cut short", "not a readable .npz"), ("damaged", "Bad CRC")],
)  # fmt: skip
def test_an_npz_that_will_not_do_is_refused_in_one_line(tmp_path: Path, case: str, reason: str) -> None:
    bad_npz(tmp_path / "s.npz", case)
    with pytest.raises(ValueError, match=reason) as caught:
        job(tmp_path / "s.npz", tmp_path / "d.npz")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["s.npz"]


LIKE_PICTURES = {
    "target_images": ((6, 8, 8, 3), np.uint8), "y_images": ((6, 8, 8, 3), np.uint8), "val": ((6, 8, 8, 3), np.float32),
    "gray": ((6, 8, 8), np.uint8), "rgba": ((6, 8, 8, 4), np.uint8), "video": ((6, 5, 8, 8, 3), np.uint8),
    "first": ((4, 8, 8), np.float64), "target": ((6, 3, 8, 8), np.uint8), "mask": ((6, 8, 8), np.float32),
    "rows": ((4, 32 * 32 * 3), np.uint8),
    "cover": ((30, 20, 3), np.uint8), "mean_images": ((6, 8, 8, 3), np.float32), "wide": ((6, 8, 8), np.int64),
}  # fmt: skip


@pytest.mark.parametrize("name", LIKE_PICTURES)
def test_an_array_that_looks_like_more_pictures_is_refused_not_copied(tmp_path: Path, name: str) -> None:
    """Once a stack was found, all else came out as it was, whatever its shape."""
    shape, kind = LIKE_PICTURES[name]
    np.savez(tmp_path / "s.npz", x_train=pixels(), **{name: np.ones(shape, kind)})
    with pytest.raises(ValueError, match=rf"holds '{name}' as ") as caught:
        job(tmp_path / "s.npz", tmp_path / "d.npz", method="random")
    assert "\n" not in str(caught.value)


def test_numbers_and_maps_of_classes_beside_pictures_are_copied(tmp_path: Path) -> None:
    ones = {"boxes": (6, 9, 4), "points": (6, 17, 3), "hidden": (6, 4, 768), "masks": (6, 8, 8), "seg": (6, 8, 8, 1),
            "logits": (6, 10), "y": (6,), "label_maps": (6, 8, 8)}  # fmt: skip
    others = {name: np.ones(shape, np.int64) for name, shape in ones.items()}
    np.savez(tmp_path / "s.npz", x=pixels(), mean=pixels().mean(0), **others)
    assert job(tmp_path / "s.npz", tmp_path / "d.npz", method="random").protected == 6
    with np.load(tmp_path / "d.npz") as found:
        assert all(np.array_equal(found[name], held) for name, held in others.items())


def test_a_file_of_a_picture_inside_an_array_is_found(tmp_path: Path) -> None:
    files = np.array([stored(noise(1), "PNG"), b"none"])
    for held in (files, np.frombuffer(stored(noise(1), "JPEG"), np.uint8)):
        np.savez(tmp_path / "s.npz", x=pixels(), raw=held)
        with pytest.raises(ValueError, match="has a picture inside its array 'raw'"):
            job(tmp_path / "s.npz", tmp_path / "d.npz", method="random")


@pytest.mark.parametrize("shape", [(32, 40, 3), (32, 40, 4), (32, 40, 1)])
def test_one_picture_is_not_taken_for_its_rows(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "s.npz", image=np.ones(shape, np.uint8))
    with pytest.raises(ValueError, match=r"holds 'image' as \(32, 40, .\), which may be one picture or 32: save one"):
        job(tmp_path / "s.npz", tmp_path / "d.npz")


@pytest.mark.parametrize("hundred", [False, True])
def test_cifar_binary_keeps_its_records(tmp_path: Path, hundred: bool) -> None:
    source = cifar(tmp_path / "bin", hundred)
    before = everything(source)
    assert job(source, tmp_path / "out", labels="folders").protected == 6
    assert everything(source) == before
    size = 3072 + 1 + hundred
    assert {p.name for p in (tmp_path / "out").iterdir()} == {p.name for p in source.iterdir()}
    was, found = ([np.frombuffer(p.read_bytes(), np.uint8).reshape(-1, size) for p in sorted(root.glob("*.bin"))]
                  for root in (source, tmp_path / "out"))  # fmt: skip
    for a, b in zip(was, found, strict=True):
        assert np.array_equal(a[:, : size - 3072], b[:, : size - 3072])
        assert 0 < np.abs(a.astype(int) - b).max() <= 8
    seen = verify(source, tmp_path / "out")
    assert (seen.checked, seen.bad, seen.missing) == (6, 0, 0)
    if not hundred:
        data, _ = load_labelled(tmp_path / "out")
        expected = as_folder(tmp_path)
        assert np.array_equal(data.images.permute(0, 2, 3, 1).numpy(), expected)
        assert data.classes == NAMES


@pytest.mark.parametrize(
    ("case", "reason"),
    [("cut", "no multiple of the 3073"), ("label", "record 2 has label 9, but 2 classes"),
     ("beside", "'data_batch_9', which is no part"), ("pickles", "Python pickles, which are never opened"),
     ("png", "is a type of picture files")],
)  # fmt: skip
def test_cifar_that_will_not_do_is_refused_in_one_line(tmp_path: Path, case: str, reason: str) -> None:
    source = cifar(tmp_path / "bin")
    batch = source / "data_batch_1.bin"
    if case == "cut":
        batch.write_bytes(batch.read_bytes()[:-1])
    elif case == "label":
        data = bytearray(batch.read_bytes())
        data[2 * 3073] = 9
        batch.write_bytes(data)
    elif case == "beside":
        put(source / "data_batch_9", b"pickled")
    elif case == "pickles":
        for path in source.glob("*.bin"):
            path.rename(path.with_suffix(""))
        put(source / "batches.meta", b"pickled")
    with pytest.raises(ValueError, match=reason):
        job(source, tmp_path / "out", container="png" if case == "png" else "keep")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_a_picture_without_an_output_is_black_never_the_original(tmp_path: Path) -> None:
    source = cifar(tmp_path / "bin")
    collection = open_collection(source)
    collection.pack(tmp_path / "out", {})
    assert np.frombuffer((tmp_path / "out/test_batch.bin").read_bytes(), np.uint8).reshape(-1, 3073)[:, 1:].max() == 0


def test_a_dry_run_of_arrays_writes_nothing(tmp_path: Path) -> None:
    assert dry_run(Job(cifar(tmp_path / "bin"), tmp_path / "out")).protected == 6
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]
