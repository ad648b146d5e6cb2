"""Run: where and how a computation happens, never what: seeds, device, precision, checkpoints, progress, ranks."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from jaxtyping import Int64
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

Precision = Literal["fp32", "bf16", "auto"]
DeviceName = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Progress:
    """One event of a running stage: done of total, with the figures the stage watches."""

    stage: str
    done: int
    total: int
    figures: dict[str, float]


def silent(event: Progress) -> None:
    """The default listener: a library does not print."""


class Cancelled(Exception):
    """Somebody asked the run to stop; what was done so far is saved."""


@dataclass
class Run:
    """Where and how: everything a method needs to know about the machine and the moment.

    directory: where checkpoints go; None keeps none. save_every: seconds between two checkpoints.
    Raises ValueError for a device or precision that is not allowed or not there.
    """

    seed: int = 0
    device: DeviceName = "auto"
    precision: Precision = "auto"
    directory: Path | None = None
    listener: Callable[[Progress], None] = silent
    save_every: float = 30.0
    cancelled: Callable[[], bool] = field(default=lambda: False)

    def __post_init__(self) -> None:
        if self.device not in get_args(DeviceName):
            raise ValueError(f"device must be one of {', '.join(get_args(DeviceName))}, got {self.device!r}")
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, got {self.precision!r}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device cuda is not available here: use --device cpu or auto")

    def rng(self, name: str, *step: int) -> torch.Generator:
        """A CPU generator, a pure function of (seed, name, step): no state to save, same bytes on every device."""
        key = json.dumps([self.seed, name, *step]).encode()
        return torch.Generator().manual_seed(int.from_bytes(hashlib.blake2b(key, digest_size=8).digest()) >> 1)

    @contextmanager
    def seeded(self, name: str, *step: int) -> Iterator[None]:
        """The global generator, seeded, for module initialisation only; put back afterwards."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.rng(name, *step).initial_seed())
            yield

    @cached_property
    def at(self) -> torch.device:
        """The device that `device` stands for here."""
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)

    @cached_property
    def dtype(self) -> torch.dtype:
        """What networks compute in: bf16 where the processor has it and nobody asked otherwise."""
        if self.precision == "auto":
            fast = torch.cuda.is_bf16_supported() if self.at.type == "cuda" else _cpu_has_bf16()
            return torch.bfloat16 if fast else torch.float32
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def autocast(self) -> AbstractContextManager[Any]:
        """Goes round a network's forward pass only: images and perturbations stay float32."""
        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.at.type, dtype=self.dtype)

    def place(self, module: nn.Module) -> nn.Module:
        """The module on the device, in the memory layout its convolutions are fastest in."""
        return module.to(device=self.at, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def batches(self, n: int, size: int, order: torch.Generator | None = None) -> Iterator[Int64[Tensor, " b"]]:
        """Rows 0..n-1 in batches; shuffled where a generator is given. A short last batch is never dropped."""
        rows = torch.arange(n) if order is None else torch.randperm(n, generator=order)
        return iter(rows.split(size))

    def report(self, stage: str, done: int, total: int, figures: dict[str, float] | None = None) -> None:
        """Tells the listener how far a stage is."""
        self.listener(Progress(stage, done, total, figures or {}))

    def loop(self, stage: str, total: int, state: dict[str, Any]) -> Iterator[int]:
        """`for step in run.loop("fit", 100, state)`: a plain loop that resumes, saves, reports and can be cancelled.

        state: name -> Tensor (restored in place), Module or Optimizer (anything with state_dict), or a dict or list of
        JSON values (restored in place). Saved at step boundaries; a finished stage is not run again.
        Raises Cancelled between two steps, with the state saved.
        """
        first = self._restore(stage, state)
        saved = time.monotonic()
        for step in range(first, total):
            if self.cancelled():
                self._save(stage, step, state)
                raise Cancelled(f"stopped in {stage} after {step} of {total} steps")
            self.report(stage, step, total)
            yield step
            if time.monotonic() - saved > self.save_every:
                self._save(stage, step + 1, state)
                saved = time.monotonic()
        if first < total:
            self._save(stage, total, state)
        self.report(stage, total, total)

    def stop(self, stage: str, total: int, state: dict[str, Any]) -> None:
        """Marks a stage finished before its last step (a stop criterion was met); call it before `break`."""
        self._save(stage, total, state)
        self.report(stage, total, total)

    def claim(self, configuration: dict[str, Any]) -> None:
        """Binds the directory to one configuration. Raises ValueError where it was begun with another."""
        if self.directory is None:
            return
        wanted = json.loads(json.dumps(configuration | {"seed": self.seed}))
        path = self.directory / "run.json"
        if path.exists():
            found = json.loads(path.read_text())
            differing = sorted(k for k in wanted | found if wanted.get(k) != found.get(k))
            if differing:
                raise ValueError(f"{self.directory} was begun with another {', '.join(differing)}: choose a new folder")
        else:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(wanted, indent=1).encode())

    def _save(self, stage: str, step: int, state: dict[str, Any]) -> None:
        if self.directory is None:
            return
        tensors: dict[str, Tensor] = {}
        plain = {k: _flatten(v.state_dict() if hasattr(v, "state_dict") else v, k, tensors) for k, v in state.items()}
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"{stage}.safetensors"
        scratch = path.with_suffix(".tmp")
        save_file(tensors, scratch, metadata={"step": str(step), "plain": json.dumps(plain)})
        os.replace(scratch, path)

    def _restore(self, stage: str, state: dict[str, Any]) -> int:
        path = None if self.directory is None else self.directory / f"{stage}.safetensors"
        if path is None or not path.exists():
            return 0
        tensors = load_file(path)
        header = read_metadata(path)
        plain = json.loads(header["plain"])
        for name, value in state.items():
            _put_back(value, _unflatten(plain[name], tensors))
        return int(header["step"])


def read_metadata(path: Path) -> dict[str, str]:
    """The text header of a safetensors file, without its tensors."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header: dict[str, dict[str, str]] = json.loads(file.read(size))
    return header.get("__metadata__", {})


def write_atomically(path: Path, data: bytes) -> None:
    """The file whole or not at all, whatever happens meanwhile."""
    scratch = path.with_name(f".{path.name[:100]}.tmp")
    scratch.write_bytes(data)
    os.replace(scratch, path)


def _cpu_has_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _flatten(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Nested state as JSON values, its tensors moved out under their path."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach().cpu().contiguous().clone()
        return {"tensor": path}
    if isinstance(value, dict):
        return {"items": [[key, _flatten(item, f"{path}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_flatten(item, f"{path}/{i}", tensors) for i, item in enumerate(value)]}
    return {"value": value}


def _unflatten(value: Any, tensors: dict[str, Tensor]) -> Any:
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "items" in value:
        return {key: _unflatten(item, tensors) for key, item in value["items"]}
    if "list" in value:
        return [_unflatten(item, tensors) for item in value["list"]]
    return value["value"]


def _put_back(target: Any, value: Any) -> None:
    if isinstance(target, Tensor):
        with torch.no_grad():
            target.copy_(value)
    elif hasattr(target, "load_state_dict"):
        target.load_state_dict(value)
    elif isinstance(target, dict):
        target.clear()
        target.update(value)
    else:
        target[:] = value
