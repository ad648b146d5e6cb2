"""The three scenarios of UGE as their examples run: together, published, sent.

    python -m benchmarks.scenarios --out benchmarks/results/scenarios.json

Every figure is read from what the example or the command says; what was measured already is kept.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unlearnable.demo import write_digits
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "benchmarks" / "results" / "scenarios.json"
SPLITS = ("iid", "dirichlet:0.5")
RELEASE = ("--method", "uge:blind-quick", "--epochs", "6", "--steps", "150", "--policy", "policy.txt", "--test", "test")
ROUND = re.compile(r"round (\d+): accuracy ([\d.]+), (\d+) clients failed")
OUTSIDER = re.compile(r"outsider, (\w+) on (\w+) images: accuracy ([\d.]+), best epoch ([\d.]+)")
SENT = {
    "the protector's own network": "protector_accuracy", "the receiver's": "accuracy",
    "an outsider's, with the pictures alone": "outsider", "an outsider's, with clean ones": "outsider_clean",
}  # fmt: skip


def together(split: str, published: str) -> dict[str, Any]:
    """Scenario I: the global network after each round, and outsiders who have what was published."""
    said = _ran([sys.executable, "examples/federated.py", split, published], ROOT)
    outsiders: dict[str, dict[str, list[float]]] = {}
    for model, images, last, best in OUTSIDER.findall(said):
        outsiders.setdefault(images, {})[model] = [float(last), float(best)]
    rounds = [float(accuracy) for _, accuracy, _ in ROUND.findall(said)]
    return {"rounds": rounds, "failed": [int(count) for _, _, count in ROUND.findall(said)], "outsiders": outsiders}


def released() -> dict[str, Any]:
    """Scenario II: the figures of the card of a release of digits; of several networks the one that learned least."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_digits(folder)
        (folder / "policy.txt").write_text("For the owner of the bundle, and nobody else.\n")
        program = [sys.executable, "-m", "unlearnable", "authorise"]
        _ran([*program, "key", "owner.pem"], folder)
        said = _ran([*program, "release", "clean", "out", *RELEASE, "--key", "owner.pem", "--json"], folder)
    found: dict[str, Any] = json.loads(said)
    found["authorised"] = min(found["authorised"])
    return {name: value for name, value in found.items() if name == "flags" or isinstance(value, int | float)}


def sent() -> dict[str, Any]:
    """Scenario III: receiver, protector and an outsider."""
    said = json.loads(_ran([sys.executable, "examples/transmission.py"], ROOT))
    return {what: said[name] for what, name in SENT.items()}


def text(name: str) -> str:
    """What a page says of a scenario."""
    record = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    found = {key: one for key, one in record.items() if key == name or (name == "together" and "," in key)}
    if not found:
        return "No record yet: `python -m benchmarks.scenarios` measures it."
    said = {"together": _table, "release": _figures, "transmission": _figures}[name](found)
    origins = [one["provenance"] for one in found.values()]
    commits, processors, dates = (
        ", ".join(sorted(set(values)))
        for values in (
            [f"`{about['commit']}`" for about in origins], [about["hardware"]["processor"] for about in origins],
            [about["date"] for about in origins],
        )
    )  # fmt: skip
    return f"{said}\n\nCommit {commits}, {processors}, {dates}, seed 0."


def _table(found: dict[str, dict[str, Any]]) -> str:
    head = ["split", "published", "global network, after each round", "clients failed"]
    models = sorted({model for one in found.values() for model in one["outsiders"]["published"]})
    head += [f"outsider `{model}`" for model in models] + [f"on all that is clean: `{model}`" for model in models]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for key, one in found.items():
        split, published = key.split(", ")
        rounds = ", ".join(f"{accuracy:.3f}" for accuracy in one["rounds"][1:])
        cells = [f"`{split}`", published, rounds, str(sum(one["failed"]))]
        cells += [f"{one['outsiders']['published'][model][0]:.3f}" for model in models]
        cells += [f"{one['outsiders']['clean'][model][0]:.3f}" for model in models]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _figures(found: dict[str, dict[str, Any]]) -> str:
    (one,) = found.values()
    figures = {name: value for name, value in one.items() if name not in ("provenance", "flags")}
    lines = [f"| {name.replace('_', ' ')} | {value:g} |" for name, value in figures.items()]
    flags = ", ".join(f"`{flag}`" for flag in one.get("flags", ()))
    return "\n".join(["| figure | |", "|---|---|", *lines, *([f"| flags | {flags} |"] if flags else [])])


def _ran(words: list[str], folder: Path) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words[1:])} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def main() -> None:
    """Measures what the record lacks, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    jobs: dict[str, Callable[[], dict[str, Any]]] = {
        **{f"{split}, {what}": lambda split=split, what=what: together(split, what)  # type: ignore[misc]
           for split in SPLITS for what in ("protected", "clean")},
        "release": released, "transmission": sent,
    }  # fmt: skip
    record = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    for name, job in jobs.items():
        if name not in record:
            began = time.monotonic()
            record[name] = job() | {"seconds": round(time.monotonic() - began), "provenance": provenance(Run())}
            write_atomically(asked.out, (json.dumps(record, indent=1) + "\n").encode())
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
