"""What one client does: it protects its own images for the network that the server published, and trains on those.

Nothing here knows how messages travel (`federated` does), and training never sees the originals.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from unlearnable.data import ImageSet
from unlearnable.models.stored import stored
from unlearnable.perturbation import apply
from unlearnable.protections import protection
from unlearnable.run import Run, write_atomically
from unlearnable.training import Authorised, Handing

_BUNDLE = "the bundle of the server"


@dataclass(frozen=True)
class Client:
    """Somebody with images of their own, in a folder. number: from 0, among the clients who keep theirs there."""

    number: int
    folder: Path

    @staticmethod
    def new(number: int, folder: Path, data: ImageSet, run: Run, drops: Sequence[int] = ()) -> "Client":
        """With these images, and the seed, device and precision of `run`. drops: the rounds that they leave when their
        work is done and before they answer; 0: before they publish.
        """
        said = {"seed": run.seed, "device": run.device, "precision": run.precision}
        about = {"run": said, "classes": data.classes, "drops": list(drops)}
        tensors = {"images": data.images.contiguous(), "labels": data.labels.contiguous()}
        write_atomically(folder / f"{number}.safetensors", save(tensors))
        write_atomically(folder / f"{number}.json", json.dumps(about).encode())
        return Client(number, folder)

    @cached_property
    def about(self) -> dict[str, Any]:
        """What was said of them besides their images."""
        found: dict[str, Any] = json.loads((self.folder / f"{self.number}.json").read_text())
        return found

    @cached_property
    def run(self) -> Run:
        """Their own seed; nobody is told."""
        return Run(**self.about["run"])

    def own(self) -> ImageSet:
        """The originals."""
        tensors = load_file(self.folder / f"{self.number}.safetensors")
        return ImageSet(tensors["images"], tensors["labels"], tuple(self.about["classes"]))

    def protect(self, bundle: Mapping[str, bytes], method: Mapping[str, Any] | None) -> ImageSet:
        """The images to publish. bundle: its files; method: as `protections.describe` says it, None for no change.

        Raises ValueError for a bundle that is spoilt or for other images, and as the method does.
        """
        authorised, published = Authorised.of(bundle, _BUNDLE), self.own()
        authorised.check(published)
        if method is not None:
            published = self._protected(authorised, published, method)
        self.leave_in(0)
        return published

    def _protected(self, authorised: Authorised, own: ImageSet, method: Mapping[str, Any]) -> ImageSet:
        with tempfile.TemporaryDirectory() as folder:
            authorised.write(place := Path(folder) / "bundle")
            made = protection(**method)
            if isinstance(made, Handing):
                made = replace(made, bundles=(str(place),))  # type: ignore[type-var]
            return apply(made.fit(own, self.run), own, made.budget, self.run)

    def train(
        self, bundle: Mapping[str, bytes], weights: Mapping[str, Tensor], published: ImageSet, turn: int
    ) -> dict[str, Tensor]:
        """Weights and statistics after a round, the first being 1, from the global ones; of published images alone.

        Raises ValueError where the loss was no number.
        """
        found = local(Authorised.of(bundle, _BUNDLE), weights, published, self.of_round(turn))
        self.leave_in(turn)
        return found

    def of_round(self, turn: int) -> Run:
        """Every round has an order of images of its own."""
        return replace(self.run, seed=self.run.number(f"round-{turn}"))

    def leave_in(self, turn: int) -> None:
        """Raises RuntimeError in the rounds in which this client drops out."""
        if turn in self.about["drops"]:
            raise RuntimeError(f"client {self.number} dropped out in round {turn}, as it was told to")


def local(authorised: Authorised, weights: Mapping[str, Tensor], data: ImageSet, run: Run) -> dict[str, Tensor]:
    """The recipe's epochs on these images, from these weights: all of the state that comes of it, on the CPU.

    Raises ValueError for images of another size or other classes, and where the loss was no number.
    """
    network = authorised.start(data, run)
    network.load_state_dict(dict(weights))
    trained = authorised.recipe.train(data, run, begin=network)
    if trained.diverged:
        raise ValueError(f"the loss was no number at lr {authorised.recipe.lr:g}: take a lower one")
    return stored(trained.network, half=False)


def gathered(parts: list[ImageSet]) -> ImageSet:
    """All of them as one set, in that order; they have the same classes."""
    images, labels = (torch.cat([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    return ImageSet(images, labels, parts[0].classes)
