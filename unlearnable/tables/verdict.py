"""What an evaluation says, in words that are computed from its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from unlearnable.adversaries import ADVERSARIES, STANDARD
from unlearnable.experiment import Evaluation
from unlearnable.flags import LEAST_EFFECT
from unlearnable.tables.outcomes import Outcome, outcomes
from unlearnable.tables.table import code

Kind = Literal["nothing to say", "unsettled", "not protected", "partly", "protected"]
LITTLE = 0.25  # of what a network learns above guessing: with no more left, the pictures were of little use
AGAIN = "Train longer or use more pictures, then look again."
JUDGED = {
    "protected": "Whichever adversary was tried, the protected pictures were of little use for training.",
    "partly": "The protected pictures were of less use for training than the originals, and still of some.",
    "not protected": "The protected pictures were as useful as the originals: this adversary was not stopped.",
    "unsettled": "The protected pictures seem of less use than the originals, but the measurement does not settle it.",
    "nothing to say": "Nothing can be concluded: even trained on your originals the network hardly beats guessing.",
}
CLOSING = {
    "protected": "Protecting them raises the cost of training, measured against these adversaries on this data.",
    "partly": "Protecting them raises the cost of training somewhat, measured against these adversaries on this data.",
    "not protected": "This was measured against these adversaries on this data.",
    "unsettled": AGAIN,
    "nothing to say": AGAIN,
}


@dataclass(frozen=True)
class Verdict:
    """kind: in short; sentences: the first has the numbers of the adversary that is worst for the owner."""

    kind: Kind
    worst: Outcome
    sentences: tuple[str, ...]


def verdict(evaluation: Evaluation) -> Verdict:
    """Of an evaluation. Raises ValueError where it has no rows."""
    found = outcomes(evaluation)
    trained = [outcome for outcome in found if "undertrained" not in outcome.flags]
    worst = (trained or found)[0]
    classes = evaluation.sizes.get("classes")
    guessing = 1 / classes if classes else None
    broken = "diverged" in evaluation.flags
    kind: Kind = _kind(worst, guessing, broken) if trained else "nothing to say"
    shared = worst.alone is not None and CLOSING[kind] != AGAIN
    judged = _mixed(worst) if shared else [JUDGED[kind]]
    said = [_numbers(worst, guessing), _who(worst, found), *judged, *_others(worst, found), *_cautions(worst, broken)]
    return Verdict(kind, worst, (*said, CLOSING[kind]))


def _kind(worst: Outcome, guessing: float | None, broken: bool) -> Kind:
    if worst.clean - worst.protected < LEAST_EFFECT:
        return "not protected"
    if broken:
        return "unsettled"
    if worst.alone is not None:  # the clean share taught something already: what comes on top counts
        return "protected" if worst.protected - worst.alone < LEAST_EFFECT else "partly"
    little = guessing is not None and worst.protected - guessing <= LITTLE * (worst.clean - guessing)
    return "protected" if little else "partly"


def _numbers(worst: Outcome, guessing: float | None) -> str:
    given = "the protected ones" if worst.alone is None else "the collection of which a share is protected"
    parts = [
        f"Trained on your originals a network gets {hundred(worst.clean)} of 100 test pictures right",
        f"trained on {given} {hundred(worst.protected)}",
        *([] if worst.alone is None else [f"on its unprotected share alone {hundred(worst.alone)}"]),
        *([] if guessing is None else [f"guessing gives {hundred(guessing)}"]),
    ]
    return "; ".join(parts) + "."


def _who(worst: Outcome, found: Sequence[Outcome]) -> str:
    who = f"{plain(worst.adversary)}, with the network {code(worst.model)}"
    if len(found) == 1:
        return f"The only adversary tried was {who}."
    adversaries, models = ({getattr(outcome, name) for outcome in found} for name in ("adversary", "model"))
    tried = (
        f"{_counted(len(adversaries), 'adversary', 'adversaries')} and {_counted(len(models), 'network', 'networks')}"
    )
    said = f"Of {tried} tried, the one that got most out of the protected pictures was {who}."
    usual = next((outcome for outcome in found if outcome.adversary == STANDARD and outcome is not worst), None)
    if usual is None or worst.adversary == STANDARD:
        return said
    numbers = f"{hundred(usual.clean)} on your originals and {hundred(usual.protected)} on the protected ones"
    return f"{said} With ordinary training it is {numbers}."


def _mixed(worst: Outcome) -> list[str]:
    """Where a share was protected, two things count: what it added, and what the whole is still worth."""
    added = worst.alone is not None and worst.protected - worst.alone >= LEAST_EFFECT
    what = "still added to" if added else "added next to nothing to"
    said = [f"The protected pictures {what} what the unprotected ones teach alone."]
    whole = "The collection as a whole was as useful for training as your originals."
    return [*said, *([whole] if worst.clean - worst.protected < LEAST_EFFECT else [])]


def _others(worst: Outcome, found: Sequence[Outcome]) -> list[str]:
    """Who else was not stopped, and of whom nothing can be said."""
    rest = [outcome for outcome in found if outcome is not worst]
    unknown = [_named(outcome) for outcome in rest if "undertrained" in outcome.flags]
    free = [_named(o) for o in rest if "no-effect" in o.flags and "undertrained" not in o.flags and o.alone is None]
    either = " either" if "no-effect" in worst.flags else ""
    said = [f"Nothing was protected against {', '.join(free)}{either}."] if free else []
    if unknown and "undertrained" not in worst.flags:
        said += [f"Nothing can be said of {', '.join(unknown)}: hardly better than guessing on your originals too."]
    return said


def _cautions(worst: Outcome, broken: bool) -> list[str]:
    best = hundred(worst.mean("best_protected_acc"))
    said = {
        "peak-differs": f"Stopping at the best epoch, the adversary would have got {best} of 100.",
        "not-learned": "It had not fitted the protected pictures when training ended: longer training may change this.",
    }
    failed = "In at least one run training broke down: a low number may be that failure and not the protection."
    return [said[flag] for flag in said if flag in worst.flags] + ([failed] if broken else [])


def _counted(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _named(outcome: Outcome) -> str:
    return f"{code(outcome.adversary)} with {code(outcome.model)}"


def plain(adversary: str) -> str:
    """ "JPEG compression (`jpeg:10`)": what an adversary does, and its name."""
    names = [word.partition(":")[0] for word in adversary.split("+")]
    if not ADVERSARIES.keys() >= set(names):
        return code(adversary)
    return f"{' and '.join(ADVERSARIES[name].plain for name in names)} ({code(adversary)})"


def hundred(share: float) -> str:
    """0.684 as 68."""
    return f"{100 * share:.0f}"
