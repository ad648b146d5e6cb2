"""The pages: every link leads somewhere, every method has a page with its figures, and what is shown as code runs."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import commands
from unlearnable.cli.verbs import VERBS
from unlearnable.protections import PROTECTIONS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("name", PROTECTIONS)
def test_every_method_has_a_page_with_its_figures(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text()
    assert text.startswith(f"# {name}"), "the first line is the name, as it is typed"
    assert "## Measured\n\n<!-- measured -->" in text
    assert re.search(r"arXiv:? \d{4}\.\d{5}|PMLR \d+", text), "no source"
    assert re.search(r"Where it fails|[Dd]oes not withstand|What it does not give|What cannot be promised", text), (
        "no limits"
    )


def test_every_page_is_in_the_contents() -> None:
    def listed(page: str) -> set[str]:
        blocks = re.findall(r"```\{toctree\}(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
        return {line for block in blocks for line in block.split("\n") if line and not line.startswith(":")}

    found = listed("index.md") | listed("protections.md") | listed("adversaries.md") | {"index"}
    there = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in PAGES if "docs" in path.parts}
    assert there - found == set()


def test_the_page_of_the_command_line_says_what_the_program_takes() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    assert [verb for verb in VERBS if f"\n## {verb}" not in text] == []
    shown = text.partition("<!-- commands -->\n")[2].partition("\n<!-- end -->")[0]
    assert shown == commands.page(), "run: make docs"


@pytest.mark.slow  # five trainings
def test_the_tutorial_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    book = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text())
    names: dict[str, object] = {}
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    accuracy = names["accuracy"]
    assert isinstance(accuracy, dict)
    assert accuracy["lsp"] < 0.6 * accuracy["clean"]
    assert accuracy["random"] > 0.9 * accuracy["clean"]
    assert "2 checked, 0 bad, 0 missing" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("furo") is None, reason="the extra [docs] is not installed")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(ROOT / "docs"), str(tmp_path / "site")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "em.html").exists()
