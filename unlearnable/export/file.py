"""The ONNX file: written by PyTorch's exporter, without what that adds about this machine, and with how to use it."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from unlearnable import __version__
from unlearnable.export.network import Whole
from unlearnable.pixels import Budget, eps_text, level_cap
from unlearnable.protections._generated import Generated
from unlearnable.run import write_atomically

INPUT, OUTPUT = "view", "change"
_TRACED = 48  # pixels a side while it is traced; the file takes any
_USE = """\
1. side = min({side}, the longer side of the picture in pixels).
2. view: the whole picture, 8-bit RGB, squashed to side x side, bilinear and antialiased, to 8 bits: Pillow's
   picture.resize((side, side), Image.Resampling.BILINEAR). As float32 in 0..1, shape (1, 3, side, side).
3. change: this network's output, of the same shape, in 0..1 units, none above eps.
4. Resize the change, never the picture, to the picture's width and height: bilinear, antialiased where it shrinks.
   Of a grey picture take the mean of the three channels.
5. Times 255, round to nearest (half to even), clip to -levels..levels, add to the 8-bit picture, clip to 0..255.
6. Save without loss, as PNG for example: JPEG would spoil the change."""


def written(found: Generated, method: str, budget: Budget, path: Path) -> None:
    """Writes a generator and its encoder as one file; its metadata say what it is and how to use it.

    Raises ValueError where the encoder is not to be had, or is none that can be written.
    """
    model = _traced(Whole(found))
    about = {
        "method": method if not Path(method).is_dir() else Path(method).name,
        "eps": eps_text(budget.eps),
        "levels": str(level_cap(budget)),
        "side": str(found.size),
        "unlearnable": __version__,
        "use": _USE.format(side=found.size),
    }
    for key, value in about.items():
        model.metadata_props.add(key=key, value=value)
    write_atomically(path, model.SerializeToString())


def _traced(network: Whole) -> Any:
    """The network as an ONNX model, checked, with nothing in it about where and from what lines it was made."""
    import onnx

    side = torch.export.Dim("side", min=1, max=network.found.size)
    view = torch.zeros(1, 3, _TRACED, _TRACED)
    with _silence(), torch.no_grad():
        program = torch.onnx.export(
            network.eval(), (view,), dynamo=True, verbose=False, external_data=False,
            input_names=[INPUT], output_names=[OUTPUT], dynamic_shapes=({2: side, 3: side},),
        )  # fmt: skip
    if program is None:
        raise AssertionError("the exporter of PyTorch gave no program")
    model = program.model_proto
    _forget_origins(model)
    model.producer_name, model.producer_version = "unlearnable", __version__
    onnx.checker.check_model(model)
    return model


def _forget_origins(model: Any) -> None:
    """Stack traces with the folders of this machine lie in every node."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


@contextmanager
def _silence() -> Iterator[None]:
    """No warnings and no notices of the exporter meanwhile: a library does not print."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
