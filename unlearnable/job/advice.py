"""What whoever started a job should know besides its figures: what is not as one might think, and what to do."""

from unlearnable.addresses import shown
from unlearnable.job.protecting import Summary
from unlearnable.pixels import eps_text
from unlearnable.protections import PROTECTIONS

CLASSES = {"clusters": "its classes are k-means groups of looks, not folders"}
"""By where classes come from: what to say of them, where it is no folder's name."""
_GUESSED = (
    "seed: the change follows from the method and seed 0, which anybody can try, and then take it off: give --seed a "
    "number of your own on the command line, and keep it"
)


def of_protection(done: Summary, method: str, seed: int) -> list[str]:
    """What keeps the change from protecting. method: as the job was told."""
    said = [loosely(done.loose)] if done.loose else []
    if seed == 0 and done.eps != eps_text(0.0) and follows_from_the_seed(method):
        said.append(_GUESSED)
    if done.addresses:
        said.append(
            f"addresses: the columns {', '.join(done.addresses)} were carried over and say where something lies: if "
            "that is where the originals are, take them out"
        )
    if done.grey:
        said.append(
            f"grey: {done.grey} of {done.protected} pictures have one channel and take the mean of three channels' "
            "changes, which mostly protects little: stored as RGB they take all of it, and show it as colour"
        )
    return said


def of_outputs(done: Summary, there: str, manifest: str) -> list[str]:
    """What is not protected, and where the change shows. there, manifest: what outputs and manifest are called."""
    said = []
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
    if done.showing:
        said.append(
            f"showing: on flat areas (sky, paper) of {done.showing} of {done.protected} pictures the change can be seen"
            f" ({_some(done.shown_most, done.showing)}; flat_step in {manifest}): a smaller --eps shows less, and "
            "protects less"
        )
    return said


def loosely(name: str) -> str:
    """That classes were there and could not serve, for one picture had none."""
    return (
        f"classes: {shown(name)} lies in no class folder and others do, so that the classes of all are k-means groups "
        "of looks: put every picture into one"
    )


def follows_from_the_seed(method: str) -> bool:
    """Whether a method is a closed form: no network, nothing of the pictures."""
    name = method.partition(":")[0]
    return name in PROTECTIONS and name != "random" and not PROTECTIONS[name].needs_images


def _some(names: tuple[str, ...], count: int) -> str:
    more = count - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
