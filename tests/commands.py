"""What a command line said and how it ended; and the pictures that it is given."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

PROTECT_KEYS = ["protected", "copied", "failed", "max_abs_delta", "seconds", "images_per_second", "method", "eps",
                "showing", "unchanged", "strange", "renamed", "labels"]  # fmt: skip


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        """The one JSON object that must be all of standard output."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out
        found = json.loads(lines[0])
        assert isinstance(found, dict)
        return found


Command = Callable[..., Ended]


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (24, 20)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    level = np.add.outer(np.arange(size[1]) * 5, np.arange(size[0]) * 4) + 7 * seed
    Image.fromarray(np.stack([level % 200, level % 190, level % 180], -1).astype(np.uint8)).save(path)
    return path


def refused(ended: Ended) -> str:
    """What a command that could not start said: one line on standard error, and nothing else anywhere."""
    assert ended.code == 2, ended
    assert ended.out == ""
    assert ended.err.count("\n") == 1, ended.err
    assert "Traceback" not in ended.err
    assert "usage" not in ended.err
    return ended.err
