"""Where a number comes from: commit, command, hardware, versions and date."""

import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from unlearnable import __version__
from unlearnable.addresses import is_address, shown
from unlearnable.run import Run


def provenance(run: Run) -> dict[str, Any]:
    """Commit, command, hardware, versions and date: what a number needs to be believed."""
    return {
        "version": __version__,
        "commit": commit(),
        "command": command(),
        "hardware": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": str(run.at),
            "precision": str(run.dtype),
        },
        "torch": torch.__version__,
        "kornia": metadata.version("kornia"),  # its filters and augmentations differ between releases
        "python": platform.python_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def command() -> str:
    """What was typed; of paths the last part only where they are absolute, begin with . or ~ or are there, also behind
    --flag= or tensorboard: and in a list: records are published and folders are private. So is what opens an address.
    """
    program, *words = sys.argv
    if Path(program).name == "__main__.py":
        program = str(Path(program).parent)
    return " ".join(map(bare, [program, *words]))


def bare(word: str) -> str:
    """A word without the folders of what is a path for sure, and an address without what opens it; 8/255 and a name of
    the hub are neither.
    """
    word = shown(word)
    if "/" not in word or is_address(word):
        return word
    if word[0] in "/.~" or os.path.exists(word):
        return Path(word).name
    parts = re.split(r"""([=,'"\[\]{}]|:(?!//))""", word)
    return word if len(parts) == 1 else "".join(map(bare, parts))


def commit() -> str:
    """The commit of the checkout the package runs from, "-dirty" where it was changed; the version otherwise."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():  # git would look further up, and find whose project this is installed in
        return f"release {__version__}"
    try:
        asked = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        found = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return f"release {__version__}"
    return found.stdout.strip()


def processor() -> str:
    """The processor's own name for itself."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.processor()
