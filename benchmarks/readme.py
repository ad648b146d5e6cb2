"""Fills the tables of README.md and docs from the records: `python -m benchmarks.readme` (`--check` only compares)."""

import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import authorised, commands, measured, methods, scenarios, tests, universal
from benchmarks.known import known
from benchmarks.methods import where
from unlearnable import suites, tables
from unlearnable.experiment import CLEAN, Result
from unlearnable.proof.undoing import RECORDS
from unlearnable.protections import PROTECTIONS

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def accuracy() -> str:
    """The main suite, and where it was measured."""
    records = tables.read(RESULTS / "quick", suites.cells("main", "quick"))
    return (
        tables.summary(records)
        + f"\n\nMean ± standard deviation over seeds; {where(records)}. Fitting took {_minutes(records)} on one "
        + "thread; the others take seconds.\n"
        + "`unlearnable bench main --out benchmarks/results/quick` measures it again; "
        + "[flags](docs/flags.md) say what to doubt."
    )


def robust() -> str:
    """The suite of adversarial training."""
    records = tables.read(RESULTS / "quick", suites.cells("robust", "quick"))
    return f"{tables.summary(records)}\n\n`unlearnable bench robust` measures it again; {where(records)}."


def _minutes(records: Sequence[Result]) -> str:
    """The longest fit of every protection that took a minute or more."""
    longest: dict[str, float] = {}
    for record in records:
        name = record.cell.protection
        longest[name] = max(longest.get(name, 0.0), record.measured.get("fit_seconds", 0.0) / 60)
    return ", ".join(f"`{name}` {taken:.0f} min" for name, taken in longest.items() if taken >= 1)


def matrix() -> str:
    """Every adversary against every protection, and where the page with the figures lies."""
    listed = suites.cells("matrix", "quick")
    (grid,) = tables.matrix(tables.read(RESULTS / "quick", listed), listed)
    return (
        f"![{grid.caption}: adversaries by protections](docs/results/matrix-1.svg)\n\n"
        + tables.worst(grid).markdown
        + "\n\n[All numbers](docs/results/tables.md), [accuracy by epoch](docs/results/curves-1.svg), "
        + "[how to read them](docs/reading-results.md). `unlearnable bench matrix` measures them again, "
        + "`unlearnable tables benchmarks/results/quick --suite matrix --out page/` draws the page."
    )


def training() -> str:
    """A victim's training beside the same recipe written plainly."""
    record = json.loads((RESULTS / "training.json").read_text())
    plain, ours = record["plain"], record["ours"]
    return (
        f"* Training of a victim ({record['dataset']}, {record['model']}, {record['epochs']} epochs) in one run: "
        f"{ours['seconds']:.0f} s and {ours['test_acc']:.3f}; the same recipe written plainly {plain['seconds']:.0f} s "
        f"and {plain['test_acc']:.3f}: {record['times_plain']} times its images a second."
    )


def job() -> str:
    """The main job on photographs: overhead, use of the processor, memory."""
    record = json.loads((RESULTS / "job.json").read_text())
    speed, memory = record["speed"], json.loads((RESULTS / "memory.json").read_text())["memory"]
    counts = [(int(count), found["peak_mb"]) for count, found in memory["by_count"].items() if int(count)]
    peaks = ", ".join(f"{peak:.0f} MB for {count:,} files" for count, peak in counts)
    return (
        f"* {speed['photos']:,} photographs of 0.2 megapixel with `lsp` on {record['hardware']['cores']} cores: "
        f"{speed['images_per_second']:.0f} a second. {speed['overhead_share']:.0%} of the time is the job's own "
        f"(reading, hashing, reading back, comparing, the manifest), the rest decoding, perturbing and encoding; "
        f"{speed['cpu_utilisation']:.0%} of the cores in use.\n* Peak memory: {peaks}.\n{_fitting()}"
    )


def _fitting() -> str:
    """What a fit holds in memory."""
    record = json.loads((RESULTS / "fitting.json").read_text())
    table, grown = record["table_mb"], record["allocated_mb"]["packed"]["grown"]
    return (
        f"* Fitting {record['images']:,} images of 32 px: {grown:.0f} MB allocated beside the images at the end, under "
        f"a cap of {record['cap_mb']} MB, which a float32 table of perturbations ({table['float32']:.0f} MB) breaks."
    )


