"""What is measured of a protection besides the accuracy of its victims."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.pixels import PART, Bytes, Index, Labels, levels_changed, to_float
from unlearnable.run import Run

Points = Float32[Tensor, "n d"]


def psnr(before: Bytes, after: Bytes) -> float:
    """Peak signal-to-noise ratio of a set of images in dB; infinite where nothing changed."""
    parts = zip(before.split(PART), after.split(PART), strict=True)
    total = sum(float((to_float(one) - to_float(other)).square().sum(dtype=torch.float64)) for one, other in parts)
    return -10 * math.log10(total / before.numel()) if total else math.inf


def measured(clean: ImageSet, protected: ImageSet) -> dict[str, float]:
    """max_abs_delta in grey levels and, where anything changed, PSNR in dB of a protected set against its originals."""
    delta = levels_changed(clean.images, protected.images)
    noise = {"psnr": round(psnr(clean.images, protected.images), 2)} if delta else {}
    return {"max_abs_delta": float(delta)} | noise


def audits(clean: ImageSet, protected: ImageSet, run: Run) -> dict[str, float]:
    """What gives a protection away, each an accuracy on the fifth of the images that the probe did not see.

    separability: of a linear classifier on delta alone, where there is one; 1.0 = the change is a label in disguise.
    detection: of a two-layer network on the protected images (Zhu et al., AAAI 2024, arXiv 2312.08898): high where a
    shallow network fits them far better than it ever fits natural images.
    """

    def shown(rows: Index) -> Points:
        return to_float(protected.images[rows]).flatten(1)

    def changed(rows: Index) -> Points:
        return shown(rows) - to_float(clean.images[rows]).flatten(1)

    found = {"detection": round(_probe(lambda rows: shown(rows) - 0.5, protected.labels, 256, run), 4)}
    if (spread := _deviation(changed, len(clean))) > 0:
        found["separability"] = round(_probe(lambda rows: changed(rows) / spread, protected.labels, 0, run), 4)
    return found


def _deviation(points: Callable[[Index], Points], n: int) -> float:
    """The standard deviation of all values, part by part: never all images in float32 at once."""
    count, total, squares = 0, 0.0, 0.0
    for rows in torch.arange(n).split(PART):
        part = points(rows).double()
        count, total, squares = count + part.numel(), total + float(part.sum()), squares + float(part.square().sum())
    return math.sqrt(max(0.0, squares - total**2 / count) / max(1, count - 1))


def _probe(points: Callable[[Index], Points], labels: Labels, hidden: int, run: Run, epochs: int = 10) -> float:
    """Held-out accuracy of a linear classifier, or of one with a hidden layer. points: of some rows."""
    order = torch.randperm(len(labels), generator=run.rng("probe"))
    held, seen = order[: len(labels) // 5], order[len(labels) // 5 :]
    sizes = (points(order[:1]).shape[1], hidden, int(labels.max()) + 1)
    with run.seeded("probe"):
        if hidden:
            network = nn.Sequential(nn.Linear(*sizes[:2]), nn.ReLU(), nn.Linear(*sizes[1:]))
        else:
            network = nn.Sequential(nn.Linear(sizes[0], sizes[2]))
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    for epoch in range(epochs):
        for rows in run.batches(len(seen), 128, run.rng("probe-order", epoch)):
            loss = F.cross_entropy(network(points(seen[rows])), labels[seen[rows]])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        right = [network(points(rows)).argmax(1) == labels[rows] for rows in held.split(PART)]
        return float(torch.cat(right).float().mean()) if right else math.nan
