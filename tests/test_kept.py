"""What lies beside the pictures of a table or an array file is as it was, or verify and audit say so."""

import importlib
import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from commands import Command
from jobs import job, noise, stored

from unlearnable.files import open_collection
from unlearnable.files.collections.collection import kept
from unlearnable.job import audit, protecting, verify
from unlearnable.job.manifest import Manifest
from unlearnable.run import Cancelled, Run

COUNT = 7
arrow = importlib.import_module("pyarrow")
parquet = importlib.import_module("pyarrow.parquet")


def table(first: int = 0, **columns: object) -> object:
    """Rows with a picture each, its label, and what else a table may hold."""
    rows = [{"bytes": stored(noise(first + n), "PNG"), "path": f"{n}.png"} for n in range(COUNT)]
    own = {
        "label": [n % 3 for n in range(COUNT)],
        "caption": arrow.array([None if n == 2 else "cat" * n for n in range(COUNT)]),
        "kind": arrow.array(["a", "b", None, "a", "b", "a", "a"]).dictionary_encode(),
        "boxes": [[{"x": 1.5, "of": None}] * (n % 3) or None for n in range(COUNT)],
        "taken": arrow.array(
            [datetime(2026, 1, 1 + n, tzinfo=UTC) for n in range(COUNT)], arrow.timestamp("ns", "UTC")
        ),
        "said": arrow.array([[("a", n)] for n in range(COUNT)], arrow.map_(arrow.string(), arrow.int64())),
        "yes": [n == 3 for n in range(COUNT)],
    }
    image = arrow.array(rows, arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())]))
    return arrow.table({"image": image} | own | columns)


def digest(path: Path) -> str | None:
    with closing(open_collection(path)) as collection:
        return kept(collection)


def test_the_digest_does_not_know_how_rows_are_cut_and_knows_every_value(tmp_path: Path) -> None:
    def of(made: object, size: int = COUNT) -> str | None:
        parquet.write_table(made, tmp_path / "t.parquet", row_group_size=size)
        return digest(tmp_path / "t.parquet")

    whole = of(table())
    assert {of(table(), size) for size in (1, 2, 3)} == {whole}
    assert of(table(first=50)) == whole  # other pictures
    changed = {
        "label": [n % 3 for n in range(COUNT - 1)] + [1],
        "caption": arrow.array(["" if n == 2 else "cat" * n for n in range(COUNT)]),
        "kind": ["a", "b", None, "a", "b", "a", "b"],
        "boxes": [[{"x": 1.5, "of": None}] * (n % 3) for n in range(COUNT)],
        "yes": [n == 4 for n in range(COUNT)],
        "more": list(range(COUNT)),
    }
    found = {name: of(table(**{name: values})) for name, values in changed.items()}
    assert len({whole, *found.values()}) == len(changed) + 1
    assert of(table().replace_schema_metadata({"mine": "1"})) != whole
    assert of(table().rename_columns(["image", "label", "caption", "kind", "boxes", "taken", "said", "no"])) != whole


def relabelled(path: Path) -> None:
    parquet.write_table(parquet.read_table(path).set_column(1, "label", arrow.array([2] * COUNT)), path)


def shuffled(path: Path) -> None:
    """The pictures change places, with their names, and the labels stay."""
    read = parquet.read_table(path)
    parquet.write_table(read.set_column(0, "image", read["image"].take(list(range(COUNT))[::-1])), path)


@pytest.mark.parametrize("alter", [relabelled, shuffled])
@pytest.mark.parametrize("forgotten", [False, True])
def test_altered_labels_of_a_table(tmp_path: Path, alter: Callable[[Path], None], forgotten: bool) -> None:
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    parquet.write_table(table(), source, row_group_size=2)
    job(source, out, method="random")
    assert (verify(source, out).bad, audit(out).bad) == (0, 0)
    alter(out)
    if forgotten:
        (tmp_path / "out.parquet.partial").rename(tmp_path / "elsewhere")
    found = [verify(source, out)] if forgotten else [verify(source, out), audit(out)]
    for one in found:
        assert (one.checked, one.bad, one.missing) == (COUNT, 1, 0)
        assert one.problems[0][0] == "out.parquet"
        assert "beside the pictures" in one.problems[0][1] or "another order" in one.problems[0][1]


