"""The heat map of a grid: the number is the accuracy, the colour how far it lies below its control."""

import math
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from unlearnable.tables import svg
from unlearnable.tables.grid import MARK, Entry, Grid

WIDE, NARROW, HIGH = 1.08, 0.5, 0.34  # of a square, in inches
MANY = 12  # columns with room for the change beside the number; where there are more, only the colour says it
LEAST = 0.3  # the colours span at least so much accuracy, so that small differences look small
PALETTE = "cividis"  # yellow to dark blue: the same order for every kind of colour vision, and in grey
UNCOMPARED = "///"
LONGEST = 15  # letters of a heading that fit above a square


def heat_map(grid: Grid) -> str:
    """A grid as SVG. What was not measured is a dashed frame; a control has a frame and no colour."""
    lost = [-entry.change for entry in grid.entries.values() if entry.change is not None]
    top = max(LEAST, math.ceil(10 * max(lost, default=0.0)) / 10)
    with svg.style():
        close = len(grid.columns) > MANY
        width, height = (NARROW if close else WIDE) * len(grid.columns), HIGH * len(grid.rows)
        figure = Figure(figsize=(width, height + 1))
        axes = figure.add_axes((0, 1 / (height + 1), 1, height / (height + 1)))
        _frame(axes, grid, close)
        for y, row in enumerate(grid.rows):
            for x, column in enumerate(grid.columns):
                _square(axes, x, y, grid.entries.get((row, column)), top, close)
        _key(figure, top, width, height + 1)
        return svg.text(figure, f"{grid.caption}: accuracy on clean test images", _description(grid))


def _description(grid: Grid) -> str:
    return (
        f"A heat map of {len(grid.rows)} rows ({grid.corner}) and {len(grid.columns)} columns. Numbers are accuracies, "
        f"colour is the change against {grid.against}. The table beside it holds the same numbers."
    )


def _frame(axes: Axes, grid: Grid, close: bool) -> None:
    axes.set(xlim=(0, len(grid.columns)), ylim=(len(grid.rows), 0))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    angle = 60 if close else 25 if max(map(len, grid.columns)) > LONGEST else 0
    turned: Any = {"rotation": angle, "ha": "left", "rotation_mode": "anchor"} if angle else {}
    axes.set_xticks([x + 0.5 for x in range(len(grid.columns))], labels=grid.columns, **turned)
    axes.set_yticks([y + 0.5 for y in range(len(grid.rows))], labels=grid.rows)


def _square(axes: Axes, x: int, y: int, entry: Entry | None, top: float, close: bool) -> None:
    place, width, height = (x + 0.02, y + 0.05), 0.96, 0.9
    if entry is None:
        axes.add_patch(Rectangle(place, width, height, fill=False, ec=svg.INK, lw=0.8, ls=(0, (2, 3)), alpha=0.6))
        return
    if entry.change is None:
        hatch = None if entry.is_control else UNCOMPARED
        axes.add_patch(Rectangle(place, width, height, fill=False, ec=svg.INK, lw=0.5, alpha=0.5, hatch=hatch))
        ink = svg.INK
    else:
        colour = _colour(-entry.change, top)
        axes.add_patch(Rectangle(place, width, height, fc=colour, lw=0))
        ink = _readable(colour)
    mark = MARK if entry.doubts else ""
    if close or entry.change is None:
        number = f"{entry.accuracy:.{2 if close else 3}f}{mark}"
        axes.text(x + 0.5, y + 0.5, number, color=ink, ha="center", va="center")
        return
    axes.text(x + 0.07, y + 0.5, f"{entry.accuracy:.3f}{mark}", color=ink, ha="left", va="center")
    axes.text(x + 0.93, y + 0.5, f"{round(entry.change, 2) + 0.0:+.2f}", color=ink, ha="right", va="center", size=7)


def _colour(lost: float, top: float) -> str:
    share = min(max(lost / top, 0.0), 1.0)
    return to_hex(colormaps[PALETTE](1 - share))


def _readable(colour: str) -> str:
    """Black or white, whichever stands out more from a colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def _key(figure: Figure, top: float, width: float, height: float, steps: int = 12) -> None:
    """The scale of the colours below the squares."""
    axes = figure.add_axes((0, 0.62 / height, max(2.6, width * 0.5) / width, 0.16 / height))
    axes.set(xlim=(0, steps), ylim=(0, 1))
    for step in range(steps):
        axes.add_patch(Rectangle((step, 0), 1, 1, fc=_colour(top * step / (steps - 1), top), lw=0))
    axes.set_xticks([0, steps / 2, steps], labels=["0 (nothing lost)", f"{-top / 2:.2f}", f"{-top:.2f}"])
    axes.get_xticklabels()[0].set_horizontalalignment("left")
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("colour: change against the control", loc="left")
