"""Every suite and what its quick tier gave, for docs/measured.md."""

from benchmarks.methods import RECORDS, where
from unlearnable import suites, tables
from unlearnable.experiment import Result
from unlearnable.suites import SUITES
from unlearnable.suites.sizes import STAND_INS
from unlearnable.tables.records import keys

ELSEWHERE = {
    "main": "the README, under Measured",
    "matrix": "[a page of its own](results/tables.md), with curves by epoch",
    "authorised": "[uge](uge.md)",
}
"""Suites that are too wide for one table, and where they are shown."""


def page() -> str:
    """A section for each suite with a record; then where the others are."""
    records, listed = tables.read(RECORDS), [name for name in SUITES if name not in ELSEWHERE]
    asked = {name: keys(suites.cells(name, "quick")) for name in listed}
    found = {name: [record for record in records if record.key in asked[name]] for name in listed}
    sections = [_section(name, records) for name, records in found.items() if records]
    lines = [f"* `{name}`: {where}." for name, where in ELSEWHERE.items()]
    missing = ", ".join(f"`{name}`" for name, records in found.items() if not records)
    lines += [f"* Not measured yet: {missing}."] if missing else []
    return "\n\n".join([*sections, "## Others", "\n".join(lines)])


def _section(name: str, records: list[Result]) -> str:
    suite, cells = SUITES[name], suites.cells(name, "quick")
    published = suites.published(name, "quick")
    table = tables.with_published(records, published, cells) if published else tables.wide(records, cells)
    source = [f"{suite.source}."] if suite.source else []
    if published:
        theirs = next((name for name, ours in STAND_INS.items() if ours == suite.shown), suite.shown)
        ours = ", ".join(f"`{dataset}`" for dataset in sorted({cell.dataset for cell in cells}))
        source += [f"The published figures are those on `{theirs}`, ours are of {ours}."]
    count = f"{len(records)} of {len(cells)} cells are measured, controls included."
    return "\n\n".join([f"## {suite.title}: `{name}`", *source, table, f"{count} {where(records)}."])
