"""One for All (14A), a universal generator: Chen, Zhang, Li, Han, ICML 2025, PMLR 267, equations 1 to 4.

| paper | here |
|---|---|
| E_I, E_T | encoder |
| G, theta | generator, with width and blocks (of the published one) |
| delta = G(E_I(x), x), eq. 1 | `Generated`, fitted or shipped |
| opposite and similar concepts of x, k | among `vocabulary`; similar |
| d; lambda, eq. 4 | cosine distance; the quotient of the two terms, detached: else every gradient is zero |

objective "discriminant" is the paper's equation 4. "shortcut", the default, is this project's own: moving features
does not make a shortcut, so the generator minimises the error of surrogates that learn groups of concepts from what it
says (`_concepts.Shortcut`, after EM; the groups are the encoder's, in place of labels).

Differs from the paper:
* eq. 4 with cosine similarity, as the text has it, would do the opposite of what the text says: distance is meant;
* concepts are chosen from the clean image, once: from the protected one, as printed, they jump while it moves;
* the bound is eps * tanh; the generator works at `grid` pixels, and what it says is resized to the image.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from unlearnable.data import ImageSet
from unlearnable.encoders import CONCEPTS, Vectors
from unlearnable.models.coded import Coded
from unlearnable.models.generator import Head
from unlearnable.pixels import LINF8, Budget
from unlearnable.protections._concepts import Discriminant, Objective, Shortcut
from unlearnable.protections._encoded import Seen
from unlearnable.protections._generated import Generated, Kind, fitted, generator, said
from unlearnable.protections._noise import Staged, drawn
from unlearnable.protections._words import check_words
from unlearnable.run import Run

SHIPPED = Path(__file__).parent.parent / "weights" / "one_for_all"
_SEEN = 160  # pixels: larger pictures are seen at this side


@dataclass(frozen=True)
class OneForAll(Staged):
    """One generator for any picture, of any size, with any labels or none.

    groups: how many k-means groups of concepts the surrogates tell apart, several times over; surrogates: zoo models;
    vocabulary: a text file with a concept a line, else the shipped one; init: weights to begin with, "shipped" or a
    folder written by `fit`. Raises ValueError for an unknown word or a grid that is no multiple of 8; `fit` for an init
    of another shape.
    """

    needs_labels: ClassVar[bool] = False
    needs_images: ClassVar[bool] = True
    transfers: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"objective": "discriminant", "encoder": "clip:openai/clip-vit-base-patch32", "epochs": 200,
                  "generator": "published", "width": 64, "grid": 224, "batch": 30, "lr": 1e-4},
        "discriminant": {"objective": "discriminant"},
        "discriminant-quick": {"objective": "discriminant", "steps": 600, "batch": 64}, "quick": {"steps": 1200},
        "shipped": {"init": "shipped", "steps": 0}, "tuned": {"init": "shipped", "epochs": 5, "lr": 5e-4},
    }  # fmt: skip

    budget: Budget = field(default=LINF8)
    encoder: str = "mini"
    objective: Literal["shortcut", "discriminant"] = "shortcut"
    generator: Kind = "small"
    width: int = 32
    blocks: int = 24
    head: Head = "tanh"
    grid: int = 32
    groups: tuple[int, ...] = (16, 64, 256)
    surrogates: tuple[str, ...] = ("cnn",)
    vocabulary: str | None = None
    similar: int = 5
    targets_from: Literal["clean", "protected"] = "clean"
    init: str | None = None
    epochs: int = 20
    steps: int | None = None
    batch: int = 128
    lr: float = 2e-3
    surrogate_lr: float = 2e-3

    def __post_init__(self) -> None:
        check_words(self)
        if self.grid < 8 or self.grid % 8:
            raise ValueError(f"grid must be a multiple of 8, got {self.grid}")

    def fit(self, data: ImageSet, run: Run) -> Generated:
        """Trains the generator; ranks share batches and take the mean of their gradients."""
        seen = Seen.through(self.encoder, data, run)
        if self.init is not None and self.steps == 0:
            return self.given(seen.encoder.dimension).within(self.budget.eps)
        codes = seen.features(self.batch)
        network = self.begun(codes, run)
        objective = self.aim(seen, network, codes, run)
        optimiser = torch.optim.Adam(network.parameters(), self.lr, betas=(0.5, 0.99))
        total = self.epochs * -(-len(data) // self.batch) if self.steps is None else self.steps
        state = {"generator": network, "optimiser": optimiser} | objective.state
        for step in run.loop(self.stage, total, state):
            rows = drawn(len(data), self.stage, step, self.batch, run)
            optimiser.param_groups[0]["lr"] = self.lr * (1 + math.cos(math.pi * step / total)) / 2
            x = seen.clean(rows)
            network.train()
            with run.autocast():
                delta = said(network, x, codes[rows].to(run.at), self.grid, self.budget.eps, self.head)
            loss, figures = objective(rows, x + delta, step)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            run.average(w.grad for w in network.parameters() if w.grad is not None)
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            objective.learn()
            run.report(self.stage, step + 1, total, {name: float(value) for name, value in figures.items()})
        return self.generated(network.state_dict(), codes.shape[1])

    def begun(self, codes: Vectors, run: Run) -> nn.Module:
        """The generator with its first weights: random, or those of `init`."""
        with run.seeded(f"{self.stage}-init"):
            network = generator(self.generator, self.width, self.blocks, codes.shape[1])
        if self.init is not None:
            network.load_state_dict(self.given(codes.shape[1]).network.state_dict())
        elif isinstance(network, Coded):
            network.whiten(codes)
        return run.agreed(run.place(network))

    def aim(self, seen: Seen, network: nn.Module, codes: Vectors, run: Run) -> Objective:
        """What the generator is trained for."""
        if self.objective == "shortcut":
            with torch.no_grad():
                points = network.seen(codes.to(run.at)).cpu() if isinstance(network, Coded) else codes
            return Shortcut.start(points, self.groups, self.surrogates, self.grid, self.surrogate_lr, run)
        words = CONCEPTS if self.vocabulary is None else Path(self.vocabulary)
        fixed = codes if self.targets_from == "clean" else None
        return Discriminant.start(seen.encoder, words, self.similar, fixed, run)

    def given(self, code: int) -> Generated:
        """What `init` holds."""
        folder = SHIPPED if self.init == "shipped" else Path(str(self.init))
        return fitted(folder, self.generated({}, code))

    def generated(self, weights: dict[str, Tensor], code: int) -> Generated:
        """In half precision."""
        kept = {name: (w.half() if w.is_floating_point() else w).cpu() for name, w in weights.items()}
        return Generated(
            kept, self.generator, self.width, self.blocks, code, self.encoder, self.budget.eps, self.head, self.grid,
            max(_SEEN, self.grid),
        )  # fmt: skip
