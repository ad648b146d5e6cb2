"""What travels, by Flower (extra `federated`): a server and clients that answer it, simulated on this machine.

Arrays and bytes travel as Flower's own records, and only between processes of this machine.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from json import dumps, loads
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unlearnable.data import ImageSet
from unlearnable.engines.client import Client
from unlearnable.engines.ray import ALONE
from unlearnable.extras import imported
from unlearnable.run import Run
from unlearnable.training import Authorised
from unlearnable.training.bundle import contents

_ALONE = ALONE | {"FLWR_TELEMETRY_ENABLED": "0"}
"""Neither Flower nor Ray calls anybody, and nobody can call them; both read it when they are imported."""
_ROOM = 40  # characters: Ray makes sockets below its folder, whose whole paths must stay below 108
Measure = Callable[[int, Mapping[str, Tensor]], None]


@dataclass
class Found:
    """What the server came to know. published: images by client; failed: for the publishing, and for each round, the
    clients that did not answer; reasons: what the failed ones said, or that some were silent.
    """

    published: dict[int, ImageSet] = field(default_factory=dict)
    failed: list[tuple[int, ...]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    nodes: dict[int, int] = field(default_factory=dict)
    """The client that each of Flower's nodes said it is, the first time."""

    def heard(self, replies: Iterable[Any], clients: int) -> list[Any]:
        """The answers that are some, by client, so that sums do not depend on who was first; the others are counted."""
        good, said = {}, []
        for reply in replies:
            if reply.has_error():
                said.append(_reason(reply.error.reason))
            elif (client := self._whose(reply, clients)) is None or client in good:
                said.append(f"node {reply.metadata.src_node_id} did not say which client it is, or that of another")
            else:
                good[client] = reply
        if silent := clients - len(good) - len(said):
            said.append(f"{silent} of {clients} clients did not answer in time")
        self.reasons.extend(sorted(said))
        self.failed.append(tuple(client for client in range(clients) if client not in good))
        return [good[client] for client in sorted(good)]

    def _whose(self, reply: Any, clients: int) -> int | None:
        """The client that answers; None where it names none, or another than before."""
        try:
            client = int(reply.content["who"]["client"])
        except (KeyError, TypeError, ValueError):
            return None
        known = 0 <= client < clients and self.nodes.setdefault(reply.metadata.src_node_id, client) == client
        return client if known else None


@dataclass(frozen=True)
class Simulation:
    """Flower's simulation engine. patience: seconds to wait for answers."""

    clients: int
    patience: float
    run: Run

    @staticmethod
    def at_hand(clients: int, patience: float, run: Run) -> "Simulation":
        """With Flower imported, its telemetry off. Raises ValueError where it is missing or was imported with it on."""
        if "flwr" in sys.modules and os.environ.get("FLWR_TELEMETRY_ENABLED") != "0":
            raise ValueError("flwr was imported with its telemetry on: set FLWR_TELEMETRY_ENABLED=0 before that")
        os.environ.update(_ALONE)
        for library in ("ray", "flwr.simulation"):
            imported(library, "federated training", "federated")
        return Simulation(clients, patience, run)

    def start(
        self, folder: Path, authorised: Authorised, method: Mapping[str, Any] | None, rounds: int, measure: Measure
    ) -> Found:
        """All of it: publishing, then rounds. folder: of the clients; measure: told the global state of every round."""
        import flwr.simulation  # not before its telemetry is off

        found = Found()
        bundle, initial = _files(authorised, folder / "bundle"), dict(authorised.weights)
        server = _server(self, found, {**bundle, "method": dumps(method)}, initial, rounds, measure)
        cores = min(self.clients, os.cpu_count() or 1)
        gpus = torch.cuda.device_count() / cores if self.run.at.type == "cuda" else 0.0
        backend = {
            "client_resources": {"num_cpus": 1, "num_gpus": gpus},
            # a cluster of its own, whatever RAY_ADDRESS says
            "init_args": {"address": "local", "num_cpus": cores, "log_to_driver": False} | _place(folder / "ray"),
        }
        with _quietly(folder):
            flwr.simulation.run_simulation(server, _client(str(folder)), self.clients, backend_config=backend)
        return found


