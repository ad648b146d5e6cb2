"""A report in plain words: sentences and tables, computed from its JSON, as Markdown and as one HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unlearnable.adversaries import STANDARD
from unlearnable.files.pictures.signals import FORBIDDEN
from unlearnable.flags import LEAST_EFFECT
from unlearnable.messages import printable
from unlearnable.recorded import Undoing
from unlearnable.tables.document import document
from unlearnable.tables.grid import meaning
from unlearnable.tables.origin import hardware, versions
from unlearnable.tables.report import NEVER
from unlearnable.tables.table import Name, Table, code, ticked
from unlearnable.tables.verdict import hundred, plain

TITLE = "What was done to these pictures, and what it is worth"
_SHOWN = 20


@dataclass(frozen=True)
class Section:
    """Sentences with `names` in back ticks, and a table below them where there is one."""

    heading: str
    said: Sequence[str]
    table: Table | None = None


def markdown(report: dict[str, Any]) -> str:
    """The whole report."""
    parts = [f"# {TITLE}"]
    for section in sections(report):
        parts += [f"## {section.heading}", *section.said]
        parts += [section.table.markdown] if section.table else []
    return "\n\n".join(parts) + "\n"


def html(report: dict[str, Any]) -> str:
    """The same as one page that needs no other file."""
    body = ""
    for section in sections(report):
        said = "".join(f"<p>{ticked(sentence)}</p>\n" for sentence in section.said)
        body += f"<section><h2>{section.heading}</h2>\n{said}{section.table.html if section.table else ''}</section>\n"
    return document(TITLE, body)


def sections(report: dict[str, Any]) -> list[Section]:
    """What there is to say, in the order in which an owner asks."""
    return [
        Section("What was done", _done(report["done"])),
        _intact(report),
        Section("How much was changed", _fidelity(report["fidelity"])),
        _learned(report),
        Section("Who undoes it", _undone(report)),
        _survival(report),
        Section("What was not tested", [NEVER]),
        Section("How it was measured", _origin(report["provenance"])),
    ]


def _done(done: dict[str, Any]) -> list[str]:
    method = code(done["method"]) if done["method"] else "a fitted protection whose name was not recorded"
    by = f"unlearnable {done['version']} on {done['date']}" if done["version"] else "an earlier version, not recorded"
    bound = _bound(done)
    said = [f"{_count(done['protected'], 'picture')} protected with {method}, {bound}, by {by}."]
    became = {
        "copied": f"{_count(done['copied'], 'other file')} copied as they were",
        "failed": f"{_count(done['failed'], 'file')} could not be protected and are not there",
        "waiting": f"the job did not come to {_count(done['waiting'], 'file')}",
    }
    left = [words for name, words in became.items() if done[name]]
    said += [f"{'; '.join(left).capitalize()}."] if left else []
    if done["signals"]:
        said.append(
            f"{_count(done['signals']['pictures'], 'picture')} also say in XMP that training is not allowed "
            f"({code('plus:DataMining ' + FORBIDDEN)}), {done['signals']['c2pa']} of them also by C2PA: signals, which "
            "stop nobody."
        )
    return said


def _intact(report: dict[str, Any]) -> Section:
    checked, problems = report["checked"], report["problems"]
    heading = "Whether it is still so"
    if not problems:
        return Section(heading, [
            f"All {checked['checked']} pictures and all copied files are what was written, and their originals what "
            f"was protected. The largest change of a value is {checked['max_abs_delta']} grey levels."
        ])  # fmt: skip
    said = (
        f"Not as it was written: {_count(checked['bad'], 'file')}; missing: {_count(checked['missing'], 'file')}. "
        "Nothing below counts them."
    )
    more = len(problems) - _SHOWN
    notes = (f"and {more} more, named in report.json",) if more > 0 else ()
    rows = tuple((Name(printable(name)), printable(reason)) for name, reason in problems[:_SHOWN])
    return Section(heading, [said], Table("What is not as it was", ("file", "what is wrong"), rows, 1, notes))


def _fidelity(found: dict[str, Any]) -> list[str]:
    said = [
        f"No value of {_count(found['pictures'], 'picture')} moved by more than {found['max_abs_delta']} grey levels."
    ]
    if found["psnr"] is not None:
        said.append(
            f"PSNR {found['psnr']:.1f} dB on average, {found['lowest_psnr']:.1f} dB at the lowest "
            f"({code(printable(found['lowest_psnr_of']))})."
        )
    if found["ssim"] is not None:
        said.append(
            f"SSIM {found['ssim']:.3f} on average, {found['lowest_ssim']:.3f} at the lowest, of "
            f"{_count(found['ssim_pictures'], 'picture')}."
        )
    if found["showing"]:
        named = ", ".join(code(printable(name)) for name in found["showing_most"])
        said.append(
            f"On flat areas, such as a sky, of {_count(found['showing'], 'picture')} the change can be seen: {named}."
        )
    elif found["with_flat_areas"]:
        said.append("On flat areas the change is below what is noticed.")
    return said


def _learned(report: dict[str, Any]) -> Section:
    heading, found = "What a network learns from it", report["learnability"]
    if found is None:
        return Section(heading, [
            "Not measured: it takes labelled originals and other labelled pictures to test on "
            "(`unlearnable report SRC DST --test TEST`)."
        ])  # fmt: skip
    sizes = found["sizes"]
    said = [_first(row) for row in found["rows"] if row["adversary"] == STANDARD]
    over = f"{_count(found['seeds'], 'seed')} and {sizes['tests']:,} test images"
    if found["seeds"] == 1:
        over = f"{sizes['tests']:,} test images alone: one seed says nothing of how far two trainings differ"
    if fewer := {row["tests"] for row in found["rows"]} - {sizes["tests"]}:
        over += f" (who stops early is measured on the {min(fewer):,} that were not chosen on)"
    said.append(f"Intervals are of 95%, over {over}; {sizes['images']:,} pictures at {sizes['side']} px to train on.")
    said += [f"{code(flag)}: {meaning(flag)}." for flag in found["flags"]]
    head = ("adversary", "network", "trained on originals", "on protected", "lost")
    rows = tuple(
        (Name(row["adversary"]), Name(row["model"]), *(_interval(row[key]) for key in ("clean", "protected", "lost")))
        for row in found["rows"]
    )
    return Section(heading, said, Table("Accuracy on clean test pictures, with its 95% interval", head, rows, 2))


def _first(row: dict[str, Any]) -> str:
    return (
        f"Trained on your originals the network {code(row['model'])} gets {_interval(row['clean'], 100)} of 100 test "
        f"pictures right, trained on the protected ones {_interval(row['protected'], 100)}: {_judged(row)}."
    )


def _judged(row: dict[str, Any]) -> str:
    if row["lost"]["low"] <= 0:
        return "the measurement does not show that anything is protected"
    if row["lost"]["mean"] < LEAST_EFFECT:
        return "hardly anything is protected"
    return f"{_interval(row['lost'], 100)} fewer"


def _undone(report: dict[str, Any]) -> list[str]:
    said = []
    if (here := report["learnability"]) is not None:
        tried = [name for name in dict.fromkeys(row["adversary"] for row in here["rows"]) if name != STANDARD]
        for model, found in here["undoing"].items():
            said += _verdict(found, f"Measured here, with {code(model)}") if tried else []
    if not said:
        who = "nobody trained" if here is None else "nobody was tried but ordinary training"
        said.append(f"Measured here: {who} (`--test TEST --adversaries grayscale,jpeg` tries others).")
    known = report["records"]
    if known is None or known["found"] is None:
        return [*said, "This project's records have nothing on this method."]
    setting = known["setting"]
    counts = sorted(set(setting["seeds"].values()))
    seeds = _count(counts[0], "seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
    where = (
        f"By this project's own records, of {code(known['named'])}, {_bound(setting)}, on {setting['dataset']} with "
        f"{code(setting['model'])}, {seeds}, and not of your pictures ({' to '.join(dict.fromkeys(setting['dates']))})"
    )
    return [*said, *_verdict(known["found"], where), *_otherwise(report)]


def _bound(said: dict[str, Any]) -> str:
    """A budget in words."""
    return f"the root mean square change is within {said['eps']}" if said["norm"] == "l2" else f"eps {said['eps']}"


def _otherwise(report: dict[str, Any]) -> list[str]:
    """That the records are of another budget, where they are."""
    done, setting = report["done"], report["records"]["setting"]
    if (done["norm"], done["eps"]) == (setting["norm"], setting["eps"]):
        return []
    return [f"That is another budget than that of your pictures ({_bound(done)}): with theirs it may go otherwise."]


def _verdict(found: dict[str, Any], where: str) -> list[str]:
    base = (
        f"{where}: ordinary training gets {hundred(found['standard'])} of 100 right on protected pictures, "
        f"{hundred(found['clean'])} on originals."
    )
    undoing = Undoing(**found)
    if not undoing.hindered:
        return [f"{base} There is nothing to undo."]
    said = [f"It is undone by {_named(found['undone'])}."] if found["undone"] else []
    said += [f"It is undone in part by {_named(found['partly'])}."] if found["partly"] else []
    if not undoing.tried:
        said = ["No adversary but ordinary training was measured: who undoes it is not known."]
    elif not said:
        said = ["None of those who were tried undoes it."]
    said += [f"It stood up to {_named(found['withstood'])}."] if found["withstood"] else []
    return [base, *said]


def _named(reached: dict[str, float]) -> str:
    return ", ".join(f"{plain(name)} {hundred(accuracy)}" for name, accuracy in reached.items())


def _survival(report: dict[str, Any]) -> Section:
    heading, found = "What survives on the way", report["survival"]
    columns: list[dict[str, float]] = []
    known = (report["records"] or {}).get("survival")
    said = [
        f"Of {_count(found['pictures'], 'picture')}: how alike the change is before and after (1: the same shape) and "
        "how much of its energy is left, against the clean picture after the same operation. More than 100% is what "
        "the operation rounds differently in the two."
    ]
    head = ["operation", "alike", "energy left"]
    if known:
        named = code(report["records"]["named"])
        said.append(
            f"The last two columns are this project's own records, of {named}, "
            f"{_bound(report['records']['setting'])}, on {known['dataset']}, {_count(known['seeds'], 'seed')}, and not "
            f"of your pictures: what {code(known['model'])} reaches when it trains on pictures after the operation."
        )
        said += _otherwise(report)
        head += ["record: on originals", "record: on protected"]
        columns = [known["clean"], known["accuracy"]]
    rows = tuple(
        (row["operation"], f"{row['correlation']:.2f}", f"{row['energy']:.0%}",
         *(_accuracy(reached, row["operation"]) for reached in columns))
        for row in found["rows"]
    )  # fmt: skip
    return Section(heading, said, Table("What is left of the change", tuple(head), rows))


def _accuracy(reached: dict[str, float], operation: str) -> str:
    return f"{reached[operation]:.3f}" if operation in reached else "-"


def _origin(about: dict[str, Any]) -> list[str]:
    return [
        f"{about['date']}, {code(about['command'])}, commit {code(about['commit'])}, {hardware(about['hardware'])}, "
        f"{versions(about)}.",
        "Protecting pictures raises the cost of training, measured against these adversaries on this data, and nothing "
        "more.",
    ]


def _interval(found: dict[str, float], times: int = 1) -> str:
    form = ".0f" if times == 100 else ".3f"
    middle, low, high = (format(times * found[key], form) for key in ("mean", "low", "high"))
    return f"{middle} ({low} to {high})"


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
