"""Release: pictures that are made for one network, published as two halves that are never mixed.

OUT/public: pictures, card.md, report.json: for anybody. OUT/authorised: a bundle for each network. OUT/.unlearnable:
what the owner keeps, the fitted method and the manifest. Whoever has theta_0 of UGE (Ye and Wang, CVPR 2024, arXiv
2404.14016) is authorised in effect; so it is drawn here from a seed that nobody can guess, where no bundle is given.
"""

import json
import os
import secrets
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unlearnable import job
from unlearnable.authorisation import margin, published
from unlearnable.authorisation.card import card
from unlearnable.authorisation.keys import fingerprint, private_key, public_text
from unlearnable.authorisation.signing import of_same_classes, policy_text, sign
from unlearnable.data import labelled_as, load_labelled
from unlearnable.files import BOOKKEEPING, Container
from unlearnable.job.card import changed_by
from unlearnable.job.manifest import FILE, failures
from unlearnable.job.reasons import UNCHANGED
from unlearnable.perturbation import CONFIG
from unlearnable.protections import describe
from unlearnable.protections.uge import UGE
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically
from unlearnable.training import Authorised, handed_out
from unlearnable.training.bundle import BUNDLE, SIGNATURE, WEIGHTS, identity, parsed

PUBLIC, AUTHORISED = "public", "authorised"
PICTURES, CARD, REPORT = "pictures", "card.md", "report.json"
_CLAIM = "run.json"


@dataclass(frozen=True)
class Release:
    """What to release. source: a labelled collection, class = folder; out: a new folder, or one where the same release
    was begun; named: how the method is called; method: with bundles, or its networks are drawn; key: the owner's
    Ed25519 private key; policy: a text; test: other pictures of the same classes; size: pixels that networks train on,
    by default those of the bundles or of the first picture, 64 at most; container: what pictures are written as.
    """

    source: Path
    out: Path
    named: str
    method: UGE
    key: Path | None = None
    policy: Path | None = None
    test: Path | None = None
    size: int | None = None
    container: Container = "keep"

    @property
    def work(self) -> Path:
        """What the owner keeps."""
        return self.out / BOOKKEEPING


@dataclass(frozen=True)
class Released:
    """What came of it. report: what report.json says; failures: (name, reason) of files that could not be protected."""

    report: dict[str, Any] = field(default_factory=dict)
    failures: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Known:
    """What was looked at before any work. counts: pictures of each class."""

    networks: list[Authorised]
    size: int
    counts: dict[str, int]
    policy: str | None
    key: str | None
    claim: dict[str, Any]


def release(asked: Release, run: Run) -> Released:
    """Fits, protects, verifies, measures, signs, and publishes at the very end; stopped, the same call goes on.

    Where it is done already it says again what it said. Raises ValueError, one line, before any work where something
    is wrong with what was given, or `out` holds anything else; `Cancelled` and `job.Halted` as `job.protect` does.
    """
    known = _looked_at(asked)
    asked.out.mkdir(parents=True, exist_ok=True)
    asked.work.mkdir(mode=0o700, exist_ok=True)  # theta_0 lies there meanwhile
    replace(run, directory=asked.work).claim(known.claim)
    if not (asked.out / PUBLIC).exists():
        _hand_out(asked, known)
        _protect(asked, known, run)
        _publish(asked, _report(asked, known, run))
    report = parsed((asked.out / PUBLIC / REPORT).read_bytes(), str(asked.out / PUBLIC / REPORT))
    if published.fingerprint(published.sums(asked.out / PUBLIC / PICTURES)) != report.get("pictures_sha256"):
        raise ValueError(f"{asked.out / PUBLIC / PICTURES} is not what was released: name a new OUT")
    return Released(report, tuple(failures(asked.work / "job" / FILE)))


def _looked_at(asked: Release) -> _Known:
    """All that can be wrong is said now, not after hours."""
    _check_places(asked)
    job.fitting.refuse_nothing(asked.method.budget)
    if not asked.method.budget.eps:
        raise ValueError(f"nothing is changed at eps {asked.method.budget}: take a larger --eps")
    public = None if asked.key is None else public_text(private_key(asked.key).public_key())
    policy = None if asked.policy is None else policy_text(asked.policy).decode()
    networks = [Authorised.read(Path(folder)) for folder in asked.method.bundles]
    size = asked.size
    if size is None:
        size = networks[0].size if networks else labelled_as(asked.source)[1]
    if not (asked.work / "job").exists():
        job.dry_run(replace(_job(asked), method=asked.named))
    data, _ = load_labelled(asked.source, size)
    for network in networks:
        network.check(data)
    tests = None if asked.test is None else of_same_classes(load_labelled(asked.test, size, what="TEST")[0], data)
    if tests is not None and tests.fingerprint == data.fingerprint:
        raise ValueError(f"TEST {str(asked.test)!r} holds the very pictures of SRC: name others of these classes")
    counts = data.labels.bincount(minlength=len(data.classes)).tolist()
    claim = {
        "method": describe(replace(asked.method, bundles=())), "named": asked.named, "size": size,
        "bundles": [identity(Path(folder)) for folder in asked.method.bundles], "data": data.fingerprint,
        "test": tests and tests.fingerprint, "key": public, "policy": policy, "container": asked.container,
    }  # fmt: skip
    return _Known(networks, size, dict(zip(data.classes, counts, strict=True)), policy, public, claim)


