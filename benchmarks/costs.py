"""What "Speed and size" of README.md says, and docs/scale.md of 10^9 photographs: from the records, nothing typed.

What ours is compared with computes in fp32: code that was written plainly for that by this project (docstrings of
`training`, `speed`, `passes`, `photos`), or its authors' (`published`). Encoder and generator are fp32 in ours too,
AR's noise is fp64; for all else ours takes the precision that the record names.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import job, photos
from benchmarks.passes import NEAR
from unlearnable.perturbation import CONFIG
from unlearnable.pixels import eps_text
from unlearnable.protections import SHIPPED

RESULTS = Path(__file__).parent / "results"
SHORT = {"torch.bfloat16": "bf16", "torch.float32": "fp32"}
PLAIN = "fp32"
"""The precision of whatever ours is compared with."""
HEAD = ("what", "ours", "against", "times", "precision: ours, theirs", "measured on")
DIRTY = "-dirty"
Record = dict[str, Any]
Line = tuple[str, ...]


def compared() -> str:
    """A table of all that was measured beside the same thing written plainly or by its authors, in one run."""
    lines = [_training(), *_authors(), *_loops(), *_sooner(), _generator(), _noise()]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|\n{rows}\n\n{_about_em()}"


def listed() -> str:
    """What has nothing beside it: speed and memory of the job and of a fit, what the eye sees, closed forms."""
    lines = [_job(), _memory(), _fitting(), *_photos(), _closed_forms(), _startup()]
    dirty = [f"`{DIRTY}`: measured with changes beside that commit."] if any(DIRTY in line for line in lines) else []
    return "\n".join(f"* {line}" for line in [*lines, *dirty])


def page() -> str:
    """How soon the page in the browser has a picture protected, and what many large ones take."""
    record = _read("ui")
    large, start = record["large"], record["start_seconds"]
    return (
        f"The first picture is protected {start['first_picture']:.0f} s after the start, the page is there after "
        f"{start['page']:.0f} s; {large['count']} pictures of {large['pixels'] / 1e6:.0f} megapixels "
        f"take {large['protect_seconds']:.0f} s and {large['peak_mb']:,} MB of memory at most ({large['idle_mb']} MB "
        f"before): {origin(record)}. `python -m benchmarks.ui` measures it again."
    )


def cost() -> str:
    """What 10^9 photographs would take, from the stages of one."""
    record = _read("photos")
    spent, many = record["stages_ms"], 10**9
    hours = {stage: many * taken / 1000 / 3600 for stage, taken in spent.items()}
    total = sum(hours.values())
    rows = "\n".join(
        f"| {stage} | {spent[stage]:.1f} ms | {hours[stage]:,.0f} | {hours[stage] / total:.0%} |" for stage in spent
    )
    networks = (hours["encoder"] + hours["generator"]) / total
    whole = record["speed"]["cpu_seconds_per_image"]
    return (
        f"| stage | one picture | core-hours for 10^9 | share |\n|---|---|---|---|\n{rows}\n"
        f"| all | {sum(spent.values()):.1f} ms | {total:,.0f} | |\n\n"
        f"{record['side']} x {record['side']} pixels, {record['method']}, {record['hardware']['processor']}; commit "
        f"`{record['commit']}`. Reading, hashing, writing and the manifest come on top: {whole * 1000:.0f} ms of "
        f"processor time a picture with them and the program's start, over {record['photos']} pictures. So 1,000 cores "
        f"would take {many * whole / 3600 / 1000:.0f} hours. A device that ran both networks for nothing would save "
        f"{networks:.0%} of the stages: cores, not GPUs, are what such a job wants."
    )


def _training() -> Line:
    """A victim's training beside the same recipe as a script would have it."""
    record = _read("training")
    plain, ours = (f"{one['seconds']:.0f} s, {one['test_acc']:.3f}" for one in (record["plain"], record["ours"]))
    what = f"training a victim ({record['dataset']}, `{record['model']}`, {record['epochs']} epochs): time, accuracy"
    return what, ours, f"the recipe as a plain script: {plain}", _times(record["times_plain"]), *_both(record)


def _authors() -> Iterator[Line]:
    """The engine beside what EM's and REM's authors published, and how alike the two are."""
    record = _read("published")
    chosen = record["chosen_here"]
    for method, rate in record["images_x_steps_per_second"].items():
        what = f"steps of {method.upper()} on ResNet-18, images x steps a second"
        against = f"{_code(record, method)}: {rate['published']:g}"
        same = f"; in {PLAIN} {record['alike']:.2%} of the values are alike" if method == "em" else ""
        yield what, f"{rate[chosen]:g}{same}", against, *_faster(rate, chosen), origin(record)


