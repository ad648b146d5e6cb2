"""Data collapse: Fang, Li, Wu, Zheng, Ding, Yi, Ma, Towards Generalizable Data Protection With Transferable Unlearnable
Examples, preprint 2023, arXiv 2305.11191: tables 1 to 6.

"Ours" is `collapse`. Noise of 8/255; REM's and the paper's are made against adversarial training of 4/255. Adversarial
training has 10 steps, as in REM, whose rows the paper repeats; the paper itself names neither steps nor epochs.
CIFAR-100 stands in by `tin100`, the first 100 classes of ImageNet by `imagenette` (10 classes). There EM and, on
ImageNet, REM have the settings that their authors published (`SETTINGS`), EM's at 8/255; the others CIFAR-10's.

The paper contradicts itself: ResNet-18 on clean CIFAR-100 at 4/255 has 64.50 in table 1 and 63.43 in table 2; EM there
has 63.43 in tables 1 and 2 and 64.17 in table 6. Partly protected sets are in a supplement that is not to be had.
"""

from collections.abc import Iterator

from unlearnable.experiment import Cell
from unlearnable.suites.sizes import EPOCHS, SETTINGS, STAND_INS
from unlearnable.suites.suite import Suite, paper, typed

SOURCE = (
    "Fang et al., Towards Generalizable Data Protection With Transferable Unlearnable Examples, "
    "preprint 2023, arXiv 2305.11191, table {}"
)
AGAINST = "adversarial:4/255"
QUICK_AGAINST = "2/255"
"""The radius that quick presets are made against, as the paper's are made against 4/255; and under 4/255 small networks
learn next to nothing from clean images in 12 epochs.
"""

TABLE_1 = """
                      clean    em   tap  ntga   rem collapse
cifar10     0         94.66 13.20 22.51 16.27 22.93    10.47
cifar10     1/255     93.74 22.08 92.16 41.53 30.00    14.33
cifar10     2/255     92.37 71.43 90.53 85.13 30.04    18.80
cifar10     3/255     90.90 87.71 89.55 89.41 31.75    24.44
cifar10     4/255     89.51 88.62 88.02 88.96 48.16    29.20
cifar100    0         76.27  1.60 13.75  3.22 11.63     2.70
cifar100    1/255     71.90 71.47 70.03 65.74 14.48     4.07
cifar100    2/255     68.91 68.49 66.91 66.53 16.60     5.21
cifar100    3/255     66.45 65.66 64.30 64.80 20.70    12.06
cifar100    4/255     64.50 63.43 62.39 62.44 27.35    22.35
imagenet100 0         80.66  1.26  9.10  8.42 13.74     7.96
imagenet100 1/255     76.20 74.88 75.14 63.28 21.58    13.20
imagenet100 2/255     72.52 71.74 70.56 66.96 29.40    17.00
imagenet100 3/255     69.68 66.90 67.64 65.98 35.76    21.42
imagenet100 4/255     66.62 63.40 63.56 63.06 41.66    29.28
"""

TABLE_2 = """
                     clean    em   rem collapse
cifar10  vgg16       87.51 87.24 65.23    37.55
cifar10  resnet18    89.51 88.62 48.16    29.20
cifar10  resnet50    89.79 89.66 40.65    25.63
cifar10  densenet121 83.27 81.77 82.38    64.46
cifar10  wrn34_10    91.21 79.87 48.39    22.98
cifar100 vgg16       57.46 56.94 58.07    55.22
cifar100 resnet18    63.43 63.43 27.35    22.35
cifar100 resnet50    66.93 66.43 26.03    21.60
cifar100 densenet121 53.73 53.52 56.63    52.32
cifar100 wrn34_10    68.64 68.27 27.71    19.44
"""

# Tables 3 to 6: surrogate and method at the left, victims above.
TABLE_3 = """
                     vgg16 resnet18 resnet50 densenet121 wrn34_10
vgg16       em       70.35    77.84    62.63       71.24    66.43
vgg16       rem      46.27    45.25    40.29       43.29    42.95
vgg16       collapse 26.59    26.23    29.41       32.98    30.25
resnet18    em       15.70    13.20    10.19       14.59    10.56
resnet18    rem      23.55    22.93    22.98       28.47    23.19
resnet18    collapse 10.97    10.47    10.04       12.26    10.75
resnet50    em       18.77    17.89    19.31       26.08    19.41
resnet50    rem      24.64    23.22    23.91       30.04    22.82
resnet50    collapse 10.01    11.23    11.51       11.91    10.41
densenet121 em       17.67    12.30    11.76       18.85    11.23
densenet121 rem      35.46    35.91    33.09       33.26    33.49
densenet121 collapse 16.14    11.30    11.10       18.38    10.91
"""

