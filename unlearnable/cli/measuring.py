"""evaluate, bench, tables: how well it worked."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from unlearnable.cli.answer import Answer
from unlearnable.cli.parsing import Names, Parser, UsageError, adversaries_in, folder_out, split, track_flag, within

if TYPE_CHECKING:
    from unlearnable.data import ImageSet
    from unlearnable.experiment import Cell
    from unlearnable.run import Run


def evaluate_flags(parser: Parser, first: str) -> None:
    """Three labelled collections, and who trains on them."""
    parser.add_argument("clean", metavar="CLEAN", type=str, help="the originals, one folder for each class")
    parser.add_argument("protected", metavar="PROTECTED", type=str, help="what protect made of them")
    parser.add_argument("test", metavar="TEST", type=str, help="other pictures of the same classes, not protected")
    parser.add_argument(
        "--adversaries",
        type=Names,
        metavar="A,B",
        help="who trains on them: names from unlearnable list, or all",
    )
    parser.add_argument("--models", type=Names, default="cnn", metavar="M,N", help="what they train")
    parser.add_argument("--seeds", type=int, default=1, help="how often each of them trains")
    parser.add_argument("--rate", type=float, default=1.0, help="the share of protected pictures, the rest is clean")
    parser.add_argument(
        "--relabel",
        type=str,
        metavar="kmeans:K",
        help="the adversary's own labels, K groups of classes: kmeans:K, names:K or groups:FILE",
    )
    parser.add_argument("--size", type=int, help="side in training; by default the first one's, 64 at most")
    parser.add_argument("--epochs", type=int, help="instead of the adversary's own number")
    parser.add_argument("--out", type=str, metavar="DIR", help="a folder for the table and the figures")
    data_flag(parser)
    track_flag(parser)


def bench_flags(parser: Parser, first: str) -> None:
    """Which suite."""
    parser.add_argument("suite", metavar="SUITE", type=str, help="a name from unlearnable list")
    parser.add_argument("--tier", type=str, default="quick", metavar="{quick,full}", help="two cores, or one GPU")
    parser.add_argument("--out", type=str, default="results", metavar="DIR", help="a record for each cell goes there")
    parser.add_argument("--shard", type=str, default="1/1", metavar="I/N", help="only the cells of every N-th fit")
    parser.add_argument("--seeds", type=int, metavar="N", help="only cells of seeds below N; default: all of the suite")
    data_flag(parser)
    track_flag(parser)


def data_flag(parser: Parser) -> None:
    """For verbs that read data sets, or weights, from the data folder."""
    parser.add_argument(
        "--data", type=str, metavar="DIR", help="the folder of the packs, or hub: download (default: $UNLEARNABLE_DATA)"
    )


def tables_flags(parser: Parser, first: str) -> None:
    """Where the records are."""
    parser.add_argument("results", metavar="RESULTS", type=str, help="the folder bench wrote")
    parser.add_argument("--suite", type=str, help="only the cells of one suite, with the figures its paper published")
    parser.add_argument("--tier", type=str, metavar="{quick,full}", help="the tier of that suite (default: quick)")
    parser.add_argument("--out", type=str, metavar="DIR", help="a folder for a page with the figures drawn")


def evaluate(args: Namespace, run: "Run") -> Answer:
    """Trains victims on clean and on protected pictures and compares them."""
    from unlearnable import experiment, tables
    from unlearnable.data import LARGEST_SIZE
    from unlearnable.packs import data_in

    within(args, "size", 1, LARGEST_SIZE)
    within(args, "epochs", 1)
    within(args, "seeds", 1)
    adversaries, models = _adversaries(args.adversaries), split(args.models)
    places = {name.upper(): Path(args[name]) for name in ("clean", "protected", "test")}
    if args.out is not None:
        folder_out(Path(args.out), places)
    with data_in(args.data):
        _check_names(adversaries, models)
        loaded = _load(places["CLEAN"], places["PROTECTED"], places["TEST"], args.size)
        clean, protected, test = loaded.clean, loaded.protected, loaded.test
        evaluation = experiment.evaluate(
            clean, protected, test, adversaries=adversaries, models=models, seeds=args.seeds, rate=args.rate,
            relabel=args.relabel, epochs=args.epochs, run=run,
        )  # fmt: skip
    if args.out is not None:
        tables.write(evaluation, Path(args.out), tables.examples(clean, protected))
    where = "" if args.out is None else f"\n\nas a page, with pictures: {Path(args.out) / 'report.html'}"
    said = evaluation.as_json() | {"failed": len(loaded.failures)}
    return Answer(said, tables.markdown(evaluation) + where, loaded.failures, unwell=bool(loaded.failures))


def _adversaries(names: Names | None) -> tuple[str, ...]:
    from unlearnable.adversaries import SHORT

    asked = adversaries_in(names)
    return SHORT if names is None else asked


def _check_names(adversaries: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Before anything is loaded or trained."""
    from unlearnable import models
    from unlearnable.adversaries import adversary

    for name in adversaries:
        adversary(name).check()
    for name in names:
        models.check_model(name)
    if not adversaries or not names:
        raise UsageError("--adversaries and --models need a name at least")