def _server(
    simulation: Simulation, found: Found, publish: Mapping[str, Any], initial: Mapping[str, Tensor], rounds: int,
    measure: Measure,
) -> Any:  # fmt: skip
    """The app of the server: asks for protected images, then averages by Flower's own strategy."""
    from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
    from flwr.serverapp import ServerApp
    from flwr.serverapp.strategy import FedAvg

    class Averaging(FedAvg):  # type: ignore[misc]
        """Says who did not answer; a failure never ends a run."""

        def aggregate_train(self, server_round: int, replies: Iterable[Any]) -> Any:
            return super().aggregate_train(server_round, found.heard(replies, simulation.clients))

    def main(grid: Any, context: Any) -> None:
        nodes = _nodes(grid, simulation)
        content = RecordDict({"publish": ConfigRecord(dict(publish))})
        asked = [Message(content, node, "query") for node in nodes]
        for reply in found.heard(grid.send_and_receive(asked, timeout=simulation.patience), simulation.clients):
            who = reply.content["who"]
            found.published[int(who["client"])] = _images(reply.content["images"], loads(who["classes"]))
        if not found.published:
            return
        averaging = Averaging(fraction_evaluate=0.0, min_train_nodes=simulation.clients)
        averaging.start(
            grid, ArrayRecord(torch_state_dict=initial), rounds, simulation.patience,
            evaluate_fn=lambda turn, arrays: measure(turn, arrays.to_torch_state_dict()),
        )  # fmt: skip

    app = ServerApp()
    app.main()(main)
    return app


@dataclass(frozen=True)
class Answers:
    """What every client answers. folder: of all of them. What one publishes it keeps in the state that Flower keeps.

    A class, so that Ray finds it by its name: no code travels.
    """

    folder: str

    def who(self, context: Any) -> Client:
        """The client that is asked."""
        return Client(int(context.node_config["partition-id"]), Path(self.folder))

    def publish(self, message: Any, context: Any) -> Any:
        """Protected images, for a bundle and the name of a method."""
        from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

        client, said = self.who(context), dict(message.content["publish"])
        method = loads(said.pop("method"))
        images = client.protect(said, method)
        arrays = {"images": Array(images.images.numpy()), "labels": Array(images.labels.numpy())}
        who = ConfigRecord({"client": client.number, "classes": dumps(images.classes)})
        content = RecordDict({"images": ArrayRecord(arrays), "who": who})
        context.state["images"], context.state["bundle"] = content["images"], ConfigRecord(said)
        return Message(content, reply_to=message)

    def train(self, message: Any, context: Any) -> Any:
        """Weights after a round, for the global ones."""
        from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

        client = self.who(context)
        if "images" not in context.state:
            raise RuntimeError(f"client {client.number} has published nothing to train on")
        images = _images(context.state["images"], client.about["classes"])
        bundle, weights = dict(context.state["bundle"]), message.content["arrays"].to_torch_state_dict()
        trained = client.train(bundle, weights, images, int(message.content["config"]["server-round"]))
        content = {
            "arrays": ArrayRecord(torch_state_dict=trained),
            "metrics": MetricRecord({"num-examples": len(images)}),
            "who": ConfigRecord({"client": client.number}),
        }
        return Message(RecordDict(content), reply_to=message)


def _client(folder: str) -> Any:
    """The app of every client."""
    from flwr.clientapp import ClientApp

    app, answers = ClientApp(), Answers(folder)
    app.query()(answers.publish)
    app.train()(answers.train)
    return app


def _images(record: Any, classes: Sequence[str]) -> ImageSet:
    """Published images, from Flower's arrays."""
    images, labels = (torch.from_numpy(record[name].numpy()) for name in ("images", "labels"))
    return ImageSet(images, labels, tuple(classes))


def _nodes(grid: Any, simulation: Simulation) -> list[int]:
    """All clients, once they are there. Raises RuntimeError where some never are."""
    until = time.monotonic() + simulation.patience
    while len(nodes := list(grid.get_node_ids())) < simulation.clients:
        if time.monotonic() > until:
            raise RuntimeError(f"only {len(nodes)} of {simulation.clients} clients after {simulation.patience:g} s")
        time.sleep(0.1)
    return nodes


def _files(authorised: Authorised, folder: Path) -> dict[str, bytes]:
    """What lies in the bundle, which is what the server publishes."""
    authorised.write(folder)
    return contents(folder)


def _reason(said: str) -> str:
    """A client's own words, without the classes that Flower wraps them in."""
    return said.removesuffix("'>").rpartition("Message: ")[2] or said


def _place(folder: Path) -> dict[str, str]:
    """Where Ray keeps its own files: with the others that go in the end, or else where it always does."""
    return {"_temp_dir": str(folder)} if len(str(folder)) <= _ROOM else {}


@contextmanager
def _quietly(home: Path) -> Iterator[None]:
    """A library does not print, nor writes into the user's home; what Flower changes in the environment is put back."""
    logger, before = logging.getLogger("flwr"), {name: os.environ.get(name) for name in ("PYTHONPATH", "FLWR_HOME")}
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    os.environ["FLWR_HOME"] = str(home / "flwr")
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ |= {} if value is None else {name: value}
