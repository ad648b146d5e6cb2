"""Wide residual networks (Zagoruyko & Komodakis, BMVC 2016, arXiv 1605.07146): WRN-34-10."""

from torch import Tensor, nn

from unlearnable.models.layers import Normalise, Pool, bn_relu_conv, initialise


class Wide(nn.Module):
    """Two 3 x 3 convolutions, each after its normalisation and ReLU, added to the input or to its projection."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        norm, relu, conv = bn_relu_conv(inputs, outputs, 3, stride)
        self.activate = nn.Sequential(norm, relu)
        self.first = conv
        self.second = bn_relu_conv(outputs, outputs)
        same = stride == 1 and inputs == outputs
        self.project = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = self.activate(x)
        shortcut = x if self.project is None else self.project(active)
        return self.second(self.first(active)) + shortcut  # type: ignore[no-any-return]


def wrn34_10(classes: int, size: int) -> nn.Module:
    """WRN-34-10: 6 x 5 + 4 layers, widths 160-320-640, no dropout. One form at every size: it is for small images."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False)]
    inputs = 16
    for outputs, stride in ((160, 1), (320, 2), (640, 2)):
        layers.append(Wide(inputs, outputs, stride))
        layers.extend(Wide(outputs, outputs, 1) for _ in range(4))
        inputs = outputs
    layers += [nn.BatchNorm2d(inputs), nn.ReLU()]
    return initialise(nn.Sequential(Normalise(), *layers, Pool(), nn.Linear(inputs, classes)))
