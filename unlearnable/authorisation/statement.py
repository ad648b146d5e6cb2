"""What is signed: the hash of every file of a bundle, the classes, and the accuracy that the protector reached."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from unlearnable.authorisation.keys import ALGORITHM, written_anew
from unlearnable.training.bundle import SIGNATURE, STATEMENT, expect, parsed

FORMAT = 1
WHAT = "unlearnable authorisation"


@dataclass(frozen=True)
class Statement:
    """files: SHA-256 by name; classes: by label; protected: the fingerprint of the pictures as they are trained on;
    tested: accuracy of the authorised network, with the number and the fingerprint of the test pictures, or None;
    provenance: where and with what that was measured.
    """

    files: Mapping[str, str]
    classes: tuple[str, ...]
    protected: str
    tested: dict[str, Any] | None
    provenance: dict[str, Any]

    def as_bytes(self) -> bytes:
        """The file authorisation.json: exactly what is signed, so that other tools can check it too."""
        return json.dumps({"is": WHAT, "format": FORMAT} | asdict(self), indent=1).encode()

    @staticmethod
    def read(data: bytes) -> "Statement":
        """The same from the bytes. Raises ValueError where they say something else."""
        found = parsed(data, STATEMENT)
        kinds = {"is": str, "format": int, "files": dict, "classes": list, "protected": str}
        expect(found, kinds | {"tested": (dict, type(None)), "provenance": dict})
        if (found.pop("is"), found.pop("format")) != (WHAT, FORMAT):
            raise ValueError(f"is no {WHAT} of format {FORMAT}: another version wrote it")
        if found["tested"] is not None:
            expect(found["tested"], {"accuracy": (int, float), "pictures": int, "fingerprint": str})
            if not 0 <= found["tested"]["accuracy"] <= 1:
                raise ValueError(f"accuracy must be 0 to 1, got {str(found['tested']['accuracy'])[:40]}")
        if not isinstance(hardware := found["provenance"].get("hardware", {}), dict):
            raise ValueError(f"hardware must be dict, got {str(hardware)[:40]!r}")
        if not all(isinstance(name, str) for name in (*found["classes"], *found["files"].values())):
            raise ValueError("its classes and hashes must be text")
        return Statement(**found | {"classes": tuple(found["classes"])})


def signature_file(public: str, signature: bytes) -> bytes:
    """The file signature.json: whose key, and the signature of authorisation.json."""
    said = {"algorithm": ALGORITHM, "public_key": public, "signature": base64.b64encode(signature).decode()}
    return json.dumps(said, indent=1).encode()


def signature_of(data: bytes) -> tuple[str, bytes]:
    """(public key as PEM of our own writing, signature) from the bytes of signature.json. Raises ValueError where they
    hold none.
    """
    found = parsed(data, SIGNATURE)
    expect(found, {"algorithm": str, "public_key": str, "signature": str})
    if found["algorithm"] != ALGORITHM:
        raise ValueError(f"algorithm must be {ALGORITHM}, got {found['algorithm'][:40]!r}")
    try:
        signature = base64.b64decode(found["signature"], validate=True)
    except ValueError as error:
        raise ValueError(f"the signature is no base64: {error}") from None
    public = written_anew(found["public_key"])
    if data != signature_file(public, signature):
        raise ValueError("its signature is not written as it was: it was altered")
    return public, signature


def hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    """The hash of every file but the two that hold the hashes and their signature."""
    return {
        name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files) if name not in (STATEMENT, SIGNATURE)
    }
