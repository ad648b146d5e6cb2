"""Handed: initial weights that a protector gives to whom the images shall train, instead of random ones."""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

from torch import nn

from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.models.blind import Direction, blinded, direction
from unlearnable.run import Run

Form = Literal["plain", "blind"]


@runtime_checkable
class Beginning(Protocol):
    """Where a training begins, and in which order it goes through the images, where both came with these."""

    @property
    def order(self) -> int | None:
        """Another order than the protector's."""

    def network(self, model: str, data: ImageSet, run: Run) -> nn.Module:
        """The untrained network. Raises ValueError where there is none for these images."""

    def followed(self, run: Run) -> Run:
        """The run as it orders and augments the images."""


@dataclass(frozen=True)
class Handed:
    """theta_0 of UGE, drawn from the run's seed: for a protector and whoever is authorised the same, for nobody else.

    form: "plain" weights as any network begins with, or "blind" to a direction of colour, one for all networks of a
    seed (`models.blind`); which: of several networks; order: that the images are trained in, None for the protector's.
    Raises ValueError for another form or a negative number.
    """

    form: Form = "plain"
    which: int = 0
    order: int | None = None

    def __post_init__(self) -> None:
        if self.form not in get_args(Form) or min(self.which, self.order or 0) < 0:
            said = f"{self.form!r}, {self.which}, {self.order}"
            raise ValueError(f"handed must be plain or blind, and numbers from 0, got {said}")

    def network(self, model: str, data: ImageSet, run: Run) -> nn.Module:
        """A network of the zoo with these weights, on the CPU. Raises ValueError where it cannot be made blind."""
        with run.seeded("handed", self.which):
            network = build(model, len(data.classes), data.size)
        return network if self.form == "plain" else blinded(network, self.direction(run), data.size, model)

    def followed(self, run: Run) -> Run:
        """The protector has the same seed."""
        return run

    def direction(self, run: Run) -> Direction:
        """What blind networks of that seed are blind to."""
        return direction(run.rng("handed-direction"))
