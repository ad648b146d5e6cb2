"""A generator as one ONNX file, which protects without PyTorch; kept only where it protects as `protect` does."""

from unlearnable.export.exporting import Exported as Exported
from unlearnable.export.exporting import export as export
