"""A folder of records as markdown, and as one HTML page with its figures."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from unlearnable.experiment import Cell, Result
from unlearnable.run import write_atomically
from unlearnable.tables.document import document, listed
from unlearnable.tables.drawing import drawing
from unlearnable.tables.epochs import curves
from unlearnable.tables.matrices import matrix, transfer, worst
from unlearnable.tables.mixtures import rates
from unlearnable.tables.origin import origin
from unlearnable.tables.published import beside, with_published
from unlearnable.tables.records import read
from unlearnable.tables.summaries import summaries, summary
from unlearnable.tables.table import scrolled

Published = Mapping[Cell, float]
TITLE = "What adversaries get out of protected images"
LEAD = (
    "Every number is the accuracy of a network on clean test images, after training on protected ones: the lower, the "
    "better for the owner. It only means something beside its control, the same adversary on clean images. What is "
    "shown raises the cost of training, measured against these adversaries on this data."
)
HEAT = (
    "The number is the accuracy, the smaller one and the colour the change against clean images under the same "
    "adversary (yellow: nothing lost, dark blue: much lost). The difference matters: an adversary that learns little "
    "from clean images too has not been stopped by the protection. Dashed: not measured. Hatched: without a control."
)
CURVES = (
    "One panel for each adversary, all to the same scale. The last epoch is what the tables show (of who stops early, "
    "the epoch chosen); a peak before it is what an adversary gains who stops in time. Bands reach to the lowest and "
    "the highest seed."
)


def render(folder: Path, cells: Sequence[Cell] | None = None, published: Published | None = None) -> str:
    """The records of a folder as markdown: every record, then the matrix, transfer, rates and published figures.

    cells: only these. Raises ValueError where there is no record.
    """
    return _markdown(read(folder, cells), cells, published)


def page(folder: Path, cells: Sequence[Cell] | None = None, published: Published | None = None) -> str:
    """The same as one HTML page with heat maps, curves and where the numbers come from."""
    return _page(read(folder, cells), cells, published)


def write_page(
    folder: Path, out: Path, cells: Sequence[Cell] | None = None, published: Published | None = None
) -> tuple[Path, ...]:
    """index.html, tables.md and each figure as SVG, in a folder made where it is not there: the paths."""
    records = read(folder, cells)
    files = {
        "index.html": _page(records, cells, published),
        "tables.md": _markdown(records, cells, published) + "\n",
        **{f"{name}.svg": drawn for name, drawn in figures(records, cells).items()},
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_atomically(out / name, text.encode())
    return tuple(out / name for name in files)


def figures(records: Sequence[Result], cells: Sequence[Cell] | None = None) -> dict[str, str]:
    """Every figure as SVG by the name of its file: matrix-1, curves-1, transfer-1, rates-1 and so on."""
    drawn = {
        "matrix": [drawing(grid) for grid in matrix(records, cells)],
        "curves": [drawing(found) for found in curves(records)],
        "transfer": [drawing(grid) for grid in transfer(records, cells)],
        "rates": [drawing(mixture) for mixture in rates(records)],
    }
    return {f"{name}-{place}": text for name, texts in drawn.items() for place, text in enumerate(texts, 1)}


def _markdown(records: Sequence[Result], cells: Sequence[Cell] | None, published: Published | None) -> str:
    parts = [summary(records)]
    for grid in matrix(records, cells):
        parts += [grid.markdown, worst(grid).markdown]
    parts += [grid.markdown for grid in transfer(records, cells)]
    parts += [mixture.grid.markdown for mixture in rates(records)]
    parts += [with_published(records, published, cells or ())] if published else []
    return "\n\n".join(parts)


def _page(records: Sequence[Result], cells: Sequence[Cell] | None, published: Published | None) -> str:
    sections = {
        "Every adversary against every protection": "".join(
            _figure(drawing(grid), grid.caption, HEAT) + worst(grid).html + grid.html for grid in matrix(records, cells)
        ),
        "After every epoch": "".join(_figure(drawing(found), found.caption, CURVES) for found in curves(records)),
        "From one network to another": "".join(
            _figure(drawing(grid), grid.caption, HEAT) + grid.html for grid in transfer(records, cells)
        ),
        "When only a share is protected": "".join(
            _figure(drawing(mixture), mixture.grid.caption, "") + mixture.grid.html for mixture in rates(records)
        ),
        "Beside published figures": "".join(table.html for table in beside(records, published or {}, cells or ())),
        "Every record": "".join(table.html for table in summaries(records)),
        "Where the numbers come from": f"<footer>{listed(origin(records))}</footer>\n",
    }
    there = {name: body for name, body in sections.items() if body}
    links = "".join(f'<li><a href="#part-{place}">{name}</a></li>' for place, name in enumerate(there))
    bodies = "".join(
        f'<section aria-labelledby="part-{place}">\n<h2 id="part-{place}">{name}</h2>\n{body}</section>\n'
        for place, (name, body) in enumerate(there.items())
    )
    contents = f'<nav aria-label="On this page"><ul>{links}</ul></nav>\n'
    return document(TITLE, f"<p>{LEAD}</p>\n{_filled(records, cells)}{contents}{bodies}")


def _filled(records: Sequence[Result], cells: Sequence[Cell] | None) -> str:
    if cells is None:
        return ""
    return f"<p>{len(records)} of {len(set(cells))} cells are measured.</p>\n"


def _figure(drawn: str, caption: str, words: str) -> str:
    from unlearnable.tables.svg import inline

    said = f"{caption}. {words}".strip()
    return f"<figure>{scrolled(inline(drawn), caption)}<figcaption>{escape(said)}</figcaption></figure>\n"
