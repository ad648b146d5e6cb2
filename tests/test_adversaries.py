"""Every counter-measure against an independent oracle, and where it must change nothing."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

from unlearnable import perturbation
from unlearnable.adversaries import ADVERSARIES, adversary, listed, ueraser
from unlearnable.adversaries.adversarial import Adversarial
from unlearnable.adversaries.augmented import Augmented, Strong, Unlearned
from unlearnable.adversaries.coin import Coin
from unlearnable.adversaries.decolour import Decolour
from unlearnable.adversaries.distill import Distill
from unlearnable.adversaries.mixing import CutMix, Cutout, Mixup
from unlearnable.adversaries.orthogonal import Orthogonal
from unlearnable.adversaries.smoothing import Bilateral, Gaussian, Mean, Median, Resize
from unlearnable.adversaries.squeezing import BitDepth, Grayscale, Jpeg
from unlearnable.adversaries.ueraser import UEraser, worst
from unlearnable.data import ImageSet
from unlearnable.models import build
from unlearnable.packs import digits
from unlearnable.perturbation import apply
from unlearnable.pixels import LINF8, UNBOUNDED, Budget, release, to_float
from unlearnable.protections import Protection, describe, protection
from unlearnable.run import Run
from unlearnable.training import EarlyStop, Handed, Recipe, Step, accuracy, attack, cross_entropy

QUICK = Recipe(model="lenet", epochs=2, lr=0.03, augment=())
NO_TEACHER = lambda *given: nn.Identity()  # noqa: E731


@pytest.fixture
def pictures() -> ImageSet:
    """Twenty smooth colour pictures of two classes, 32 pixels a side."""
    noise = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    smooth = F.interpolate(noise, 32, mode="bilinear")
    images = release(torch.zeros(20, 3, 32, 32, dtype=torch.uint8), smooth, UNBOUNDED)
    return ImageSet(images, torch.arange(20) % 2, ("a", "b"))


@pytest.fixture
def step(run: Run) -> Step:
    return Step(run, 0, 10, 3)


def network(classes: int = 2, size: int = 32) -> nn.Module:
    torch.manual_seed(1)
    return build("lenet", classes, size)


def start(objective: Mixup | CutMix | Adversarial | UEraser, data: ImageSet, run: Run):  # type: ignore[no-untyped-def]
    return objective.start(data, run, NO_TEACHER)


def test_every_copy_of_ueraser_is_augmented_by_a_draw_of_its_own(
    pictures: ImageSet, step: Step, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy draws one operation at a call, for all images of it: the worst of K ranges over K of them."""
    seen: list[int] = []
    monkeypatch.setattr(ueraser, "pipeline", lambda: lambda x: (seen.append(len(x)), x)[1])
    loss = start(UEraser("max", copies=3), pictures, run)
    loss(network(), to_float(pictures.images), pictures.labels, step)
    assert seen == [20, 20, 20]


def test_pgd_is_that_of_ten_plain_lines(pictures: ImageSet, step: Step) -> None:
    model, x, y = network().eval(), to_float(pictures.images), pictures.labels
    moved = x + (torch.rand(x.shape, generator=step.rng("attack")) * 2 - 1) * 8 / 255
    for _ in range(3):
        moved = moved.clamp(0, 1)
        gradient = torch.zeros_like(moved)
        for i in range(len(x)):  # one image at a time
            one = moved[i : i + 1].clone().requires_grad_()
            F.cross_entropy(model(one), y[i : i + 1]).backward()
            gradient[i] = one.grad[0]
        moved = torch.max(torch.min(moved + 2 * 8 / 255 / 3 * torch.sign(gradient), x + 8 / 255), x - 8 / 255)
    found = attack(model, x, y, LINF8, 3, step.rng("attack"), step.run)
    assert ((found - moved.clamp(0, 1)).abs() > 1e-5).float().mean() < 1e-3  # where a gradient is 0 in one of the two
    before, after = (F.cross_entropy(model(images), y) for images in (x, found))
    assert after > before


def test_pgd_in_the_l2_ball_stays_inside_and_goes_up(pictures: ImageSet, step: Step) -> None:
    model, x, y = network().eval(), to_float(pictures.images), pictures.labels
    found = attack(model, x, y, Budget("l2", 4 / 255), 5, step.rng("attack"), step.run)
    assert (found - x).square().mean((1, 2, 3)).sqrt().max() <= 4 / 255 + 1e-6
    assert F.cross_entropy(model(found), y) > F.cross_entropy(model(x), y)


