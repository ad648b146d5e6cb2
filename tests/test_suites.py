"""The suites: figures as the papers print them, and cells that can be measured, with their controls."""

from dataclasses import replace

import pytest

from unlearnable.experiment import CLEAN
from unlearnable.models import MODELS
from unlearnable.packs import DATASETS
from unlearnable.protections import PROTECTIONS
from unlearnable.protections.em import EM
from unlearnable.protections.lsp import LSP
from unlearnable.protections.uge import UGE
from unlearnable.suites import SUITES, TIERS, agreement, cells, main, matrix, published
from unlearnable.suites.suite import typed

OWN = tuple(name for name, suite in SUITES.items() if not suite.source)
PAPERS = tuple(name for name in SUITES if name not in OWN)
FIGURES = {
    "uge-table-1": (87, 45), "uge-table-2": (16, 16), "uge-table-3": (14, 7), "collapse-table-1": (90, 30),
    "collapse-table-2": (40, 12), "collapse-table-3": (60, 27), "collapse-table-4": (60, 27),
    "collapse-table-5": (60, 27), "collapse-table-6": (60, 27), "one-for-all-table-1": (75, 15),
    "one-for-all-table-2": (150, 25), "one-for-all-table-3": (60, 8), "iss-table": (39, 39),
}  # fmt: skip
"""How many figures each table has that a cell can stand for: at full size, and in its quick form."""


def figure(suite: str, **wanted: object) -> float:
    """The one published figure of the full tier whose cell has these values."""
    found = [
        share for cell, share in published(suite, "full").items()
        if all(getattr(cell, name) == value for name, value in wanted.items())
    ]  # fmt: skip
    assert len(found) == 1, f"{suite} has {len(found)} figures for {wanted}"
    return found[0]


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("suite", SUITES)
def test_every_cell_can_be_built_and_has_its_clean_control(suite: str, tier: str) -> None:
    listed = cells(suite, tier)
    assert listed == SUITES[suite](tier)
    assert len({cell.file for cell in listed}) == len(listed) > 0
    for cell in listed:
        assert cell.recipe.model in MODELS
        assert cell.control in listed, f"no clean control for {cell}"


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("suite", PAPERS)
def test_every_figure_is_a_share_and_none_is_lost(suite: str, tier: str) -> None:
    figures = published(suite, tier)
    assert len(figures) == FIGURES[suite][tier == "quick"], "two rows of the paper fell on one cell"
    assert all(0 < share < 1 for share in figures.values())
    assert all(cell.model in MODELS for cell in figures)
    landed = {cell for cell in figures if cell.dataset in DATASETS and cell.protection in (CLEAN, *PROTECTIONS)}
    assert {cell for cell in landed if cell.fitted_on is None} <= set(cells(suite, tier))
    assert SUITES[suite].source


@pytest.mark.parametrize("suite", PAPERS)
def test_the_quick_tier_is_the_same_comparison_at_quick_size(suite: str) -> None:
    full, quick = published(suite, "full"), published(suite, "quick")
    assert set(quick.values()) <= set(full.values())
    assert {cell.dataset for cell in quick} == {"cifar10-quick"}
    assert {cell.epochs for cell in quick} == {12}
    assert {cell.adversary.partition(":")[0] for cell in quick} == {cell.adversary.partition(":")[0] for cell in full}
    assert all(cell.adversary.endswith(",4") for cell in quick if cell.adversary.startswith("adversarial"))
    assert not {cell.protection for cell in quick} & {"em", "tap"}, "methods with a quick preset take it"


def test_figures_of_ungeneralizable_examples() -> None:
    hacker, student = {"adversary": "standard"}, {"adversary": "distill:authorised=plain,model=resnet18"}
    assert figure("uge-table-1", protection="uge", model="cnn", **hacker) == 0.2646
    assert figure("uge-table-1", protection="uge", model="cnn", **student) == 0.3208
    assert figure("uge-table-1", dataset="cifar10", protection="uge", adversary="authorised:plain") == 0.9389
    assert figure("uge-table-1", dataset="cifar10", protection="uge:no-undistill", model="resnet32", **hacker) == 0.7507
    assert figure("uge-table-1", dataset="cifar10", protection=CLEAN, model="resnet18", **student) == 0.9541
    assert figure("uge-table-1", dataset="tin100", protection="uge", model="resnet18", **hacker) == 0.1655
    assert figure("uge-table-1", dataset="tinyimagenet", protection="uge", model="shufflenetv2", **hacker) == 0.2275
    assert figure("uge-table-2", protection="uge:two", model="resnet20", **hacker) == 0.4934
    assert figure("uge-table-2", protection=CLEAN, adversary="authorised:plain,which=1") == 0.9495
    assert (
        figure("uge-table-2", protection="uge:two", model="cnn", adversary=f"{student['adversary']},which=1") == 0.5032
    )
    assert figure("uge-table-3", dataset="cifar10", protection="rem") == 0.2709
    assert figure("uge-table-3", dataset="tin100", protection="uge:unlearn") == 0.0935


