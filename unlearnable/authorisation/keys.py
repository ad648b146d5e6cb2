"""Ed25519 keys in PEM files (RFC 8032, RFC 8410), by the package cryptography: the only place that knows it."""

import base64
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnable.extras import imported

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = "Ed25519"


def require() -> None:
    """Raises ValueError, saying what to install, where there is nothing to sign or verify with."""
    imported("cryptography", "a signature", "authorise")


def make_key(path: Path) -> tuple[Path, str]:
    """Writes a private key, readable by its owner alone, and the public one beside it: (where that is, fingerprint).

    Raises ValueError where the path names no file, or one of the two exists: a key that is overwritten is lost.
    """
    require()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not path.name:
        raise ValueError(f"KEY {str(path)!r} is a folder: name a file, such as key.pem")
    beside = path.with_suffix(".pub")
    if path == beside:
        raise ValueError(f"KEY {str(path)!r} ends in .pub, as its public key does: name another file, such as key.pem")
    if taken := [file for file in (path, beside) if os.path.lexists(file)]:
        raise ValueError(f"KEY {str(taken[0])!r} is there already: name another file, such as key.pem")
    key = Ed25519PrivateKey.generate()
    kind, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(kind, form, serialization.NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private)
    text = public_text(key.public_key())
    beside.write_text(text)
    return beside, fingerprint(text)


def private_key(path: Path) -> "Ed25519PrivateKey":
    """The private key in a PEM file. Raises ValueError where it holds none, another kind, or one behind a password."""
    require()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _pem(path)
    try:
        found = load_pem_private_key(data, None)
    except TypeError:
        raise ValueError(f"KEY {str(path)!r} asks for a password: give a key without one") from None
    except (ValueError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        raise ValueError(f"KEY {str(path)!r} is no Ed25519 private key in PEM: unlearnable authorise key makes one")
    return found


def public_pem(path: Path) -> str:
    """The public key in a PEM file, as its text is written here. Raises ValueError where there is none."""
    data = _pem(path)
    if b"PRIVATE KEY" in data:
        raise ValueError(f"KEY {str(path)!r} is a private key: give the public one, which ends in .pub")
    key = _public(data.decode(errors="replace"))
    if key is None:
        raise ValueError(f"KEY {str(path)!r} is no Ed25519 public key in PEM: ask the signer for theirs")
    return public_text(key)


def public_text(key: "Ed25519PublicKey") -> str:
    """A public key as PEM."""
    from cryptography.hazmat.primitives import serialization

    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def written_anew(text: str) -> str:
    """The public key in a PEM text and nothing else that may stand there: two texts of one key become the same.

    Raises ValueError where there is no Ed25519 key in it.
    """
    key = _public(text)
    if key is None:
        raise ValueError("its public_key is no Ed25519 key in PEM")
    return public_text(key)


def fingerprint(text: str) -> str:
    """SHA-256 of a public key that `public_text` wrote: what `openssl pkey -pubin -outform DER | sha256sum` says."""
    body = "".join(line for line in text.splitlines() if not line.startswith("-----"))
    return hashlib.sha256(base64.b64decode(body)).hexdigest()


def signature_fits(public: str, signature: bytes, data: bytes) -> bool:
    """Whether the owner of the key, as `public_text` wrote it, signed these bytes."""
    from cryptography.exceptions import InvalidSignature

    key = _public(public)
    try:
        if key is not None:
            key.verify(signature, data)
    except InvalidSignature:
        return False
    return key is not None


def _public(text: str) -> "Ed25519PublicKey | None":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        found = load_pem_public_key(text.encode(errors="replace"))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return found if isinstance(found, Ed25519PublicKey) else None


def _pem(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"KEY {str(path)!r} is no file: check the path, or make one with unlearnable authorise key")
    return path.read_bytes()
