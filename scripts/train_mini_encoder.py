"""Trains `mini`, the small dual encoder that is shipped, on public pictures and the names of their classes.

    python scripts/train_mini_encoder.py --pictures tiny-imagenet:64:300 --pictures miniplaces:128:400 \
        --data DATA --work WORK --out unlearnable/weights/mini

Each FOLDER:SIZE:COUNT is a labelled folder or archive (class = folder, named in words), the size its pictures are read
at and how many of each class. DATA holds MobileNetV2's weights and CLIP's table of words. WORK keeps what is computed
once, and checkpoints.

One loss of four parts, on pictures of every size from 32 pixels up:
* contrastive: a picture finds its class's name among those of all classes;
* distilled from pictures: MobileNetV2's classifier says the same of our features of a small crop as of its own of the
  whole picture;
* distilled into names: so do the names of its 1,000 classes beside our picture;
* distilled from names: names lie to one another as CLIP's text features of 1,203 concepts do.
"""

import argparse
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data import first_of_each, load_labelled
from unlearnable.encoders import Mini
from unlearnable.models.layers import Bicubic
from unlearnable.models.pretrained import CLASSIFIER, load_pretrained
from unlearnable.perturbation import resized
from unlearnable.pixels import Pixels, to_float
from unlearnable.provenance import provenance
from unlearnable.run import Run
from unlearnable.score import warm_cosine

TEACHER = Path("weights/mobilenet_v2.safetensors")
TEACHER_NAMES = Path("weights/imagenet_labels.txt")
CONCEPTS = Path("weights/clip_vit_b32_text_lvis.npz")
FROZEN = 21
"""The first convolutions, at the finest scales, stay as they are: they cost the most and are the most general."""
SIDE = 128
"""Pictures are learned from at this side, for speed; the shipped encoder sees them at the side in `Sizes`."""
SMALLEST, STEPS, BATCH, SHARPNESS = 32, 4000, 64, 20.0
RATES = {"body": 2e-4, "heads": 2e-3}


@dataclass(frozen=True, eq=False)
class Pictures:
    """images (n, 3, s, s) uint8, labels (n,) among `names`, and MobileNetV2's features of each, (n, 1280)."""

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
    features: Tensor


@dataclass(frozen=True, eq=False)
class Lessons:
    """What the names and the teacher say: `classifier` (1000, 1280) with `bias` on unscaled features, the names of its
    classes, and CLIP's unit-length features of `concepts`, (k, 512), their mean taken off."""

    classifier: Tensor
    bias: Tensor
    classes: tuple[str, ...]
    concepts: tuple[str, ...]
    clip: Tensor


def pictures(source: str, mini: Mini, work: Path, run: Run) -> Pictures:
    """Reads FOLDER:SIZE:COUNT, or what was kept of it in `work`, with the features of the whole pictures."""
    folder, size, count = source.rsplit(":", 2)
    kept = work / f"{Path(folder).stem}-{size}-{count}"
    if not (kept / "names.json").exists():
        data, _ = load_labelled(Path(folder), int(size))
        data = first_of_each(data, int(count))
        kept.mkdir(parents=True)
        np.save(kept / "images.npy", data.images.numpy())
        np.save(kept / "labels.npy", data.labels.numpy())
        (kept / "names.json").write_text(json.dumps(data.classes))
    images = torch.from_numpy(np.load(kept / "images.npy"))
    if not (kept / "features.npy").exists():
        found = []
        for done, part in enumerate(images.split(BATCH)):
            with torch.inference_mode(), run.autocast():
                found.append(mini.features(to_float(part)).half())
            run.report(kept.name, done * BATCH, len(images))
        np.save(kept / "features.npy", torch.cat(found).numpy())
    labels = torch.from_numpy(np.load(kept / "labels.npy"))
    features = torch.from_numpy(np.load(kept / "features.npy"))
    return Pictures(images, labels, tuple(json.loads((kept / "names.json").read_text())), features)


def lessons(data: Path) -> Lessons:
    """The teacher's classifier and CLIP's table of words, from the data folder."""
    weights = load_file(data / TEACHER)
    lines = (data / TEACHER_NAMES).read_text().splitlines()
    with np.load(data / CONCEPTS) as table:
        clip = F.normalize(torch.from_numpy(table["features"].astype(np.float32)), dim=1)
        concepts = tuple(map(str, table["names"]))
    return Lessons(
        weights[f"{CLASSIFIER}.weight"].float().flatten(1)[1:], weights[f"{CLASSIFIER}.bias"].float()[1:],
        tuple(line.split(",")[0] for line in lines[1:]), concepts, F.normalize(clip - clip.mean(0), dim=1),
    )  # fmt: skip


