"""Training from a bundle, and whether that gives what the protector got."""

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import save

from unlearnable.authorisation.signing import of_same_classes
from unlearnable.authorisation.statement import Statement
from unlearnable.authorisation.verifying import Verified, verify
from unlearnable.data import ImageSet, load_labelled
from unlearnable.models.stored import stored
from unlearnable.provenance import provenance
from unlearnable.run import Run, scratch_of, write_atomically
from unlearnable.training import Authorised, Classifier

TOLERANCE = 0.03
"""Of accuracy: what another processor, thread count, precision or version may change."""
NETWORK, CONFIG = "network.safetensors", "config.json"
_CHECKPOINTS = ".checkpoints"
Outcome = Literal["exactly", "within tolerance", "not reproduced", "not comparable"]


@dataclass(frozen=True)
class Trained:
    """What came of it. accuracy: None where nothing was tested; protector: the accuracy that was signed, None where
    none was; outcome: None where one of them is; remarks: what makes the numbers differ, or hard to compare.
    """

    verified: Verified
    accuracy: float | None
    protector: float | None
    outcome: Outcome | None
    remarks: tuple[str, ...]


def train(
    bundle: Path, protected: Path, out: Path, run: Run, test: Path | None = None, key: Path | None = None
) -> Trained:  # fmt: skip
    """Verifies, trains the authorised network, writes `out`/network.safetensors and config.json.

    Checkpoints lie in out/.checkpoints until it is done. Raises ValueError where something is not as signed, also after
    the pictures were read, or `out` holds anything else or lies where it does not belong.
    """
    _check_out(out, bundle, protected)
    verified, authorised, statement = _well(bundle, protected, key)
    data, _ = load_labelled(protected, authorised.size, what="PROTECTED")
    if _well(bundle, protected, key)[2] != statement:  # the pictures were read twice, and may have changed in between
        raise ValueError(f"{bundle} was signed anew meanwhile: run it again")
    tests = None if test is None else of_same_classes(load_labelled(test, authorised.size, what="TEST")[0], data)
    authorised.check(data)
    here = replace(run, directory=out / _CHECKPOINTS)
    signed = hashlib.sha256(statement.as_bytes()).hexdigest()
    here.claim({"bundle": signed, "data": data.fingerprint, "test": None if tests is None else tests.fingerprint})
    done = authorised.train(data, here, tests)
    write_atomically(out / NETWORK, save(stored(done.network, half=False)))
    trained = _compared(verified, statement, data, tests, done, run)
    about = authorised.as_json() | {"classes": list(data.classes), "accuracy": trained.accuracy, "bundle": signed}
    del about["seed"]  # it gives the initial weights away, and a network is passed on
    write_atomically(out / CONFIG, json.dumps(about | {"provenance": provenance(run)}, indent=1).encode())
    shutil.rmtree(out / _CHECKPOINTS)
    return trained


def _well(bundle: Path, protected: Path, key: Path | None) -> tuple[Verified, Authorised, Statement]:
    """What `verify` found. Raises ValueError where that is anything wrong."""
    verified = verify(bundle, protected, key)
    authorised, statement = verified.authorised, verified.statement
    if verified.problems or authorised is None or statement is None:
        (name, reason), more = verified.problems[0], len(verified.problems) - 1
        others = f", and {more} more: unlearnable authorise verify names them" if more else ""
        raise ValueError(f"{bundle} cannot be trained from: {name}: {reason}{others}")
    return verified, authorised, statement


def _check_out(out: Path, bundle: Path, protected: Path) -> None:
    found = {path.name for path in out.iterdir()} if out.is_dir() else set()
    ours = {_CHECKPOINTS, *(path.name for name in (NETWORK, CONFIG) for path in (out / name, scratch_of(out / name)))}
    if (out.exists() and not out.is_dir()) or (found and (_CHECKPOINTS not in found or found - ours)):
        raise ValueError(f"OUT {str(out)!r} holds something already: name a new folder")
    for place, name in ((bundle, "BUNDLE"), (protected, "PROTECTED")):
        if out.resolve().is_relative_to(place.resolve()):
            raise ValueError(f"OUT {str(out)!r} lies in {name}, which is never written to: name another folder")


def _compared(
    verified: Verified, statement: Statement, data: ImageSet, test: ImageSet | None, done: Classifier, run: Run
) -> Trained:  # fmt: skip
    accuracy, signed = done.test_acc[-1] if test is not None else None, statement.tested
    remarks = (
        []
        if data.fingerprint == statement.protected
        else ["the pictures come in another order here, or decode to other pixels"]
    )
    if done.diverged:
        remarks.append("the loss was no number, and training ended early")
    if accuracy is None or signed is None or test is None:
        return Trained(verified, accuracy, None if signed is None else signed["accuracy"], None, tuple(remarks))
    outcome = _outcome(accuracy, signed["accuracy"])
    if test.fingerprint != signed["fingerprint"]:
        outcome = "not comparable"
        remarks.append("the protector tested on other pictures")
    elif outcome != "exactly":
        remarks += _elsewhere(statement.provenance, provenance(run))
    return Trained(verified, accuracy, signed["accuracy"], outcome, tuple(remarks))


def _outcome(ours: float, theirs: float) -> Outcome:
    if ours == theirs:
        return "exactly"
    return "within tolerance" if abs(ours - theirs) <= TOLERANCE else "not reproduced"


def _elsewhere(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """How the machines differ, in words; that they do not is worth saying too."""
    ours, theirs = ({"torch": it.get("torch"), **dict(it.get("hardware") or {})} for it in (here, there))
    differing = [
        f"{name} is {ours[name]} here, was {theirs.get(name)}" for name in ours if ours[name] != theirs.get(name)
    ]
    return differing or ["machine and versions are the same, where it should be exact"]
