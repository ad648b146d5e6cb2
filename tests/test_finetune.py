"""Victims that begin with weights of ImageNet: which of them are trained, and for how long."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from unlearnable.adversaries import adversary
from unlearnable.data import ImageSet
from unlearnable.models.pretrained import Pretrained
from unlearnable.run import Run
from unlearnable.training import Recipe


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random ones in the form of the published file, which has its classifier as a convolution."""
    state = Pretrained(1001, 32).state_dict()
    kept = {name.replace("head", "conv52"): value for name, value in state.items()}
    path = tmp_path_factory.mktemp("weights") / "mobilenet_v2.safetensors"
    save_file(kept | {"conv52.weight": kept["conv52.weight"][:, :, None, None].contiguous()}, path)
    return path


@pytest.mark.parametrize(("name", "lr", "body"), [("finetune", 0.001, True), ("linear_probe", 0.01, False)])
def test_the_body_is_trained_on_or_left_as_it_was_for_a_quarter_of_the_epochs(
    name: str, lr: float, body: bool, weights: Path, small: ImageSet, run: Run
) -> None:
    few = small.subset(torch.arange(4))
    recipe = adversary(f"{name}:weights={weights}", Recipe("lenet", epochs=8, augment=()))
    assert (recipe.model, recipe.lr) == ("mobilenetv2_imagenet", lr)
    began = recipe.start(few, run).state_dict()
    assert torch.equal(began["conv30.weight"], load_file(weights)["conv30.weight"])
    trained = recipe.train(few, run, few)
    assert len(trained.train_acc) == len(trained.test_acc) == 2
    assert not trained.diverged
    moved = {key for key, value in trained.network.state_dict().items() if not torch.equal(value, began[key])}
    head = {"head.weight", "head.bias"}
    assert head <= moved
    assert (moved == began.keys()) if body else (moved == head)


def test_fewer_than_four_epochs_are_one(weights: Path) -> None:
    assert adversary(f"finetune:weights={weights}", replace(Recipe(), epochs=3)).epochs == 1
