"""Groups of images that an encoder finds alike, and one perturbation for each group."""

from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor

from unlearnable.encoders import Encoder, Vectors
from unlearnable.labelling import distinct, kmeans
from unlearnable.perturbation import kind
from unlearnable.pixels import Index, Labels, Pixels
from unlearnable.protections._encoded import kept_for
from unlearnable.run import Run

Centres = Float32[Tensor, "k d"]


@kind
@dataclass(frozen=True, eq=False)
class ClusterWise:
    """x + the delta of the centre that its features are nearest to; serves new images, and reads no label.

    encoder: its name, looked up when it is first needed. A call raises ValueError as `eyes` does.
    """

    delta: Float32[Tensor, "k 3 s s"]
    centres: Centres
    encoder: str

    @property
    def size(self) -> int:
        return self.delta.shape[-1]

    def eyes(self) -> Encoder:
        """What finds the centre. Raises ValueError where it is not to be had any more, or gives other features than
        those that the centres were found in."""
        return kept_for(self.encoder, self.centres.shape[1])

    @torch.no_grad()
    def __call__(self, x: Pixels, labels: Labels, index: Index) -> Pixels:
        return x + self.delta[nearest(self.eyes().image(x), self.centres)]


def nearest(features: Vectors, centres: Centres) -> Index:
    """The centre nearest to each image's features: it depends on no other image of the batch."""
    return torch.cdist(features, centres, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)


def clustered(features: Vectors, clusters: int, run: Run) -> tuple[Centres, Index]:
    """k-means: the centres (clusters, d), and the cluster of each image; none is empty.

    Raises ValueError for fewer distinct images than clusters.
    """
    if (looks := distinct(features)) < clusters:
        raise ValueError(f"{looks} distinct images make no {clusters} clusters: ask for {looks} at most")
    found = kmeans(features, clusters, run.number("clusters"))
    return torch.from_numpy(found.cluster_centers_), torch.from_numpy(found.labels_).to(torch.int64)
