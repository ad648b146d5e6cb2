"""Cells, records and tables: what is measured is what is written, once, and resumes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from unlearnable import __version__, provenance, tables
from unlearnable.data import ImageSet
from unlearnable.experiment import Cell, Evaluation, Result, bench, evaluate, mix
from unlearnable.experiment.evaluating import _row
from unlearnable.flags import FLAGS, doubts, fell_apart
from unlearnable.packs import digits
from unlearnable.perturbation import apply
from unlearnable.protections import protection
from unlearnable.run import Cancelled, Run
from unlearnable.suites import SUITES, TIERS, cells
from unlearnable.training import Classifier

CELLS = [Cell("digits", name, model="lenet", epochs=2) for name in ("clean", "lsp")]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("records")
    assert bench(CELLS, out, Run(0)) == (2, 0, [])
    return out


def test_a_package_inside_somebody_elses_checkout_does_not_take_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", tmp_path, *author, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "site-packages" / "unlearnable" / "provenance.py"))
    assert provenance.commit() == f"release {__version__}"


def test_a_record_says_what_happened_and_where(records: Path) -> None:
    result = Result.read(records / CELLS[1].file)
    assert result.cell == CELLS[1]
    assert len(result.test_acc) == len(result.train_acc) == 2
    assert result.measured["max_abs_delta"] == 8
    assert 25 < result.measured["psnr"] < 40
    assert {
        "commit",
        "command",
        "hardware",
        "torch",
        "date",
        "data",
        "protection",
        "recipe",
    } <= result.provenance.keys()


def test_only_what_is_missing_is_measured(records: Path) -> None:
    before = (records / CELLS[0].file).read_bytes()
    assert bench(CELLS, records, Run(0)) == (0, 2, [])
    assert (records / CELLS[0].file).read_bytes() == before


def test_shards_share_out_the_cells(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got 3/2"):
        bench(CELLS, tmp_path, Run(0), (3, 2))
    assert bench(CELLS[:1], tmp_path, Run(0), (2, 2)) == (0, 0, [])


def test_a_cell_stopped_half_way_gives_the_same_record(records: Path, tmp_path: Path) -> None:
    asked = 0

    def after_the_first_epoch() -> bool:
        nonlocal asked
        asked += 1
        return asked == 2

    with pytest.raises(Cancelled):
        bench(CELLS[:1], tmp_path, Run(0, cancelled=after_the_first_epoch))
    assert not list(tmp_path.glob("*.json"))
    bench(CELLS[:1], tmp_path, Run(0))
    resumed, whole = Result.read(tmp_path / CELLS[0].file), Result.read(records / CELLS[0].file)
    assert (resumed.test_acc, resumed.train_acc) == (whole.test_acc, whole.train_acc)


def test_the_key_is_that_of_the_cell() -> None:
    assert Cell("digits", "lsp").key == Cell("digits", "lsp").key
    assert Cell("digits", "lsp").key != Cell("digits", "lsp", seed=1).key


def test_tables_hold_the_numbers_of_the_records(records: Path) -> None:
    table = tables.render(records)
    for cell in CELLS:
        assert f"{Result.read(records / cell.file).test_acc[-1]:.3f}" in table
    assert "`clean`" in table
    assert "few-seeds" in table


def test_a_folder_without_records_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bench main"):
        tables.render(tmp_path)


def test_a_file_that_is_no_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "x_seed0_y.json").write_text("{}")
    with pytest.raises(ValueError, match="x_seed0_y"):
        tables.render(tmp_path)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("tier", TIERS)
def test_suites_list_cells_that_can_be_built_with_their_controls(suite: str, tier: str) -> None:
    listed = cells(suite, tier)
    assert len({cell.key for cell in listed}) == len(listed)
    clean = {cell.adversary for cell in listed if cell.protection == "clean"}
    untaught = {name for name in clean if name.endswith("times=0")}  # random weights: what protects nothing from nobody
    assert {cell.adversary for cell in listed if cell.protection != "clean"} == clean - untaught


@pytest.fixture(scope="module")
def trained() -> Evaluation:
    train, test = digits()
    train = train.subset(torch.arange(300))
    run = Run(0)
    method = protection("lsp")
    protected = apply(method.fit(train, run), train, method.budget, run)
    return evaluate(train, protected, test, models=("lenet",), seeds=2, rate=0.5, epochs=3, run=run)


def test_an_evaluation_has_a_row_for_each_victim_and_its_control(trained: Evaluation) -> None:
    assert [row.seed for row in trained.rows] == [0, 1]
    assert all(row.best_protected_acc >= row.protected_acc for row in trained.rows)
    assert all(row.clean_part_acc is not None for row in trained.rows)
    assert "few-seeds" in trained.flags
    keys = {"adversary", "model", "seed", "clean_acc", "protected_acc", "best_protected_acc", "train_acc"}
    assert keys <= trained.as_json()["rows"][0].keys()


def test_who_was_given_weights_is_evaluated_with_the_seed_of_the_protection_alone(small: ImageSet) -> None:
    with pytest.raises(ValueError, match=r"authorised:blind takes its first weights from the seed .* got 3"):
        evaluate(small, small, small, adversaries=("authorised:blind",), seeds=3, run=Run(0))


def test_the_clean_part_alone_is_judged_as_its_row_is() -> None:
    """Of who stops early the epoch chosen, not the last; no accuracy is none for being 0."""
    chosen = (0.6, 0.0, 0.5)
    row = _row("early_stop", "lenet", 0, *(Classifier(nn.Identity(), (1.0,), (0.2, 0.1), one) for one in chosen))
    assert (row.clean_acc, row.protected_acc, row.clean_part_acc) == chosen


def test_an_evaluation_is_written_whole(trained: Evaluation, tmp_path: Path) -> None:
    tables.write(trained, tmp_path / "new")
    record = json.loads((tmp_path / "new" / "evaluation.json").read_text())
    assert len(record["rows"]) == 2
    shown = f"{trained.rows[0].protected_acc:.3f}"
    assert shown in (tmp_path / "new" / "table.md").read_text()
    assert shown in (tmp_path / "new" / "table.html").read_text()


def test_unchanged_images_give_the_clean_accuracy() -> None:
    """Delta = 0 through the same path: the control that catches a leak or a shift of the pipeline itself."""
    train, test = digits()
    train = train.subset(torch.arange(200))
    (row,) = evaluate(train, train, test, models=("lenet",), epochs=2, run=Run(0)).rows
    assert row.clean_acc == row.protected_acc


def test_a_share_is_mixed_by_seed_alone(small: ImageSet) -> None:
    other = small.with_images(small.images ^ 1)
    half = mix(small, other, 0.5, Run(3))
    changed = (half.images != small.images).flatten(1).any(1)
    assert int(changed.sum()) == len(small) // 2
    assert torch.equal(half.images, mix(small, other, 0.5, Run(3)).images)
    assert not torch.equal(half.images, mix(small, other, 0.5, Run(4)).images)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rate": 0.0}, "rate must be above 0"),
        ({"seeds": 0}, "seeds must be 1 or more"),
        ({"relabel": "means:3"}, "kmeans:20"),
        ({"relabel": "kmeans:20"}, "K counts groups of classes and must be 2 to 9 for 10 classes, .* kmeans:2"),
        ({"relabel": "kmeans:10"}, "must be 2 to 9 for 10 classes"),
        ({"adversaries": ("wizard",)}, "adversary must be one of standard"),
        ({"models": ("gpt",)}, "model must be one of cnn"),
    ],
)
def test_wrong_values_name_the_allowed_ones(change: dict[str, object], said: str, small: ImageSet, run: Run) -> None:
    arguments = {"epochs": 1, "run": run} | change
    with pytest.raises(ValueError, match=said):
        evaluate(small, small, small, **arguments)  # type: ignore[arg-type]


def test_sets_that_do_not_fit_together_are_refused(small: ImageSet, run: Run) -> None:
    with pytest.raises(ValueError, match="they must match"):
        evaluate(small, small.subset(torch.arange(5)), small, run=run)
    renamed = replace(small, classes=tuple("abcdefghij"))
    with pytest.raises(ValueError, match="classes of the test set"):
        evaluate(small, small, renamed, run=run)
    smaller = replace(small, images=small.images[..., ::2, ::2].contiguous())
    with pytest.raises(ValueError, match="test images are 8 pixels a side, the others 16"):
        evaluate(small, small, smaller, run=run)
    lonely = small.subset(torch.cat([(small.labels == 0).nonzero()[:1], (small.labels > 0).nonzero()]).flatten())
    with pytest.raises(ValueError, match="every class needs at least 2 images to be learned, '0' has fewer"):
        evaluate(lonely, lonely, small, run=run)


def test_a_cell_that_cannot_be_measured_does_not_end_the_suite(tmp_path: Path) -> None:
    impossible = Cell("digits", "em", model="lenet", epochs=1, fitted_on="letters")
    measured, already, failed = bench([impossible, CELLS[0]], tmp_path, Run(0))
    assert (measured, already) == (1, 0)
    ((name, reason),) = failed
    assert name == impossible.file
    assert reason.startswith("data set must be one of digits")


def test_a_cell_of_a_smaller_rate_has_its_clean_part_as_control(tmp_path: Path) -> None:
    whole, part = Cell("digits", "clean", model="lenet", epochs=1), Cell("digits", "clean", model="lenet", rate=0.25)
    mixed = replace(part, protection="lsp")
    bench([replace(cell, epochs=1) for cell in (whole, part, mixed)], tmp_path, Run(0))
    images = {
        (r.cell.protection, r.cell.rate): r.provenance["images"] for r in map(Result.read, tmp_path.glob("*.json"))
    }
    assert images == {("clean", 1.0): 1200, ("clean", 0.25): 900, ("lsp", 0.25): 1200}
    assert replace(part, rate=0.9, epochs=12).recipe.epochs == 120, "as many steps as on all images"
    assert replace(mixed, rate=0.9, epochs=12).recipe.epochs == 12


def test_what_is_fitted_on_one_set_protects_another(tmp_path: Path) -> None:
    cell = Cell("digits", "lsp", model="lenet", epochs=1, fitted_on="digits")
    bench([cell, replace(cell, relabel="kmeans:3")], tmp_path, Run(0))
    results = {result.cell.relabel: result for result in map(Result.read, tmp_path.glob("*.json"))}
    assert results[None].measured["max_abs_delta"] == 8
    assert results["kmeans:3"].provenance["classes"] == 3
    assert Cell("digits", "lsp", surrogate=None).key != cell.key
    with pytest.raises(ValueError, match="lsp has no model"):
        _ = replace(cell, surrogate="cnn").method


def test_a_cell_of_another_strength_is_made_with_it_and_set_beside_the_same_clean_images(tmp_path: Path) -> None:
    usual = Cell("digits", "lsp", model="lenet", epochs=1)
    faint = replace(usual, eps=2 / 255)
    bench([usual, faint], tmp_path, Run(0))
    results = {result.cell.eps: result for result in map(Result.read, tmp_path.glob("*.json"))}
    assert {eps: one.measured["max_abs_delta"] for eps, one in results.items()} == {None: 8, 2 / 255: 2}
    assert results[2 / 255].provenance["protection"]["budget"] == {"norm": "linf", "eps": 2 / 255}
    assert faint.made == ("eps 2/255",)
    assert faint.fit_name != usual.fit_name
    assert faint.control == usual.control == replace(usual, protection="clean")


def test_an_epoch_that_was_chosen_counts_whatever_it_was_chosen_on() -> None:
    cell = Cell("digits", "clean", "grayscale+early_stop:50", "lenet")
    result = Result(cell, cell.key, (0.5, 0.2), (1.0, 1.0), {}, (), {}, early_acc=0.47)
    assert result.accuracy == 0.47


def test_two_classes_are_enough_to_say_something() -> None:
    two = {"classes": 2, "tests": 1000, "seeds": 3, "protected_acc": 0.52, "best_acc": 0.52, "train_acc": 0.99}
    assert doubts(**two, clean_acc=0.98) == []  # type: ignore[arg-type]
    assert doubts(**two, clean_acc=0.53) == ["undertrained", "no-effect"]  # type: ignore[arg-type]


def test_a_network_that_forgot_its_images_is_flagged(tmp_path: Path) -> None:
    assert fell_apart((0.2, 0.53, 0.1))
    assert not fell_apart((0.2, 0.53, 0.4))
    assert not fell_apart(())


def test_a_record_names_the_fit_it_is_of(tmp_path: Path) -> None:
    bench([replace(CELLS[0], protection="pil", epochs=1)], tmp_path, Run(0))
    (result,) = map(Result.read, tmp_path.glob("*.json"))
    assert result.provenance["fitted"]["hardware"] == result.provenance["hardware"]
    assert len(result.provenance["protected"]) > 8


def test_every_flag_is_explained_in_the_docs() -> None:
    text = (Path(__file__).parent.parent / "docs" / "flags.md").read_text()
    assert all(f"| `{flag}` |" in text for flag in FLAGS)


def test_a_sound_number_earns_no_flag() -> None:
    fine = {"classes": 10, "tests": 1000, "seeds": 3, "clean_acc": 0.7, "protected_acc": 0.2, "best_acc": 0.22}
    assert doubts(**fine, train_acc=0.99) == []  # type: ignore[arg-type]
    assert doubts(**fine | {"best_acc": 0.5}, train_acc=0.3) == ["not-learned", "peak-differs"]  # type: ignore[arg-type]


def test_a_control_that_learns_nothing_of_its_own_batches_is_undertrained() -> None:
    low = {"classes": 10, "tests": 1000, "seeds": 3, "clean_acc": 0.2, "protected_acc": 0.14, "best_acc": 0.15}
    assert "undertrained" in doubts(**low, train_acc=0.1, clean_train_acc=0.1)  # type: ignore[arg-type]
    assert "undertrained" not in doubts(**low, train_acc=0.3, clean_train_acc=0.3)  # type: ignore[arg-type]


def test_a_cell_without_any_strength_is_not_taken_for_one_of_full_strength() -> None:
    full, none = Cell("digits", "random"), Cell("digits", "random", eps=0.0)
    assert none.made == ("eps 0/255",)
    assert none.fit_name != full.fit_name
    assert any(cell.eps == 0.0 for cell in SUITES["main"]("quick")), "the control of the pipeline itself"


def test_who_mixes_batches_has_learned_what_is_learned_of_clean_images() -> None:
    fine = {"classes": 10, "tests": 1000, "seeds": 3, "clean_acc": 0.6, "protected_acc": 0.2, "best_acc": 0.22}
    assert doubts(**fine, train_acc=0.33, clean_train_acc=0.35) == []  # type: ignore[arg-type]
    assert doubts(**fine, train_acc=0.25, clean_train_acc=0.35) == ["not-learned"]  # type: ignore[arg-type]


def test_two_runs_of_bench_share_a_folder_and_the_work(tmp_path: Path) -> None:
    """Both are given the same cells at the same time: each cell is measured once, each protection fitted once."""
    program = (
        "import sys, torch; from pathlib import Path; from unlearnable.experiment import Cell, bench\n"
        "from unlearnable.run import Run\n"
        "torch.set_num_threads(1)\n"
        "cells = [Cell('digits', 'lsp', name, 'lenet', epochs=1) for name in ('standard', 'grayscale')]\n"
        "print(bench(cells, Path(sys.argv[1]), Run(0, device='cpu'))[0])\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    measured = [int(one.communicate(timeout=120)[0]) for one in both]
    assert sum(measured) == 2
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_a_command_that_is_published_names_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "home" / "a, b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    words = ["/usr/bin/unlearnable", "fit", "home/a, b", "../x/out", "--key=/home/me/my key.pem", "--eps", "8/255"]
    words += ["--bundles", '["/home/me/b", "home/me/absent"]', "--encoder", "clip:openai/clip", "timm/resnet18"]
    monkeypatch.setattr("sys.argv", words)
    said = 'unlearnable fit a, b out --key=my key.pem --eps 8/255 --bundles ["b", "home/me/absent"] --encoder'
    assert provenance.command() == f"{said} clip:openai/clip timm/resnet18"


def test_a_command_that_is_published_opens_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["unlearnable", "protect", "ftp://alice:s3,cret@host/photos", "--x=https://host/a.tar?sig=s3=cret"]
    words += ["memory://b/s-{0..9}.tar", "--track", "tensorboard:/home/me/runs"]
    monkeypatch.setattr("sys.argv", words)
    said = "unlearnable protect ftp://host/photos --x=https://host/a.tar memory://b/s-{0..9}.tar"
    assert provenance.command() == f"{said} --track tensorboard:runs"


def test_a_name_that_is_typed_twice_is_no_second_seed(small: ImageSet, run: Run) -> None:
    found = evaluate(small, small, small, adversaries=("standard",) * 2, models=("lenet",) * 2, epochs=1, run=run)
    assert len(found.rows) == 1
    assert "few-seeds" in found.flags


@pytest.mark.parametrize(("rate", "said"), [(0.001, "leaves 0 protected"), (0.99, "leaves 95 protected and 1 clean")])
def test_a_rate_that_leaves_nothing_to_compare_is_refused_before_any_training(
    rate: float, said: str, small: ImageSet, run: Run
) -> None:
    with pytest.raises(ValueError, match=f"rate .* of 96 images {said}"):
        evaluate(small, small, small, rate=rate, run=replace(run, listener=lambda event: pytest.fail(str(event))))
