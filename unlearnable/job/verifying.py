"""Is a protected collection still what it should be? Every output compared with its original, changing nothing."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from unlearnable.files import (
    Collection,
    Container,
    Item,
    Picture,
    Refused,
    decode,
    is_picture_name,
    kept,
    matches,
    open_collection,
    output_name,
    signalled,
    stems,
)
from unlearnable.files.collections.collection import sha256_of
from unlearnable.files.copying import hashed
from unlearnable.files.pictures.picture import Samples
from unlearnable.job import reasons
from unlearnable.job.manifest import Manifest, Outcome, sha256
from unlearnable.job.parallel import decoded, results
from unlearnable.job.picture import Change, change
from unlearnable.job.places import find_manifest
from unlearnable.job.unlisted import NOBODYS, STRANGE, beside, strangers
from unlearnable.pixels import LINF8, Budget, level_cap, rms_cap
from unlearnable.run import Run

_CONTAINERS: tuple[Container, ...] = ("keep", "png", "webp")
_Source = Literal["manifest", "default", "caller"]


@dataclass(frozen=True)
class Verification:
    """checked: pictures that have an output; bad: outputs, copied files among them, that are not as they should be;
    missing: files of the source without an output; max_abs_delta: in 8-bit levels; problems: (name, reason) of all
    that are bad or missing, in listing order; eps: the budget that was checked, and eps_of: who says it, None where
    none was; unchanged: those of the bad that are as they should be, but for no pixel having changed."""

    checked: int
    bad: int
    max_abs_delta: int
    missing: int
    problems: tuple[tuple[str, str], ...]
    eps: str | None = None
    eps_of: _Source | None = None
    unchanged: int = 0


def verify(source: Path, destination: Path, run: Run | None = None, eps: float | None = None) -> Verification:
    """Compares a protected collection with its originals: by the manifest where there is one, else by names.

    With a manifest the hashes, the budget and the list of files are checked too; without one a picture may carry a
    signal (`files.pictures.signals`) or none, and the budget is 8/255. Labels and all else that a table or an array
    file holds beside its pictures are compared too. A picture that is no file's output is bad, and so is one in which
    no pixel differs from its original, unless the budget is 0, a control's. eps: an L-infinity budget in units of the
    0..1 range, which no picture may go beyond whatever the manifest says, for nobody signed that. Raises ValueError
    where one of the two cannot be listed, `Cancelled` where the run is.
    """
    with ExitStack() as stack:
        originals = stack.enter_context(closing(open_collection(source)))
        outputs = stack.enter_context(closing(open_collection(destination, "DST")))
        path = find_manifest(destination)
        manifest = None if path is None else stack.enter_context(closing(Manifest(path, writing=False)))
        files = _listed(originals, manifest)
        found = _judged(_Judge.of(originals, outputs, manifest, eps), files, len(originals.items), run or Run())
    if manifest is not None or not found.unchanged or found.max_abs_delta:
        return found
    return replace(found, bad=found.bad + 1, problems=(*found.problems, (destination.name, reasons.UNPROTECTED)))


def _judged(judge: "_Judge", files: Iterable["_File"], total: int, run: Run) -> Verification:
    checked = worst = 0
    wrong = []
    with closing(results(judge, files, run)) as verdicts:
        for done, verdict in enumerate(verdicts, 1):
            run.report("verify", done, total)
            checked += verdict.picture and verdict.state != "missing"
            worst = max(worst, verdict.max_delta)
            if verdict.state != "good":
                wrong.append(verdict)
    wrong.sort(key=lambda verdict: verdict.place)
    bad = sum(verdict.state == "bad" for verdict in wrong)
    strange = strangers(judge.outputs, judge.places.keys(), STRANGE if judge.listed else NOBODYS)
    try:
        strange += beside(judge.outputs, judge.places, kept(judge.originals))
    except Refused as reason:
        raise ValueError(f"SRC {str(judge.originals.path)!r} {reason}") from reason
    problems = (*((v.name, v.reason) for v in wrong), *strange)
    unchanged = sum(verdict.reason == reasons.UNCHANGED for verdict in wrong)
    said = str(judge.budgets[-1]), judge.budget_of
    return Verification(checked, bad + len(strange), worst, len(wrong) - bad, problems, *said, unchanged)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the source, and what the manifest says became of it; None where there is no manifest."""

    place: int
    name: str
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class _Verdict:
    place: int
    name: str
    picture: bool
    state: Literal["good", "bad", "missing"] = "good"
    reason: str = ""
    max_delta: int = 0


