"""Image shortcut squeezing, Liu, Zhao, Larson, ICML 2023, arXiv 2301.13838: what grayscale and JPEG at quality 10 undo.

The figures are those of the table in the authors' repository (liuzrcc/ImageShortcutSqueezing, README at commit
005d653). CIFAR-10, ResNet-18, 60 epochs; noise of 8/255, but LSP and AR of an L2 norm of 1.0 and OPS of one pixel.
So AR is `ar:paper`; LSP, whose `lsp:paper` has the 1.3 of its own paper, is the one that a preset cannot say. Deep
Confuse, ShortcutGen and TensorClog are here for the record.
"""

from collections.abc import Iterator

from unlearnable.experiment import Cell
from unlearnable.suites.suite import Suite, paper, typed

TABLE = """
             standard grayscale  jpeg
clean           94.68     92.41 85.38
deepconfuse     16.30     93.07 81.84
ntga            42.46     74.32 69.49
em              21.05     93.01 81.50
rem             25.44     92.84 81.50
shortcutgen     33.05     86.42 79.49
tensorclog      88.70     79.75 85.29
hypocritical    71.54     61.86 85.45
tap              8.17      9.11 83.87
sep              3.85      3.57 84.37
lsp:paper       19.07     82.47 83.01
ar:paper        13.28     34.04 85.15
ops             36.55     42.44 82.53
"""


def _cells() -> Iterator[tuple[Cell, float]]:
    for (method,), adversary, figure in typed(TABLE):
        yield Cell("cifar10", method, adversary, "resnet18", epochs=60), figure


SUITES: dict[str, Suite] = {
    "iss-table": paper(
        "Grayscale and JPEG against twelve protections",
        "Liu, Zhao, Larson, Image Shortcut Squeezing, ICML 2023, arXiv 2301.13838, table of the authors' repository",
        _cells(),
    )
}
