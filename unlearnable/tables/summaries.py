"""summary: every record in tables, one for each data set, model, adversary, rate and labelling."""

from collections.abc import Sequence
from statistics import mean

from unlearnable.adversaries import stops_early
from unlearnable.experiment import CLEAN, Result
from unlearnable.tables.records import (
    Groups,
    Setting,
    accuracies,
    by_cell,
    doubted,
    grouped,
    label,
    seedless,
    spread,
)
from unlearnable.tables.table import Name, Table

LAST = "accuracy, last epoch"
WHERE_MEASURED = ("stopped early", "separable", "detected")  # columns that are left out where no record has them


def summary(records: Sequence[Result]) -> str:
    """Markdown tables: mean and spread over seeds of the last and the best epoch, with the controls among the rows.

    Where it was recorded also what stopping early keeps, and how well two probes tell the protection apart.
    """
    return "\n\n".join(table.markdown for table in summaries(records))


def summaries(records: Sequence[Result]) -> list[Table]:
    """The same as tables."""
    every = by_cell(records)
    settings = grouped(records, lambda record: (Setting.of(record.cell), record.cell.adversary))
    ordered = sorted(settings.items(), key=lambda item: (item[0][0].order, item[0][1]))
    return [_table(setting.words(adversary), by_cell(found), every) for (setting, adversary), found in ordered]


def _table(caption: str, groups: Groups, every: Groups) -> Table:
    ordered = sorted(groups.items(), key=lambda row: (row[0].protection != CLEAN, mean(accuracies(row[1]))))
    lines = [{"protection": Name(label(cell)), **_numbers(found, every)} for cell, found in ordered]
    used = [name for name in lines[0] if name not in WHERE_MEASURED or any(line[name] != "-" for line in lines)]
    return Table(caption, tuple(used), tuple(tuple(line[name] for name in used) for line in lines))


def _numbers(records: Sequence[Result], every: Groups) -> dict[str, str]:
    """The columns of one row."""
    chooses = stops_early(records[0].cell.adversary)
    flags = doubted(records, every.get(seedless(records[0].cell.control), ()))
    early = [record.early_acc for record in records if record.early_acc is not None]
    return {
        "accuracy, chosen epoch" if chooses else LAST: spread(accuracies(records)),
        "stopped early": spread(early) + _of(early, records) if early and not chooses else "-",
        "best epoch": spread([max(record.test_acc) for record in records]),
        "on training batches": spread([record.train_acc[-1] for record in records]),
        "max change": _largest(records),
        "PSNR": _measured(records, "psnr", "{:.1f} dB"),
        "separable": _measured(records, "separability", "{:.3f}"),
        "detected": _measured(records, "detection", "{:.3f}"),
        "seeds": str(len(records)),
        "flags": ", ".join(flags) or "-",
    }


def _largest(records: Sequence[Result]) -> str:
    changes = [record.measured["max_abs_delta"] for record in records if "max_abs_delta" in record.measured]
    return f"{max(changes):.0f} levels" if changes and records[0].cell.protection != CLEAN else "-"


def _measured(records: Sequence[Result], name: str, form: str) -> str:
    """The mean of what was measured besides accuracy; "-" where it was not."""
    values = [record.measured[name] for record in records if name in record.measured]
    return form.format(mean(values)) + _of(values, records) if values else "-"


def _of(values: Sequence[float], records: Sequence[Result]) -> str:
    """Of how many seeds, where not of all."""
    return "" if len(values) == len(records) else f" ({len(values)} of {len(records)})"
