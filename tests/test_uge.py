"""UGE: its three losses against their formulae, what a fit leaves behind, and who learns from the images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import resumed
from torch.nn import functional as F

from unlearnable import perturbation
from unlearnable.adversaries import adversary
from unlearnable.data import ImageSet
from unlearnable.encoders import encoder
from unlearnable.models.blind import levels
from unlearnable.models.generator import Generator
from unlearnable.packs import digits
from unlearnable.perturbation import apply
from unlearnable.pixels import Budget, to_float
from unlearnable.protections._asked import Answers
from unlearnable.protections._encoded import Seen
from unlearnable.protections._painted import Painted, Painter, Told
from unlearnable.protections._uge_losses import FeatureDistance, Undistillation, stranger
from unlearnable.protections._uge_matching import Matching, Trajectory, early
from unlearnable.protections.uge import UGE
from unlearnable.run import Progress, Run
from unlearnable.training import Authorised, Handed, Recipe, divergence, handed_out

SMALL: dict[str, Any] = {"model": "cnn", "epochs": 1, "checkpoints": 2, "width": 8, "blocks": 1, "steps": 3,
                         "batch": 40, "lr": 0.02, "hacker": "lenet", "surrogates": ("lenet",)}  # fmt: skip
BLIND = SMALL | UGE.presets["blind-no-undistill"] | {"width": 8, "blocks": 1, "steps": 3}
ROWS = torch.arange(12)


def walked(small: ImageSet, run: Run, model: str = "lenet", epochs: int = 3, seed: int = 0) -> list[Trajectory]:
    recipe = Recipe(model=model, epochs=epochs).having(Handed())
    network = Authorised.drawn(recipe, small.classes, small.size, seed=seed)
    return Trajectory.walked([network], small, 3, run)


def midtones(small: ImageSet, run: Run) -> ImageSet:
    """The same labels with other images: black pixels, which digits are full of, have no room for a whole step."""
    return small.with_images(torch.randint(40, 215, small.images.shape, generator=run.rng("mid"), dtype=torch.uint8))


def matching(ways: list[Trajectory], small: ImageSet, run: Run, *how: str) -> Matching:
    return Matching(ways, small.images, small.labels, *how, run)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", [("batch", "layer"), ("class", "all"), ("sample", "layer")])
def test_gradients_of_the_same_images_match_and_of_others_do_not(
    how: tuple[str, str], small: ImageSet, run: Run
) -> None:
    ways = walked(small, run, "cnn")
    before = [[w.clone() for w in part.state_dict().values()] for part in ways[0].checkpoints]
    objective = matching(ways, small, run, *how, "mean")
    clean = to_float(small.images[ROWS])
    assert objective(ROWS, clean, 0)[0] < 1e-5
    noisy = (clean + 0.3 * torch.randn(clean.shape, generator=run.rng("noise"))).requires_grad_()
    loss, figures = objective(ROWS, noisy, 0)
    assert 0.01 < float(figures["gradients"]) < 2
    (gradient,) = torch.autograd.grad(loss, noisy)
    assert gradient.abs().max() > 0
    after = [[w.clone() for w in part.state_dict().values()] for part in ways[0].checkpoints]
    assert all(
        torch.equal(a, b) for one, other in zip(before, after, strict=True) for a, b in zip(one, other, strict=True)
    )


def test_the_distance_is_one_less_the_cosine_of_every_layer(small: ImageSet, run: Run) -> None:
    ways = walked(small, run)
    network = ways[0].last
    x, other, y = to_float(small.images[:8]), to_float(small.images[8:16]), small.labels[:8]
    cosines = []
    grads = []
    for images in (x, other):
        copy = [w.detach().requires_grad_() for w in network.parameters()]
        logits = torch.func.functional_call(
            network, dict(zip(dict(network.named_parameters()), copy, strict=True)), images
        )
        grads.append(torch.autograd.grad(F.cross_entropy(logits, y), copy))
    for a, b in zip(*grads, strict=True):
        if a.ndim > 1:
            cosines.append(float(F.cosine_similarity(a.flatten(), b.flatten(), dim=0)))
    found = matching(ways, small, run, "batch", "layer", "mean")._distance(network, [x, other], y, torch.arange(8))
    assert float(found.detach()) == pytest.approx(1 - sum(cosines) / len(cosines), abs=1e-5)


def test_the_worst_network_counts_alone_where_that_was_asked(small: ImageSet, run: Run) -> None:
    """Of one checkpoint each: which of several is asked is drawn for each place."""
    found = walked(small, run) + walked(small, run, seed=1)
    ways = [replace(way, checkpoints=way.checkpoints[:1]) for way in found]
    noisy = to_float(small.images[ROWS]).flip(0)

    def loss(ways: list[Trajectory], how: str) -> float:
        return float(matching(ways, small, run, "batch", "layer", how)(ROWS, noisy, 0)[0].detach())

    alone = [loss([way], "mean") for way in ways]
    assert max(alone) - min(alone) > 1e-3
    assert loss(ways, "worst") == pytest.approx(max(alone), abs=1e-5)
    assert loss(ways, "mean") == pytest.approx(sum(alone) / 2, abs=1e-5)
    assert loss(ways, "sum") == pytest.approx(sum(alone), abs=1e-5)


def test_gradients_are_of_the_views_that_the_networks_own_recipe_gives(small: ImageSet, run: Run) -> None:
    (way,) = walked(small, run)
    bare = replace(way.network, recipe=replace(way.network.recipe, augment=()))
    one = replace(way, network=bare, checkpoints=way.checkpoints[:1])
    clean, y = to_float(small.images[ROWS]), small.labels[ROWS]
    noisy = (clean + 0.2 * torch.randn(clean.shape, generator=run.rng("noise"))).clamp(0, 1)
    wanted = matching([one], small, run, "batch", "layer", "sum")._distance(one.checkpoints[0], [clean, noisy], y, ROWS)
    found, cropped = (
        matching([each], small, run, "batch", "layer", "sum")(ROWS, noisy, 0)[0].detach()
        for each in (one, replace(one, network=way.network))
    )
    assert found == pytest.approx(float(wanted.detach()), abs=1e-6)
    assert abs(found - cropped) > 1e-4


def test_with_the_head_image_the_generator_says_the_image(small: ImageSet) -> None:
    """Equation 3: what it says, cut to within rho of the clean image."""
    network = Generator(8, 1, 1, 0).eval()
    x, y = to_float(small.images[:4]), small.labels[:4]
    change = Painter(network, 0.04, "image", None)(x, y)
    said = (network(x) + 1) / 2
    assert (x + change).equal(x + (torch.minimum(torch.maximum(said, x - 0.04), x + 0.04) - x).clamp(-0.04, 0.04))
    assert (change.abs() < 0.04).any()


def test_checkpoints_are_early_rather_than_late() -> None:
    assert early(60, 5) == [2, 9, 21, 38, 59]
    assert early(1, 3) == [0]
    assert early(3, 30) == [0, 1, 2]


def test_the_feature_distance_is_that_of_the_paper(small: ImageSet, run: Run, eyes: str) -> None:
    seen = Seen.through(eyes, small, run)
    loss = FeatureDistance.start(seen, small, 32, 1.0, run)
    protected = to_float(small.images[ROWS]).flip(3)
    found = float(loss(ROWS, protected, 0)[0])
    with torch.no_grad():
        names = encoder(eyes).text(small.classes)  # "a photo of a {}" is the encoder's to say
        clean, moved = (encoder(eyes).image(x) for x in (to_float(small.images[ROWS]), protected))
    total = 0.0
    for i, y in enumerate(small.labels[ROWS]):
        least = min((float(clean[i] @ name), c) for c, name in enumerate(names) if c != y)[1]
        total += float((moved[i] - names[least]).square().sum() - (moved[i] - clean[i]).square().sum())
        total += max(0.0, 1.0 - float((moved[i] - names[y]).square().sum()))
    assert found == pytest.approx(total / len(ROWS), abs=1e-4)


def test_undistillation_wants_right_answers_that_are_unlike_the_hacker_s(small: ImageSet, run: Run) -> None:
    last, hacker = walked(small, run)[0].last, stranger("lenet", small, run)
    x, y = to_float(small.images[ROWS]), small.labels[ROWS]
    found = float(Undistillation([last], hacker, small.labels, 0.5, 4.0, "sum", run)(ROWS, x, 0)[0])
    with torch.no_grad():
        p, q = ((network(x) / 4).softmax(1) for network in (last, hacker))
        apart = 16 * float((p * (p / q).log()).sum(1).clamp_max(5.0).mean())
        wanted = float(F.cross_entropy(last(x), y)) - 0.5 * apart
    assert found == pytest.approx(wanted, abs=1e-3)
    assert divergence(last(x), last(x), 4.0).abs() < 1e-5
    assert not any(w.requires_grad for w in hacker.parameters())


def test_undistillation_pulls_at_the_images_of_a_network_that_knows_them(small: ImageSet, run: Run) -> None:
    """Sure answers are far from a stranger's: a bound on their divergence that is too low would end the pull."""
    last, hacker = walked(small, run, "cnn")[0].last, stranger("lenet", small, run)
    list(last.parameters())[-2].mul_(3)
    assert divergence(last(to_float(small.images)), hacker(to_float(small.images)), 4.0) > 5
    pulls = []
    for omega in (0.0, 1.0):
        x = to_float(small.images[ROWS]).requires_grad_()
        Undistillation([last], hacker, small.labels, omega, 4.0, "sum", run)(ROWS, x, 0)[0].backward()
        pulls.append(x.grad)
    assert pulls[0] is not None
    assert pulls[1] is not None
    assert (pulls[1] - pulls[0]).norm() > 0.02 * pulls[0].norm()


