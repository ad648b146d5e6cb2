"""Ungeneralizable Examples, Ye and Wang, CVPR 2024, arXiv 2404.14016: tables 1 to 3 (figure 3 prints no numbers).

Names: "Unlearn" is `uge:unlearn` (the loss L_fd alone), "UnDistill" `uge:undistill` (L_ud alone), "UGEs w/o UD"
`uge:no-undistill`, two authorised networks `uge:two`; CUDA is `class_filters`.

What a cell cannot say, and what is therefore typed here but not measured:

* The authorised network: it starts from the weights that the protector chose. The victim of a cell never does, so that
  its column "ResNet-18" is the hacker with another initialisation. On clean images the two are the same training, and
  the two authorised networks of table 2 are two seeds.
* Distillation from the authorised network: the teacher of `distill` is the victim's own recipe, trained on the same
  images. That is the paper's attack only where the teacher is a plain ResNet-18 (on the original images and on
  "Unlearn") and the student is one too.

The paper gives no epochs, no temperature and no seeds. CIFAR-100 stands in by `tin100`; TinyImageNet at 256 pixels has
no stand-in (`tinyimagenet`).
"""

from collections.abc import Iterator

from unlearnable.experiment import CLEAN, Cell
from unlearnable.suites.sizes import EPOCHS, STAND_INS
from unlearnable.suites.suite import Suite, paper, typed

SOURCE = "Ye and Wang, Ungeneralizable Examples, CVPR 2024, arXiv 2404.14016, table {}"

TABLE_1 = {
    "cifar10": """
                           authorised   cnn resnet20 resnet32 resnet18
clean            standard       95.05 86.57    92.28    93.04    95.05
clean            distill            - 88.06    92.62    93.24    95.41
uge:unlearn      standard       22.59 18.36    20.37    22.39    22.44
uge:unlearn      distill            - 17.39    21.40    22.08    21.48
uge:undistill    standard       94.52 85.87    85.91    86.98    88.07
uge:undistill    distill            - 73.38    78.65    80.76    84.07
uge:no-undistill standard       94.34 46.97    56.97    75.07    45.95
uge:no-undistill distill            - 75.23    69.08    77.45    87.10
uge              standard       93.89 26.46    30.63    36.08    26.12
uge              distill            - 32.08    37.22    47.59    35.23
""",
    "cifar100": """
                           authorised mobilenetv2 shufflenetv2 resnet18
clean            standard       78.24       68.92        71.26    78.24
clean            distill            -       72.67        74.39    79.24
uge:no-undistill standard       75.26       22.05        21.59    16.46
uge:no-undistill distill            -       63.52        58.23    40.45
uge              standard       74.68       32.11        28.33    16.55
uge              distill            -       26.94        25.34    15.50
""",
    "tinyimagenet": """
                           authorised mobilenetv2 shufflenetv2 resnet18
clean            standard       63.08       56.00        59.90    63.08
clean            distill            -       60.02        63.19    66.28
uge:no-undistill standard       60.88       14.62        13.97    15.34
uge:no-undistill distill            -       36.39        49.82    42.93
uge              standard       59.54       15.79        22.75    17.55
uge              distill            -       19.69        21.06    24.42
""",
}

TABLE_2 = """
                    net-1 net-2   cnn resnet20
clean   standard    95.01 94.95 86.57    93.04
clean   distill-1       -     - 88.06    92.62
clean   distill-2       -     - 88.09    92.55
uge:two standard    93.27 93.83 43.28    49.34
uge:two distill-1       -     - 53.60    56.32
uge:two distill-2       -     - 50.32    54.29
"""

TABLE_3 = """
         clean    em   tap  ntga   rem class_filters uge:unlearn
cifar10  94.66 13.20 22.51 16.27 27.09         18.48       22.59
cifar100 76.27  1.60 13.75  3.22 10.14         12.69        9.35
"""


def _table_1() -> Iterator[tuple[Cell, float]]:
    for dataset, text in TABLE_1.items():
        for (method, scheme), model, figure in typed(text):
            plain_teacher = method in (CLEAN, "uge:unlearn") and model == "resnet18"
            if model != "authorised" and (scheme == "standard" or plain_teacher):
                yield _cell(dataset, method, model, scheme), figure


def _table_2() -> Iterator[tuple[Cell, float]]:
    seeds = {"net-1": 0, "net-2": 1}
    for (method, scheme), column, figure in typed(TABLE_2):
        if scheme == "standard" and (method == CLEAN or column not in seeds):
            model = "resnet18" if column in seeds else column
            yield _cell("cifar10", method, model, seed=seeds.get(column, 0)), figure


def _table_3() -> Iterator[tuple[Cell, float]]:
    for (dataset,), method, figure in typed(TABLE_3):
        yield _cell(dataset, method, "resnet18"), figure


def _cell(dataset: str, method: str, model: str, adversary: str = "standard", seed: int = 0) -> Cell:
    return Cell(STAND_INS.get(dataset, dataset), method, adversary, model, seed, epochs=EPOCHS)


SUITES: dict[str, Suite] = {
    "uge-table-1": paper("What each loss does, to networks of other kinds", SOURCE.format(1), _table_1()),
    "uge-table-2": paper("Two authorised networks", SOURCE.format(2), _table_2()),
    "uge-table-3": paper("As a plain unlearnable method, among others", SOURCE.format(3), _table_3()),
}
