"""What has a picture, as SVG text. matplotlib is loaded when the first one is drawn."""

from unlearnable.tables.epochs import Curves
from unlearnable.tables.grid import Grid
from unlearnable.tables.mixtures import Mixture


def drawing(found: Grid | Curves | Mixture) -> str:
    """A grid as a heat map (colour: the change against the control, number: the accuracy), the others as curves."""
    from unlearnable.tables import heat, lines

    if isinstance(found, Grid):
        return heat.heat_map(found)
    return lines.panels(found) if isinstance(found, Curves) else lines.mixture(found)
