"""authorise: bundles of a network that may learn, written, signed, verified and trained from."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import Namespace

from unlearnable.cli import releasing
from unlearnable.cli.answer import Answer
from unlearnable.cli.parsing import Parser, UsageError, nearest, track_flag
from unlearnable.messages import printable

if TYPE_CHECKING:
    from unlearnable.authorisation import Trained, Verified
    from unlearnable.run import Run

Augment = Literal["crop_flip", "crop", "contrastive", "none"]
PROTECTED = "the protected pictures, one folder for each class"
TEST = "other pictures of the same classes, not protected"
PUBLIC = "the public key of whom you trust; ask them for it, not the bundle"


@dataclass(frozen=True)
class Action:
    """What follows `authorise`: flags adds its own, work does it."""

    about: str
    flags: Callable[[Parser], None]
    work: Callable[[Namespace, "Run"], Answer]


def authorise_flags(parser: Parser, first: str) -> None:
    """Those of the action that was typed first."""
    actions = ", ".join(f"{name} ({action.about})" for name, action in ACTIONS.items())
    if first in ACTIONS:
        parser.add_argument("action", metavar=first, type=str, help=ACTIONS[first].about)
        ACTIONS[first].flags(parser)
    elif first in ("-h", "--help"):
        parser.add_argument("action", metavar="ACTION", type=str, help=f"{actions}; authorise ACTION --help says more")
    elif not first or first.startswith("-"):
        raise UsageError(f"authorise begins with one of {', '.join(ACTIONS)}: unlearnable authorise ACTION ...")
    else:
        raise UsageError(f"unknown action {first!r} of authorise: {nearest(first, list(ACTIONS))}")


def authorise(args: Namespace, run: "Run") -> Answer:
    """Does what was typed first."""
    return ACTIONS[args.action].work(args, run)


def _create_flags(parser: Parser) -> None:
    from unlearnable.training import Recipe
    from unlearnable.training.authorised import BARRED

    parser.add_argument("bundle", metavar="BUNDLE", type=str, help="a new folder")
    parser.add_argument(
        "--classes", type=str, required=True, metavar="N|FOLDER", help="their number, or a labelled collection"
    )
    parser.add_argument("--size", type=int, help="side of the images; that of FOLDER's, 64 at most, or 32")
    parser.add_argument("--weights", type=str, metavar="FILE", help="initial weights (safetensors), else by --seed")
    parser.add_argument("--blind", action="store_true", help="for uge:blind: weights that do not see one colour")
    parser.add_argument("--which", type=int, default=0, metavar="N", help="of several networks with one --seed")
    parser.add_argument("--augment", type=Augment, default="crop_flip", help="what is done to every batch")
    parser.add_argument("--lr", type=float, help="the peak learning rate; that which suits the model")
    parser.add_class_arguments(Recipe, skip={"augment", "lr", *BARRED})


def _create(args: Namespace, run: "Run") -> Answer:
    from unlearnable.data import labelled_as
    from unlearnable.training import Authorised, Contrastive, CropFlip, Handed, Recipe
    from unlearnable.training.authorised import NUMBERS

    choices = {"crop_flip": (CropFlip(),), "crop": (CropFlip(flip=False),), "contrastive": (Contrastive(),), "none": ()}
    numbers = {name: args[name] for name in NUMBERS if args[name] is not None}
    weights = args.weights and Path(args.weights)
    recipe = replace(Recipe.usual(args.model), augment=choices[args.augment], init=weights, **numbers)
    if args.weights is None:
        recipe = recipe.having(Handed("blind" if args.blind else "plain", args.which))
    elif args.blind or args.which:
        raise UsageError("--blind and --which choose the weights that --seed gives: leave out --weights, or them")
    classes, size = (
        (int(args.classes), 32) if args.classes.isdecimal() else labelled_as(Path(args.classes), "--classes")
    )
    seed = secrets.randbits(63) if args.seed is None else run.seed  # whoever guesses it has the weights
    made = Authorised.drawn(recipe, classes, size if args.size is None else args.size, seed)
    made.write(Path(args.bundle))
    said = {"bundle": args.bundle} | made.as_json() | {"seed": args.seed}  # one that was drawn is said nowhere
    begun = "a seed that the bundle alone holds" if args.seed is None else f"seed {args.seed}"
    text = f"{args.bundle}: {made.recipe.model} for {made.count} classes of {made.size} pixels, {begun}"
    return Answer(said, f"{text}; to sign it: unlearnable authorise sign")


def _key_flags(parser: Parser) -> None:
    parser.add_argument("key", metavar="KEY.pem", type=str, help="a new file; the public key goes beside it, KEY.pub")


def _key(args: Namespace, run: "Run") -> Answer:
    from unlearnable import authorisation

    public, fingerprint = authorisation.make_key(Path(args.key))
    said = {"private": args.key, "public": str(public), "fingerprint": fingerprint}
    return Answer(said, f"keep {args.key} to yourself, give {public} away; its fingerprint is {fingerprint}")


def _sign_flags(parser: Parser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", type=str, help="a folder that authorise create wrote")
    parser.add_argument("protected", metavar="PROTECTED", type=str, help=PROTECTED)
    parser.add_argument("--key", type=str, required=True, metavar="KEY.pem", help="your Ed25519 private key")
    parser.add_argument("--policy", type=str, metavar="FILE", help="a text: what may be done with the pictures")
    parser.add_argument("--test", type=str, help=f"{TEST}: the accuracy there is measured and signed")
    parser.add_argument("--overwrite", action="store_true", help="replace the signature that the bundle has")


def _sign(args: Namespace, run: "Run") -> Answer:
    from unlearnable import authorisation

    done = authorisation.sign(
        Path(args.bundle), Path(args.protected), Path(args.key), run, args.policy and Path(args.policy),
        args.test and Path(args.test), args.overwrite,
    )  # fmt: skip
    said = {"bundle": args.bundle, "key": done.key, "pictures": done.pictures, "accuracy": done.accuracy}
    reached = "nothing was tested" if done.accuracy is None else f"the authorised network reaches {done.accuracy:.3f}"
    return Answer(said, f"signed for {done.pictures} pictures with the key {done.key}; {reached}")


def _verify_flags(parser: Parser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", type=str, help="a signed bundle")
    parser.add_argument("protected", metavar="PROTECTED", nargs="?", type=str, help=PROTECTED)
    parser.add_argument("--key", type=str, metavar="KEY.pub", help=PUBLIC)


def _verify(args: Namespace, run: "Run") -> Answer:
    from unlearnable import authorisation

    found = authorisation.verify(
        Path(args.bundle), args.protected and Path(args.protected), args.key and Path(args.key)
    )
    said: dict[str, Any] = {"well": found.well, "key": found.key, "trusted": found.trusted, "pictures": found.pictures}
    said |= {"problems": [{"name": name, "reason": reason} for name, reason in found.problems]}
    looked = f"{found.pictures} pictures and " if args.protected else "no picture was compared, "
    text = f"all is as signed: {looked}the files of the bundle; {_signer(found)}"
    if not found.well:
        text = f"not as signed: {len(found.problems)} problems; train refuses it"
    return Answer(said, text, found.problems, unwell=not found.well)


def _signer(found: "Verified") -> str:
    if found.trusted:
        return f"by the key you trust, {found.key}"
    return f"by the key {found.key}, which was not compared with one you trust: --key KEY.pub does that"


def _train_flags(parser: Parser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", type=str, help="a signed bundle")
    parser.add_argument("protected", metavar="PROTECTED", type=str, help=PROTECTED)
    parser.add_argument("out", metavar="OUT", type=str, help="a new folder: network.safetensors and config.json")
    parser.add_argument("--test", type=str, help=TEST)
    parser.add_argument("--key", type=str, metavar="KEY.pub", help=PUBLIC)
    track_flag(parser)


def _train(args: Namespace, run: "Run") -> Answer:
    from unlearnable import authorisation

    done = authorisation.train(
        Path(args.bundle), Path(args.protected), Path(args.out), run, args.test and Path(args.test),
        args.key and Path(args.key),
    )  # fmt: skip
    said = {"out": args.out, "accuracy": done.accuracy, "protector_accuracy": done.protector, "outcome": done.outcome}
    said |= {"tolerance": authorisation.TOLERANCE, "remarks": list(done.remarks)}
    said |= {"key": done.verified.key, "trusted": done.verified.trusted}
    # remarks quote what the signer said of a machine
    lines = [_accuracies(done, authorisation.TOLERANCE), *map(printable, done.remarks)]
    lines.append(f"{args.out}/network.safetensors is written; the bundle is signed {_signer(done.verified)}")
    return Answer(said, "\n".join(lines), unwell=done.outcome == "not reproduced")


def _accuracies(done: "Trained", tolerance: float) -> str:
    ours = "not tested: give --test" if done.accuracy is None else f"accuracy {done.accuracy:.4f}"
    theirs = "the protector signed none" if done.protector is None else f"the protector's was {done.protector:.4f}"
    outcome = "" if done.outcome is None else f": {done.outcome}"
    return f"{ours}; {theirs}{outcome}{f' of {tolerance}' if done.outcome == 'within tolerance' else ''}"


def _inspect_flags(parser: Parser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", type=str, help="signed or not")


def _inspect(args: Namespace, run: "Run") -> Answer:
    from unlearnable import authorisation

    found = authorisation.inspect(Path(args.bundle))
    return Answer(found, "\n".join(_described(found)))


def _described(found: dict[str, Any]) -> list[str]:
    network, statement = found["network"], found["statement"]
    classes, recipe = network["classes"], network["recipe"]
    known = str(classes) if isinstance(classes, int) else f"{len(classes)}, {', '.join(map(printable, classes[:5]))}"
    known += " and so on" if not isinstance(classes, int) and len(classes) > 5 else ""
    lines = [f"model      {printable(network['model'])}, {network['size']} pixels", f"classes    {known}"]
    lines += [f"recipe     {', '.join(f'{name} {value}' for name, value in recipe.items())}"]
    if statement is None:
        return [*lines, "signed     by nobody"]
    tested = statement["tested"]
    reached = f"{tested['accuracy']:.4f} on {tested['pictures']} pictures" if tested else "not said"
    lines += [f"signed     for {found['pictures']} pictures, by the key {found['signed_by']}", f"accuracy   {reached}"]
    policy = map(printable, (found["policy"] or "none").splitlines())
    lines += ["policy     " + "\n           ".join(policy)]  # no line of it stands where one of ours does
    return [*lines, "nothing of this was verified: unlearnable authorise verify"]


ACTIONS = {
    "create": Action("write a bundle: initial weights and recipe", _create_flags, _create),
    "key": Action("make a pair of keys", _key_flags, _key),
    "release": Action("pictures made for one network, published", releasing.release_flags, releasing.release),
    "sign": Action("sign it for protected pictures", _sign_flags, _sign),
    "verify": Action("check signature, files and pictures", _verify_flags, _verify),
    "train": Action("verify, then train the authorised network", _train_flags, _train),
    "inspect": Action("say what a bundle is, verifying nothing", _inspect_flags, _inspect),
}
