"""One for All (14A), a universal generator: Chen, Zhang, Li, Han, ICML 2025, PMLR 267, equations 1 to 4.

| paper | here |
|---|---|
| E_I, E_T | encoder |
| G, theta | generator, with width and blocks (of the published one) |
| delta = G(E_I(x), x), eq. 1 | `Generated`, fitted or shipped |
| opposite and similar concepts of x, k | among `vocabulary`; similar |
| d | cosine distance |
| lambda, eq. 4 | the quotient of the two terms, detached: else every gradient is zero |

objective "discriminant" is the paper's equation 4. "shortcut", the default, is this project's own: moving features
does not make a shortcut, so the generator minimises the error of surrogates that learn from what it says what the
encoder sees (`_shortcut.Shortcut`, after EM): groups of looks, in place of labels, and the direction itself.

Differs from the paper:
* eq. 4 with cosine similarity, as the text has it, would do the opposite of what the text says: distance is meant;
* concepts are chosen from the clean image, once (targets_from "clean"): chosen from the protected one, as printed, they
  jump while it moves;
* the bound is eps * tanh and, with head "rms", 0.89 eps on the mean of squares (31 dB); the generator works at `grid`
  pixels, and what it says is resized to the image;
* the encoder is `mini`; the published figures come from CLIP, which the preset `paper` has;
* lambda stays within 0.1..10 and concepts are LVIS's; Adam has betas of 0.5 and 0.99, gradients cut at a norm of 1
  and a rate that falls along a cosine.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import nn
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.models.coded import Coded
from unlearnable.models.generator import Head
from unlearnable.pixels import LINF8, Budget, Index, Pixels
from unlearnable.protections._asked import Known, grouped
from unlearnable.protections._encoded import Seen
from unlearnable.protections._fields import Natural, Positive, Staged
from unlearnable.protections._generated import Generated, Kind, Make, said
from unlearnable.protections._generator_training import Generating, Objective, steps_of
from unlearnable.protections._one_for_all_loss import Discriminant, chosen, vocabulary
from unlearnable.protections._shortcut import Schooling, Shortcut
from unlearnable.run import Run

SHIPPED = Path(__file__).parent.parent / "weights" / "one_for_all"


@dataclass(frozen=True)
class OneForAll(Staged):
    """One generator for any picture, of any size, with any labels or none.

    groups: how many k-means groups of looks the surrogates tell apart, several times over; regress: weight of the
    direction; surrogates: zoo models; tinted, greyed: which share of what they are shown is in other colours, or grey;
    vocabulary: a text file with a concept a line, else the shipped one; init: weights to begin with, "shipped" or a
    folder written by `fit`, whose generator, encoder and grid must be these.
    Raises ValueError for an unknown word, no groups or surrogates, or a grid that cannot be halved three times; `fit`
    for an `init` of another make, too few concepts, images that look alike, or a gradient that is not finite.
    """

    needs_labels: ClassVar[bool] = False
    needs_images: ClassVar[bool] = True
    transfers: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"objective": "discriminant", "encoder": "clip:openai/clip-vit-base-patch32", "epochs": 200,
                  "generator": "published", "width": 64, "head": "tanh", "grid": 224, "batch": 30, "lr": 1e-4},
        "discriminant": {"objective": "discriminant"}, "groups": {"regress": 0.0, "tinted": 0.0, "greyed": 0.0},
        "discriminant-quick": {"objective": "discriminant", "steps": 600, "batch": 64}, "quick": {"steps": 1200},
        "shipped": {"init": "shipped", "steps": 0},
        "tuned": {"init": "shipped", "groups": (16,), "regress": 0.0, "lr": 5e-4},
    }  # fmt: skip

    budget: Budget = field(default=LINF8)
    encoder: str = "mini"
    objective: Literal["shortcut", "discriminant"] = "shortcut"
    generator: Kind = "small"
    width: int = 32
    blocks: Natural = 24
    head: Head = "rms"
    grid: int = 32
    groups: tuple[int, ...] = (16, 64, 256)
    regress: float = 5.0
    surrogates: tuple[str, ...] = ("cnn",)
    tinted: float = 0.3
    greyed: float = 0.2
    vocabulary: str | None = None
    similar: int = 5
    targets_from: Literal["clean", "protected"] = "clean"
    init: str | None = None
    epochs: int = 20
    steps: Natural | None = None
    batch: int = 128
    lr: Positive = 2e-3
    surrogate_lr: Positive = 2e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.grid < 16 or self.grid % 8:
            raise ValueError(f"grid must be a multiple of 8, 16 at least, got {self.grid}")
        if not self.surrogates or min(self.groups, default=0) < 2:
            given = f"{self.surrogates} and {self.groups}"
            raise ValueError(f"surrogates must be one or more, groups each 2 or more, got {given}")
        if self.steps == 0 and self.init is None:
            raise ValueError("steps must be 1 or more without an init, got 0")

    def fit(self, data: ImageSet, run: Run) -> Generated:
        """Trains the generator; ranks share batches and take the mean of their gradients."""
        seen = Seen.through(self.encoder, data, run)
        code = seen.encoder.dimension
        make = Make(self.generator, self.width, self.blocks, code, seen.name, self.head, self.grid)
        init = None if self.init is None else SHIPPED if self.init == "shipped" else Path(self.init)
        if init is not None and self.steps == 0:
            return make.given(init).within(self.budget.eps)
        network = make.begun(self.stage, init, run)
        words = [] if self.objective == "shortcut" else vocabulary(self.vocabulary)
        codes = seen.features(self.batch)
        if init is None and isinstance(network, Coded):
            network.whiten(codes)
        objective = self.aim(seen, run.agreed(run.place(network)), codes, words)
        total = steps_of(self.epochs, len(data), self.batch) if self.steps is None else self.steps

        def say(rows: Index) -> Pixels:
            x = seen.clean(rows)
            with run.autocast():
                return x + said(network, x, codes[rows].to(run.at), self.grid, self.budget.eps, self.head)

        Generating(network, self.stage, total, self.batch, self.lr, say).towards(objective, len(data), run)
        return make.fitted(network, self.budget.eps)

    def aim(self, seen: Seen, network: nn.Module, codes: torch.Tensor, words: list[str]) -> Objective:
        """What the generator is trained for."""
        run = seen.run
        if self.objective == "shortcut":
            with torch.no_grad():
                points = network.seen(codes.to(run.at)).cpu() if isinstance(network, Coded) else codes
            directions = F.normalize(codes - codes.mean(0), dim=1) if self.regress else None
            known = Known(*grouped(points, self.groups, run), directions, self.regress)
            schooling = Schooling(self.surrogates, self.surrogate_lr, self.tinted, self.greyed)
            return Shortcut.start(known, schooling, self.grid, run)
        concepts = seen.encoder.text(words).to(run.at)
        similar = min(self.similar, max(1, len(concepts) // 5))
        targets = chosen(codes.to(run.at), concepts, similar) if self.targets_from == "clean" else None
        return Discriminant(seen.encoder, concepts, similar, targets, run)
