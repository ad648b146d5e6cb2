"""What somebody who has only the public half of a release can check, with the tools of any Unix."""

import base64
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_ESCAPED = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}  # as sha256sum writes names


def sums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its name from there, in the order of the bytes of the names.

    Raises ValueError for what is neither a file nor a folder, such as a link: `find -type f` passes it over.
    """
    below = list(folder.rglob("*"))
    if strange := [path for path in below if path.is_symlink() or not (path.is_file() or path.is_dir())]:
        raise ValueError(f"{strange[0]} is neither a file nor a folder: take it out")
    names = sorted(os.fsencode(path.relative_to(folder)) for path in below if path.is_file())
    return {os.fsdecode(name): _sha256(folder / os.fsdecode(name)) for name in names}


def fingerprint(found: Mapping[str, str]) -> str:
    """SHA-256 of a whole set: of what `find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum` says there."""
    whole = hashlib.sha256()
    for name, digest in found.items():
        line = digest.encode() + b"  ./" + os.fsencode(name)
        strange = any(byte in line for byte in _ESCAPED)
        for byte, written in _ESCAPED.items():
            line = line.replace(byte, written)
        whole.update(b"\\" * strange + line + b"\n")
    return whole.hexdigest()


def same_as(found: Mapping[str, str], private: Iterable[Path]) -> str | None:
    """The name of a file whose bytes are those of one that is to stay private; None where there is none."""
    digests = {_sha256(path) for path in private}
    return next((name for name, digest in found.items() if digest in digests), None)


def statement(pictures: str, policy: str | None) -> bytes:
    """What is signed for everybody: the fingerprint of the set, and the SHA-256 of the policy's text."""
    return f"unlearnable release\npictures {pictures}\npolicy {policy_digest(policy)}\n".encode()


def policy_digest(policy: str | None) -> str:
    """SHA-256 of the policy's text; of no text where there is none."""
    return hashlib.sha256((policy or "").encode()).hexdigest()


def signed(key: "Ed25519PrivateKey", said: bytes) -> str:
    """The signature of a statement, in base64."""
    return base64.b64encode(key.sign(said)).decode()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
