"""The verbs at their work, through the real entry point: what they print, what they write, how they end."""

import contextlib
import json
import os
import shlex
import sqlite3
from pathlib import Path

import pytest
from commands import PROTECT_KEYS, Command, picture, refused
from pictures import write_digits
from safetensors.torch import load_file, save_file

from unlearnable.adversaries import SHORT
from unlearnable.cli.measuring import matching
from unlearnable.experiment import Cell
from unlearnable.files import Picture
from unlearnable.job import worker
from unlearnable.packs import DATA_VARIABLE
from unlearnable.protections import PROTECTIONS
from unlearnable.suites import SUITES, Suite


def test_protect_prints_exactly_the_promised_keys(command: Command, photos: Path) -> None:
    ended = command("protect", photos, "out", "--method", "lsp", "--json", "--eps", "4/255")
    assert ended.code == 0
    said = ended.json
    assert list(said) == PROTECT_KEYS
    assert (said["protected"], said["copied"], said["failed"]) == (4, 1, 0)
    assert (said["max_abs_delta"], said["method"], said["eps"]) == (4, "lsp", "4/255")
    assert Path("out/cat/b.png").exists()


def test_protect_for_people_says_the_same_and_how_to_check_it(command: Command, photos: Path) -> None:
    ended = command("protect", photos, "out", "--method", "lsp")
    assert ended.out.startswith("4 protected, 1 copied, 0 failed in ")
    assert f"unlearnable verify {photos} out" in ended.out


