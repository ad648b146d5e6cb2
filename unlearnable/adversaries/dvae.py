"""D-VAE: disentangled rate-constrained autoencoder. Yu, Wang, Xia, Yang, Lu, Tan, Kot, ICML 2024, arXiv 2405.01460.

| paper | here |
|---|---|
| p-hat, the predicted perturbation | residue |
| kd, the target of the KL divergence in either pass, in nats a place of the latent map | first, second |
| 64 channels, 128 from half the side on; 256 latent ones | width, twice the width; latent |
| 60 epochs of Adam, 0.005, cosine, batch 128, gradients clipped at 5 | epochs, lr, batch |
| energy of p-hat that costs nothing; counts after 10 epochs, here after a sixth of them | slack |

Differs from the paper:
* form "coarse", the default: the networks see 2 x 2 pixels as one place, and are narrow, for a processor core's sake;
* the first pass has a lower rate: in so few epochs p-hat finds too little of a flat pattern at 1.0;
* the label's embedding starts near zero and learns 5 times as fast as the rest: it has a fraction of the steps;
* the latent's mean is kept, as the text has it; the code draws a sample. 8 bits after each subtraction, rounded.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.adversaries._filter import allow
from unlearnable.data import ImageSet
from unlearnable.models.layers import conv_bn
from unlearnable.models.resnet import Block
from unlearnable.pixels import UNBOUNDED, Bytes, release, to_float
from unlearnable.run import Run
from unlearnable.training import Purifier, cosine, fewer

Form = Literal["coarse", "published"]


class Network(nn.Module):
    """A picture coded at a bounded rate, and a second decoder that is told its label; -1 is one more class."""

    def __init__(self, classes: int, sides: torch.Size, channels: int, latent: int, form: Form) -> None:
        super().__init__()
        inner = 2 * channels
        self.trunk = _encoder(channels, form)
        self.mean, self.spread = nn.Conv2d(inner, latent, 1), nn.Conv2d(inner, latent, 1)
        self.post = nn.Conv2d(latent, inner, 1)
        self.content, self.residue = nn.Sequential(_decoder(channels, form), nn.Sigmoid()), _decoder(channels, form)
        self.map = (-(-sides[0] // 2), -(-sides[1] // 2), inner)
        self.label = nn.Embedding(classes + 1, math.prod(self.map))
        nn.init.normal_(self.label.weight, std=0.02)

    def forward(self, x: Tensor, labels: Tensor, rng: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
        """-> (reconstruction, p-hat, KL divergence in nats a place); without rng the latent is its mean."""
        height, width = x.shape[-2:]
        hidden = self.trunk(F.pad(x, (0, width % 2, 0, height % 2), mode="replicate"))
        mean, spread = self.mean(hidden), self.spread(hidden)
        rate = 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(1).mean()
        if rng is not None:
            noise = torch.randn(len(x), *self.map[:2], mean.shape[1], generator=rng).to(x.device).permute(0, 3, 1, 2)
            mean = mean + noise * (0.5 * spread).exp()
        z = self.post(mean)
        known = self.label(labels.remainder(self.label.num_embeddings)).unflatten(1, self.map).permute(0, 3, 1, 2)
        content, residue = self.content(z), self.residue(z + known)
        return content[:, :, :height, :width], residue[:, :, :height, :width], rate


def _encoder(channels: int, form: Form) -> nn.Sequential:
    """Features at half the side: ResNet-18 as far as the first block of its second stage, or its coarse form."""
    inner = 2 * channels
    if form == "coarse":
        return nn.Sequential(nn.PixelUnshuffle(2), conv_bn(12, inner), nn.ReLU(), Block(inner, inner, 1, nn.Identity()))
    equal = [Block(channels, channels, 1, nn.Identity()) for _ in range(2)]
    last = Block(channels, inner, 2, conv_bn(channels, inner, 1, 2))
    return nn.Sequential(conv_bn(3, channels), nn.ReLU(), *equal, last)


def _decoder(channels: int, form: Form) -> nn.Sequential:
    inner, half = 2 * channels, channels // 2
    if form == "coarse":
        return nn.Sequential(conv_bn(inner, inner), nn.ReLU(), nn.Conv2d(inner, 12, 3, padding=1), nn.PixelShuffle(2))
    return nn.Sequential(
        nn.ConvTranspose2d(inner, channels, 4, stride=2, padding=1),
        nn.ConvTranspose2d(channels, channels, 3, padding=1), nn.InstanceNorm2d(channels), nn.ReLU(),
        nn.ConvTranspose2d(channels, half, 3, padding=1), nn.InstanceNorm2d(half), nn.ReLU(),
        nn.ConvTranspose2d(half, 3, 3, padding=1),
    )  # fmt: skip


@dataclass(frozen=True)
class DVAE(Purifier):
    """Two passes learn and subtract the perturbation; what is left, as the second reconstructs it, is trained on.

    The paper's size: DVAE(60, width=64, latent=256, first=1.0, batch=128, form="published").
    Raises ValueError for a number outside its range.
    """

    epochs: int = 8
    width: int = 12
    latent: int = 16
    first: float = 0.3
    second: float = 3.0
    lr: float = 0.005
    batch: int = 32
    slack: float = 0.002
    form: Form = "coarse"

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("width", 2), ("latent", 1), ("batch", 1)):
            allow(name, getattr(self, name), least, 100_000)
        for name in ("first", "second", "lr", "slack"):
            allow(name, getattr(self, name), 0, 1000)

    def __call__(self, data: ImageSet, run: Run) -> Bytes:
        for turn in (1, 2):
            network = self.learn(data, run, turn)
            residue = torch.cat([residue.cpu() for _, residue in self.seen(network, data, run)])
            data = data.with_images(release(data.images, to_float(data.images) - residue, UNBOUNDED))
        content = torch.cat([content.cpu() for content, _ in self.seen(network, data, run)])
        return release(data.images, content, UNBOUNDED)

    def learn(self, data: ImageSet, run: Run, turn: int) -> Network:
        """The network of one pass (1 or 2), trained on 8-bit images and labels, in eval mode."""
        with run.seeded("dvae-init", turn):
            network = Network(len(data.classes), data.images.shape[-2:], self.width, self.latent, self.form)
        run.place(network)
        rest = [weight for name, weight in network.named_parameters() if not name.startswith("label")]
        optimiser = torch.optim.Adam([{"params": rest}, {"params": list(network.label.parameters())}], self.lr)
        for epoch in run.loop(f"dvae-{turn}", self.epochs, {"network": network, "optimiser": optimiser}):
            for group, times in zip(optimiser.param_groups, (1, 5), strict=True):
                group["lr"] = times * self.lr * cosine(epoch, self.epochs)
            network.train()
            for batch, rows in enumerate(run.batches(len(data), self.batch, run.rng("dvae-order", turn, epoch))):
                x, labels = to_float(data.images[rows]).to(run.at), data.labels[rows].to(run.at)
                with run.autocast():
                    seen = network(x, labels, run.rng("dvae-noise", turn, epoch, batch))
                loss = self.loss(x, seen, self.second if turn == 2 else self.first, 6 * epoch > self.epochs)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimiser.step()
        return network.eval()

    def loss(self, x: Tensor, seen: tuple[Tensor, Tensor, Tensor], target: float, small: bool) -> Tensor:
        """Both reconstructions' errors and the rate above its target; `small`: and the energy of p-hat above slack."""
        content, residue, rate = (part.float() for part in seen)
        loss = F.mse_loss(content, x) + F.mse_loss((content + residue).clamp(0, 1), x)
        loss = loss + (0.01 if target >= 1 else 0.5) * rate.clamp_min(target)
        return loss + residue.square().mean().clamp_min(self.slack) if small else loss

    def seen(self, network: Network, data: ImageSet, run: Run) -> Iterator[tuple[Tensor, Tensor]]:
        """(reconstruction, p-hat), batch by batch."""
        batches = zip(*(part.split(fewer(128, data.size)) for part in (data.images, data.labels)), strict=True)
        for x, labels in batches:
            with torch.no_grad():
                content, residue, _ = network(to_float(x).to(run.at), labels.to(run.at), None)
            yield content, residue
