"""The manifest of a protected folder as one JSON file that can be published and signed.

Whoever has the pictures and the owner's public key can tell which of them were altered, without the originals and
without the owner's bookkeeping.
"""

import json
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unlearnable.authorisation.keys import fingerprint, private_key, public_pem, public_text, require, signature_fits
from unlearnable.authorisation.statement import signature_file, signature_of
from unlearnable.job import Written
from unlearnable.job.auditing import written
from unlearnable.job.manifest import Manifest, sha256
from unlearnable.job.places import find_manifest
from unlearnable.proof import gathering
from unlearnable.proof.words import html, markdown
from unlearnable.run import write_atomically
from unlearnable.training.bundle import SIGNATURE, expect, parsed

WHAT, FORMAT = "unlearnable manifest", 1
MANIFEST, REPORT = "manifest.json", "report.json"
MARKDOWN, PAGE = "report.md", "report.html"
_SAID = ("norm", "eps", "container", "signals", "kept")  # the numbers of the method would help whoever wants to undo it

_NONE = type(None)
_OF_A_FILE = {
    "name": str,
    "output": (str, _NONE),
    "sha256": (str, _NONE),
    "max_delta": (int, _NONE),
    "reason": (str, _NONE),
}


@dataclass(frozen=True)
class Listed:
    """What a manifest.json says. key: the fingerprint of whoever signed it, None where nobody did; trusted: it is the
    key that was asked for; problems: files of the report beside it that are not what was listed; kept: the digest of
    what lies beside the pictures (`files.kept`), None where nothing does or an earlier version wrote it.
    """

    files: tuple[Written, ...]
    key: str | None
    trusted: bool
    problems: tuple[tuple[str, str], ...]
    kept: str | None = None


def write(report: dict[str, Any], destination: Path, out: Path, key: Path | None = None) -> str | None:
    """report.json, report.md, report.html and manifest.json in a folder, made where it is not there; with a key also
    signature.json, of manifest.json, which holds the hashes of the others. Gives the fingerprint of the key.

    Raises ValueError, before anything is written, where the key is none, or as `check_out`.
    """
    check_out(out)
    signer = None if key is None else private_key(key)
    files = {
        REPORT: json.dumps(report, indent=1).encode(),
        MARKDOWN: markdown(report).encode(errors="backslashreplace"),
        PAGE: html(report).encode(errors="backslashreplace"),
    }
    files[MANIFEST] = _manifest(destination, files)
    out.mkdir(parents=True, exist_ok=True)
    (out / SIGNATURE).unlink(missing_ok=True)  # that of an earlier report does not fit this one
    if signer is not None:
        public = public_text(signer.public_key())
        files[SIGNATURE] = signature_file(public, signer.sign(files[MANIFEST]))
    for name, content in files.items():
        write_atomically(out / name, content)
    return None if signer is None else fingerprint(public)


def check_out(out: Path) -> None:
    """Raises ValueError where a folder holds files of these names that no earlier report wrote."""
    taken = [name for name in (MANIFEST, SIGNATURE, REPORT, MARKDOWN, PAGE) if os.path.lexists(out / name)]
    said = {name: _kind(out / name) for name in taken if name in (MANIFEST, REPORT)}
    # of a report that was stopped there may be no manifest yet
    if taken and (not said or said.items() - {MANIFEST: WHAT, REPORT: gathering.WHAT}.items()):
        raise ValueError(f"--out {str(out)!r} holds a {taken[0]} that is of no report: name another folder")


def _kind(path: Path) -> str | None:
    """What a file says it is; None where it says nothing."""
    try:
        return str(parsed(path.read_bytes(), path.name).get("is"))
    except (OSError, ValueError):
        return None


def read(path: Path, key: Path | None = None) -> Listed:
    """What a manifest.json lists, once it is sure that it is what was signed, where a signature.json lies beside it.

    key: the public key of whoever must have signed. Raises ValueError where the file is none, was altered, or is not
    signed by that key.
    """
    data = _bytes(path)
    try:
        said = parsed(data, path.name)
        expect(said, {"is": str, "format": int, "made": (dict, _NONE), "job": dict, "files": list, "beside": dict})
        if (said["is"], said["format"]) != (WHAT, FORMAT):
            raise ValueError(f"is no {WHAT} of format {FORMAT}: another version wrote it")
        expect({"kept": None} | said["job"], dict.fromkeys(said["job"], object) | {"kept": (str, _NONE)})
        files = tuple(_listed(one) for one in said["files"])
        expect(said["beside"], dict.fromkeys(said["beside"], str))
    except ValueError as error:
        raise ValueError(f"MANIFEST {str(path)!r} cannot be used: {error}") from None
    signer = _signer(path, data, key)
    return Listed(files, signer, key is not None, tuple(_altered(path.parent, said["beside"])), said["job"].get("kept"))


def _listed(said: Any) -> Written:
    """One file of a manifest.json, which may come from anybody. Raises ValueError where it is none."""
    if not isinstance(said, dict):
        raise ValueError(f"files must be objects, got {str(said)[:40]!r}")
    expect(said, _OF_A_FILE)
    return Written(**said)


def _manifest(destination: Path, beside: dict[str, bytes]) -> bytes:
    place = find_manifest(destination)
    if place is None:
        raise ValueError(f"DST {str(destination)!r} has no manifest any more: report it again")
    with closing(Manifest(place, writing=False)) as manifest:
        about = manifest.get("about")
        said: dict[str, Any] = {"is": WHAT, "format": FORMAT, "made": manifest.get("made")}
    said["job"] = {name: about[name] for name in _SAID if name in about}
    said["beside"] = {name: sha256(content) for name, content in beside.items()}
    said["files"] = [asdict(file) for file in written(destination)]
    return json.dumps(said, indent=0).encode()


def _signer(path: Path, data: bytes, key: Path | None) -> str | None:
    """The fingerprint of the key that signed these bytes."""
    beside = path.parent / SIGNATURE
    if not beside.is_file():
        if key is not None:
            raise ValueError(f"MANIFEST {str(path)!r} is not signed: there is no {SIGNATURE} beside it")
        return None
    require()
    try:
        public, signature = signature_of(_bytes(beside))
    except ValueError as error:
        raise ValueError(f"{str(beside)!r} is no signature: {error}") from None
    if not signature_fits(public, signature, data):
        raise ValueError(f"MANIFEST {str(path)!r} is not what was signed: it, or {SIGNATURE} beside it, was altered")
    found, wanted = fingerprint(public), None if key is None else fingerprint(public_pem(key))
    if wanted not in (None, found):
        raise ValueError(
            f"MANIFEST {str(path)!r} is signed by the key {found}, not by {wanted}: ask the owner for theirs"
        )
    return found


def _altered(folder: Path, listed: dict[str, str]) -> Sequence[tuple[str, str]]:
    """Files of the report that lie beside the manifest and are not those it lists."""
    there = [name for name in sorted(listed) if "/" not in name and (folder / name).is_file()]
    return [
        (name, "is not what was listed: it was altered")
        for name in there
        if sha256(_bytes(folder / name)) != listed[name]
    ]


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"MANIFEST {str(path)!r} is no file: name the manifest.json that report --out wrote")
    return path.read_bytes()
