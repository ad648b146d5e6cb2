"""One picture: its colour samples as an array to change, and everything else aside, to be written back unchanged."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unlearnable.files.formats import Container, Target, identify
from unlearnable.files.pictures import carried, metadata, opening, png, tiff
from unlearnable.files.pictures.metadata import Metadata
from unlearnable.files.refused import Refused, refusing
from unlearnable.pixels import eight_bit

Samples = NDArray[np.uint8] | NDArray[np.uint16]
_BAND_PIXELS = 1 << 20


@dataclass(frozen=True, eq=False, slots=True)
class Picture:
    """A decoded picture.

    planes: (h, w, c) uint8, c = 1 for grey and 3 for colour (RGB order; for CMYK the complements of C, M
        and Y, so that more is lighter); uint16 with c = 1 for 16-bit grey. As stored: no orientation and no
        profile applied. Read-only.
    aside: (h, w) uint8, the alpha or the K channel; None where there is none. Read-only.
    mode: L, LA, RGB, RGBA, I;16 or CMYK: what is written.
    format: what was read (PNG, JPEG, MPO, ...).
    target: what is written (PNG, WEBP, TIFF, BMP).
    compression: of the pixels, where TIFF is written; Pillow's name.
    notes: what had to change, e.g. "palette -> RGBA"; empty where nothing but colour samples will."""

    planes: Samples
    aside: NDArray[np.uint8] | None
    mode: str
    format: str
    target: Target
    compression: str
    metadata: Metadata
    notes: tuple[str, ...]

    def view(self, size: int) -> NDArray[np.uint8]:
        """(size, size, 3) uint8 RGB: what a network sees.

        The whole picture squashed to a square by Pillow's antialiased bilinear filter; the very samples where it
        already is a square of that size. CMYK is converted by Pillow with K applied; alpha is not applied.
        """
        if self.mode == "I;16":
            image = Image.fromarray(eight_bit(self.planes[..., 0]))
        elif self.mode == "CMYK":
            image = _image(_samples(self.planes, self.aside, "CMYK"), "CMYK").convert("RGB")
        else:
            image = _image(_samples(self.planes, None, ""), "L" if self.planes.shape[2] == 1 else "RGB")
        seen = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
        return np.repeat(seen[..., None], 3, axis=2) if seen.ndim == 2 else seen


def decode(data: bytes, name: str, container: Container = "keep") -> Picture:
    """The picture in `data`, ready to be changed and written as `container` says; raises `Refused`, nothing else.

    keep: the same file type where that holds exact samples (PNG, TIFF, BMP, lossless WebP), else PNG; CMYK always TIFF.
    """
    kind = identify(data, name)
    with opening.opened(data, kind) as image:
        plan = opening.plan(image, data, kind, container)
        image.load()
        planes, aside = _split(image, plan.mode)
        meta, said = carried.collect(image, data, kind, plan)
        notes = (*plan.notes, *said, *carried.losses(meta, kind, plan.target))
        read = image.format or kind
        return Picture(planes, aside, plan.mode, read, plan.target, plan.compression, meta, notes)


def encode(picture: Picture, planes: Samples) -> bytes:
    """The file `picture.target` with `planes` in place of `picture.planes`; the same bytes every time.

    Raises ValueError where `planes` has another shape or type, and `Refused` where the encoder cannot write it.
    """
    if planes.shape != picture.planes.shape or planes.dtype != picture.planes.dtype:
        raise ValueError(
            f"planes must be {picture.planes.dtype} {picture.planes.shape}, got {planes.dtype} {planes.shape}"
        )
    mode = _stored_mode(picture)
    with refusing(f"cannot be encoded as {picture.target}"):
        file = BytesIO()
        _image(_samples(planes, picture.aside, mode), mode).save(file, picture.target, **_options(picture))
        if picture.target == "PNG":
            return png.with_chunks(file.getvalue(), png.chunks_for(picture.metadata))
        if picture.target == "TIFF":
            return tiff.graft(file.getvalue(), metadata.tiff_tags_for(picture.metadata))
        return file.getvalue()


def plain(samples: NDArray[np.uint8]) -> bytes:
    """A BMP that holds (h, w, 1 or 3) samples and nothing else: what `encode` writes for it is this file again."""
    mode = "L" if samples.shape[2] == 1 else "RGB"
    return encode(Picture(samples, None, mode, "BMP", "BMP", opening.DEFLATE, Metadata(), ()), samples)


def matches(picture: Picture, planes: Samples, data: bytes, name: str) -> str | None:
    """Reads back a written file: None where it holds `planes` and all else of `picture`, else what is wrong."""
    try:
        kind = identify(data, name)
        if kind != picture.target:
            return f"it is {kind}, not {picture.target}"
        with opening.opened(data, kind) as image:
            image.load()
            return _wrong_samples(picture, planes, image) or carried.wrong(picture.metadata, image, data, kind)
    except Refused as error:
        return str(error)


def _wrong_samples(picture: Picture, planes: Samples, image: Image.Image) -> str | None:
    mode, aside = _stored_mode(picture), picture.aside
    if _opaque_in_webp(picture) and image.mode == "RGB":
        mode, aside = "RGB", None
    size = (planes.shape[1], planes.shape[0])
    if image.mode != mode or image.size != size:
        return f"read back as {image.mode} {image.size}, not {mode} {size}"
    for top, band in _bands(image, mode):
        rows = slice(top, top + len(band))
        expected = _samples(planes[rows], None if aside is None else aside[rows], mode)
        if not np.array_equal(band, expected):
            return "the samples read back differ from those written"
    return None


def _opaque_in_webp(picture: Picture) -> bool:
    """WebP leaves out an alpha channel that is opaque everywhere: nothing is lost."""
    aside = picture.aside
    return picture.target == "WEBP" and aside is not None and bool(aside.min() == np.iinfo(aside.dtype).max)


def _stored_mode(picture: Picture) -> str:
    grey = {"L": "RGB", "LA": "RGBA"}
    return grey.get(picture.mode, picture.mode) if picture.target == "WEBP" else picture.mode


def _split(image: Image.Image, mode: str) -> tuple[Samples, NDArray[np.uint8] | None]:
    """(planes, aside) of a loaded image, converted to `mode` band by band so that little else is in memory."""
    width, height = image.size
    colours = 3 if mode in ("RGB", "RGBA", "CMYK") else 1
    planes: Any = np.empty((height, width, colours), np.uint16 if mode == "I;16" else np.uint8)
    aside = np.empty((height, width), np.uint8) if mode in ("LA", "RGBA", "CMYK") else None
    for top, band in _bands(image, mode):
        rows = slice(top, top + len(band))
        colour = band[..., :colours] if band.ndim == 3 else band[..., None]
        planes[rows] = ~colour if mode == "CMYK" else colour
        if aside is not None:
            aside[rows] = band[..., colours]
    planes.flags.writeable = False
    if aside is not None:
        aside.flags.writeable = False
    return planes, aside


def _bands(image: Image.Image, mode: str) -> Iterator[tuple[int, NDArray[Any]]]:
    """(first row, samples) of the image from top to bottom, converted to `mode`."""
    width, height = image.size
    step = max(1, _BAND_PIXELS // width)
    for top in range(0, height, step):
        band = image if step >= height else image.crop((0, top, width, min(top + step, height)))
        same = band.mode == mode or mode == "I;16"
        yield top, np.asarray(band if same else band.convert(mode))


def _samples(planes: Samples, aside: NDArray[np.uint8] | None, mode: str) -> NDArray[Any]:
    """Interleaved samples as a file stores them: (h, w), or (h, w, bands) with `aside` last."""
    colour: NDArray[Any] = ~planes if mode == "CMYK" else planes
    if mode in ("RGB", "RGBA") and colour.shape[2] == 1:
        colour = np.repeat(colour, 3, axis=2)
    if aside is not None:
        return np.concatenate((colour, aside[..., None]), axis=2)
    return colour[..., 0] if colour.shape[2] == 1 else colour


def _image(samples: NDArray[Any], mode: str) -> Image.Image:
    rows = np.ascontiguousarray(samples)
    return Image.frombuffer(mode, (rows.shape[1], rows.shape[0]), rows, "raw", mode, 0, 1)


def _options(picture: Picture) -> dict[str, Any]:
    meta = picture.metadata
    if picture.target == "PNG":
        return {"compress_level": 6}
    if picture.target == "TIFF":
        return {"compression": picture.compression}
    if picture.target == "BMP":
        return {"dpi": meta.dpi or (0, 0)}
    kept = {"icc_profile": meta.icc, "exif": meta.exif, "xmp": meta.xmp}
    return {"lossless": True, "exact": True, "method": 4} | {key: value for key, value in kept.items() if value}
