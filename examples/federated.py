"""Four clients train one network together, each on images it protected at home; an outsider has what they published.

pip install 'unlearnable[federated]'; python examples/federated.py [iid|dirichlet:ALPHA [protected|clean]]
"""

import sys
from dataclasses import replace

import torch

from unlearnable import Recipe, Run, load_dataset
from unlearnable.engines import Federation, federate
from unlearnable.training import CropFlip

if __name__ == "__main__":  # Ray's processes import this file
    torch.set_num_threads(1)  # in pencil, levels 112 to 143: pure black and white leave a change no room, and drown it
    train, test = (part.with_images(112 + part.images // 8) for part in load_dataset("digits"))
    recipe = Recipe(epochs=4, lr=0.02, batch=32, augment=(CropFlip(2, flip=False),))
    generator = {"budget": {"norm": "linf", "eps": 0.08}, "steps": 100, "batch": 64, "width": 8, "blocks": 1}
    split, published = [*sys.argv[1:], *("iid", "protected")[len(sys.argv) - 1 :]]
    how = {"method": None} if published == "clean" else {"options": generator}
    federation = Federation(4, 4, split, recipe=recipe, **how)
    found = federate(federation, train, test, Run(seed=0))
    for turn, (accuracy, failed) in enumerate(zip(found.accuracy, found.failed, strict=True)):
        print(f"global network, round {turn}: accuracy {accuracy:.3f}, {len(failed)} clients failed", flush=True)
    for model in ("cnn", "resnet8"):
        for name, data in (("clean", train.subset(found.rows)), ("published", found.protected)):
            outsider = replace(recipe, model=model, epochs=16).train(data, Run(seed=7), test).test_acc
            print(f"outsider, {model} on {name} images: accuracy {outsider[-1]:.3f}, best epoch {max(outsider):.3f}")
