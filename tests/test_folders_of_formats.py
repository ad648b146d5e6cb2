"""Folders that are one collection: shards of archives or tables, and what `save_to_disk` of `datasets` wrote."""

import importlib
import json
from pathlib import Path

import pytest
from jobs import everything, folder, job, noise, put, samples, stored, tree
from sources import write_parquet, write_tar

from unlearnable.data import load_labelled
from unlearnable.files import open_collection
from unlearnable.job import Job, audit, protect, verify
from unlearnable.run import Cancelled, Run

FEATURES = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}


def rows(first: int, count: int) -> list[dict[str, object]]:
    return [{"bytes": stored(noise(i), "PNG"), "path": f"{i}.png"} for i in range(first, first + count)]


def split(
    root: Path, images: list[object], features: dict[str, object] | None = None, first: int = 0, per_file: int = 2
) -> Path:  # fmt: skip
    """What `save_to_disk` writes of one split."""
    arrow, ipc = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.ipc")
    root.mkdir(parents=True)
    kind, features = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())]), features or FEATURES
    names, labels = [], [(first + i) // 3 for i in range(len(images))]
    for start in range(0, len(images), per_file):
        part = images[start : start + per_file]
        columns = {"image": arrow.array(part, kind), "label": arrow.array(labels[start : start + per_file])}
        table = arrow.table(columns).replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
        names.append(f"data-{start:05d}.arrow")
        with ipc.new_stream(str(root / names[-1]), table.schema) as writer:
            writer.write_table(table)
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "before", "_split": root.name}
    (root / "state.json").write_text(json.dumps(state))
    info = {"features": features, "download_checksums": {"/home/me/originals.zip": {}}, "license": "mine"}
    (root / "dataset_info.json").write_text(json.dumps(info))
    return root


def dataset(root: Path) -> Path:
    split(root / "train", rows(0, 4))
    split(root / "test", rows(4, 2), first=4)
    (root / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    put(root / "train/cache-1.arrow", b"an unprotected left-over of map")
    return root


def pictures(path: Path) -> list[bytes]:
    """The bytes of all pictures of a data set, in its order, read by pyarrow alone."""
    ipc = importlib.import_module("pyarrow.ipc")
    files = [f for part in ("train", "test") for f in sorted((path / part).glob("data-*.arrow"))]
    cells = [c for f in files for c in ipc.open_stream(f.read_bytes()).read_all()["image"].to_pylist()]
    return [cell and cell["bytes"] for cell in cells]


def test_altered_features_of_a_data_set_are_found(tmp_path: Path) -> None:
    """The names of its classes lie in files that are no items."""
    source, out = dataset(tmp_path / "dd"), tmp_path / "out"
    job(source, out, method="random")
    assert (verify(source, out).bad, audit(out).bad) == (0, 0)
    info = out / "test" / "dataset_info.json"
    info.write_text(info.read_text().replace('"mine"', '"yours"'))
    for found in (verify(source, out), audit(out)):
        assert (found.checked, [name for name, _ in found.problems]) == (6, ["out"])


def test_a_data_set_keeps_splits_features_and_labels_and_has_the_bytes_of_a_folder(tmp_path: Path) -> None:
    source = dataset(tmp_path / "dd")
    before = everything(source)
    assert job(source, tmp_path / "out", labels="folders").protected == 6
    assert everything(source) == before
    files = {str(p.relative_to(source)) for p in source.rglob("*") if p.is_file()} - {"train/cache-1.arrow"}
    assert {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()} == files
    for number in range(6):
        put(tmp_path / "src" / ("dog" if number >= 3 else "cat") / f"{number}.png", noise(number))
    job(tmp_path / "src", tmp_path / "dst")
    expected = [(tmp_path / "dst" / ("dog" if i >= 3 else "cat") / f"{i}.png").read_bytes() for i in range(6)]
    assert pictures(tmp_path / "out") == expected
    state, info = (json.loads((tmp_path / "out/train" / f).read_text()) for f in ("state.json", "dataset_info.json"))
    assert state["_fingerprint"] != "before", "datasets would find what it cached of the originals"
    assert info == {"features": FEATURES, "license": "mine"}
    seen = verify(source, tmp_path / "out")
    assert (seen.checked, seen.bad, seen.missing) == (6, 0, 0)
    data, names = load_labelled(tmp_path / "out", within="train")
    assert (data.classes, names[0]) == (("cat", "dog"), "train/0.png")


def test_datasets_itself_opens_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["cat", "dog"]))
    whole = datasets.Dataset.from_dict({"image": rows(0, 4), "label": [0, 0, 0, 1]}, features=features)
    whole.save_to_disk(tmp_path / "ds")
    job(tmp_path / "ds", tmp_path / "out")
    found = datasets.load_from_disk(tmp_path / "out")
    assert found.features == features
    assert list(found["label"]) == [0, 0, 0, 1]
    for number in range(4):
        put(tmp_path / "src" / ("dog" if number >= 3 else "cat") / f"{number}.png", noise(number))
    job(tmp_path / "src", tmp_path / "dst")
    assert (samples(tmp_path / "dst/dog/3.png") == found[3]["image"]).all()


