"""Is a protected collection still what was written, asked without the originals: by the hashes of a manifest."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from unlearnable.files import Collection, Item, Refused, is_picture_name, open_collection
from unlearnable.files.collections.collection import sha256_of
from unlearnable.job import reasons
from unlearnable.job.manifest import Manifest
from unlearnable.job.parallel import results
from unlearnable.job.places import find_manifest
from unlearnable.job.unlisted import beside, strangers
from unlearnable.job.verifying import Verification
from unlearnable.run import Run


@dataclass(frozen=True, slots=True)
class Written:
    """A file that a manifest lists. output, sha256: what was written for it, None where nothing was, and then `reason`
    says why; max_delta: in 8-bit levels."""

    name: str
    output: str | None
    sha256: str | None
    max_delta: int | None = None
    reason: str | None = None


def audit(
    destination: Path, run: Run | None = None, listed: Iterable[Written] | None = None, kept: str | None = None
) -> Verification:
    """Compares the outputs with what is listed, by default in the destination's own manifest; names of problems are
    those of the outputs where there are any. kept: the digest of what lies beside the pictures, None where a manifest
    of an earlier version says none.

    max_abs_delta is what the manifest says: without the originals it cannot be measured again. A picture that is not
    listed is bad. Raises ValueError where there is no manifest or the destination cannot be listed, `Cancelled` where
    the run is.
    """
    with closing(open_collection(destination, "DST")) as outputs:
        if listed is None:
            with _manifest(destination) as manifest:
                kept = (manifest.get("about") or {}).get("kept")
            listed = written(destination)
        return _judged(outputs, list(listed), kept, run or Run())


def written(destination: Path) -> Iterator[Written]:
    """What the manifest of a destination lists. Raises ValueError where there is none."""
    with _manifest(destination) as manifest:
        for row in manifest.rows():
            of = row.outcome
            yield Written(row.name, of.output, of.output_sha256, of.max_delta, of.reason)


def _manifest(destination: Path) -> "closing[Manifest]":
    path = find_manifest(destination)
    if path is None:
        raise ValueError(
            f"DST {str(destination)!r} has no manifest: name the originals too (unlearnable verify SRC DST), or the "
            "manifest.json of a report with --manifest"
        )
    return closing(Manifest(path, writing=False))


def _judged(outputs: Collection, files: list[Written], kept: str | None, run: Run) -> Verification:
    held = {item.name: item for item in outputs.items}
    places = {file.output: place for place, file in enumerate(files) if file.output is not None}
    strange = strangers(outputs, places.keys()) + beside(outputs, places, kept)
    found: dict[int, tuple[str, str]] = {}

    def look(place: int) -> tuple[int, str | None]:
        return place, _wrong(files[place], held, outputs)

    with closing(results(look, range(len(files)), run)) as looked:
        for done, (place, wrong) in enumerate(looked, 1):
            run.report("verify", done, len(files))
            if wrong is not None:
                found[place] = (files[place].output or files[place].name, wrong)
    missing = [place for place in found if files[place].output is None or files[place].output not in held]
    checked = sum(is_picture_name(file.name) for file in files) - sum(is_picture_name(files[p].name) for p in missing)
    largest = max((file.max_delta or 0 for file in files), default=0)
    problems = (*(found[place] for place in sorted(found)), *strange)
    return Verification(checked, len(found) - len(missing) + len(strange), largest, len(missing), problems)


def _wrong(file: Written, held: dict[str, Item], outputs: Collection) -> str | None:
    if file.output is None:
        return f"{reasons.NOT_PROTECTED}: {file.reason or reasons.NOT_REACHED}"
    if file.output not in held:
        return reasons.OUTPUT_GONE
    try:
        return None if sha256_of(outputs, held[file.output]) == file.sha256 else reasons.OUTPUT_CHANGED
    except Refused as reason:
        return f"cannot be read: {reason}"
