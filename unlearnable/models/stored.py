"""The weights of a network as they are kept on disk."""

from torch import Tensor, nn


def stored(network: nn.Module, half: bool = True) -> dict[str, Tensor]:
    """Weights by name, on the CPU and laid out as they are read back; in half precision unless told otherwise."""
    kept = {name: w.half() if half and w.is_floating_point() else w for name, w in network.state_dict().items()}
    return {name: w.cpu().contiguous() for name, w in kept.items()}