def test_a_data_set_that_is_stopped_goes_on_and_one_file_that_fails_is_null(tmp_path: Path) -> None:
    images = rows(0, 6)
    images[2] = {"bytes": b"\x89PNG\r\n\x1a\n damaged", "path": "2.png"}
    source = split(tmp_path / "ds", images)
    stop = iter([False] * 3 + [True] * 100)
    with pytest.raises(Cancelled):
        protect(Job(source, tmp_path / "out", "lsp"), Run(device="cpu", precision="fp32", cancelled=lambda: next(stop)))
    assert not (tmp_path / "out").exists()
    assert job(source, tmp_path / "out", resume=True).failed == 1
    once = tree(tmp_path / "out")
    assert job(source, tmp_path / "whole").failed == 1
    assert tree(tmp_path / "whole") == once
    assert job(source, tmp_path / "out", resume=True).failed == 1
    assert tree(tmp_path / "out") == once
    found = verify(source, tmp_path / "out")
    assert (found.checked, found.bad, found.missing) == (5, 0, 1)
    assert job(source, tmp_path / "out", overwrite=True).protected == 5
    assert tree(tmp_path / "out") == once
    with pytest.raises(ValueError, match="was protected already"):
        job(tmp_path / "out", tmp_path / "again")


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    source = split(tmp_path / "ds", rows(0, 2))
    put(tmp_path / "mine/diary.txt", b"dear")
    with pytest.raises(ValueError, match="is not empty, and no data set"):
        job(source, tmp_path / "mine", overwrite=True)
    with pytest.raises(ValueError, match="must be a folder, as SRC is a data set"):
        job(source, tmp_path / "out.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ds", "mine"]


NESTED = {"image": {"_type": "Image"}, "label": {"feature": {"_type": "Image"}, "_type": "List"}}