@pytest.mark.parametrize("tier", TIERS)
def test_rho_goes_to_both_forms_and_every_network_of_several_is_asked(tier: str) -> None:
    drawn = {(cell.protection, cell.eps) for cell in cells("uge-figure-3", tier) if cell.protection != CLEAN}
    forms = {method for method, _ in drawn}
    assert drawn == {(method, eps) for method in forms for eps in (None, 0.01, 0.02, 0.08, 0.16)}
    assert {cell.method.budget.eps for cell in cells("uge-figure-3", tier) if cell.method} == {
        0.01, 0.02, 0.04, 0.08, 0.16
    }  # fmt: skip
    several = [cell for cell in cells("authorised-several", tier) if cell.method]
    asked = {
        name: {cell.adversary for cell in several if cell.protection == name and cell.adversary != "standard"}
        for name in {cell.protection for cell in several}
    }
    for cell in several:
        method = cell.method
        assert isinstance(method, UGE)
        assert len(asked[cell.protection]) == (4 if method.blind else method.networks)


def test_figures_of_data_collapse() -> None:
    at_4 = {"dataset": "cifar10", "adversary": "adversarial:4/255"}
    assert figure("collapse-table-1", **at_4, protection="collapse") == 0.2920
    assert figure("collapse-table-1", dataset="tin100", adversary="standard", protection="em:cifar100") == 0.0160
    assert figure("collapse-table-1", dataset="imagenette", adversary="adversarial:2/255", protection="tap") == 0.7056
    assert figure("collapse-table-2", **at_4, protection="em", model="wrn34_10") == 0.7987
    same = {"protection": "collapse", "model": "densenet121"}
    assert figure("collapse-table-3", **same, surrogate="vgg16") == 0.3298
    assert figure("collapse-table-4", **same, surrogate=None) == 0.0784
    assert figure("collapse-table-5", **same, surrogate="resnet50") == 0.7442
    assert figure("collapse-table-6", **same, surrogate="densenet121") == 0.3145


def test_figures_of_one_for_all() -> None:
    on_scenes = {"dataset": "places20-64", "protection": "one_for_all:discriminant"}
    assert figure("one-for-all-table-1", **on_scenes, model="resnet18") == 0.1601
    assert figure("one-for-all-table-1", dataset="flowers", protection=CLEAN, model="mobilenetv2") == 0.9022
    assert figure("one-for-all-table-2", dataset="cars", protection="clusters", model="resnet50") == 0.0573
    assert figure("one-for-all-table-2", dataset="pets", protection="tue", model="shufflenetv2") == 0.1823
    assert figure("one-for-all-table-3", **on_scenes, model="vgg16", adversary="orthogonal") == 0.0961


def test_figures_of_image_shortcut_squeezing() -> None:
    assert figure("iss-table", protection="em", adversary="grayscale") == 0.9301
    assert figure("iss-table", protection="tap", adversary="jpeg") == 0.8387
    assert figure("iss-table", protection=CLEAN, adversary="standard") == 0.9468
    assert figure("iss-table", protection="ar:paper", adversary="grayscale") == 0.3404


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("suite", [name for name in PAPERS if name.startswith("one-for-all")])
def test_our_own_generator_is_listed_beside_the_papers_and_has_no_figure(suite: str, tier: str) -> None:
    theirs, ours = {
        "full": ("one_for_all:discriminant", "one_for_all"),
        "quick": ("one_for_all:discriminant-quick", "one_for_all:quick"),
    }[tier]
    listed, figures = cells(suite, tier), published(suite, tier)
    rows = [cell for cell in listed if cell.protection == theirs]
    assert rows
    assert {replace(cell, protection=ours) for cell in rows} == {cell for cell in listed if cell.protection == ours}
    assert set(rows) <= figures.keys()
    assert ours not in {cell.protection for cell in figures}


