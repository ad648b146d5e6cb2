"""Records -> tables: a pure function of the JSON, so that no number is ever typed."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from statistics import mean, stdev

from unlearnable.experiment import CLEAN, Evaluation, Result
from unlearnable.metrics import FLAGS, doubts
from unlearnable.run import write_atomically

Group = tuple[str, str, str, float]  # data set, model, adversary, rate


def read(folder: Path) -> list[Result]:
    """All records of a folder, by file name. Raises ValueError where there is none."""
    records = [Result.read(path) for path in sorted(folder.glob("*_seed*.json"))]
    if not records:
        raise ValueError(f"{folder} holds no records: fill it with `unlearnable bench main --out {folder}`")
    return records


def render(folder: Path) -> str:
    """Every record of a folder as markdown: one table for each data set, model, adversary and rate."""
    return summary(read(folder))


def summary(records: Sequence[Result]) -> str:
    """Markdown tables: mean and spread over seeds of the last and the best epoch, with the controls among the rows."""
    groups: dict[Group, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        cell = record.cell
        groups[cell.dataset, cell.model, cell.adversary, cell.rate][cell.protection].append(record)
    return "\n\n".join(_table(group, rows) for group, rows in sorted(groups.items()))


def _table(group: Group, rows: dict[str, list[Result]]) -> str:
    dataset, model, adversary, rate = group
    clean = [record.test_acc[-1] for record in rows.get(CLEAN, [])]
    lines = [
        f"**{dataset}, {model}, {adversary}" + (f", {rate:.0%} protected" if rate < 1 else "") + "**",
        "",
        "| protection | accuracy, last epoch | best epoch | on training images | max change | PSNR | seeds | flags |",
        "|---|---|---|---|---|---|---|---|",
    ]
    ordered = sorted(rows.items(), key=lambda row: (row[0] != CLEAN, mean(r.test_acc[-1] for r in row[1])))
    return "\n".join(lines + [_line(name, records, clean) for name, records in ordered])


def _line(name: str, records: Sequence[Result], clean: Sequence[float]) -> str:
    last = [record.accuracy for record in records]
    best = [max(record.test_acc) for record in records]
    train = [record.train_acc[-1] for record in records]
    pixels = ("-", "-") if name == CLEAN else _pixels(records)
    flags = sorted({flag for record in records for flag in record.flags})
    about = records[0].provenance
    if clean and name != CLEAN:
        flags += doubts(
            classes=about["classes"], tests=about["tests"], seeds=len(records), clean_acc=mean(clean),
            protected_acc=mean(last), best_acc=mean(best), train_acc=mean(train),
        )  # fmt: skip
    cells = (
        f"`{name}`",
        spread(last),
        spread(best),
        spread(train),
        *pixels,
        str(len(records)),
        ", ".join(flags) or "-",
    )
    return "| " + " | ".join(cells) + " |"


def _pixels(records: Sequence[Result]) -> tuple[str, str]:
    change = max(record.measured["max_abs_delta"] for record in records)
    return f"{change:.0f} levels", f"{mean(record.measured['psnr'] for record in records):.1f} dB"


def spread(values: Sequence[float]) -> str:
    """0.251 ± 0.010 (mean and standard deviation), or the value alone."""
    return f"{mean(values):.3f} ± {stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


HEADINGS = {
    "adversary": "adversary",
    "model": "model",
    "seed": "seed",
    "clean_acc": "trained on clean",
    "clean_part_acc": "clean part alone",
    "protected_acc": "on protected, last epoch",
    "best_protected_acc": "best epoch",
    "train_acc": "on its training images",
}


def markdown(evaluation: Evaluation) -> str:
    """The rows of an evaluation, one victim a line, and what its flags mean."""
    shown, cells = _cells(evaluation)
    lines = ["| " + " | ".join(shown) + " |", "|" + "---|" * len(shown)]
    lines += ["| " + " | ".join(row) + " |" for row in cells]
    notes = [f"* {flag}: {FLAGS[flag]}" for flag in evaluation.flags]
    return "\n".join(lines + (["", *notes] if notes else []))


def html(evaluation: Evaluation) -> str:
    """The same as one page that needs no other file."""
    shown, cells = _cells(evaluation)
    head = "".join(f"<th>{escape(name)}</th>" for name in shown)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)
    notes = "".join(f"<li><b>{flag}</b>: {escape(FLAGS[flag])}</li>" for flag in evaluation.flags)
    style = (
        "body{font-family:sans-serif;margin:2em}td,th{padding:.3em 1em;text-align:right;border-bottom:1px solid #ccc}"
    )
    title = "What a model learns from the protected images"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{style}</style>"
        f"<h1>{title}</h1><p>Accuracy on clean test images; lower on protected is better.</p>"
        f"<table><tr>{head}</tr>{body}</table><ul>{notes}</ul></html>\n"
    )


def write(evaluation: Evaluation, folder: Path) -> None:
    """evaluation.json (everything), table.md and table.html in a folder, made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "evaluation.json", json.dumps(asdict(evaluation), indent=1).encode())
    write_atomically(folder / "table.md", (markdown(evaluation) + "\n").encode())
    write_atomically(folder / "table.html", html(evaluation).encode())


def _cells(evaluation: Evaluation) -> tuple[list[str], list[list[str]]]:
    values = [asdict(row) for row in evaluation.rows]
    used = [name for name in HEADINGS if any(row[name] is not None for row in values)]
    return [HEADINGS[name] for name in used], [_texts(row[name] for name in used) for row in values]


def _texts(values: Iterable[object]) -> list[str]:
    return [f"{value:.3f}" if isinstance(value, float) else str(value) for value in values]
