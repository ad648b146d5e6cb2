"""The zoo: published parameter counts, any size, and normalisation inside the network."""

import pytest
import torch

from unlearnable.models import MODELS, build


@pytest.mark.parametrize(
    ("name", "millions"),
    [("resnet8", 0.0753), ("resnet20", 0.27), ("resnet18", 11.17), ("lenet", 0.062)],
)
def test_published_parameter_counts(name: str, millions: float) -> None:
    """0.27 M: He et al., table 6. 11.17 M: ResNet-18 with a CIFAR stem and ten classes. 62 k: LeNet-5 in colour."""
    count = sum(parameter.numel() for parameter in build(name, 10, 32).parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.02)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [8, 9, 16, 32, 33])
def test_every_network_takes_every_size(name: str, size: int) -> None:
    logits = build(name, 7, size).eval()(torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (2, 7)
    assert torch.isfinite(logits).all()


def test_an_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="resnet18"):
        build("resnet19", 10, 32)


def test_a_size_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 8 pixels"):
        build("cnn", 10, 7)