def test_adversarial_training_without_a_radius_is_the_usual_loss(pictures: ImageSet, run: Run, step: Step) -> None:
    model, x, y = network(), to_float(pictures.images), pictures.labels
    ours, _ = start(Adversarial(0.0, 2), pictures, run)(model, x, y, step)
    assert float(ours.detach()) == pytest.approx(float(cross_entropy(model, x, y, step)[0].detach()))
    assert model.training


class Telling(nn.Module):
    """Logits that show what went in: class k is the likelier, the nearer the mean of the image is to (k + 1) / 8."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = torch.empty(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = x.detach()
        return -((8 * x.mean((1, 2, 3))[:, None] - torch.arange(1, 9)) ** 2)


@pytest.mark.parametrize("objective", [Mixup(), CutMix()])
def test_mixed_images_and_losses_share_alike(objective: Mixup | CutMix, run: Run, step: Step) -> None:
    """Image i is all (i + 1) / 8, so that every mixed pixel tells which image it comes from."""
    levels = torch.arange(1, 9) / 8
    x = levels[:, None, None, None].expand(8, 3, 16, 16).contiguous()
    y, data = (
        torch.arange(8),
        ImageSet(torch.zeros(8, 3, 16, 16, dtype=torch.uint8), torch.arange(8), tuple("abcdefgh")),
    )
    telling = Telling()
    loss, logits = start(objective, data, run)(telling, x, y, step)
    expected = []
    for i, mixed in enumerate(telling.seen):
        if isinstance(objective, CutMix):
            values, counts = mixed[0].unique(return_counts=True)
            shares = {int(v * 8) - 1: int(c) / 256 for v, c in zip(values, counts, strict=True)}
            other = next((j for j in shares if j != i), i)
            share = shares.get(other, 0.0) if other != i else 0.0
        else:
            with step.seeded("mix"):
                _, pairs = objective.mixer()(x, y)
            other, share = int(pairs[i, 1]), float(pairs[i, 2])
            assert torch.allclose(mixed, (1 - share) * x[i] + share * x[other], atol=1e-5)
        log = torch.log_softmax(logits[i], 0)
        expected.append(-(1 - share) * log[i] - share * log[other])
    assert float(loss) == pytest.approx(float(torch.stack(expected).mean()), rel=1e-3)


def test_mixup_of_nothing_is_the_usual_loss(pictures: ImageSet, run: Run, step: Step) -> None:
    model, x, y = network(), to_float(pictures.images), pictures.labels
    ours, usual = start(Mixup(0.0), pictures, run)(model, x, y, step)[0], cross_entropy(model, x, y, step)[0]
    assert float(ours.detach()) == pytest.approx(float(usual.detach()), rel=1e-5)


def test_cutout_blackens_a_quarter(step: Step) -> None:
    cut = Cutout(0.5)(torch.ones(4, 3, 32, 32), step)
    assert ((cut == 0).float().mean((1, 2, 3)) - 0.25).abs().max() < 0.02


def test_jpeg_is_that_of_a_file_of_pillow(pictures: ImageSet, run: Run) -> None:
    found = Jpeg(10)(pictures, run)
    for image, ours in zip(pictures.images, found, strict=True):
        file = io.BytesIO()
        Image.fromarray(image.numpy().transpose(1, 2, 0), "RGB").save(
            file, format="jpeg", quality=10, subsampling="4:2:0"
        )
        assert np.array_equal(np.array(Image.open(file).convert("RGB")), ours.numpy().transpose(1, 2, 0))
    error = [(Jpeg(q)(pictures, run).float() - pictures.images.float()).abs().mean() for q in (10, 50, 95)]
    assert error[0] > error[1] > error[2]


def test_greyscale_is_that_of_pillow_within_a_level(pictures: ImageSet, run: Run) -> None:
    ours = Grayscale()(pictures, run)
    theirs = torch.stack([
        torch.from_numpy(np.array(Image.fromarray(image.numpy().transpose(1, 2, 0)).convert("L")))
        for image in pictures.images
    ])  # fmt: skip
    assert (ours.int() - theirs[:, None].int()).abs().max() <= 1
    assert Grayscale().for_test(pictures) == Grayscale()
    assert Jpeg().for_test(pictures) is None


@pytest.mark.parametrize(
    ("part", "oracle"),
    [
        (Mean(3), lambda x: ndimage.uniform_filter(x, (0, 0, 3, 3), mode="mirror")),
        (Median(3), lambda x: ndimage.median_filter(x, (1, 1, 3, 3), mode="mirror")),
        (Gaussian(1.0), lambda x: ndimage.gaussian_filter(x, (0, 0, 1.0, 1.0), mode="mirror", truncate=3.0)),
    ],
)
def test_filters_are_those_of_scipy(part: Mean | Median | Gaussian, oracle, pictures: ImageSet, run: Run) -> None:  # type: ignore[no-untyped-def]
    wanted = oracle(to_float(pictures.images).numpy())
    assert np.abs(to_float(part(pictures, run)).numpy() - wanted).max() < 0.51 / 255 + 1e-4


def test_filters_that_are_set_to_nothing_change_nothing(pictures: ImageSet, run: Run, step: Step) -> None:
    for part in (Mean(1), Median(1), Resize(1.0), BitDepth(8)):
        assert (part(pictures, run).int() - pictures.images.int()).abs().max() <= 1, part
    x = to_float(pictures.images)
    assert torch.allclose(Coin(0.0)(x, step), x, atol=1e-5)


def test_a_bilateral_filter_smooths_and_keeps_an_edge(run: Run) -> None:
    images = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    images[..., 8:] = 200
    images[..., 4:6, 2:4] += 10
    smoothed = Bilateral(5, 0.1, 75.0)(ImageSet(images, torch.zeros(1, dtype=torch.int64), ("a",)), run)
    assert smoothed[0, 0, 4, 2] < 10
    assert smoothed[0, 0, 12, 7] < 5
    assert smoothed[0, 0, 12, 8] > 195


def test_two_bits_are_four_levels(pictures: ImageSet, run: Run) -> None:
    assert set(BitDepth(2)(pictures, run).unique().tolist()) <= {0, 85, 170, 255}


def test_coin_fetches_every_pixel_from_nearby(step: Step) -> None:
    ramp = torch.arange(32.0).expand(1, 3, 32, 32) / 32
    moved = Coin(2.0)(ramp, step)[..., 4:-4]
    change = (moved - ramp[..., 4:-4]).abs() * 32
    assert 0.5 < change.mean() < 1.5
    assert change.max() <= 2.001


def test_what_can_be_made_again_can_be_taken_off(pictures: ImageSet, run: Run, tmp_path: Path) -> None:
    """Of a closed form all but what was clipped at black and white; of the shipped generator most."""

    def left(method: Protection, data: ImageSet, name: str, **known: object) -> tuple[float, float]:
        protected = apply(fitted := method.fit(data, run), data, method.budget, run)
        perturbation.save(tmp_path / "fitted", fitted, {"protection": describe(method)})
        (part,) = adversary(name).purify
        found = replace(part, **known)(protected, replace(run, directory=tmp_path / "work"))
        again = replace(part, **known)(protected, replace(run, directory=tmp_path / "work"))
        assert torch.equal(found, again), "a stage that is done is not begun anew"
        shutil.rmtree(tmp_path / "work")
        return tuple(float(to_float(x).sub(to_float(data.images)).square().mean()) for x in (found, protected.images))

    before, after = left(protection("lsp"), pictures, "subtract", fitted=tmp_path / "fitted")[::-1]
    assert after < 0.02 * before
    before, after = left(protection("one_for_all:shipped"), pictures, "subtract:turns=2")[::-1]
    assert after < 0.6 * before
    with pytest.raises(ValueError, match="no fitted protection"):
        adversary(f"subtract:{tmp_path}").purify[0](pictures, run)


@pytest.mark.parametrize("side", [2, 4])
def test_one_colour_is_found_out_and_taken_away_and_others_are_not(pictures: ImageSet, run: Run, side: int) -> None:
    """Pictures as natural ones are, smooth and mostly grey; whole steps along a colour, drawn anew for every pixel."""
    generator = torch.Generator().manual_seed(0)
    grey, tint = (torch.rand(20, n, 6, 6, generator=generator) for n in (1, 3))
    smooth = F.interpolate(0.2 + 0.5 * grey + 0.1 * tint, 32, mode="bicubic")
    pictures = pictures.with_images(release(pictures.images, smooth, UNBOUNDED))
    colour = torch.tensor([0.5, -1.0, 1.0])
    steps = torch.randint(-5, 6, (len(pictures), 1, *pictures.images.shape[2:]), generator=generator) * 2 / 255
    x = to_float(pictures.images)
    changed = pictures.with_images(release(pictures.images, x + steps * colour[:, None, None], UNBOUNDED))
    part = Decolour(side=side)
    left = part(changed, run)
    unit = colour / colour.norm()
    before, after = (part - x - torch.einsum("nchw,c->nhw", part - x, unit)[:, None] * unit[:, None, None]
                     for part in (to_float(changed.images), left))  # fmt: skip
    along = torch.einsum("nchw,c->nhw", left, unit)
    later = part.for_test(changed)(pictures, run)
    assert torch.einsum("nchw,c->nhw", later, unit).std() < 0.02 * torch.einsum("nchw,c->nhw", x, unit).std()
    assert along.std() < 0.02 * torch.einsum("nchw,c->nhw", to_float(changed.images), unit).std()
    assert (after - before).square().mean() < 1e-5, "what lies across that colour stays"
    clean = part(pictures, run) - x
    assert torch.linalg.matrix_rank(clean.transpose(0, 1).flatten(1), atol=1e-2) == 1
    assert 0 < clean.std((2, 3)).mean() < x.std((2, 3)).mean(), "of clean images one colour, not the brightness"
    colourless = pictures.with_images(pictures.images[:, :1].expand_as(pictures.images).contiguous())
    assert torch.equal(part(colourless, run), to_float(colourless.images))
    tiny = pictures.with_images(pictures.images[..., :1, :1])
    assert torch.equal(part(tiny, run), to_float(tiny.images))


def test_the_projection_takes_away_what_a_linear_model_sees(run: Run) -> None:
    """A class-wise pattern on noise: scikit-learn tells the classes apart before, and guesses after."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 4
    patterns = torch.rand(4, 3, 8, 8, generator=generator).round() * 0.1
    x = torch.rand(400, 3, 8, 8, generator=generator) * 0.8 + patterns[labels]
    data = ImageSet(release(torch.zeros(x.shape, dtype=torch.uint8), x, UNBOUNDED), labels, tuple("abcd"))
    attack = Orthogonal(steps=400, batch=128)
    after = attack(data, run)
    weights = attack.weights(to_float(data.images).flatten(1), data, run)
    assert (after.flatten(1) @ weights.T).abs().max() < 1e-3
    judge = LogisticRegression(fit_intercept=False, max_iter=2000).fit(to_float(data.images).flatten(1), labels)
    theirs, _ = np.linalg.qr(judge.coef_.T)
    ours, _ = np.linalg.qr(weights.numpy().T)
    assert np.linalg.svd(ours.T @ theirs, compute_uv=False)[0] > 0.8  # the two models look the same way
    kept = judge.score(after.flatten(1), labels)
    assert judge.score(to_float(data.images).flatten(1), labels) > 0.95
    assert kept < 0.6


