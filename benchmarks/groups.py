"""How many groups class names fall into: the three measures of figure 5 of One for All, for every number of groups.

python -m benchmarks.groups tin100 --out benchmarks/results/groups.json
"""

import argparse
import json
from pathlib import Path

from unlearnable.encoders import encoder
from unlearnable.labelling import scores
from unlearnable.packs import load_dataset
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically


def main() -> None:
    """The record of one data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    classes = load_dataset(args.dataset)[0].classes
    counts = [k for k in (2, 3, 5, 8, 10, 15, 20, 25, 30, 40, 50) if k < len(classes)]
    found = scores(encoder("mini").text(classes), counts, seed=0)
    record = {"dataset": args.dataset, "classes": len(classes), "scores": found} | provenance(Run(0))
    write_atomically(args.out, json.dumps(record, indent=1).encode())
    print(json.dumps(record))


if __name__ == "__main__":
    main()
