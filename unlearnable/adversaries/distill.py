"""Distillation from a teacher: equation 10 of UGE (Ye and Wang, CVPR 2024, arXiv 2404.14016), after Hinton et al.
(2015, arXiv 1503.02531). The student learns the teacher's answers to the protected images and sees no label.

| paper | here |
|---|---|
| f_theta, the authorised network | authorised: it was handed "plain" or "blind" weights; model; which, of several |
| another teacher | teacher: weights of the recipe's own model; else what the same recipe learns itself |
| temperature: not given | temperature; the loss is multiplied by its square |
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from unlearnable.adversaries._filter import allow
from unlearnable.data import ImageSet
from unlearnable.pixels import Labels, Pixels
from unlearnable.run import Run
from unlearnable.training import Form, Handed, Loss, Objective, Step, Teacher, divergence, forward


@dataclass(frozen=True)
class Distill(Objective):
    """Kullback-Leibler divergence from the teacher's answers to the student's, temperature 1 or above."""

    temperature: float = 4.0
    teacher: Path | None = None
    authorised: Form | None = None
    model: str | None = None
    which: int | None = None

    def __post_init__(self) -> None:
        allow("temperature", self.temperature, 0.1, 100.0)

    def start(self, data: ImageSet, run: Run, teach: Teacher) -> Loss:
        handed = None if self.authorised is None else Handed(self.authorised, self.which or 0)
        teacher = teach(data, run, self.teacher, self.model, handed).requires_grad_(False)

        def loss(network: nn.Module, x: Pixels, y: Labels, step: Step) -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                target = forward(teacher, x, step.run)
            logits = forward(network, x, step.run)
            return divergence(target, logits, self.temperature), logits

        return loss
