"""Figures as SVG text that is the same byte for byte every time, follows light and dark, and fetches nothing."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from html import escape
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

INK = "#010203"  # replaced by the colour of the text around the figure
SCHEME = "svg{color:#1c1c1c;background:#fff}@media(prefers-color-scheme:dark){svg{color:#e4e4e4;background:#161616}}"
STYLE: Any = {
    "svg.fonttype": "none", "font.family": ["sans-serif"], "font.sans-serif": ["DejaVu Sans"], "font.size": 9,
    "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.linewidth": 0.6, "text.parse_math": False,
}  # fmt: skip


@contextmanager
def style() -> Iterator[None]:
    """The project's own settings and nobody else's, until the end of the block: the user's would change the bytes."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def text(figure: Figure, title: str, description: str) -> str:
    """The SVG of a figure drawn within `style`. title, description: what those hear who do not see it."""
    name = "p" + blake2b(f"{title} {description}".encode(), digest_size=4).hexdigest()
    mpl.rcParams["svg.hashsalt"] = name
    written = StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(written, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.08, metadata=nothing)
    drawn = written.getvalue()
    drawn = re.sub(r"<metadata>.*?</metadata>\s*", "", drawn[drawn.index("<svg") :], flags=re.DOTALL)
    drawn = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", drawn).replace(INK, "currentColor")
    about = (
        f' role="img" aria-labelledby="{name}-title {name}-desc">\n <title id="{name}-title">{escape(title)}</title>\n'
        f' <desc id="{name}-desc">{escape(description)}</desc>\n <style>{SCHEME}</style>'
    )
    return drawn.replace(">", about, 1)


def inline(drawn: str) -> str:
    """The same for the middle of an HTML page, whose colours it takes."""
    bare = drawn.replace(f"<style>{SCHEME}</style>", "")
    return re.sub(r'\s+xmlns(:xlink)?="[^"]*"', "", bare)