def test_an_altered_array_beside_the_pictures(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "in.npz", images=pixels, attributes=np.ones(4), labels=np.arange(4))
    job(tmp_path / "in.npz", tmp_path / "out.npz", method="random")
    assert (verify(tmp_path / "in.npz", tmp_path / "out.npz").bad, audit(tmp_path / "out.npz").bad) == (0, 0)
    with np.load(tmp_path / "out.npz") as arrays:
        held = {name: arrays[name] for name in arrays.files} | {"attributes": np.zeros(4)}
    np.savez(tmp_path / "out.npz", **held)
    for found in (verify(tmp_path / "in.npz", tmp_path / "out.npz"), audit(tmp_path / "out.npz")):
        assert [name for name, _ in found.problems] == ["out.npz"]


def test_altered_bytes_beside_cifar_records(tmp_path: Path) -> None:
    """Coarse labels are in no name."""
    (tmp_path / "in").mkdir()
    records = np.random.default_rng(0).integers(0, 20, (3, 3074), dtype=np.uint8)
    records.tofile(tmp_path / "in" / "train.bin")
    (tmp_path / "in" / "fine_label_names.txt").write_text("\n".join(f"c{n}" for n in range(20)))
    job(tmp_path / "in", tmp_path / "out", method="random")
    assert (verify(tmp_path / "in", tmp_path / "out").bad, audit(tmp_path / "out").bad) == (0, 0)
    written = np.fromfile(tmp_path / "out" / "train.bin", np.uint8).reshape(3, 3074)
    written[:, 0] = 0
    written.tofile(tmp_path / "out" / "train.bin")
    for found in (verify(tmp_path / "in", tmp_path / "out"), audit(tmp_path / "out")):
        assert [name for name, _ in found.problems] == ["out"]


def test_altered_labels_of_a_shard(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        parquet.write_table(table(), tmp_path / "in" / f"{name}.parquet")
    job(tmp_path / "in", tmp_path / "out", method="random")
    assert (verify(tmp_path / "in", tmp_path / "out").bad, audit(tmp_path / "out").bad) == (0, 0)
    relabelled(tmp_path / "out" / "b.parquet")
    assert [name for name, _ in audit(tmp_path / "out").problems] == ["out"]
    assert [name for name, _ in verify(tmp_path / "in", tmp_path / "out").problems] == ["out"]


def test_a_published_manifest_knows_it_and_one_of_an_earlier_version_is_read(tmp_path: Path, command: Command) -> None:
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    parquet.write_table(table(), source)
    job(source, out, method="random")
    assert command("report", source, out, "--out", "proof", "--pictures", 2, "--quiet").code == 0
    alone = ("verify", out, "--manifest", "proof/manifest.json", "--json", "--quiet")
    assert command(*alone).json["bad"] == 0
    relabelled(out)
    assert command(*alone).json["bad"] == 1
    said = json.loads(Path("proof/manifest.json").read_text())
    del said["job"]["kept"]
    Path("proof/manifest.json").write_text(json.dumps(said))
    assert command(*alone).json["bad"] == 0


def stopped(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects a few rows, then is stopped."""

    def few(self: object, row: object, outcome: object) -> None:
        real(self, row, outcome)
        raise Cancelled("stopped")

    real = protecting._Batch.add
    with monkeypatch.context() as patch:
        patch.setattr(protecting._Batch, "add", few)
        with pytest.raises(Cancelled):
            job(source, out, method="random")
    with closing(Manifest(out.with_name("out.parquet.partial") / ".unlearnable" / "manifest.sqlite")) as manifest:
        assert 0 < manifest.count("protected") < COUNT


def test_another_table_of_the_same_length_does_not_mix_with_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    parquet.write_table(table(), source)
    stopped(source, out, monkeypatch)
    parquet.write_table(table(first=50), source)
    assert job(source, out, method="random", resume=True).worked == COUNT
    job(source, tmp_path / "whole.parquet", method="random")
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    parquet.write_table(table(first=50, label=[1] * COUNT), source)
    with pytest.raises(ValueError, match=r"beside its pictures.* has changed"):
        job(source, out, method="random", resume=True)


def test_a_job_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    parquet.write_table(table(), source)
    job(source, out, method="random")
    with closing(Manifest(tmp_path / "out.parquet.partial" / ".unlearnable" / "manifest.sqlite")) as manifest:
        about = manifest.get("about")
        del about["kept"]
        manifest.set("about", about)
        manifest.commit()
    assert job(source, out, method="random", resume=True).worked == 0
    assert audit(out, Run()).bad == 0
