"""C2PA: a signed statement inside the file that training on it is not allowed (CAWG assertion cawg.training-mining).

It is a signal as XMP is, and protects nothing; any program that writes the file anew removes it or breaks it. Readers
call it trusted only where the certificate is on their list, which no certificate is that one made oneself. Signatures
and identifiers are drawn anew for every file, so two runs give the same pixels and metadata, not the same bytes.
"""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from unlearnable.extras import imported
from unlearnable.files.formats import Target
from unlearnable.files.refused import refusing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

ASSERTION = "cawg.training-mining"
ADDED = f"C2PA assertion {ASSERTION} added, no protection"
MIME: dict[Target, str] = {"PNG": "image/png", "TIFF": "image/tiff", "WEBP": "image/webp"}
_USES = ("cawg.ai_training", "cawg.ai_generative_training", "cawg.data_mining", "cawg.ai_inference")
_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},  # nothing in a file may show a picture besides the picture
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},  # no network
}
_CURVES = {"secp256r1": b"es256", "secp384r1": b"es384", "secp521r1": b"es512"}


@dataclass(frozen=True)
class Credential:
    """Who signs. chain: certificates as PEM, the signer's first; key: private, as PEM; algorithm: as C2PA calls it."""

    chain: bytes
    key: bytes = field(repr=False)
    algorithm: bytes

    @classmethod
    def read(cls, certificate: Path, key: Path) -> "Credential":
        """From two PEM files. Raises ValueError where they hold no certificate and key that C2PA accepts."""
        imported("c2pa", "a C2PA assertion", "c2pa")
        for name, path in (("certificate", certificate), ("key", key)):
            if not path.is_file():
                raise ValueError(f"C2PA {name} {str(path)!r} is no file: check the path")
        pem = key.read_bytes()
        made = cls(certificate.read_bytes(), pem, _algorithm(_private(pem, key)))
        blank, file = Image.fromarray(np.zeros((8, 8), np.uint8)), io.BytesIO()
        blank.save(file, "PNG")
        try:
            made._signed(file.getvalue(), "image/png")
        except Exception as error:  # the library has an exception of its own for each of its complaints
            said = " ".join(str(error).split())[:200]
            raise ValueError(f"C2PA certificate {str(certificate)!r} cannot sign with {str(key)!r}: {said}") from None
        return made

    def added(self, file: bytes, target: Target) -> bytes:
        """The file with the assertion in it; as it is where its format has no place. Raises `Refused`."""
        if target not in MIME:
            return file
        with refusing("cannot be given a C2PA assertion"):
            return self._signed(file, MIME[target])

    def _signed(self, file: bytes, mime: str) -> bytes:
        import c2pa

        out = io.BytesIO()
        context = c2pa.ContextBuilder().with_settings(c2pa.Settings.from_dict(_SETTINGS)).build()
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(self.algorithm, self.chain, self.key, None))
        with context, signer, c2pa.Builder(_manifest(), context) as builder:
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
            builder.sign(signer, mime, io.BytesIO(file), out)
        return out.getvalue()


def stated(file: bytes, target: Target) -> dict[str, Any] | None:
    """What c2pa's own reader finds: the uses of the assertion, by name; None where there is no manifest with one."""
    import c2pa

    context = c2pa.ContextBuilder().with_settings(c2pa.Settings.from_dict(_SETTINGS)).build()
    with context:
        reader = c2pa.Reader.try_create(MIME[target], io.BytesIO(file), context=context)
        if reader is None:
            return None
        with reader:
            active = reader.get_active_manifest() or {}
            said = [one["data"]["entries"] for one in active.get("assertions", []) if one["label"] == ASSERTION]
            return {"uses": said[0], "state": reader.get_validation_state()} if said else None


def _manifest() -> str:
    from unlearnable import __version__

    entries = {use: {"use": "notAllowed"} for use in _USES}
    program = {"name": "unlearnable", "version": __version__}
    return json.dumps(
        {"claim_generator_info": [program], "assertions": [{"label": ASSERTION, "data": {"entries": entries}}]}
    )


def _private(pem: bytes, path: Path) -> "PrivateKeyTypes":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(pem, None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise ValueError(f"C2PA key {str(path)!r} is no private key in PEM without a password") from None


def _algorithm(key: "PrivateKeyTypes") -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return b"ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return b"ps256"
    raise ValueError("a C2PA key is of a curve P-256, P-384 or P-521, of Ed25519, or RSA: this one is neither")
