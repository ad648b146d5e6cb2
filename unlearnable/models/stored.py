"""The weights of a network as they are kept on disk, and a network of such weights."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Network = TypeVar("Network", bound=nn.Module)


def stored(network: nn.Module, half: bool = True) -> dict[str, Tensor]:
    """Weights by name, on the CPU and laid out as they are read back; in half precision unless told otherwise."""
    kept = {name: w.half() if half and w.is_floating_point() else w for name, w in network.state_dict().items()}
    return {name: w.cpu().contiguous() for name, w in kept.items()}


def restored(build: Callable[[], Network], weights: Mapping[str, Tensor]) -> Network:
    """The network that `build` makes, frozen, with stored weights in float32; none are drawn first."""
    with weightless():
        network = build()
    floats = {name: w.float() if w.is_floating_point() else w for name, w in weights.items()}
    network.load_state_dict(floats, assign=True)
    return network.eval().requires_grad_(False)


def misfit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str | None:
    """What is wrong with the first of the weights found, by name, that are not those wanted, in words; None where all
    have the same names and shapes.
    """
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found or name not in wanted:
            return f"{name} {'is missing' if name in wanted else 'is one too many'}"
        ours, theirs = tuple(wanted[name].shape), tuple(found[name].shape)
        if ours != theirs:
            return f"{name} is {theirs}, not {ours}"
    return None


@contextmanager
def weightless() -> Iterator[None]:
    """Networks built in here have weights that take no memory, no time and no random numbers: others replace them."""
    with torch.device("meta"), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    """Leaves out what PyTorch would load all of its compiler for, a second, where weights hold no numbers."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if function in (Tensor.normal_, nn.init.normal_):
            return args[0] if args else named["tensor"]
        return (torch.empty if function is torch.eye else function)(*args, **named)