@dataclass(frozen=True, eq=False)
class _Loaded:
    """clean and protected: the same pictures; failures: what is in no set, by its path, and why."""

    clean: "ImageSet"
    protected: "ImageSet"
    test: "ImageSet"
    failures: tuple[tuple[str, str], ...]


def _load(clean: Path, protected: Path, test: Path, size: int | None) -> _Loaded:
    """One picture that cannot be had is in neither set, and does not stop the others."""
    import torch

    from unlearnable.data import load_readable

    originals, names, bad = load_readable(clean, size, what="CLEAN")
    copies, copied, unread = load_readable(protected, originals.size, what="PROTECTED")
    tests, _, untested = load_readable(test, originals.size, what="TEST")
    rows = matching(names, copied)
    known = matching(names, tuple(name for name, _ in unread))  # those are said with their reason
    found = ((clean, bad), (protected, unread), (test, untested))
    failures = [(str(place / name), reason) for place, said in found for name, reason in said]
    failures += [
        (str(clean / name), f"missing in PROTECTED {str(protected)!r}")
        for name, row, other in zip(names, rows, known, strict=True) if row is None and other is None
    ]  # fmt: skip
    kept = torch.tensor([at for at, row in enumerate(rows) if row is not None], dtype=torch.int64)
    if not len(kept):
        raise UsageError(f"{protected} lacks all {len(names)} pictures of {clean}, first {names[0]}")
    both = originals.subset(kept)
    images = copies.images[[row for row in rows if row is not None]]
    return _Loaded(both, both.with_images(images), tests, tuple(failures))


def matching(names: tuple[str, ...], copied: tuple[str, ...]) -> list[int | None]:
    """The row in `copied` of every name, its suffix aside: photo.jpg was written as photo.png or photo.jpg.png."""
    by_name = {name: row for row, name in enumerate(copied)}
    by_stem = {str(PurePosixPath(name).with_suffix("")): row for row, name in enumerate(copied)}
    taken: set[int] = {by_name[name] for name in names if name in by_name}
    rows: list[int | None] = []
    for name in names:
        stem = str(PurePosixPath(name).with_suffix(""))
        others = (by_stem.get(name), by_stem.get(stem))
        row = by_name.get(name, next((other for other in others if other is not None and other not in taken), None))
        taken |= set() if row is None else {row}
        rows.append(row)
    return rows


def bench(args: Namespace, run: "Run") -> Answer:
    """Measures what is missing of a suite."""
    from unlearnable import experiment, suites
    from unlearnable.packs import data_in

    shard = re.fullmatch(r"(\d+)/(\d+)", args.shard)
    if shard is None:
        raise UsageError(f"--shard must be I/N, such as 1/4, got {args.shard!r}")
    within(args, "seeds", 1)
    cells = [cell for cell in suites.cells(args.suite, args.tier) if args.seeds is None or cell.seed < args.seeds]
    with data_in(args.data):
        _check_data([cell for cell in cells if not (Path(args.out) / cell.file).exists()])
        measured, already, failed = experiment.bench(cells, Path(args.out), run, (int(shard[1]), int(shard[2])))
    said = {"measured": measured, "already": already, "failed": len(failed), "out": args.out}
    text = f"{measured} cells measured, {already} were there; as a table: unlearnable tables {args.out}"
    return Answer(said, text, failed, unwell=bool(failed))


def _check_data(cells: "list[Cell]") -> None:
    """Once before the first cell, where none can be measured; what only some of them lack is said cell by cell."""
    from unlearnable.packs import DATA_VARIABLE, HUB, lacking

    lacks = [lacking(cell.dataset) or lacking(cell.fitted_on or cell.dataset) for cell in cells]
    if lacks and all(lacks):
        packs = ", ".join(sorted({file for file in lacks if file}))
        now = os.environ.get(DATA_VARIABLE) or "not set"
        raise UsageError(
            f"the suite needs {packs}: name the folder that holds it by --data DIR or {DATA_VARIABLE} (now {now}); "
            f"CIFAR is downloaded where {HUB!r} stands there"
        )


def tables(args: Namespace, run: "Run") -> Answer:
    """Records as tables."""
    from unlearnable import suites
    from unlearnable import tables as drawn

    folder = Path(args.results)
    if args.tier and not args.suite:
        raise UsageError("--tier is that of a suite: name one by --suite")
    tier = args.tier or "quick"
    listed = suites.cells(args.suite, tier) if args.suite else None
    figures = suites.published(args.suite, tier) if args.suite else None
    markdown = drawn.render(folder, listed, figures)
    if args.out is None:
        return Answer({"markdown": markdown}, markdown)
    files = [str(path) for path in drawn.write_page(folder, Path(args.out), listed, figures)]
    return Answer({"markdown": markdown, "files": files}, f"{len(files)} files; open {files[0]}")
