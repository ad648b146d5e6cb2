"""The two sizes of every suite: `full` is the papers', `quick` the same comparison on two processor cores.

The quick tier of a paper's suite has one data set (5,000 images of CIFAR-10), small networks, 12 epochs, the preset
`quick` of a method that has one, and adversarial training of 4 steps; this project's own suites say what they have. Its
figures are not the papers': only the order can be compared.
"""

from dataclasses import replace

from unlearnable.experiment import CLEAN, Cell
from unlearnable.protections import PROTECTIONS

TIERS = ("quick", "full")
EPOCHS = 60
"""Of the full tier, where a paper gives none."""
STAND_INS = {"cifar100": "tin100", "imagenet100": "imagenette", "sun": "places20-64"}
"""The papers' data sets that are not to be had, and what is measured instead."""
SMALL = {
    "resnet18": "cnn",  # the surrogate of the quick presets, as ResNet-18 is the papers'
    "cnn": "lenet",
    "vgg16": "lenet",
    "resnet20": "resnet8",
    "mobilenetv2": "resnet20",
    "resnet50": "resnet8",
    "resnet32": "resnet20",
    "shufflenetv2": "resnet32",
}
"""The network of the quick tier in the place of each: chosen for cost, no two of a table alike. Left out: vision
transformers, which learn nothing from 5,000 images in 12 epochs, and wide ResNets and DenseNets, for which no cheap one
is left: a fourth surrogate and victim would double the time of the tables that pair them."""
FITTED_ON = {"tin100-64": "tin100-quick"}
"""What the quick tier fits on in the place of each: of the size of its own images, with as many classes at least."""
SETTINGS = {
    ("cifar100", "em"): "em:cifar100",
    ("imagenet100", "em"): "em:imagenet",
    ("imagenet100", "rem"): "rem:imagenet",
}
"""What a method's authors published for a data set of the papers, where that is not its setting for CIFAR-10."""
GROUPS = "kmeans:5"
"""The labels of an adversary who merges the ten classes."""


def quick(cell: Cell, radius: str | None = None) -> Cell:
    """The cell of the quick tier for one of the full tier, whose model must be one of SMALL.

    radius: of adversarial training, where it is not that of the full tier.
    """
    return replace(
        cell,
        dataset="cifar10-quick",
        protection=_preset(cell.protection),
        adversary=_cheaper(cell.adversary, radius),
        model=SMALL[cell.model],
        epochs=12,
        surrogate=cell.surrogate and SMALL[cell.surrogate],
        fitted_on=cell.fitted_on and FITTED_ON[cell.fitted_on],
        relabel=cell.relabel and GROUPS,
        eps=None,  # the presets `quick` have the 8/255 that papers hold methods to
    )


def _preset(name: str) -> str:
    """`em` and `em:cifar100` -> `em:quick`, `em:class` -> `em:class-quick`; as it is where there is no such preset."""
    method, _, preset = name.partition(":")
    preset = "" if name in SETTINGS.values() else preset  # of a data set that the quick tier has not
    short = f"{preset}-quick" if preset else "quick"
    if name == CLEAN or (method in PROTECTIONS and short not in PROTECTIONS[method].presets):
        return name
    return f"{method}:{short}"


def _cheaper(adversary: str, radius: str | None) -> str:
    """Fewer steps of adversarial training, a smaller teacher."""
    kind, _, text = adversary.partition(":")
    if kind == "adversarial":
        return f"{kind}:{radius or text or '4/255'},4"
    words = [f"model={SMALL[word[6:]]}" if word.startswith("model=") else word for word in text.split(",")]
    return f"{kind}:{','.join(words)}" if text else kind
