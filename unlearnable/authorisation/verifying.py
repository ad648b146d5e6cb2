"""Verifying: is every file of a bundle, and every protected picture, what somebody signed?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from unlearnable.authorisation.keys import fingerprint, public_pem, require, signature_fits
from unlearnable.authorisation.pictures import Listing, checked, classes_of, differences, listing
from unlearnable.authorisation.statement import Statement, hashes, signature_of
from unlearnable.training import Authorised
from unlearnable.training.bundle import BUNDLE, PICTURES, SIGNATURE, STATEMENT, contents, parsed

Problem = tuple[str, str]  # (file or picture, what is wrong with it)


@dataclass(frozen=True, eq=False)
class Verified:
    """What was found. problems: none means that all is as signed; key: the fingerprint of who signed, None where nobody
    did; trusted: it is the key that was asked for, False where none was; authorised, statement: None where something is
    wrong with the bundle itself; pictures: how many were compared.
    """

    problems: tuple[Problem, ...]
    key: str | None = None
    trusted: bool = False
    authorised: Authorised | None = None
    statement: Statement | None = None
    pictures: int = 0

    @property
    def well(self) -> bool:
        """Whether all is as signed, by the key that was asked for where one was."""
        return not self.problems


def verify(bundle: Path, protected: Path | None = None, key: Path | None = None) -> Verified:
    """Checks signature, files and, where given, the protected pictures and the signer's public key.

    Raises ValueError where the bundle, the pictures or the key are not there to be looked at.
    """
    require()
    wanted = None if key is None else fingerprint(public_pem(key))
    found, unseen = (None, []) if protected is None else listing(protected)
    if not bundle.is_dir():
        raise ValueError(f"BUNDLE {str(bundle)!r} is no folder: name one that `unlearnable authorise create` wrote")
    who = None
    try:
        files = _files(bundle)
        who = _signer(files)
        if wanted not in (None, who):
            raise _Spoilt((SIGNATURE, f"is by the key {who}, not by {wanted}"))
        statement, authorised, pictures = _said(files)
    except _Spoilt as spoilt:
        return Verified(spoilt.problems, who)
    problems = () if found is None else (*differences(pictures, found), *unseen)
    return Verified(problems, who, wanted is not None, authorised, statement, len(found or ()))


class _Spoilt(Exception):
    """Something is wrong with the bundle itself."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems


def _files(bundle: Path) -> dict[str, bytes]:
    try:
        files = contents(bundle)
    except ValueError as error:
        raise _Spoilt(("BUNDLE", str(error))) from None
    for name in (SIGNATURE, STATEMENT):
        if name not in files:
            raise _Spoilt((name, "is missing: the bundle is not signed"))
    return files


def _signer(files: Mapping[str, bytes]) -> str:
    """The fingerprint of the key that signed the statement as it is."""
    try:
        public, signature = signature_of(files[SIGNATURE])
    except ValueError as error:
        raise _Spoilt((SIGNATURE, str(error))) from None
    if not signature_fits(public, signature, files[STATEMENT]):
        why = f"is not what was signed: it, or {SIGNATURE}, was altered or is that of another bundle"
        raise _Spoilt((STATEMENT, why))
    return fingerprint(public)


def _said(files: Mapping[str, bytes]) -> tuple[Statement, Authorised, Listing]:
    """What the files say, once each of them is the one whose hash was signed."""
    name = STATEMENT
    try:
        statement = Statement.read(files[STATEMENT])
        if altered := tuple(_altered(statement.files, hashes(files))):
            raise _Spoilt(*altered)
        name = BUNDLE
        authorised = Authorised.of(files, BUNDLE)
        name = PICTURES
        pictures = checked(parsed(files.get(PICTURES, b""), PICTURES))
        if classes_of(pictures) != list(statement.classes) or not authorised.knows(statement.classes):
            raise ValueError(f"has other classes than {BUNDLE} or {STATEMENT}")
    except ValueError as error:
        raise _Spoilt((name, str(error))) from None
    return statement, authorised, pictures


def _altered(signed: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Problem]:
    for name in sorted(signed.keys() | found.keys()):
        if name not in found:
            yield name, "is missing from the bundle"
        elif name not in signed:
            yield name, "was not signed: it was added later"
        elif signed[name] != found[name]:
            yield name, "is not the file that was signed: it was altered or replaced"