class _Missing(Exception):
    """A file has no output."""


class _Bad(Exception):
    """An output is not as it should be."""

    def __init__(self, reason: str, max_delta: int = 0) -> None:
        super().__init__(reason)
        self.max_delta = max_delta


@dataclass(frozen=True, eq=False)
class _Judge:
    originals: Collection
    outputs: Collection
    sources: dict[str, Item]
    written: dict[str, Item]
    names: dict[str, int]
    budgets: tuple[Budget, ...]
    budget_of: _Source
    containers: tuple[Container, ...]
    signals: tuple[bool, ...]
    listed: bool
    places: dict[str, int] = field(default_factory=dict)  # of outputs that were looked for: name -> place of the file

    @classmethod
    def of(cls, originals: Collection, outputs: Collection, manifest: Manifest | None, eps: float | None) -> "_Judge":
        about = (manifest and manifest.get("about")) or {}
        budgets: tuple[Budget, ...] = (Budget(about["norm"], about["eps"]),) if about else ()
        if eps is not None or not about:
            budgets += (LINF8 if eps is None else Budget("linf", eps),)
        budget_of: _Source = "caller" if eps is not None else "manifest" if about else "default"
        containers = (about["container"],) if about else _CONTAINERS
        signals = (False, True) if not about else ("signals" in about,)
        sources, written = ({item.name: item for item in reversed(side.items)} for side in (originals, outputs))
        return cls(
            originals, outputs, sources, written, stems(sources), budgets, budget_of, containers, signals, bool(about)
        )

    def __call__(self, file: _File) -> _Verdict:
        picture = is_picture_name(file.name)
        try:
            delta = self._recorded(file, file.outcome) if file.outcome else self._by_name(file)
            return _Verdict(file.place, file.name, picture, max_delta=delta)
        except _Missing as reason:
            return _Verdict(file.place, file.name, picture, "missing", str(reason))
        except _Bad as reason:
            return _Verdict(file.place, file.name, picture, "bad", str(reason), reason.max_delta)
        except Refused as reason:
            return _Verdict(file.place, file.name, picture, "bad", f"cannot be compared: {reason}")

    def _recorded(self, file: _File, outcome: Outcome) -> int:
        if outcome.status in ("failed", "waiting") or outcome.output is None:
            raise _Missing(f"{reasons.NOT_PROTECTED}: {outcome.reason or reasons.NOT_REACHED}")
        if outcome.status == "copied":
            return self._copied(file, outcome, outcome.output)
        data = self._output(file, outcome.output)
        changed = sha256(data) != outcome.output_sha256
        if file.name not in self.sources:
            raise _Bad(reasons.ORIGINAL_GONE)
        original = self.originals.read(self.sources[file.name])
        if sha256(original) != outcome.source_sha256:
            raise _Bad(reasons.ORIGINAL_CHANGED)
        delta = self._compare(file.name, original, outcome.output, data, self.containers[0])
        if changed:
            raise _Bad(reasons.OUTPUT_CHANGED, delta)
        if outcome.max_delta not in (None, delta):
            raise _Bad(f"changed by {delta} levels, where the manifest says {outcome.max_delta}", delta)
        return self._some(delta)

    def _copied(self, file: _File, outcome: Outcome, output: str) -> int:
        """As `_recorded`, of a copy, which may be larger than what fits into memory."""
        # whoever can write the outputs can write their hashes too: what the originals tell is looked at as well
        if self._written(file, output) and is_picture_name(file.name):
            raise _Bad("it is a picture, and was only copied")
        written = self._copy(file, output)
        if file.name not in self.sources:
            raise _Bad(reasons.ORIGINAL_GONE)
        original = sha256_of(self.originals, self.sources[file.name])
        if original != outcome.source_sha256:
            raise _Bad(reasons.ORIGINAL_CHANGED)
        if written != outcome.output_sha256:
            raise _Bad(reasons.OUTPUT_CHANGED)
        if written != original or output != file.name:
            raise _Bad(reasons.COPY_DIFFERS)
        return 0

    def _by_name(self, file: _File) -> int:
        item = self.sources[file.name]
        if item.problem is not None:
            raise _Missing(f"{reasons.NOT_PROTECTED}: {item.problem}")
        if not is_picture_name(file.name):
            if self._copy(file, file.name) != sha256_of(self.originals, item):
                raise _Bad(reasons.COPY_DIFFERS)
            return 0
        original = self.originals.read(item)
        for container in self.containers:
            try:
                target = decode(original, file.name, container).target
            except Refused as reason:
                raise _Missing(f"{reasons.NOT_PROTECTED}: {reason}") from None
            name = output_name(file.name, target, self.names)
            if name in self.written:
                return self._some(self._compare(file.name, original, name, self._output(file, name), container))
        raise _Missing("there is no output for it")

    def _output(self, file: _File, name: str) -> bytes:
        return self.outputs.read(self._written(file, name))

    def _copy(self, file: _File, name: str) -> str:
        """The hash of what is no picture, once it is sure that it holds none: `protect` would have refused it."""
        try:
            return hashed(self.outputs.blocks(self._written(file, name)))
        except Refused as reason:
            raise _Bad(str(reason)) from reason

    def _written(self, file: _File, name: str) -> Item:
        self.places[name] = file.place
        if name not in self.written:
            raise _Missing(reasons.OUTPUT_GONE)
        return self.written[name]

    def _compare(self, name: str, original: bytes, written_name: str, written: bytes, container: Container) -> int:
        """The largest change in 8-bit levels; raises `_Bad` where anything but colour within the budget differs."""
        with decoded(original, name, container) as picture:
            try:
                found = _planes_like(picture, decode(written, written_name).planes)
            except Refused as reason:
                raise _Bad(f"the output cannot be read: {reason}") from None
            try:
                measured = change(picture.planes, found)
            except ValueError:
                wanted = f"{picture.planes.dtype} {picture.planes.shape}"
                raise _Bad(f"the output is {found.dtype} {found.shape}, not {wanted}") from None
            meant = [signalled(picture) if signals else picture for signals in self.signals]
            differing = [matches(one, found, written, written_name) for one in meant]
            if wrong := self._over(measured) or (None if None in differing else differing[0]):
                raise _Bad(wrong, measured.max_delta)
            return measured.max_delta

    def _some(self, delta: int) -> int:
        if not delta and self.budgets[0].eps:
            raise _Bad(reasons.UNCHANGED)
        return delta

    def _over(self, found: Change) -> str | None:
        for budget in self.budgets:
            cap = level_cap(budget)
            if found.max_delta > cap:
                return f"changed by up to {found.max_delta} levels, above {cap} of eps {budget}"
            if budget.norm == "l2" and found.rms > rms_cap(budget):
                return f"changed by {found.rms:.6f} (root mean square), above {budget.eps:.6f} of eps {budget}"
        return None


def _listed(originals: Collection, manifest: Manifest | None) -> Iterator[_File]:
    """The files of the manifest, then those that came to the source after it."""
    known, late = set(), Outcome("waiting", "it came to SRC after the job began") if manifest else None
    for row in manifest.rows() if manifest else ():
        known.add(row.name)
        yield _File(row.id, row.name, row.outcome)
    for place, item in enumerate(originals.items, len(known)):
        if item.name not in known:
            yield _File(place, item.name, late)


def _planes_like(picture: Picture, found: Samples) -> Samples:
    """WebP has no grey: there its three colours are the one grey, which `matches` confirms."""
    grey_as_colour = picture.target == "WEBP" and picture.planes.shape[2] == 1 and found.shape[2] == 3
    return found[..., :1] if grey_as_colour else found
