"""Pictures made for the network of whoever asks for them: two processes that share nothing but two folders.

python examples/transmission.py [FOLDER]

The receiver draws a network and sends its initial weights and recipe; the protector answers with pictures made for it,
signed; the receiver verifies them and trains. A stranger has the pictures alone. The receiver's weights authorise, so
`to-protector` and the bundle in `to-receiver` must go by a way that nobody else reads.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

from unlearnable import ImageSet, Job, Recipe, Run, authorisation, load_dataset, load_labelled, protect, protection
from unlearnable.job import fit
from unlearnable.training import Authorised, Handed

RECIPE = Recipe(model="cnn", epochs=10, batch=32)
TRAIN, TEST = 600, 300
WAIT = 600.0  # seconds


def main(root: Path) -> None:
    """Starts both, waits for both, and tries as a stranger what only one of them should manage."""
    for name, data, count in zip(("photos", "test"), load_dataset("digits"), (TRAIN, TEST), strict=True):
        write(data.subset(torch.arange(count)), root / name)
    for folder in ("to-protector", "to-receiver"):
        (root / folder).mkdir()
    both = [subprocess.Popen([sys.executable, "-u", __file__, str(root), role]) for role in ("protector", "receiver")]
    while any(process.poll() is None for process in both) and not any(process.poll() for process in both):
        time.sleep(0.2)
    for process in both:  # one that failed leaves the other waiting
        process.terminate()
    if any(process.wait() for process in both):
        sys.exit("one of the two failed")
    tests = load_labelled(root / "test")[0]
    for name, pictures in (("the pictures alone", root / "to-receiver" / "pictures"), ("clean ones", root / "photos")):
        trained = RECIPE.train(load_labelled(pictures)[0], Run(seed=1), tests)
        print(f"stranger: the same model and recipe, other weights, {name}: {trained.test_acc[-1]:.3f}")


def receiver(root: Path) -> None:
    """Asks with a network of its own, and trains it on what comes."""
    tests, home = root / "test", root / "receiver"
    classes, size = load_labelled(tests)[0].classes, load_labelled(tests)[0].size
    asked = Authorised.drawn(RECIPE.having(Handed("blind")), classes, size, secrets.randbits(63))
    asked.write(home / "bundle")
    hand_over(home / "bundle", root / "to-protector" / "bundle")
    print(f"receiver: sent {RECIPE.model}, {sum(w.numel() for w in asked.weights.values())} numbers, and its recipe")
    came = root / "to-receiver"
    bundle, pictures = wait_for(came / "bundle"), wait_for(came / "pictures")
    answered = Authorised.read(bundle)
    if any(not torch.equal(weight, answered.weights[name]) for name, weight in asked.weights.items()):
        sys.exit("receiver: the answer is for another network than mine")
    done = authorisation.train(bundle, pictures, home / "trained", Run(), tests, wait_for(came / "owner.pub"))
    print(
        f"receiver: verified and trained: {done.accuracy:.3f}; the protector had {done.protector:.3f}: {done.outcome}"
    )


def protector(root: Path) -> None:
    """Answers with pictures made for the network that asks."""
    home, sent = root / "protector", wait_for(root / "to-protector" / "bundle")
    shutil.copytree(sent, home / "bundle")
    network = Authorised.read(home / "bundle")
    print(f"protector: asked for {network.recipe.model}, {network.count} classes, {network.size} pixels")
    method = protection("uge:blind-quick", bundles=(str(home / "bundle"),), steps=80)
    fit(method, root / "photos", home / "fitted", Run())
    done = protect(Job(root / "photos", home / "pictures", method=str(home / "fitted")), Run())
    print(f"protector: made {done.protected} pictures for it, changed by {done.max_abs_delta} levels at most")
    public, _ = authorisation.make_key(home / "owner.pem")
    signed = authorisation.sign(home / "bundle", home / "pictures", home / "owner.pem", Run(), test=root / "test")
    print(f"protector: signed, with the accuracy that the network reached here, {signed.accuracy:.3f}")
    for path in (home / "bundle", home / "pictures", public):
        hand_over(path, root / "to-receiver" / path.name)


def hand_over(path: Path, place: Path) -> None:
    """A copy that is there whole or not at all, without the manifest, which is the protector's own."""
    scratch = place.with_name(f".{place.name}")
    if path.is_dir():
        shutil.copytree(path, scratch, ignore=shutil.ignore_patterns(".unlearnable"))
    else:
        shutil.copy(path, scratch)
    os.rename(scratch, place)


def wait_for(path: Path) -> Path:
    """The path, once it is there."""
    until = time.monotonic() + WAIT
    while not path.exists():
        if time.monotonic() > until:
            sys.exit(f"{path} did not come in {WAIT:.0f} s")
        time.sleep(0.2)
    return path


def write(data: ImageSet, folder: Path) -> None:
    """Class folders of PNG files."""
    for row, (image, label) in enumerate(zip(data.images, data.labels.tolist(), strict=True)):
        path = folder / data.classes[label] / f"{row:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(path)


if __name__ == "__main__":
    roles = {"protector": protector, "receiver": receiver}
    if len(sys.argv) == 3:
        roles[sys.argv[2]](Path(sys.argv[1]))
    elif len(sys.argv) == 2:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))
