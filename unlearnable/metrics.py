"""What is measured of a protection besides accuracy, and the flags that doubt a number (docs/flags.md)."""

import torch

from unlearnable.data import ImageSet
from unlearnable.pixels import Budget, Bytes, level_cap, levels_changed, to_float

FLAGS = {
    "undertrained": "the victim of clean data hardly beats guessing: the recipe was measured, not the protection",
    "not-learned": "the victim has not fitted the protected images themselves: more epochs may change it",
    "peak-differs": "the best epoch is 0.10 or more above the last: stopping early gains the adversary that much",
    "few-seeds": "fewer than three seeds: the spread between runs is one to three points and is not known here",
    "few-test-images": "fewer than 500 test images: the accuracy itself is uncertain by more than two points",
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
