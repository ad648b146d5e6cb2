"""Reads every protected file with a decoder that had no part in writing it, and says how far it lies from its original.

    python -m benchmarks.exact SRC DST --levels 8 --out benchmarks/results/exact.json

Originals are decoded by Pillow (lossy formats have no other true pixels), outputs by kornia-rs.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from kornia_rs.io import read_image
from PIL import Image

from unlearnable.files import is_picture_name
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically


def changed(original: Path, output: Path) -> int:
    """The largest change of any value, in levels."""
    with Image.open(original) as image:
        before = np.asarray(image.convert("RGB"), dtype=np.int32)
    after = np.asarray(read_image(str(output)), dtype=np.int32)
    if after.ndim == 2 or after.shape[2] == 1:
        after = np.repeat(after.reshape(*after.shape[:2], 1), 3, axis=2)
    if before.shape != after.shape:
        raise ValueError(f"{output}: shape {after.shape}, its original has {before.shape}")
    return int(np.abs(before - after).max())


def main() -> None:
    """Compares and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("destination", type=Path)
    parser.add_argument("--levels", type=int, default=8)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    pairs = [
        (path, (asked.destination / path.relative_to(asked.source)).with_suffix(".png"))
        for path in sorted(asked.source.rglob("*"))
        if path.is_file() and is_picture_name(path.name)
    ]
    found = [changed(*pair) for pair in pairs]
    record = {
        "files": len(found),
        "max_abs_delta": max(found),
        "over": sum(change > asked.levels for change in found),
        "untouched": sum(change == 0 for change in found),
        "levels": asked.levels,
        "reader": "kornia-rs",
        "provenance": provenance(Run(device="cpu")),
    }
    print(json.dumps(record))
    if asked.out:
        write_atomically(asked.out, json.dumps(record, indent=1).encode())


if __name__ == "__main__":
    main()