def _code(record: Record, method: str) -> str:
    about = record["code"][method]
    return f"its authors' code (`{about['repository']}`, `{about['commit']}`)"


def _faster(rate: Record, chosen: str) -> tuple[str, str]:
    """How many times the published rate, in the precision that is chosen here and in that of the other side."""
    precision = chosen.removeprefix("ours, ")
    times = _times(rate[chosen] / rate["published"])
    if precision != PLAIN:
        times += f"; {PLAIN} against {PLAIN} {rate[f'ours, {PLAIN}'] / rate['published']:.2f}"
    return times, f"{precision}, {PLAIN}"


def _loops() -> Iterator[Line]:
    """The engine beside the plain loop, as it runs here and in the loop's own precision."""
    record = _read("speed")
    chosen = record["chosen_here"]
    precision = chosen.removeprefix("ours, ")
    for method, rate in record["images_x_steps_per_second"].items():
        what, ours = f"steps of {method.upper()} on ResNet-18, images x steps a second", f"{rate[chosen]:g}"
        yield what, ours, f"the plain loop: {rate['published']:g}", *_faster(rate, chosen), origin(record)
        for name in (name for name in rate if name.startswith("bare ")):
            bare = name.removeprefix("bare ")
            against, times = f"the plain loop in {bare}: {rate[name]:g}", _times(rate[chosen] / rate[name])
            yield "the same", ours, against, times, f"{precision}, {bare.split()[0]}", origin(record)


def _sooner() -> Iterator[Line]:
    """EM's time until a victim is as badly off as after so much of the plain loop."""
    record = _read("passes")
    for one in record["times_shorter"]:
        ours = record["curves"]["ours"]
        reached = next((moment for moment in ours if moment["victim"] <= one["victim"] + NEAR), None)
        yield (
            f"EM until its victim's accuracy is {one['victim']:.3f}",
            f"{reached['seconds']:.0f} s" if reached else f"not in its {ours[-1]['passes']} passes",
            f"the plain loop, published schedule: {one['published_seconds']:.0f} s",
            _times(one["times"]) if one["times"] else "-", *_both(record),
        )  # fmt: skip


def _about_em() -> str:
    """When EM's victims were looked at, and where ours ended."""
    record = _read("passes")
    every, last = {name: curve[0]["passes"] for name, curve in record["curves"].items()}, record["curves"]["ours"][-1]
    return (
        f"EM begins with nothing and has a small CNN as surrogate; one seed. A victim was trained about every "
        f"{every['published']} passes of the plain loop and every {every['ours']} of ours; ours is there when its "
        f"victim is within {NEAR:g} of the same accuracy, or below. It ended at {last['victim']:.3f} after "
        f"{last['seconds']:.0f} s and {last['passes']} passes."
    )


def _generator() -> Line:
    """One change said by the shipped generator, its encoder included, beside the paper's generator alone."""
    record = _read("photos")
    taken, made = record["generator"], _made(record["method"])
    ours, theirs = (1000 * taken["seconds"][name] for name in ("ours", "published"))
    seen = min(made["size"], record["side"])
    return (
        f"the change of one picture of {record['side']} x {record['side']} px, alone on one thread",
        f"{ours:.0f} ms: `{record['method']}`, its encoder sees {seen} px, its generator says {made['grid']} x "
        f"{made['grid']}",
        f"the paper's generator, random weights, no encoder, at {photos.PUBLISHED} px: {theirs:,.0f} ms",
        _times(taken["times_published"]), f"fp32, {PLAIN}", origin(record),
    )  # fmt: skip


def _noise() -> Line:
    """AR's noise, in batches and as its authors make it."""
    record = _read("published")
    rates = record["ar_signals_per_second"]
    against = f"{_code(record, 'ar')}: {rates['published']:g}"
    times = _times(rates["ours"] / rates["published"])
    what = f"AR's noise, signals of {record['size']} px a second"
    return what, f"{rates['ours']:,}", against, times, f"fp64, {PLAIN}", origin(record)


def _job() -> str:
    """Speed of the job, and what is its own of it."""
    record = _read("job")
    speed = record["speed"]
    return (
        f"`protect` with `{job.METHOD}`: {speed['images_per_second']:.0f} photographs a second, of "
        f"{speed['photos']:,} crops of two (scikit-learn's), {job.PHOTO_PIXELS / 1e6:g} megapixel each. "
        f"{speed['overhead_share']:.0%} of the time is the job's own (reading, hashing, reading back, comparing, the "
        f"manifest), the rest decoding, perturbing and encoding; {speed['cpu_utilisation']:.0%} of the cores in use "
        f"({origin(record, 'no network')})."
    )


