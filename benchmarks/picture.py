"""Draws docs/before-after.png: a part of a photograph, the same protected, the change made 16 times larger.

    python -m benchmarks.picture

The photograph is scikit-learn's flower.jpg, protected by the main job.
"""

import tempfile
from pathlib import Path

import numpy as np
import sklearn.datasets
import torch
from PIL import Image

from unlearnable.job import DEFAULT_METHOD, Job, protect
from unlearnable.pixels import Bytes, amplified
from unlearnable.run import Run

PART = (200, 90, 440, 330)  # left, top, right, bottom
OUT = Path(__file__).parent.parent / "docs" / "before-after.png"


def part(path: Path) -> Bytes:
    """(1, 3, h, w): the part that is shown, at its own resolution."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB").crop(PART))).permute(2, 0, 1)[None]


def main() -> None:
    """Protects and draws."""
    source = Path(sklearn.datasets.__file__).parent / "images" / "flower.jpg"
    with tempfile.TemporaryDirectory() as folder:
        protect(Job(source, Path(folder) / "protected", method=DEFAULT_METHOD), Run(seed=0))
        before, after = part(source), part(Path(folder) / "protected" / "flower.png")
    whole = torch.cat([before, after, amplified(before, after)], dim=3)[0]
    Image.fromarray(whole.permute(1, 2, 0).contiguous().numpy()).save(OUT, optimize=True)


if __name__ == "__main__":
    main()