def speed() -> str:
    """The engine beside the published loops."""
    record = json.loads((RESULTS / "speed.json").read_text())
    rates, times, chosen = record["images_x_steps_per_second"], record["times_published"], record["chosen_here"]
    listed = "; ".join(
        f"{method.upper()} {rate[chosen]:g} against {rate['published']:g}, {times[method]} times"
        for method, rate in rates.items()
    )
    native = "has" if record["native_bf16"] else "has no"
    bare = rates["em"]["bare bf16 channels-last"]
    return (
        f"* Inner loops on ResNet-18, images x steps a second beside the published loop, in one run: {listed}. This "
        f"processor {native} bf16 arithmetic, so the engine takes `{chosen}`; a bare EM loop in bf16 runs at {bare:g}."
    )


def passes() -> str:
    """EM's time to the same victim."""
    record = json.loads((RESULTS / "passes.json").read_text())
    told = "; ".join(
        f"{one['victim']:.3f} after {one['published_seconds']:.0f} s, "
        + (f"ours {one['times']:g} times sooner" if one["times"] else "which ours did not reach")
        for one in record["times_shorter"]
    )
    last = record["curves"]["ours"][-1]
    return (
        "* EM from nothing, small CNN as surrogate, in one run of one seed: the published loop and schedule leave the "
        f"victim at {told}. Ours ends at {last['victim']:.3f} after {last['seconds']:.0f} s and {last['passes']} "
        "passes; seeds differ by some 0.03."
    )


def photos() -> str:
    """What `protect` does to photographs by default: speed, where the time goes, fidelity."""
    record = json.loads((RESULTS / "photos.json").read_text())
    spent, generator, fidelity = record["stages_ms"], record["generator"], record["fidelity"]
    total, shot = sum(spent.values()), fidelity["photographs"]
    parts = {
        "encoder and generator": ("encoder", "generator"), "decoding": ("decode",), "writing PNG": ("encode",),
        "reading back and comparing": ("verify",), "looking at flat areas": ("flat areas",),
    }  # fmt: skip
    shares = ", ".join(f"{name} {sum(spent[key] for key in keys) / total:.0%}" for name, keys in parts.items())
    seen = "; ".join(
        f"{found['count']} {name if found is shot else f'images of {name}'}: PSNR {found['psnr']:.1f} dB (lowest "
        f"{found['lowest_psnr']:.1f}), SSIM {found['ssim']:.3f} (lowest {found['lowest_ssim']:.3f})"
        for name, found in fidelity.items()
    )
    return (
        f"* {record['photos']} photographs of {record['side']} x {record['side']} pixels with `{record['method']}` on "
        f"{record['hardware']['cores']} cores: {record['speed']['images_per_second']:.1f} a second, from JPEG to a PNG "
        f"that was read back. Processor time: {shares}. Encoder and generator take "
        f"{1000 * generator['seconds']['ours']:.0f} ms an image on one core, the paper's generator alone "
        f"{generator['seconds']['published']:.1f} s: {generator['times_published']:.0f} times faster.\n"
        f"* What it costs the eye, at 8/255: {seen}. {shot['with_flat_areas']} of these photographs have flat areas; "
        f"on {shot['showing']} the change shows there, and `protect` says on which ([how it knows](docs/flags.md))."
    )


def cost() -> str:
    """What 10^9 photographs would take, from the stages of one."""
    record = json.loads((RESULTS / "photos.json").read_text())
    spent, many = record["stages_ms"], 10**9
    hours = {stage: many * taken / 1000 / 3600 for stage, taken in spent.items()}
    total = sum(hours.values())
    rows = "\n".join(
        f"| {stage} | {spent[stage]:.1f} ms | {hours[stage]:,.0f} | {hours[stage] / total:.0%} |" for stage in spent
    )
    networks = (hours["encoder"] + hours["generator"]) / total
    return (
        f"| stage | one picture | core-hours for 10^9 | share |\n|---|---|---|---|\n{rows}\n"
        f"| all | {sum(spent.values()):.1f} ms | {total:,.0f} | |\n\n"
        f"{record['side']} x {record['side']} pixels, {record['method']}, {record['hardware']['processor']}; commit "
        f"`{record['commit']}`. On 1,000 cores that is {total / 1000:.0f} hours. A device that ran both networks for "
        f"nothing would save {networks:.0%}: cores, not GPUs, are what such a job wants. Reading, hashing, writing and "
        f"the manifest come on top: {record['speed']['cpu_seconds_per_image'] * 1000:.0f} ms of processor time a "
        f"picture with them and the program's start, over {record['photos']} pictures."
    )


def closed_forms() -> str:
    """How long protections without a network take."""
    record = json.loads((RESULTS / "closed_forms.json").read_text())
    rates = record["ar_signals_per_second"]
    taken = ", ".join(f"`{name}` {seconds:g} s" for name, seconds in record["seconds"].items())
    return (
        f"* Without a network, {record['images']:,} images of {record['size']} px, fitted and protected: {taken}. AR's "
        f"noise is made {rates['ours'] / rates['published']:.0f} times as fast as by the published loop."
    )


