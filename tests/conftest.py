"""What the tests share: small real images (scikit-learn's digits) and a run on the CPU."""

import pytest
import torch

from unlearnable.data import ImageSet, digits
from unlearnable.run import Run

torch.set_num_threads(1)  # the tests run in as many processes as there are cores, on images too small to share out


@pytest.fixture(scope="session")
def small() -> ImageSet:
    """96 scanned digits at 16 px, about ten of each class."""
    train, _ = digits()
    return train.subset(torch.arange(96))


@pytest.fixture
def run() -> Run:
    return Run(seed=0, device="cpu", precision="fp32")
