"""The second tab's work: the small victim on clean, protected and merely noisy pictures, epoch by epoch."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from unlearnable import demo, experiment, flags, tables
from unlearnable.data import ImageSet, load_labelled
from unlearnable.experiment import CLEAN
from unlearnable.job import Job, protect
from unlearnable.job.manifest import Manifest
from unlearnable.pixels import parse_eps
from unlearnable.run import Run
from unlearnable.tables import svg
from unlearnable.tables.epochs import Curves, Line
from unlearnable.ui.protecting import Wanted
from unlearnable.ui.uploads import Limits, Upload, source_of

PROTECTED, NOISE = "protected", "random noise"
_HELD_BACK = 5  # every fifth picture of a class is for the test
_SMALL = 32  # pixels a side
_drawing = threading.Lock()  # matplotlib's settings belong to the whole process


@dataclass
class Watched:
    """What is known so far: the curves by name, and what they were measured on."""

    about: str = ""
    classes: int = 2
    tests: int = 0
    curves: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def hear(self, name: str, curve: tuple[float, ...]) -> None:
        """Takes a curve as far as it is."""
        self.curves = self.curves | {name: curve}

    @property
    def drawing(self) -> str:
        """The curves as SVG for the middle of a page; nothing where there is none yet."""
        lines = tuple(Line(name, points, points, points) for name, points in self.curves.items() if points)
        if not lines:
            return ""
        found = Curves("A small network", (("a small network, trained in the usual way", lines),), 1 / self.classes)
        with _drawing:
            return svg.inline(tables.drawing(found))

    @property
    def words(self) -> str:
        """What the ends of the curves say, and what they do not."""
        ends = {name: curve[-1] for name, curve in self.curves.items() if curve}
        if PROTECTED not in ends or NOISE not in ends:
            return ""
        return (
            f"Of {self.tests} test pictures that nobody changed, the network got {ends[CLEAN]:.0%} right after "
            f"training on the originals, {ends[PROTECTED]:.0%} after training on the protected ones, and "
            f"{ends[NOISE]:.0%} after training on plain noise of the same strength; guessing gets "
            f"{1 / self.classes:.0%}. {self.about}. One network, trained once: another way of training, or another "
            "network, gives other numbers. JPEG, grey pictures and adversarial training are known to undo much of "
            f"what such methods do.{self._doubts}"
        )

    @property
    def _doubts(self) -> str:
        """What speaks against these numbers, but for what is always so here: that there is one seed."""
        clean, protected = self.curves[CLEAN], self.curves[PROTECTED]
        found = flags.doubts(
            classes=self.classes, tests=self.tests, seeds=1, clean_acc=clean[-1], protected_acc=protected[-1],
            best_acc=max(protected), train_acc=1.0,  # of the training pictures nothing is known here
        )  # fmt: skip
        return "".join(f" Mind: {flags.FLAGS[name]}." for name in found if name != "few-seeds")


def try_out(
    uploads: Sequence[Upload], folder: Path, wanted: Wanted, limits: Limits, watched: Watched, run: Run
) -> Watched:
    """Protects, trains and tests: on scanned digits, or on a zip of class folders. Raises ValueError, one line."""
    folder.mkdir(parents=True)
    if uploads:
        source, test_folder = source_of(uploads, folder / "originals", limits), None
        if source.is_dir():
            raise ValueError("drop one zip with a folder for each class: train/cat/1.jpg and so on")
        watched.about = "Your pictures, at 64 pixels a side at most; every fifth of a class was held back for the test"
    else:
        demo.write_digits(folder / "digits")
        source, test_folder = folder / "digits" / "clean", folder / "digits" / "test"
        watched.about = "The pictures are scikit-learn's scanned digits, of 16 pixels a side"
    try:
        sets, test = _sets(source, test_folder, folder, wanted, run)
    except ValueError as reason:
        raise ValueError(str(reason).replace(f"{folder}/originals/", "").replace("SRC ", "")) from reason
    watched.classes, watched.tests = len(test.classes), len(test)
    with _few_threads(test.size):
        experiment.watch(sets, test, watched.hear, run=run)
    return watched


@contextmanager
def _few_threads(size: int) -> Iterator[None]:
    """Networks for small pictures are not faster on several threads, and far slower where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if size <= _SMALL else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _sets(
    source: Path, test_folder: Path | None, folder: Path, wanted: Wanted, run: Run
) -> tuple[dict[str, ImageSet], ImageSet]:
    """(the training pictures by what was done to them, the test pictures)."""
    clean, names = load_labelled(source)
    versions = ((PROTECTED, "protected", wanted.method), (NOISE, "noise", "random"))
    made = {
        name: _protected(source, folder / place, method, wanted.eps, clean.size, run)
        for name, place, method in versions
    }
    there = [row for row, name in enumerate(names) if all(name in rows for _, rows in made.values())]
    if test_folder is not None:
        test = load_labelled(test_folder, clean.size)[0]
    else:
        held = _held_back(clean, there)
        test, there = clean.subset(torch.tensor(held)), [row for row in there if row not in set(held)]
    chosen = clean.subset(torch.tensor(there))
    sets = {CLEAN: chosen}
    for name, (data, rows) in made.items():
        sets[name] = chosen.with_images(data.images[[rows[names[row]] for row in there]])
    return sets, test


def _protected(source: Path, out: Path, method: str, eps: str, size: int, run: Run) -> tuple[ImageSet, dict[str, int]]:
    """What the job makes of the collection, and the row in it of every original, by its name."""
    done = protect(Job(source, out, method, parse_eps(eps)), run)
    data, names = load_labelled(out, size)
    at = {name: row for row, name in enumerate(names)}
    with closing(Manifest(done.manifest, writing=False)) as manifest:
        written = {row.name: str(row.outcome.output) for row in manifest.rows("protected")}
    return data, {name: at[output] for name, output in written.items() if output in at}


def _held_back(data: ImageSet, rows: Sequence[int]) -> list[int]:
    """Every fifth of these rows in each class. Raises ValueError where that is none of some class."""
    held: list[int] = []
    for label, name in enumerate(data.classes):
        of_class = [row for row in rows if int(data.labels[row]) == label]
        if len(of_class) < _HELD_BACK:
            raise ValueError(f"class {name!r} has {len(of_class)} pictures that can be used: {_HELD_BACK} at least")
        held += of_class[_HELD_BACK - 1 :: _HELD_BACK]
    return held
