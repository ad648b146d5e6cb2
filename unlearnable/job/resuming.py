"""What of an earlier run a resumed job does again: outputs that are gone or were changed, and changed originals."""

from collections.abc import Callable
from contextlib import closing

from unlearnable.files import Collection, Destination, Refused
from unlearnable.files.collections.collection import sha256_file, sha256_of
from unlearnable.files.destination import hashes
from unlearnable.job.manifest import Manifest, Outcome, Row
from unlearnable.job.parallel import results
from unlearnable.run import Run


def forget(source: Collection, destination: Destination, manifest: Manifest, run: Run) -> None:
    """Sets such files to waiting. Raises `Cancelled` where the run is.

    Reading them costs little beside protecting them, and times of change say nothing of a copy."""

    def same_original(row: Row) -> bool:
        try:
            return sha256_of(source, source.items[row.id]) == row.outcome.source_sha256
        except Refused:
            return False

    def same_output(row: Row) -> bool:
        try:
            return sha256_file(destination.path_of(row.outcome.output or row.name)) == row.outcome.output_sha256
        except OSError:
            return False

    _forget(same_original, destination, manifest, run)
    if not _is_packed(destination, manifest):  # outputs that were packed are not there any more
        manifest.set("packed", False)
        _forget(same_output, destination, manifest, run)


def _forget(same: Callable[[Row], bool], destination: Destination, manifest: Manifest, run: Run) -> None:
    """What is not the same is to be done again; what was made of it is not left among the new."""
    total = manifest.count("protected", "copied")

    def look(row: Row) -> tuple[Row, bool]:
        return row, same(row)

    with closing(results(look, manifest.rows("protected", "copied") if total else (), run)) as looked:
        for done, (row, found) in enumerate(looked, 1):
            run.report("resume", done, total)
            if not found:
                destination.path_of(row.outcome.output or row.name).unlink(missing_ok=True)
                manifest.record(row.id, Outcome("waiting"))
    manifest.commit()


def _is_packed(destination: Destination, manifest: Manifest) -> bool:
    """Is all that was packed still there, as it was written? True of versions before, which kept no hashes."""
    packed = manifest.get("packed")
    if not packed or manifest.count("waiting", "failed") or not destination.path.exists():
        return False
    return packed is True or packed.items() <= hashes(destination.path).items()
