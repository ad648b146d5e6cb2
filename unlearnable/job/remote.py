"""Places that an address names (s3://, gs://, any that fsspec knows): fetched to this machine, and put there whole.

The work in between is that of every other job. Nothing is contacted but the address that was given, and credentials are
those that its library finds: none is asked for, kept or passed on.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from unlearnable.addresses import is_address, shown
from unlearnable.files import BOOKKEEPING
from unlearnable.job.manifest import FILE
from unlearnable.job.remote_stores import Absent, There, Told, explained, found, inside, matching, overlap, system_of
from unlearnable.run import Cancelled, Run

_TOGETHER = 64
_KEPT_HERE = ("perturbation", "fit", "scratch", "packing")  # whoever has the perturbation can take it off again


def workplace(source: str, destination: str) -> Path:
    """The folder of one remote job, the same whenever it is asked for: where it goes on after it was stopped."""
    digest = hashlib.blake2b(f"{source}\0{destination}".encode(), digest_size=8).hexdigest()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "unlearnable" / digest


@dataclass(frozen=True, slots=True)
class Place:
    """One end of a job. address: as it was given; path: where it lies, or will lie, on this machine; goes_on: what lies
    there is of the job that is resumed, and so is what lies at the address of its DST."""

    address: str
    path: Path
    goes_on: bool = False

    @property
    def remote(self) -> bool:
        return is_address(self.address)

    def fetch(self, run: Run) -> None:
        """Brings it here. What is here whole, and by its stamp the same, is not fetched again; where a store has no
        stamps that is believed of a resumed job alone. What is not there any more goes. Raises ValueError."""
        with explained(self.address, "read"):
            system, root = system_of(self.address)
            wanted = found(system, root) or matching(system, root)
            if not wanted:
                raise Absent(f"SRC {self.address!r} is not there: check the address")
            one, home = list(wanted) == [""], self.path if "{" not in self.path.name else self.path.parent
            files = {self.path if one else inside(home, name): there for name, there in wanted.items()}
            _clear(home, files.keys())
            stamps = _Stamps(self.path.parent.parent)
            missing = [(there, here) for here, there in files.items() if not self._has(here, there, stamps.of(here))]

            def get(many: list[tuple[There, Path]]) -> None:
                _get(system, [(there.path, here) for there, here in many])
                stamps.note(many)

            _in_batches(missing, get, "fetch", run)

    def _has(self, here: Path, there: There, stamp: str | None) -> bool:
        known = stamp == there.stamp if there.stamp else self.goes_on
        return known and here.is_file() and here.stat().st_size == there.size

    def refuse_taken(self, overwrite: bool) -> None:
        """Raises ValueError where something is there that was not to be overwritten."""
        with explained(self.address, "read"):
            system, root = system_of(self.address)
            if not (overwrite or self.goes_on) and found(system, root):
                raise Told(
                    f"DST {self.address!r} is not empty, and no job that can be resumed was begun here: name another "
                    "place, or --overwrite"
                )

    def deliver(self, run: Run) -> None:
        """Puts all that lies at `path`, and the manifest last, where the address says; sizes are compared afterwards.

        Raises ValueError where that fails, or where other files are there, which would stay among the new ones."""
        with explained(self.address, "written"):
            system, root = system_of(self.address)
            files = _outputs(self.path, root)
            taken = {there.path for there in found(system, root).values()}
            strange = taken - {there for _, there in files}
            if strange and self.path.is_dir():
                raise Told(f"DST {self.address!r} holds {sorted(strange)[0]!r}, which is of no use here: remove it")
            for here, there in files:
                if here.name == FILE and there in taken:  # it would say what is there while that is replaced
                    system.rm_file(there)
            _in_batches(files, lambda many: _put(system, many), "deliver", run)
            for here, there in files:
                if system.size(there) != here.stat().st_size:
                    raise Told(f"DST {self.address!r}: {there!r} did not arrive whole: --resume puts it again")


@contextmanager
def places(
    source: str, destination: str, resume: bool, overwrite: bool, dry_run: bool = False
) -> Iterator[tuple[Place, Place]]:
    """Both ends of a job, with a folder on this machine for those that are remote. It goes once all is done, and stays
    where the block was left by an exception, so that nothing is fetched or done twice. A dry run looks into the folder
    of the job that it would resume, and removes nothing there; else it has one of its own, which goes whatever happens.

    Raises ValueError, also where another process is at the same job."""
    if not (is_address(source) or is_address(destination)):
        yield Place(source, Path(source)), Place(destination, Path(destination))
        return
    if overlap(source, destination):
        raise Told(f"DST {destination!r} is SRC {source!r}, or one lies in the other, which is never written to")
    work = workplace(source, destination)
    begun, goes_on = _begun(work), resume and work.is_dir()
    keep = dry_run and goes_on
    if dry_run and not goes_on:
        work = work.with_name(f"{work.name}-dry")
    with _taken(work, destination):
        try:
            if begun and not (resume or overwrite):
                raise Told(f"{destination!r} was begun on this machine: --resume goes on, --overwrite starts anew")
            if not goes_on:
                shutil.rmtree(work / "to", ignore_errors=True)
            yield _end(source, work / "from", goes_on), _end(destination, work / "to", resume and begun)
        except ValueError:
            keep = keep or (not dry_run and (_begun(work) or _fetched(work)))
            raise
        except BaseException:
            keep = keep or not dry_run
            raise
        finally:
            if not keep:
                shutil.rmtree(work)


@contextmanager
def copies(*places: str, run: Run) -> Iterator[list[Path]]:
    """Places on this machine, only to be looked at, the last one DST; copies of remote ones go afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        sides = []
        for number, given in enumerate(places):
            sides.append(Path(folder) / str(number) / _last(given) if is_address(given) else Path(given))
            if is_address(given):
                Place(given, sides[-1]).fetch(run)
        if is_address(places[-1]) and not (sides[-1] / BOOKKEEPING).is_dir():
            partial = Place(f"{places[-1].rstrip('/')}.partial", sides[-1].with_name(f"{sides[-1].name}.partial"))
            with suppress(Absent):  # without a manifest names are compared
                partial.fetch(run)
        yield sides


