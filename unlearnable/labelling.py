"""Labels of somebody's own: pseudo-labels where there are none, and groups of classes that an adversary may use.

One for All (Chen, Zhang, Li, Han, section 4.1) tests protections against an adversary whose labels are not the owner's:
classes are merged into groups, and whoever trains sees only the group.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float32
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from unlearnable.data import ImageSet
from unlearnable.encoders import encoder
from unlearnable.pixels import PART, Labels, to_float

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

Points = Float32[Tensor, "n d"]


def cluster(data: ImageSet, k: int, seed: int) -> Labels:
    """Pseudo-labels where there are none: k-means on an 8 x 8 colour thumbnail of each image, (n,) int64."""
    points = _thumbnails(data)
    return _parted(points, min(k, len(np.unique(points.numpy(), axis=0))), seed)


def distinct(points: Points) -> int:
    """How many images look different: features of the same one agree to five decimals."""
    return len(np.unique(points.numpy().round(5), axis=0))


def kmeans(points: Points, k: int, seed: int) -> "KMeans":
    """Fitted, the best of four starts. On one thread: several add up their parts in the order in which they finish."""
    from sklearn.cluster import KMeans  # loaded here: it takes a second, and few need it

    with threadpool_limits(1):
        return KMeans(k, n_init=4, random_state=seed % 2**32).fit(points.numpy())


def groups_of(text: str, data: ImageSet, seed: int) -> Labels:
    """The group of each class, (classes,), that an adversary with other labels might use; a group keeps whole classes.

    "names:K": k-means on what the encoder `mini` makes of the class names, as the paper does with CLIP; "kmeans:K": on
    the mean thumbnail of every class, where names say nothing; "groups:FILE": as a JSON file says, {"group": ["class",
    ...]}. Raises ValueError where the text is none of these, K not below the number of classes, or a class is missing.
    """
    kind, _, value = text.partition(":")
    if kind == "groups":
        return _given(Path(value), data.classes)
    kinds: dict[str, Callable[[ImageSet], Points]] = {
        "kmeans": _class_means,
        "names": lambda data: encoder("mini").text(data.classes),
    }
    if kind not in kinds or not value.isdecimal():
        raise ValueError(f"relabel must be kmeans:K, names:K or groups:FILE, for example kmeans:20, got {text!r}")
    count = len(data.classes)
    if count < 3:
        raise ValueError(f"relabel {text}: K counts groups of classes, and {count} classes are too few to group")
    if not 1 < int(value) < count:
        raise ValueError(
            f"relabel {text}: K counts groups of classes and must be 2 to {count - 1} for {count} classes, for example "
            f"{kind}:{max(2, count // 5)}"
        )
    return _parted(kinds[kind](data), int(value), seed)


def relabel(data: ImageSet, groups: Labels) -> ImageSet:
    """The same images with each class replaced by its group; rows of unknown label keep -1."""
    labels = torch.where(data.labels < 0, data.labels, groups[data.labels.clamp_min(0)])
    return ImageSet(data.images, labels, tuple(f"group {g}" for g in range(int(groups.max()) + 1)))


def scores(points: Points, counts: Sequence[int], seed: int) -> list[dict[str, float]]:
    """How well k groups describe points, for every k of counts: the three measures of figure 5 of the paper.

    sse: sum of squared distances to the centres; silhouette: -1..1, higher is better; calinski_harabasz: higher is
    better. Every k must be 2 to n - 1.
    """
    from sklearn.metrics import calinski_harabasz_score, silhouette_score

    found = []
    for k in counts:
        fitted = kmeans(points, k, seed)
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
        groups_with = Counter(name for names in groups.values() for name in set(names))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f'{path} must be JSON of the form {{"group": ["class", ...]}}: {error}') from None
    if missing := [name for name in classes if name not in owner]:
        raise ValueError(f"{path} puts {', '.join(missing[:5])} in no group")
    if twice := [name for name in classes if groups_with[name] > 1]:
        raise ValueError(f"{path} puts {', '.join(twice[:5])} in more groups than one: each class belongs to one")
    return torch.tensor([owner[name] for name in classes])


def _class_means(data: ImageSet) -> Points:
    thumbnails = _thumbnails(data)
    return torch.stack([thumbnails[data.labels == label].mean(0) for label in range(len(data.classes))])


def _thumbnails(data: ImageSet) -> Points:
    return torch.cat([adaptive_avg_pool2d(to_float(part), 8).flatten(1) for part in data.images.split(PART)])


def _parted(points: Points, k: int, seed: int) -> Labels:
    return torch.from_numpy(kmeans(points, k, seed).labels_).to(torch.int64)