def _check_places(asked: Release) -> None:
    out, source = asked.out, asked.source.resolve()
    for name, place in (("OUT", out), ("KEY", asked.key), *(("BUNDLE", Path(b)) for b in asked.method.bundles)):
        if place is not None and place.resolve().is_relative_to(source):
            raise ValueError(f"{name} {str(place)!r} lies in SRC, whose files are published: move it out of there")
    if out.exists() and not out.is_dir():
        raise ValueError(f"OUT {str(out)!r} is a file: name a new folder")
    for folder, ours in ((out, (BOOKKEEPING, PUBLIC, AUTHORISED)), (out / PUBLIC, (PICTURES, CARD, REPORT))):
        found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        if found and not (asked.work / _CLAIM).exists():
            raise ValueError(f"OUT {str(out)!r} holds something already: name a new folder")
        if strange := [name for name in found if name not in ours]:
            raise ValueError(
                f"{folder} holds {strange[0]!r}, which is no part of a release: move it, or name a new OUT"
            )
    if (asked.work / "job").exists() and not ((asked.work / PUBLIC / PICTURES).exists() or (out / PUBLIC).exists()):
        raise ValueError(f"{out / PUBLIC} was released and moved away: put it back, or name a new OUT")


def _hand_out(asked: Release, known: _Known) -> None:
    """The bundles, unsigned, in a folder of the work that is there whole or not at all."""
    folder, scratch = asked.work / AUTHORISED, asked.work / "drawing"
    if (asked.out / AUTHORISED).exists():  # stopped between the last two steps
        os.rename(asked.out / AUTHORISED, folder)
    if folder.exists():
        return
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    networks = known.networks or handed_out(asked.method, tuple(known.counts), known.size, secrets.randbits(63))
    for place, network in enumerate(networks):
        network.write(scratch / f"bundle-{place}")
    os.rename(scratch, folder)


def _bundles(asked: Release) -> list[Path]:
    return sorted((asked.work / AUTHORISED).iterdir(), key=lambda path: (len(path.name), path.name))


def _job(asked: Release) -> job.Job:
    """Labels are the folders, so that the classes are those of the networks."""
    pictures, method = asked.work / PUBLIC / PICTURES, str(asked.work / "fitted")
    return job.Job(asked.source, pictures, method, None, "folders", asked.container, resume=True)


def _protect(asked: Release, known: _Known, run: Run) -> None:
    """The pictures, read back and compared with their originals; the manifest does not stay among them."""
    fitted, pictures = asked.work / "fitted", asked.work / PUBLIC / PICTURES
    if not (fitted / CONFIG).exists():
        bundles = tuple(str(folder.resolve()) for folder in _bundles(asked))
        job.fit(replace(asked.method, bundles=bundles), asked.source, fitted, run, "folders", known.size)
    if (asked.work / "job").exists():
        return
    job.protect(_job(asked), run)
    found = job.verify(asked.source, pictures, run)
    if wrong := found.bad - found.unchanged:
        name, reason = next(problem for problem in found.problems if problem[1] != UNCHANGED)
        raise ValueError(f"{wrong} files are not as they were written, such as {name!r}: {reason}; name a new OUT")
    if not found.max_abs_delta:
        raise ValueError(f"nothing was changed at eps {asked.method.budget}: take a larger --eps and name a new OUT")
    os.rename(pictures / BOOKKEEPING, asked.work / "job")


def _report(asked: Release, known: _Known, run: Run) -> dict[str, Any]:
    """What the public half says of itself, and the bundles signed."""
    pictures, bundles = asked.work / PUBLIC / PICTURES, _bundles(asked)
    sums = published.sums(pictures)
    private = [folder / name for folder in bundles for name in (BUNDLE, WEIGHTS)]
    if leaked := published.same_as(sums, private if asked.key is None else [*private, asked.key]):
        raise ValueError(f"{leaked!r} in SRC is a bundle's or the key: move it out of there and name a new OUT")
    said: dict[str, Any] = {"format": 1} | changed_by(asked.work / "job" / FILE)
    said |= {"classes": known.counts, "size": known.size, "method": asked.named, "eps": str(asked.method.budget)}
    said |= {"pictures_sha256": published.fingerprint(sums), "policy": known.policy, "signed": None, "measured": None}
    trained = replace(run, directory=asked.work / "trained")
    if asked.test is not None:
        said["measured"] = margin.measured(bundles, asked.source, pictures, asked.test, known.size, trained)
    if asked.key is not None and known.key is not None:
        for folder in bundles:
            if not (folder / SIGNATURE).exists():
                sign(folder, pictures, asked.key, margin.beneath(trained, folder), asked.policy, asked.test)
        statement = published.statement(said["pictures_sha256"], known.policy)
        signature = published.signed(private_key(asked.key), statement)
        said["signed"] = {"key": fingerprint(known.key), "public_key": known.key, "signature": signature}
    origin = provenance(run)
    return said | {"provenance": {name: origin[name] for name in ("version", "commit", "command", "date")}}


def _publish(asked: Release, report: dict[str, Any]) -> None:
    """The public half last: while it is not there, the release is not done."""
    folder = asked.work / PUBLIC
    write_atomically(folder / CARD, card(report).encode())
    write_atomically(folder / REPORT, json.dumps(report, indent=1).encode())
    os.rename(asked.work / AUTHORISED, asked.out / AUTHORISED)
    os.rename(folder, asked.out / PUBLIC)
    shutil.rmtree(asked.work / "trained", ignore_errors=True)
