"""Decentralised training on images that are protected where they lie: scenario I of UGE (Ye and Wang, CVPR 2024, arXiv
2404.14016), as an app of Flower (extra `federated`).

The server publishes the initial network. Every client protects its own images for it, publishes them, and trains on
those alone; the server averages what comes back (FedAvg: McMahan et al., AISTATS 2017, arXiv 1602.05629).
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unlearnable.data import ImageSet
from unlearnable.engines.client import Client, gathered
from unlearnable.engines.flower import Simulation
from unlearnable.engines.partition import Rows, concentration, shares
from unlearnable.protections import Protection, describe, protection
from unlearnable.run import Run
from unlearnable.training import Authorised, Handed, Recipe, accuracy

_LOCAL = Recipe(epochs=4, lr=0.02, batch=32)  # a round is short, and the usual rate too much for it


@dataclass(frozen=True)
class Federation:
    """Who trains together, and how.

    clients: 2 or more; rounds: of averaging; split: of the images, "iid" or "dirichlet:ALPHA" (`partition.shares`);
    method: a protection, or None for the control, in which clean images are published; options: its hyper-parameters;
    recipe: of the network, and of each client's training in one round; patience: seconds after which a client that
    has not answered counts as failed; drops: (round, client) pairs in which a client leaves just before it answers, a
    rehearsal (round 0: before it publishes). Raises ValueError for what cannot be, naming what can.
    """

    clients: int = 4
    rounds: int = 3
    split: str = "iid"
    method: str | None = "uge:blind-no-undistill-quick"
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = _LOCAL
    patience: float = 3600.0
    drops: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.clients < 2 or self.rounds < 1 or not self.patience > 0:
            raise ValueError(
                f"clients must be 2 or more, rounds 1 or more, patience above 0, got {self.clients}, {self.rounds}, "
                f"{self.patience:g}"
            )
        concentration(self.split)
        for turn, client in self.drops:
            if not (0 <= turn <= self.rounds and 0 <= client < self.clients):
                raise ValueError(
                    f"drops must be (round, client) pairs, round 0 to {self.rounds}, client 0 to {self.clients - 1}, "
                    f"got ({turn}, {client})"
                )
        if self.method is None and self.options:
            raise ValueError(f"options are of a method, and there is none: leave out {', '.join(self.options)}")
        self.protection()
        self.recipe.check()

    def protection(self) -> Protection | None:
        """The protection that every client uses. Raises ValueError naming what is allowed."""
        if self.method is None:
            return None
        made = protection(self.method, **self.options)
        if getattr(made, "bundles", ()):
            raise ValueError("options must not name bundles: clients protect for the network of this federation")
        return made

    @property
    def described(self) -> dict[str, Any] | None:
        """The protection as the server names it to clients."""
        made = self.protection()
        return None if made is None else describe(made)

    def published(self, data: ImageSet, run: Run) -> Authorised:
        """The initial network: made blind where the protection is for such. Raises ValueError where it cannot be."""
        handed = Handed("blind" if getattr(self.protection(), "blind", False) else "plain")
        return Authorised.drawn(self.recipe.having(handed), data.classes, data.size, run.seed)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of it. accuracy: of the global network on test images, before the first round and after each; failed:
    the clients that did not publish, and then, for each round, those that did not answer; reasons: in their words.

    protected: the images of all who published, client by client; rows: which images of the training set they were;
    network: the global one, in eval mode.
    """

    accuracy: tuple[float, ...]
    failed: tuple[tuple[int, ...], ...]
    reasons: tuple[str, ...]
    protected: ImageSet
    rows: Rows
    network: nn.Module


def federate(federation: Federation, train: ImageSet, test: ImageSet, run: Run) -> Outcome:
    """Splits `train` among clients and simulates all of it on this machine; nothing leaves it. Flower's simulation
    starts a process for each client that works at the same time, with a thread each.

    Each client has a seed of its own, which follows from that of `run`; `run` is told of every round. A client that
    fails, or does not answer in time, is left out of that round, and comes back in the next. Raises ValueError for
    images that do not do (`partition.shares`), test images of another size or other classes, a missing Flower, and
    where nobody published or nobody ever answered.
    """
    simulation = Simulation.at_hand(federation.clients, federation.patience, run)
    authorised, method = federation.published(train, run), federation.described
    authorised.check(test)
    parts = shares(train.labels, federation.clients, federation.split, run)
    network, measured = authorised.start(train, run).eval(), list[float]()

    def measure(turn: int, weights: Mapping[str, Tensor]) -> None:
        network.load_state_dict(dict(weights))
        measured.append(accuracy(network, test, run))
        run.report("federated", turn, federation.rounds, {"accuracy": measured[-1]})

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for number, rows in enumerate(parts):
            own = Run(run.number(f"client-{number}"), "cuda" if run.at.type == "cuda" else "cpu", run.precision)
            drops = [turn for turn, client in federation.drops if client == number]
            Client.new(number, Path(folder), train.subset(rows), own, drops)
        found = simulation.start(Path(folder), authorised, method, federation.rounds, measure)
    if not found.published or all(len(failed) == federation.clients for failed in found.failed[1:]):
        did = "answered" if found.published else "published"
        raise ValueError(f"no client ever {did}; the first said: {found.reasons[0] if found.reasons else 'nothing'}")
    there = sorted(found.published)
    return Outcome(
        tuple(measured), tuple(found.failed), tuple(found.reasons), gathered([found.published[n] for n in there]),
        torch.cat([parts[n] for n in there]), network,
    )  # fmt: skip
