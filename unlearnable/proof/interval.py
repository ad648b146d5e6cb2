"""How sure an accuracy is: over the seeds that were trained and over the test images that it was counted on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, mean, stdev

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and where it lies with a confidence of 95%."""

    mean: float
    low: float
    high: float


def accuracy(values: Sequence[float], tests: int) -> Interval:
    """Of the accuracies that several seeds reached on the same test images.

    Two things are uncertain: which images were drawn for the test (Wilson's interval, JASA 1927) and how the training
    went (Student's t over the seeds, left out where there is one). Their half-widths are added in squares.
    """
    middle = mean(values)
    low, high = wilson(middle, tests)
    seeds = over_seeds(values)
    return _rounded(middle, _joined(middle - low, seeds), _joined(high - middle, seeds))


def difference(first: Sequence[float], second: Sequence[float], tests: int) -> Interval:
    """Of first - second, seed by seed; the errors of the test images as if each had images of its own, which is the
    cautious side (Newcombe, Statistics in Medicine 1998, method 10).
    """
    gaps = [one - other for one, other in zip(first, second, strict=True)]
    (one, (low, high)), (other, (lower, upper)) = ((mean(v), wilson(mean(v), tests)) for v in (first, second))
    seeds = over_seeds(gaps)
    below, above = math.hypot(one - low, upper - other), math.hypot(high - one, other - lower)
    return _rounded(mean(gaps), _joined(below, seeds), _joined(above, seeds), lowest=-1.0)


def wilson(share: float, count: int) -> tuple[float, float]:
    """The score interval of a share of `count` that were right."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def over_seeds(values: Sequence[float]) -> float:
    """Half the width of Student's interval for the mean; 0 where there is one value, which says nothing of a spread."""
    if len(values) < 2:
        return 0.0
    from scipy.special import stdtrit

    return float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * stdev(values) / math.sqrt(len(values))


def _joined(images: float, seeds: float) -> float:
    return math.hypot(images, seeds)


def _rounded(middle: float, below: float, above: float, lowest: float = 0.0) -> Interval:
    return Interval(round(middle, 4), round(max(lowest, middle - below), 4), round(min(1.0, middle + above), 4))
