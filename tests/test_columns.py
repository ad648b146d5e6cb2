"""Tables: what lies beside the pictures is written again, so it holds none; and what it says stays as it is."""

import base64
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from jobs import job, noise, stored

from unlearnable.job import verify

PNG, JPEG = stored(noise(1), "PNG"), stored(noise(2), "JPEG")
STRUCT = {"bytes": PNG, "path": "1.png"}
BASE64 = base64.b64encode(JPEG).decode()
FEATURES = {"image": {"_type": "Image"}, "conversations": [{"from": {"dtype": "string", "_type": "Value"}}]}


def written(path: Path, said: dict[str, object] | None = None, **columns: object) -> Path:
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    metadata = {"huggingface": json.dumps({"info": {"features": said}})} if said else None
    parquet.write_table(arrow.table(columns).replace_schema_metadata(metadata), path)
    return path


def column(path: Path, name: str) -> list[object]:
    return importlib.import_module("pyarrow.parquet").read_table(path)[name].to_pylist()


HOLDING = {
    "thumbnail": [None, PNG], "original": [b"", JPEG], "image_base64": ["none", f"data:image/jpeg;base64,{BASE64}"],
    "original_image": [JPEG, JPEG], "frames": [[], [{"bytes": PNG, "path": None}]],
    "notes.more": [{"more": BASE64}] * 2,
    "raw": [np.frombuffer(JPEG, np.uint8).tolist()] * 2, "array": [np.asarray(noise(1, 8))[0].tolist()] * 2,
    "packed": [b"PK\3\4", b""], "drawn": [bytes(128) + b"DICM", None], "map": [{"a": BASE64}, {}],
}  # fmt: skip


@pytest.mark.parametrize("name", HOLDING)
@pytest.mark.parametrize("nested", [True, False])
def test_a_column_that_holds_pictures_too_is_refused_by_its_name(tmp_path: Path, name: str, nested: bool) -> None:
    arrow = importlib.import_module("pyarrow")
    kinds = {"map": arrow.map_(arrow.string(), arrow.string()), "raw": arrow.list_(arrow.uint8()),
             "array": arrow.list_(arrow.list_(arrow.uint8()))}  # fmt: skip
    rows = [list(value.items()) for value in HOLDING[name]] if name == "map" else HOLDING[name]
    first = name.split(".")[0]
    more = {first: arrow.array(rows, kinds.get(name))}
    source = written(tmp_path / "a.parquet", image=[STRUCT, STRUCT] if nested else [PNG, PNG], **more)
    with pytest.raises(ValueError, match=rf"'{name}.*' with .*nobody would protect") as caught:
        job(source, tmp_path / "b.parquet", method="random")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_a_second_field_of_the_pictures_and_the_metadata_of_the_table_are_looked_into(tmp_path: Path) -> None:
    source = written(tmp_path / "a.parquet", image=[{**STRUCT, "original": PNG}])
    with pytest.raises(ValueError, match=r"has a column 'image.original' with a picture"):
        job(source, tmp_path / "b.parquet", method="random")
    source = written(tmp_path / "c.parquet", {"image": {"_type": "Image"}, "said": BASE64}, image=[STRUCT])
    with pytest.raises(ValueError, match="has a picture in its metadata"):
        job(source, tmp_path / "b.parquet", method="random")


def test_other_columns_stay_whatever_their_types(tmp_path: Path) -> None:
    arrow, numbers = importlib.import_module("pyarrow"), np.random.default_rng(0).normal(size=(40, 99))
    columns: dict[str, object] = {
        "caption": ["a photo of a dog, /9j/ and GIF89a"] * 40, "embedding": [row.tobytes() for row in numbers],
        "boxes": numbers[:, :8].reshape(40, 2, 4).tolist(), "label": list(range(40)),
        "conversations": [[{"from": "human"}, {"from": "gpt"}]] * 40,
        "kind": arrow.array(["cat", "dog"] * 20).dictionary_encode(),
    }  # fmt: skip
    source = written(tmp_path / "a.parquet", FEATURES, image=[STRUCT] * 40, **columns)
    assert job(source, tmp_path / "b.parquet", method="random").protected == 40
    for name in columns:
        assert column(tmp_path / "b.parquet", name) == column(source, name), name
    assert verify(source, tmp_path / "b.parquet").bad == 0


def test_a_row_of_a_type_that_is_not_read_is_null_and_no_copy(tmp_path: Path) -> None:
    """It was called 0001, taken for a file that is no picture, and came out as it was."""
    others = [stored(noise(1), kind) for kind in ("TGA", "ICO", "PCX", "SGI")] + [b"\xff\x0a\x3f\x07", b"8BPS\0\1"]
    for rows in ([PNG, *others], [{"bytes": data, "path": None} for data in (PNG, *others)]):
        source = written(tmp_path / "a.parquet", image=rows)
        summary = job(source, tmp_path / "b.parquet", method="random", overwrite=True)
        assert (summary.protected, summary.copied, summary.failed) == (1, 0, 6)
        reasons = dict(summary.failures)
        assert reasons["1"].startswith("not a picture in a format that is read (unknown, it begins ")
        assert "PSD" in reasons["6"]
        out = column(tmp_path / "b.parquet", "image")
        assert out[0]
        assert out[1:] == [None] * 6
        found = verify(source, tmp_path / "b.parquet")
        assert (found.checked, found.bad, found.missing) == (1, 0, 6)


def test_what_else_the_column_of_pictures_says_is_kept_and_a_change_of_it_found(tmp_path: Path) -> None:
    rows = [{**STRUCT, "by": name} for name in ("ann", "bob")]
    rows[1] |= {"bytes": b"\x89PNG\r\n\x1a\n damaged"}
    source, out = written(tmp_path / "a.parquet", image=[*rows, None]), tmp_path / "b.parquet"
    assert job(source, out, method="random").failed == 2
    made = column(out, "image")
    assert ([row and row["by"] for row in made], made[1]["bytes"]) == (["ann", "bob", None], None)
    assert verify(source, out).bad == 0
    written(out, image=[{**made[0], "by": "eve"}, *made[1:]])
    assert [reason for _, reason in verify(source, out).problems if "beside the pictures" in reason]
