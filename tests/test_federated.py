"""Training together on images that are protected where they lie: the split, a client's part, all of it by Flower."""

import importlib
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from unlearnable.data import ImageSet
from unlearnable.engines import Federation, federate
from unlearnable.engines.client import Client, gathered, local
from unlearnable.engines.flower import Found
from unlearnable.engines.partition import KINDS, LEAST, concentration, shares
from unlearnable.models.blind import blind_to
from unlearnable.packs import digits
from unlearnable.protections import describe, protection
from unlearnable.run import Progress, Run
from unlearnable.training import Authorised, CropFlip, Handed, Recipe, accuracy
from unlearnable.training.bundle import contents

TINY = {"steps": 4, "batch": 8, "lr": 0.02, "width": 8, "blocks": 1}
RECIPE = Recipe(epochs=2, lr=0.02, batch=32, augment=(CropFlip(2, flip=False),))


@pytest.fixture(scope="module")
def many() -> ImageSet:
    return digits()[0]


@pytest.fixture
def theta(small: ImageSet) -> Authorised:
    return Authorised.drawn(RECIPE.having(Handed("blind")), small.classes, small.size, seed=5)


@pytest.fixture
def bundle(theta: Authorised, tmp_path: Path) -> dict[str, bytes]:
    theta.write(tmp_path / "bundle")
    return contents(tmp_path / "bundle")


@pytest.mark.parametrize("split", ["iid", "dirichlet:0.5", "dirichlet:100"])
@pytest.mark.parametrize("clients", [2, 7])
def test_every_image_is_somebodys_and_everybody_has_enough(split: str, clients: int, many: ImageSet, run: Run) -> None:
    found = shares(many.labels, clients, split, run)
    assert torch.cat(found).sort().values.equal(torch.arange(len(many)))
    assert len(found) == clients
    for rows in found:
        assert len(rows) >= LEAST
        assert len(many.labels[rows].unique()) >= KINDS
        assert rows.equal(rows.sort().values)
    again = shares(many.labels, clients, split, run)
    assert all(a.equal(b) for a, b in zip(found, again, strict=True))
    other = shares(many.labels, clients, split, Run(seed=1))
    assert any(len(a) != len(b) or not a.equal(b) for a, b in zip(found, other, strict=True))


