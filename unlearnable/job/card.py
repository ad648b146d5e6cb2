"""The data card of a protected collection: what whoever gets the pictures should know, from the job's own records."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnable.files import Collection, Destination
from unlearnable.files.collections.item import CARD, CARD_MARK, is_card
from unlearnable.job.manifest import Manifest
from unlearnable.pixels import Budget
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically
from unlearnable.visibility import NOTICEABLE

if TYPE_CHECKING:
    from unlearnable.recorded import Undoing

NAMED = 3  # so many adversaries are named


def place_of(destination: Destination) -> Path:
    """README.md in a folder, NAME.README.md beside one file."""
    packing = destination.packing
    return _place(destination.path, packing is None or packing.folder)


def _place(path: Path, folder: bool) -> Path:
    return path / CARD if folder else path.with_name(f"{path.name}.{CARD}")


def check(destination: Destination, source: Collection) -> None:
    """Raises ValueError where another file stands, or will stand, at the card's place."""
    place = place_of(destination)
    inside = place.parent == destination.path
    own = source.path / CARD  # of a data set it is no item
    named = any(item.name.casefold() == CARD.casefold() for item in source.items)
    if inside and (named or (own.is_file() and not is_card(own))):
        raise ValueError(f"SRC holds a {CARD} of its own, where the card would go: leave the card out, or rename it")
    _check_free(place)


def check_card(destination: Path) -> None:
    """Raises ValueError where another file stands at the card's place of what `protect` wrote."""
    _check_free(_place(destination, destination.is_dir()))


def _check_free(place: Path) -> None:
    if place.exists() and not is_card(place):
        raise ValueError(
            f"{str(place)!r} is there, where the card would go, and is none: leave the card out, or move it"
        )


def is_there(destination: Destination) -> bool:
    """Did an earlier run write one?"""
    return is_card(place_of(destination))


def remove(destination: Destination) -> None:
    """The card of an earlier job goes, and nothing else."""
    if is_card(place_of(destination)):
        place_of(destination).unlink()


def write(destination: Destination, manifest: Manifest, run: Run) -> None:
    """Writes the card of a job that has ended; what networks learn was not measured."""
    _put(place_of(destination), manifest, _UNMEASURED, run)


def write_measured(destination: Path, manifest: Path, learned: Mapping[str, Any], run: Run) -> Path:
    """Writes the card of what `protect` wrote, and gives its place. learned: what networks learned from it, as
    "learnability" is in a report. Raises ValueError as `check_card`."""
    place = _place(destination, destination.is_dir())
    _check_free(place)
    with closing(Manifest(manifest, writing=False)) as opened:
        _put(place, opened, _learned(learned), run)
    return place


def _put(place: Path, manifest: Manifest, learned: str, run: Run) -> None:
    made, about = manifest.get("made") or {}, manifest.get("about")
    budget, protection = Budget(about["norm"], about["eps"]), made.get("protection", "unknown")
    found = changed(manifest) | {
        "method": protection, "budget": f"{budget}" if budget.norm == "none" else f"{budget.norm}, eps {budget}",
        "flat": manifest.showing(NOTICEABLE, 1)[0], "learned": learned,
        "effect": _effect(made.get("method", ""), protection),
    }  # fmt: skip
    write_atomically(place, _text(found, provenance(run)).encode())


def _learned(found: Mapping[str, Any]) -> str:
    rows = "".join(
        f"| `{row['adversary']}` | `{row['model']}` | {_between(row['clean'])} | {_between(row['protected'])} |\n"
        for row in found["rows"]
    )
    flags = ", ".join(f"`{flag}`" for flag in found["flags"]) or "none"
    return _MEASURED.format(**found["sizes"], seeds=found["seeds"], rows=rows, flags=flags)


def _between(found: Mapping[str, float]) -> str:
    return "{mean:.3f} ({low:.3f} to {high:.3f})".format(**found)


