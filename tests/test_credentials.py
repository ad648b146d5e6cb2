"""C2PA: the assertion, by a certificate made for the test, found by c2pa's own reader; and what it must not change."""

import datetime
import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from commands import Command, refused
from jobs import crop, job, manifest, put, samples

from unlearnable.files import decode
from unlearnable.files.pictures import metadata, png, tiff
from unlearnable.files.pictures.credentials import ADDED, ASSERTION, Credential, stated
from unlearnable.job import verify

if find_spec("c2pa") is None:
    pytest.skip("needs the extra `c2pa`", allow_module_level=True)

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def certificate(name: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, root: bool) -> bytes:
    """As C2PA wants it: the signer's by an authority of our own, which is on nobody's list."""
    names = [x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, text)]) for text in (name, "test root")]
    begins = datetime.datetime(2026, 1, 1)
    made = x509.CertificateBuilder(names[1], names[0], key.public_key(), 7 + root, begins, begins.replace(year=2046))
    made = made.add_extension(x509.BasicConstraints(root, None), critical=True)
    may = [not root, *(False for _ in range(4)), root, root, False, False]
    made = made.add_extension(x509.KeyUsage(*may), critical=True)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    if not root:
        use = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        made = made.add_extension(use, critical=False)
    return made.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("signer")
    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    chain = certificate("test signer", leaf, root, False) + certificate("test root", root, root, True)
    form = serialization.PrivateFormat.PKCS8
    key = leaf.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return put(folder / "chain.pem", chain), put(folder / "key.pem", key)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, options in {"a.png": {}, "b.tif": {"compression": "tiff_lzw"}, "c.webp": {"lossless": True}}.items():
        put(tmp_path / "src" / name, crop(1), **options)
    put(tmp_path / "src" / "d.bmp", crop(2))
    return tmp_path / "src"


def test_the_files_say_it_and_nothing_else_changes(source: Path, tmp_path: Path, signer: tuple[Path, Path]) -> None:
    job(source, tmp_path / "plain", signals=True)
    job(source, tmp_path / "dst", signals=True, certificate=signer[0], certificate_key=signer[1])
    for name, target in (("a.png", "PNG"), ("b.tif", "TIFF"), ("c.webp", "WEBP")):
        data, plain = ((tmp_path / folder / name).read_bytes() for folder in ("dst", "plain"))
        found = stated(data, target)
        assert found is not None
        assert set(found["uses"]) >= {"cawg.ai_training", "cawg.ai_generative_training", "cawg.data_mining"}
        assert {use["use"] for use in found["uses"].values()} == {"notAllowed"}
        assert found["state"] == "Valid"  # not "Trusted": nobody has this certificate on a list
        assert stated(plain, target) is None
        assert (samples(tmp_path / "dst" / name) == samples(tmp_path / "plain" / name)).all()
        assert decode(data, name).metadata.xmp == decode(plain, name).metadata.xmp
    both = [(tmp_path / folder / "a.png").read_bytes() for folder in ("dst", "plain")]
    assert png.carried(both[0]) == png.carried(both[1])
    assert (b"caBX" in both[0], b"caBX" in both[1]) == (True, False)
    notes = dict(manifest(tmp_path / "dst", "name, notes"))
    assert notes[b"a.png"].splitlines()[-1] == ADDED
    assert notes[b"d.bmp"].splitlines()[-1] == "no C2PA assertion: BMP cannot hold it"
    assert (tmp_path / "dst" / "d.bmp").read_bytes() == (tmp_path / "plain" / "d.bmp").read_bytes()
    assert verify(source, tmp_path / "dst").bad == 0
    shutil.rmtree(tmp_path / "dst" / ".unlearnable")
    assert verify(source, tmp_path / "dst").bad == 0


def test_a_changed_file_is_not_valid_any_more(source: Path, tmp_path: Path, signer: tuple[Path, Path]) -> None:
    data = Credential.read(*signer).added((source / "a.png").read_bytes(), "PNG")
    at = data.index(b"IDAT") + 40
    spoilt = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    found = stated(spoilt, "PNG")
    assert found is not None
    assert found["state"] == "Invalid"


def test_exiftool_finds_it_too(source: Path, tmp_path: Path, signer: tuple[Path, Path]) -> None:
    if shutil.which("exiftool") is None:
        pytest.skip("needs exiftool: apt-get install libimage-exiftool-perl")
    put(tmp_path / "a.png", Credential.read(*signer).added((source / "a.png").read_bytes(), "PNG"))
    words = ["exiftool", "-json", "-a", "-G3", "-jumbf:all", str(tmp_path / "a.png")]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert ASSERTION in json.dumps(json.loads(said))


def test_a_manifest_of_the_unprotected_picture_is_not_carried(source: Path, signer: tuple[Path, Path]) -> None:
    """It would vouch for pixels that are no longer there, and may show them."""
    credential = Credential.read(*signer)
    for name, target in (("a.png", "PNG"), ("b.tif", "TIFF")):
        found = decode(credential.added((source / name).read_bytes(), target), name)
        assert any("dropped" in note for note in found.notes)
    assert tiff.C2PA not in metadata.clean_tags(credential.added((source / "b.tif").read_bytes(), "TIFF"))[0]


def test_resumed_with_it_as_it_was_begun(source: Path, tmp_path: Path, signer: tuple[Path, Path]) -> None:
    values = {"signals": True, "certificate": signer[0], "certificate_key": signer[1]}
    job(source, tmp_path / "dst", **values)
    (tmp_path / "dst" / "b.tif").unlink()
    job(source, tmp_path / "dst", resume=True, **values)
    assert verify(source, tmp_path / "dst").bad == 0
    with pytest.raises(ValueError, match="it was with C2PA, is now without"):
        job(source, tmp_path / "dst", signals=True, resume=True)


def test_what_cannot_sign_is_said_before_anything_is_written(
    source: Path, tmp_path: Path, signer: tuple[Path, Path], command: Command
) -> None:
    chain, key = signer
    ask = ("protect", source, "dst", "--method", "lsp", "--signals")
    assert "one of them is missing" in refused(command(*ask, "--c2pa", chain))
    assert "ask for those too" in refused(command(*ask[:-1], "--c2pa", chain, "--c2pa-key", key))
    assert "is no file" in refused(command(*ask, "--c2pa", "none.pem", "--c2pa-key", key))
    assert "no private key in PEM" in refused(command(*ask, "--c2pa", chain, "--c2pa-key", chain))
    other = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    stranger = other.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    strange = put(tmp_path / "other.pem", stranger)
    for pair in ((key, key), (chain, strange)):
        assert "cannot sign with" in refused(command(*ask, "--c2pa", pair[0], "--c2pa-key", pair[1]))
    assert not (tmp_path / "dst").exists()
