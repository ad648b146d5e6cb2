"""TAP: targeted adversarial poisons. Fowl, Goldblum, Chiang, Geiping, Czaja, Goldstein, NeurIPS 2021, arXiv 2106.10807.

| paper | here |
|---|---|
| epsilon | budget |
| theta*, trained on the clean images | model, trained for `epochs` at `lr` on batches of `surrogate_batch` |
| targeted: the loss with class g(y) = y + 1 falls; untargeted: the loss with class y rises | goal |
| 250 steps of PGD with differentiable crops and flips | steps, step_size on batches of `batch`; padding (0: neither) |
| restarts | restarts |

Differs from the paper:
* every image keeps the restart that was best for it; the published code keeps the one with the lowest mean. Once the
  surrogate is trained, images do not depend on one another, so this can only lower the loss;
* the loss that restarts are judged by is that of the image as it is, not of the last random crop of it;
* crops are of whole pixels; the published ones lie between pixels;
* the surrogate is trained as any network here, at a rate that rises and falls once instead of in three steps.
"""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.perturbation import Perturbation, SampleWise
from unlearnable.pixels import LINF8, Budget, Labels, Pixels, project, to_float
from unlearnable.protections._pgd import frozen, sign_step
from unlearnable.run import Run
from unlearnable.training import CropFlip, Recipe, forward

_QUICK = {"model": "cnn", "epochs": 20, "surrogate_batch": 64, "steps": 20, "step_size": 2 / 255, "restarts": 1}


@dataclass(frozen=True)
class TAP:
    """Images that a network trained on the clean ones takes for another class: whoever trains on them learns that one.

    goal: "targeted" is the class after an image's own, "untargeted" any other.
    Raises ValueError for an unknown goal; `fit` for a single class, or where the surrogate could not be trained.
    """

    needs_labels = True
    transfers = False
    needs_images: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": _QUICK,
        "untargeted": {"goal": "untargeted"},
        "untargeted-quick": _QUICK | {"goal": "untargeted"},
    }

    budget: Budget = field(default=LINF8)
    goal: Literal["targeted", "untargeted"] = "targeted"
    model: str = "resnet18"
    epochs: int = 40
    lr: float = 0.1
    surrogate_batch: int = 128
    steps: int = 250
    step_size: float = 0.4 / 255
    restarts: int = 8
    batch: int = 512
    padding: int = 4

    def __post_init__(self) -> None:
        if self.goal not in ("targeted", "untargeted"):
            raise ValueError(f"goal must be 'targeted' or 'untargeted', got {self.goal!r}")

    def fit(self, data: ImageSet, run: Run) -> Perturbation:
        """From noise as large as the budget, every step takes all images one step; restarts begin with other noise."""
        if len(data.classes) < 2:
            raise ValueError("tap needs at least 2 classes: it makes images of one look like another to a network")
        judge = self._surrogate(data, run)
        delta = torch.zeros(len(data), 3, data.size, data.size)
        best, lowest = torch.zeros_like(delta), torch.full((len(data),), float("inf"))
        state = {"delta": delta, "best": best, "lowest": lowest}
        for turn in run.loop("tap", self.restarts * self.steps, state):
            restart, step = divmod(turn, self.steps)
            if step == 0:
                noise = torch.randn(delta.shape, generator=run.rng("tap-start", restart))
                delta.copy_(project(self.budget.eps * noise, self.budget))
            loss = 0.0
            for part, rows in enumerate(run.batches(len(data), self.batch)):
                view = run.rng("tap-view", restart, step, part)
                loss += self._step(judge, data, rows, delta, view, run)
            if step == self.steps - 1:
                self._keep(judge, data, delta, best, lowest, run)
            run.report("tap", turn + 1, self.restarts * self.steps, {"loss": loss / len(data)})
        return SampleWise(best)

    def _surrogate(self, data: ImageSet, run: Run) -> nn.Module:
        """Trained with a seed of its own: a victim of the run's seed has other first weights and another order."""
        recipe = Recipe(self.model, epochs=self.epochs, lr=self.lr, batch=self.surrogate_batch)
        trained = recipe.train(data, replace(run, seed=run.rng("tap-surrogate").initial_seed()))
        if trained.diverged:
            raise ValueError(f"the surrogate of tap could not be trained: its loss was not finite at lr {self.lr:g}")
        return frozen(trained.network, run)

    def _step(
        self, judge: nn.Module, data: ImageSet, rows: Tensor, delta: Tensor, view: torch.Generator, run: Run
    ) -> float:
        """One step of one batch through a random view of it; the sum of the losses before the step."""
        x, y = to_float(data.images[rows].to(run.at)), data.labels[rows].to(run.at)

        def seen(pixels: Pixels) -> Tensor:
            pixels = CropFlip(self.padding).crop(pixels, view) if self.padding else pixels
            return self._losses(forward(judge, pixels, run), y).sum()

        found, loss = sign_step(seen, x, delta[rows].to(run.at), self.step_size, self.budget)
        delta[rows] = found.cpu()
        return float(loss)

    def _losses(self, logits: Tensor, y: Labels) -> Tensor:
        """What falls, for each image: the cross-entropy with the class after its own, or minus that with its own."""
        if self.goal == "targeted":
            return F.cross_entropy(logits, (y + 1) % logits.shape[1], reduction="none")
        return -F.cross_entropy(logits, y, reduction="none")

    @torch.no_grad()
    def _keep(self, judge: nn.Module, data: ImageSet, delta: Tensor, best: Tensor, lowest: Tensor, run: Run) -> None:
        """What a restart ended with becomes the best so far where its loss is lower, image by image."""
        for rows in run.batches(len(data), self.batch):
            x = to_float(data.images[rows]) + delta[rows]
            losses = self._losses(forward(judge, x.to(run.at), run), data.labels[rows].to(run.at)).cpu()
            better = losses < lowest[rows]
            best[rows[better]], lowest[rows[better]] = delta[rows[better]], losses[better]
