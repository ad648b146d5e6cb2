"""MobileNetV2 1.0 (Sandler et al., CVPR 2018, arXiv 1801.04381)."""

from torch import Tensor, nn

from unlearnable.models.layers import Normalise, Pool, conv_bn, initialise, large

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Table 2 of the paper: expansion, channels, repeats and the stride of the first."""
FEATURES = 1280


class Inverted(nn.Module):
    """Inverted residual: 1 x 1 to `expansion` times the channels, depthwise 3 x 3, linear 1 x 1.

    project: where the width changes at stride 1, add a projection of the input; the paper adds nothing there.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, project: bool) -> None:
        super().__init__()
        width = inputs * expansion
        expand = [conv_bn(inputs, width, 1), nn.ReLU6()] if expansion > 1 else []
        depthwise = [conv_bn(width, width, 3, stride, width), nn.ReLU6()]
        self.change = nn.Sequential(*expand, *depthwise, conv_bn(width, outputs, 1))
        self.shortcut: nn.Module | None = None
        if stride == 1 and inputs == outputs:
            self.shortcut = nn.Identity()
        elif stride == 1 and project:
            self.shortcut = conv_bn(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.change(x)
        return y if self.shortcut is None else y + self.shortcut(x)


def mobilenetv2(classes: int, size: int) -> nn.Module:
    """MobileNetV2, without dropout: nothing in a network here draws random numbers while it runs.

    Below 128 pixels the form of the CIFAR benchmarks: the stem and the second stage keep the resolution (a reduction
    by 8 instead of 32), and blocks that widen at stride 1 add a projection of their input.
    """
    small = not large(size)
    layers: list[nn.Module] = [conv_bn(3, 32, 3, 1 if small else 2), nn.ReLU6()]
    inputs = 32
    for stage, (expansion, outputs, repeats, first) in enumerate(STAGES):
        for repeat in range(repeats):
            stride = 1 if repeat > 0 or (small and stage == 1) else first
            layers.append(Inverted(inputs, outputs, stride, expansion, small))
            inputs = outputs
    layers += [conv_bn(inputs, FEATURES, 1), nn.ReLU6()]
    return initialise(nn.Sequential(Normalise(), *layers, Pool(), nn.Linear(FEATURES, classes)))
