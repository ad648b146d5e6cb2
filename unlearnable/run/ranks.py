"""Ranks: processes that `torchrun` started together. Alone, nothing here does anything."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Int64
from torch import Tensor, distributed, nn

_CHUNK = 1 << 26  # bytes that are sent at once


@contextmanager
def joined(device: str = "auto") -> Iterator[None]:
    """Takes part in the group that torchrun announces in the environment, with a GPU for each rank where there are and
    the CPU was not asked for.
    """
    if announced() < 2:
        yield
        return
    on_gpus = device != "cpu" and torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if on_gpus else "gloo")
    try:
        yield
        meet()  # or a rank that is done leaves while others still talk to it
    finally:
        distributed.destroy_process_group()


def announced() -> int:
    """How many processes torchrun says it started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def meet() -> None:
    """Waits until every rank is here."""
    if ranks() > 1:
        distributed.barrier()


def rank() -> int:
    """Which of them this is."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def ranks() -> int:
    """How many there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def bounds(n: int) -> list[tuple[int, int]]:
    """Where the rows of each rank begin and end, of n in all."""
    return [(n * i // ranks(), n * (i + 1) // ranks()) for i in range(ranks())]


def shard(n: int) -> Int64[Tensor, " m"]:
    """The rows of 0..n-1 that this rank owns; all of them when alone. Raises ValueError for fewer rows than ranks."""
    if n < ranks():
        raise ValueError(f"{n} images cannot be shared by {ranks()} processes: start fewer")
    return torch.arange(*bounds(n)[rank()])


def average(tensors: Iterable[Tensor]) -> None:
    """Every tensor becomes its mean over the ranks."""
    if ranks() > 1:
        for tensor in tensors:
            distributed.all_reduce(tensor)
            tensor.div_(ranks())


def agreed(module: nn.Module) -> None:
    """The weights and buffers of rank 0 for everybody."""
    if ranks() > 1:
        for tensor in module.state_dict().values():
            distributed.broadcast(tensor, 0)


def said_by_first(yes: bool) -> bool:
    """What rank 0 says."""
    if ranks() == 1:
        return yes
    flag = torch.tensor([int(yes)], device=_sent_from())
    distributed.broadcast(flag, 0)
    return bool(flag.item())


def all_say(value: int) -> bool:
    """Whether every rank has the same number."""
    low, high = torch.tensor([value], device=_sent_from()), torch.tensor([value], device=_sent_from())
    if ranks() > 1:
        distributed.all_reduce(low, distributed.ReduceOp.MIN)
        distributed.all_reduce(high, distributed.ReduceOp.MAX)
    return bool((low == high).item())


def gather(table: Tensor) -> None:
    """Every rank gets the rows of the others, a part at a time."""
    if ranks() == 1:
        return
    rows = max(1, _CHUNK // max(1, table[0].numel() * table.element_size()))
    for owner, (first, last) in enumerate(bounds(len(table))):
        for start in range(first, last, rows):
            part = table[start : min(start + rows, last)].to(_sent_from()).contiguous()
            distributed.broadcast(part, owner)
            table[start : start + len(part)] = part.to(table.device)


def _sent_from() -> torch.device:
    nccl = distributed.is_initialized() and distributed.get_backend() == "nccl"
    return torch.device("cuda" if nccl else "cpu")
