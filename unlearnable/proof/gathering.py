"""Everything that a report says of a protected folder, gathered as JSON values."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from unlearnable.files.pictures import credentials
from unlearnable.files.pictures.signals import ADDED, FORBIDDEN
from unlearnable.job import Verification, card, fitting, verify
from unlearnable.job.manifest import Manifest, Row
from unlearnable.job.places import find_manifest
from unlearnable.job.reasons import (
    COPY_DIFFERS,
    NOT_PROTECTED,
    ORIGINAL_CHANGED,
    ORIGINAL_GONE,
    REST_DIFFERS,
    UNPROTECTED,
)
from unlearnable.pixels import Budget
from unlearnable.proof.learning import Trial, learned
from unlearnable.proof.pictures import Compared, chosen, compared
from unlearnable.protections import SHIPPED
from unlearnable.provenance import provenance
from unlearnable.recorded import recorded
from unlearnable.run import Run
from unlearnable.visibility import NOTICEABLE

WHAT, FORMAT = "unlearnable report", 1
NAMED = 1000
"""So many problems are named; the others are counted."""
_MOST = 3


@dataclass(frozen=True)
class Wanted:
    """What to report on. source, destination: originals, and what `protect` made of them; trial: who trains, None where
    nobody does; pictures: on how many, evenly spaced, SSIM and the survival table are measured.
    """

    source: Path
    destination: Path
    trial: Trial | None = None
    pictures: int = 100

    def __post_init__(self) -> None:
        if self.pictures < 1:
            raise ValueError(f"pictures must be 1 or more, got {self.pictures}")


def gather(wanted: Wanted, run: Run) -> dict[str, Any]:
    """The report. Raises ValueError, one line, where there is no manifest, SRC is not what was protected, or the trial
    cannot be held; `Cancelled` where the run is.
    """
    with closing(Manifest(_manifest_of(wanted.destination), writing=False)) as manifest:
        about = manifest.get("about")
        if about is None:
            raise ValueError(f"DST {str(wanted.destination)!r} was never begun: protect it first")
        found = verify(wanted.source, wanted.destination, run)
        wrong = {name for name, _ in found.problems}
        rows = [row for row in manifest.rows("protected") if row.name not in wrong]
        if not rows:
            _refuse(wanted, manifest, found)
        said: dict[str, Any] = {"is": WHAT, "format": FORMAT, "done": _done(about, manifest)}
    said["checked"] = {key: getattr(found, key) for key in ("checked", "bad", "missing", "max_abs_delta")}
    said["problems"] = [list(problem) for problem in found.problems[:NAMED]]
    pairs = compared(wanted.source, wanted.destination, chosen(iter(rows), len(rows), wanted.pictures), run)
    said["fidelity"] = _fidelity(rows, pairs)
    said["survival"] = {"pictures": pairs.pictures, "rows": [asdict(row) for row in pairs.survival]}
    said["learnability"] = _learnability(wanted, rows, found, run)
    known = recorded(said["done"]["method"] or "", said["done"]["protection"] or "")
    said["records"] = None if known is None else asdict(known)
    return said | {"provenance": provenance(run)}


def write_card(report: dict[str, Any], destination: Path, run: Run) -> Path:
    """The data card of what was reported on, with what networks learned; gives its place. Raises ValueError where they
    did not train, another file stands there, or it is no longer what `protect` wrote.
    """
    if report["learnability"] is None:
        raise ValueError("nobody trained for this report: it takes a trial to put into a card what networks learn")
    return card.write_measured(destination, _manifest_of(destination), report["learnability"], run)


def _manifest_of(destination: Path) -> Path:
    path = find_manifest(destination)
    if path is None:
        raise ValueError(
            f"DST {str(destination)!r} has no manifest: a report is of a folder that protect wrote, with its "
            ".unlearnable folder"
        )
    return path


def _refuse(wanted: Wanted, manifest: Manifest, found: Verification) -> None:
    """There is no protected picture that is as it was: why, in one line."""
    if not manifest.count("protected"):
        raise ValueError(f"DST {str(wanted.destination)!r} holds no protected picture: protect it first")
    strange = ORIGINAL_GONE, ORIGINAL_CHANGED, COPY_DIFFERS, REST_DIFFERS, UNPROTECTED
    if all(reason in strange or reason.startswith(NOT_PROTECTED) for _, reason in found.problems):
        raise ValueError(
            f"SRC {str(wanted.source)!r} is not what {str(wanted.destination)!r} was made from: no original has the "
            "name and the hash that the manifest says"
        )
    name, reason = found.problems[0]
    raise ValueError(
        f"no protected picture in DST {str(wanted.destination)!r} is as it was written, such as {name!r}: {reason}"
    )


def _done(about: dict[str, Any], manifest: Manifest) -> dict[str, Any]:
    """What the manifest says of the job; None where the version that wrote it did not record it."""
    made = manifest.get("made") or {}
    method, protection = made.get("method"), made.get("protection")
    if not made:
        method = protection = _older(about["method"])
    counts = {name: manifest.count(name) for name in ("protected", "copied", "failed", "waiting")}
    signals = None
    if "signals" in about:
        signals = {"value": FORBIDDEN, "pictures": manifest.noted(ADDED), "c2pa": manifest.noted(credentials.ADDED)}
    return {
        "method": method, "protection": protection, "eps": str(Budget(about["norm"], about["eps"])),
        "norm": about["norm"], "labels": about["labels"], "container": about["container"],
        "version": made.get("version"), "date": made.get("date"), **counts, "signals": signals,
    }  # fmt: skip


def _older(method: Any) -> str | None:
    """The protection that an earlier version's manifest names; None for a folder of which only a digest is kept."""
    if isinstance(method, dict):
        return str(method["name"])
    return next((name for name in SHIPPED if fitting.choose(name, None).identity["method"] == method), None)


def _fidelity(rows: Sequence[Row], pairs: Compared) -> dict[str, Any]:
    """psnr: in dB over all pictures as it was measured when they were written, None where nothing changed."""
    levels = [(row.outcome.psnr, row.name) for row in rows if row.outcome.psnr is not None]
    lowest = min(levels) if levels else (None, None)
    flat = [(row.outcome.flat_step, row.name) for row in rows if row.outcome.flat_step is not None]
    shows = sorted((one for one in flat if one[0] >= NOTICEABLE), reverse=True)
    return {
        "pictures": len(rows), "max_abs_delta": max(row.outcome.max_delta or 0 for row in rows),
        "psnr": round(mean(level for level, _ in levels), 2) if levels else None,
        "lowest_psnr": None if lowest[0] is None else round(lowest[0], 2), "lowest_psnr_of": lowest[1],
        "ssim": pairs.ssim, "lowest_ssim": pairs.lowest_ssim, "ssim_pictures": pairs.pictures,
        "with_flat_areas": len(flat), "showing": len(shows), "showing_most": [name for _, name in shows[:_MOST]],
    }  # fmt: skip


def _learnability(wanted: Wanted, rows: Sequence[Row], found: Verification, run: Run) -> dict[str, Any] | None:
    if wanted.trial is None:
        return None
    if found.bad:
        name, reason = found.problems[0]
        raise ValueError(f"what networks learn is measured on intact pictures only, and {name!r} is not: {reason}")
    outputs = {row.name: row.outcome.output or row.name for row in rows}
    said = learned(wanted.trial, wanted.source, wanted.destination, outputs, run)
    plain: dict[str, Any] = json.loads(json.dumps(asdict(said)))
    return plain
