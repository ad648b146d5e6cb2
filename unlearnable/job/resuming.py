"""What of an earlier run a resumed job does again: files that are no longer there, and files whose original changed."""

from contextlib import closing

from unlearnable.files import Collection, Destination, Refused
from unlearnable.files.collection import sha256_of
from unlearnable.job.manifest import Manifest, Outcome, Row
from unlearnable.job.parallel import results
from unlearnable.run import Run


def forget(source: Collection, destination: Destination, manifest: Manifest, run: Run) -> None:
    """Sets such files to waiting. Raises `Cancelled` where the run is."""
    _forget_changed(source, destination, manifest, run)
    _forget_lost(destination, manifest)


def _forget_changed(source: Collection, destination: Destination, manifest: Manifest, run: Run) -> None:
    """Reading an original costs little beside protecting it, and times of change say nothing of a copy."""
    total = manifest.count("protected", "copied")

    def look(row: Row) -> tuple[Row, bool]:
        try:
            return row, sha256_of(source, source.items[row.id]) == row.outcome.source_sha256
        except Refused:
            return row, False

    with closing(results(look, manifest.rows("protected", "copied") if total else (), run)) as looked:
        for done, (row, same) in enumerate(looked, 1):
            run.report("resume", done, total)
            if not same:
                destination.path_of(row.outcome.output or row.name).unlink(missing_ok=True)
                manifest.record(row.id, Outcome("waiting"))
    manifest.commit()


def _forget_lost(destination: Destination, manifest: Manifest) -> None:
    """Files that were done but are no longer there (removed, or packed into an archive that must be packed again)."""
    open_rows = manifest.count("waiting", "failed")
    if manifest.get("packed") and destination.path.exists() and not open_rows:
        return
    manifest.set("packed", False)
    for row in manifest.rows("protected", "copied"):
        if not destination.path_of(row.outcome.output or row.name).is_file():
            manifest.record(row.id, Outcome("waiting"))
    manifest.commit()
