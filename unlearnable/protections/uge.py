"""UGE: ungeneralizable examples. Ye and Wang, CVPR 2024, arXiv 2404.14016, equations 1 to 11 and algorithm 1.

| paper | here |
|---|---|
| rho | budget |
| f, theta_0, T: the authorised network | model, of which there are `networks`; epochs; or bundles |
| tau | checkpoints, kept early rather than late |
| G | width, downs, blocks; head: with "image" G says the image, cut as eq. 3 does |
| L_gm, eq. 6 | match; granularity, scope, combine |
| L_fd, eq. 7 to 9, lambda_fd, alpha | feature, margin; encoder |
| L_ud, eq. 11, lambda_ud, omega, f'_A | undistil, omega, times the squared temperature; hacker |
| the first term of eq. 2 | shortcut (this project's): networks learn the labels from what G paints, as in EM |
| eq. 10, the attack | students (this project's): others learn what the authorised ones answer, which G is told |

Differs from the paper:
* the encoder is `mini`, not CLIP, which `paper` has; of several networks `combine` may take the mean, or the worst off;
* it gives no weights of the losses, rates or epochs: these are ours; where eq. 8 and the text differ, eq. 8 is done;
* the bound is eps * tanh; under the clamp of eq. 3 most pixels of a fresh G get no gradient;
* `blind` is ours: the authorised network does not see one direction of colour (`models.blind`), in which all changes
  lie, so that its gradients match whatever is painted, and eq. 11 has nothing to move; `told` tells G the class.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from unlearnable.data import ImageSet
from unlearnable.models import check_model
from unlearnable.models.generator import Generator
from unlearnable.perturbation import apply
from unlearnable.pixels import Budget
from unlearnable.protections._asked import Answers
from unlearnable.protections._encoded import Seen
from unlearnable.protections._fields import Natural, Plural, Positive, Staged
from unlearnable.protections._generator_training import Generating, Objective, Terms, Weighted, steps_of
from unlearnable.protections._painted import Head, Painted, Painter, Told
from unlearnable.protections._shortcut import Schooling, Shortcut
from unlearnable.protections._uge_forms import PRESETS
from unlearnable.protections._uge_losses import FeatureDistance, Undistillation, stranger
from unlearnable.protections._uge_matching import Combine, Granularity, Matching, Scope, Trajectory, unseen
from unlearnable.run import Run
from unlearnable.training import authorised_networks


@dataclass(frozen=True)
class UGE(Staged):
    """Images that a network with given initial weights learns from; no other network, other weights or student of it.

    model, networks, epochs: of the zoo, where no bundles (of `unlearnable authorise create`) are given; refresh: after
    so many steps the trajectory is walked again on images as they are by then, 0 for never; passes: of G, or `steps`.
    Raises ValueError for an unknown word, no loss or one below 0; `fit` for bundles of other images, networks not blind
    or to other things, and a loss that is not finite.
    """

    needs_labels: ClassVar[bool] = True
    needs_images: ClassVar[bool] = True
    transfers: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = PRESETS

    budget: Budget = field(default=Budget("linf", 0.04))
    model: str = "resnet18"
    networks: int = 1
    bundles: tuple[str, ...] = ()
    blind: bool = False
    told: bool = False
    match: float = 1.0
    feature: float = 1.0
    undistil: float = 0.1
    shortcut: float = 0.0
    students: float = 0.0
    granularity: Granularity = "batch"
    scope: Scope = "layer"
    combine: Combine = "sum"
    epochs: int = 60
    checkpoints: Plural = 16
    refresh: Natural = 0
    encoder: str = "mini"
    margin: float = 2.0
    omega: float = 0.01
    temperature: Positive = 4.0
    hacker: str = "vgg16"
    surrogates: tuple[str, ...] = ("cnn",)
    surrogate_lr: Positive = 2e-3
    head: Head = "tanh"
    width: int = 64
    downs: Natural = 2
    blocks: Natural = 6
    passes: int = 30
    steps: int | None = None
    batch: int = 128
    lr: Positive = 2e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.match == self.feature == self.undistil == self.shortcut == self.students == 0:
            raise ValueError("one of match, feature, undistil, shortcut, students must be above 0, got 0 for each")
        if self.students and not self.told:
            raise ValueError("students are kept from what the generator is told: with students comes told=true")
        if self.refresh and not self.match:
            raise ValueError("refresh walks a trajectory that match compares gradients on: with it, match is above 0")
        for name in (self.hacker, *(self.surrogates or ("",))):
            check_model(name)

    def fit(self, data: ImageSet, run: Run) -> Painted:
        """Algorithm 1; ranks share batches and take the mean of their gradients. Bundles are kept beside the result."""
        if (unknown := int((data.labels < 0).sum())) or not len(data):
            raise ValueError(f"{unknown} of {len(data)} images have no label: UGE needs images with labels")
        seen = Seen.through(self.encoder, data, run) if self.feature else None  # or it is refused after a training
        networks = authorised_networks(self, data, run)
        along = unseen(networks, data, run) if self.blind else None
        walked = self.match or self.undistil or self.students
        ways = Trajectory.walked(networks, data, self.checkpoints, run) if walked else []
        told = Told(len(data.classes) if self.told else 0, [way.last for way in ways] if self.students else ())
        shape = {"width": self.width, "downs": self.downs, "blocks": self.blocks}
        with run.seeded(f"{self.stage}-init"):
            network = Generator(**shape, code=told.length)
        run.agreed(run.place(network))
        paint = Painter(network, self.budget.eps, self.head, along, told)
        terms = self.terms(ways, seen, data, run)
        steps = steps_of(self.passes, len(data), self.batch) if self.steps is None else self.steps

        def painted() -> Painted:
            return paint.painted(shape, data.size, [one.recipe.model for one in networks] if self.students else ())

        def walk_on(step: int) -> None:
            for term in (term for _, term in terms if self.refresh and isinstance(term, Matching)):
                term.walk_on(step // self.refresh, lambda: apply(painted(), data, self.budget, run))

        making = Generating(network, self.stage, steps, self.batch, self.lr, paint.on(data, run))
        making.towards(Weighted(terms), len(data), run, walk_on)
        return painted()

    def terms(self, ways: list[Trajectory], seen: Seen | None, data: ImageSet, run: Run) -> Terms:
        """The losses that have a weight, with it. ways, seen: where a loss asks for them."""
        found = list[tuple[float, Objective]]()
        schooling = Schooling(self.surrogates, self.surrogate_lr)
        if self.match:
            how = (self.granularity, self.scope, self.combine)
            found.append((self.match, Matching(ways, run.near(data.images), data.labels, *how, run)))
        if seen is not None:
            found.append((self.feature, FeatureDistance.start(seen, data, self.batch, self.margin, run)))
        if self.undistil:
            pair = [way.last for way in ways], stranger(self.hacker, data, run)
            apart = Undistillation(*pair, data.labels, self.omega, self.temperature, self.combine, run)
            found.append((self.undistil, apart))
        if self.shortcut:
            found.append((self.shortcut, Shortcut.of_labels(data, schooling, run)))
        if self.students:
            taught = Answers([way.last for way in ways], len(data.classes), self.temperature, run)
            found.append((self.students, Shortcut.start(taught, schooling, data.size, run, "students")))
        return found
