"""How long the program takes to be there: importing the library, and what the command line says without any work.

    python -m benchmarks.startup --out benchmarks/results/startup.json

The median of several starts, after one that is not counted: files are in memory, as they are for whoever works with it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically

STARTS = 7
COMMANDS = {
    "import unlearnable": ("-c", "import unlearnable"),  # which loads what is asked of it, and not before
    "from unlearnable import protection, Run": ("-c", "from unlearnable import protection, Run"),
    "unlearnable --help": ("-m", "unlearnable", "--help"),
    "unlearnable list": ("-m", "unlearnable", "list"),
    "unlearnable protect --help": ("-m", "unlearnable", "protect", "--help"),
}
BARS = {"import unlearnable": 3.0, "unlearnable --help": 0.5}
"""Seconds."""


def seconds(words: tuple[str, ...]) -> float:
    """The median of several processes. Raises CalledProcessError where one fails."""
    taken = []
    for _ in range(STARTS + 1):
        began = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - began)
    return round(statistics.median(taken[1:]), 3)


def main() -> None:
    """Starts each, says how long it took, writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found = {name: seconds(words) for name, words in COMMANDS.items()}
    origin = provenance(Run(device="cpu"))
    about = {name: origin[name] for name in ("hardware", "python", "torch", "commit", "date")}
    record = {"seconds": found, "bars": BARS, "starts": STARTS} | about
    print(json.dumps(record))
    if asked.out:
        write_atomically(asked.out, json.dumps(record, indent=1).encode())


if __name__ == "__main__":
    main()
