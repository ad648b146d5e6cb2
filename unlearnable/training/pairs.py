"""What four ways of learning without labels minimise over two views of each image, and the networks it takes.

| learner | paper | loss of two views |
|---|---|---|
| simclr | Chen, Kornblith, Norouzi, Hinton, ICML 2020, arXiv 2002.05709, equation 1 | `contrast` |
| moco | MoCo v2: Chen, Fan, Girshick, He, 2020, arXiv 2003.04297; MoCo: arXiv 1911.05722, equation 1 | `retrieve` |
| byol | Grill et al., NeurIPS 2020, arXiv 2006.07733, equation 2 | `predict` |
| simsiam | Chen, He, CVPR 2021, arXiv 2011.10566, equation 1 | `predict`, half of it and less a constant |

Differs from the papers, for few images and small networks:
* the slow copy keeps 0.99 at a step (MoCo 0.999; BYOL 0.996, rising to 1), MoCo's queue has 2,048 images (65,536);
* MoCo's projector has batch normalisation and its batches are not shuffled over machines; SimSiam's projector has two
  layers (three).
"""

from copy import deepcopy
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.pixels import Pixels
from unlearnable.run import Run
from unlearnable.training.network import forward

Learner = Literal["simclr", "moco", "byol", "simsiam"]
Codes = Float32[Tensor, "_ d"]


def contrast(first: Codes, second: Codes, temperature: float) -> Tensor:
    """NT-Xent: each of the 2n codes is to find the other view of its image among all the others. Mean, in nats."""
    codes = F.normalize(torch.cat([first, second]), dim=1)
    likeness = codes @ codes.T / temperature
    likeness = likeness.masked_fill(torch.eye(len(codes), dtype=torch.bool, device=codes.device), -torch.inf)
    return F.cross_entropy(likeness, torch.arange(len(codes), device=codes.device).roll(len(first)))


def retrieve(queries: Codes, keys: Codes, others: Codes, temperature: float) -> Tensor:
    """InfoNCE: each query is to find the key of its image among that and the other codes. Mean, in nats."""
    queries, keys, others = (F.normalize(part, dim=1) for part in (queries, keys, others))
    likeness = torch.cat([(queries * keys).sum(1, keepdim=True), queries @ others.T], 1) / temperature
    return F.cross_entropy(likeness, torch.zeros(len(queries), dtype=torch.int64, device=queries.device))


def predict(answers: Codes, wanted: Codes) -> Tensor:
    """The squared distance of unit vectors, 2 - 2 cos: 0 to 4. Mean."""
    return 2 - 2 * F.cosine_similarity(answers, wanted).mean()


def headless(network: nn.Module) -> nn.Linear:
    """Takes the last linear layer out of a network, which gives features from then on, and returns it.

    Raises ValueError for a network that has none.
    """
    linear = [name for name, part in network.named_modules() if isinstance(part, nn.Linear)]
    if not linear or not linear[-1]:
        raise ValueError(f"{type(network).__name__} does not end in a linear layer: its features cannot be told")
    head = network.get_submodule(linear[-1])
    network.set_submodule(linear[-1], nn.Identity())
    assert isinstance(head, nn.Linear)
    return head


class Pairs(nn.Module):
    """A network without its head and what a learner puts on it: a projector, a predictor (byol, simsiam), a copy that
    follows slowly (moco, byol) and the codes of earlier images (moco).

    features: how many values the network gives; `online` are the weights that learn.
    """

    def __init__(
        self, learner: Learner, network: nn.Module, features: int, temperature: float, follow: float, queue: int
    ) -> None:
        super().__init__()
        self.learner, self.temperature, self.follow = learner, temperature, follow
        width, codes = min(512, features), 128
        self.online = nn.Sequential(network, _perceptron(features, width, codes, last=learner == "simsiam"))
        self.predictor = _perceptron(codes, width // 2, codes) if learner in ("byol", "simsiam") else nn.Identity()
        self.behind = deepcopy(self.online).requires_grad_(False) if learner in ("moco", "byol") else None
        self.earlier: Tensor
        drawn = nn.init.normal_(torch.empty(queue, codes)) if learner == "moco" else torch.empty(0, codes)
        self.register_buffer("earlier", F.normalize(drawn, dim=1))

    def loss(self, first: Pixels, second: Pixels, run: Run, both: bool = False) -> tuple[Tensor, Codes]:
        """The mean loss of two views of the same images, and the codes that the slow copy gave (moco; else none).

        both: gradients go back to the images through the branch that the learner itself takes as given, too.
        """
        seen = torch.cat([first, second])
        if self.learner == "moco":
            with torch.set_grad_enabled(both):
                keys = forward(self._slow, second, run)
            return retrieve(forward(self.online, first, run), keys, self.earlier, self.temperature), keys.detach()
        codes = forward(self.online, seen, run)
        none = codes.detach()[:0]
        if self.learner == "simclr":
            return contrast(codes[: len(first)], codes[len(first) :], self.temperature), none
        if self.learner == "byol":
            with torch.set_grad_enabled(both):
                wanted = forward(self._slow, seen, run)
        else:
            wanted = codes if both else codes.detach()
        with run.autocast():
            answers = self.predictor(codes).float()
        return predict(answers, wanted.roll(len(first), 0)), none

    @torch.no_grad()
    def learned(self, keys: Codes) -> None:
        """After a step: the copy follows, and the oldest codes give way to new ones."""
        if self.behind is None:
            return
        for slow, fast in zip(self.behind.parameters(), self.online.parameters(), strict=True):
            slow.lerp_(fast, 1 - self.follow)
        if len(self.earlier):
            self.earlier.copy_(torch.cat([self.earlier, F.normalize(keys, dim=1)])[-len(self.earlier) :])

    @property
    def _slow(self) -> nn.Module:
        assert self.behind is not None
        return self.behind


def _perceptron(inputs: int, width: int, outputs: int, last: bool = False) -> nn.Sequential:
    """Two layers; batch normalisation behind the first, and where `last`, without weights, behind the second."""
    layers = [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, outputs)]
    return nn.Sequential(*layers, *([nn.BatchNorm1d(outputs, affine=False)] if last else []))
