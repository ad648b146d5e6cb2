"""Checkpoints: nested state in one safetensors file, whole or not at all, and nothing ever unpickled."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor


def save(path: Path, state: dict[str, Any], about: dict[str, str]) -> None:
    """Writes state: name -> Tensor, anything with state_dict, or a dict or list of tensors and JSON values.

    Tensors are written from where they lie: one that is mapped to a file takes no memory.
    """
    tensors: dict[str, Tensor] = {}
    plain = {k: _flatten(v.state_dict() if hasattr(v, "state_dict") else v, k, tensors) for k, v in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    save_file(tensors, scratch, metadata=about | {"plain": json.dumps(plain)})
    os.replace(scratch, path)


def restore(path: Path, state: dict[str, Any]) -> None:
    """Puts what `save` wrote back into the tensors, modules, dicts and lists of `state`."""
    tensors = load_file(path)
    plain = json.loads(read_metadata(path)["plain"])
    for name, value in state.items():
        _put_back(value, _unflatten(plain[name], tensors))


def read_metadata(path: Path) -> dict[str, str]:
    """The text header of a safetensors file, without its tensors."""
    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


def write_atomically(path: Path, data: bytes) -> None:
    """The file whole or not at all, whatever happens meanwhile."""
    scratch = scratch_of(path)
    scratch.write_bytes(data)
    os.replace(scratch, path)


def scratch_of(path: Path) -> Path:
    """Where `write_atomically` writes until the file is whole; a kill leaves it there."""
    return path.with_name(f".{path.name[:100]}.tmp")


def _flatten(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Nested state as JSON values, its tensors moved out under their path."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach().cpu().contiguous()
        return {"tensor": path}
    if isinstance(value, dict):
        return {"items": [[key, _flatten(item, f"{path}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_flatten(item, f"{path}/{i}", tensors) for i, item in enumerate(value)]}
    return {"value": value}


def _unflatten(value: Any, tensors: dict[str, Tensor]) -> Any:
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "items" in value:
        return {key: _unflatten(item, tensors) for key, item in value["items"]}
    if "list" in value:
        return [_unflatten(item, tensors) for item in value["list"]]
    return value["value"]


def _put_back(target: Any, value: Any) -> None:
    if isinstance(target, Tensor):
        with torch.no_grad():
            target.copy_(value)
    elif hasattr(target, "load_state_dict"):
        target.load_state_dict(value)
    elif isinstance(target, dict):
        target.clear()
        target.update(value)
    else:
        target[:] = value