def survival() -> str:
    """What a victim learns from pictures that were compressed, resized or blurred on their way."""
    record = json.loads((RESULTS / "survival.json").read_text())
    every = record["methods"]
    clean, found = (
        every[CLEAN],
        {name: one for name, one in every.items() if name != CLEAN and any(one["accuracy"].values())},
    )
    head = [
        "operation",
        "originals",
        *(f"`{name}` {what}" for name in found for what in ("accuracy", "alike", "energy")),
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for operation in clean["accuracy"]:
        cells = [operation, _spread(clean, operation)]
        for one in found.values():
            left = next((row for row in one["left"] if row["operation"] == operation), None)
            kept = [f"{left['correlation']:.2f}", f"{left['energy']:.0%}"] if left else ["-", "-"]
            cells += [_spread(one, operation), *kept]
        lines.append(f"| {' | '.join(cells)} |")
    measured = (clean, *found.values())
    counts = sorted({len(values) for one in measured for values in one["accuracy"].values() if values})
    commits = ", ".join(sorted({f"`{one['provenance']['commit']}`" for one in measured}))
    about = clean["provenance"]
    return (
        "\n".join(lines)
        + f"\n\n{record['dataset']}, `{record['model']}`, {record['epochs']} epochs, "
        + f"seeds: {' or '.join(map(str, counts))}; commit {commits}, {about['hardware']['processor']}, "
        + f"{about['date']}."
    )


def _spread(found: dict[str, Any], operation: str) -> str:
    """The accuracies after an operation; "-" where it was not measured."""
    reached = found["accuracy"].get(operation)
    return tables.spread(reached) if reached else "-"


def tests_taken() -> str:
    """How long the tests take."""
    path = RESULTS / "tests.json"
    if not path.exists():
        return "Not timed yet: `python -m benchmarks.tests test` does it."
    return tests.sentence(json.loads(path.read_text()))


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {
        "accuracy": accuracy, "robust": robust, "matrix": matrix, "training": training, "job": job, "photos": photos,
        "speed": speed, "passes": passes, "closed forms": closed_forms,
        "universal": partial(universal.table, RESULTS / "quick", "universal"), "tests": tests_taken,
        "serving": methods.serving,
    },
    "docs/cli.md": {"commands": commands.page},
    "docs/protections.md": {"protections": methods.overview},
    "docs/measured.md": {"suites": measured.page},
    "docs/scale.md": {"cost": cost},
    "docs/federated.md": {"together": partial(scenarios.text, "together")},
    "docs/authorise.md": {name: partial(scenarios.text, name) for name in ("release", "transmission")},
    "docs/report.md": {"survival": survival},
    **{f"docs/{name}.md": {"measured": partial(methods.measured, name)} for name in PROTECTIONS},
}  # fmt: skip
PAGES |= {f"docs/adversaries/{name}.md": {"measured": partial(methods.against, name)} for name in ("dvae", "purify")}
PAGES["docs/uge.md"]["authorised"] = partial(authorised.table, RESULTS / "quick")


def filled(name: str) -> tuple[str, str]:
    """A page as it is, and with everything between <!-- NAME --> and <!-- end --> made anew."""
    before = text = (ROOT / name).read_text()
    for mark, part in PAGES[name].items():
        pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = pattern.subn(lambda found, part=part: found[1] + part() + "\n" + found[2], text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"{name} must hold <!-- {mark} --> ... <!-- end --> once, found {count}")
    return before, text


def drawn() -> None:
    """The matrix as heat map, curves and table in docs/results."""
    listed = suites.cells("matrix", "quick")
    records = tables.read(RESULTS / "quick", listed)
    folder = ROOT / "docs" / "results"
    folder.mkdir(exist_ok=True)
    for name, text in tables.figures(records, listed).items():
        (folder / f"{name}.svg").write_text(text)
    (folder / "tables.md").write_text(f"# The matrix\n\n{tables.render(RESULTS / 'quick', listed)}\n")


def main() -> int:
    """Writes README.md and the pages, or with --check says whether they are what the records give."""
    checks = "--check" in sys.argv
    if not checks:
        drawn()
    pages = {name: filled(name) for name in PAGES}
    if checks:
        return int(any(before != after for before, after in pages.values()) or RECORDS.read_text() != known(RESULTS))
    RECORDS.write_text(known(RESULTS))
    for name, (_, after) in pages.items():
        (ROOT / name).write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
