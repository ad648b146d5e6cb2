"""Distillation from a teacher: equation 10 of UGE (Ye and Wang, CVPR 2024, arXiv 2404.14016), after Hinton et al.
(2015, arXiv 1503.02531). The student learns the teacher's answers to the protected images and sees no label.

| paper | here |
|---|---|
| f_theta, the authorised network | authorised: it was handed "plain" or "blind" weights; model; which, of several |
| the same, of a bundle | bundle: trained on the same images by the bundle's own recipe |
| another teacher | teacher: weights of the recipe's own model; else what the same recipe learns itself |
| temperature: not given | temperature; the loss is multiplied by its square |
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from unlearnable.adversaries._filter import allow
from unlearnable.data import ImageSet
from unlearnable.pixels import Labels, Pixels
from unlearnable.run import Run
from unlearnable.training import Authorised, Form, Handed, Loss, Objective, Step, Teacher, divergence, forward


@dataclass(frozen=True)
class Distill(Objective):
    """Kullback-Leibler divergence from the teacher's answers to the student's, temperature 0.1 to 100.

    teacher: a file of its weights; bundle: a folder of `unlearnable authorise create`; authorised: the form of the
    network that the run's seed hands out, `which` of several. Raises ValueError where these contradict each other.
    """

    temperature: float = 4.0
    teacher: Path | None = None
    authorised: Form | None = None
    model: str | None = None
    which: int | None = None
    bundle: Path | None = None

    def __post_init__(self) -> None:
        allow("temperature", self.temperature, 0.1, 100.0)
        if self.authorised is None and self.which is not None:
            raise ValueError("which is of the authorised networks: distill:authorised=plain,which=1")
        if sum(one is not None for one in (self.authorised, self.teacher, self.bundle)) > 1:
            raise ValueError("the teacher is of a file, of a bundle, or one the seed hands out: name one of these")
        if self.bundle is not None and self.model is not None:
            raise ValueError("a bundle says its model: leave out model")

    def start(self, data: ImageSet, run: Run, teach: Teacher) -> Loss:
        teacher = self._taught(data, run, teach).requires_grad_(False)

        def loss(network: nn.Module, x: Pixels, y: Labels, step: Step) -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                target = forward(teacher, x, step.run)
            logits = forward(network, x, step.run)
            return divergence(target, logits, self.temperature), logits

        return loss

    def _taught(self, data: ImageSet, run: Run, teach: Teacher) -> nn.Module:
        """The teacher, trained."""
        if self.bundle is not None:
            own = replace(run, directory=run.directory and run.directory / "teacher")
            return Authorised.read(self.bundle).train(data, own).network
        handed = None if self.authorised is None else Handed(self.authorised, self.which or 0)
        return teach(data, run, self.teacher, self.model, handed)
