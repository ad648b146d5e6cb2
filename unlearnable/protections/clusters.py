"""Unlearnable Clusters (LaUE): Zhang, Ma, Yi, Sang, Jiang, Wang, Xu, CVPR 2023, arXiv 2301.01217.

| paper | here |
|---|---|
| p, the number of clusters | clusters |
| the surrogate that gives the features | encoder |
| the permutation of the clusters' centres | permutation: "random", or "next", as published code has it |
| theta_i, the generator of cluster i | width, downs, blocks |
| delta_i | what `fit` gives, with the centres |
| epsilon | budget |

Differs from the paper:
* features are unit vectors of an encoder, not the activations under a classifier: a softmax over such small numbers is
  nearly flat, so they are divided by `temperature` first;
* the bound is eps * tanh. A hard clamp, as in published code, lets no gradient through where it cuts; the preset
  `published` has that code's clamp and targets, and all images for every generator, not those of its cluster;
* images are seen whole, at one size, without random crops and flips;
* all generators begin from one noise image, in the preset `published` too; published code draws one for each.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch.nn import functional as F

from unlearnable.data import ImageSet
from unlearnable.models.generator import Generator, Head, Pattern
from unlearnable.pixels import Budget, Index, Pixels
from unlearnable.protections._clusterwise import Centres, ClusterWise, clustered, nearest
from unlearnable.protections._encoded import Seen
from unlearnable.protections._fields import Checked, Natural, Positive
from unlearnable.run import Run
from unlearnable.training import cosine


@dataclass(frozen=True)
class Clusters(Checked):
    """Images that an encoder finds alike get one perturbation, which leads it to the centre of another cluster.

    Labels are never read. images_of: what a generator learns from. The preset `quick` is made for about 2,000 images of
    64 pixels on two cores: small generators and few steps at a higher rate.
    Raises ValueError for fewer than 2 clusters, no temperature or an unknown word; `fit` for fewer distinct images than
    clusters, images too small for the generator, or a loss that is not finite.
    """

    needs_labels: ClassVar[bool] = False
    needs_images: ClassVar[bool] = True
    transfers: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "published": {"permutation": "next", "images_of": "all", "head": "clamp"},
        "quick": {"budget": {"norm": "linf", "eps": 8 / 255}, "epochs": 12, "batch": 16, "lr": 2e-3, "width": 16,
                  "blocks": 2},
    }  # fmt: skip

    budget: Budget = field(default=Budget("linf", 16 / 255))
    encoder: str = "mini"
    clusters: int = 10
    permutation: Literal["random", "next"] = "random"
    images_of: Literal["cluster", "all"] = "cluster"
    head: Head = "tanh"
    temperature: Positive = 0.05
    epochs: int = 50
    batch: int = 256
    lr: Positive = 1e-4
    weight_decay: float = 5e-4
    width: int = 64
    downs: Natural = 2
    blocks: Natural = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clusters < 2:
            raise ValueError(f"clusters must be at least 2, so that each can be led to another, got {self.clusters}")

    def fit(self, data: ImageSet, run: Run) -> ClusterWise:
        """k-means, then one generator after the other; ranks share the clusters."""
        if data.size <= 2**self.downs:
            raise ValueError(f"downs={self.downs} needs images above {2**self.downs} pixels, got {data.size}")
        seen = Seen.through(self.encoder, data, run)
        centres, own = clustered(seen.features(self.batch), self.clusters, run)
        targets, mine = self.targets(run), run.shard(self.clusters)
        noise = torch.rand(1, 3, data.size, data.size, generator=run.rng("clusters-noise"))
        delta = torch.zeros(self.clusters, *noise.shape[1:])
        state, total = {"delta": delta} | self.begun(0, noise, run), run.share(self.clusters) * self.epochs
        for step in run.loop("clusters", total, state):
            place, epoch = divmod(step, self.epochs)
            if place == len(mine):  # another rank has one cluster more
                continue
            i = int(mine[place])
            if epoch == 0:
                state |= self.begun(i, noise, run)
            members = torch.arange(len(own)) if self.images_of == "all" else (own == i).nonzero().flatten()
            order = run.batches(len(members), self.batch, run.rng("clusters-order", i, epoch))
            parts = (members[part] for part in order)
            figures = self.epoch(epoch, state, seen, parts, centres.to(run.at), int(targets[i]))
            with torch.no_grad(), run.autocast():
                delta[i] = state["pattern"]()[0].cpu()
            if not (math.isfinite(figures["loss"]) and delta[i].isfinite().all()):
                raise ValueError(f"the generator of cluster {i} could not be trained: not finite at lr {self.lr:g}")
            run.report("clusters", step + 1, total, figures)
        run.gather(delta)
        return ClusterWise(delta, centres, seen.name)

    def targets(self, run: Run) -> Index:
        """For each cluster another one: a permutation that leaves none where it is."""
        order, rng = torch.arange(self.clusters), run.rng("clusters-targets")
        if self.permutation == "next":
            return order.roll(-1)
        drawn = order
        while (drawn == order).any():
            drawn = torch.randperm(self.clusters, generator=rng)
        return drawn

    def begun(self, i: int, noise: Pixels, run: Run) -> dict[str, Any]:
        """The generator of a cluster with its first weights, and its optimiser."""
        with run.seeded("clusters-init", i):
            generator = Generator(self.width, self.downs, self.blocks, code=0)
        pattern = run.place(Pattern(generator, noise, self.budget.eps, self.head))
        optimiser = torch.optim.Adam(pattern.parameters(), self.lr, weight_decay=self.weight_decay)
        return {"pattern": pattern, "optimiser": optimiser}

    def epoch(
        self, epoch: int, state: dict[str, Any], seen: Seen, parts: Iterable[Index], centres: Centres, target: int
    ) -> dict[str, float]:
        """One pass over images: the mean loss, and the share of them that end nearest to the target's centre."""
        pattern, optimiser = state["pattern"], state["optimiser"]
        optimiser.param_groups[0]["lr"] = self.lr * cosine(epoch, self.epochs)
        wanted = (centres[target] / self.temperature).softmax(0)
        sums = torch.zeros(3, device=centres.device)
        for rows in parts:
            with seen.run.autocast():
                features = seen(rows, pattern()).float()
            found = (features / self.temperature).log_softmax(1)
            loss = F.kl_div(found, wanted.expand_as(found), reduction="batchmean")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            reached = (nearest(features.detach(), centres) == target).float().mean()
            sums += len(rows) * torch.stack([loss.detach(), reached, torch.ones_like(reached)])
        total, reached, count = sums.tolist()
        return {"loss": total / count, "at target": reached / count}
