"""OPA: orthogonal projection attack. Sandoval-Segura, Singla, Geiping, Goldblum, Goldstein, NeurIPS 2023,
arXiv 2305.19254, algorithm 1.

| paper | here |
|---|---|
| W, linear, no bias, on images in 0..1, SGD 0.1, x0.1 at 50, 75 % | a linear layer, `steps` batches of `batch` |
| Q of W = QR | q: one orthonormal direction for each class |
| X_r = X - X Q Q^T | the images to train on: float, not cut back to 0..1 |

Differs from the paper: the length of the linear training is given in steps (980 batches of 1,024 are its 20 epochs of
CIFAR-10), so that small sets train as long; the linear model's images are shuffled, in published code they are not; the
victim's augmentation is that of the recipe it joins.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.adversaries._filter import allow
from unlearnable.data import ImageSet
from unlearnable.pixels import Pixels, to_float
from unlearnable.run import Run
from unlearnable.training import Purifier


@dataclass(frozen=True)
class Orthogonal(Purifier):
    """Takes away from every image the directions in which a linear model tells the classes apart."""

    steps: int = 980
    batch: int = 1024
    lr: float = 0.1

    def __post_init__(self) -> None:
        allow("steps", self.steps, 1, 1_000_000)
        allow("batch", self.batch, 1, 1_000_000)

    def __call__(self, data: ImageSet, run: Run) -> Pixels:
        flat = to_float(data.images).flatten(1)
        q, _ = torch.linalg.qr(self.weights(flat, data, run).T)
        parts = [part - (part @ q) @ q.T for part in flat.split(self.batch)]
        return torch.cat(parts).reshape(data.images.shape)

    def weights(self, flat: Tensor, data: ImageSet, run: Run) -> Tensor:
        """W (classes, c*h*w) of the linear softmax classifier of the images."""
        with run.seeded("orthogonal"):
            linear = nn.Linear(flat.shape[1], len(data.classes), bias=False)
        optimiser = torch.optim.SGD(linear.parameters(), self.lr)
        milestones = [self.steps // 2, self.steps * 3 // 4]
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, milestones)
        known = (data.labels >= 0).nonzero().flatten()
        epochs = -(-self.steps // -(-len(known) // self.batch))
        order = [known[rows] for epoch in range(epochs)
                 for rows in run.batches(len(known), self.batch, run.rng("orthogonal-order", epoch))]  # fmt: skip
        for rows in order[: self.steps]:
            loss = F.cross_entropy(linear(flat[rows]), data.labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        return linear.weight.detach()
