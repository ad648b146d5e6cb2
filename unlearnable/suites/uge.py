"""Ungeneralizable Examples, Ye and Wang, CVPR 2024, arXiv 2404.14016: tables 1 to 3, figure 3 (no numbers).

Names: "Unlearn" is `uge:unlearn` (the loss L_fd alone), "UnDistill" `uge:undistill` (L_ud alone), "UGEs w/o UD"
`uge:no-undistill`, two authorised networks `uge:two`; CUDA is `class_filters`. The authorised network is the victim
`authorised`, which starts from what the protector handed out; students learn from such a network trained on the same
images. What is ours, `uge:blind`, is in the suites `authorised` to `authorised-several` and `uge-figure-3`.

The paper gives no temperature, no seeds and, but for table 3 (as CUDA: 100), no epochs, and has CLIP for its encoder;
ours is `mini`. CIFAR-100 stands in by `tin100`, where EM has its setting for CIFAR-100; TinyImageNet at 256 pixels has
no stand-in (`tinyimagenet`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import cast

from unlearnable.experiment import Cell
from unlearnable.protections import protection
from unlearnable.protections.uge import UGE
from unlearnable.suites.sizes import EPOCHS, SETTINGS, STAND_INS
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


SCHEMES = {
    "standard": "standard",
    "distill": "distill:authorised=plain,model=resnet18",
    "distill-1": "distill:authorised=plain,model=resnet18",
    "distill-2": "distill:authorised=plain,model=resnet18,which=1",
}
GIVEN = {"authorised": "authorised:plain", "net-1": "authorised:plain", "net-2": "authorised:plain,which=1"}


def _table_1() -> Iterator[tuple[Cell, float]]:
    for dataset, text in TABLE_1.items():
        for (method, scheme), column, figure in typed(text):
            yield _trained(dataset, method, scheme, column), figure


def _table_2() -> Iterator[tuple[Cell, float]]:
    for (method, scheme), column, figure in typed(TABLE_2):
        yield _trained("cifar10", method, scheme, column), figure


def _table_3() -> Iterator[tuple[Cell, float]]:
    for (dataset,), method, figure in typed(TABLE_3):
        yield _cell(dataset, method, "resnet18"), figure


def _trained(dataset: str, method: str, scheme: str, column: str) -> Cell:
    if column in GIVEN:
        return _cell(dataset, method, "resnet18", GIVEN[column])
    return _cell(dataset, method, column, SCHEMES[scheme])


def _cell(dataset: str, method: str, model: str, adversary: str = "standard") -> Cell:
    method = SETTINGS.get((dataset, method), method)
    return Cell(STAND_INS.get(dataset, dataset), method, adversary, model, epochs=EPOCHS)


DATA = {"quick": "cifar10-quick", "full": "cifar10"}
AUTHORISED = {"quick": "cnn", "full": "resnet18"}
HACKERS = {"quick": ("lenet", "resnet8", "resnet20"), "full": ("cnn", "resnet20", "resnet32")}
PLAIN = {"quick": "uge:quick", "full": "uge"}
BLIND = {"quick": "uge:blind-quick", "full": "uge:blind"}
OPEN = {"quick": "uge:blind-no-undistill-quick", "full": "uge:blind-no-undistill"}
LONG = {"quick": "uge:long-quick", "full": "uge"}
"""The paper's form, trained as long as this project's."""
SEVERAL = {
    "quick": {"uge:two-quick": 2, "uge:four-quick": 4, "uge:four-worst-quick": 4},
    "full": {"uge:two": 2, "uge:four": 4, "uge:four-worst": 4},
}
RHOS = (0.01, 0.02, 0.08, 0.16)  # beside the paper's 0.04
HARDER = ("authorised:blind+augmented", "finetune", "orthogonal", "jpeg", "grayscale", "ueraser")
"""Who has the initial weights and another recipe, and hackers who do more than train."""
VARIED = ("authorised:plain", "authorised:plain,order=1", "authorised:plain+augmented", "standard")
"""One thing of the authorised training at a time, of the paper's form: nothing, the order, augmentation, weights."""


