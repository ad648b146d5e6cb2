"""AR: autoregressive perturbations. Sandoval-Segura et al., NeurIPS 2022, arXiv 2206.03693, algorithm 1.

| paper | here |
|---|---|
| b, 3 x 3 coefficients for each channel, the last of them 0, sum 1 | one process for each class |
| start signal N(0, 1), 36 x 36; the first 4 rows and columns dropped | `followed` |
| a signal's norm at most 50; the others' filters answer at least 10 or 3 | _AT_MOST; most among `candidates` |
| epsilon, an L2 radius of 1 at 32 px | budget of the preset `paper`: a root mean square of 1 / sqrt(3072) |

Differs from the paper:
* a row is solved at once for all images of a class; the start signal is drawn by (seed, image);
* of some stable processes those are taken that answer most to each other's signals, not the first above a threshold,
  whose search takes hours; 8/255 in L-infinity, `overdrive` times as strong, cut.
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float32, Float64
from torch import Tensor
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.perturbation import check_range, kind
from unlearnable.pixels import LINF8, Budget, Index, Labels, Pixels
from unlearnable.protections._fields import Checked, Positive
from unlearnable.protections._noise import own_noise
from unlearnable.run import Run

Processes = Float32[Tensor, "k 3 3 3"]
Signals = Float64[Tensor, "m 3 s s"]
Starts = Float64[Tensor, "m n 3 _ _"]
_MARGIN = 4  # rows and columns at the start of a signal, which are noise yet
_AT_MOST = 50 / math.sqrt(3072)  # root mean square of a signal
_DRAWN = 4096  # processes at once, about 1 in 80 of them stable
_HEARD = 64  # pixels a side of a signal that filters are tried on: enough to tell processes apart at any size
_AT_ONCE = 2**22  # answers of a filter to a pixel, for each part of the work


@dataclass(frozen=True)
class AR(Checked):
    """Noise in which every pixel follows from its neighbours by the rule of its class; every image gets its own.

    candidates: from how many stable processes those of the classes are chosen, 6 for each class at least.
    Raises ValueError for fewer than 1, an overdrive not above 0, more than 1,000 classes, images below 3 px a side.
    """

    needs_labels = True
    needs_images: ClassVar[bool] = False
    transfers: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"budget": {"norm": "l2", "eps": 1 / math.sqrt(3072)}, "overdrive": 1.0},
    }

    budget: Budget = field(default=LINF8)
    candidates: int = 256
    overdrive: Positive = 1.0

    def fit(self, data: ImageSet, run: Run) -> "Autoregressive":
        """Chooses a process for each class, each as unlike those before it as can be had."""
        rng, wanted = run.rng("ar-processes"), len(data.classes)
        if wanted > 1000:
            raise ValueError(f"ar serves 1000 classes at most, got {wanted}: its search grows with their square")
        if data.size < 3:
            raise ValueError(f"ar needs images of 3 pixels a side or more, got {data.size}: its filters are 3 x 3")
        pools = [_stable(data.size, rng)]
        while sum(len(pool) for pool, _ in pools) < max(self.candidates, 6 * wanted):
            pools.append(_stable(data.size, rng))
        found, signals = (torch.cat(parts) for parts in zip(*pools, strict=True))
        apart = answers(found, signals)
        apart = torch.minimum(apart, apart.T)
        chosen = [int(apart.sum(1).argmax())]
        while len(chosen) < wanted:
            least = apart[:, chosen].amin(1)
            chosen.append(int(least.index_fill(0, torch.tensor(chosen), -1.0).argmax()))
        return Autoregressive(found[chosen[:wanted]], data.size, self.overdrive * self.budget.eps, run.seed)


@kind
@dataclass(frozen=True, eq=False)
class Autoregressive:
    """x + a signal of its class's process with root mean square `rms`, started from noise of its own."""

    processes: Processes
    size: int
    rms: float
    seed: int

    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels:
        check_range(labels, len(self.processes), "label")
        change = torch.zeros(x.shape, dtype=torch.float64)
        for label in labels.unique():
            mine = (labels == label).nonzero()[:, 0]
            noise = own_noise("ar", index[mine], (3, self.size + _MARGIN, self.size + _MARGIN), self.seed)
            change[mine] = followed(self.processes[label][None], noise.double()[None])[0]
        scale = self.rms / change.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
        return x + (change * scale).to(x)


def followed(processes: Processes, starts: Starts) -> Starts:
    """n signals of each of m processes: from the third row and column of the start on, every value is what the process
    makes of its neighbours above and to the left. Without the first 4: (m, n, 3, s + 4, s + 4) -> (m, n, 3, s, s).
    """
    b, signals, side = processes.double(), starts.clone(), starts.shape[-1]
    band = torch.eye(side, dtype=torch.float64).repeat(len(b), 3, 1, 1)
    for back in (1, 2):
        band -= b[:, :, 2, 2 - back, None, None] * torch.diag(torch.ones(side - back, dtype=torch.float64), -back)
    band[:, :, :2] = torch.eye(side, dtype=torch.float64)[:2]
    for row in range(2, side):
        windows = signals[:, :, :, row - 2 : row].unfold(-1, 3, 1)
        above = torch.einsum("mncrwj,mcrj->mncw", windows, b[:, :, :2])
        given = torch.cat([signals[:, :, :, row, :2], above], 3).permute(0, 2, 3, 1)
        signals[:, :, :, row] = torch.linalg.solve_triangular(band, given, upper=False).permute(0, 3, 1, 2)
    return signals[..., _MARGIN:, _MARGIN:]


def matching(processes: Processes) -> Processes:
    """The filters that answer 0 wherever a signal follows the process."""
    filters = processes.clone()
    filters[:, :, 2, 2] = -1
    return filters


def answers(processes: Processes, signals: Signals) -> Float32[Tensor, "m k"]:
    """How strongly each process's filter answers to each signal, scaled to length 1: 0 where they match."""
    signals = signals / signals.square().sum((1, 2, 3), keepdim=True).sqrt()
    filters = matching(processes)
    part = max(1, _AT_ONCE // (len(filters) * signals.shape[-1] ** 2))
    return torch.cat([F.conv2d(some.float(), filters).relu().sum((2, 3)) for some in signals.split(part)])


def _stable(size: int, rng: torch.Generator) -> tuple[Processes, Signals]:
    """Random processes none of whose signals grows, each with its last one: found at few pixels, looked at again."""
    drawn = torch.randn(_DRAWN, 3, 3, 3, generator=rng)
    drawn[:, :, 2, 2] = 0
    drawn /= drawn.sum((2, 3), keepdim=True)
    kept = drawn[(_settles(drawn[..., 2, :2]) & _settles(drawn[..., :2, 2])).all(1)]
    for side, trials in ((8, 1), (16, 1), (size, 3)):
        starts = torch.randn(len(kept), trials, 3, side + _MARGIN, side + _MARGIN, generator=rng, dtype=torch.float64)
        signals = followed(kept, starts)
        steady = signals.square().mean((2, 3, 4)).sqrt().nan_to_num(math.inf).amax(1) <= _AT_MOST
        kept, signals = kept[steady], signals[steady]
    return kept, signals[:, -1, :, :_HEARD, :_HEARD].clone()


def _settles(back: Tensor) -> Tensor:
    """Whether y[t] = back[0] y[t - 2] + back[1] y[t - 1] dies away (Jury's conditions)."""
    return (back[..., 0].abs() < 1) & (back[..., 0] + back[..., 1].abs() < 1)
