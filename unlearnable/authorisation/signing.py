"""Signing: the protected pictures, the policy and the accuracy that was reached join a bundle, under one signature."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlearnable.authorisation.keys import fingerprint, private_key, public_text
from unlearnable.authorisation.pictures import listing
from unlearnable.authorisation.statement import Statement, hashes, signature_file
from unlearnable.data import ImageSet, load_labelled
from unlearnable.provenance import provenance
from unlearnable.run import Run, scratch_of, write_atomically
from unlearnable.training import Authorised
from unlearnable.training.bundle import PICTURES, POLICY, SIGNATURE, SIGNED, STATEMENT, contents


@dataclass(frozen=True)
class Signed:
    """What was signed. key: the fingerprint of the public key; accuracy: None where nothing was tested."""

    key: str
    pictures: int
    accuracy: float | None


def sign(
    bundle: Path, protected: Path, key: Path, run: Run, policy: Path | None = None, test: Path | None = None,
    again: bool = False,
) -> Signed:  # fmt: skip
    """Adds the pictures' hashes, the policy's text and, with `test`, the accuracy of the network trained here; signs.

    again: replace the signature there is. Raises ValueError, before anything is written, where the bundle is spoilt or
    signed already, or has a policy and none is given, the pictures do not fit it or a link lies among them, or there is
    no key.
    """
    files = contents(bundle)
    if SIGNATURE in files and not again:
        raise ValueError(f"BUNDLE {str(bundle)!r} is signed already: --overwrite signs it anew")
    authorised = Authorised.of(files, str(bundle))
    signer = private_key(key)
    if policy is None and POLICY in files:
        raise ValueError(f"BUNDLE {str(bundle)!r} has a policy: --policy names it again, or take {POLICY} out")
    text = None if policy is None else policy_text(policy)
    pictures, unseen = listing(protected)
    if unseen:
        name, reason = unseen[0]
        raise ValueError(f"PROTECTED holds {name!r}, which cannot be signed: {reason}; take it out")
    data, _ = load_labelled(protected, authorised.size, what="PROTECTED")
    authorised.check(data)
    tested = None if test is None else tested_on(authorised, data, test, run)
    if listing(protected)[0] != pictures:
        raise ValueError(f"PROTECTED {str(protected)!r} was changed while it was read: nothing was signed")
    kept = {name: data for name, data in files.items() if name not in SIGNED}
    kept[PICTURES] = json.dumps(pictures, indent=0).encode()
    kept |= {} if text is None else {POLICY: text}
    statement = Statement(hashes(kept), data.classes, data.fingerprint, tested, provenance(run)).as_bytes()
    public = public_text(signer.public_key())
    for name in SIGNED[::-1]:  # the signature first: a bundle that is half written is not signed
        for path in (bundle / name, scratch_of(bundle / name)):
            path.unlink(missing_ok=True)
    added = {name: kept[name] for name in (PICTURES, POLICY) if name in kept}
    added |= {STATEMENT: statement, SIGNATURE: signature_file(public, signer.sign(statement))}
    for name, content in added.items():
        write_atomically(bundle / name, content)
    return Signed(fingerprint(public), len(pictures), None if tested is None else tested["accuracy"])


def policy_text(path: Path) -> bytes:
    """The owner's words. Raises ValueError where the file is no text in UTF-8."""
    try:
        return path.read_text(encoding="utf-8").encode()
    except (OSError, ValueError):
        raise ValueError(f"--policy {str(path)!r} is no text file in UTF-8: check the path") from None


def tested_on(authorised: Authorised, data: ImageSet, test: Path, run: Run) -> dict[str, Any]:
    """What the authorised network reaches on the test pictures: accuracy, pictures, fingerprint.

    Raises ValueError where they are of other classes.
    """
    tests, _ = load_labelled(test, authorised.size, what="TEST")
    accuracy = authorised.train(data, run, of_same_classes(tests, data)).test_acc[-1]
    return {"accuracy": accuracy, "pictures": len(tests), "fingerprint": tests.fingerprint}


def of_same_classes(test: ImageSet, data: ImageSet) -> ImageSet:
    """The test pictures. Raises ValueError where their labels do not mean what those of the data do."""
    if test.classes != data.classes:
        wrong = sorted(set(test.classes) ^ set(data.classes))
        raise ValueError(f"TEST has other classes than PROTECTED: {wrong[0]!r} is in one of them only")
    return test