def test_a_failed_item_is_named_on_stderr_and_counted(command: Command, photos: Path) -> None:
    (photos / "cat" / "broken\n.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    ended = command("protect", photos, "out", "--method", "random", "--json", "--quiet")
    assert ended.code == 1
    assert ended.json["failed"] == 1
    (line,) = ended.err.splitlines()
    assert line.startswith(r"failed: cat/broken\n.png: ")


@pytest.mark.parametrize("eps", ["1/510", "0.0019", "1e-9"])
def test_an_eps_below_a_grey_level_is_refused(command: Command, photos: Path, eps: str) -> None:
    said = "changes no pixel: take at least 1/255, or 0 for none"
    assert said in refused(command("protect", photos, "out", "--method", "lsp", "--eps", eps))
    assert said in refused(command("fit", "lsp", photos, "fitted", "--eps", eps))
    assert not Path("out").exists()
    assert not Path("fitted").exists()


def test_pictures_that_nothing_changed_are_not_protected(command: Command, photos: Path) -> None:
    assert command("fit", "random:class", photos, "fitted").code == 0
    for weights in Path("fitted").glob("*.safetensors"):
        save_file({name: tensor * 0 for name, tensor in load_file(weights).items()}, weights)
    ended = command("protect", photos, "out", "--method", "fitted", "--json", "--quiet")
    assert (ended.code, ended.json["protected"], ended.json["max_abs_delta"]) == (1, 4, 0)
    assert "nothing changed: the pictures in out are as they were" in ended.err
    control = command("protect", photos, "control", "--method", "lsp", "--eps", "0", "--quiet", "--card")
    assert (control.code, control.err) == (0, "")
    assert control.out.startswith("a control: at eps 0 the pictures are as they were")
    assert "4 pictures, none of which was changed." in Path("control/README.md").read_text()


def test_a_picture_that_nothing_changed_is_named(
    command: Command, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = worker.protected

    def but_one(found: Picture, perturbation: object, label: int, row: int, budget: object) -> object:
        return found.planes if row == 2 else real(found, perturbation, label, row, budget)

    monkeypatch.setattr(worker, "protected", but_one)
    ended = command("protect", photos, "out", "--method", "lsp", "--json", "--quiet", "--card")
    assert (ended.code, ended.json["protected"], ended.json["unchanged"]) == (1, 4, 1)
    assert "unchanged: 1 of 4 pictures are as they were in every pixel: not protected (dog/a.png)" in ended.err
    assert "| changed in no pixel | 1 pictures |" in Path("out/README.md").read_text()
    ended = command("verify", photos, "out", "--json")
    assert (ended.code, ended.json["bad"]) == (1, 1)
    assert "failed: dog/a.png: no pixel was changed: nothing protects it" in ended.err


def test_files_that_have_another_name_are_counted_and_can_be_listed(command: Command, photos: Path) -> None:
    ended = command("protect", photos, "protected", "--method", "lsp")
    assert "renamed: 1 of 4 pictures (photo.jpg is photo.png now); files that were copied" in ended.out
    assert command("protect", photos, "again", "--method", "lsp", "--json").json["renamed"] == 1
    how_to = (Path(__file__).parent.parent / "docs/how-to.md").read_text()
    query = how_to.partition('sqlite3 protected/.unlearnable/manifest.sqlite "')[2].partition('"')[0]
    with contextlib.closing(sqlite3.connect("protected/.unlearnable/manifest.sqlite")) as manifest:
        assert manifest.execute(query).fetchall() == [("cat/b.jpg", "cat/b.png")]


def test_what_is_advised_can_be_typed(command: Command, photos: Path) -> None:
    here = photos.rename("my photos")
    advised = command("protect", "--method", "lsp", "--", here, "-out").out.splitlines()[-1].partition(": ")[2]
    assert advised == "unlearnable verify 'my photos' ./-out"
    assert command(*shlex.split(advised)[1:]).code == 0


def test_a_dry_run_writes_nothing(command: Command, photos: Path) -> None:
    ended = command("protect", photos, "out", "--method", "lsp", "--dry-run", "--json")
    assert ended.code == 0
    assert list(ended.json) == PROTECT_KEYS
    assert (ended.json["protected"], ended.json["seconds"]) == (4, None)
    assert not Path("out").exists()
    assert "nothing was written" in command("protect", photos, "out", "--method", "lsp", "--dry-run").out


def test_protect_goes_on_or_starts_anew_only_when_told(command: Command, photos: Path) -> None:
    assert command("protect", photos, "out", "--method", "lsp").code == 0
    assert "--resume" in refused(command("protect", photos, "out", "--method", "lsp"))
    assert command("protect", photos, "out", "--method", "lsp", "--resume").code == 0
    assert command("protect", photos, "out", "--method", "lsp", "--overwrite", "--seed", "3").code == 0


def test_the_same_seed_gives_the_same_bytes(command: Command, photos: Path) -> None:
    for out, seed in (("one", "5"), ("two", "5"), ("three", "6")):
        command("protect", photos, out, "--method", "lsp", "--seed", seed)
    one, two, three = ((Path(out) / "cat" / "a.png").read_bytes() for out in ("one", "two", "three"))
    assert one == two != three


def test_what_is_typed_wins_over_a_recipe_and_a_recipe_over_defaults(command: Command, photos: Path) -> None:
    Path("recipe.yaml").write_text("method: random\neps: 2/255\nseed: 3\n")
    by_recipe = command("protect", photos, "one", "--json", "--config", "recipe.yaml").json
    assert (by_recipe["method"], by_recipe["eps"]) == ("random", "2/255")
    typed = command("protect", photos, "two", "--eps", "3/255", "--config=recipe.yaml", "--json").json
    assert (typed["method"], typed["eps"]) == ("random", "3/255")


def test_verify_finds_what_was_changed_and_what_is_missing(command: Command, photos: Path) -> None:
    command("protect", photos, "out", "--method", "lsp")
    ended = command("verify", photos, "out", "--json")
    assert (ended.code, list(ended.json)) == (0, ["checked", "bad", "max_abs_delta", "missing", "eps", "eps_of"])
    assert ended.json["bad"] == ended.json["missing"] == 0
    picture(Path("out/cat/a.png"), 40)
    Path("out/dog/a.png").unlink()
    ended = command("verify", photos, "out", "--json", "--quiet")
    assert (ended.code, ended.json["bad"], ended.json["missing"]) == (1, 1, 1)
    assert [line.rpartition(": ")[0].split(": ")[1] for line in ended.err.splitlines()] == ["cat/a.png", "dog/a.png"]


def test_a_fitted_method_protects(command: Command, photos: Path) -> None:
    said = command("fit", "lsp", photos, "fitted", "--eps", "2/255", "--patch", "4", "--size", "16", "--json").json
    assert said == {"method": "lsp", "eps": "2/255", "out": "fitted", "failed": 0, "labels": "folders"}
    config = json.loads(Path("fitted/config.json").read_text())
    assert config["protection"]["patch"] == 4
    said = command("protect", photos, "out", "--method", "fitted", "--json").json
    assert (said["protected"], said["max_abs_delta"], said["eps"]) == (4, 2, "2/255")


def test_fit_names_and_counts_what_it_could_not_read(command: Command, photos: Path) -> None:
    (photos / "cat" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    words = ("--rounds", "1", "--train_steps", "1", "--size", "16", "--quiet", "--json")
    ended = command("fit", "em:class-quick", photos, "fitted", *words)
    assert (ended.code, ended.json["failed"]) == (1, 1)
    assert ended.err.startswith("failed: cat/broken.png: ")
    assert command("protect", photos, "out", "--method", "fitted", "--json", "--quiet").json["protected"] == 4


def test_the_values_of_a_preset_are_the_defaults_and_can_be_changed(command: Command, photos: Path) -> None:
    Path("recipe.yaml").write_text("rounds: 1\ntrain_steps: 2\n")
    assert command("fit", "em:class-quick", photos, "fitted", "--size", "16", "--config", "recipe.yaml").code == 0
    about = json.loads(Path("fitted/config.json").read_text())["protection"]
    preset = PROTECTIONS["em"].presets["class-quick"]
    assert (about["rounds"], about["train_steps"]) == (1, 2)
    assert (about["scope"], about["model"]) == (preset["scope"], preset["model"])


def test_protect_verify_evaluate_on_a_folder_of_digits(command: Command, tmp_path: Path) -> None:
    clean, test = write_digits(tmp_path / "clean", 8), write_digits(tmp_path / "test", 4, first=8)
    assert command("protect", clean, "out", "--method", "lsp", "--json").json["protected"] == 80
    assert command("verify", clean, "out", "--json").json["checked"] == 80
    Path("recipe.yaml").write_text("epochs: 3\nmodels: cnn,lenet\n")
    ended = command("evaluate", clean, "out", test, "--json", "--config", "recipe.yaml", "--out", "report")
    said = ended.json
    assert list(said) == ["rows", "flags", "failed"]
    rows, flags = said["rows"], said["flags"]
    assert isinstance(rows, list)
    assert isinstance(flags, list)
    assert [row["model"] for row in rows] == ["cnn", "lenet"] * len(SHORT)
    assert [row["adversary"] for row in rows[::2]] == list(SHORT)
    wanted = {"adversary", "model", "seed", "clean_acc", "protected_acc", "best_protected_acc", "train_acc"}
    assert wanted <= set(rows[0])
    assert "few-seeds" in flags
    assert any(Path("report").iterdir())


def test_networks_of_a_seed_are_refused_where_pictures_came_from_a_disk(command: Command, tmp_path: Path) -> None:
    clean = write_digits(tmp_path / "clean", 3)
    assert command("protect", clean, "out", "--method", "lsp", "--quiet").code == 0
    names = "adversarial:2/255,1,distill:authorised=blind,model=cnn,standard"
    for words in (("evaluate", clean, "out", clean), ("report", clean, "out", "--test", clean)):
        said = refused(command(*words, "--adversaries", names, "--epochs", "1"))
        assert "'distill:authorised=blind,model=cnn' has a network drawn from a seed" in said
        assert "as in distill:bundle=BUNDLE" in said


def test_the_authorised_and_a_student_of_theirs_are_named_by_their_bundle(command: Command, tmp_path: Path) -> None:
    clean = write_digits(tmp_path / "clean", 6)
    words = ("authorise", "create", "bundle", "--classes", clean, "--model", "lenet", "--size", "16", "--epochs", "2")
    assert command(*words).code == 0
    names = "authorised:bundle=bundle,adversarial:2/255,1,distill:bundle=bundle,temperature=2"
    words = ("evaluate", clean, clean, clean, "--adversaries", names, "--epochs", "1", "--size", "16", "--json")
    rows = command(*words).json["rows"]
    assert [row["adversary"] for row in rows] == [
        "authorised:bundle=bundle", "adversarial:2/255,1", "distill:bundle=bundle,temperature=2"
    ]  # fmt: skip


def test_evaluate_for_people_is_a_table(command: Command, tmp_path: Path) -> None:
    clean = write_digits(tmp_path / "clean", 3)
    ended = command("evaluate", clean, clean, clean, "--epochs", "1", "--rate", "0.5", "--relabel", "kmeans:4")
    assert ended.code == 0
    assert "|" in ended.out
    assert "standard" in ended.out


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("file", "--out 'file' is a file: name a folder"),
        ("file/report", "file', which is a file: name a folder"),
        ("photos/report", "--out 'photos/report' lies in CLEAN, which stays as it is"),
        ("out", "--out 'out' lies in PROTECTED, which stays as it is"),
        ("test", "--out 'test' lies in TEST, which stays as it is"),
    ],
)
def test_evaluate_looks_at_its_out_before_it_trains(command: Command, photos: Path, out: str, said: str) -> None:
    for name in ("out", "test"):
        Path(name).mkdir()
    Path("file").touch()
    assert said in refused(command("evaluate", "photos", "out", "test", "--out", out))


def test_evaluate_goes_on_without_the_pictures_that_failed(command: Command, tmp_path: Path) -> None:
    clean = write_digits(tmp_path / "clean", 3)
    first, second = sorted((clean / "4").glob("*.png"))[:2]
    command("protect", clean, "out", "--method", "lsp")
    (Path("out/4") / first.name).unlink()
    broken = sorted((clean / "3").glob("*.png"))[0]
    broken.write_bytes(broken.read_bytes()[:50])
    words = ("evaluate", clean, "out", clean, "--adversaries", "standard", "--epochs", "1", "--json", "--quiet")
    ended = command(*words)
    assert (ended.code, ended.json["failed"]) == (1, 3)  # the broken one is among the test pictures too
    lines = ended.err.splitlines()
    assert lines[0].startswith(f"failed: {broken}: ")
    assert lines[2] == f"failed: {first}: missing in PROTECTED 'out'"
    (Path("out/4") / second.name).unlink()
    assert "every class needs at least 2 images to be learned, '4' has fewer" in refused(command(*words))
    assert "lacks all 29 pictures" in refused(command("evaluate", clean, write_digits(tmp_path / "x", 2, 5), clean))


def test_bench_fills_what_is_missing_and_tables_shows_it(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [Cell("digits", name, model="lenet", epochs=1) for name in ("clean", "random")]
    monkeypatch.setitem(SUITES, "two", Suite("Two", lambda tier: cells))
    assert command("bench", "two", "--shard", "1/2", "--json").json == {
        "measured": 1, "already": 0, "failed": 0, "out": "results"
    }  # fmt: skip
    seeded = [Cell("digits", "clean", model="lenet", epochs=1, seed=seed) for seed in range(3)]
    monkeypatch.setitem(SUITES, "seeded", Suite("Seeded", lambda tier: seeded))
    assert command("bench", "seeded", "--seeds", "1", "--json").json["already"] == 1
    assert "--seeds must be 1 or more, got 0" in refused(command("bench", "seeded", "--seeds", "0"))
    assert command("bench", "two").out.startswith("1 cells measured, 1 were there; as a table: unlearnable tables")
    ended = command("tables", "results")
    assert "| `random` |" in ended.out
    assert command("tables", "results", "--json").json == {"markdown": ended.out.rstrip("\n")}
    assert "with 1 <= i <= n, got 3/2" in refused(command("bench", "two", "--shard", "3/2"))


def test_bench_without_its_data_says_once_what_to_bring(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    said = refused(command("bench", "main"))
    assert "needs cifar10-lossless.zip: name the folder that holds it by --data DIR or UNLEARNABLE_DATA" in said
    (tmp_path / "packs").mkdir()
    assert f"(now {tmp_path / 'packs'})" in refused(command("bench", "main", "--data", tmp_path / "packs"))
    assert "'nowhere' is not there" in refused(command("bench", "main", "--data", "nowhere"))
    assert DATA_VARIABLE not in os.environ
    assert not Path("results").exists()


def test_rows_are_matched_by_name_whatever_the_suffix_became() -> None:
    names = ("a/x.jpg", "a/x.png", "b/y.jpg", "c/z.png")
    copied = ("b/y.png", "a/x.jpg.png", "c/q.png", "a/x.png")
    assert matching(names, copied) == [1, 3, 0, None]
    assert matching(("a/x.jpg", "a/x.png"), ("a/x.png",)) == [None, 0]
