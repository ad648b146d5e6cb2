"""Vision transformers (Dosovitskiy et al., ICLR 2021, arXiv 2010.11929), in two small sizes."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.models.layers import Normalise, large


class Tokens(nn.Module):
    """(n, 3, size, size) -> (n, 1 + patches, dim): the class token and a projection of every patch, with positions.

    Where size is no multiple of the patch, the image gets a border at the right and bottom of what 0 means here (after
    normalisation: middle grey).
    """

    def __init__(self, size: int, patch: int, dim: int) -> None:
        super().__init__()
        across = -(-size // patch)
        self.border = across * patch - size
        self.project = nn.Conv2d(3, dim, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, dim))
        self.position = nn.Parameter(torch.zeros(1, 1 + across * across, dim))
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.project(F.pad(x, (0, self.border, 0, self.border))).flatten(2).transpose(1, 2)
        return torch.cat((self.token.expand(len(x), -1, -1), patches), 1) + self.position


class First(nn.Module):
    """(n, t, d) -> (n, d): the class token."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


def vit(classes: int, size: int) -> nn.Module:
    """Pre-norm encoder with a class token, learned positions, GELU, no dropout.

    Below 128 pixels patch 4, 6 layers, dim 512, 8 heads, mlp 512, as CIFAR papers train it (Image Shortcut Squeezing,
    arXiv 2301.13838); from there patch 16, 4 layers, dim 256, 8 heads, mlp 256, as One-for-All does at 224 pixels.
    It wants a small rate (SGD 0.01 with warm-up, or Adam 1e-4) and, without augmentation, far more images than a
    convolutional network. Attention costs (size / patch)^4: 96 pixels are 81 times the attention of 32.
    """
    patch, dim, depth, mlp = (16, 256, 4, 256) if large(size) else (4, 512, 6, 512)
    layers = [
        nn.TransformerEncoderLayer(dim, 8, mlp, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        for _ in range(depth)
    ]
    return nn.Sequential(
        Normalise(), Tokens(size, patch, dim), *layers, First(), nn.LayerNorm(dim), nn.Linear(dim, classes)
    )
