"""What a written picture has no use for: bytes that nothing names, in which an unprotected picture could go along."""

import struct
import zlib
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from unlearnable.files.marks import shows
from unlearnable.files.pictures import png, tiff
from unlearnable.files.pictures.metadata import Metadata
from unlearnable.files.pictures.opening import webp_chunks

_FOLLOWS = "bytes follow its end"
_STRUCTURAL = frozenset({254, *range(256, 260), 262, 266, 273, *range(277, 280), 284, 317, 338, tiff.PHOTOSHOP})
_BMP_HEAD = 54


def surplus(meta: Metadata, image: Image.Image, data: bytes, kind: str) -> str | None:
    """What a loaded file holds beside one picture and its metadata; None where that is nothing."""
    if kind == "PNG":
        return _in_png(data)
    if kind == "TIFF":
        return _in_tiff(data)
    return _in_webp(meta, image, data) if kind == "WEBP" else _in_bmp(image, data)


def _in_png(data: bytes) -> str | None:
    if len(data) > png.length(data):
        return _FOLLOWS
    unpacked, feed = zlib.decompressobj(), png.pixels(data)
    for part in feed:
        while part and not unpacked.eof:
            unpacked.decompress(part, 1 << 20)
            part = unpacked.unconsumed_tail
        if unpacked.unused_data or (unpacked.eof and any(feed)):
            return "bytes follow its pixels"
    return None


def _in_webp(meta: Metadata, image: Image.Image, data: bytes) -> str | None:
    if len(data) != int.from_bytes(data[4:8], "little") + 8:
        return _FOLLOWS
    if getattr(image, "n_frames", 1) != 1:
        return "it holds more than one picture"
    held = ((b"ICCP", meta.icc), (b"EXIF", meta.exif), (b"XMP ", meta.xmp))
    allowed = [b"VP8X", b"VP8L", b"C2PA", *(name for name, value in held if value)]
    for name, body in webp_chunks(data):
        if name not in allowed:
            return f"it holds a chunk {name.decode('latin-1')!r} that is not of the picture"
        allowed.remove(name)
        if name == b"VP8L" and shows(body):
            return "another picture lies among its samples"
    return None


def _in_tiff(data: bytes) -> str | None:
    if tiff.following(data):
        return "it holds more than one picture"
    tags = tiff.parse(data)
    if strange := sorted((set(tags) & tiff.STRUCTURAL) - _STRUCTURAL):
        return f"its tag {strange[0]} leads to more than the picture"
    spans, strips = tiff.named(data)
    if any(shows(data[start:end]) for start, end in strips):
        return "another picture lies among its samples"
    rest = b"".join(data[start:end] for start, end in _gaps([*spans, *strips], len(data)))
    # the directory that Pillow wrote stays behind where `graft` wrote a longer one
    old = sum(12 + len(tags[tag].value) for tag in (_STRUCTURAL - {tiff.PHOTOSHOP}) & set(tags))
    if len(rest.replace(b"\0", b"")) > old + 64 or shows(rest):
        return "it holds bytes that none of its tags names"
    return None


def _gaps(spans: Iterable[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    at = 0
    for start, end in sorted(spans):
        if start > at:
            yield at, start
        at = max(at, end)
    yield at, max(at, size)


def _in_bmp(image: Image.Image, data: bytes) -> str | None:
    bits = struct.unpack_from("<H", data, 28)[0]
    start = _BMP_HEAD + (1024 if bits == 8 else 0)
    stride, used = (image.width * bits + 31) // 32 * 4, image.width * bits // 8
    if struct.unpack_from("<II", data, 10) != (start, 40):
        return "bytes lie between its header and its samples"
    if len(data) != start + stride * image.height:
        return _FOLLOWS
    rows = np.frombuffer(data, np.uint8, offset=start).reshape(image.height, stride)
    return "bytes lie between its rows" if rows[:, used:].any() or any(data[57:start:4]) else None
