"""Every suite and what its quick tier gave, for docs/measured.md."""

from contextlib import suppress
from pathlib import Path

from unlearnable import suites, tables
from unlearnable.experiment import Result
from unlearnable.suites import SUITES

RECORDS = Path(__file__).parent / "results" / "quick"
ELSEWHERE = {
    "main": "README: how well it works",
    "matrix": "[a page of its own](results/tables.md), with curves by epoch",
    "authorised": "[uge](uge.md)",
}
"""Suites that are too wide for one table, and where they are shown."""


def page() -> str:
    """A section for each suite with a record; then where the others are."""
    found = {name: _records(name) for name in SUITES if name not in ELSEWHERE}
    sections = [_section(name, records) for name, records in found.items() if records]
    lines = [f"* `{name}`: {where}." for name, where in ELSEWHERE.items()]
    missing = ", ".join(f"`{name}`" for name, records in found.items() if not records)
    lines += [f"* Not measured yet: {missing}."] if missing else []
    return "\n\n".join([*sections, "## Others", "\n".join(lines)])


def _records(name: str) -> list[Result]:
    with suppress(ValueError):  # none
        return tables.read(RECORDS, suites.cells(name, "quick"))
    return []


def _section(name: str, records: list[Result]) -> str:
    suite, cells = SUITES[name], suites.cells(name, "quick")
    published = suites.published(name, "quick")
    table = tables.with_published(records, published) if published else tables.wide(records, cells)
    source = [f"{suite.source}."] if suite.source else []
    count = f"{len(records)} of {len(cells)} cells are measured, controls included."
    return "\n\n".join([f"## {suite.title}: `{name}`", *source, table, count])