def test_a_stranger_has_seen_the_images_once(small: ImageSet, run: Run) -> None:
    means = [
        norm.running_mean for norm in stranger("cnn", small, run).modules() if isinstance(norm, torch.nn.BatchNorm2d)
    ]
    assert all(mean is not None and mean.abs().max() > 0 for mean in means)


def test_bundles_can_be_given(small: ImageSet, run: Run, tmp_path: Path) -> None:
    """Those of the seed give what the seed gives."""
    bundle = tmp_path / "bundle"
    handed_out(UGE(**BLIND), small.classes, small.size, run.seed)[0].write(bundle)
    fits = [UGE(**BLIND | more).fit(small, run) for more in ({}, {"bundles": (str(bundle),)})]
    images = [apply(one, small, UGE(**BLIND).budget, run).images for one in fits]
    assert torch.equal(*images)
    other = tmp_path / "other"
    Authorised.drawn(Recipe().having(Handed("blind")), small.classes, small.size, seed=5).write(other)
    with pytest.raises(ValueError, match="authorised network 1 is blind to another colour"):
        UGE(**BLIND | {"bundles": (str(bundle), str(other))}).fit(small, run)
    seeing = tmp_path / "seeing"
    Authorised.drawn(Recipe(), small.classes, small.size).write(seeing)
    with pytest.raises(ValueError, match="authorised network 0 sees all colours"):
        UGE(**BLIND | {"bundles": (str(seeing),)}).fit(small, run)
    with pytest.raises(ValueError, match="is for images of 16 pixels, these have 20"):
        UGE(**BLIND | {"bundles": (str(bundle),)}).fit(perturbation.at_size(small, 20), run)