TABLE_4 = """
                     vgg16 resnet18 resnet50 densenet121 wrn34_10
vgg16       em       17.45    21.79    28.94       61.85    34.50
vgg16       rem      11.89    21.08    19.76       17.95    26.72
vgg16       collapse  9.27    11.50    11.00       13.86    10.97
resnet18    em        4.59     1.60     4.77        6.22     3.59
resnet18    rem       9.15    11.63     9.23       13.06    11.74
resnet18    collapse  4.38     2.70     3.30        7.84     2.50
resnet50    em       69.10    74.79    74.16       65.18    76.71
resnet50    rem      10.24    10.53     9.43       23.28    10.15
resnet50    collapse  4.21     6.92     6.86        6.38     7.63
densenet121 em        1.00     7.84     7.53       64.76    11.15
densenet121 rem      16.62    20.28    18.88       17.96    20.91
densenet121 collapse  3.52     5.07     5.20        8.32    10.22
"""

TABLE_5 = """
                     vgg16 resnet18 resnet50 densenet121 wrn34_10
vgg16       em       87.75    89.21    90.19       83.58    90.83
vgg16       rem      73.60    74.73    74.16       77.63    74.94
vgg16       collapse 64.72    54.17    62.35       70.21    62.36
resnet18    em       87.24    88.62    89.66       81.77    79.87
resnet18    rem      65.23    48.16    40.65       82.38    48.39
resnet18    collapse 37.55    29.20    25.63       64.46    22.98
resnet50    em       87.57    89.17    89.83       82.64    90.68
resnet50    rem      51.88    44.27    37.79       82.01    42.09
resnet50    collapse 42.64    30.04    28.78       74.42    30.44
densenet121 em       87.59    84.51    85.57       82.76    85.68
densenet121 rem      67.30    69.62    66.42       60.51    72.09
densenet121 collapse 35.88    36.61    31.39       39.35    34.78
"""

TABLE_6 = """
                     vgg16 resnet18 resnet50 densenet121 wrn34_10
vgg16       em       57.33    63.55    65.44       53.45    68.23
vgg16       rem      41.13    52.00    51.77       48.92    56.05
vgg16       collapse 34.02    46.66    46.55       41.93    49.23
resnet18    em       56.94    64.17    66.43       53.52    68.27
resnet18    rem      58.07    27.35    26.03       56.63    27.71
resnet18    collapse 55.22    22.35    21.60       52.32    19.44
resnet50    em       56.82    64.19    66.93       54.51    68.56
resnet50    rem      54.61    35.50    30.43       54.26    35.11
resnet50    collapse 51.24    26.01    21.81       52.32    22.89
densenet121 em       57.39    63.73    66.37       54.62    68.43
densenet121 rem      47.22    41.89    45.49       41.15    50.66
densenet121 collapse 33.67    29.80    28.85       31.45    30.39
"""


def _radii() -> Iterator[tuple[Cell, float]]:
    for (dataset, radius), method, figure in typed(TABLE_1):
        adversary = "standard" if radius == "0" else f"adversarial:{radius}"
        yield _cell(dataset, method, adversary, "resnet18"), figure


def _victims() -> Iterator[tuple[Cell, float]]:
    for (dataset, model), method, figure in typed(TABLE_2):
        yield _cell(dataset, method, AGAINST, model), figure


def _surrogates(text: str, dataset: str, adversary: str) -> Iterator[tuple[Cell, float]]:
    for (surrogate, method), model, figure in typed(text):
        yield _cell(dataset, method, adversary, model, surrogate), figure


def _cell(dataset: str, method: str, adversary: str, model: str, surrogate: str = "resnet18") -> Cell:
    other = None if surrogate == "resnet18" else surrogate  # every method's own
    method = SETTINGS.get((dataset, method), method)
    eps = 8 / 255 if method == "em:imagenet" else None  # whose own is 16/255
    return Cell(STAND_INS.get(dataset, dataset), method, adversary, model, epochs=EPOCHS, surrogate=other, eps=eps)


SUITES: dict[str, Suite] = {
    "collapse-table-1": paper("Adversarial training of growing radius", SOURCE.format(1), _radii()),
    "collapse-table-2": paper(
        "Victims of other kinds, trained adversarially", SOURCE.format(2), _victims(), radius=QUICK_AGAINST
    ),
    "collapse-table-3": paper(
        "Surrogates and victims, CIFAR-10", SOURCE.format(3), _surrogates(TABLE_3, "cifar10", "standard")
    ),
    "collapse-table-4": paper(
        "Surrogates and victims, CIFAR-100", SOURCE.format(4), _surrogates(TABLE_4, "cifar100", "standard"), "tin100"
    ),
    "collapse-table-5": paper(
        "The same, trained adversarially, CIFAR-10", SOURCE.format(5), _surrogates(TABLE_5, "cifar10", AGAINST),
        radius=QUICK_AGAINST,
    ),
    "collapse-table-6": paper(
        "The same, trained adversarially, CIFAR-100", SOURCE.format(6), _surrogates(TABLE_6, "cifar100", AGAINST),
        "tin100", QUICK_AGAINST,
    ),
}  # fmt: skip
