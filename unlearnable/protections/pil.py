"""PIL: perturbation-induced linearization. Liu, Chen, Zhang, ICLR 2026, arXiv 2601.19967.

| paper | here |
|---|---|
| epsilon | budget |
| f, bias-free and linear, trained on the clean images | `epochs` of SGD at `lr`, `momentum`, on batches of `batch` |
| delta, from uniform noise | minus the change: what is published is x - delta |
| lambda | balance: the share of the cross-entropy of f(delta); the rest is that of KL(uniform, f(x - delta)) |
| PGD on delta | steps, step_size |

f is as in the published code: two layers, 3hw -> K -> K, with nothing between them, on pixels of 0..1.

Differs from the published code, whose numbers are the paper's:
* the surrogate's images are shuffled; unshuffled, it forgets on a data set that is sorted by class;
* the published image is kept inside 0..1 at every step, and rounded to nearest; the published code truncates;
* the preset `quick` adds to the surrogate's training what its few images lack: weight_decay, and the crops and flips of
  victims (padding; 0: neither, as published). Without, the noise is fine-grained and a crop destroys much of it.
"""

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.perturbation import Perturbation
from unlearnable.pixels import LINF8, Budget, Labels, Pixels, to_float
from unlearnable.protections._fields import Checked, Natural, Positive, Share
from unlearnable.protections._noise import NoisyImages
from unlearnable.protections._pgd import Term, cropped, descend, uniform
from unlearnable.protections._surrogate import check_classes
from unlearnable.run import Run
from unlearnable.training import cosine


@dataclass(frozen=True)
class PIL(Checked):
    """Noise that a linear network gives the image's class, taken away from the image: victims learn a linear rule.

    Gives each of n images a delta of its own, (n, 3, size, size). Semantic obfuscation and shortcut learning are the
    paper's names of the two terms.
    Raises ValueError for a balance outside 0..1; `fit` for a single class, or where the surrogate could not be trained.
    """

    needs_labels = True
    transfers = False
    needs_images: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"batch": 64, "lr": 0.01, "weight_decay": 0.01, "padding": 4},
    }

    budget: Budget = field(default=LINF8)
    epochs: int = 30
    lr: Positive = 0.003
    momentum: float = 0.9
    batch: int = 512
    weight_decay: float = 0.0
    padding: Natural = 0
    steps: int = 30
    step_size: Positive = 0.8 / 255
    balance: Share = 0.9

    def fit(self, data: ImageSet, run: Run) -> Perturbation:
        """Batch by batch, each with all its steps: images do not depend on one another."""
        check_classes("pil", data)
        images = NoisyImages(data, self.budget, run)
        surrogate = self._surrogate(data, run)
        for part, parts, rows in images.parts("pil", self.batch):
            x, y = images.clean(rows)
            start = uniform(x, self.budget, run.rng("pil-start", int(rows[0])))
            term = Term("loss", partial(self._loss, surrogate, x, y), self.step_size)
            delta, values = descend([term], x, start, self.steps, self.budget)
            images.keep(rows, delta)
            run.report("pil", part, parts, {"loss": float(values["loss"]) / len(rows)})
        return images.sample_wise()

    def _surrogate(self, data: ImageSet, run: Run) -> nn.Module:
        """f, trained on the clean images at a rate that falls along a cosine, epoch by epoch; in float32."""
        classes = len(data.classes)
        with run.seeded("pil-surrogate"):
            layers = nn.Linear(3 * data.size**2, classes, bias=False), nn.Linear(classes, classes, bias=False)
        network = nn.Sequential(nn.Flatten(), *layers).to(run.at)
        optimiser = torch.optim.SGD(network.parameters(), self.lr, self.momentum, weight_decay=self.weight_decay)
        for epoch in run.loop("pil-surrogate", self.epochs, {"network": network, "optimiser": optimiser}):
            optimiser.param_groups[0]["lr"] = self.lr * cosine(epoch, self.epochs)
            total = 0.0
            for part, rows in enumerate(run.batches(len(data), self.batch, run.rng("pil-order", epoch))):
                x, y = to_float(data.images[rows].to(run.at)), data.labels[rows].to(run.at)
                x = cropped(x, self.padding, run.rng("pil-view", epoch, part))
                loss = F.cross_entropy(network(x), y)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                total += float(loss.detach()) * len(rows)
            if not math.isfinite(total):
                raise ValueError(
                    f"the surrogate of pil could not be trained: its loss was not finite at lr {self.lr:g}; "
                    "use a smaller one (the paper's is 0.003)"
                )
            run.report("pil-surrogate", epoch + 1, self.epochs, {"loss": total / len(data)})
        return run.agreed(network).requires_grad_(False)

    def _loss(self, surrogate: nn.Module, x: Pixels, y: Labels, published: Pixels) -> Tensor:
        """What falls, summed: the noise x - published shows its class, the published image shows none."""
        shortcut = F.cross_entropy(surrogate(x - published), y, reduction="none")
        seen: Tensor = surrogate(published).log_softmax(1)
        obfuscation = -math.log(seen.shape[1]) - seen.mean(1)
        return (self.balance * shortcut + (1 - self.balance) * obfuscation).sum()