def changed(manifest: Manifest) -> dict[str, Any]:
    """What a job did. psnr_mean, psnr_lowest: in dB, None where no picture changed."""
    levels = [row.outcome.psnr for row in manifest.rows("protected") if row.outcome.psnr is not None]
    counts = {"pictures": manifest.count("protected"), "copied": manifest.count("copied")}
    counts["unchanged"] = manifest.unchanged(1)[0]
    counts |= {"failed": manifest.count("failed"), "max_abs_delta": manifest.max_delta()}
    mean = round(sum(levels) / len(levels), 2) if levels else None
    return counts | {"psnr_mean": mean, "psnr_lowest": round(min(levels), 2) if levels else None}


def changed_by(manifest: Path) -> dict[str, Any]:
    """The same, from the file of a manifest."""
    with closing(Manifest(manifest, writing=False)) as found:
        return changed(found)


def _effect(method: str, protection: str) -> str:
    """What the records say of the method: of other pictures, and of who undoes it."""
    from unlearnable.recorded import recorded  # with all adversaries, which a job without a card need not load

    known = recorded(method, protection)
    if known is None or known.found is None:
        return "Nothing is on record of this method."
    found, setting = known.found, known.setting
    strength = "" if setting["norm"] == "none" else f" ({setting['norm']} {setting['eps']})"
    return (
        f"On record for `{known.named}`{strength}, other pictures (`{setting['dataset']}`) and a small network "
        f"(`{setting['model']}`): it learned {found.standard:.2f} of them, {found.clean:.2f} unchanged; {_back(found)}."
    )


def _back(found: "Undoing") -> str:
    """Who gets back what the method took, the worst for the owner first."""
    if not found.hindered:
        return "that is no protection"
    if not found.tried:
        return "who gets most of that back was not measured"
    if not found.undone:
        return "no adversary that was tried gets most of it back"
    first = ", ".join(f"`{name}` {reached:.2f}" for name, reached in list(found.undone.items())[:NAMED])
    more = len(found.undone) - NAMED
    return f"who gets most of that back: {first}" + (f" and {more} more" if more > 0 else "")


def _text(found: dict[str, Any], origin: dict[str, Any]) -> str:
    mean, lowest = found["psnr_mean"], found["psnr_lowest"]
    psnr = "unchanged" if mean is None else f"{mean} dB on average, {lowest} dB at the lowest"
    said = {name: origin[name] for name in ("version", "date", "commit")}  # not the command: it may name private places
    done = _CHANGED if found["max_abs_delta"] else _UNCHANGED
    return _CARD.format(
        **found | said, mark=CARD_MARK.decode(), psnr=psnr, done=done, category=_category(found["pictures"])
    )


def _category(count: int) -> str:
    """How many, in the words of the Hugging Face hub."""
    if count < 1000:
        return "n<1K"
    low = min(len(str(count)) - 1, 11)
    return f"{_short(low)}<n<{_short(low + 1)}"


def _short(power: int) -> str:
    return f"{10 ** (power % 3)}{'_KMBT'[power // 3]}"


_CHANGED = "changed a little by their owner so that training on them costs more"
_UNCHANGED = "none of which was changed"
_UNMEASURED = """\
From these pictures it was not measured: `unlearnable report SRC DST --test TEST --card` measures it and says it here.
"""
_MEASURED = """\
Accuracy on {tests} test pictures that were not changed, after training on {images} of these at {side} px and on their
originals; seeds: {seeds}; in brackets the interval of 95%:

| who trains | network | from the originals | from these |
|---|---|---|---|
{rows}
What to doubt (see the documentation of `unlearnable`): {flags}.
"""
_CARD = """\
{mark}tags: [unlearnable-examples]
size_categories: ["{category}"]
---
# Data card

{pictures} pictures, {done}. Labels and other files are as they were.

| | |
|---|---|
| method | `{method}` of `unlearnable` {version} |
| budget | {budget} |
| largest change | {max_abs_delta} of 255 grey levels |
| PSNR | {psnr} |
| changed in no pixel | {unchanged} pictures |
| changes that can be seen on flat areas | {flat} pictures |
| other files | {copied}, as they were |
| not among them | {failed} that could not be protected |

## What networks learn from them

{learned}
{effect}

## What it does not do

* It does not make training impossible, and does nothing to models that exist already.
* Who cleans pictures before training (compression, smoothing, adversarial training) gets more out of them.
* It gives no right to anybody: what may be done with the pictures is said by their owner, not here.

Made on {date} by commit `{commit}`.
"""
