"""What this installation is, and whether it does what it must: for `unlearnable doctor` and for bug reports."""

import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, features

from unlearnable import __version__
from unlearnable.data import blank
from unlearnable.files.formats import SUFFIXES
from unlearnable.packs import DATA_VARIABLE, HUB
from unlearnable.perturbation import apply
from unlearnable.pixels import Budget, level_cap, levels_changed, parse_eps, release, to_float
from unlearnable.protections import protection
from unlearnable.run import Run

PACKAGES = (
    "torch", "numpy", "pillow", "safetensors", "kornia", "scikit-learn", "scipy", "matplotlib", "jsonargparse", "rich",
    "jaxtyping", "pyyaml", "filelock", "threadpoolctl",
)  # fmt: skip
EXTRAS = {
    "hf": "pyarrow", "remote": "s3fs", "hub": "huggingface_hub", "heif": "pillow_heif", "authorise": "cryptography",
    "sign": "cryptography", "clip": "transformers", "onnx": "onnxruntime", "ui": "gradio", "ray": "ray",
    "federated": "flwr", "c2pa": "c2pa", "timm": "timm", "tensorboard": "tensorboard", "wandb": "wandb",
    "mlflow": "mlflow", "trackio": "trackio",
}  # fmt: skip
"""By the name of each extra, a module that comes with it."""


@dataclass(frozen=True)
class Check:
    """One thing that must hold; remedy: what to do where it does not."""

    name: str
    ok: bool
    remedy: str


@dataclass(frozen=True)
class Report:
    """What is here, by name, and what was checked."""

    found: dict[str, Any]
    checks: tuple[Check, ...]

    @property
    def well(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """What is here, the checks, and whether all of them hold."""
        return self.found | {"checks": [asdict(check) for check in self.checks], "well": self.well}

    @property
    def text(self) -> str:
        """A line for each thing, then one for each check."""
        lines = [f"{name:16}{_line(value)}" for name, value in self.found.items()]
        checks = [f"{'ok' if c.ok else 'FAILED':16}{c.name}{'' if c.ok else f': {c.remedy}'}" for c in self.checks]
        return "\n".join([*lines, "", *checks])


def examine(run: Run) -> Report:
    """Looks around and tries the safety devices: rounding, files, seeds."""
    found = {
        "unlearnable": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": _device(run),
        "cores": os.cpu_count() or 1,
        "precision": f"{run.dtype}".removeprefix("torch."),
        "native_bf16": run.dtype is torch.bfloat16,
        "formats": formats(),
        "memory_free_gb": _memory(),
        "disk_free_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "extras": {name: importlib.util.find_spec(module) is not None for name, module in EXTRAS.items()},
        "data": os.environ.get(DATA_VARIABLE) or "not set",
    }
    return Report(found, tuple(_checks(found)))


def formats() -> dict[str, str]:
    """What Pillow does here with every format that collections may hold: read and write, read, or no."""
    Image.init()
    with suppress(Exception):  # missing or broken: then Pillow does not know HEIF
        from pillow_heif import register_heif_opener

        register_heif_opener()
    able = {"AVIF": features.check("avif"), "WEBP": features.check("webp"), "JPEG2000": features.check("jpg_2000")}
    names = sorted(set(SUFFIXES.values()))
    return {name: _ability(name) if able.get(name, True) else "no" for name in names}


def _ability(name: str) -> str:
    return ("read and write" if name in Image.SAVE else "read") if name in Image.OPEN else "no"


def _checks(found: dict[str, Any]) -> list[Check]:
    reinstall = "this is a fault of the program or of PyTorch here: report it with these lines"
    return [
        Check("rounding keeps every level within its budget", _holds(rounding_is_exact), reinstall),
        Check("PNG files hold exactly what was written", _holds(files_are_exact), "install pillow anew"),
        Check("the same seed gives the same bytes", _holds(seeds_are_exact), reinstall),
        Check(
            "PNG, JPEG, WebP and TIFF can be read",
            all(found["formats"][name] != "no" for name in ("PNG", "JPEG", "WEBP", "TIFF")),
            "install pillow anew: this build lacks a codec",
        ),
        Check("there is room on the disk", found["disk_free_gb"] >= 1, "free at least 1 GB where you work"),
        Check(f"{DATA_VARIABLE} names a folder, where it is set", _data_is_there(), "set it to a folder, or unset it"),
    ]


def _holds(check: Callable[[], bool]) -> bool:
    """A check that falls over does not hold; the doctor has to finish whatever is broken here."""
    try:
        return check()
    except Exception:
        return False


def rounding_is_exact() -> bool:
    """Every level, pushed as far as may be in both directions, arrives where integer arithmetic says."""
    images = torch.arange(16 * 16, dtype=torch.uint8).reshape(1, 1, 16, 16)
    levels = images.to(torch.int64)
    for text in ("0", "1/255", "4/255", "8/255", "16/255", "0.05"):
        budget = Budget("linf", parse_eps(text))
        cap = level_cap(budget)
        for direction in (-1, 1):
            pushed = release(images, to_float(images) + direction * 2 * budget.eps, budget)
            expected = (levels + direction * cap).clamp(0, int(levels.max()))
            if not torch.equal(pushed.to(torch.int64), expected) or levels_changed(images, pushed) > cap:
                return False
    return True


def files_are_exact() -> bool:
    """All levels of all channels, written to a PNG file on this disk and read back."""
    pixels = np.arange(16 * 48, dtype=np.uint8).reshape(16, 16, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "levels.png"
        Image.fromarray(pixels).save(path)
        read = np.asarray(Image.open(BytesIO(path.read_bytes())))
    return bool(np.array_equal(read, pixels))


def seeds_are_exact() -> bool:
    """A protection fitted and applied twice with one seed, and once with another."""
    data = blank(torch.arange(4), "abcd", 16)

    def protected(seed: int) -> torch.Tensor:
        method, run = protection("lsp"), Run(seed, "cpu")
        return apply(method.fit(data, run), data, method.budget, run).images

    return torch.equal(protected(0), protected(0)) and not torch.equal(protected(0), protected(1))


def _data_is_there() -> bool:
    folder = os.environ.get(DATA_VARIABLE)
    return not folder or folder == HUB or Path(folder).is_dir()


def _device(run: Run) -> str:
    return torch.cuda.get_device_name(run.at) if run.at.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _memory() -> float | None:
    """What processes may still take, in GB; None where the system does not say."""
    info = Path("/proc/meminfo")
    if info.exists():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines())
        return round(int(lines["MemAvailable"].split()[0]) / 1e6, 1)
    names = getattr(os, "sysconf_names", {})
    if "SC_AVPHYS_PAGES" not in names:
        return None
    return round(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)


def _line(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_line(item)}" for name, item in value.items())
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "not known"}[value]
    return str(value)
