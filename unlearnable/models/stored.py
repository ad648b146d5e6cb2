"""The weights of a network as they are kept on disk, and a network of such weights."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def stored(network: nn.Module, half: bool = True) -> dict[str, Tensor]:
    """Weights by name, on the CPU and laid out as they are read back; in half precision unless told otherwise."""
    kept = {name: w.half() if half and w.is_floating_point() else w for name, w in network.state_dict().items()}
    return {name: w.cpu().contiguous() for name, w in kept.items()}


def restored(build: Callable[[], Network], weights: Mapping[str, Tensor]) -> Network:
    """The network that `build` makes, frozen, with stored weights in float32; none are drawn first."""
    with torch.device("meta"):
        network = build()
    floats = {name: w.float() if w.is_floating_point() else w for name, w in weights.items()}
    network.load_state_dict(floats, assign=True)
    return network.eval().requires_grad_(False)
