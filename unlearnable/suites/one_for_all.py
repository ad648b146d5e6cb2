"""One for All: A Universal Generator for Concept Unlearnability via Multi-Modal Alignment, Chen, Zhang, Li, Han,
ICML 2025: tables 1 to 3. Figure 3 prints no numbers; the text only says that accuracy on CIFAR-10 and CIFAR-100 falls
"by 58.5% and 70.1%", of what it does not say.

"14A" is `one_for_all:discriminant`, with the loss of the paper; this project's own form, `one_for_all`, is listed in
every row beside it, and has no figure. LaUE is `clusters`, at the 8/255 that the paper holds all methods to. Published
figures of both come from CLIP, ours from `mini`.

Everything is fitted on one data set and protects others: in the paper on ImageNet at 224 pixels, here on 100 of its
classes, `tin100-64`. The two sets have one size, 64, and the first has no fewer classes, so that noise for a class or
of a size fits too. Of the five data sets only SUN has a stand-in, `places20-64`; `pets`, `flowers`, `cars` and `food`
wait for a loader. Tables 2 and 3 merge the classes into 20 groups by their names, the 20 scenes into 10.

The paper names no victim's recipe. 200 epochs are those of its published code, which flips nothing, blurs what 14A and
LaUE protected (sigma 1) and crops clean images alone; ours crops and flips all of them, and blurs none. ViT asks for a
smaller rate than a cell can give and may stay low on clean images too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from unlearnable.experiment import CLEAN, Cell
from unlearnable.suites.sizes import STAND_INS
from unlearnable.suites.suite import Suite, paper, typed

SOURCE = "Chen, Zhang, Li, Han, One for All, ICML 2025, table {}"
EPOCHS = 200
FITTED_ON = "tin100-64"
GROUPS = {"places20-64": "names:10"}
THEIRS, OURS = "one_for_all:discriminant", "one_for_all"
BUDGETS = {"clusters": 8 / 255}
"""Of methods whose own is another."""

TABLE_1 = """
                                       pets flowers  cars  food   sun
resnet18     clean                    43.68   84.47 40.43 65.45 50.40
resnet18     cp                       15.34   58.19  5.85 26.49 25.14
resnet18     tue                      15.99   57.09  6.14 25.84 23.85
resnet18     clusters                 13.79   62.34  7.30 47.84 34.20
resnet18     one_for_all:discriminant  3.10   15.15  6.69 17.18 16.01
mobilenetv2  clean                    45.84   90.22 59.95 67.88 57.22
mobilenetv2  cp                        8.80   47.43  2.98 14.97 28.14
mobilenetv2  tue                       8.04   47.67  3.70 16.99 25.33
mobilenetv2  clusters                 14.41   81.05  2.73 51.10 44.68
mobilenetv2  one_for_all:discriminant  4.03   19.07 10.25 12.21 20.28
shufflenetv2 clean                    42.27   83.61 45.16 69.29 53.88
shufflenetv2 cp                       11.42   54.64  4.47 26.49 23.82
shufflenetv2 tue                      10.98   54.52  4.82 26.89 22.14
shufflenetv2 clusters                  6.67   66.25  4.14 41.37 35.67
shufflenetv2 one_for_all:discriminant  3.10   22.00  4.31 10.94 15.31
"""

TABLE_2 = """
                                       pets flowers  cars  food   sun
