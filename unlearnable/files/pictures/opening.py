"""Opens one picture with Pillow, refuses what would not survive, and decides in which mode and format it is written."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from unlearnable.files.formats import Container, Target
from unlearnable.files.pictures import tiff
from unlearnable.files.pictures.metadata import jpeg_end
from unlearnable.files.refused import Refused, pillow_silence, refusing

MAX_PIXELS = 178_956_970
"""Pictures above this are taken for decompression bombs; the same limit as Pillow's."""
_MAX_WEBP_SIDE = 16_383
_ONE_PICTURE = ("JPEG", "HEIF")  # further pictures in the file are previews, depth maps or a second eye
_MODES = {"L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "CMYK", "I;16": "I;16", "I;16B": "I;16",
          "I;16L": "I;16", "I;16N": "I;16", "1": "L", "P": "RGB", "PA": "RGBA"}  # fmt: skip
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA", "LA": "LA", "RGBA": "RGBA"}
DEFLATE = "tiff_adobe_deflate"
_COMPRESSIONS = {"raw": "raw", "tiff_lzw": "tiff_lzw", "packbits": "packbits"}


@dataclass(frozen=True, slots=True)
class Plan:
    """How a picture is written: mode of its pixels, file format, TIFF compression, and what had to change."""

    mode: str
    target: Target
    compression: str
    notes: tuple[str, ...]