@contextmanager
def _taken(work: Path, destination: str) -> Iterator[None]:
    """The folder of a job, made where it is not there, for this process alone and no other user's eyes."""
    work.mkdir(parents=True, exist_ok=True)
    work.chmod(0o700)
    lock = FileLock(work / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Told(f"another process is at {destination!r}: wait for it, or stop it") from None
    try:
        yield
    finally:
        lock.release()


def _end(given: str, folder: Path, goes_on: bool) -> Place:
    """A path as it is, or an address with its place below that folder."""
    if not is_address(given):
        return Place(given, Path(given))
    folder.mkdir(exist_ok=True)
    return Place(given, folder / _last(given), goes_on)


class _Stamps:
    """What the files that were fetched were like: a line of JSON for each, in the folder of the job."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / "fetched"
        lines = self._file.read_text().splitlines() if self._file.is_file() else []
        self._known: dict[str, str] = {}
        for line in lines:
            with suppress(ValueError):  # the last one, of a process that was killed
                self._known |= json.loads(line)

    def of(self, here: Path) -> str | None:
        return self._known.get(self._name(here))

    def note(self, many: list[tuple[There, Path]]) -> None:
        with open(self._file, "a") as file:
            file.writelines(json.dumps({self._name(here): there.stamp}) + "\n" for there, here in many)

    def _name(self, here: Path) -> str:
        return str(here.relative_to(self._folder))


def _clear(home: Path, wanted: Collection[Path]) -> None:
    """What an earlier run fetched and is not in the source any more would be protected with the rest."""
    for file in [home, *home.rglob("*")]:
        if file.is_file() and file not in wanted:
            file.unlink()
    if home.is_dir() and home in wanted:
        shutil.rmtree(home)


def _fetched(work: Path) -> bool:
    return any(path.is_file() for path in (work / "from").rglob("*"))


def _begun(work: Path) -> bool:
    return any(work.glob(f"to/*/{BOOKKEEPING}/{FILE}"))


def _last(address: str) -> str:
    """What a place is called on this machine: its path's last part, or its host."""
    return shown(address).rstrip("/").rpartition("/")[2] or "all"


def _outputs(path: Path, root: str) -> list[tuple[Path, str]]:
    """(file here, full name there), the manifests last."""
    partial = path.with_name(f"{path.name}.partial")
    ends = [(path, root), (partial, f"{root}.partial")]
    files = [(path, root)] if path.is_file() else []
    card = path.with_name(f"{path.name}.README.md")
    files += [(card, f"{root}.README.md")] if card.is_file() else []
    for folder, there in ends:
        for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
            inside = file.relative_to(folder)
            kept = len(inside.parts) > 1 and inside.parts[0] == BOOKKEEPING and inside.parts[1] in _KEPT_HERE
            if file.is_file() and not kept:
                files.append((file, f"{there}/{inside.as_posix()}"))
    return sorted(files, key=lambda pair: pair[0].name == FILE)


def _in_batches(
    tasks: list[tuple[Any, Any]], work: Callable[[list[tuple[Any, Any]]], None], stage: str, run: Run
) -> None:
    for first in range(0, len(tasks), _TOGETHER):
        if run.cancelled():
            raise Cancelled("stopped: what was done is kept, resume to go on")
        work(tasks[first : first + _TOGETHER])
        run.report(stage, min(first + _TOGETHER, len(tasks)), len(tasks))


def _get(system: Any, files: list[tuple[str, Path]]) -> None:
    for _, here in files:
        here.parent.mkdir(parents=True, exist_ok=True)
    system.get([there for there, _ in files], [str(here) for _, here in files])


def _put(system: Any, files: list[tuple[Path, str]]) -> None:
    for folder in {there.rpartition("/")[0] for _, there in files}:
        system.makedirs(folder, exist_ok=True)
    system.put([str(here) for here, _ in files], [there for _, there in files])
