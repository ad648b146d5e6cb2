"""The network that may learn: it begins where it was told to, in its own order, and a spoilt bundle is refused."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import resumed
from safetensors.torch import load_file, save_file

from unlearnable.adversaries import adversary
from unlearnable.adversaries.distill import Distill
from unlearnable.adversaries.mixing import Cutout
from unlearnable.adversaries.squeezing import Jpeg
from unlearnable.data import ImageSet
from unlearnable.models import MODELS, build
from unlearnable.models.stored import stored
from unlearnable.run import Run
from unlearnable.training import Authorised, Contrastive, CropFlip, Recipe

RECIPE = Recipe(model="lenet", epochs=2, lr=0.03, batch=32, augment=(CropFlip(1, flip=False),))


@pytest.fixture
def bundle(tmp_path: Path, small: ImageSet) -> Path:
    Authorised.drawn(RECIPE, small.classes, small.size, seed=3).write(tmp_path / "bundle")
    return tmp_path / "bundle"


def same(ours: torch.nn.Module, theirs: torch.nn.Module) -> bool:
    pairs = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_what_is_read_is_what_was_written(bundle: Path, small: ImageSet, tmp_path: Path) -> None:
    found = Authorised.read(bundle)
    assert (found.recipe, found.classes, found.size, found.seed) == (RECIPE, small.classes, 16, 3)
    found.write(tmp_path / "again")
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in (bundle, tmp_path / "again")]
    assert files[0] == files[1]
    assert set(files[0]) == {"bundle.json", "initial.safetensors"}


def test_it_is_the_ordinary_training_of_that_seed_whatever_the_seed_of_the_run(bundle: Path, small: ImageSet) -> None:
    own, other = (Run(seed, device="cpu", precision="fp32") for seed in (3, 7))
    plain = RECIPE.train(small, own, small)
    ours = Authorised.read(bundle).train(small, other, small, keep=(0,))
    assert ours.test_acc == plain.test_acc
    assert same(ours.network, plain.network)
    assert len(ours.checkpoints) == 1
    assert same(Authorised.read(bundle).start(small, other), RECIPE.start(small, own))


def test_whoever_was_given_a_bundle_trains_as_it_says(bundle: Path, small: ImageSet, run: Run) -> None:
    made = adversary(f"jpeg:50+cutout+authorised:bundle={bundle}", Recipe.usual("cnn", 40))
    assert same(made.start(small, run), Authorised.read(bundle).start(small, run))
    numbers = {name: getattr(RECIPE, name) for name in ("model", "epochs", "lr", "batch")}
    assert {name: getattr(made, name) for name in numbers} == numbers
    assert made.augment == (*RECIPE.augment, Cutout())
    assert made.purify == (Jpeg(50),)
    assert made.handed is not None
    assert made.handed.followed(replace(run, seed=7)).seed == Authorised.read(bundle).seed == 3


def test_a_bundle_goes_its_own_way_in_a_table_too(bundle: Path, small: ImageSet, run: Run) -> None:
    made, other = adversary(f"authorised:bundle={bundle}", Recipe.usual("cnn", 40)), replace(run, seed=7)
    assert same(made.train(small, other).network, Authorised.read(bundle).train(small, other).network)
    foreign = replace(small, classes=tuple(f"other {name}" for name in small.classes))
    with pytest.raises(ValueError, match="is for other classes"):
        made.train(foreign, other)


def test_a_student_of_a_bundle_learns_from_its_network(bundle: Path, small: ImageSet, run: Run) -> None:
    student = adversary(f"distill:bundle={bundle},temperature=2").objective
    assert isinstance(student, Distill)
    taught = student._taught(small, run, Recipe.usual("cnn", 1).teacher)
    assert same(taught, Authorised.read(bundle).train(small, run).network)


def test_a_folder_that_is_no_bundle_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no folder"):
        adversary(f"authorised:bundle={tmp_path / 'none'}")


def test_weights_of_somebody_elses_are_where_it_begins(small: ImageSet, run: Run, tmp_path: Path) -> None:
    trained = RECIPE.train(small, run).network
    save_file(stored(trained, half=False), tmp_path / "made.safetensors")
    given = Authorised.drawn(replace(RECIPE, init=tmp_path / "made.safetensors"), 10, 16)
    given.write(tmp_path / "bundle")
    (tmp_path / "made.safetensors").unlink()
    assert same(Authorised.read(tmp_path / "bundle").start(small, run), trained)


def test_weights_of_another_network_are_named_by_the_first_that_does_not_fit(small: ImageSet, tmp_path: Path) -> None:
    save_file(stored(build("resnet8", 10, 16), half=False), tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"does not hold the weights of this network: \S+ is (missing|one too many)$"):
        Authorised.drawn(replace(RECIPE, init=tmp_path / "other.safetensors"), 10, 16)
    save_file(stored(build(RECIPE.model, 11, 16), half=False), tmp_path / "wide.safetensors")
    with pytest.raises(ValueError, match=r"\S+ is \(11.*\), not \(10.*\)$"):
        Authorised.drawn(replace(RECIPE, init=tmp_path / "wide.safetensors"), 10, 16)


def test_stopped_and_resumed_gives_the_same_weights(bundle: Path, small: ImageSet, run: Run, tmp_path: Path) -> None:
    authorised = Authorised.read(bundle)
    again = resumed(lambda run: authorised.train(small, run), run, tmp_path / "work", 2)
    assert same(again.network, authorised.train(small, run).network)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model_of_the_zoo_can_be_authorised(model: str, tmp_path: Path) -> None:
    """Weights are compared with a network that has none: every builder must work so."""
    if model in ("wrn34_10", "vgg16", "resnet50", "densenet121"):
        pytest.skip("large, and built as its smaller kin are")
    Authorised.drawn(Recipe(model=model, augment=(Contrastive(0.5),)), 10, 16).write(tmp_path / "bundle")
    assert Authorised.read(tmp_path / "bundle").recipe == Recipe(model=model, augment=(Contrastive(0.5),))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            lambda small: ImageSet(small.images, small.labels, (*small.classes, "ten")),
            "10 classes, .* have 11",
        ),
        (lambda small: ImageSet(small.images, small.labels, ("cat", *small.classes[1:])), "has '0' where .* 'cat'"),
        (lambda small: small.with_images(small.images[:, :, 4:12, 4:12]), "16 pixels, these have 8"),
    ],
)
def test_other_data_are_refused(
    bundle: Path, small: ImageSet, run: Run, data: Callable[[ImageSet], ImageSet], said: str
) -> None:
    authorised = Authorised.read(bundle)
    for attempt in (lambda: authorised.start(data(small), run), lambda: authorised.train(small, run, data(small))):
        with pytest.raises(ValueError, match=said):
            attempt()


def test_where_only_their_number_is_said_any_names_will_do(small: ImageSet, run: Run) -> None:
    assert Authorised.drawn(RECIPE, 10, 16).start(small, run).training
    with pytest.raises(ValueError, match="for 9 classes, these images have 10"):
        Authorised.drawn(RECIPE, 9, 16).start(small, run)


def test_nothing_that_exists_is_written_over(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds something already: name a new folder"):
        Authorised.read(bundle).write(bundle)
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / ".initial.safetensors.tmp").write_bytes(b"half")
    Authorised.read(bundle).write(tmp_path / "killed")
    assert len(list((tmp_path / "killed").iterdir())) == 2
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="holds something already"):
        Authorised.read(bundle).write(tmp_path / "file")


def refused(folder: Path) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        Authorised.read(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_an_altered_an_unknown_file_and_a_link_are_refused(bundle: Path, tmp_path: Path) -> None:
    assert "no folder" in refused(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "lacks bundle.json" in refused(tmp_path / "empty")
    (bundle / "more.txt").write_text("?")
    assert "holds 'more.txt', which is no part of a bundle" in refused(bundle)
    (bundle / "more.txt").unlink()
    (bundle / "policy.txt").mkdir()
    assert "policy.txt is no plain file" in refused(bundle)
    (bundle / "policy.txt").rmdir()
    data = bytearray((bundle / "initial.safetensors").read_bytes())
    data[-5] ^= 1
    (bundle / "initial.safetensors").write_bytes(data)
    assert "initial.safetensors is not what bundle.json was written with" in refused(bundle)
    data[-5] ^= 1
    (tmp_path / "elsewhere").write_bytes(data)
    (bundle / "initial.safetensors").unlink()
    assert "lacks initial.safetensors" in refused(bundle)
    (bundle / "initial.safetensors").symlink_to(tmp_path / "elsewhere")
    assert "no plain file but a link" in refused(bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "\x00", "[" * 100_000, '{"format": 1}', "\ud800"])
def test_a_description_that_is_none_is_refused(bundle: Path, text: str) -> None:
    (bundle / "bundle.json").write_bytes(text.encode(errors="surrogatepass"))
    assert "bundle" in refused(bundle)


HUGE = 10**400
WRONG: dict[str, tuple[Any, str]] = {
    "format": (2, "format must be 1, got 2"),
    "model": ("alexnet", "model must be one of cnn"),
    "classes": (["a", "a"], "each its own name"),
    "size": (-1, "size must be 1 to 1,024, got -1"),
    "seed": ("x", "seed must be int, got 'x'"),
    "recipe": ([], "recipe must be dict"),
    "weights": (None, "weights must be str"),
    "more": (1, "unknown field 'more'"),
    "recipe.epochs": (True, "epochs must be int, got 'True'"),
    "recipe.batch": (0, "batch must be 1 to 1,000,000, got 0"),
    "recipe.lr": (HUGE, "lr must be 0 to 1,000,000, got 10000"),
    "recipe.momentum": (0, "momentum must be"),
    "recipe.weight_decay": (float("nan"), "weight_decay must be 0 to 1, got nan"),
    "recipe.optimiser": ("Adam", "optimiser must be 'SGD with Nesterov momentum', got 'Adam'"),
    "recipe.augment": ([{"is": "Cutout"}], "augment must be of CropFlip, Contrastive"),
    "recipe.purify": ([], "unknown field 'purify'"),
}
ALSO: list[tuple[str, Any, str]] = [
    ("model", "os:system", "model must be one of cnn"),
    ("model", "../../x", "model must be one of cnn"),
    ("classes", 11, "8.weight is|weights are not those of lenet for 11 classes"),
    ("classes", 1, "classes must be 2 to 1,000,000, got 1"),
    ("classes", [1, 2], "classes must be a number or names"),
    ("classes", HUGE, "classes must be 2 to 1,000,000, got 10000"),
    ("size", 10**30, "size must be 1 to 1,024, got 10000"),
    ("size", 1025, "size must be 1 to 1,024, got 1025"),
    ("recipe.batch", 10**30, "batch must be 1 to 1,000,000"),
    ("size", 24, "the weights are not those of lenet"),
    ("recipe.epochs", 1.5, "epochs must be int"),
    ("recipe.epochs", HUGE, "epochs must be 1 to 1,000,000, got 10000"),
    ("recipe.lr", -1, "lr must be 0 to 1,000,000, got -1"),
    ("recipe.augment", ["CropFlip"], "augment must be of"),
    ("recipe.augment", [{"is": "CropFlip", "padding": 10**9, "flip": True}], "padding must be 0 to 16"),
    ("recipe.augment", [{"is": "CropFlip", "padding": 1}], "missing field 'flip'"),
    ("recipe.augment", [{"is": "Contrastive", "strength": 3}], "strength must be 0 to 1"),
]


@pytest.mark.parametrize(("where", "value", "said"), [(name, *case) for name, case in WRONG.items()] + ALSO)
def test_a_description_of_the_impossible_is_refused(bundle: Path, where: str, value: Any, said: str) -> None:
    about = json.loads((bundle / "bundle.json").read_text())
    inner = about["recipe"] if where.startswith("recipe.") else about
    inner[where.removeprefix("recipe.")] = value
    (bundle / "bundle.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=said):
        Authorised.read(bundle)
    assert str(bundle) in refused(bundle)


@pytest.mark.parametrize("missing", ["format", "model", "classes", "size", "seed", "recipe", "weights", "recipe.lr"])
def test_a_description_that_leaves_something_out_is_refused(bundle: Path, missing: str) -> None:
    about = json.loads((bundle / "bundle.json").read_text())
    inner = about["recipe"] if missing.startswith("recipe.") else about
    del inner[missing.removeprefix("recipe.")]
    (bundle / "bundle.json").write_text(json.dumps(about))
    assert missing.removeprefix("recipe.") in refused(bundle)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w | {"extra": torch.zeros(1)}, "extra is one too many"),
        (lambda w: {name: w[name] for name in list(w)[1:]}, "is missing"),
        (lambda w: w | {"1.weight": w["1.weight"].half()}, "must be torch.float32: 1.weight is torch.float16"),
        (lambda w: w | {"1.weight": w["1.weight"][:3].clone()}, r"1.weight is \(3, 3, 5, 5\)"),
        (lambda w: w | {"1.weight": w["1.weight"] * float("nan")}, "1.weight has NaN or infinite"),
        (lambda w: w | {"1.weight": w["1.weight"] / 0}, "1.weight has NaN or infinite"),
    ],
)
def test_weights_of_another_network_and_no_numbers_are_refused(
    bundle: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], said: str
) -> None:
    """Even where the description was written for them."""
    save_file(change(load_file(bundle / "initial.safetensors")), bundle / "initial.safetensors")
    rewritten(bundle)
    with pytest.raises(ValueError, match=said):
        Authorised.read(bundle)


def test_weights_that_are_a_pickle_are_refused(bundle: Path) -> None:
    torch.save({"a": torch.zeros(1)}, bundle / "initial.safetensors")
    rewritten(bundle)
    assert "initial.safetensors cannot be read as safetensors" in refused(bundle)


def rewritten(bundle: Path) -> None:
    about = json.loads((bundle / "bundle.json").read_text())
    about["weights"] = hashlib.sha256((bundle / "initial.safetensors").read_bytes()).hexdigest()
    (bundle / "bundle.json").write_text(json.dumps(about))


@pytest.mark.parametrize("name", ["jpeg", "cutout", "mixup", "early_stop", "simclr"])
def test_a_recipe_with_more_than_an_ordinary_loss_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"leave out|augment must be of"):
        Authorised.drawn(adversary(name, replace(RECIPE, augment=() if name == "simclr" else RECIPE.augment)), 10, 16)


def test_code_from_elsewhere_is_refused() -> None:
    """A bundle comes from a stranger, and `module:function` would import what lies beside the reader."""
    with pytest.raises(ValueError, match="model must be one of"):
        Authorised.drawn(replace(RECIPE, model="mymodule:make"), 10, 16)
