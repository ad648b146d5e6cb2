"""Data collapse: Fang, Li, Wu, Zheng, Ding, Yi, Ma, preprint 2023, arXiv 2305.11191, equations 2 to 7 and algorithm 1.

| paper | here |
|---|---|
| rho_u, rho_a | budget, radius |
| s_theta, the score, and its sigma | score: a folder, or trained here; sigma, score_epochs, width, patch |
| eq. 6, the norm of the score at x + delta falls | term="norm" |
| section 3.2, x + delta moves along the score | term="langevin" |
| alpha_u, alpha_s | step_size, score_step_size |
| f', eq. 7 | model, trained adversarially on the protected images |

Differs from the paper:
* algorithm 1 is put right: both gradients have names of their own in lines 8 and 9; in lines 13 and 14 the attack is
  differentiated with respect to itself, and ascends, as equation 7 says;
* what is not given there (sigma, the score network, every count and step size) is REM's, or chosen by measurement.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from unlearnable.data import ImageSet
from unlearnable.pixels import Labels, Pixels
from unlearnable.protections._fields import Natural, Positive
from unlearnable.protections._pgd import Term
from unlearnable.protections._robust_surrogate import RobustSurrogate
from unlearnable.run import Run
from unlearnable.score import Score, ScoreTraining, load

_QUICK = {
    "radius": 2 / 255, "model": "cnn", "iterations": 400, "decay": 320, "lr": 0.03, "steps": 5, "step_size": 3.2 / 255,
    "score_step_size": 1.6 / 255, "attack_steps": 4, "score_epochs": 8, "width": 16, "patch": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Collapse(RobustSurrogate):
    """Noise that minimises the error and makes the images of a class fall together, where their density peaks.

    term: "norm" follows the gradient of the score's norm, which costs a pass back through the score network;
    "langevin" follows the score itself; "none" leaves it out. score: a saved score network instead of one that is
    trained here; views: random crops in the error, 0 for the image as it is.
    Raises ValueError for an unknown term; `fit` where a saved score network was trained for other classes, or never at
    `sigma`.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": _QUICK,
        "langevin": {"term": "langevin"},
        "langevin-quick": _QUICK | {"term": "langevin"},
        "error": {"term": "none"},
        "error-quick": _QUICK | {"term": "none"},
        "standard": {"radius": 0.0},
        "standard-quick": _QUICK | {"radius": 0.0},
    }

    term: Literal["norm", "langevin", "none"] = "norm"
    score_step_size: Positive = 0.8 / 255
    views: Natural = 1
    score: str | None = None
    sigma: Positive = 0.05
    score_epochs: int = 150
    width: int = 64
    patch: int = 1

    def prepare(self, data: ImageSet, run: Run) -> Score | None:
        """The score network: loaded, or trained on the images that are to be protected (equation 5)."""
        if self.term == "none":
            return None
        if self.score is None:
            small = ScoreTraining.presets["quick"] if self.patch > 1 else {}
            training = ScoreTraining(**small | {"sigmas": (self.sigma,), "epochs": self.score_epochs,
                                                "width": self.width, "patch": self.patch})  # fmt: skip
            trained = training.fit(data, run)
            if (folder := run.beside("score")) is not None:
                trained.save(folder, {"training": asdict(training), "data": data.fingerprint})
            return trained.to(run)
        return self._saved(Path(self.score), len(data.classes)).to(run)

    def _saved(self, folder: Path, classes: int) -> Score:
        """A saved score network, which must know noise of `sigma`: outside its levels its answers mean nothing."""
        found = load(folder, classes)
        low, high = min(found.sigmas), max(found.sigmas)
        if not low * 0.999 <= self.sigma <= high * 1.001:
            levels = f"{low:g}" if low == high else f"{low:g} to {high:g}"
            raise ValueError(
                f"{folder} knows noise of {levels}, not {self.sigma:g}: set sigma to that, or leave score out"
            )
        return found

    def terms(self, judge: nn.Module, y: Labels, rng: torch.Generator, run: Run, prepared: Any) -> Sequence[Term]:
        """Equation 6: the error, and the norm of the score or the way along it."""
        error = self.error(judge, y, rng, run, self.views, None)
        if prepared is None:
            return [error]

        def norm(pixels: Pixels) -> Tensor:
            with run.autocast():
                found: Tensor = prepared(pixels, y, self.sigma)
            length: Tensor = torch.linalg.vector_norm(found.flatten(1), dim=1)
            return length.sum()

        def along(pixels: Pixels) -> Tensor:
            with torch.no_grad(), run.autocast():
                found: Tensor = prepared(pixels, y, self.sigma)
            return -(found * pixels).sum()

        return [error, Term("score", norm if self.term == "norm" else along, self.score_step_size)]