def test_all_changes_lie_in_the_direction_and_labels_are_needed(small: ImageSet, run: Run, tmp_path: Path) -> None:
    method, small = UGE(**BLIND | {"steps": 20, "lr": 0.05}), midtones(small, run)
    painted = method.fit(small, run)
    x = to_float(small.images)
    along = Handed("blind").direction(run)
    for eps in (method.budget.eps, 5 / 255):
        found = apply(painted.within(eps), small, Budget("linf", eps), run)
        change = (found.images.int() - small.images.int()).double()
        steps = change.mul(along[:, None, None]).sum(1, keepdim=True) / along.square().sum()
        across = change - steps * along[:, None, None]
        assert across.abs().max() < 1e-3, "not even rounding adds anything across it"
        step = levels(along)
        assert int(change.abs().max()) == int(255 * eps) // step * step
    faint = apply(painted.within(1 / 255), small, Budget("linf", 1 / 255), run)
    assert int((faint.images.int() - small.images.int()).abs().max()) == 1, "too few levels for a step: rounded"
    perturbation.save(tmp_path, painted, {})
    read, _ = perturbation.load(tmp_path)
    assert isinstance(read, Painted)
    assert torch.equal(
        read(x[:4], small.labels[:4], torch.arange(4)), painted(x[:4], small.labels[:4], torch.arange(4))
    )
    with pytest.raises(ValueError, match="label"):
        painted(x[:1], torch.tensor([-1]), torch.tensor([0]))


