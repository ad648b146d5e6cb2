"""Where the numbers of a page come from: commits, hardware, versions, dates, seeds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unlearnable.experiment import Result

HOUR = 3600


def origin(records: Sequence[Result]) -> list[tuple[str, str]]:
    """What the records say of themselves, each thing once."""
    about = [record.provenance for record in records]
    dates = sorted({str(one.get("date", "not recorded")) for one in about})
    fits = {(record.cell.fit_name, record.measured.get("fit_seconds", 0.0)) for record in records}  # cells share them
    seconds = sum(taken for _, taken in fits) + sum(record.measured.get("train_seconds", 0.0) for record in records)
    return [
        ("Records", str(len(records))),
        ("Seeds", _once(record.cell.seed for record in records)),
        ("Epochs", _once(record.cell.epochs for record in records)),
        ("Training images", _once(one.get("images") for one in about)),
        ("Test images", _once(one.get("tests") for one in about)),
        ("Classes", _once(one.get("classes") for one in about)),
        ("Measured", " to ".join(dict.fromkeys([dates[0], dates[-1]]))),
        ("Commits", _once(one.get("commit") for one in about)),
        ("Hardware", _once(hardware(one.get("hardware", {})) for one in about)),
        ("Versions", _once(versions(one) for one in about)),
        ("Computing", f"{seconds / HOUR:.1f} hours of fitting and training"),
        ("Data", _once(f"{record.cell.dataset} {record.provenance.get('data', '')}".strip() for record in records)),
    ]


def hardware(found: Mapping[str, Any]) -> str:
    """Processor, cores, threads, device and precision in one line."""
    if not found:
        return "not recorded"
    words = [str(found[name]) for name in ("processor", "device", "precision") if name in found]
    words += [f"{found[name]} {name}" for name in ("cores", "threads") if name in found]
    return ", ".join(words)


def versions(found: Mapping[str, Any]) -> str:
    """unlearnable, PyTorch, kornia and Python in one line."""
    names = {"version": "unlearnable", "torch": "torch", "kornia": "kornia", "python": "Python"}
    return ", ".join(f"{said} {found[name]}" for name, said in names.items() if name in found) or "not recorded"


def _once(values: Iterable[object]) -> str:
    """Every value once, numbers in their order and texts in theirs."""
    found = {value for value in values if value is not None}
    return "; ".join(str(value) for value in sorted(found, key=lambda v: (isinstance(v, str), v))) or "not recorded"
