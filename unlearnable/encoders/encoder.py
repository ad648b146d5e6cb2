"""What an encoder is: pictures and names as unit vectors of one space."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float32
from torch import Tensor

from unlearnable.pixels import Pixels
from unlearnable.run import Run

Vectors = Float32[Tensor, "n d"]  # of unit length


@runtime_checkable
class Encoder(Protocol):
    """A frozen dual encoder: the dot product of a picture and a name says how well they fit, -1..1."""

    @property
    def name(self) -> str:
        """What `encoder` finds it by, for records."""
        ...

    @property
    def dimension(self) -> int:
        """How long its vectors are."""
        ...

    def image(self, x: Pixels) -> Vectors:
        """(n, 3, h, w) in 0..1, any h and w, -> (n, dimension) of unit length; differentiable in x."""
        ...

    def text(self, names: Sequence[str]) -> Vectors:
        """k names, of classes for example, -> (k, dimension) of unit length.

        Raises ValueError where there are none, or one has no letter or digit.
        """
        ...

    def to(self, run: Run) -> "Encoder":
        """The same, on the device of a run."""
        ...
