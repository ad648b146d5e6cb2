"""Trains the score network that `purify` uses unless told otherwise, and measures how well it denoises.

    python -m benchmarks.score --out unlearnable/weights/score-32

On clean public images that nobody protects: 100 of each of the 100 classes of Tiny-ImageNet at 32 px. Held out: images
of the other split. Eight minutes on one thread.
"""

import argparse
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from unlearnable.data import ImageSet, first_of_each, load_labelled
from unlearnable.packs import DATA_VARIABLE
from unlearnable.pixels import to_float
from unlearnable.provenance import provenance
from unlearnable.run import Run, write_atomically
from unlearnable.score import Score, ScoreTraining, load

LEVELS = tuple(round(0.2 * 0.652**step, 4) for step in range(8))  # 0.2 to 0.01
TRAINING = ScoreTraining(LEVELS, epochs=9, batch=64, lr=2e-3, width=32, patch=2, ema=0.995, conditional=False)
CARD = """# score-32: the score network that `purify` uses

A small U-Net that denoises 32 px colour images at {levels} noise levels, {high} to {low} (0..1 units), told no label.

* Data: {images} images, 100 of each of 100 classes, of Tiny-ImageNet at 32 px (`{pack}`, split `train`).
  No image of CIFAR-10. The data sets `tin100*` hold them: take another network for those.
* Command: `python -m benchmarks.score --out unlearnable/weights/score-32`
* Took: {seconds} seconds, one thread of {processor}, float32.
* Size: {kilobytes} kB, half precision.
* Score: PSNR gained by one denoising step, in dB, on {held_out} images of the split `test`.

| noise | {columns} |
|---|{rule}|
| dB gained | {gains} |
"""


def gains(score: Score, images: ImageSet, run: Run, levels: tuple[float, ...] = LEVELS) -> dict[str, float]:
    """The PSNR that one step along the score gains at each level, in dB, over all pixels of the images."""
    clean, found = to_float(images.images), {}
    for sigma in levels:
        noise = torch.randn(clean.shape, generator=run.rng("score-measure"))
        noisy = clean + sigma * noise
        with torch.no_grad():
            parts = [score.denoised(part.to(run.at), None, sigma).cpu() for part in noisy.split(100)]
        error = (torch.cat(parts) - clean).square().mean()
        found[f"{sigma:g}"] = round(float(10 * torch.log10((noisy - clean).square().mean() / error)), 2)
    return found


def card(about: dict[str, Any], folder: Path, pack: Path) -> str:
    """What the folder holds, in words."""
    return CARD.format(
        **about, levels=len(LEVELS), high=LEVELS[0], low=LEVELS[-1], pack=pack.name,
        processor=about["provenance"]["hardware"]["processor"],
        kilobytes=(folder / "score.safetensors").stat().st_size // 1000,
        columns=" | ".join(about["psnr_gain"]), rule="---|" * (len(LEVELS) - 1) + "---",
        gains=" | ".join(f"{gain:.1f}" for gain in about["psnr_gain"].values()),
    )  # fmt: skip


def main() -> None:
    """Trains, saves, loads what was saved, measures that, and writes the card."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get(DATA_VARIABLE, "")) / "tin100-32.zip")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    run = Run(0, device="cpu", precision="fp32", listener=lambda event: print(event, flush=True))
    started = time.perf_counter()
    train = first_of_each(load_labelled(asked.data, 32, "train")[0], 100)
    test = first_of_each(load_labelled(asked.data, 32, "test")[0], 10)
    score = TRAINING.fit(train, run)
    about = {
        "training": asdict(TRAINING), "images": len(train), "held_out": len(test),
        "seconds": round(time.perf_counter() - started), "provenance": provenance(run),
    }  # fmt: skip
    score.save(asked.out, about)
    about["psnr_gain"] = gains(load(asked.out), test, run)
    score.save(asked.out, about)
    write_atomically(asked.out / "card.md", card(about, asked.out, asked.data).encode())
    print(about["psnr_gain"])


if __name__ == "__main__":
    main()