def _memory() -> str:
    """Peak memory of the job by its number of files."""
    record = _read("memory")
    width, height = record["memory"]["pictures"]
    counts = [(int(count), found["peak_mb"]) for count, found in record["memory"]["by_count"].items() if int(count)]
    peaks = ", ".join(f"{peak:.0f} MB for {count:,} files" for count, peak in counts)
    return f"Its peak memory on small crops, {width} x {height} px: {peaks} ({origin(record, 'no network')})."


def _fitting() -> str:
    """What a fit holds in memory."""
    record = _read("fitting")
    table, grown, method = record["table_mb"], record["allocated_mb"]["packed"]["grown"], record["method"]
    return (
        f"Memory of a fit, {method['iterations']} step of SEM with `{method['model']}` on {record['images']:,} images "
        f"of random bytes, 32 px: {grown:.0f} MB allocated beside the images at the end, under a cap of "
        f"{record['cap_mb']} MB, which a float32 table of perturbations ({table['float32']:.0f} MB) breaks "
        f"({origin(record, _precision(record))})."
    )


def _photos() -> Iterator[str]:
    """What `protect` does to photographs by default: speed, where the time goes, fidelity."""
    record = _read("photos")
    spent, fidelity, speed = record["stages_ms"], record["fidelity"], record["speed"]
    total, shot, networks = sum(spent.values()), fidelity["photographs"], spent["encoder"] + spent["generator"]
    parts = {
        "writing PNG": ("encode",), "encoder and generator": ("encoder", "generator"),
        "resizing and rounding the change": ("resize and release",), "reading back and comparing": ("verify",),
        "looking at flat areas": ("flat areas",), "decoding": ("decode",),
    }  # fmt: skip
    shares = ", ".join(f"{name} {sum(spent[key] for key in keys) / total:.0%}" for name, keys in parts.items())
    where, bound = origin(record, "fp32"), eps_text(_made(record["method"])["eps"])
    yield (
        f"`protect` as it is, with `{record['method']}`: {speed['images_per_second']:.1f} pictures a second of "
        f"{record['photos']} JPEGs of {record['side']} x {record['side']} px, half of them enlarged pictures of "
        f"Imagenette, half crops of scikit-learn's two; {speed['with_start_per_second']:.1f} with the program's start. "
        f"Processor time: {shares}. Encoder and generator take {networks:.0f} ms a picture there, with all cores at "
        f"work; in the table a picture is alone ({where})."
    )
    seen = "; ".join(
        f"{found['count']} {'of these' if found is shot else f'images of {name}'}: PSNR {found['psnr']:.1f} dB (lowest "
        f"{found['lowest_psnr']:.1f}), SSIM {found['ssim']:.3f} (lowest {found['lowest_ssim']:.3f})"
        for name, found in fidelity.items()
    )
    yield (
        f"What it costs the eye, at {bound}: {seen}. {shot['with_flat_areas']} of the "
        f"{shot['count']} have flat areas; on {shot['showing']} the change shows there, and `protect` says on which "
        f"([how it knows](docs/flags.md)) ({where})."
    )


def _startup() -> str:
    """How long it takes until something is said."""
    record = _read("startup")
    taken = ", ".join(f"`{name}` {seconds:.2f} s" for name, seconds in record["seconds"].items())
    return f"The program's start: {taken}, the median of {record['starts']} ({origin(record, 'no network')})."


def _closed_forms() -> str:
    """How long protections without a network take."""
    record = _read("closed_forms")
    taken = ", ".join(f"`{name}` {seconds:g} s" for name, seconds in record["seconds"].items())
    return (
        f"Without a network, {record['images']:,} images of {record['size']} px, fitted and protected: {taken} "
        f"({origin(record, 'no network')})."
    )


def origin(record: Record, *computed: str) -> str:
    """Processor, what it computed in, commit and date of a record."""
    about = record.get("provenance", record)
    hardware = about["hardware"]
    words = (hardware["processor"], f"{hardware['cores']} cores", *computed, f"`{about['commit']}`", about["date"])
    return ", ".join(words)


def _both(record: Record) -> tuple[str, str]:
    """The last two columns where ours took the precision that the record names."""
    return f"{_precision(record)}, {PLAIN}", origin(record)


def _precision(record: Record) -> str:
    return SHORT[record.get("provenance", record)["hardware"]["precision"]]


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _made(method: str) -> Record:
    """How the shipped weights of a method are applied: sizes and the bound."""
    found: Record = json.loads((SHIPPED[method] / CONFIG).read_text())["values"]
    return found


def _read(name: str) -> Record:
    found: Record = json.loads((RESULTS / f"{name}.json").read_text())
    return found