@contextmanager
def opened(data: bytes, kind: str) -> Iterator[Image.Image]:
    """The picture, header read, pixels not yet decoded and never turned; every failure inside is `Refused`."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise Refused("PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on, so damage would go unnoticed: set it to False")
    with pillow_silence, refusing(f"cannot be decoded as {kind}"), _open(data, kind) as image:
        if image.width * image.height > MAX_PIXELS:
            raise _too_large(f"{image.width} x {image.height} pixels")
        yield image


def _open(data: bytes, kind: str) -> Image.Image:
    if kind == "HEIF":
        return _open_heif(data)
    try:
        source = BytesIO(tiff.upright(data) if kind == "TIFF" else data)
        return Image.open(source, formats=("JPEG", "MPO") if kind == "JPEG" else (kind,))
    except Image.DecompressionBombError as error:
        raise _too_large("too many pixels") from error
    except UnidentifiedImageError as error:
        raise Refused(f"cannot be decoded as {kind}: its header is damaged") from error
    except ValueError as error:
        if "MAX_TEXT_CHUNK" not in str(error):
            raise
        most = PngImagePlugin.MAX_TEXT_CHUNK
        raise Refused(f"a profile or a text in it unpacks to more than {most:,} bytes: take it out first") from error


def _too_large(size: str) -> Refused:
    remedy = "cut it into tiles or shrink it"
    return Refused(f"{size}: above the {MAX_PIXELS:,} allowed (a decompression bomb?): {remedy}")


def _open_heif(data: bytes) -> Image.Image:
    try:
        plugin = importlib.import_module("pillow_heif")
    except ImportError as error:
        remedy = "`pip install pillow-heif`, or convert it to JPEG or PNG"
        raise Refused(f"HEIC pictures need the package pillow_heif: {remedy}") from error
    image: Image.Image = plugin.HeifImageFile(BytesIO(data))
    return image


def plan(image: Image.Image, data: bytes, kind: str, container: Container) -> Plan:
    """What becomes of an opened picture; raises `Refused` where it could not be written without loss."""
    notes = [*(_frames(image, kind) or _behind(data, kind)), *_check_samples(image, data, kind)]
    mode, said = _mode(image, data, kind)
    target = _target(image, data, kind, mode, container)
    compression = _COMPRESSIONS.get(image.info.get("compression", "") if kind == "TIFF" else "", DEFLATE)
    notes += said
    if kind != target:
        notes.append(f"{kind} -> {target}")
    elif kind == "TIFF" and compression == DEFLATE and "deflate" not in image.info["compression"]:
        notes.append(f"TIFF compression {image.info['compression']} -> deflate")
    if container != "keep" and target != container.upper():
        notes.append(f"CMYK cannot be {container}: written as TIFF")
    if target == "WEBP" and mode in ("L", "LA"):
        notes.append("grey stored as RGB: WebP has no grey")
    return Plan(mode, target, compression, tuple(notes))


def _frames(image: Image.Image, kind: str) -> list[str]:
    n = int(getattr(image, "n_frames", 1))
    if n == 1:
        return []
    if kind in _ONE_PICTURE:
        return [f"only the first of the {n} pictures in the file is kept"]
    what = f"a file with {n} pages" if kind == "TIFF" else f"animation with {n} frames"
    raise Refused(f"{what} is not supported: save each as a file of its own")


def _behind(data: bytes, kind: str) -> list[str]:
    """What lies behind the end of a JPEG, such as the film of a moving picture: no part of the picture."""
    left = len(data) - jpeg_end(data, 0) if kind == "JPEG" else 0
    return [f"{left:,} bytes behind the picture's end are left out"] if left else []


def _check_samples(image: Image.Image, data: bytes, kind: str) -> list[str]:
    """Refuses samples that Pillow would change without a word: 16 bits to 8, extra channels, odd meanings."""
    if kind == "PNG":
        depth, colour = data[24], data[25]
        if depth == 16 and colour != 0:
            raise _sixteen_bit()
        return [f"{depth}-bit grey -> 8-bit grey"] if depth in (2, 4) and colour == 0 else []
    if kind == "TIFF":
        return _check_tiff(tiff.parse(data), image)
    if kind == "JPEG2000":
        at = data.find(b"\xff\x4f\xff\x51")
        if max(data[at + 42 : at + 42 + 3 * len(image.getbands()) : 3], default=0) % 128 >= 8 and image.mode != "I;16":
            raise _sixteen_bit()
    if (kind == "AVIF" and _high_bit_depth(data)) or image.info.get("bit_depth", 8) != 8:
        raise _sixteen_bit()
    return []


def _sixteen_bit() -> Refused:
    return Refused("colour with more than 8 bits per channel is not supported: convert it to 8 bits per channel")


def _high_bit_depth(avif: bytes) -> bool:
    at = avif.find(b"av1C")
    return at >= 0 and bool(avif[at + 6] & 0b0100_0000)


def _check_tiff(tags: tiff.Tags, image: Image.Image) -> list[str]:
    depths = tiff.values(tags.get(tiff.BITS_PER_SAMPLE)) or (1,)
    extra = tiff.values(tags.get(tiff.EXTRA_SAMPLES))
    photometric = tiff.values(tags.get(tiff.PHOTOMETRIC)) or (0,)
    if len(image.getbands()) > 1 and max(depths) > 8:
        raise _sixteen_bit()
    if max(depths) not in (1, 2, 4, 8, 16) or set(tiff.values(tags.get(tiff.SAMPLE_FORMAT))) - {1}:
        raise Refused(f"{max(depths)}-bit, signed or floating samples are not supported: convert them to 8 bits")
    if extra not in ((), (2,)):
        raise Refused("premultiplied alpha or extra channels would be lost: save it with plain alpha, or none")
    if max(depths) == 16 and photometric[0] == 0:
        raise Refused("16-bit grey with white as zero is not supported: save it with black as zero")
    if photometric[0] == 6 and image.info.get("compression") not in ("jpeg", "tiff_jpeg"):
        raise Refused("mode YCbCr is not supported: convert it to RGB")
    return [f"{max(depths)}-bit grey -> 8-bit grey"] if max(depths) in (2, 4) and image.mode == "L" else []


def _mode(image: Image.Image, data: bytes, kind: str) -> tuple[str, list[str]]:
    """(mode to write, notes); makes the transparent colour of low-depth grey PNG fit the 8-bit samples Pillow gives."""
    mode = _MODES.get(image.mode)
    if mode is None:
        raise Refused(f"mode {image.mode} is not supported: convert it to RGB, RGBA, L or 16-bit grey")
    key = image.info.get("transparency")
    if image.mode == "P":
        mode = "RGBA" if image.has_transparency_data else "RGB"
        return mode, [f"palette -> {mode}"]
    if image.mode in ("1", "PA"):
        name = "black and white" if image.mode == "1" else "palette with alpha"
        mode = "LA" if key is not None and mode == "L" else mode
        return mode, [f"{name} -> {mode}"]
    if key is None or image.mode in ("LA", "RGBA"):
        return mode, []
    if mode not in _WITH_ALPHA:
        raise Refused(f"a transparent colour in mode {image.mode} is not supported: save it without")
    if kind == "PNG" and isinstance(key, int) and data[24] in (2, 4):
        image.info["transparency"] = key * {2: 0b0101_0101, 4: 0b0001_0001}[data[24]]
    return _WITH_ALPHA[mode], [f"transparent colour -> {_WITH_ALPHA[mode]}"]


def _target(image: Image.Image, data: bytes, kind: str, mode: str, container: Container) -> Target:
    if mode == "CMYK":
        return "TIFF"
    if container == "webp":
        if mode == "I;16":
            raise Refused("WebP cannot hold 16-bit grey: use --format keep or png")
        if max(image.size) > _MAX_WEBP_SIDE:
            size = f"{image.width} x {image.height} pixels, only {_MAX_WEBP_SIDE:,} a side"
            raise Refused(f"WebP cannot hold {size}: use --format keep or png")
        return "WEBP"
    if container == "png":
        return "PNG"
    if kind == "TIFF":
        return "TIFF"
    if kind == "BMP":  # Pillow writes neither alpha nor profile into a BMP
        return "PNG" if mode == "RGBA" or bmp_profile(data) else "BMP"
    return "WEBP" if kind == "WEBP" and lossless_webp(data) else "PNG"


def lossless_webp(data: bytes) -> bool:
    """Is the still picture of a WebP file stored by the lossless codec?"""
    return next((kind for kind, _ in webp_chunks(data) if kind in (b"VP8L", b"VP8 ")), None) == b"VP8L"


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, body) of the chunks of a WebP file, in order."""
    at = 12
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : end]
        at = end + end % 2


def bmp_profile(data: bytes) -> bytes | None:
    """The ICC profile inside a version 5 BMP, which Pillow does not read."""
    header: Any = data[14:138]
    if int.from_bytes(header[:4], "little") != 124 or header[56:60] != b"DEBM":
        return None
    start, size = int.from_bytes(header[112:116], "little"), int.from_bytes(header[116:120], "little")
    return data[14 + start : 14 + start + size] or None
