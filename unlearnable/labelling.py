"""Labels of somebody's own: pseudo-labels where there are none, and groups of classes that an adversary may use.

One for All (Chen, Zhang, Li, Han, section 4.1) tests protections against an adversary whose labels are not the owner's:
classes are merged into groups, and whoever trains sees only the group.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from safetensors.torch import load_file
from sklearn.cluster import KMeans
from sklearn.metrics import calinski_harabasz_score, silhouette_score
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize

from unlearnable.data import ImageSet, weights_file
from unlearnable.encoders.words import plain
from unlearnable.pixels import Labels, to_float

CLIP = Path("weights/clip_vit_b32_text_lvis.npz")  # these lie below the data folder
CLASSIFIER = Path("weights/mobilenet_v2.safetensors")
IMAGENET_NAMES = Path("weights/imagenet_labels.txt")
Points = Float32[Tensor, "n d"]


def cluster(data: ImageSet, k: int, seed: int) -> Labels:
    """Pseudo-labels where there are none: k-means on an 8 x 8 colour thumbnail of each image, (n,) int64."""
    points = _thumbnails(data)
    return _kmeans(points, min(k, len(np.unique(points.numpy(), axis=0))), seed)


def groups_of(text: str, data: ImageSet, seed: int) -> Labels:
    """The group of each class, (classes,), that an adversary with other labels might use; a group keeps whole classes.

    "names:K": k-means on the text embeddings of the class names, as in the paper; "kmeans:K": on the mean thumbnail of
    every class, where names say nothing; "groups:FILE": as a JSON file says, {"group": ["class", ...]}.
    Raises ValueError where the text is none of these, K is not below the number of classes, or a class is missing.
    """
    kind, _, value = text.partition(":")
    if kind == "groups":
        return _given(Path(value), data.classes)
    kinds: dict[str, Callable[[ImageSet], Points]] = {
        "kmeans": _class_means,
        "names": lambda data: name_embeddings(data.classes),
    }
    if kind not in kinds or not value.isdigit():
        raise ValueError(f"relabel must be kmeans:K, names:K or groups:FILE, for example kmeans:20, got {text!r}")
    if not 1 < int(value) < len(data.classes):
        raise ValueError(f"{text} needs 2 to {len(data.classes) - 1} groups for {len(data.classes)} classes")
    return _kmeans(kinds[kind](data), int(value), seed)


def relabel(data: ImageSet, groups: Labels) -> ImageSet:
    """The same images with each class replaced by its group; rows of unknown label keep -1."""
    labels = torch.where(data.labels < 0, data.labels, groups[data.labels.clamp_min(0)])
    return ImageSet(data.images, labels, tuple(f"group {g}" for g in range(int(groups.max()) + 1)))


def name_embeddings(names: Sequence[str]) -> Points:
    """An embedding of each class name, (n, d) of unit length, from the first vocabulary that knows all of them.

    CLIP's text features of 1,203 LVIS concepts, synonyms counted; else the rows of an ImageNet classifier. A name that
    is no entry is the mean of the entries that end in its last word (ship: cargo ship, cruise ship); "n02123045_tabby"
    is looked up as "tabby". Raises ValueError naming what no vocabulary has.
    """
    lacking: list[str] = []
    for vocabulary in (_clip_words, _imagenet_words):
        entries, features = vocabulary()
        rows = [_rows(name, entries) for name in names]
        if all(rows):
            return normalize(torch.stack([features[row].mean(0) for row in rows]), dim=1)
        lacking = lacking or [name for name, row in zip(names, rows, strict=True) if not row]
    raise ValueError(
        f"no vocabulary has all {len(names)} class names, {lacking[0]!r} is one that lacks: use kmeans:K or groups:FILE"
    )


def _clip_words() -> tuple[dict[str, list[int]], Points]:
    with np.load(weights_file(CLIP)) as table:
        features = torch.from_numpy(table["features"].astype(np.float32))
        entries: dict[str, list[int]] = defaultdict(list)
        for row, (name, others) in enumerate(zip(table["names"], table["synonyms"], strict=True)):
            for word in {plain(str(name)), *map(plain, str(others).split(", "))}:
                entries[word].append(row)
    return entries, normalize(features, dim=1)


def _imagenet_words() -> tuple[dict[str, list[int]], Points]:
    features = load_file(weights_file(CLASSIFIER))["conv52.weight"].float().flatten(1)
    lines = weights_file(IMAGENET_NAMES).read_text().splitlines()[: len(features)]
    entries: dict[str, list[int]] = defaultdict(list)
    for row, line in enumerate(lines):
        for word in map(plain, line.split(", ")):
            entries[word].append(row)
    return entries, normalize(features - features.mean(0), dim=1)


def _rows(name: str, entries: dict[str, list[int]]) -> list[int]:
    word = plain(name)
    if word in entries:
        return entries[word]
    last = word.split(" ")[-1]
    return [row for entry, rows in entries.items() if entry.split(" ")[-1] == last for row in rows]


def scores(points: Points, counts: Sequence[int], seed: int) -> list[dict[str, float]]:
    """How well k groups describe points, for every k of counts: the three measures of figure 5 of the paper.

    sse: sum of squared distances to the centres; silhouette: -1..1, higher is better; calinski_harabasz: higher is
    better. Every k must be 2 to n - 1.
    """
    found = []
    for k in counts:
        fitted = KMeans(k, n_init=4, random_state=seed).fit(points.numpy())
        found.append(
            {
                "k": float(k),
                "sse": float(fitted.inertia_),
                "silhouette": float(silhouette_score(points.numpy(), fitted.labels_)),
                "calinski_harabasz": float(calinski_harabasz_score(points.numpy(), fitted.labels_)),
            }
        )
    return found


def _given(path: Path, classes: Sequence[str]) -> Labels:
    try:
        groups: dict[str, list[str]] = json.loads(path.read_text())
        owner = {name: row for row, names in enumerate(groups.values()) for name in names}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f'{path} must be JSON of the form {{"group": ["class", ...]}}: {error}') from None
    if missing := [name for name in classes if name not in owner]:
        raise ValueError(f"{path} puts {', '.join(missing[:5])} in no group")
    return torch.tensor([owner[name] for name in classes])


def _class_means(data: ImageSet) -> Points:
    thumbnails = _thumbnails(data)
    return torch.stack([thumbnails[data.labels == label].mean(0) for label in range(len(data.classes))])


def _thumbnails(data: ImageSet) -> Points:
    return adaptive_avg_pool2d(to_float(data.images), 8).flatten(1)


def _kmeans(points: Points, k: int, seed: int) -> Labels:
    return torch.from_numpy(KMeans(k, n_init=4, random_state=seed).fit_predict(points.numpy())).to(torch.int64)