def test_a_generator_is_told_the_class_and_what_networks_answer(small: ImageSet, run: Run, tmp_path: Path) -> None:
    lasts = [way.last for seed in (0, 1) for way in walked(small, run, seed=seed)]
    x, y = to_float(small.images[:6]), small.labels[:6]
    answers = sum(network(side) for network in lasts for side in (x, x.flip(3))) / 4
    said = Told(10, lasts)(x, y)
    assert said is not None
    assert said.equal(torch.cat([F.one_hot(y, 10), (answers - answers.mean(1, keepdim=True)) / 4], 1))
    told = Told(10)(x, y)
    assert told is not None
    assert told.equal(F.one_hot(y, 10).float())
    assert Told()(x, y) is None


def test_students_are_asked_what_their_teachers_answer_to_the_view(small: ImageSet, run: Run) -> None:
    lasts = [way.last for seed in (0, 1) for way in walked(small, run, seed=seed)]
    view, rows = to_float(small.images[ROWS]).flip(3), ROWS
    said = torch.randn(len(rows), 20, generator=run.rng("said"))
    asked = Answers(lasts, 10, 3.0, run)
    assert asked.answers == 20
    loss, _ = asked.asked(said, rows, view)
    with torch.no_grad():
        parts = [divergence(network(view), said[:, 10 * k : 10 * k + 10], 3.0) for k, network in enumerate(lasts)]
    assert float(loss) == pytest.approx(float(sum(parts)) / 2, abs=1e-5)


def test_a_change_that_carries_answers_is_kept_whole_and_goes_on(small: ImageSet, run: Run, tmp_path: Path) -> None:
    method, small = UGE(**BLIND | {"students": 1.0, "lr": 0.005, "networks": 2, "steps": 4}), midtones(small, run)
    whole = method.fit(small, run)
    again = resumed(lambda run: method.fit(small, run), run, tmp_path / "work", 3)
    assert all(torch.equal(whole.weights[name], again.weights[name]) for name in whole.weights)
    perturbation.save(tmp_path / "fit", whole, {})
    read, _ = perturbation.load(tmp_path / "fit")
    assert isinstance(read, Painted)
    assert list(read.models) == ["cnn", "cnn"]
    images = [
        apply(one, small, method.budget, run).images for one in (whole, read, replace(whole, answers=_upset(whole)))
    ]
    assert images[0].equal(images[1])
    assert not images[0].equal(images[2]), "what the networks answer is in the change"


def _upset(painted: Painted) -> dict[str, torch.Tensor]:
    return {name: w.flip(0) if name.endswith("weight") and w.ndim == 2 else w for name, w in painted.answers.items()}


