"""Run: where and how a computation happens, never what: seeds, device, precision, checkpoints, progress, ranks."""

import hashlib
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from unlearnable.run import checkpoint, ranks

Precision = Literal["fp32", "bf16", "auto"]
DeviceName = Literal["auto", "cpu", "cuda"]
KEPT = "kept"  # in the directory: what is to stay when the checkpoints go
_MAPPED = 1 << 26  # bytes from which a table lies in a file
_SAVING = 0.05  # of the time may go into checkpoints


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

    directory: where checkpoints go; None keeps none. save_every: seconds between two checkpoints, more where saving
    takes long; 0: one after every step. ended: why each stage that is over came to its end.
    Raises ValueError for a device or precision that is not allowed or not there.
    """

    seed: int = 0
    device: DeviceName = "auto"
    precision: Precision = "auto"
    directory: Path | None = None
    listener: Callable[[Progress], None] = silent
    save_every: float = 30.0
    cancelled: Callable[[], bool] = field(default=lambda: False)
    ended: dict[str, str] = field(default_factory=dict)

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

    def number(self, name: str) -> int:
        """A seed of 32 bits, for libraries that take no generator; of the same streams as `rng`."""
        return self.rng(name).initial_seed() % 2**32

    @contextmanager
    def seeded(self, name: str, *step: int) -> Iterator[None]:
        """The global generator, seeded, for what draws from nowhere else, as new modules do; put back afterwards."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.rng(name, *step).initial_seed())
            yield

    @cached_property
    def at(self) -> torch.device:
        """The device that `device` stands for here. On a GPU float32 is float32 from then on, not TF32 in convolutions:
        `uge` compares gradients that are nearly alike.
        """
        found = torch.device(self.device if self.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
        if found.type == "cuda":
            torch.backends.cudnn.allow_tf32 = False
        return found

    @cached_property
    def dtype(self) -> torch.dtype:
        """What networks compute in: bf16 where the processor has it and nobody asked otherwise."""
        if self.precision == "auto":
            fast = (
                torch.cuda.is_bf16_supported(including_emulation=False) if self.at.type == "cuda" else _cpu_has_bf16()
            )
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

    @property
    def first(self) -> bool:
        """Whether this process is the one that speaks and writes: rank 0, or alone."""
        return ranks.rank() == 0

    def shard(self, n: int) -> Int64[Tensor, " m"]:
        """The rows of 0..n-1 that this rank owns; all of them when alone."""
        return ranks.shard(n)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Every tensor becomes its mean over the ranks, in place."""
        ranks.average(tensors)

    def agreed(self, module: nn.Module) -> nn.Module:
        """The module with the weights that rank 0 has."""
        ranks.agreed(module)
        return module

    def share(self, n: int) -> int:
        """Of n images of a batch, how many fall to one rank."""
        return -(-n // ranks.ranks())

    def gather(self, table: Tensor) -> None:
        """Fills in the rows that other ranks own."""
        ranks.gather(table)

    def near(self, tensor: Tensor) -> Tensor:
        """The tensor on the device where it takes no more than a quarter of the free memory there, else as it is."""
        if self.at.type != "cuda" or tensor.numel() * tensor.element_size() > torch.cuda.mem_get_info()[0] // 4:
            return tensor
        return tensor.to(self.at)

    def table(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Zeros: on a GPU that has room, else in memory; a large table lies in a file of the run's directory, or of the
        system's for temporary files, which is gone with the table.
        """
        size = math.prod(shape)
        if size * dtype.itemsize < _MAPPED or self.at.type == "cuda":
            return self.near(torch.zeros(*shape, dtype=dtype))
        if self.directory is not None:
            self.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.directory) as file:
            return torch.from_file(file.name, shared=True, size=size, dtype=dtype).view(*shape)

    def beside(self, name: str) -> Path | None:
        """A folder for what a stage makes besides its result (a score network, say), kept where the result is kept;
        None where the run has no directory, or for all ranks but the first.
        """
        return self.directory / KEPT / name if self.directory is not None and self.first else None

    def report(self, stage: str, done: int, total: int, figures: dict[str, float] | None = None) -> None:
        """Tells the listener how far a stage is; of several ranks the first speaks."""
        if self.first:
            self.listener(Progress(stage, done, total, figures or {}))

    def loop(self, stage: str, total: int, state: dict[str, Any]) -> Iterator[int]:
        """`for step in run.loop("fit", 100, state)`: a plain loop that resumes, saves, reports and can be cancelled.

        state: name -> Tensor (restored in place), Module or Optimizer (anything with state_dict), or a dict or list of
        JSON values (restored in place). Saved at step boundaries; a finished stage is not run again.
        Raises Cancelled between two steps, with the state saved.
        """
        first = self._restore(stage, state)
        saved, took = time.monotonic(), 0.0
        for step in range(first, total):
            if ranks.said_by_first(self.cancelled()):
                self._save(stage, step, state)
                raise Cancelled(f"stopped in {stage} after {step} of {total} steps")
            self.report(stage, step, total)
            with self.seeded(f"{stage}-step", step):  # whatever draws meanwhile, a network with dropout say
                yield step
            began = time.monotonic()
            wait = max(self.save_every, took / _SAVING) if self.save_every else 0.0
            if ranks.said_by_first(began - saved > wait):
                self._save(stage, step + 1, state)
                saved = time.monotonic()
                took = saved - began
        if first < total:
            self.ended[stage] = f"all {total} steps done"
            self._save(stage, total, state, self.ended[stage])
        self.report(stage, total, total)

    def stop(self, stage: str, total: int, state: dict[str, Any], why: str) -> None:
        """Marks a stage finished before its last step (a stop criterion was met); call it before `break`."""
        self.ended[stage] = why
        self._save(stage, total, state, why)
        self.report(stage, total, total)

    def claim(self, configuration: dict[str, Any]) -> None:
        """Binds the directory to one configuration. ValueError where it was begun with another and holds work."""
        if self.directory is None or not self.first:
            return
        wanted = json.loads(json.dumps(configuration | {"seed": self.seed}))
        path = self.directory / "run.json"
        try:
            found = json.loads(path.read_text()) if path.exists() else wanted
        except ValueError:
            raise ValueError(f"{path} is damaged, and says no more what was begun there: choose a new folder") from None
        differing = _differing(wanted, found)
        if differing and any(other != path for other in self.directory.iterdir()):
            raise ValueError(f"{self.directory} was begun with another {', '.join(differing)}: choose a new folder")
        if differing or not path.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            checkpoint.write_atomically(path, json.dumps(wanted, indent=1).encode())

    def _file(self, stage: str) -> Path | None:
        """Where the checkpoint of a stage lies; every rank has its own."""
        name = stage if ranks.ranks() == 1 else f"{stage}-rank{ranks.rank()}of{ranks.ranks()}"
        return None if self.directory is None else self.directory / f"{name}.safetensors"

    def _save(self, stage: str, step: int, state: dict[str, Any], ended: str = "") -> None:
        if (path := self._file(stage)) is not None:
            checkpoint.save(path, state, {"step": str(step), "ended": ended})

    def _restore(self, stage: str, state: dict[str, Any]) -> int:
        """The step to go on with; the first where ranks were cut off at different ones."""
        path = self._file(stage)
        about = {} if path is None or not path.exists() else checkpoint.read_metadata(path)
        step = int(about.get("step", 0))
        if path is None or not ranks.all_say(step) or not step:
            return 0
        checkpoint.restore(path, state)
        if about.get("ended"):
            self.ended[stage] = about["ended"]
        return step


def _differing(wanted: Any, found: Any, name: str = "") -> list[str]:
    """The names of the values that differ, those of inner ones joined by dots."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        inner = [_differing(wanted.get(k), found.get(k), f"{name}.{k}") for k in sorted(wanted | found)]
        return [value for values in inner for value in values]
    return [] if wanted == found else [name.lstrip(".")]


def _cpu_has_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
