"""What whoever protects is told besides the figures: what is not as one might think."""

import json
from pathlib import Path

import pytest
from commands import Command, picture, refused

from unlearnable.cli.parsing import adversaries_in


def test_whoever_leaves_the_seed_of_a_closed_form_at_nothing_is_told(command: Command, photos: Path) -> None:
    told = "follows from the method and seed 0"
    assert told in command("protect", photos, "a", "--method", "lsp", "--json").err
    assert told not in command("protect", photos, "b", "--method", "lsp", "--seed", "4711").err
    assert told not in command("protect", photos, "c", "--method", "random").err
    assert told not in command("protect", photos, "d").err
    assert "4711" not in command("protect", photos, "e", "--method", "lsp", "--seed", "4711", "--card").out
    assert "4711" not in Path("e/README.md").read_text()


def test_columns_that_say_where_originals_may_lie_are_named(command: Command, tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pictures = [picture(tmp_path / f"{n}.png", n).read_bytes() for n in range(3)]
    columns = {
        "image": [{"bytes": data, "path": None} for data in pictures],
        "image_url": [None, "s3://box/1.png", None], "caption": ["a", "b", "c"],
    }  # fmt: skip
    for name, kept in (("with", columns), ("without", {k: v for k, v in columns.items() if k != "image_url"})):
        parquet.write_table(arrow.table(kept), tmp_path / f"{name}.parquet")
        done = command("protect", tmp_path / f"{name}.parquet", tmp_path / f"{name}-out.parquet", "--quiet")
        assert done.code == 0
        assert ("addresses: the columns image_url were carried over" in done.err) == (name == "with")


def test_who_protects_for_networks_that_were_drawn_is_told_where_their_bundles_lie(
    command: Command, photos: Path
) -> None:
    fields = ["--epochs", "1", "--steps", "2", "--batch", "4", "--width", "8", "--blocks", "1"]
    done = command("fit", "uge:blind-quick", str(photos), "out", *fields)
    assert "out/authorised-0: whoever has one may; publish none" in done.out
    given = json.dumps([str(Path("out/authorised-0").resolve())])
    done = command("fit", "uge:blind-quick", str(photos), "again", *fields[2:], "--bundles", given)
    assert done.code == 0
    assert "publish none" not in done.out
    said = refused(command("fit", "uge:blind-quick", str(photos), "third", "--model", "resnet8", "--bundles", given))
    assert "--model is of networks to be drawn, and --bundles brings its own" in said


def test_classes_that_nobody_gave_are_said_to_be_groups(command: Command, photos: Path, tmp_path: Path) -> None:
    for number in range(12):
        picture(tmp_path / "flat" / f"{number}.png", number)
    for source, labels in ((tmp_path / "flat", "clusters"), (photos, "folders")):
        done = command("fit", "lsp", source, f"fit-{labels}")
        assert ("its classes are k-means groups" in done.out) == (labels == "clusters")
        done = command("protect", source, f"out-{labels}", "--method", "lsp")
        assert ("its classes are k-means groups" in done.out) == (labels == "clusters")
        done = command("protect", source, f"json-{labels}", "--method", "lsp", "--json")
        assert done.json["labels"] == labels
        assert "classes: " not in done.err
    picture(photos / "loose.png", 3)
    for words in (("fit", "lsp", photos, "fit-loose"), ("protect", photos, "out-loose", "--method", "lsp")):
        assert "classes: loose.png lies in no class folder and others do" in command(*words).err


def test_all_adversaries_may_stand_in_a_list_and_none_is_tried_twice() -> None:
    assert adversaries_in("jpeg,all,jpeg")[0] == "jpeg"
    assert sorted(adversaries_in("jpeg,all,jpeg")) == sorted(adversaries_in("all"))
