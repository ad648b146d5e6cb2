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
    """Kullback-Leibler divergence from the teacher's answers to the student's, temperature 0.1 to 100.

    teacher: a file of its weights; authorised: the form of the network handed out that it is, `which` of several.
    Raises ValueError where these contradict each other.
    """

    temperature: float = 4.0
    teacher: Path | None = None
    authorised: Form | None = None
    model: str | None = None
    which: int | None = None

    def __post_init__(self) -> None:
        allow("temperature", self.temperature, 0.1, 100.0)
        if self.authorised is None and self.which is not None:
            raise ValueError("which is of the authorised networks: distill:authorised=plain,which=1")
        if self.authorised is not None and self.teacher is not None:
            raise ValueError("the teacher is the network of a file or an authorised one: leave out one of the two")

    def start(self, data: ImageSet, run: Run, teach: Teacher) -> Loss:
        handed = None if self.authorised is None else Handed(self.authorised, self.which or 0)
        teacher = teach(data, run, self.teacher, self.model, handed).requires_grad_(False)

        def loss(network: nn.Module, x: Pixels, y: Labels, step: Step) -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                target = forward(teacher, x, step.run)
            logits = forward(network, x, step.run)
            return divergence(target, logits, self.temperature), logits

        return loss
