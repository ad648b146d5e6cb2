"""The project's own suites: what its README is measured on. Their lists are here; the sizes are in `sizes`."""

from dataclasses import replace

from unlearnable.adversaries import ADVERSARIES, adversary
from unlearnable.experiment import CLEAN, Cell
from unlearnable.protections import PROTECTIONS
from unlearnable.suites.sizes import EPOCHS, quick
from unlearnable.suites.suite import Suite

OPTIMISED = ("random", "collapse", "em", "rem", "sem", "tap", "aue", "aap", "pil")
FORMS = {
    "uge": ("uge:blind",), "one_for_all": ("one_for_all:shipped",), "em": ("em", "em:class"), "cp": ("cp", "cp:class"),
    "lsp": ("lsp", "lsp:paper"), "ar": ("ar", "ar:paper"), "random": ("random", "random:class"),
}  # fmt: skip
"""What stands for a protection in `main`, where that is not its own name alone."""
MAIN = tuple(form for name in PROTECTIONS for form in FORMS.get(name, (name,)))
NOTHING = ("random", 0.0)
"""Delta = 0 through the same pipeline: what it does to a number is of the pipeline alone."""
MATRIX = (*(FORMS.get(name, (name,))[0] for name in PROTECTIONS), "em:class")
RATES = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
MIXED = ("em", "tap", "lsp")
AGREED = (
    ("em", "grayscale"), ("em", "ueraser"), ("em", "adversarial"), ("tap", "jpeg"), ("em:class", "orthogonal"),
)  # fmt: skip
VICTIMS = {"quick": ("cnn", "resnet20", "resnet18"), "full": ("resnet18", "vgg16", "resnet50")}
COSTLY = {"quick": ("resnet18",), "full": ()}
ROBUST = ("random", "collapse", "rem", "sem", "em", "tap")
RESIZED = ("random", "em", "tap", "collapse", "lsp")
LEARNER = "moco:times=4"
UNLABELLED = ("cp:class-moco", "tue:moco")
OTHERWISE = ("random", "random:class", "em", "lsp", "aue")
TERMS = ("collapse", "collapse:langevin", "collapse:error", "collapse:standard")


def main(tier: str) -> list[Cell]:
    """Every protection against standard training, with its controls, three seeds; delta = 0 once."""
    nothing = replace(_cell(tier, NOTHING[0], "standard", 0), eps=NOTHING[1])
    return [*(_cell(tier, method, "standard", seed) for seed in range(3) for method in (CLEAN, *MAIN)), nothing]


def matrix(tier: str) -> list[Cell]:
    """Every protection and clean images against every adversary that needs labels, one seed. Learners without labels
    take far longer and have a suite of their own.
    """
    return [_cell(tier, method, adversary, 0) for adversary in _labelled() for method in (CLEAN, *MATRIX)]


def agreement(tier: str) -> list[Cell]:
    """The effects that the field agrees on, three seeds: what undoes which protection."""
    shown = [(method, "standard") for method in dict.fromkeys((CLEAN, *(method for method, _ in AGREED)))]
    shown += [pair for method, adversary in AGREED for pair in ((method, adversary), (CLEAN, adversary))]
    return [_cell(tier, method, adversary, seed) for method, adversary in dict.fromkeys(shown) for seed in range(3)]


def rates(tier: str) -> list[Cell]:
    """What is left where only a share of the images is protected; the clean rows are that share's rest, alone."""
    return [_cell(tier, method, "standard", 0, rate) for rate in RATES for method in (CLEAN, *MIXED)]


def victims(tier: str) -> list[Cell]:
    """Optimised protections on the network that most are made with and on two others, three seeds; one seed where
    training a victim takes a quarter of an hour.
    """
    cells = [_cell(tier, method, "standard", seed) for seed in range(3) for method in (CLEAN, *OPTIMISED)]
    return [
        replace(cell, model=model)
        for model in VICTIMS[tier] for cell in cells if not (cell.seed and model in COSTLY[tier])
    ]  # fmt: skip


def robust(tier: str) -> list[Cell]:
    """What is made to stand up to adversarial training, and what is not, against it, three seeds."""
    return [_cell(tier, method, "adversarial:2/255", seed) for seed in range(3) for method in (CLEAN, *ROBUST)]


def ablation(tier: str) -> list[Cell]:
    """What each part of data collapse is worth, under standard and adversarial training, three seeds."""
    trained = ("standard", "adversarial:2/255")
    return [
        _cell(tier, method, adversary, seed)
        for seed in range(3) for adversary in trained for method in (CLEAN, *TERMS)
    ]  # fmt: skip


def resolution(tier: str) -> list[Cell]:
    """Fitted at the size of the images, at half and at a quarter of it."""
    plain = [_cell(tier, method, "standard", 0) for method in (CLEAN, *RESIZED)]
    side = 64 if tier == "quick" else 224
    shown = {"dataset": "imagenette-64", "epochs": 30} if tier == "quick" else {"dataset": "imagenette"}
    cells = [replace(cell, **shown) for cell in plain]
    smaller = [replace(cell, fitted_at=side // ratio) for ratio in (2, 4) for cell in cells if cell.protection != CLEAN]
    return cells + smaller


def selfsupervised(tier: str) -> list[Cell]:
    """Noise made for learners without labels, three seeds, and noise that was not, one; the controls are random weights
    (times=0), random noise and random noise of each class. In the quick tier the victim has few features, or random
    weights would do nearly as well.
    """
    noise = (*UNLABELLED, "cp:moco") if tier == "full" else UNLABELLED
    made = [_cell(tier, method, LEARNER, seed) for seed in range(3) for method in (CLEAN, *noise)]
    made += [_cell(tier, method, LEARNER, 0) for method in OTHERWISE]
    made += [_cell(tier, method, "simclr:times=4", 0) for method in (CLEAN, *noise)]
    made += [_cell(tier, CLEAN, "moco:times=0", seed) for seed in range(3)]
    return made if tier == "full" else [replace(cell, model="resnet20") for cell in made]


def _labelled() -> list[str]:
    """Every adversary that needs labels, and the cheap form of one of several."""
    return [*(name for name in ADVERSARIES if adversary(name).learner is None), "ueraser:lite"]


def _cell(tier: str, method: str, adversary: str, seed: int, rate: float = 1.0) -> Cell:
    full = Cell("cifar10", method, adversary, "resnet18", seed, rate, epochs=EPOCHS)
    return full if tier == "full" else quick(full)


SUITES: dict[str, Suite] = {
    "main": Suite("Every protection against standard training", main),
    "matrix": Suite("Protections against adversaries", matrix),
    "rates": Suite("Only a share of the images protected", rates),
    "agreement": Suite("What undoes which protection", agreement),
    "victims": Suite("Optimised protections and other victims", victims),
    "robust": Suite("Optimised protections and adversarial training", robust),
    "resolution": Suite("Fitted at another size than that of the pictures", resolution),
    "selfsupervised": Suite("Learning without labels", selfsupervised),
    "ablation": Suite("The parts of data collapse", ablation),
}
