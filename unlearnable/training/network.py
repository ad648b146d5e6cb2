"""What everybody does with a network: logits, predictions, accuracy."""

import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.pixels import Bytes, Pixels, to_float
from unlearnable.run import Run

Images = Bytes | Pixels  # as stored, or 0..1 where a countermeasure leaves the grid of 8 bits


def as_pixels(images: Images) -> Pixels:
    """0..1 whatever they are kept as."""
    return images if images.is_floating_point() else to_float(images)


def forward(network: nn.Module, x: Pixels, run: Run) -> Float32[Tensor, "n k"]:
    """Logits in float32, computed in the precision and memory layout of the run."""
    with run.autocast():
        logits: Tensor = network(x.contiguous(memory_format=torch.channels_last))
    return logits.float()


def fewer(batch: int, side: int) -> int:
    """How many images of a side go together where `batch` of 64 pixels do: as many fewer as they are larger."""
    return max(1, min(batch, batch * 64**2 // side**2))


def doubled(batch: Tensor) -> Tensor:
    """A batch as it is, one image twice: batch normalisation has no variance over one."""
    return batch.repeat(2, *[1] * (batch.ndim - 1)) if len(batch) == 1 else batch


def divergence(logits: Float32[Tensor, "n k"], other: Float32[Tensor, "n k"], temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the second answers from the first, at a temperature, times its square; in nats."""
    return temperature**2 * divergences(logits, other, temperature).mean()


def divergences(
    logits: Float32[Tensor, "n k"], other: Float32[Tensor, "n k"], temperature: float
) -> Float32[Tensor, " n"]:
    """The same for each image, and not times the square of the temperature."""
    first, second = (F.log_softmax(part / temperature, 1) for part in (logits, other))
    return F.kl_div(second, first, reduction="none", log_target=True).sum(1)


@torch.no_grad()
def predict(network: nn.Module, images: Images, run: Run, batch: int = 500) -> Float32[Tensor, "n k"]:
    """Logits of images, on the CPU; the network is in eval mode meanwhile and put back afterwards.

    batch: of images of 64 pixels a side; of larger ones as many fewer.
    """
    batch = fewer(batch, images.shape[-1])
    training = network.training
    network.eval()
    parts = [
        forward(network, as_pixels(images[rows].to(run.at)), run).cpu() for rows in run.batches(len(images), batch)
    ]
    network.train(training)
    return torch.cat(parts)


def classes_given(network: nn.Module, images: Images, run: Run) -> Int64[Tensor, " n"]:
    """The class that the network gives each image."""
    return predict(network, images, run).argmax(1)


def accuracy(network: nn.Module, data: ImageSet, run: Run) -> float:
    """The share of images whose label the network gives."""
    return float((classes_given(network, data.images, run) == data.labels).float().mean())
