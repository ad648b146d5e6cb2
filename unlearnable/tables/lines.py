"""Accuracy as lines: over the epochs, a small panel for each adversary; and over the rate."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unlearnable.experiment import CLEAN
from unlearnable.tables import svg
from unlearnable.tables.epochs import Curves, Line
from unlearnable.tables.mixtures import Mixture
from unlearnable.tables.records import ALONE

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito's
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))
ACROSS = 4
WIDE, HIGH, GAP, LEFT = 1.75, 1.25, 0.36, 0.45  # in inches
ALONE_WIDE, ALONE_HIGH = 4.5, 2.4  # of a panel that has no neighbours
PER_ROW, LEGEND = 4, 0.2  # of the legend: names in a row, and its height


def panels(curves: Curves) -> str:
    """The curves of a setting as SVG."""
    across = min(ACROSS, len(curves.panels))
    down = math.ceil(len(curves.panels) / across)
    top = LEGEND * math.ceil(len(curves.names) / PER_ROW) + 0.1
    wide, high = (WIDE, HIGH) if len(curves.panels) > 1 else (ALONE_WIDE, ALONE_HIGH)
    width, height = LEFT + across * (wide + GAP / 2), top + down * (high + GAP) + 0.4
    longest = max(len(line.middle) for _, lines in curves.panels for line in lines)
    with svg.style():
        figure = Figure(figsize=(width, height))
        styles = _styles(curves.names)
        for place, (adversary, lines) in enumerate(curves.panels):
            x, y = place % across, place // across
            left, bottom = LEFT + x * (wide + GAP / 2), height - top - (y + 1) * (high + GAP)
            axes = figure.add_axes((left / width, bottom / height, wide / width, high / height))
            _panel(axes, adversary, lines, styles, curves.guessing)
            axes.set(xlim=(1, max(longest, 2)), ylim=(0, 1), xticks=_epochs(longest))
            axes.tick_params(labelleft=x == 0, labelbottom=place + across >= len(curves.panels))
        _legend(figure, styles)
        figure.text(LEFT / width, 0, "across: epoch; up: accuracy on clean test images; dotted: guessing", va="bottom")
        return svg.text(figure, f"{curves.caption}: accuracy after every epoch", _description(curves))


def _epochs(longest: int) -> list[int]:
    """The first and the last epoch, and the two between them."""
    return sorted({1, round(longest / 3), round(2 * longest / 3), longest} - {0})


def _description(curves: Curves) -> str:
    return (
        f"{len(curves.panels)} panels, one for each adversary, with a line for each of {', '.join(curves.names)}. "
        "The last epochs are the accuracies in the tables, but where stopping early is the adversary."
    )


def _panel(axes: Axes, title: str, lines: Sequence[Line], styles: dict[str, dict[str, Any]], guessing: float) -> None:
    _bare(axes)
    axes.set_title(title, size=9, loc="left", pad=3)
    axes.axhline(guessing, color=svg.INK, lw=0.6, ls=":")
    for line in lines:
        epochs = range(1, len(line.middle) + 1)
        axes.plot(epochs, line.middle, **styles[line.name])
        if line.low != line.high:
            axes.fill_between(epochs, line.low, line.high, color=styles[line.name]["color"], alpha=0.18, lw=0)


def mixture(found: Mixture) -> str:
    """Accuracy against the share of protected images as SVG."""
    wide, high = 6.4, 2.6
    height = high + 0.8 + LEGEND * math.ceil(len(found.grid.rows) / PER_ROW)
    with svg.style():
        figure = Figure(figsize=(wide, height))
        axes = figure.add_axes((LEFT / wide, 0.45 / height, 1 - LEFT / wide, high / height))
        _bare(axes)
        styles = _styles(found.grid.rows)
        for row in found.grid.rows:
            points = found.line(row)
            axes.plot([rate for rate, _ in points], [acc for _, acc in points], marker="o", ms=3, **styles[row])
        axes.set(xlim=(-0.02, 1.02), ylim=(0, 1), xlabel="share of the images that is protected")
        axes.set_title("accuracy on clean test images", size=9, loc="left")
        axes.set_xticks(list(found.rates.values()), labels=list(found.rates))
        _legend(figure, styles)
        about = f"A line for each of {', '.join(found.grid.rows)}. The table beside it holds the same numbers."
        return svg.text(figure, found.grid.caption, about)


def _styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A colour and a dash for each name; clean ones in the colour of the text."""
    coloured = [name for name in names if name not in (CLEAN, ALONE)]
    found: dict[str, dict[str, Any]] = {name: {"color": svg.INK, "lw": 1.6} for name in names}
    for place, name in enumerate(coloured):
        dash = DASHES[(place % len(COLOURS) + place // len(COLOURS)) % len(DASHES)]
        found[name] = {"color": COLOURS[place % len(COLOURS)], "lw": 1.4, "ls": dash}
    return found


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=2, labelsize=7.5)
    axes.grid(axis="y", color=svg.INK, alpha=0.15, lw=0.5)


def _legend(figure: Figure, styles: dict[str, dict[str, Any]]) -> None:
    handles = [Line2D([], [], label=name, **line) for name, line in styles.items()]
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0, 1), ncols=PER_ROW, frameon=False,
        borderaxespad=0, borderpad=0, handlelength=2.6, fontsize=8.5,
    )  # fmt: skip