def test_the_trajectory_is_walked_again_and_resuming_gives_the_same(
    small: ImageSet, run: Run, tmp_path: Path, eyes: str
) -> None:
    method = UGE(**SMALL | {"encoder": eyes, "undistil": 0.0, "refresh": 2, "steps": 5})
    whole = method.fit(small, replace(run, directory=tmp_path / "whole"))
    names = {path.parent.name for path in (tmp_path / "whole").rglob("train.safetensors")}
    assert names == {"authorised-0", "authorised-0-again-1", "authorised-0-again-2"}
    again = resumed(lambda run: method.fit(small, run), run, tmp_path / "cut", at=6)
    assert all(torch.equal(whole.weights[name], again.weights[name]) for name in whole.weights)
    plain = replace(method, refresh=0).fit(small, run)
    assert any(not torch.equal(whole.weights[name], plain.weights[name]) for name in whole.weights)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"match": -1.0}, "match must be 0 or more, got -1"),
        ({"match": 0.0, "feature": 0.0, "undistil": 0.0}, "one of match, feature, undistil, shortcut, students must"),
        ({"students": 1.0}, "with students comes told=true"),
        ({"networks": 0}, "networks must be 1 or more, got 0"),
        ({"checkpoints": 1}, "checkpoints must be 2 or more, got 1"),
        ({"refresh": 5, "match": 0.0}, "with it, match is above 0"),
        ({"hacker": "alexnet"}, r"model must be one of .*, got 'alexnet'"),
        ({"surrogates": ()}, r"model must be one of .*, got ''"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        UGE(**values)


def test_networks_and_images_that_do_not_do_are_refused(small: ImageSet, run: Run) -> None:
    with pytest.raises(ValueError, match="cannot be made blind"):
        UGE(**BLIND | {"model": "lenet"}).fit(small, run)
    unlabelled = replace(small, labels=torch.full_like(small.labels, -1))
    with pytest.raises(ValueError, match="96 of 96 images have no label"):
        UGE(**BLIND).fit(unlabelled, run)
    with pytest.raises(ValueError, match="not finite at lr 1e\\+30"):
        UGE(**BLIND | {"lr": 1e30}).fit(small, run)


def test_the_way_of_another_network_is_not_gone_on(small: ImageSet, run: Run, tmp_path: Path) -> None:
    for seed in (1, 2):
        Authorised.drawn(Recipe(model="lenet", epochs=2), small.classes, small.size, seed).write(tmp_path / str(seed))
    here = replace(run, directory=tmp_path / "work")
    one, other = (UGE(**SMALL | {"bundles": (str(tmp_path / str(seed)),)}) for seed in (1, 2))
    first = one.fit(small, here)
    with pytest.raises(ValueError, match="holds the training of other authorised networks: choose a new folder"):
        other.fit(small, here)
    again = one.fit(small, here)
    assert all(torch.equal(first.weights[name], again.weights[name]) for name in first.weights)


def test_an_encoder_that_is_not_there_is_said_before_anything_is_trained(small: ImageSet, run: Run) -> None:
    said: list[Progress] = []
    with pytest.raises(ValueError, match="encoder must be"):
        UGE(**SMALL | {"encoder": "maxi"}).fit(small, replace(run, listener=said.append))
    assert said == []


def test_others_can_learn_the_change_while_the_authorised_network_learns_as_ever(run: Run) -> None:
    train, test = digits()
    said: list[Progress] = []
    method = UGE(**BLIND | {"steps": 80, "batch": 64, "surrogates": ("cnn",)})
    fitted = method.fit(train, replace(run, listener=said.append))
    assert max(one.figures.get("found", 0.0) for one in said[-10:]) > 0.9
    protected = apply(fitted, train, method.budget, run)
    who = adversary("authorised:blind", Recipe(model="cnn", epochs=8))
    clean, given = (who.train(data, run, test) for data in (train, protected))
    assert clean.test_acc[-1] > 0.5
    assert given.test_acc[-1] > clean.test_acc[-1] - 0.05
