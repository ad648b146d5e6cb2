"""Who has which images: how a set is split among clients."""

import math

import torch
from jaxtyping import Int64
from torch import Tensor

from unlearnable.pixels import Labels
from unlearnable.run import Run

Rows = Int64[Tensor, "_"]  # of a set, ascending
LEAST, KINDS = 10, 2
"""Images, and classes among them, that every client has: with less there is nothing to train, or to protect."""
_TRIES = 50
_LEAST_ALPHA = 0.01  # below, the draws underflow, and shares come out equal


def shares(labels: Labels, clients: int, split: str, run: Run) -> list[Rows]:
    """The rows of each of `clients`, ascending; every row is somebody's. Which, depends on the seed alone.

    labels (n,); split: "iid", or "dirichlet:ALPHA": of every class clients have shares drawn from a Dirichlet
    distribution, the more alike the larger ALPHA is; drawn again while somebody has less than `LEAST` images or
    `KINDS` classes. Raises ValueError for fewer than two clients, another split, unknown labels, and where no draw
    leaves everybody enough.
    """
    alpha = concentration(split)
    if clients < 2:
        raise ValueError(f"clients must be 2 or more, got {clients}")
    if unknown := int((labels < 0).sum()):
        raise ValueError(f"{unknown} of {len(labels)} images have no label: clients train on labelled images alone")
    if len(labels) < clients * LEAST:
        raise ValueError(f"{clients} clients need {clients * LEAST} images, {LEAST} each, got {len(labels)}")
    for attempt in range(_TRIES):
        found = _even(labels, clients, run, attempt) if alpha is None else _skewed(labels, clients, alpha, run, attempt)
        if all(len(rows) >= LEAST and len(labels[rows].unique()) >= KINDS for rows in found):
            return found
    raise ValueError(
        f"in {_TRIES} draws of {split} some client always had fewer than {LEAST} images or {KINDS} classes: take fewer "
        f"clients than {clients}{'' if alpha is None else f', or an alpha above {alpha:g}'}"
    )


def concentration(split: str) -> float | None:
    """ALPHA of "dirichlet:ALPHA"; None for "iid". Raises ValueError for anything else."""
    kind, _, text = split.partition(":")
    if split == "iid":
        return None
    try:
        alpha = float(text)
    except ValueError:
        alpha = math.nan
    if kind != "dirichlet" or not _LEAST_ALPHA <= alpha < math.inf:
        raise ValueError(
            f"split must be iid, or dirichlet:ALPHA with ALPHA {_LEAST_ALPHA:g} or above (dirichlet:0.5), got {split!r}"
        )
    return alpha


def _even(labels: Labels, clients: int, run: Run, attempt: int) -> list[Rows]:
    order = torch.randperm(len(labels), generator=run.rng("split-order", attempt))
    return [rows.sort().values for rows in order.tensor_split(clients)]


def _skewed(labels: Labels, clients: int, alpha: float, run: Run, attempt: int) -> list[Rows]:
    present = labels.unique()
    with run.seeded("split-shares", attempt):  # distributions take no generator
        even = torch.full((clients,), alpha, dtype=torch.float64)
        drawn = torch.distributions.Dirichlet(even).sample((len(present),))
    own: list[list[Rows]] = [[] for _ in range(clients)]
    for label, share in zip(present, drawn, strict=True):
        rows = (labels == label).nonzero().flatten()
        rows = rows[torch.randperm(len(rows), generator=run.rng("split-order", attempt, int(label)))]
        ends = (share.cumsum(0) * len(rows)).round().long()[:-1].clamp(0, len(rows))
        for client, part in enumerate(rows.tensor_split(ends)):
            own[client].append(part)
    return [torch.cat(parts).sort().values for parts in own]
