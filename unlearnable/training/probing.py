"""What features are worth to whoever has labels for some images: a linear probe, and the nearest neighbours."""

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.pixels import Labels

Features = Float32[Tensor, "_ d"]
NEIGHBOURS = 20
_PENALTY = 0.01  # of the squared weights of standardised features
_STEPS = 100


def linear_probe(features: Features, labels: Labels, classes: int) -> nn.Linear:
    """Multinomial logistic regression on standardised features, by L-BFGS; the layer takes features as they are."""
    mean, scale = features.mean(0), features.std(0, correction=0).clamp_min(1e-6)
    seen = (features - mean) / scale
    weight = torch.zeros(classes, features.shape[1], device=features.device, requires_grad=True)
    bias = torch.zeros(classes, device=features.device, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(F.linear(seen, weight, bias), labels) + _PENALTY * weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    layer = nn.Linear(features.shape[1], classes, device=features.device).requires_grad_(False)
    layer.weight.copy_(weight.detach() / scale)
    layer.bias.copy_(bias.detach() - layer.weight @ mean)
    return layer


def neighbours(features: Features, labels: Labels, asked: Features, classes: int) -> Tensor:
    """The class that the nearest images vote for, by cosine; a near one has more of a say (Wu et al., CVPR 2018, arXiv
    1805.01978, section 3.4: exp(cosine / 0.07)).
    """
    known, votes = F.normalize(features, dim=1), F.one_hot(labels, classes).float()
    found = []
    for part in F.normalize(asked, dim=1).split(500):
        likeness, rows = (part @ known.T).topk(min(NEIGHBOURS, len(known)), dim=1)
        found.append(((likeness / 0.07).softmax(1)[..., None] * votes[rows]).sum(1).argmax(1))
    return torch.cat(found)