def views(data: Pictures, rows: Tensor, run: Run, step: int) -> Pixels:
    """Crops of half the picture or more, some mirrored, all as small as this step's draw says."""
    rng = run.rng("views", step)
    native = data.images.shape[-1]
    side = round(native * (SMALLEST / native) ** float(torch.rand((), generator=rng)))
    part = round(native * float(torch.empty(()).uniform_(0.7, 1.0, generator=rng)))
    top, left = (int(torch.randint(native - part + 1, (), generator=rng)) for _ in range(2))
    x = to_float(data.images[rows, :, top : top + part, left : left + part])
    x = torch.where((torch.rand(len(x), generator=rng) < 0.5)[:, None, None, None], x.flip(3), x)
    return resized(x, min(side, part), min(side, part))


def loss(mini: Mini, data: Pictures, rows: Tensor, said: Lessons, run: Run, step: int) -> dict[str, Tensor]:
    """The four parts, each a mean over the batch."""
    with run.autocast():
        features = mini.features(views(data, rows, run, step))
    seen = mini.seen(features)
    teacher = F.linear(data.features[rows].float(), said.classifier, said.bias).softmax(1)
    drawn = torch.randperm(len(said.concepts), generator=run.rng("concepts", step))[:512]
    words = mini.text([*data.names, *said.classes, *(said.concepts[row] for row in drawn)])
    names, classes, concepts = words.split([len(data.names), len(said.classes), len(drawn)])
    near = SHARPNESS * (said.clip[drawn] @ said.clip[drawn].T).fill_diagonal_(-1)
    found = SHARPNESS * (concepts @ concepts.T).fill_diagonal_(-1)
    return {
        "contrastive": F.cross_entropy(SHARPNESS * seen @ names.T, data.labels[rows], label_smoothing=0.05),
        "pictures": F.cross_entropy(F.linear(features, said.classifier, said.bias), teacher),
        "into names": F.cross_entropy(SHARPNESS * seen @ classes.T, teacher),
        "from names": F.cross_entropy(found, near.softmax(1)),
    }


def train(mini: Mini, sets: list[Pictures], said: Lessons, run: Run) -> None:
    """AdamW, up over a twentieth of the steps and down a cosine; the sets take turns."""
    network = mini.network
    with torch.no_grad():
        network.mean.copy_(torch.cat([F.normalize(s.features.float(), dim=1) for s in sets]).mean(0))
    body = [p for name, p in network.body.named_parameters() if int(name[4:6]) >= FROZEN]
    heads = [*network.image.parameters(), *network.words.parameters()]
    for weight in [*body, *heads]:
        weight.requires_grad_(True)
    groups = [{"params": body, "lr": RATES["body"]}, {"params": heads, "lr": RATES["heads"]}]
    optimiser = torch.optim.AdamW(groups, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: warm_cosine(step, STEPS))
    network.body.resize = Bicubic(SIDE)
    for step in run.loop("mini", STEPS, {"network": network, "optimiser": optimiser, "schedule": schedule}):
        data = sets[step % len(sets)]
        rows = torch.randint(len(data.images), (BATCH,), generator=run.rng("rows", step))
        parts = loss(mini, data, rows, said, run, step)
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()
        nn.utils.clip_grad_norm_([*body, *heads], 1.0)
        optimiser.step()
        schedule.step()
        if step % 20 == 0:
            run.report("mini", step + 1, STEPS, {name: round(float(part.detach()), 3) for name, part in parts.items()})
    network.body.resize = Bicubic(mini.sizes.side)
    network.requires_grad_(False)


def main() -> None:
    """Trains and saves; `python -m benchmarks.encoder` measures what was saved and writes its card."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", action="append", required=True)
    for name in ("data", "work", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    asked = parser.parse_args()
    run = Run(0, directory=asked.work / "training", listener=lambda event: print(event, flush=True), save_every=120)
    started = time.perf_counter()
    mini = Mini.random(run)
    load_pretrained(mini.network.body, asked.data / TEACHER)
    sets = [pictures(source, mini, asked.work, run) for source in asked.pictures]
    train(mini, sets, lessons(asked.data), run)
    about: dict[str, Any] = {
        "images": [len(s.images) for s in sets],
        "digests": [hashlib.blake2b(s.images.numpy().tobytes(), digest_size=16).hexdigest() for s in sets],
        "steps": STEPS, "batch": BATCH, "side": SIDE,
        "seconds": round(time.perf_counter() - started), "provenance": provenance(run),
    }  # fmt: skip
    mini.save(asked.out, {"training": about})


if __name__ == "__main__":
    main()
