"""The house rules that a reader would otherwise have to trust: layers, citations, one home for each decision."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

import unlearnable

ROOT = Path(unlearnable.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LAYERS = (
    ("pixels", "run", "extras", "addresses", "flags", "messages"),
    ("provenance", "tracking"),
    ("files",),
    ("data", "models"),
    ("encoders", "packs"),
    ("perturbation", "training", "labelling", "score"),
    ("protections", "metrics", "visibility"),
    ("adversaries", "pretrained"),
    ("recorded",),
    ("job", "experiment"),
    ("authorisation", "tables", "suites", "export", "engines"),
    ("proof",),
    ("demo", "doctor"),
    ("ui",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
METHODS = [path for path in FILES if path.parent.name == "protections" and not path.name.startswith("_")]


def room(path: Path) -> str:
    """The top-level module or sub-package a file belongs to."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> set[str]:
    """The rooms of the package that a file imports from."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.ImportFrom) and node.level), "imports name the package: unlearnable.ROOM"
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module == "unlearnable":
            names += [f"unlearnable.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("unlearnable.")}
    return found & LEVEL.keys()


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_a_module_imports_only_from_rows_above_its_own(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return
    assert here in LEVEL, f"{here} has no place in the layers: add it to LAYERS"
    wrong = {other for other in imports(path) - {here} if LEVEL[other] >= LEVEL[here]}
    assert not wrong, f"{here} must not import {', '.join(sorted(wrong))}"


@pytest.mark.parametrize("path", METHODS, ids=ids)
def test_a_method_file_cites_its_paper_and_maps_its_symbols(path: Path) -> None:
    first, _, rest = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")
    assert re.search(r"arXiv \d{4}\.\d{5}|PMLR \d+", first), f"the first line names no arXiv id or volume: {first!r}"
    assert re.search(r"[A-Z][A-Za-z &]+ \d{4}|preprint", first), "no venue on the first line"
    assert "| paper | here |" in rest
    assert len(path.read_text().splitlines()) <= 150


@pytest.mark.parametrize("path", [p for p in FILES if room(p) != "pixels"], ids=ids)
def test_only_pixels_knows_255_and_converts_to_integers(path: Path) -> None:
    """A fraction such as 8/255 is how the field writes a budget, and is allowed."""
    tree = ast.parse(path.read_text())
    fractions = {
        id(node.right) for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        and isinstance(node.left, ast.Constant) and isinstance(node.left.value, int | float)
    }  # fmt: skip
    levels = [
        node.lineno for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in (255, 65535) and id(node) not in fractions
    ]  # fmt: skip
    calls = [
        node.lineno for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("byte", "round_")
    ]  # fmt: skip
    casts = [
        node.lineno for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("to", "type", "astype")
        and "uint8" in (getattr(word, "attr", "") for word in (*node.args, *(k.value for k in node.keywords)))
    ]  # fmt: skip
    assert not (wrong := levels + calls + casts), f"lines {wrong}: grey levels belong to pixels.py"


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_no_pickles_no_bare_randomness_no_printing(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\b(pickle|torch\.load|joblib)\b", text)
    drawn = r"torch\.(?:rand|randn|randint|randperm|bernoulli|normal|multinomial|poisson|rand\w*_like)"
    inside = r"(?<!init)\.(?:uniform|normal|random|bernoulli|exponential)_"
    bare = re.findall(rf"(?:{drawn}|{inside})\((?:[^()]|\([^()]*\))*\)", text)
    assert not [call for call in bare if "generator=" not in call], "random numbers come from Run.rng"
    assert not re.search(r"np\.random|^import random|^from random", text, re.MULTILINE)
    if room(path) not in ("cli", "__main__"):
        assert not re.search(r"^\s*print\(", text, re.MULTILINE), "only the command line prints"


def test_public_names_are_the_same_for_type_checkers_and_at_run_time() -> None:
    declared = {
        alias.name: node.module for node in ast.walk(ast.parse((ROOT / "__init__.py").read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unlearnable.") for alias in node.names
    }  # fmt: skip
    assert declared.keys() == set(dir(unlearnable)) - {"__version__"}
    for name, module in declared.items():
        assert getattr(unlearnable, name) is getattr(import_module(str(module)), name)


def test_the_changelog_knows_the_version() -> None:
    text = (ROOT.parent / "CHANGELOG.md").read_text()
    assert f"## {unlearnable.__version__} - " in text


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    assert {ids(path): n for path in FILES if (n := len(path.read_text().splitlines())) > 320} == {}
