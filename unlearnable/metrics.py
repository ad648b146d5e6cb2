"""What is measured of a protection besides accuracy, and the flags that doubt a number (docs/flags.md)."""

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.pixels import Budget, Bytes, Labels, level_cap, levels_changed, to_float
from unlearnable.run import Run

FLAGS = {
    "undertrained": "the victim of clean data hardly beats guessing: the recipe was measured, not the protection",
    "not-learned": "the victim has not fitted the protected images themselves: more epochs may change it",
    "peak-differs": "the best epoch is 0.10 or more above the last: stopping early gains the adversary that much",
    "few-seeds": "fewer than three seeds: the spread between runs is one to three points and is not known here",
    "few-test-images": "fewer than 500 test images: the accuracy itself is uncertain by more than two points",
    "diverged": "the loss was not a finite number any more and training ended there: the recipe failed, not the data",
    "over-budget": "an image was changed by more than its budget allows",
    "no-effect": "the protected accuracy is within 0.05 of the clean one: nothing was protected against this adversary",
}


def psnr(before: Bytes, after: Bytes) -> float:
    """Peak signal-to-noise ratio of a set of images in dB; infinite where nothing changed."""
    error = (to_float(before) - to_float(after)).square().mean()
    return float(-10 * torch.log10(error))


def measured(clean: ImageSet, protected: ImageSet) -> dict[str, float]:
    """max_abs_delta in grey levels and, where anything changed, PSNR in dB of a protected set against its originals."""
    delta = levels_changed(clean.images, protected.images)
    noise = {"psnr": round(psnr(clean.images, protected.images), 2)} if delta else {}
    return {"max_abs_delta": float(delta)} | noise


def over_budget(clean: ImageSet, protected: ImageSet, budget: Budget) -> bool:
    """Whether a value changed by more levels than an L-infinity budget allows."""
    return levels_changed(clean.images, protected.images) > level_cap(budget)


def audits(clean: ImageSet, protected: ImageSet, run: Run) -> dict[str, float]:
    """What gives a protection away, each an accuracy on the fifth of the images that the probe did not see.

    separability: of a linear classifier on delta alone, where there is one; 1.0 = the change is a label in disguise.
    detection: of a two-layer network on the protected images (Zhu et al., AAAI 2024, arXiv 2312.08898): high where a
    shallow network fits them far better than it ever fits natural images.
    """
    pixels = to_float(protected.images).flatten(1)
    found = {"detection": round(_probe(pixels - 0.5, protected.labels, 256, run), 4)}
    delta = pixels - to_float(clean.images).flatten(1)
    if delta.any():
        found["separability"] = round(_probe(delta / delta.std(), protected.labels, 0, run), 4)
    return found


def _probe(points: Float32[Tensor, "n d"], labels: Labels, hidden: int, run: Run, epochs: int = 10) -> float:
    """Held-out accuracy of a linear classifier, or of one with a hidden layer."""
    order = torch.randperm(len(points), generator=run.rng("probe"))
    held, seen = order[: len(points) // 5], order[len(points) // 5 :]
    sizes = (points.shape[1], hidden, int(labels.max()) + 1)
    with run.seeded("probe"):
        if hidden:
            network = nn.Sequential(nn.Linear(*sizes[:2]), nn.ReLU(), nn.Linear(*sizes[1:]))
        else:
            network = nn.Sequential(nn.Linear(sizes[0], sizes[2]))
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    for epoch in range(epochs):
        for rows in run.batches(len(seen), 128, run.rng("probe-order", epoch)):
            loss = F.cross_entropy(network(points[seen[rows]]), labels[seen[rows]])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        return float((network(points[held]).argmax(1) == labels[held]).float().mean())


def doubts(
    *, classes: int, tests: int, seeds: int, clean_acc: float, protected_acc: float, best_acc: float, train_acc: float
) -> list[str]:
    """The names of the flags that one comparison earns, in the order of FLAGS."""
    found = {
        "undertrained": clean_acc < 2 / classes,
        "not-learned": train_acc < 0.6,
        "peak-differs": best_acc - protected_acc >= 0.1,
        "few-seeds": seeds < 3,
        "few-test-images": tests < 500,
        "no-effect": clean_acc - protected_acc < 0.05,
    }
    return [name for name in FLAGS if found.get(name)]
