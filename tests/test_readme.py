"""What README.md is filled with: means over seeds, doubts beside them, the quickest fit, and what has no figures."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import costs, readme, universal
from unlearnable import suites
from unlearnable.experiment import CLEAN, Cell, Result
from unlearnable.suites.universal import ELSEWHERE, SHIPPED

ABOUT = {
    "classes": 10, "tests": 400, "commit": "a", "date": "2026-11-22",
    "hardware": {"processor": "P", "cores": 2, "precision": "torch.float32"},
    "protection": {"steps": 600, "batch": 64},
}  # fmt: skip


def result(cell: Cell, accuracy: float, seconds: float = 0.0) -> Result:
    return Result(cell, cell.key, (accuracy,), (0.9,), {"fit_seconds": seconds}, (), dict(ABOUT))


def test_the_table_of_the_generator_takes_all_seeds_and_says_what_to_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (quick, _) = ELSEWHERE["quick"]
    one = [cell for cell in suites.cells("universal", "quick") if cell.dataset == "imagenette-64"]
    cells = [replace(cell, seed=seed) for cell in one if cell.model == "cnn" for seed in (0, 1)]
    nothing = next(cell for cell in cells if cell.eps == 0)
    monkeypatch.setattr(suites, "cells", lambda suite, tier: cells)
    reached = {CLEAN: 0.6, SHIPPED: 0.3, quick: 0.6}
    (tmp_path / nothing.file).write_text(result(nothing, 0.6).as_json())
    for cell in cells:
        if cell.protection in reached and cell.eps != 0:
            (tmp_path / cell.file).write_text(result(cell, reached[cell.protection] + 0.1 * cell.seed).as_json())
    text = universal.table(tmp_path, "universal")
    assert "| 0.650 ± 0.071 | 0.600 | 0.650 ± 0.071 | 0.350 ± 0.071 | 0.54 | 1 to 2 | 400 | few-seeds" in text
    assert "no-effect (the paper's loss, quick fit)" in text
    assert "the paper's loss, quick fit: 600 steps of 64 pictures of `tin100-64-quick`" in text
    assert f"7 of {len(cells)} cells" in text


def test_the_quickest_fit_is_said_and_one_that_was_only_read_is_none() -> None:
    cells = [Cell("cifar10-quick", "em:quick", seed=seed) for seed in range(3)] + [Cell("cifar10-quick", "lsp")]
    records = [result(cell, 0.2, seconds) for cell, seconds in zip(cells, (1.5, 378.0, 278.0, 2.0), strict=True)]
    assert readme._minutes(records) == "`em:quick` 5 min"


def test_a_protection_without_figures_is_named() -> None:
    assert readme._missing(["a", "b", "a"]) == "\n\nNot measured yet: `a`, `b`."
    assert readme._missing([]) == ""


def test_a_file_that_differs_is_named_and_a_figure_by_its_words_alone() -> None:
    made = {readme.ROOT / "docs/results/tables.md": "other", readme.ROOT / "docs/results/none.svg": ""}
    assert readme.differing(made) == ["docs/results/tables.md", "docs/results/none.svg"]
    drawn = (readme.ROOT / "docs/results/curves-1.svg").read_text()
    assert readme.differing({readme.ROOT / "docs/results/curves-1.svg": drawn.replace('d="M', 'd="m')}) == []
    assert readme.differing({readme.ROOT / "docs/results/curves-1.svg": drawn.replace(">em:quick<", ">em<")}) != []


def test_every_cost_says_where_it_was_measured() -> None:
    lines = [line for line in costs.compared().splitlines()[2:] if line.startswith("|")] + costs.listed().splitlines()
    assert [line for line in lines if " cores, " not in line and not line.startswith(f"* `{costs.DIRTY}`")] == []
