"""Inspecting: what a bundle says it is, with nothing verified."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from unlearnable.authorisation.keys import fingerprint, require
from unlearnable.authorisation.statement import Statement, hashes, signature_of
from unlearnable.training import Authorised
from unlearnable.training.bundle import PICTURES, POLICY, SIGNATURE, STATEMENT, contents, parsed


def inspect(bundle: Path) -> dict[str, Any]:
    """The network, the hash of every file and, of a signed bundle, key, statement and policy, as JSON values; not the
    seed, which gives the weights away.

    Raises ValueError, one line, where the bundle cannot be read.
    """
    files = contents(bundle)
    network = Authorised.of(files, str(bundle)).as_json()
    del network["seed"]
    found: dict[str, Any] = {"network": network, "files": hashes(files)}
    found |= {"signed_by": None, "statement": None, "pictures": None, "policy": None}
    if SIGNATURE not in files:
        return found
    require()
    if missing := [name for name in (STATEMENT, PICTURES) if name not in files]:
        raise ValueError(f"{bundle} lacks {missing[0]}, which a signed bundle has: ask for it again")
    try:
        public, _ = signature_of(files[SIGNATURE])
        found["signed_by"] = fingerprint(public)
        found["statement"] = asdict(Statement.read(files[STATEMENT]))
        found["pictures"] = len(parsed(files[PICTURES], PICTURES))
    except ValueError as error:
        raise ValueError(f"{bundle}: {error}: unlearnable authorise verify says which file is spoilt") from None
    found["policy"] = files[POLICY].decode(errors="replace") if POLICY in files else None
    return found
