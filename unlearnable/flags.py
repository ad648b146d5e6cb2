"""When to doubt a number: the flags that comparisons earn (docs/flags.md)."""

from collections.abc import Sequence

LEAST_EFFECT = 0.05
"""Accuracy: a smaller difference between protected and clean images is taken for none."""
_LEAST_LEARNED = 0.1  # of what there is to learn above guessing
FLAGS = {
    "undertrained": "the victim of clean data hardly beats guessing, on test images or on its own batches: the recipe "
    "was measured, not the protection",
    "not-learned": "the victim has not fitted the protected images, and fits clean ones better: more epochs may change "
    "it",
    "peak-differs": "the best epoch is 0.10 or more above the last: stopping early gains the adversary that much",
    "few-seeds": "fewer than three seeds: how far runs differ, often by several points, is not known here",
    "few-test-images": "fewer than 500 test images: the accuracy itself is uncertain by more than two points",
    "diverged": "the loss was no finite number, or what had been learned of the training images was lost again: the "
    "recipe failed, not the data",
    "other-precision": "it and its control were computed in different precisions: differences below 0.03 may "
    "be of that",
    "other-fit": "its images come from another fit than most of its column: so do differences below 0.03",
    "over-budget": "an image was changed by more than its budget allows",
    "no-effect": f"the protected accuracy is within {LEAST_EFFECT} of the clean one: nothing was protected against "
    "this adversary",
}


def fell_apart(train_acc: Sequence[float]) -> bool:
    """Whether the accuracy on the training images ended below half of its best: such a network says nothing."""
    return bool(train_acc) and train_acc[-1] < max(train_acc) / 2


def doubts(
    *,
    classes: int,
    tests: int,
    seeds: int,
    clean_acc: float,
    protected_acc: float,
    best_acc: float,
    train_acc: float,
    clean_train_acc: float = 1.0,
) -> list[str]:
    """The names of the flags that one comparison earns, in the order of FLAGS.

    train_acc, clean_train_acc: the share that was right on the batches of the last epoch, as the recipe changes them,
    of protected and of clean images: who mixes or attacks its batches is seldom right on either.
    """
    found = {
        "undertrained": min(clean_acc, clean_train_acc) - 1 / classes < _LEAST_LEARNED * (1 - 1 / classes),
        "not-learned": train_acc < min(0.6, clean_train_acc - LEAST_EFFECT),
        "peak-differs": best_acc - protected_acc >= 0.1,
        "few-seeds": seeds < 3,
        "few-test-images": tests < 500,
        "no-effect": clean_acc - protected_acc < LEAST_EFFECT,
    }
    return [name for name in FLAGS if found.get(name)]
