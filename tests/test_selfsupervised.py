"""Learning without labels: the four losses against plain numpy, the loop, the probes, and the victims made of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from unlearnable.adversaries import adversary
from unlearnable.data import ImageSet
from unlearnable.experiment import evaluate
from unlearnable.models import build
from unlearnable.packs import digits
from unlearnable.pixels import to_float
from unlearnable.run import Cancelled, Progress, Run
from unlearnable.training import Learner, Pairs, Recipe, SelfSupervised
from unlearnable.training.pairs import contrast, headless, predict, retrieve
from unlearnable.training.probing import linear_probe, neighbours

LEARNERS: tuple[Learner, ...] = ("simclr", "moco", "byol", "simsiam")
QUICK = Recipe(model="lenet", epochs=2)


def codes(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))


def unit(codes: torch.Tensor) -> np.ndarray:
    values = codes.double().numpy()
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_nt_xent_is_equation_1_of_simclr() -> None:
    first, second = codes(4, 0), codes(4, 1)
    z, losses = unit(torch.cat([first, second])), []
    for i in range(8):
        others = [np.exp(z[i] @ z[k] / 0.3) for k in range(8) if k != i]
        losses.append(-np.log(np.exp(z[i] @ z[(i + 4) % 8] / 0.3) / sum(others)))
    assert contrast(first, second, 0.3).item() == pytest.approx(np.mean(losses), abs=1e-5)


def test_info_nce_is_equation_1_of_moco() -> None:
    q, k, earlier = unit(codes(4, 0)), unit(codes(4, 1)), unit(codes(6, 2))
    losses = [
        -np.log(np.exp(q[i] @ k[i] / 0.2) / (np.exp(q[i] @ k[i] / 0.2) + np.exp(earlier @ q[i] / 0.2).sum()))
        for i in range(4)
    ]
    assert retrieve(codes(4, 0), codes(4, 1), codes(6, 2), 0.2).item() == pytest.approx(np.mean(losses), abs=1e-5)


def test_prediction_is_the_squared_distance_of_unit_vectors() -> None:
    p, z = unit(codes(4, 0)), unit(codes(4, 1))
    assert predict(codes(4, 0), codes(4, 1)).item() == pytest.approx(((p - z) ** 2).sum(1).mean(), abs=1e-5)


def pairs_of(learner: Learner, run: Run) -> tuple[Pairs, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    pairs = SelfSupervised(learner, queue=6).start(build("lenet", 10, 16), run, "here")
    views = torch.rand(2, 8, 3, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    return pairs.train(), views, pairs.online(torch.cat([views[0], views[1]]))


def test_each_learner_puts_its_networks_together_as_its_paper_does(run: Run) -> None:
    pairs, views, z = pairs_of("simclr", run)
    assert torch.allclose(pairs.loss(views[0], views[1], run)[0], contrast(z[:8], z[8:], 0.5), atol=1e-5)
    pairs, views, z = pairs_of("simsiam", run)
    p = pairs.predictor(z)
    whole = (predict(p[:8], z[8:]) + predict(p[8:], z[:8])) / 2
    assert torch.allclose(pairs.loss(views[0], views[1], run)[0], whole, atol=1e-5)
    pairs, views, z = pairs_of("byol", run)
    p = pairs.predictor(z)
    whole = (predict(p[:8], z[8:]) + predict(p[8:], z[:8])) / 2  # the copy has not fallen behind yet
    assert torch.allclose(pairs.loss(views[0], views[1], run)[0], whole, atol=1e-5)
    pairs, views, _ = pairs_of("moco", run)
    loss, keys = pairs.loss(views[0], views[1], run)
    assert torch.allclose(loss, retrieve(pairs.online(views[0]), keys, pairs.earlier, 0.5), atol=1e-5)


@pytest.mark.parametrize("learner", LEARNERS)
def test_through_both_branches_the_gradient_is_another_one(learner: Learner, run: Run) -> None:
    pairs, views, _ = pairs_of(learner, run)
    one, both = (torch.autograd.grad(pairs.loss(views[0], views[1], run, way)[0], views)[0] for way in (False, True))
    assert torch.allclose(one, both, atol=1e-7) == (learner == "simclr")
    assert (one[1].abs().max() == 0) == (learner == "moco")
    assert both[1].abs().max() > 0


def test_the_slow_copy_follows_and_the_oldest_codes_go(run: Run) -> None:
    pairs, _, _ = pairs_of("moco", run)
    assert pairs.behind is not None
    slow, fast = next(pairs.behind.parameters()), next(pairs.online.parameters())
    with torch.no_grad():
        fast += 1
    wanted, old = 0.99 * slow + 0.01 * fast, pairs.earlier.clone()
    pairs.learned(torch.ones(4, 128))
    assert torch.allclose(slow, wanted, atol=1e-6)
    assert torch.equal(pairs.earlier[:2], old[4:])
    assert torch.allclose(pairs.earlier[2:].norm(dim=1), torch.ones(4))


def test_the_last_linear_layer_is_the_head() -> None:
    network = build("lenet", 10, 32)
    head = headless(network)
    assert head.out_features == 10
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, head.in_features)
    with pytest.raises(ValueError, match="Sequential does not end in a linear layer"):
        headless(nn.Sequential(nn.Conv2d(3, 4, 3)))


def test_the_probe_is_where_the_penalised_likelihood_is_flat_and_takes_features_as_they_are() -> None:
    features, labels = 3 * codes(60, 0) + 5, torch.arange(60) % 3
    layer = linear_probe(features, labels, 4)
    x, mean, scale = (v.double().numpy() for v in (features, features.mean(0), features.std(0, correction=0)))
    weight = layer.weight.double().numpy() * scale
    scores = (x - mean) / scale @ weight.T + layer.bias.double().numpy() + layer.weight.double().numpy() @ mean
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    slope = (shares - np.eye(4)[labels.numpy()]).T @ ((x - mean) / scale) / 60 + 2 * 0.01 * weight
    assert np.abs(slope).max() < 1e-3
    assert np.allclose(layer(features).double().numpy(), scores, atol=1e-3)
    assert shares[:, 3].max() < 0.05, "a class that was never seen is hardly ever the answer"


def test_neighbours_vote_by_the_exponential_of_the_cosine() -> None:
    known, asked, labels = unit(codes(60, 0)), unit(codes(30, 1)), np.arange(60) % 3
    wanted = []
    for likeness in asked @ known.T:
        near = np.argsort(-likeness)[:20]
        wanted.append(int(np.bincount(labels[near], np.exp(likeness[near] / 0.07)).argmax()))
    assert neighbours(codes(60, 0), torch.arange(60) % 3, codes(30, 1), 3).tolist() == wanted


@pytest.mark.parametrize("learner", LEARNERS)
def test_killed_and_resumed_gives_the_same_features(
    learner: Learner, small: ImageSet, run: Run, tmp_path: Path
) -> None:
    teaching = SelfSupervised(learner, epochs=3, batch=40, queue=50)

    def taught(run: Run) -> torch.Tensor:
        torch.manual_seed(0)
        network = build("lenet", 10, small.size)
        assert teaching.train(network, small.images, run)
        return network.eval()(to_float(small.images))

    whole, steps = taught(run), 0

    def stop_at_the_second() -> bool:
        nonlocal steps
        steps += 1
        return steps == 2

    with pytest.raises(Cancelled):
        taught(replace(run, directory=tmp_path, save_every=0.0, cancelled=stop_at_the_second))
    assert torch.equal(taught(replace(run, directory=tmp_path)), whole)


def test_without_a_label_a_network_learns_features(run: Run) -> None:
    train, test = digits()
    train, test = train.subset(torch.arange(400)), test.subset(torch.arange(200))
    labels = torch.where(torch.arange(400) < 50, train.labels, -1)  # what a probe on the given images needs
    events: list[Progress] = []
    recipe = adversary("simclr:strength=0.3,crops=0.7,batch=256", replace(QUICK, epochs=4))
    watching = replace(run, listener=events.append)
    learned = recipe.train(ImageSet(train.images, labels, train.classes), watching, test, clean=train)
    losses = [event.figures["loss"] for event in events if event.figures]
    assert len(losses) == 8
    assert losses[-1] < losses[0] - 0.2
    assert learned.test_acc[-1] > 0.6


def test_no_epoch_leaves_the_network_as_it_began(small: ImageSet, run: Run) -> None:
    recipe = adversary("simsiam:times=0", QUICK)
    victim, network = recipe.train(small, run, clean=small), recipe.start(small, run)
    headless(network)
    x = to_float(small.images)
    assert torch.equal(victim.network[0](x), network.eval()(x))  # type: ignore[index]


def test_the_probe_is_fitted_where_the_name_says(small: ImageSet, run: Run) -> None:
    shuffled = ImageSet(small.images, small.labels.roll(1), small.classes)
    on_clean = adversary("simclr", QUICK).train(shuffled, run, small, clean=small)
    on_given = adversary("simclr:probe=given", QUICK).train(shuffled, run, small, clean=small)
    assert on_clean.test_acc[-1] == on_clean.probes["probe_clean"] > 0.5
    assert on_given.test_acc[-1] == on_given.probes["probe_given"] < 0.3
    with pytest.raises(ValueError, match="simclr is probed on clean images"):
        adversary("simclr", QUICK).train(shuffled, run, small)
    assert adversary("simclr:given", QUICK).train(shuffled, run, small).test_acc == on_given.test_acc


def test_evaluate_tells_both_probes(small: ImageSet, run: Run) -> None:
    found = evaluate(
        small, small, small, adversaries=("moco", "grayscale+simsiam"), models=("lenet",), epochs=1, run=run
    )
    assert all(row["protected_acc"] == row["clean_acc"] for row in found.as_json()["rows"])
    assert all("clean_probe_acc" in row for row in found.as_json()["rows"])


def test_what_a_probe_of_clean_images_finds_in_random_features_is_no_verdict(small: ImageSet, run: Run) -> None:
    """Images that are all grey teach nothing; the features of random weights still serve a probe that has the clean."""
    grey = small.with_images(torch.full_like(small.images, 127))
    (row,) = evaluate(small, grey, small, adversaries=("simclr:times=0",), models=("cnn",), epochs=1, run=run).rows
    assert row.protected_acc < 0.3
    assert row.clean_probe_acc is not None
    assert row.clean_probe_acc > 0.5
    assert row.train_acc < 0.3, "of the images given, as the accuracy is"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("simclr:probe=mine", "probe of simclr must be one of clean, given, got 'mine'"),
        ("byol:times=-1", "times must be 0 to 100, got -1"),
        ("moco:strength=2", "strength must be 0 to 1, got 2"),
        ("simclr+mixup", "simclr learns without labels, .* not with Mixup"),
        ("mixup+byol", "byol learns without labels, .* not with Mixup"),
        ("cutout+moco", "moco learns without labels, .* not with CropFlip"),
        ("simsiam+early_stop", "simsiam learns without labels, .* not with EarlyStop"),
    ],
)
def test_a_wrong_name_says_what_is_allowed(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        adversary(name)


def test_wrong_numbers_say_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="batch of simclr must be 1 or more, got 0"):
        SelfSupervised(batch=0)
    with pytest.raises(ValueError, match=r"temperature must be above 0 and follow 0 to 1, got 0 and 0\.99"):
        SelfSupervised(temperature=0.0)


def test_a_loss_that_is_no_number_ends_training_with_a_flag(small: ImageSet, run: Run) -> None:
    learner = SelfSupervised(epochs=3, lr=1e30, batch=40)
    victim = replace(QUICK, augment=(), learner=learner).train(small, run, small, clean=small)
    assert victim.diverged
    assert 0 <= victim.test_acc[-1] < 0.5