@pytest.mark.parametrize(
    ("case", "reason"),
    [("path", r"row 1 of 'image' holds no bytes, its picture lies in a file elsewhere \('/a/b.png'\)"),
     ("url", "lies on the network"), ("cut", "is cut short"), ("escape", "names '../x.arrow', which is no file in it"),
     ("json", "cannot be read"), ("nested", "several pictures a row"),
     ("index", r"picks rows by an index: save it again after flatten_indices\(\)")],
)  # fmt: skip
def test_a_data_set_that_would_leave_pictures_unprotected_is_refused(tmp_path: Path, case: str, reason: str) -> None:
    named = {"path": "/a/b.png", "url": "https://example.org/b.png"}.get(case)
    images = [*rows(0, 1), {"bytes": None, "path": named}] if named else rows(0, 2)
    source = split(tmp_path / "ds", images, features=NESTED if case == "nested" else None)
    file, state = source / "data-00000.arrow", source / "state.json"
    if case == "cut":
        file.write_bytes(file.read_bytes()[:-8])
    elif case == "escape":
        state.write_text(json.dumps({"_data_files": [{"filename": "../x.arrow"}]}))
    elif case == "index":
        state.write_text(json.dumps(json.loads(state.read_text()) | {"_indices_data_files": [{"filename": "x.arrow"}]}))
    elif case == "json":
        state.write_text("{")
    with pytest.raises(ValueError, match=reason) as caught:
        job(source, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_tables_whose_pictures_are_elsewhere_or_in_two_columns_are_refused(tmp_path: Path) -> None:
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    parquet.write_table(arrow.table({"url": ["https://example.org/1.jpg"]}), tmp_path / "urls.parquet")
    with pytest.raises(ValueError, match="only 'url' that names them elsewhere"):
        open_collection(tmp_path / "urls.parquet")
    two = arrow.array(rows(0, 1), arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())]))
    parquet.write_table(arrow.table({"image": two, "thumbnail": two}), tmp_path / "two.parquet")
    with pytest.raises(ValueError, match=r"2 columns of pictures \(image, thumbnail\)"):
        open_collection(tmp_path / "two.parquet")


