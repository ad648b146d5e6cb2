"""What a caller reads after a wrong value; asked of a fresh process, which checks no types."""

import json
import subprocess
import sys

import pytest

WRONG = {
    'pixels.Budget("l1", 0.1)': "norm must be one of linf, l2, none, got 'l1'",
    'pixels.Budget("linf", 8)': "eps is a fraction of the full range, 0 to 1 (for example 8/255), got 8",
    "pixels.release(bytes_(2, 2), pixels.to_float(bytes_(1, 4)), pixels.LINF8)": "images have shape (1, 3, 1, 4)",
    'Run(device="tpu")': "device must be one of auto, cpu, cuda, got 'tpu'",
    'Run(precision="fp8")': "precision must be one of fp32, bf16, auto, got 'fp8'",
    'protections.protection("random", scope="image")': "scope must be 'sample' or 'class', got 'image'",
    'protections.protection("aap", goal="both")': "goal must be 'targeted' or 'untargeted', got 'both'",
    'protections.protection("collapse", term="fall")': "term must be 'norm', 'langevin' or 'none', got 'fall'",
    'protections.protection("em", scope="image")': "scope must be 'sample' or 'class', got 'image'",
    'protections.protection("cp", scope="image")': "scope must be 'sample' or 'class', got 'image'",
    'protections.protection("cp", learner="x")': "learner must be 'simclr', 'moco', 'byol' or 'simsiam', got 'x'",
    'protections.protection("tue", learner="x")': "learner must be 'simclr', 'moco', 'byol' or 'simsiam', got 'x'",
    'protections.protection("clusters", head="sign")': "head must be 'tanh', 'clamp' or 'rms', got 'sign'",
    'protections.protection("clusters", images_of="class")': "images_of must be 'cluster' or 'all', got 'class'",
    'protections.protection("one_for_all", objective="x")': "objective must be 'shortcut' or 'discriminant', got 'x'",
    'protections.protection("one_for_all", generator="big")': "generator must be 'small' or 'published', got 'big'",
    'protections.protection("one_for_all", targets_from="x")': "targets_from must be 'clean' or 'protected', got 'x'",
    'protections.protection("tap", goal="both")': "goal must be 'targeted' or 'untargeted', got 'both'",
    'protections.protection("class_filters", kernel=4)': "kernel must be odd, got 4",
    'packs.load_dataset("mnist")': "data set must be one of digits, cifar10-quick",
    'adversaries.adversary("wizard")': "adversary must be one of standard",
    'models.build("alexnet", 10, 32)': "model must be one of cnn, lenet",
    "data.ImageSet(bytes_(2, 2), torch.tensor([3]), ('a',))": "labels must be -1 to 0, got 3",
    "data.ImageSet(bytes_(2, 2).repeat(2, 1, 1, 1), torch.tensor([-2, 0]), ('a',))": "labels must be -1 to 0, got -2",
    "data.ImageSet(bytes_(2, 2), torch.tensor([0, 0]), ('a',))": "1 images need as many int64 labels, got (2,)",
}
PROGRAM = """
import json, sys, torch
from unlearnable import adversaries, data, models, packs, pixels, protections
from unlearnable.run import Run
def bytes_(h, w): return torch.zeros(1, 3, h, w, dtype=torch.uint8)
said = {}
for line in json.load(sys.stdin):
    try:
        eval(line)
        said[line] = "no error"
    except ValueError as error:
        said[line] = str(error)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(list(WRONG)), capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("expression", WRONG)
def test_a_wrong_value_is_answered_with_what_is_allowed(expression: str, said: dict[str, str]) -> None:
    assert WRONG[expression] in said[expression]