def test_a_data_set_has_the_setting_that_was_published_for_it_and_the_budget_of_the_table() -> None:
    listed = {cell for suite in PAPERS for cell in cells(suite, "full")}
    on_tiny = {cell.protection for cell in listed if cell.dataset == "tin100"}
    assert "em:cifar100" in on_tiny
    assert "em" not in on_tiny
    large = {cell.protection: cell.method for cell in listed if cell.dataset == "imagenette"}
    assert {"em:imagenet", "rem:imagenet", "tap"} <= large.keys()
    assert {method.budget.eps for method in large.values() if method} == {8 / 255}
    lent = [cell for cell in (*listed, *cells("universal", "full")) if cell.fitted_on]
    assert {cell.method.budget.eps for cell in lent if cell.method} == {8 / 255}
    assert "clusters" in {cell.protection for cell in lent}
    quick = {cell for suite in PAPERS for cell in cells(suite, "quick")}
    assert {cell.protection for cell in quick if cell.protection.startswith("em")} == {"em:quick"}
    assert {cell.eps for cell in quick if not cell.protection.startswith("uge")} == {None}


def test_what_is_told_of_another_data_set_and_of_other_labels() -> None:
    for cell in published("one-for-all-table-2", "full"):
        assert (cell.fitted_on is None) == (cell.protection == CLEAN)
        assert cell.relabel is not None
    assert {cell.relabel for cell in published("one-for-all-table-1", "full")} == {None}


def test_a_cell_is_listed_from_the_day_its_protection_lands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTECTIONS, "rem", EM)
    listed = {(cell.protection, cell.surrogate) for cell in cells("collapse-table-3", "quick")}
    assert {("rem:quick", None), ("rem:quick", "lenet")} <= listed
    monkeypatch.setitem(PROTECTIONS, "rem", LSP)
    listed = {(cell.protection, cell.surrogate) for cell in cells("collapse-table-3", "quick")}
    assert ("rem", None) in listed, "a method without a quick preset is its own"
    assert ("rem", "lenet") not in listed, "and one without a surrogate has no other"
    monkeypatch.setitem(PROTECTIONS, "uge", LSP)
    assert "uge:unlearn" not in {cell.protection for cell in cells("uge-table-3", "full")}


def test_what_is_fitted_on_another_data_set_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise that does not transfer is lent."""
    monkeypatch.setitem(PROTECTIONS, "one_for_all", LSP)
    monkeypatch.setitem(PROTECTIONS, "cp", EM)
    for name in ("tin100-64", "tin100-quick"):
        monkeypatch.delitem(DATASETS, name, raising=False)
    for tier in TIERS:
        assert {cell.fitted_on for cell in cells("one-for-all-table-1", tier)} == {None}
    for name in ("tin100-64", "tin100-quick"):
        monkeypatch.setitem(DATASETS, name, DATASETS["digits"])
    for tier in TIERS:
        methods = {cell.protection for cell in cells("one-for-all-table-1", tier)}
        assert "one_for_all" in methods
        assert methods & {"cp", "cp:quick"}


def test_own_suites_publish_nothing_and_keep_their_names() -> None:
    for name, listed in {"main": main, "matrix": matrix, "agreement": agreement}.items():
        for tier in TIERS:
            assert cells(name, tier) == listed(tier)
    assert all(published(name, tier) == {} for name in OWN for tier in TIERS)


@pytest.mark.parametrize("ask", [cells, published])
def test_an_unknown_suite_or_tier_is_answered_with_those_there_are(ask: type) -> None:
    with pytest.raises(ValueError, match="main, matrix"):
        ask("table-9", "quick")
    with pytest.raises(ValueError, match="quick, full"):
        ask("main", "huge")


def test_a_typed_table_with_a_figure_too_few_is_refused() -> None:
    assert list(typed("a b\nx 1.5 -")) == [(("x",), "a", 0.015)]
    with pytest.raises(ValueError, match="shorter"):
        list(typed("a b\n1"))
    with pytest.raises(ValueError, match="convert"):
        list(typed("a b\nx 1"))
