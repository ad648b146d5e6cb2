"""The files of a CLIP: in a folder or fetched from the hub, checked before they are opened, and never unpickled."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any

from unlearnable.extras import imported

MEAN = (0.48145466, 0.4578275, 0.40821073)  # by channel, of the images that the published networks were trained on
STD = (0.26862954, 0.26130258, 0.27577711)
Triple = tuple[float, ...]

_NEEDED = {  # any one set of each
    "config.json": ({"config.json"},),
    "model.safetensors": ({"model.safetensors"}, {"model.safetensors.index.json"}),
    "vocab.json and merges.txt (or tokenizer.json)": ({"vocab.json", "merges.txt"}, {"tokenizer.json"}),
}
_OLD, _NEW = "preprocessor_config.json", "processor_config.json"
_FETCHED = ["config.json", "model*.safetensors", "model.safetensors.index.json", "vocab.json", "merges.txt"]
_FETCHED += ["tokenizer.json", "tokenizer_config.json", _OLD, _NEW]
_imported = partial(imported, what="CLIP", extra="clip")
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")


def located(place: str, fetch: bool = True) -> tuple[Path, str]:
    """The folder that a place stands for, and its name: a folder's own, or OWNER/NAME@COMMIT of the hub.

    Only what is no folder is asked of the hub, without `fetch` of its cache alone. Raises ValueError where that gives
    nothing, saying which files to bring or how to fetch them.
    """
    if Path(place).is_dir():
        return Path(place), place
    if not _HUB.fullmatch(place):
        raise ValueError(f"clip:{place} must be a folder, or OWNER/NAME or OWNER/NAME@REVISION of the hub")
    repository, _, revision = place.partition("@")
    library, hub = _imported("transformers"), _imported("huggingface_hub")
    try:
        with _quiet(library):
            found = Path(
                hub.snapshot_download(
                    repository, revision=revision or None, allow_patterns=_FETCHED, local_files_only=not fetch
                )
            )
    except Exception as error:  # each library of the network has its own
        if not fetch:
            raise ValueError(
                f"{place} is not in the hub's cache here, and what only a fitted protection names is not fetched: "
                f"where you trust it, unlearnable.encoders.encoder('clip:{place}') in Python fetches it"
            ) from None
        raise ValueError(
            f"{place} is no folder here and the hub does not give it ({_line(error)}): "
            f"bring a folder with {', '.join(_NEEDED)}, and say clip:FOLDER"
        ) from None
    return found, f"{repository}@{found.name}"


def opened(folder: Path) -> tuple[Any, Any, Triple, Triple]:
    """The CLIPModel of a folder, its tokenizer, and the mean and standard deviation of each channel; no network.

    Raises ValueError in one line where a file is missing, cannot be read or belongs to another model.
    """
    _check(folder)
    mean, std = _statistics(folder)
    library = _imported("transformers")
    try:
        with _quiet(library):
            model, info = library.CLIPModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
            tokenizer = library.CLIPTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # a broken tokenizer raises Exception itself
        raise ValueError(f"{folder} cannot be read as CLIP: {_line(error)}") from None
    if lacking := sorted(info["missing_keys"]):  # they would be random
        raise ValueError(f"{folder} is not all of a CLIP: its weights lack {len(lacking)} tensors, first {lacking[0]}")
    if len(tokenizer) > (known := model.config.text_config.vocab_size):
        raise ValueError(f"{folder}: its tokenizer has {len(tokenizer)} tokens, its network {known}: bring its own")
    return model, tokenizer, mean, std


def _check(folder: Path) -> None:
    there = {path.name for path in folder.iterdir()}
    lacking = [name for name, choices in _NEEDED.items() if not any(files <= there for files in choices)]
    if "model.safetensors" in lacking and "pytorch_model.bin" in there:
        raise ValueError(
            f"{folder} has its weights in pytorch_model.bin alone, which would have to be unpickled: bring "
            "model.safetensors of the same model (where you trust the file, CLIPModel.save_pretrained writes it)"
        )
    if lacking:
        raise ValueError(f"{folder} is not all of a CLIP: it lacks {', '.join(lacking)}")
    if (kind := _json(folder / "config.json").get("model_type")) != "clip":
        raise ValueError(f"{folder} holds no CLIP: model_type in its config.json must be 'clip', got {kind!r}")


def _statistics(folder: Path) -> tuple[Triple, Triple]:
    """As the folder says, in the file of either generation of transformers, or else the published ones."""
    said = _json(folder / _OLD) or _json(folder / _NEW).get("image_processor", {})
    with suppress(AttributeError, TypeError, ValueError):
        mean, std = (tuple(map(float, said.get(*of))) for of in (("image_mean", MEAN), ("image_std", STD)))
        if len(mean) == len(std) == 3 and all(std):
            return mean, std
    raise ValueError(f"{folder}: image_mean and image_std must be three numbers each, none of image_std 0, got {said}")


def _json(path: Path) -> dict[str, Any]:
    """What a file says; nothing where there is none."""
    try:
        return dict(json.loads(path.read_text())) if path.exists() else {}
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {_line(error)}") from None


@contextmanager
def _quiet(library: Any) -> Iterator[None]:
    """No bars and no notices of transformers meanwhile: a library does not print."""
    logging = library.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _line(error: Exception) -> str:
    return shorten(f"{type(error).__name__}: {error}", 200)
