"""What a job is told besides its figures: what is not as one might think, and what to do."""

from pathlib import Path
from typing import TYPE_CHECKING

from unlearnable.addresses import shown

if TYPE_CHECKING:
    from unlearnable.job import Summary

GUESSED = (
    "seed: the change follows from the method and --seed 0, which anybody can try, and then take it off: give --seed a "
    "number of your own and keep it\n"
)


def follows_from_the_seed(method: str) -> bool:
    """Whether a method is a closed form: no network, nothing of the pictures."""
    from unlearnable.protections import PROTECTIONS

    name = method.partition(":")[0]
    return name in PROTECTIONS and name != "random" and not PROTECTIONS[name].needs_images


def draws_networks(method: str) -> bool:
    """Whether a method that is not fitted yet is for networks that are to be drawn."""
    from unlearnable.protections import PROTECTIONS, protection
    from unlearnable.training import Handing

    return method.partition(":")[0] in PROTECTIONS and isinstance(protection(method), Handing)


def for_whom(fitted: Path) -> str:
    """Where the bundles of networks lie that were drawn for a fit."""
    found = [shown(str(path)) for path in sorted(fitted.glob("authorised-*"))]
    if not found:
        return ""
    return f"\nfor networks that may learn, whose bundles are {', '.join(found)}: whoever has one may; publish none"


def loosely(name: str) -> str:
    """That classes were there and could not serve, for one picture had none."""
    return (
        f"classes: {shown(name)} lies in no class folder and others do, so that the classes of all are k-means groups "
        "of looks: put every picture into one"
    )


def advice(done: "Summary", there: str, manifest: str) -> list[str]:
    """What is not protected, where the change shows, which pictures cannot hold it, and what to do."""
    said = [loosely(done.loose)] if done.loose else []
    if done.unchanged == done.protected > 0:
        said.append(f"nothing changed: the pictures in {there} are as they were: take a larger --eps, or fit anew")
    elif done.unchanged:
        said.append(
            f"unchanged: {done.unchanged} of {done.protected} pictures are as they were in every pixel: not protected"
            f" ({_some(done.unchanged_named, done.unchanged)}): take a larger --eps, or keep them back"
        )
    if done.strange:
        said.append(
            f"strange: {there} holds pictures that this job did not write, nothing says that "
            f"they are protected ({_some(done.strange_named, done.strange)}): move them away"
        )
    if done.addresses:
        said.append(
            f"addresses: the columns {', '.join(done.addresses)} were carried over and say where something lies: if "
            "that is where the originals are, take them out"
        )
    if done.showing:
        said.append(
            f"showing: on flat areas (sky, paper) of {done.showing} of {done.protected} pictures the change can be seen"
            f" ({_some(done.shown_most, done.showing)}; flat_step in {manifest}): a smaller --eps shows less, and "
            "protects less"
        )
    if done.grey:
        said.append(
            f"grey: {done.grey} of {done.protected} pictures have one channel and take the mean of three channels' "
            "changes, which mostly protects little: stored as RGB they take all of it, and show it as colour"
        )
    return said


def _some(names: tuple[str, ...], count: int) -> str:
    more = count - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