def test_the_worst_copy_is_that_with_the_largest_loss(step: Step) -> None:
    views = torch.rand(5, 3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    model, y = network(2, 16), torch.tensor([0, 1, 0])
    found = worst(model, views, y, step)
    for i in range(3):
        losses = [float(F.cross_entropy(model.eval()(view[i : i + 1]), y[i : i + 1]).detach()) for view in views]
        assert torch.equal(found[i], views[int(np.argmax(losses)), i])


def test_a_student_that_answers_as_its_teacher_has_nothing_to_learn(pictures: ImageSet, run: Run, step: Step) -> None:
    model = network().eval()
    loss = Distill(4.0).start(pictures, run, lambda *given: model)
    value, _ = loss(model, to_float(pictures.images), pictures.labels, step)
    assert abs(float(value)) < 1e-6
    other, _ = loss(build("lenet", 2, 32), to_float(pictures.images), 1 - pictures.labels, step)
    assert float(other.detach()) > 1e-4


def test_distillation_learns_from_the_teacher_and_not_from_labels(run: Run) -> None:
    train, test = digits()
    teacher = replace(QUICK, epochs=4).train(train, run, test)
    wrong = ImageSet(train.images, train.labels.roll(1), train.classes)
    loss_of = Distill(1.0).start(wrong, run, lambda *given: teacher.network)

    class Given(Distill):
        def start(self, data: ImageSet, run: Run, teach: object):  # type: ignore[no-untyped-def]
            return loss_of

    student = replace(QUICK, epochs=4, objective=Given()).train(wrong, run, test)
    assert student.test_acc[-1] > 0.6


def test_simple_noise_stays_within_its_radius(pictures: ImageSet, run: Run) -> None:
    part = Unlearned(Augmented(8 / 255, hidden=16, epochs=2))
    simple, x = part.simple_network(pictures, run), to_float(pictures.images)
    noisy = part(pictures, run)
    assert int((noisy.int() - pictures.images.int()).abs().max()) == 8
    before, after = (F.cross_entropy(simple(images - 0.5), pictures.labels) for images in (x, to_float(noisy)))
    assert after > before


def test_simple_noise_is_sought_on_whole_images_once(run: Run) -> None:
    recipe = adversary("augmented:4/255")
    assert recipe.purify == (Unlearned(Augmented(4 / 255)),)
    assert recipe.augment[-1] == Strong()
    views = Strong()(torch.rand(6, 3, 16, 16), Step(run, 0, 1, 0))
    assert views.shape == (6, 3, 16, 16)
    assert Strong()(torch.rand(2, 3, 9, 14), Step(run, 0, 1, 0)).shape == (2, 3, 9, 14)


def test_a_teacher_does_not_begin_as_its_student_does(pictures: ImageSet, run: Run) -> None:
    recipe = replace(QUICK, epochs=1, lr=0.0)
    teacher, student = recipe.teacher(pictures, run), recipe.start(pictures, run)
    pairs = list(zip(teacher.parameters(), student.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in pairs if a.ndim > 1)


def test_early_stopping_keeps_the_epoch_it_chose(run: Run) -> None:
    train, test = digits()
    stop = EarlyStop(50)
    victim = replace(QUICK, epochs=3, stop=stop).train(train, run, test)
    own, rest = stop.split(len(test), run)
    assert (len(own), len(rest)) == (50, len(test) - 50)
    assert victim.early_acc == pytest.approx(accuracy(victim.network, test.subset(rest), run), abs=1e-6)


def test_an_authorised_teacher_is_the_network_that_whoever_got_the_weights_trains(small: ImageSet, run: Run) -> None:
    handed, student = Handed("plain", 0), Recipe.usual("lenet", 2)
    alone = student.having(handed).train(small, run).network.state_dict()
    for who in (student, adversary("coin+distill:authorised=plain", student)):
        taught = who.teacher(small, run, handed=handed).state_dict()
        assert all(torch.equal(alone[name], taught[name]) for name in alone)


def test_another_order_is_all_that_another_order_changes(small: ImageSet, run: Run) -> None:
    protectors = Recipe.usual("lenet", 2).having(Handed("plain", 0))
    other = adversary("authorised:order=1", Recipe.usual("lenet", 2))
    for step, alike in ((Recipe.start, True), (lambda recipe, *on: recipe.train(*on).network, False)):
        ends = [step(recipe, small, run).state_dict()["1.weight"] for recipe in (protectors, other)]
        assert torch.equal(*ends) == alike


def test_a_teacher_of_another_model_has_none_of_the_students_weights(tmp_path: Path, small: ImageSet, run: Run) -> None:
    student = Recipe(model="cnn", init=tmp_path / "of-a-cnn.safetensors", head_only=True, epochs=1)
    teacher = student.teacher(small, run, model="lenet")
    assert type(teacher) is type(build("lenet", 10, 16))
    assert all(weight.requires_grad for weight in teacher.parameters())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("distill:which=1", "which is of the authorised networks"),
        ("distill:teacher=t.safetensors,authorised=plain", "name one of these"),
        ("authorised:blind,bundle=b", "a bundle is of one network"),
        ("authorised:order=1,bundle=b", "in its own order"),
        ("distill:bundle=b,model=cnn", "a bundle says its model"),
        ("authorised+finetune", "a network begins with one of them"),
        ("finetune+simclr", "a network begins with one of them"),
        ("simclr+finetune", "a network begins with one of them"),
    ],
)
def test_what_would_be_ignored_beside_another_part_is_refused(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        adversary(name)


WITHOUT_WEIGHTS = [name for name in ADVERSARIES if name not in ("finetune", "linear_probe")]


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_every_adversary_trains_and_repeats_itself(name: str, run: Run) -> None:
    train, test = digits()
    train, test = train.subset(torch.arange(96)), test.subset(torch.arange(40))
    recipe = replace(adversary(name, replace(QUICK, epochs=1)))
    first, again = (recipe.train(train, run, test, clean=train) for _ in range(2))
    weights = zip(first.network.state_dict().values(), again.network.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)
    assert not first.diverged


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("standard,jpeg:30", ("standard", "jpeg:30")),
        ("adversarial:2/255,5,grayscale", ("adversarial:2/255,5", "grayscale")),
        (
            " jpeg , distill:bundle=a,temperature=1 ,coin+dvae:1,2",
            ("jpeg", "distill:bundle=a,temperature=1", "coin+dvae:1,2"),
        ),
        ("standard,5", ("standard", "5")),
        ("", ()),
    ],
)
def test_names_in_a_text_keep_their_own_commas(text: str, names: tuple[str, ...]) -> None:
    assert listed(text) == names