def authorised(tier: str) -> list[Cell]:
    """The authorised network, hackers, one of them who knows what `uge:blind` does, and students: as published, one
    seed, and as it is here, three, of all but the costliest hacker; without what is made against students these alone.
    """
    model = AUTHORISED[tier]

    def taught(form: str) -> Iterator[tuple[str, str]]:
        yield f"authorised:{form}", model
        yield from ((f"distill:authorised={form},model={model}", other) for other in (model, HACKERS[tier][1]))

    whole = (
        _own(tier, method, adversary, who, seed)
        for seed in range(3)
        for method, form in ((LONG[tier], "plain"), (BLIND[tier], "blind")) if form == "blind" or not seed
        for adversary, who in (
            *taught(form),
            *(("standard", other) for other in (model, *HACKERS[tier]) if not seed or other != HACKERS[tier][-1]),
            ("decolour", model),
        )
    )  # fmt: skip
    return _beside_clean(
        chain(whole, (_own(tier, OPEN[tier], adversary, who, 0) for adversary, who in taught("blind")))
    )


def harder(tier: str) -> list[Cell]:
    """The form of this project against hackers who know that something was done, and the authorised network trained by
    another recipe than it was handed out with; of the paper's form, what of the recipe its condition hangs on.
    """
    forms = ((PLAIN[tier], VARIED), (BLIND[tier], HARDER))
    return _beside_clean(_own(tier, method, other, AUTHORISED[tier]) for method, who in forms for other in who)


def strength(tier: str) -> list[Cell]:
    """What rho does to the authorised network (figure 3), and to a hacker."""
    return _beside_clean(
        replace(_own(tier, method, adversary, AUTHORISED[tier]), eps=rho)
        for method, form in ((PLAIN[tier], "plain"), (BLIND[tier], "blind"))
        for adversary in (f"authorised:{form}", "standard")
        for rho in (None, *RHOS)
    )


def several(tier: str) -> list[Cell]:
    """Two authorised networks at once, three seeds, and four, one. Of the blind form one set of images serves any
    number.
    """
    forms = [(method, "plain", count) for method, count in SEVERAL[tier].items()]
    forms += [(BLIND[tier], "blind", count) for count in (2, 4)]
    return _beside_clean(
        _own(tier, method, *learner, seed)
        for method, form, count in forms
        for seed in range(3 if count == 2 else 1)
        for learner in _learners(tier, form, count)
    )


def _learners(tier: str, form: str, count: int) -> Iterator[tuple[str, str]]:
    """So many authorised networks, one of their kind with other weights, and one of another kind."""
    more = (f",which={which}" if which else "" for which in range(count))
    yield from ((f"authorised:{form}{which}", AUTHORISED[tier]) for which in more)
    yield from (("standard", model) for model in (AUTHORISED[tier], HACKERS[tier][1]))


def _own(tier: str, method: str, adversary: str, model: str, seed: int = 0) -> Cell:
    """Everybody trains for as many epochs as the network that the images are made for."""
    return Cell(DATA[tier], method, adversary, model, seed, epochs=cast(UGE, protection(method)).epochs)


def _beside_clean(cells: Iterable[Cell]) -> list[Cell]:
    return list(dict.fromkeys(both for cell in cells for both in (cell.control, cell)))


SUITES: dict[str, Suite] = {
    "authorised": Suite("Who learns from images made for one network", authorised),
    "authorised-harder": Suite("Who learns from them by other means", harder),
    "authorised-several": Suite("Images made for two networks, and for four", several),
    "uge-figure-3": Suite("How much change: rho, the authorised network and hackers", strength),
    "uge-table-1": paper("What each loss does, to networks of other kinds", SOURCE.format(1), _table_1()),
    "uge-table-2": paper("Two authorised networks", SOURCE.format(2), _table_2()),
    "uge-table-3": paper("As a plain unlearnable method, among others", SOURCE.format(3), _table_3()),
}
