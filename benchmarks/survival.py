"""What is left of a protection after JPEG, resizing or a screenshot: of the change itself, and of what it does.

    python -m benchmarks.survival --out benchmarks/results/survival.json

Victims train on pictures that went through one operation and are tested on clean ones that did not; those of clean
pictures through the same operation are the control. What the record holds already is not measured again.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from unlearnable.adversaries import HANDLING
from unlearnable.data import ImageSet
from unlearnable.experiment import CLEAN
from unlearnable.packs import load_dataset
from unlearnable.perturbation import apply
from unlearnable.proof import survival
from unlearnable.protections import protection
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically
from unlearnable.suites.universal import SHIPPED
from unlearnable.training import Recipe

METHODS = (CLEAN, SHIPPED, "lsp", "em:quick")
NOTHING = "nothing"


def main() -> None:
    """Measures what is missing and writes the record after every training."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dataset", default="cifar10-quick")
    parser.add_argument("--methods", nargs="*", default=METHODS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    asked = parser.parse_args()
    about = {"dataset": asked.dataset, "model": Recipe().model, "epochs": asked.epochs}
    record: dict[str, Any] = json.loads(asked.out.read_text()) if asked.out.exists() else about | {"methods": {}}
    if differing := [name for name, value in about.items() if record[name] != value]:
        parser.error(f"{asked.out} was measured with another {differing[0]}: name another file")
    train, test = load_dataset(asked.dataset)
    for name in asked.methods:
        known = record["methods"].setdefault(name, {"left": [], "accuracy": {}, "provenance": provenance(Run(0))})
        if all(len(known["accuracy"].get(operation, ())) >= asked.seeds for operation in (NOTHING, *HANDLING)):
            continue
        images = train if name == CLEAN else protected(name, train)
        if name != CLEAN:
            known["left"] = [vars(row) for row in survival(train, images, Run(0))]
        for operation in (NOTHING, *HANDLING):
            reached = known["accuracy"].setdefault(operation, [])
            for seed in range(len(reached), asked.seeds):
                reached.append(accuracy(operation, images, test, asked.epochs, Run(seed)))
                write_atomically(asked.out, json.dumps(record, indent=1).encode())


def protected(name: str, data: ImageSet) -> ImageSet:
    """The images with the method fitted to them, seed 0, as `bench` does it."""
    method, run = protection(name), Run(0)
    return apply(method.fit(data, run), data, method.budget, run)


def accuracy(operation: str, data: ImageSet, test: ImageSet, epochs: int, run: Run) -> float:
    """On clean test images, after the last epoch on images that went through the operation."""
    began, recipe = time.monotonic(), Recipe(epochs=epochs)
    recipe = recipe if operation == NOTHING else recipe.having(HANDLING[operation])
    reached = round(recipe.train(data, run, test).test_acc[-1], 4)
    print(f"{operation}: {reached} in {time.monotonic() - began:.0f} s", flush=True)
    return reached


if __name__ == "__main__":
    main()
