"""Measures what `mini` knows of pictures and names that it never saw, and writes its card.

    python -m benchmarks.encoder --folder unlearnable/weights/mini

Purity: how often a k-means group of the pictures agrees with its own most frequent class. Zero-shot: how often a
picture's class has the nearest name. Probe: accuracy on test pictures of a linear classifier of the vectors.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from unlearnable.data import ImageSet
from unlearnable.encoders import Mini
from unlearnable.encoders.mini import CONFIG, WEIGHTS, load
from unlearnable.labelling import kmeans
from unlearnable.packs import load_dataset
from unlearnable.pixels import to_float
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically

TARGETS = ("imagenette-64", "places20-64", "cifar10-quick")
GROUPS = (20, 50)
RELATIVES = {
    "minibus": ("bus", "cup"), "police dog": ("dog", "truck"), "wine glass": ("glass", "horse"),
    "kitten": ("cat", "bridge"), "motor scooter": ("motorcycle", "bread"), "seagull": ("bird", "chair"),
}  # fmt: skip
"""Names that no class was called: what they should lie near, and what not."""
CARD = """# mini: the encoder that `one_for_all` and `clusters` use unless told otherwise

MobileNetV2 for pictures (seen at {side} px), hashed words and parts of words for names; vectors of {dimension} values.

* Begun from: MobileNetV2 as trained on ImageNet by its authors (github.com/google-coral/test_data, Apache-2.0); its
  first convolutions are those weights still. Names follow CLIP ViT-B/32's text features of 1,203 LVIS concepts
  (github.com/facebookresearch/Detic, Apache-2.0).
* Data: {images} pictures of Tiny-ImageNet's 200 classes (64 px; github.com/seshuad/IMagenet) and of 80 classes of
  MiniPlaces (128 px; github.com/rathull/CTFs, in its history), digests {digests}.
  None of Imagenette's classes, of the 20 scenes below, or of CIFAR-10's pictures. MobileNetV2 itself was trained on
  ImageNet, of which Imagenette is a part.
* Command: `{command}`, commit `{commit}`: {steps} steps of {batch}, {seconds} seconds on {threads} thread(s) of
  {processor}.
* Size: {kilobytes} kB, half precision.

What it knows of pictures it never saw (`python -m benchmarks.encoder`):

| pictures | purity, {first} groups | {second} groups | zero-shot | linear probe |
|---|---|---|---|---|
{rows}

Unseen names nearer to a relative than to a stranger: {related} of {asked}.
"""


def measured(mini: Mini, name: str) -> dict[str, float]:
    """The four figures for one data set."""
    train, test = (_evenly(part, 2000) for part in load_dataset(name))
    points, held_out = seen(mini, train), seen(mini, test)
    labels = train.labels.numpy()
    found = {f"purity {k}": purity(points, labels, k) for k in GROUPS}
    nearest = (held_out @ mini.text(train.classes).T.numpy()).argmax(1)
    probe = LogisticRegression(C=100, max_iter=300).fit(points, labels)
    return found | {
        "zero-shot": float((nearest == test.labels.numpy()).mean()),
        "probe": float(probe.score(held_out, test.labels.numpy())),
    }


def seen(mini: Mini, data: ImageSet) -> Any:
    """The vectors of all pictures."""
    with torch.inference_mode():
        return torch.cat([mini.image(to_float(part)) for part in data.images.split(50)]).numpy()


def purity(points: Any, labels: Any, groups: int) -> float:
    """The share of points whose label is the most frequent one of their group."""
    found = kmeans(torch.from_numpy(points), groups, 0).labels_
    return float(sum(np.bincount(labels[found == group]).max() for group in range(groups)) / len(labels))


def _evenly(data: ImageSet, count: int) -> ImageSet:
    return data.subset(torch.arange(0, len(data), max(1, len(data) // count)))


def card(about: dict[str, Any], folder: Path) -> str:
    """What the folder holds, in words."""
    training, figures = about["training"], about["measured"]
    rows = [
        f"| {name} | " + " | ".join(f"{figures[name][key]:.2f}" for key in figures[name]) + " |" for name in TARGETS
    ]
    origin = training["provenance"]
    hardware = origin["hardware"]
    return CARD.format(
        side=about["side"], dimension=about["dimension"], images=" + ".join(f"{n:,}" for n in training["images"]),
        digests=" and ".join(f"`{d}`" for d in training["digests"]), steps=f"{training['steps']:,}",
        batch=training["batch"], seconds=f"{training['seconds']:,}", threads=hardware.get("threads", "?"),
        processor=hardware["processor"], kilobytes=(folder / WEIGHTS).stat().st_size // 1000,
        command=origin["command"], commit=origin["commit"],
        first=GROUPS[0], second=GROUPS[1], rows="\n".join(rows), related=about["related"], asked=len(RELATIVES),
    )  # fmt: skip


def main() -> None:
    """Loads what was saved, measures it, and writes config.json and card.md anew."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    folder = parser.parse_args().folder
    mini, config = load(folder), json.loads((folder / CONFIG).read_text())
    figures = {name: measured(mini, name) for name in TARGETS}
    related = 0
    for name, others in RELATIVES.items():
        near, far = (mini.text([name]) @ mini.text(others).T)[0].tolist()
        related += near > far
    about = config | {"measured": figures, "related": related, "measured_in": provenance(Run(0, device="cpu"))}
    write_atomically(folder / CONFIG, json.dumps(about, indent=1).encode())
    write_atomically(folder / "card.md", card(about, folder).encode())
    print((folder / "card.md").read_text())


if __name__ == "__main__":
    main()
