"""How long protections without a network take for 50,000 images.

    python -m benchmarks.closed_forms --out benchmarks/results/closed_forms.json

AR's noise beside that of its authors' code is in `published`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from unlearnable.packs import load_dataset
from unlearnable.perturbation import apply
from unlearnable.protections import protection
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically

METHODS = ("lsp", "ar", "ops", "class_filters")


def main() -> None:
    """Measures and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dataset", default="cifar10")
    asked = parser.parse_args()
    data, run = load_dataset(asked.dataset)[0], Run(0)
    record: dict[str, Any] = {"images": len(data), "size": data.size, "seconds": {}}
    for name in METHODS:
        method, began = protection(name), time.perf_counter()
        fitted = method.fit(data, run)
        apply(fitted, data, method.budget, run)
        record["seconds"][name] = round(time.perf_counter() - began, 1)
        print(name, record["seconds"][name], flush=True)
    record["provenance"] = provenance(run)
    write_atomically(asked.out, json.dumps(record, indent=1).encode())


if __name__ == "__main__":
    main()
