"""The images of a fit and the perturbations that are sought for them, batch by batch; and what the fit is called."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float32
from torch import Tensor

from unlearnable.data import ImageSet
from unlearnable.perturbation import ClassWise, SampleWise
from unlearnable.pixels import Budget, Index, Labels, Pixels, pack, packing, to_float, unpack
from unlearnable.run import Run


def drawn(n: int, stage: str, step: int, batch: int, run: Run) -> Index:
    """The rows of 0..n-1 that a step takes, in a new order every epoch: this rank's part of the batch."""
    mine, size = run.shard(n), run.share(batch)
    epoch, part = divmod(step, -(-len(mine) // size))
    order = torch.randperm(len(mine), generator=run.rng(f"{stage}-order", epoch))
    return mine[order.split(size)[part]]


def take(table: Tensor, rows: Tensor, run: Run) -> Tensor:
    """Rows of a tensor that may lie in memory or on the run's device, on that device."""
    return table[rows.to(table.device)].to(run.at)


def own_noise(stream: str, rows: Index, shape: Sequence[int], seed: int) -> Float32[Tensor, "n ..."]:
    """Standard normal values for each image, by seed and row: its own wherever it comes."""
    run = Run(seed)
    return torch.stack([torch.randn(*shape, generator=run.rng(stream, int(row))) for row in rows])


class NoisyImages:
    """Images, labels and one delta for each image, or for each of the `owners`.

    The table of deltas takes a byte a value (`pixels.packing`); it lies in a file where it is large, so that a fit
    never holds more than its batches in memory. What fits on a GPU stays there.
    Raises ValueError where there is no image, or one without a label unless `labelled` says that it needs none.
    """

    def __init__(
        self, data: ImageSet, budget: Budget, run: Run, owners: Labels | None = None, labelled: bool = True
    ) -> None:
        if len(data) == 0 or (labelled and int(data.labels.min()) < 0):
            unlabelled = int((data.labels < 0).sum())
            raise ValueError(f"noise is sought for labelled images: {len(data)} images, {unlabelled} without a label")
        self._images, self._labels = run.near(data.images), run.near(data.labels)
        self._owners = None if owners is None else run.near(owners)
        self._budget, self._run = budget, run
        kept, self._unit = packing(budget)
        rows = len(data) if owners is None else len(data.classes)
        self.table = run.table((rows, 3, data.size, data.size), kept)

    def parts(self, stage: str, batch: int) -> Iterator[tuple[int, int, Index]]:
        """(part, of how many, its rows) of the rows that this rank owns, as a stage of the run that can go on later."""
        parts = self._run.shard(len(self._images)).split(batch)
        count = -(-self._run.share(len(self._images)) // batch)  # the same for every rank
        for part in self._run.loop(stage, count, {"delta": self.table}):
            if part < len(parts):
                yield part + 1, count, parts[part]

    def drawn(self, stage: str, step: int, batch: int) -> Index:
        """The rows that a surrogate is trained on at a step: see `drawn`."""
        return drawn(len(self._images), stage, step, batch, self._run)

    def clean(self, rows: Tensor) -> tuple[Pixels, Labels]:
        """Images as 0..1 and their labels, on the device."""
        return to_float(take(self._images, rows, self._run)), take(self._labels, rows, self._run)

    def noisy(self, rows: Tensor) -> tuple[Pixels, Labels]:
        """The images with their deltas as they are now, and their labels."""
        x, y = self.clean(rows)
        return x + self.delta(rows), y

    def delta(self, rows: Tensor) -> Pixels:
        """The deltas of images, on the device."""
        owners = rows if self._owners is None else take(self._owners, rows, self._run)
        return unpack(take(self.table, owners, self._run), self._unit)

    def keep(self, rows: Tensor, delta: Pixels) -> None:
        """Overwrites the deltas of images; with owners, each of theirs becomes the mean over its images."""
        if self._owners is None:
            self.table[rows.to(self.table.device)] = pack(delta, self._budget).to(self.table.device)
            return
        owners = take(self._owners, rows, self._run)
        for owner in owners.unique():
            mean = delta[owners == owner].mean(0, keepdim=True)
            self.table[owner] = pack(mean, self._budget)[0].to(self.table.device)

    def sample_wise(self) -> SampleWise:
        """What was found, a delta for each image; ranks tell one another theirs."""
        self._run.gather(self.table)
        return SampleWise(self.table.cpu(), self._unit, self._labels.cpu())

    def class_wise(self) -> ClassWise:
        """What was found, a delta for each class."""
        return ClassWise(unpack(self.table.cpu(), self._unit))
