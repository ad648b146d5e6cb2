"""A fitted protection as one thing to keep and pass on, in the style of the Hugging Face hub's mix-in: a folder of
safetensors and JSON, with a model card of the numbers at hand. Local folders; the hub only where its name is asked for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

import unlearnable.protections  # noqa: F401 - what each of them fits becomes known to `perturbation.load`
from unlearnable import __version__
from unlearnable import perturbation as perturbations
from unlearnable.data import ImageSet
from unlearnable.extras import imported
from unlearnable.messages import in_words
from unlearnable.perturbation import Perturbation
from unlearnable.pixels import unpack
from unlearnable.run import Run, write_atomically

HUB = "hf://"
CARD = "README.md"
_FILES = [perturbations.CONFIG, perturbations.WEIGHTS, CARD]


@dataclass(frozen=True, eq=False)
class FittedProtection:
    """What `fit` made. config: what is known of how: method, budget, seed, classes."""

    perturbation: Perturbation
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, revision: str | None = None, local_files_only: bool = False
    ) -> "FittedProtection":
        """What `fit` or `save_pretrained` wrote into a folder; or hf://owner/name from the hub, at a revision, and with
        local_files_only from its cache alone. Raises ValueError where there is none that can be read."""
        if not str(folder).startswith(HUB):
            return cls(*perturbations.load(Path(folder)))
        hub, name = _hub(str(folder)), str(folder).removeprefix(HUB)
        try:
            found = hub.snapshot_download(
                name, revision=revision, allow_patterns=_FILES, local_files_only=local_files_only
            )
        except Exception as error:  # the hub's own classes for what is missing, private or out of reach
            raise ValueError(f"{folder!r} cannot be had from the hub: {in_words(error)}") from error
        return cls(*perturbations.load(Path(found)))

    def save_pretrained(
        self, folder: str | Path, *, evaluation: Mapping[str, Any] | None = None, push_to: str | None = None,
        public: bool = False,
    ) -> Path:  # fmt: skip
        """Writes config.json, perturbation.safetensors and README.md, the model card.

        evaluation: what `evaluate --json` answered, for the card. push_to: hf://owner/name, where the folder is sent as
        well, once it is sure that others cannot see it there: with it they take the protection off. public: they may.
        Nothing is sent otherwise. Raises ValueError where `push_to` is no such name or the hub does not take it.
        """
        hub, place = None if push_to is None else _hub(push_to), Path(folder)
        about = {name: value for name, value in self.config.items() if name not in ("kind", "values")}
        perturbations.save(place, self.perturbation, about)
        write_card(place, evaluation)
        if hub is not None and push_to is not None:
            _push(hub, push_to, place, public)
        return place

    def protect(self, data: ImageSet, run: Run | None = None) -> ImageSet:
        """The images protected within the budget that it was fitted for."""
        return perturbations.apply(self.perturbation, data, perturbations.budget_of(self.config), run or Run())


def _push(hub: Any, address: str, folder: Path, public: bool) -> None:
    name = address.removeprefix(HUB)
    try:
        hub.create_repo(name, exist_ok=True, private=True)  # one that is there stays as public as it was
        sent = public or hub.repo_info(name).private
        if sent:
            hub.upload_folder(repo_id=name, folder_path=folder, allow_patterns=_FILES)
    except Exception as error:
        raise ValueError(f"{address!r} did not take it: {in_words(error)}") from error
    if not sent:
        raise ValueError(
            f"{address!r} is public, and with what was fitted anybody takes the protection off: name a private one, or "
            "say public=True"
        )


def write_card(folder: Path, evaluation: Mapping[str, Any] | None = None) -> None:
    """README.md of what `perturbation.save` wrote there."""
    perturbation, config = perturbations.load(folder)
    write_atomically(folder / CARD, card(perturbation, config, evaluation).encode())


def card(perturbation: Perturbation, config: Mapping[str, Any], evaluation: Mapping[str, Any] | None = None) -> str:
    """The model card: what it is, how it was made, what was measured, what it does not do."""
    described = dict(config.get("protection", {}))
    name, budget = described.pop("name", "unknown"), perturbations.budget_of(config)
    described.pop("budget", None)
    settings = "".join(f"| `{key}` | `{value}` |\n" for key, value in described.items())
    named = len(config.get("classes", ()))
    facts = {
        "method": f"`{name}` of `unlearnable` {__version__}",
        "budget": f"{budget.norm}, eps {budget}",
        "fitted to": f"{named} classes, from {config.get('labels')}" if named else "pictures without classes",
        "kind": f"`{type(perturbation).__name__}`, working size {perturbation.size} pixels",
        **_measured(perturbation),
    }
    rows = "".join(f"| {key} | {value} |\n" for key, value in facts.items())
    text = _HEAD.format(name=name, facts=rows, settings=settings)
    return text + _evaluated(evaluation) + _LIMITS


def _measured(perturbation: Perturbation) -> dict[str, str]:
    """What can be measured without pictures: how much there is of it, and how large a change is."""
    values = vars(perturbation).values() if hasattr(perturbation, "__dict__") else ()
    tensors = [value for value in values if isinstance(value, Tensor)]
    tensors += [
        part for value in values if isinstance(value, dict) for part in value.values() if isinstance(part, Tensor)
    ]
    found = {"size": f"{sum(t.numel() for t in tensors):,} values"}
    delta = getattr(perturbation, "delta", None)
    if not isinstance(delta, Tensor) or not delta.numel():
        return found
    most, squares = 0.0, 0.0
    for part in delta.split(256):
        change = unpack(part, getattr(perturbation, "unit", 1.0))
        most, squares = max(most, float(change.abs().max())), squares + float(change.double().square().sum())
    rms = math.sqrt(squares / delta.numel())
    found["largest change"] = f"{most:.4f} of the range of a value, before rounding"
    if rms:
        found["PSNR of the change alone"] = f"{-20 * math.log10(rms):.2f} dB, before rounding and clipping"
    return found


def _evaluated(evaluation: Mapping[str, Any] | None) -> str:
    if evaluation is None or not evaluation.get("rows"):
        return _UNMEASURED
    grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in evaluation["rows"]:
        grouped.setdefault((row["adversary"], row["model"]), []).append(row)
    lines = [
        f"| {adversary} | {model} | {len(rows)} | {_mean(rows, 'clean_acc')} | {_mean(rows, 'protected_acc')} |"
        for (adversary, model), rows in grouped.items()
    ]
    flags = ", ".join(evaluation.get("flags", ())) or "none"
    return _TABLE.format(rows="\n".join(lines), flags=flags)


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> str:
    return f"{sum(row[key] for row in rows) / len(rows):.3f}"


def _hub(name: str) -> Any:
    if not name.startswith(HUB) or name.removeprefix(HUB).count("/") != 1:
        raise ValueError(f"a name of the hub is hf://owner/name, got {name!r}")
    return imported("huggingface_hub", "the hub", "hub")


_HEAD = """\
---
library_name: unlearnable
tags: [unlearnable-examples, image-privacy]
---
# {name}: a fitted protection

A change for pictures that makes training on them cost more. `unlearnable protect SRC DST --method FOLDER` uses it.

| | |
|---|---|
{facts}
| setting | value |
|---|---|
{settings}"""
_UNMEASURED = """
## Measured

How well it protects was not measured for this card. `unlearnable evaluate CLEAN PROTECTED TEST --json` measures it.
"""
_TABLE = """
## Measured

Accuracy on clean test pictures after training on clean and on protected ones, mean of the seeds; lower protects better:

| adversary | network | seeds | clean | protected |
|---|---|---|---|---|
{rows}

What to doubt (see the documentation of `unlearnable`): {flags}.
"""
_LIMITS = """
## What it does not do

* It raises the cost of training. It does not make training impossible, and does nothing to models that exist already.
* Other adversaries than those above were not measured; those who clean pictures first get more out of them.
* Whoever has this folder can take the change off again, nearly or wholly. Keep it apart from the protected pictures.
"""
