"""Tables, figures and reports: every number is one of the records, and nothing else decides a byte."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from statistics import mean, stdev
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from unlearnable import tables
from unlearnable.adversaries import ADVERSARIES
from unlearnable.data import ImageSet
from unlearnable.experiment import Cell, Evaluation, Result, Row
from unlearnable.flags import FLAGS
from unlearnable.models import MODELS
from unlearnable.protections import PROTECTIONS
from unlearnable.tables.records import by_protection

WEB = re.compile(r"https?:|@import|<link|<script|<iframe|url\((?!#)")
ABOUT = {
    "classes": 10, "tests": 1000, "images": 5000, "commit": "abc123", "date": "2026-01-02", "torch": "2.8",
    "version": "1", "hardware": {"processor": "P & Q", "cores": 2},
}  # fmt: skip


def record(accuracy: float, protection: str = "clean", adversary: str = "standard", **change: object) -> Result:
    """A record whose accuracy ends where it is asked to."""
    early = change.pop("early", None)
    flags = change.pop("flags", ())
    cell = replace(Cell("set", protection, adversary, epochs=2), **change)  # type: ignore[arg-type]
    found = {"max_abs_delta": 8.0, "psnr": 31.0, "train_seconds": 1.0} if protection != "clean" else {}
    return Result(cell, cell.key, (0.11, accuracy), (0.5, 0.9), found, tuple(flags), ABOUT, early)  # type: ignore[arg-type]


ONE = [
    record(0.7), record(0.25, "em"), record(0.3, "lsp"), record(0.6, adversary="jpeg"), record(0.55, "em", "jpeg"),
]  # fmt: skip
SEEDS = [record(0.70 + s / 100, seed=s) for s in range(3)] + [record(0.2 + s / 50, "em", seed=s) for s in range(3)]


def kept(records: Sequence[Result], folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for one in records:
        (folder / one.cell.file).write_text(one.as_json())
    return folder


def evaluation(*rows: Row, flags: tuple[str, ...] = (), **sizes: int) -> Evaluation:
    about = {"images": 300, "tests": 900, "classes": 10, "side": 16} | sizes
    return Evaluation(rows, flags, {"max_abs_delta": 8.0, "psnr": 30.1}, ABOUT, about)


def row(adversary: str, clean: float, protected: float, seed: int = 0, **change: object) -> Row:
    return replace(Row(adversary, "cnn", seed, clean, protected, protected, 0.95), **change)  # type: ignore[arg-type]


# ---- the summary ----


def test_a_summary_holds_the_number_of_one_seed_and_the_spread_of_several() -> None:
    assert "| `em` | 0.250 | 0.250 | 0.900 | 8 levels | 31.0 dB | 1 | few-seeds |" in tables.summary(ONE)
    values = [0.2, 0.22, 0.24]
    assert f"| `em` | {mean(values):.3f} ± {stdev(values):.3f} |" in tables.summary(SEEDS)
    assert "few-seeds" not in tables.summary(SEEDS)


def test_what_stopping_early_keeps_is_a_column_where_it_was_recorded() -> None:
    assert "stopped early" not in tables.summary(ONE)
    shown = tables.summary([record(0.7), record(0.3, "em", early=0.41)])
    assert "| stopped early |" in shown
    assert "| `em` | 0.300 | 0.410 |" in shown
    chosen = tables.summary([record(0.3, "em", "early_stop", early=0.41)])
    assert "| accuracy, chosen epoch |" in chosen
    assert "| `em` | 0.410 |" in chosen


def test_labels_surrogates_and_sources_are_not_averaged_with_others() -> None:
    others = [
        record(0.31, "em", surrogate="resnet8"), record(0.32, "em", fitted_on="digits"),
        record(0.33, "em", relabel="kmeans:3"), record(0.34, "em", epochs=7),
    ]  # fmt: skip
    shown = tables.summary([*ONE, *others])
    assert "| `em (surrogate resnet8)` | 0.310 |" in shown
    assert "| `em (fitted on digits)` | 0.320 |" in shown
    assert re.search(r"set, cnn, standard, labels kmeans:3, 2 epochs\*\*\n\n.*\n.*\n\| `em` \| 0.330 ", shown)
    assert re.search(r"set, cnn, standard, 7 epochs\*\*\n\n.*\n.*\n\| `em` \| 0.340 ", shown)


def test_a_record_of_an_earlier_default_is_no_second_seed(tmp_path: Path) -> None:
    old = replace(record(0.9, "em"), key="0" * 12)
    folder = kept(ONE, tmp_path)
    (folder / "set_em_seed0_old.json").write_text(old.as_json())
    assert [one.accuracy for one in tables.read(folder) if one.cell == old.cell] == [0.25]
    (folder / record(0.25, "em").cell.file).write_text(old.as_json())
    with pytest.raises(ValueError, match="all of an earlier version"):
        tables.read(folder)


def test_a_control_is_of_the_same_seeds() -> None:
    shown = tables.summary([*SEEDS[:3], record(0.66, "em", seed=2)])
    assert "no-effect" not in shown, "0.72 less 0.66, not 0.71 less 0.66"
    (grid,) = tables.matrix([*SEEDS[:3], *ONE[3:], record(0.66, "em", seed=2)])
    assert grid.entries["standard", "em"].text == "0.660 (-0.060)"


# ---- the matrix ----


def made_otherwise(one: Result, **change: object) -> Result:
    return replace(one, provenance=one.provenance | change)


def test_numbers_of_another_precision_or_fit_than_their_neighbours_are_marked() -> None:
    fits = [made_otherwise(one, protected="a") for one in ONE if one.cell.protection == "em"]
    other = made_otherwise(record(0.4, "em", "cutout"), protected="b")
    (grid,) = tables.matrix([ONE[0], ONE[3], *fits, other])
    assert [row for row in grid.rows if "other-fit" in grid.entries[row, "em"].flags] == ["cutout"]
    (grid,) = tables.matrix([ONE[0], *ONE[3:], record(0.3, "em"), record(0.3, "em", "jpeg"), other])
    assert not any("other-fit" in found.flags for found in grid.entries.values()), "what is not known differs from none"
    half = made_otherwise(ONE[1], hardware={"precision": "bfloat16"})
    (grid,) = tables.matrix([ONE[0], half, *ONE[3:]])
    assert "other-precision" in grid.entries["standard", "em"].flags
    assert "other-precision" not in grid.entries["jpeg", "em"].flags


def test_a_matrix_sets_every_number_against_clean_images_under_the_same_adversary() -> None:
    (grid,) = tables.matrix(ONE)
    assert (grid.rows, grid.columns) == (("standard", "jpeg"), ("clean", "em", "lsp"))
    assert "| `standard` | 0.700 | 0.250 (-0.450) | 0.300 (-0.400) |" in grid.markdown
    assert "| `jpeg` | 0.600 | 0.550 (-0.050) | - |" in grid.markdown
    assert "<td>0.550 (-0.050)</td>" in grid.html
    assert "1 of 6 are not measured" in grid.markdown


def test_a_matrix_has_the_spread_of_several_seeds() -> None:
    (grid,) = tables.matrix([*SEEDS, record(0.5, adversary="jpeg")])
    assert "| `standard` | 0.710 ± 0.010 | 0.220 ± 0.020 (-0.490) |" in grid.markdown


def test_the_worst_adversary_of_every_protection_is_named() -> None:
    (grid,) = tables.matrix(ONE)
    shown = tables.worst(grid).markdown
    assert "| `em` | `jpeg` | 0.550 | -0.050 | 0.250 | 2 of 2 |" in shown
    assert "| `lsp` | `standard` | 0.300 | -0.400 | 0.300 | 1 of 2, not jpeg |" in shown
    assert "| `clean` |" not in shown


def test_what_a_suite_asks_for_is_shown_before_it_is_measured() -> None:
    asked = [one.cell for one in ONE] + [Cell("set", "random", "mixup", epochs=2)]
    (grid,) = tables.matrix(ONE, asked)
    assert "| `mixup` | - | - | - | - |" in grid.markdown
    assert tables.drawing(grid).count("stroke-dasharray") == len(grid.rows) * len(grid.columns) - len(ONE)


def test_a_doubted_number_is_marked_and_the_mark_explained() -> None:
    grid, text = _marked()
    assert "0.250 (-0.450)†" in text
    assert f"† `over-budget`: {FLAGS['over-budget']}; 1 of 4 numbers: `em` (adversary `standard`)." in text
    assert "0.250†" in _words(tables.drawing(grid))


def _marked() -> tuple[tables.Grid, str]:
    (grid,) = tables.matrix([ONE[0], record(0.25, "em", flags=["over-budget"]), *ONE[3:]])
    return grid, grid.markdown


def test_a_number_without_its_control_has_no_colour() -> None:
    (grid,) = tables.matrix(ONE[:3] + ONE[4:])
    assert "| `jpeg` | - | 0.550 | - |" in grid.markdown
    assert "<pattern" in tables.drawing(grid)


def test_a_heat_map_prints_the_numbers_of_the_table() -> None:
    (grid,) = tables.matrix(ONE)
    words = _words(tables.drawing(grid))
    assert [word for word in words if re.fullmatch(r"0\.\d{3}", word)] == ["0.700", "0.250", "0.300", "0.600", "0.550"]
    assert {"-0.45", "-0.40", "-0.05"} <= set(words)
    assert {"standard", "jpeg", "clean", "em", "lsp"} <= set(words)


def test_a_heat_map_of_many_columns_stays_narrow_and_holds_two_digits() -> None:
    many = [record(0.7), record(0.7, adversary="jpeg")]
    names = list(PROTECTIONS)[:20]
    many += [record(0.25 + n / 100, name, a) for n, name in enumerate(names) for a in ("standard", "jpeg")]
    (grid,) = tables.matrix(many)
    drawn = tables.drawing(grid)
    width = ElementTree.fromstring(drawn).get("width") or ""
    assert float(width.removesuffix("pt")) < 72 * 15
    words = _words(drawn)
    assert {"0.70", "0.25", "0.44", *names} <= set(words)
    assert not [word for word in words if re.fullmatch(r"0\.\d{3}", word)]


def _words(drawn: str) -> list[str]:
    return [(node.text or "") for node in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]


# ---- curves, transfer, rates ----


def test_curves_are_the_epochs_of_the_records() -> None:
    (found,) = tables.curves(SEEDS)
    ((adversary, (clean, em)),) = found.panels
    assert (adversary, clean.name, em.name) == ("standard", "clean", "em")
    assert em.middle == pytest.approx((0.11, 0.22))
    assert (em.low[-1], em.high[-1]) == pytest.approx((0.2, 0.24))
    assert found.guessing == 0.1
    assert tables.drawing(found).startswith("<svg")


def test_training_that_ended_early_keeps_its_own_epochs() -> None:
    short = replace(record(0.2, "em", seed=1), test_acc=(0.1,), train_acc=(0.2,), flags=("diverged",))
    (found,) = tables.curves([record(0.7), record(0.4, "em"), short])
    assert found.panels[0][1][1].middle == pytest.approx((0.105, 0.4))


def test_transfer_has_a_row_for_every_surrogate_and_the_control_of_every_victim() -> None:
    records = [
        record(0.7), record(0.8, model="vit"), record(0.2, "em", surrogate="resnet8"), record(0.3, "em"),
        record(0.75, "em", model="vit", surrogate="resnet8"), record(0.4, "em", surrogate="cnn"),
    ]  # fmt: skip
    (grid,) = tables.transfer(records)
    assert "| `clean` | 0.700 | 0.800 |" in grid.markdown
    assert "| `resnet8` | 0.200 (-0.500) | 0.750 (-0.050) |" in grid.markdown
    assert "| `cnn` | 0.400 (-0.300) | - |" in grid.markdown
    assert "| `its own` | 0.300 (-0.400) | - |" in grid.markdown
    assert tables.transfer(ONE) == ()
    assert tables.matrix(records) == ()


def test_a_mixture_is_set_against_its_clean_part_alone() -> None:
    records = [
        record(0.7), record(0.25, "em"), record(0.65, "em", rate=0.2), record(0.66, rate=0.2), record(0.4, "lsp"),
        record(0.5, "em", rate=0.8),
    ]  # fmt: skip
    (mixture,) = tables.rates(records)
    assert "| protection | `0%` | `20%` | `80%` | `100%` |" in mixture.grid.markdown
    assert "| `clean part alone` | 0.700 | 0.660 | - | - |" in mixture.grid.markdown
    assert "| `em` | - | 0.650 (-0.010) | 0.500 | 0.250 |" in mixture.grid.markdown
    assert "lsp" not in mixture.grid.markdown
    assert mixture.line("em") == [(0.0, 0.7), (0.2, 0.65), (0.8, 0.5), (1.0, 0.25)]
    assert "clean part alone" in _words(tables.drawing(mixture))
    assert tables.rates(ONE) == ()


# ---- published figures ----


def test_published_figures_stand_beside_ours() -> None:
    missing = Cell("set", "lsp", "jpeg", epochs=2)
    published = {ONE[1].cell: 0.1234, ONE[4].cell: 0.5, missing: 0.6}
    shown = tables.with_published(ONE, published)
    assert "**set, model cnn, epochs 2: ours (published)**" in shown
    assert "| adversary | `clean` | `em` | `lsp` |" in shown, "with the control, though no paper prints it"
    assert "| `standard` | 0.700 | 0.250 (0.123) |  |" in shown
    assert "| `jpeg` | 0.600 | 0.550 (0.500) | - (0.600) |" in shown


def test_what_is_measured_of_a_control_is_shown_in_every_row_that_it_is_the_control_of() -> None:
    other = replace(ONE[1].cell, surrogate="vit")
    shown = tables.with_published([*ONE, record(0.69, "random")], {ONE[1].cell: 0.1, other: 0.2})
    assert "| surrogate | `clean` | `em` | `random` |" in shown.replace("adversary | ", "")
    assert "its own | 0.700 | 0.250 (0.100) | 0.690 |" in shown
    assert "`vit` | 0.700 | - (0.200) | 0.690 |" in shown
    listed = tables.wide(ONE, [one.cell for one in (*ONE[:2], record(0.0, other.protection, surrogate="vit"))])
    assert listed.count("| 0.700 |") == 2, "no row for the control alone"


def test_a_published_table_says_which_numbers_a_flag_doubts() -> None:
    doubtful = replace(ONE[1], test_acc=(0.9, 0.25))
    shown = tables.with_published([ONE[0], doubtful], {ONE[1].cell: 0.1})
    assert "0.250† (0.100)" in shown
    assert f"`peak-differs`: {FLAGS['peak-differs']}" in shown
    assert "†" not in tables.with_published(ONE, {ONE[1].cell: 0.1})


def test_ours_is_found_by_the_key_of_the_cell() -> None:
    stale = replace(ONE[1], key="0" * 12)
    assert "- (0.100)" in tables.with_published([stale], {ONE[1].cell: 0.1})
    seeds = {replace(SEEDS[3].cell, seed=seed): 0.1 for seed in range(3)}
    assert "0.220 ± 0.020 (0.100)" in tables.with_published(SEEDS, seeds)


def test_a_published_protection_that_is_not_here_is_one_not_measured(tmp_path: Path) -> None:
    unknown = Cell("set", "of-another-paper", epochs=2)
    assert "| - (0.300) |" in tables.with_published(ONE, {unknown: 0.3})
    assert "5 of 6 cells are measured" in tables.page(kept(ONE, tmp_path), [unknown, *(one.cell for one in ONE)])


def test_a_wide_table_has_a_column_for_each_protection_and_says_what_is_missing() -> None:
    small = replace(ONE[1].cell, fitted_at=16)
    shown = tables.wide(ONE, [ONE[1].cell, small, ONE[4].cell])
    assert "published" not in shown
    assert "| adversary | fitted at | `clean` | `em` |" in shown
    assert "| `standard` | its size | 0.700 | 0.250 |" in shown
    assert "| `standard` | `16 px` | 0.700 | - |" in shown


def test_what_varies_in_published_figures_has_a_column() -> None:
    cells = [replace(ONE[1].cell, surrogate=name, model=model) for name in ("cnn", "vit") for model in ("cnn", "vit")]
    shown = tables.with_published([], dict.fromkeys(cells, 0.2))
    assert "| adversary | model | surrogate | `em` |" in shown
    assert "| `standard` | `cnn` | `vit` | - (0.200) |" in shown
    with pytest.raises(ValueError, match=r"got 20\.1"):
        tables.with_published([], {cells[0]: 20.1})


# ---- pages ----


def test_a_page_holds_all_tables_and_where_they_come_from(tmp_path: Path) -> None:
    folder = kept(ONE, tmp_path)
    shown = tables.page(folder, published={ONE[1].cell: 0.1})
    for part in ("0.550 (-0.050)", "0.250 (0.100)", "abc123", "2026-01-02", "P &amp; Q", "2 cores", "torch 2.8"):
        assert part in shown
    assert shown.count("<svg") == 2
    assert "5000" in shown
    markdown = tables.render(folder)
    assert tables.summary(ONE) in markdown
    assert tables.matrix(ONE)[0].markdown in markdown


def test_only_the_cells_of_a_suite_are_shown(tmp_path: Path) -> None:
    folder = kept([*ONE, record(0.123, "random")], tmp_path)
    asked = [one.cell for one in ONE] + [Cell("set", "lsp", "jpeg", epochs=2)]
    assert "0.123" in tables.page(folder)
    shown = tables.page(folder, asked)
    assert "0.123" not in shown
    assert "5 of 6 cells are measured" in shown
    with pytest.raises(ValueError, match="none of the 1 cells"):
        tables.render(folder, [Cell("set", "lsp", seed=9)])


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    for show in (tables.page, tables.render, tables.read):
        with pytest.raises(ValueError, match="bench main"):
            show(tmp_path)
    with pytest.raises(ValueError, match="bench main"):
        tables.write_page(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_same_records_give_the_same_bytes_whoever_asks(tmp_path: Path) -> None:
    folder = kept([*ONE, record(0.65, "em", rate=0.2), record(0.2, "em", surrogate="vit")], tmp_path / "records")
    with mpl.rc_context({"font.size": 20, "svg.fonttype": "path", "lines.linewidth": 9}):
        here = tables.write_page(folder, tmp_path / "here")
    assert [path.name for path in here] == [
        "index.html", "tables.md", "matrix-1.svg", "curves-1.svg", "transfer-1.svg", "rates-1.svg",
    ]  # fmt: skip
    code = (
        "import sys; from pathlib import Path; from unlearnable import tables; assert 'matplotlib' not in sys.modules;"
        "tables.write_page(Path('records'), Path('there'))"
    )
    there = os.environ | {
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Tokyo",
        "PYTHONPATH": str(Path(tables.__file__).parents[2]),
    }
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=there)
    for path in here:
        assert path.read_bytes() == (tmp_path / "there" / path.name).read_bytes()


def test_names_stay_text() -> None:
    evil = '<script>a("&")|`b`</script>'
    records = [replace(one, cell=replace(one.cell, dataset=evil)) for one in ONE]
    (grid,) = tables.matrix(records)
    assert "<script" not in grid.html
    assert "&lt;script&gt;a(&quot;&amp;&quot;)|`b`&lt;/script&gt;" in grid.html
    assert "<script" not in grid.markdown
    assert _words(tables.drawing(grid))
    strange = [replace(one, cell=replace(one.cell, adversary=f"jpeg{evil}$x$")) for one in ONE[3:]]
    (grid,) = tables.matrix([*ONE[:3], *strange])
    assert "<script" not in grid.html
    assert f"jpeg{evil}$x$" in _words(tables.drawing(grid))
    (line,) = [line for line in grid.markdown.splitlines() if "script" in line and line.startswith("|")]
    assert len(re.findall(r"(?<!\\)\|", line)) == 5
    assert "<script" not in tables.html(evaluation(row(evil, 0.7, 0.2, model=evil)), [(evil, PNG)])


class _Page(HTMLParser):
    """Opened and closed in order, every id once, every reference to one that is there, and nothing fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.feed(text)
        assert not self.open
        assert len(set(self.ids)) == len(self.ids)
        used = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"|aria-labelledby="([^"]*)"', text)
        assert {name for names in used for name in " ".join(names).split()} <= set(self.ids)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]
        fetched = [value or "" for name, value in attrs if name in ("src", "srcset", "href", "xlink:href", "action")]
        assert all(value.startswith(("#", "data:image/png;base64,")) for value in fetched)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_pages_are_well_formed_and_fetch_nothing(tmp_path: Path) -> None:
    folder = kept([*ONE, record(0.65, "em", rate=0.2), record(0.2, "em", surrogate="vit")], tmp_path)
    report = tables.html(evaluation(row("standard", 0.7, 0.2)), [("a picture", PNG)])
    for text in (tables.page(folder, published={ONE[1].cell: 0.1}), report):
        _Page(text)
        assert not WEB.search(text)
        assert '<html lang="en">' in text
        assert text.count("<caption>") == text.count("<table>") > 0
        assert "<th>" not in text
    for drawn in tables.figures(tables.read(folder)).values():
        ElementTree.fromstring(drawn)
        assert "<title id=" in drawn
        assert not WEB.search(re.sub(r'xmlns(:xlink)?="[^"]*"', "", drawn))


# ---- the report on somebody's own pictures ----

PNG = b"\x89PNG\r\n\x1a\nrest"


def said(found: Evaluation) -> str:
    """The words of the verdict without their marks."""
    (box,) = re.findall(r'<div class="verdict">(.*?)</div>', tables.html(found), re.DOTALL)
    return re.sub(r"<[^>]*>", " ", box)


def test_a_report_on_protected_pictures() -> None:
    words = said(evaluation(row("standard", 0.684, 0.241)))
    assert "Trained on your originals a network gets 68 of 100 test pictures right" in words
    assert "trained on the protected ones 24; guessing gives 10." in words
    assert "The only adversary tried was ordinary training" in words
    assert "of little use for training" in words
    assert "raises the cost of training, measured against these adversaries on this data" in words


def test_a_report_names_the_worst_adversary_first() -> None:
    found = evaluation(row("standard", 0.7, 0.2), row("jpeg:10", 0.62, 0.6), row("grayscale", 0.4, 0.38))
    words = re.sub(r"\s+", " ", said(found))
    assert "gets 62 of 100 test pictures right; trained on the protected ones 60" in words
    assert "Of 3 adversaries and 1 network tried, the one that got most" in words
    assert "was JPEG compression ( jpeg:10 ), with the network cnn" in words
    assert "With ordinary training it is 70 on your originals and 20 on the protected ones" in words
    assert "this adversary was not stopped" in words
    assert "Nothing was protected against grayscale with cnn either." in words
    assert "raises the cost" not in words
    page = tables.html(found)
    first, second = page.index('<th scope="row"><code>jpeg:10'), page.index('<th scope="row"><code>grayscale')
    assert first < second


def test_a_report_on_pictures_that_keep_some_use() -> None:
    words = said(evaluation(row("standard", 0.7, 0.4)))
    assert "of less use for training than the originals, and still of some" in words
    assert "raises the cost of training somewhat" in words


def test_a_report_on_networks_that_learned_nothing_concludes_nothing() -> None:
    words = said(evaluation(row("standard", 0.15, 0.12), flags=("undertrained",)))
    assert "Nothing can be concluded" in words
    assert "raises the cost" not in words
    some = said(evaluation(row("standard", 0.7, 0.12), row("jpeg", 0.15, 0.14)))
    assert "Nothing can be said of" in some
    assert "gets 70 of 100" in some


def test_a_training_that_broke_down_settles_nothing() -> None:
    words = said(evaluation(row("standard", 0.7, 0.1), flags=("diverged",)))
    assert "does not settle it" in words
    assert "training broke down" in words
    assert "raises the cost" not in words


def test_a_report_says_what_stopping_in_time_would_have_gained() -> None:
    assert "best epoch, the adversary would have got 45 of 100" in said(
        evaluation(row("standard", 0.7, 0.2, best_protected_acc=0.45))
    )
    assert "longer training may change this" in said(evaluation(row("standard", 0.7, 0.2, train_acc=0.3)))


def test_a_report_on_a_share_looks_at_what_the_protected_pictures_added() -> None:
    words = said(evaluation(row("standard", 0.7, 0.6, clean_part_acc=0.59)))
    assert "on its unprotected share alone 59" in words
    assert "added next to nothing" in words
    assert "as useful for training as your originals" in said(
        evaluation(row("standard", 0.7, 0.68, clean_part_acc=0.6))
    )


def test_a_report_without_sizes_does_not_know_guessing() -> None:
    assert "guessing" not in said(replace(evaluation(row("standard", 0.7, 0.2)), sizes={}))
    with pytest.raises(ValueError, match="without rows"):
        tables.html(evaluation())


def test_a_report_has_the_numbers_of_the_rows_and_their_spread() -> None:
    rows = [row("standard", 0.70 + s / 100, 0.2 + s / 50, seed=s, early_protected_acc=0.3) for s in range(3)]
    page = tables.html(evaluation(*rows))
    for part in ("0.710 ± 0.010", "0.220 ± 0.020", "0.300 ± 0.000", "<td>0.240</td>"):
        assert part in page
    assert "300 to train on, 900 to test on, 10 classes, 16 pixels a side" in page
    assert "0, 1, 2" in page


def test_a_report_lists_what_was_not_tested() -> None:
    page = tables.html(evaluation(row("jpeg:10", 0.7, 0.2), row("grayscale+mixup", 0.7, 0.2)))
    part = page[page.index("What was not tested") : page.index("How it was measured")]
    for name in [*(set(ADVERSARIES) - {"jpeg"}), *(set(MODELS) - {"cnn"})]:
        assert f"<code>{name}</code>" in part
    assert "<li>" + str(len(ADVERSARIES) - 1) + f" of {len(ADVERSARIES)} adversaries" in part
    assert "(<code>jpeg</code>)" not in part


def test_flags_come_with_their_meaning() -> None:
    page = tables.html(evaluation(row("standard", 0.7, 0.2), flags=("few-seeds", "of-the-future")))
    assert f"<code>few-seeds</code>: {FLAGS['few-seeds']}" in page
    assert "of-the-future" in page


def test_a_report_never_promises(tmp_path: Path) -> None:
    pages = [tables.page(kept(ONE, tmp_path))] + [
        tables.html(evaluation(row("standard", 0.7, protected))) for protected in (0.1, 0.4, 0.7)
    ]
    for text in pages:
        assert not re.search(r"protects from AI|irreversible|undetectable", text, re.IGNORECASE)


def test_pictures_are_in_the_page(small: ImageSet) -> None:
    pictures = tables.examples(small, small.with_images(small.images ^ 1), count=3)
    assert [png[:4] for _, png in pictures] == [b"\x89PNG"] * 3
    page = tables.html(evaluation(row("standard", 0.7, 0.2)), pictures)
    assert page.count('src="data:image/png;base64,') == 3
    assert 'alt="The change made 16 times larger (grey: none)"' in page
    assert tables.examples(small, small) == tables.examples(small, small)
    with pytest.raises(ValueError, match="not a PNG"):
        tables.html(evaluation(row("standard", 0.7, 0.2)), [("x", b"GIF89a")])


def test_an_evaluation_is_written_with_its_report(tmp_path: Path) -> None:
    found = evaluation(row("standard", 0.684, 0.241), flags=("few-seeds",))
    tables.write(found, tmp_path / "new", [("a picture", PNG)])
    written = {path.name: path.read_text() for path in (tmp_path / "new").iterdir()}
    assert written.keys() == {"evaluation.json", "table.md", "table.html", "report.html"}
    assert json.loads(written["evaluation.json"])["sizes"]["tests"] == 900
    assert written["report.html"] == tables.html(found, [("a picture", PNG)])
    assert "| `standard` | `cnn` | 0 | 0.684 | 0.241 |" in written["table.md"]
    assert f"* `few-seeds`: {FLAGS['few-seeds']}" in written["table.md"]
    assert "0.241" in written["table.html"]
    with pytest.raises(ValueError, match="without rows"):
        tables.write(evaluation(), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_labels_of_one_method_have_one_order() -> None:
    names = ["clean", "lsp", "tue:quick", "tue:quick (fitted on a)", "tue:quick (fitted on b)"]
    assert len({by_protection(name) for name in names}) == len(names)
