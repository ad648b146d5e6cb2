"""The table of verbs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from unlearnable.cli import authorising, exporting, looking, measuring, protecting, proving, serving
from unlearnable.cli.answer import Answer
from unlearnable.cli.parsing import Parser

if TYPE_CHECKING:
    from unlearnable.run import Run


@dataclass(frozen=True)
class Verb:
    """about: one line; flags: adds its own, given the first word that was typed; stopped: what to do after Ctrl-C;
    ranks: several processes can share the work, started by torchrun; kinds: its first argument decides on the flags.
    """

    about: str
    flags: Callable[[Parser, str], None]
    work: Callable[[Namespace, "Run"], Answer]
    stopped: str = "nothing is left half done: run it again"
    ranks: bool = False
    kinds: bool = False


_AGAIN = "the same command goes on where it stopped"

VERBS: dict[str, Verb] = {
    "protect": Verb(
        "protect a collection of pictures", protecting.protect_flags, protecting.protect,
        "the same command with --resume goes on where it stopped",
    ),
    "fit": Verb(
        "fit a method on a collection, for protect --method OUT", protecting.fit_flags, protecting.fit, _AGAIN,
        ranks=True, kinds=True,
    ),
    "verify": Verb(
        "compare a protected collection with its originals, or with its manifest", proving.verify_flags, proving.verify
    ),
    "report": Verb(
        "say what was done to a folder, what is left of it and who undoes it", proving.report_flags, proving.report,
    ),
    "export": Verb("write a generator as one ONNX file, checked", exporting.export_flags, exporting.export),
    "evaluate": Verb(
        "train on clean and on protected pictures and compare", measuring.evaluate_flags, measuring.evaluate,
        "nothing was kept: run it again",
    ),
    "authorise": Verb(
        "bundles for the one network that may learn: create, key, release, sign, verify, train, inspect",
        authorising.authorise_flags, authorising.authorise,
        "run it again: train and release go on where they stopped, the others begin anew", kinds=True,
    ),
    "demo": Verb("see it work on pictures that come along, no download", looking.demo_flags, looking.demo),
    "ui": Verb("a page in the browser: drop pictures, see and fetch them protected", serving.ui_flags, serving.ui),
    "list": Verb("protections, adversaries, models and suites by name", looking.no_flags, looking.listing),
    "doctor": Verb("check this installation", looking.no_flags, looking.doctor),
    "bench": Verb("measure a suite, a table of ours or of a paper", measuring.bench_flags, measuring.bench, _AGAIN),
    "tables": Verb("the records of bench as tables", measuring.tables_flags, measuring.tables),
}  # fmt: skip