@pytest.mark.parametrize("part", [Mean(33), Median(33), Bilateral(33), Gaussian(10.0), Coin(12.0)])
def test_a_reach_beyond_the_picture_is_that_of_the_picture(part: Mean, step: Step) -> None:
    white = torch.ones(2, 3, 8, 8)
    found = part(white, step) if isinstance(part, Coin) else part.change(white)
    assert torch.allclose(found, white, atol=1e-5)


def test_adversarial_training_keeps_values_that_lay_beyond_0_to_1(pictures: ImageSet, run: Run) -> None:
    x, ball = to_float(pictures.images) * 2 - 0.5, Budget("linf", 4 / 255)
    moved = attack(network().eval(), x, pictures.labels, ball, 3, run.rng("attack"), run)
    assert float((moved - x).abs().max()) <= 4 / 255 + 1e-6
    inside = to_float(pictures.images)
    moved = attack(network().eval(), inside, pictures.labels, ball, 3, run.rng("attack"), run)
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1


def test_parts_join(run: Run) -> None:
    recipe = adversary("grayscale+jpeg:30+cutout+mixup+early_stop")
    assert recipe.purify == (Grayscale(), Jpeg(30))
    assert recipe.augment[-1] == Cutout()
    assert (recipe.objective, recipe.stop) == (Mixup(), EarlyStop())
    assert adversary("standard") == Recipe()
    assert adversary("adversarial:2/255,norm=l2").objective == Adversarial(2 / 255, 10, "l2")
    assert adversary("adversarial:2/255,5,l2").objective == Adversarial(2 / 255, 5, "l2")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wizard", "adversary must be one of standard, adversarial"),
        ("jpeg:high", "quality of jpeg must be a whole number, got 'high'"),
        ("jpeg:0", "quality must be 1 to 95, got 0"),
        ("adversarial:big", "eps of adversarial must be a fraction such as 4/255, got 'big'"),
        ("standard:3", "standard takes no parameters, got '3'"),
        ("jpeg:1,2", "jpeg takes quality after the colon, got '1,2'"),
        ("jpeg:10,quality=20", "jpeg takes quality after the colon"),
        ("jpeg:sharpness=2", "jpeg takes quality after the colon"),
        ("mixup+cutmix", "one of Mixup and CutMix, not both"),
        ("ueraser:mild", "mode of ueraser must be one of lite, standard, max"),
        ("median:2", "size must be an odd number, such as 3, got 2"),
        ("gaussian:0.1", "sigma must be 0.3 to 10"),
        ("augmented:batch=0", "batch must be 1 to 100000, got 0"),
        ("augmented:steps=-3", "steps must be 1"),
        ("dvae:1,2,0", "latent must be 1"),
        ("dvae:lr=-1", "lr must be 0 to 1000, got -1"),
        ("finetune:lr=-1", "lr must be 0 to 10, got -1"),
        ("linear_probe:lr=-1", "lr must be 0 to 10, got -1"),
        ("early_stop:-4", "1 clean image or more"),
    ],
)
def test_a_wrong_name_says_what_is_allowed(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        adversary(name)


def test_what_is_not_8_bit_any_more_comes_last(pictures: ImageSet, run: Run) -> None:
    with pytest.raises(ValueError, match="Jpeg takes 8-bit images"):
        adversary("orthogonal+jpeg", replace(QUICK, epochs=1)).train(pictures, run)


def test_a_loss_that_is_no_number_ends_training_with_a_flag(pictures: ImageSet, run: Run) -> None:
    victim = replace(QUICK, lr=1e12, epochs=5).train(pictures, run, pictures)
    assert victim.diverged
    assert len(victim.test_acc) < 5