def test_a_folder_of_shards_and_a_pattern_give_the_bytes_of_a_folder(tmp_path: Path) -> None:
    png = [stored(noise(i), "PNG") for i in range(6)]
    said = [json.dumps({"label": i // 3, "note": "x"}).encode() for i in range(6)]
    for shard in range(3):
        members = []
        for i in range(2 * shard, 2 * shard + 2):
            label = (f"{i}.cls", b"%d" % (i // 3)) if shard else (f"{i}.json", said[i])
            members += [(f"{i}.png", png[i]), label]
        write_members(tmp_path / "wds" / f"part-{shard:02d}.tar", members)
    put(tmp_path / "wds/README.md", b"mine")
    assert job(tmp_path / "wds", tmp_path / "out", labels="folders").copied == 7
    for number in range(6):
        put(tmp_path / "src" / str(number // 3) / f"{number}.png", noise(number))
    job(tmp_path / "src", tmp_path / "dst")
    out = open_collection(tmp_path / "out")
    found = [out.read(item) for item in out.items if item.name.endswith(".png")]
    assert found == [(tmp_path / "dst" / str(i // 3) / f"{i}.png").read_bytes() for i in range(6)]
    assert (tmp_path / "out/README.md").read_bytes() == b"mine"
    seen = verify(tmp_path / "wds", tmp_path / "out")
    assert (seen.checked, seen.bad, seen.missing) == (6, 0, 0)
    pattern = tmp_path / "wds" / "part-{00..02}.tar"
    assert job(pattern, tmp_path / "again").protected == 6
    assert all((tmp_path / "again" / n).read_bytes() == (tmp_path / "out" / n).read_bytes() for n in tree_of_tars(out))
    with pytest.raises(ValueError, match=r"'part-03.tar', which is no shard"):
        open_collection(tmp_path / "wds" / "part-{00..03}.tar")
    with pytest.raises(ValueError, match="more than 100,000 names"):
        open_collection(tmp_path / "wds" / "part-{0..9}{00000..99999}.tar")
    with pytest.raises(ValueError, match="is the folder of SRC"):
        job(pattern, tmp_path / "wds", overwrite=True)


def tree_of_tars(collection) -> list[str]:
    return sorted({item.name.split("/")[0] for item in collection.items if "/" in item.name})


def write_members(path: Path, members: list[tuple[str, bytes]]) -> None:
    path.parent.mkdir(exist_ok=True)
    write_tar(path, members)


def test_a_folder_of_tables_is_a_folder_of_tables_again(tmp_path: Path) -> None:
    (tmp_path / "hf/data").mkdir(parents=True)
    for shard in range(2):
        write_parquet(tmp_path / f"hf/data/train-{shard}.parquet", rows(3 * shard, 3))
    assert job(tmp_path / "hf", tmp_path / "out", labels="none").protected == 6
    seen = verify(tmp_path / "hf", tmp_path / "out")
    assert (seen.checked, seen.bad, seen.missing) == (6, 0, 0)


def test_an_archive_among_pictures_is_not_copied_unprotected(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 2)
    write_members(source / "more.tar", [("1.png", stored(noise(1), "PNG"))])
    summary = job(source, tmp_path / "dst")
    assert (summary.protected, summary.copied, summary.failed) == (2, 0, 1)
    assert not (tmp_path / "dst/more.tar").exists()


def test_shards_behind_a_link_out_of_the_source_stay_where_they_are(tmp_path: Path) -> None:
    write_members(tmp_path / "secret/private.tar", [("private.png", stored(noise(1), "PNG"))])
    write_members(tmp_path / "src/b.tar", [("b.png", stored(noise(2), "PNG"))])
    (tmp_path / "src/a.tar").symlink_to(tmp_path / "secret/private.tar")
    (tmp_path / "src/c.tar").symlink_to("b.tar")
    (tmp_path / "src/d.tar").symlink_to("gone.tar")
    summary = job(tmp_path / "src", tmp_path / "out", method="random")
    assert (summary.protected, summary.failed) == (2, 2)
    failures = dict(summary.failures)
    assert failures["a.tar"] == "symbolic link that leads out of SRC"
    assert failures["d.tar"].startswith("broken symbolic link")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"b.tar", "c.tar"}


def lead_out(file: Path, elsewhere: Path) -> None:
    """The file moves out of the source, and a link to it stays."""
    elsewhere.parent.mkdir(exist_ok=True)
    file.rename(elsewhere)
    file.symlink_to(elsewhere)


@pytest.mark.parametrize(
    "name",
    ["dataset_dict.json", "train", "train/state.json", "train/dataset_info.json", "train/data-00000.arrow", "test"],
)
def test_a_data_set_is_not_followed_out_of_itself(tmp_path: Path, name: str) -> None:
    source = dataset(tmp_path / "dd")
    lead_out(source / name, tmp_path / "elsewhere/there")
    with pytest.raises(ValueError, match=rf"SRC .*{name}.* is a symbolic link that leads out of SRC") as caught:
        job(source, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_links_inside_a_data_set_are_followed(tmp_path: Path) -> None:
    source = dataset(tmp_path / "dd")
    lead_out(source / "test/data-00000.arrow", source / "train/cache-2.arrow")
    assert job(source, tmp_path / "out", method="random").protected == 6


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", ".unlearnable"])
def test_splits_are_names_of_folders_in_the_data_set(tmp_path: Path, name: str) -> None:
    split(tmp_path / "home", rows(0, 2))
    (tmp_path / "home/dd").mkdir()
    (tmp_path / "home/dd/dataset_dict.json").write_text(json.dumps({"splits": [name]}))
    with pytest.raises(ValueError, match="names no splits"):
        open_collection(tmp_path / "home/dd")


@pytest.mark.parametrize("name", ["data_batch_1.bin", "batches.meta.txt", "readme.txt"])
def test_cifar_is_not_followed_out_of_itself(tmp_path: Path, name: str) -> None:
    for batch in (1, 2):
        put(tmp_path / f"src/data_batch_{batch}.bin", bytes(2 * 3073))
    put(tmp_path / "src/batches.meta.txt", b"cat\ndog\n")
    put(tmp_path / "src/readme.txt", b"PRIVATE KEY")
    assert job(tmp_path / "src", tmp_path / "whole", method="random").protected == 4
    lead_out(tmp_path / "src" / name, tmp_path / "elsewhere/there")
    with pytest.raises(ValueError, match=rf"SRC .*{name}' is a symbolic link that leads out of SRC"):
        job(tmp_path / "src", tmp_path / "out", method="random")
    assert not (tmp_path / "out").exists()
