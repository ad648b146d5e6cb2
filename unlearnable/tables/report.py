"""The report on somebody's own collection: one page in plain words, the worst adversary for the owner first."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from unlearnable.adversaries import ADVERSARIES
from unlearnable.experiment import Evaluation
from unlearnable.models import MODELS
from unlearnable.run import write_atomically
from unlearnable.tables.document import document, listed, picture
from unlearnable.tables.grid import meaning
from unlearnable.tables.origin import hardware, versions
from unlearnable.tables.outcomes import Outcome, outcomes
from unlearnable.tables.records import spread
from unlearnable.tables.table import Name, Table, code, ticked
from unlearnable.tables.verdict import plain, verdict

Pictures = Sequence[tuple[str, bytes]]
TITLE = "What a network learns from the protected pictures"
HEADINGS = {
    "adversary": "adversary",
    "model": "model",
    "seed": "seed",
    "clean_acc": "trained on clean",
    "clean_part_acc": "clean part alone",
    "protected_acc": "on protected, at the end",
    "best_protected_acc": "best epoch",
    "early_protected_acc": "stopped early",
    "clean_probe_acc": "probe fitted on clean",
    "train_acc": "on its training images",
}
NEVER = (
    "Nobody was tried who has clean copies of these pictures, or trains far larger networks. "
    "Protection cannot undo what was already collected, and concerns networks trained later, not those that exist."
)


def markdown(evaluation: Evaluation) -> str:
    """The rows of an evaluation, one victim a line, and what its flags mean."""
    table = victims(evaluation)
    notes = [f"{code(flag)}: {meaning(flag)}" for flag in evaluation.flags]
    return Table(table.caption, table.head, table.rows, table.heads, tuple(notes)).markdown


def html(evaluation: Evaluation, pictures: Pictures = ()) -> str:
    """The report as one page that needs no other file. pictures: (caption, PNG), such as those of `examples`.

    Raises ValueError for an evaluation without rows or a picture that is no PNG.
    """
    said = verdict(evaluation)
    first, *others = said.sentences
    box = f'<div class="verdict"><p><strong>{ticked(first)}</strong></p><p>{ticked(" ".join(others))}</p></div>\n'
    shown = "".join(picture(caption, png) for caption, png in pictures)
    parts = {
        "What was tested": compared(outcomes(evaluation)).html,
        "What was not tested": _listed(untested(evaluation)),
        "What to doubt": _listed(f"{code(flag)}: {meaning(flag)}." for flag in evaluation.flags),
        "What the pictures look like": shown,
        "Every training": victims(evaluation).html,
        "How it was measured": f"<footer>{listed(measured(evaluation))}</footer>\n",
    }
    body = "".join(f"<section><h2>{name}</h2>\n{part}</section>\n" for name, part in parts.items() if part)
    return document(TITLE, box + body)


def write(evaluation: Evaluation, folder: Path, pictures: Pictures = ()) -> None:
    """evaluation.json (everything), table.md, table.html and report.html in a folder, made where it is not there."""
    files = {
        "evaluation.json": json.dumps(asdict(evaluation), indent=1),
        "table.md": markdown(evaluation) + "\n",
        "table.html": document(TITLE, victims(evaluation).html),
        "report.html": html(evaluation, pictures),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_atomically(folder / name, text.encode())


def victims(evaluation: Evaluation) -> Table:
    """One victim a line, as the evaluation has them."""
    values = [asdict(row) for row in evaluation.rows]
    used = [name for name in HEADINGS if any(row[name] is not None for row in values)]
    rows = tuple(tuple(_text(row[name]) for name in used) for row in values)
    caption = "Accuracy on clean test images; lower on protected is better for the owner"
    return Table(caption, tuple(HEADINGS[name] for name in used), rows, heads=2)


def compared(found: Sequence[Outcome]) -> Table:
    """One adversary with one network a line, its seeds together, the worst for the owner first."""
    part = any(outcome.alone is not None for outcome in found)
    names = ["clean_acc", *(["clean_part_acc"] if part else []), "protected_acc", "best_protected_acc"]
    names += ["early_protected_acc"] if any(outcome.values("early_protected_acc") for outcome in found) else []
    head = ("adversary", "network", *(HEADINGS[name] for name in names), "seeds", "doubts")
    rows = [
        (
            Name(outcome.adversary), Name(outcome.model),
            *(spread(outcome.values(name)) if outcome.values(name) else "-" for name in names),
            str(len(outcome.rows)), ", ".join(outcome.flags) or "-",
        )
        for outcome in found
    ]  # fmt: skip
    caption = "Accuracy on clean test pictures, the adversary that is worst for the owner first"
    return Table(caption, head, tuple(rows), heads=2)


def untested(evaluation: Evaluation) -> list[str]:
    """Sentences on what of the full lists was not run. Adversaries joined to others count as themselves only."""
    tried = {row.adversary.partition(":")[0] for row in evaluation.rows if "+" not in row.adversary}
    adversaries = [plain(name) for name in ADVERSARIES if name not in tried]
    models = [code(name) for name in MODELS if name not in {row.model for row in evaluation.rows}]
    said = [f"{len(adversaries)} of {len(ADVERSARIES)} adversaries: {', '.join(adversaries)}."] if adversaries else []
    said += [f"{len(models)} of {len(MODELS)} networks: {', '.join(models)}."] if models else []
    return [*said, NEVER]


def measured(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Sizes, seeds, change and provenance as terms and texts."""
    sizes, about, change = evaluation.sizes, evaluation.provenance, evaluation.measured
    seeds = sorted({row.seed for row in evaluation.rows})
    texts = {
        "Pictures": ", ".join(f"{sizes[name]} {said}" for name, said in _SIZES.items() if name in sizes),
        "Largest change of a value": f"{change['max_abs_delta']:.0f} grey levels" if "max_abs_delta" in change else "",
        "PSNR of the protected pictures": f"{change['psnr']:.1f} dB" if "psnr" in change else "",
        "Seeds": ", ".join(map(str, seeds)),
        "Numbers": "mean ± standard deviation over seeds, after the last epoch; `best epoch` is the best of the same "
        "run on the test pictures, `stopped early` what an adversary keeps who chooses on a few clean pictures",
        "Date": str(about.get("date", "")),
        "Commit": str(about.get("commit", "")),
        "Command": str(about.get("command", "")),
        "Hardware": hardware(about.get("hardware", {})),
        "Versions": versions(about),
    }
    return [(term, text) for term, text in texts.items() if text]


_SIZES = {"images": "to train on", "tests": "to test on", "classes": "classes", "side": "pixels a side in training"}


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return Name(value) if isinstance(value, str) else "-" if value is None else str(value)


def _listed(sentences: Iterable[str]) -> str:
    lines = "".join(f"<li>{ticked(sentence)}</li>\n" for sentence in sentences)
    return f"<ul>\n{lines}</ul>\n" if lines else ""