def test_iid_shares_are_of_one_size_and_a_small_alpha_skews_them(many: ImageSet, run: Run) -> None:
    assert [len(rows) for rows in shares(many.labels, 7, "iid", run)] == [172] * 3 + [171] * 4

    def skew(alpha: str) -> float:
        """The mean, over clients, of the share of the most frequent class."""
        found = shares(many.labels, 4, f"dirichlet:{alpha}", run)
        counts = [many.labels[rows].bincount(minlength=10).float() for rows in found]
        return sum(float(one.max() / one.sum()) for one in counts) / 4

    assert skew("0.1") > 0.25
    assert skew("1000") < 0.15


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("dirichlet:0", "ALPHA 0.01 or above"),
        ("dirichlet:-1", "got 'dirichlet:-1'"),
        ("dirichlet:nan", "ALPHA 0.01 or above"),
        ("dirichlet:inf", "ALPHA 0.01 or above"),
        ("dirichlet", "ALPHA 0.01 or above"),
        ("iid:3", "iid, or dirichlet"),
        ("even", "iid, or dirichlet"),
    ],
)
def test_another_split_is_refused(split: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        concentration(split)


def test_what_cannot_be_split_is_refused(small: ImageSet, many: ImageSet, run: Run) -> None:
    with pytest.raises(ValueError, match="clients must be 2 or more, got 1"):
        shares(small.labels, 1, "iid", run)
    with pytest.raises(ValueError, match="10 clients need 100 images, 10 each, got 96"):
        shares(small.labels, 10, "iid", run)
    with pytest.raises(ValueError, match="1 of 96 images have no label"):
        shares(torch.cat([torch.tensor([-1]), small.labels[1:]]), 2, "iid", run)
    with pytest.raises(ValueError, match=r"fewer clients than 9, or an alpha above 0.01"):
        shares(many.labels, 9, "dirichlet:0.01", run)
    with pytest.raises(ValueError, match=r"or 2 classes: take fewer clients than 2$"):
        shares(torch.zeros(40, dtype=torch.int64), 2, "iid", run)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"clients": 1}, "clients must be 2 or more"),
        ({"rounds": 0}, "rounds 1 or more"),
        ({"patience": 0.0}, "patience above 0"),
        ({"split": "dirichlet:0"}, "ALPHA 0.01 or above"),
        ({"method": "no"}, "method must be one of"),
        ({"options": {"no": 1}}, "uge has no no"),
        ({"options": {"bundles": ("x",)}}, "must not name bundles"),
        ({"method": None, "options": {"steps": 1}}, "there is none: leave out steps"),
        ({"drops": ((4, 0),)}, r"round 0 to 3, client 0 to 3, got \(4, 0\)"),
        ({"recipe": Recipe(model="no")}, "model must be one of"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Federation(**values)


def test_the_network_is_blind_where_the_protection_is_for_such(small: ImageSet, run: Run) -> None:
    for method, blind in (("uge:blind-no-undistill-quick", True), ("lsp", False), (None, False)):
        given = Federation(method=method).published(small, run)
        assert (blind_to(given.start(small, run)) is not None) == blind
    with pytest.raises(ValueError, match="cannot be made blind"):
        Federation(recipe=Recipe(model="lenet")).published(small, run)


def test_a_client_protects_for_the_network_of_the_bundle(
    small: ImageSet, bundle: dict[str, bytes], theta: Authorised, tmp_path: Path
) -> None:
    small = small.subset(torch.arange(16))
    own = Client.new(0, tmp_path, small, Run(3, "cpu", "fp32"))
    method = describe(protection("uge:blind-no-undistill-quick", **TINY))
    published = own.protect(bundle, method)
    assert published.labels.equal(small.labels)
    change = published.images.float() - small.images.float()
    assert 0 < change.abs().max() <= 11
    unseen = blind_to(theta.start(small, Run()))
    assert unseen is not None
    free = ((small.images > 20) & (small.images < 235)).all(1)[:, None].expand_as(change)
    at = change.permute(0, 2, 3, 1)[free.permute(0, 2, 3, 1)].view(-1, 3)
    strength = at @ unseen / unseen.norm() ** 2
    assert (at - strength[:, None] * unseen).abs().max() <= 1  # rounding leaves the direction by half a level
    assert own.protect(bundle, None).images.equal(small.images)
    other = Client.new(1, tmp_path, small, Run(4, "cpu", "fp32")).protect(bundle, method)
    assert not other.images.equal(published.images)
    wrong = Client.new(2, tmp_path, replace(small, classes=(*small.classes, "ten")), Run(4, "cpu", "fp32"))
    with pytest.raises(ValueError, match="for 10 classes, these images have 11"):
        wrong.protect(bundle, method)


def test_training_sees_what_was_published_and_never_the_originals(
    small: ImageSet, bundle: dict[str, bytes], theta: Authorised, tmp_path: Path
) -> None:
    client = Client.new(0, tmp_path, small, Run(3, "cpu", "fp32"), drops=(0, 2))
    (tmp_path / "0.safetensors").unlink()
    first = client.train(bundle, theta.weights, small, 1)
    again = local(theta, theta.weights, small, client.of_round(1))
    assert all(first[name].equal(again[name]) for name in first)
    assert first.keys() == theta.weights.keys()  # with what batch normalisation counts
    other = local(theta, theta.weights, small, client.of_round(2))
    assert any(not first[name].equal(other[name]) for name in first)
    with pytest.raises(RuntimeError, match="client 0 dropped out in round 2"):
        client.train(bundle, theta.weights, small, 2)
    wild = replace(theta, recipe=replace(RECIPE, lr=1e6))
    with pytest.raises(ValueError, match=r"no number at lr 1e\+06"):
        local(wild, theta.weights, small, client.run)


def test_the_mean_of_networks_stays_blind(theta: Authorised, many: ImageSet) -> None:
    """Weights orthogonal to a colour are so on average, and three rounds of coloured images do not turn them."""
    coloured = many.with_images(many.images.clone())
    coloured.images[:, 0] = (coloured.images[:, 0].int() + 20 * coloured.labels[:, None, None]).clamp(0, 255).byte()
    parts = [coloured.subset(rows) for rows in torch.arange(300).split(100)]
    before, weights = blind_to(theta.start(coloured, Run())), dict(theta.weights)
    for turn in range(3):
        found = [local(theta, weights, part, Run(10 * turn + n, "cpu", "fp32")) for n, part in enumerate(parts)]
        means = {name: torch.stack([one[name].double() for one in found]).mean(0) for name in weights}
        weights = {name: mean.to(weights[name].dtype) for name, mean in means.items()}
    network = theta.start(coloured, Run())
    network.load_state_dict(weights)
    after = blind_to(network)
    assert before is not None
    assert after is not None
    assert (before - after).abs().max() < 1e-3
    assert accuracy(network, many.subset(torch.arange(300)), Run(device="cpu", precision="fp32")) > 0.3


def test_published_images_are_put_together_in_order(small: ImageSet) -> None:
    parts = [small.subset(rows) for rows in torch.arange(96).split(40)]
    whole = gathered(parts)
    assert whole.images.equal(small.images)
    assert whole.labels.equal(small.labels)


def test_answers_are_sorted_by_client_and_those_that_are_none_are_counted() -> None:
    def reply(client: int | None, error: str = "", node: int | None = None) -> Any:
        content = {"who": {} if client is None else {"client": client}}
        about = SimpleNamespace(src_node_id=client if node is None else node)
        failed = SimpleNamespace(reason=error)
        return SimpleNamespace(content=content, metadata=about, has_error=lambda: bool(error), error=failed)

    found, wrapped = Found(), "<class 'X'>:<'Exception occurred. Message: out of memory'>"
    heard = found.heard([reply(3), reply(0), reply(None, wrapped)], 5)
    assert [one.content["who"]["client"] for one in heard] == [0, 3]
    assert found.failed == [(1, 2, 4)]
    assert found.reasons == ["2 of 5 clients did not answer in time", "out of memory"]
    stranger = "did not say which client it is, or that of another"
    for wrong in (reply(None, node=7), reply(5, node=7), reply(-1, node=7), reply(0, node=3), reply(0, node=7)):
        assert [one.content["who"]["client"] for one in found.heard([reply(0), wrong], 5)] == [0]
        assert any(reason.endswith(stranger) for reason in found.reasons[-2:])


def test_where_flower_is_missing_what_to_install_is_said(
    small: ImageSet, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "0")
    for name in ("flwr", "flwr.simulation", "ray"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r"needs ray .*pip install 'unlearnable\[federated\]'"):
        federate(Federation(), small, small, run)


def test_flower_that_would_call_home_is_refused(small: ImageSet, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flwr", None)
    monkeypatch.delenv("FLWR_TELEMETRY_ENABLED", raising=False)
    with pytest.raises(ValueError, match="set FLWR_TELEMETRY_ENABLED=0 before that"):
        federate(Federation(), small, small, run)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # Ray's own, and its sockets'
def test_flower_averages_what_clients_learn_and_goes_on_without_some(
    monkeypatch: pytest.MonkeyPatch, many: ImageSet, run: Run
) -> None:
    """The mean of clients' networks is the global one; who drops out is named, and comes back in the next round."""
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("flwr")
        importlib.import_module("flwr.simulation")
    train, test, said = many.subset(torch.arange(240)), many.subset(torch.arange(300, 500)), list[Progress]()
    together = Federation(
        clients=3, rounds=2, method="random", split="dirichlet:5", recipe=RECIPE, drops=((0, 2), (1, 1))
    )
    found = federate(together, train, test, replace(run, listener=said.append))
    assert found.failed == ((2,), (1, 2), (2,))
    assert [reason.split()[:2] for reason in found.reasons] == [["client", n] for n in ("2", "1", "2", "2")]
    assert [event.figures["accuracy"] for event in said] == list(found.accuracy)
    assert len(found.accuracy) == 3

    parts = shares(train.labels, 3, "dirichlet:5", run)
    assert found.rows.equal(torch.cat(parts[:2]))
    assert found.protected.labels.equal(train.labels[found.rows])
    change = found.protected.images.int() - train.images[found.rows].int()
    assert 0 < change.abs().max() <= 8

    theta, published = together.published(train, run), found.protected.images.split([len(rows) for rows in parts[:2]])
    sets = [train.subset(rows).with_images(images) for rows, images in zip(parts[:2], published, strict=True)]
    own = [Run(run.number(f"client-{n}"), "cpu", "fp32") for n in range(2)]

    def turn(weights: dict[str, torch.Tensor], who: list[int], number: int) -> dict[str, torch.Tensor]:
        states = [local(theta, weights, sets[n], replace(own[n], seed=own[n].number(f"round-{number}"))) for n in who]
        count = sum(len(sets[n]) for n in who)
        return {
            name: sum(len(sets[n]) / count * state[name].double() for n, state in zip(who, states, strict=True))
            for name in weights
        }  # type: ignore[return-value]

    expected = theta.start(train, run)
    expected.load_state_dict(turn(turn(dict(theta.weights), [0], 1), [0, 1], 2))
    for name, tensor in found.network.state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name], rtol=2e-3, atol=2e-3)