resnet18     clean                    42.16   75.67 56.95 62.96 56.14
resnet18     cp                       23.54   55.86 20.68 33.60 39.70
resnet18     tue                      23.27   53.30 20.14 33.01 39.63
resnet18     clusters                 19.51   62.34 19.98 43.67 41.55
resnet18     one_for_all:discriminant  7.24   29.58 19.21 19.19 28.74
mobilenetv2  clean                    40.58   83.49 66.89 61.39 65.22
mobilenetv2  cp                       16.65   49.14 13.58 21.81 43.30
mobilenetv2  tue                      15.12   39.48 13.44 31.88 42.62
mobilenetv2  clusters                 19.56   69.31  7.98 42.40 52.74
mobilenetv2  one_for_all:discriminant  6.92   36.06 25.32 17.46 35.68
shufflenetv2 clean                    46.75   76.89 58.21 67.81 62.62
shufflenetv2 cp                       21.80   50.97 16.42 33.35 39.20
shufflenetv2 tue                      18.23   51.71 15.29 31.88 38.40
shufflenetv2 clusters                 18.04   54.27 16.04 44.59 49.91
shufflenetv2 one_for_all:discriminant  9.37   30.68 18.04 15.87 30.04
resnet50     clean                    37.69   69.07 48.40 68.71 60.59
resnet50     cp                       17.41   48.28 15.50 29.73 39.50
resnet50     tue                      15.94   45.96 15.30 34.86 40.45
resnet50     clusters                 15.56   45.35  5.73 48.67 43.24
resnet50     one_for_all:discriminant  9.18   25.42 11.10 13.88 25.93
vgg16        clean                    41.41   71.39 43.78 52.49 57.85
vgg16        cp                       22.29   35.57 14.28 19.58 30.59
vgg16        tue                      21.01   40.95 14.36 18.80 29.97
vgg16        clusters                 16.76   33.12  8.90 15.53 19.04
vgg16        one_for_all:discriminant  9.21   21.51  9.40  7.36 17.22
vit          clean                    30.36   58.68 36.00 45.63 41.78
vit          cp                       17.49   45.84 15.61 32.85 32.49
vit          tue                      17.47   44.86 14.71 32.36 32.13
vit          clusters                 14.00   31.05 10.09 22.91 24.55
vit          one_for_all:discriminant  8.55   10.63 13.54 13.46 17.40
"""

# One for All alone; the first row of each model is that of table 2.
TABLE_3 = """
                         pets flowers  cars  food   sun
resnet18     standard    7.24   29.58 19.21 19.19 28.74
resnet18     mixup       9.10   34.10 15.17 26.21 32.50
resnet18     gaussian    8.58   21.63 13.41 26.95 30.05
resnet18     orthogonal  5.83   13.93  5.40  8.58 10.71
vgg16        standard    9.21   21.51  9.40  7.36 17.22
vgg16        mixup      14.39   26.40 11.24 16.22 32.85
vgg16        gaussian   11.77   23.59 12.93 12.71 30.53
vgg16        orthogonal  6.59   13.44  7.88  5.42  9.61
vit          standard    8.55   10.63 13.54 13.46 17.40
vit          mixup      15.78   20.90 16.50 21.25 25.86
vit          gaussian   11.47   14.18 13.95 17.82 23.95
vit          orthogonal 15.34   13.69 14.56 16.22 21.83
"""


def _methods(text: str, merged: bool) -> Iterator[tuple[Cell, float]]:
    for (model, method), dataset, figure in typed(text):
        yield _cell(dataset, method, "standard", model, merged), figure


def _attacks() -> Iterator[tuple[Cell, float]]:
    for (model, attack), dataset, figure in typed(TABLE_3):
        yield _cell(dataset, THEIRS, attack, model, True), figure


def _cell(dataset: str, method: str, adversary: str, model: str, merged: bool) -> Cell:
    dataset = STAND_INS.get(dataset, dataset)
    source = None if method == CLEAN else FITTED_ON
    groups = GROUPS.get(dataset, "names:20") if merged else None
    eps = BUDGETS.get(method)
    return Cell(dataset, method, adversary, model, epochs=EPOCHS, fitted_on=source, relabel=groups, eps=eps)


def _suite(title: str, table: int, cells: Iterable[tuple[Cell, float]]) -> Suite:
    figures = dict(cells)
    ours = [replace(cell, protection=OURS) for cell in figures if cell.protection == THEIRS]
    return paper(title, SOURCE.format(table), figures.items(), "places20-64", also=ours)


SUITES: dict[str, Suite] = {
    "one-for-all-table-1": _suite("Protections fitted on another data set", 1, _methods(TABLE_1, merged=False)),
    "one-for-all-table-2": _suite("The same, and the adversary has other labels", 2, _methods(TABLE_2, merged=True)),
    "one-for-all-table-3": _suite("The same, and the adversary works against it", 3, _attacks()),
}
