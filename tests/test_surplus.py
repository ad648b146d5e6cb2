"""What is read back holds one picture: an original beside it, in whatever corner of the file, is found."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from jobs import stored
from pictures import SRGB, SUFFIX, changed, picture
from PIL import Image

from unlearnable.files import decode, encode, matches
from unlearnable.files.pictures import tiff

ORIGINAL = stored(picture("RGB"), "JPEG")


def read_back(kind: str, spoil: Callable[[bytes], bytes], mode: str = "RGB", **options: object) -> str | None:
    """What `verify` says of a written picture that somebody added something to."""
    options |= {"lossless": True} if kind == "WEBP" else {}
    name = "a" + SUFFIX[kind]
    original = decode(stored(picture(mode), kind, **options), name)
    planes = changed(original.planes)
    written = encode(original, planes)
    assert matches(original, planes, written, name) is None
    return matches(original, planes, spoil(written), name)


def pages(file: bytes) -> bytes:
    out = BytesIO()
    with Image.open(BytesIO(file)) as image:
        image.save(out, "TIFF", save_all=True, append_images=[picture("RGB")])
    return out.getvalue()


def tagged(tag: int, kind: int = 7) -> Callable[[bytes], bytes]:
    return lambda file: tiff.graft(file, {**tiff.parse(file), tag: tiff.Entry(kind, len(ORIGINAL), ORIGINAL)})


def riff(*chunks: tuple[bytes, bytes]) -> Callable[[bytes], bytes]:
    def spoil(file: bytes) -> bytes:
        for name, body in chunks:
            file += name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
        return file[:4] + struct.pack("<I", len(file) - 8) + file[8:]

    return spoil


def in_lossless(file: bytes) -> bytes:
    at = file.index(b"VP8L")
    (size,) = struct.unpack_from("<I", file, at + 4)
    body = file[at + 8 : at + 8 + size] + ORIGINAL
    return riff((b"VP8L", body))(file[:12] if at == 12 else file[:at])


def animated(file: bytes) -> bytes:
    out = BytesIO()
    with Image.open(BytesIO(file)) as image:
        image.save(out, "WEBP", save_all=True, lossless=True, append_images=[picture("RGB")])
    return out.getvalue()


def gap(file: bytes) -> bytes:
    start, size = struct.unpack_from("<I", file, 10)[0], len(file) + len(ORIGINAL)
    return b"BM" + struct.pack("<IHHI", size, 0, 0, start + len(ORIGINAL)) + file[14:start] + ORIGINAL + file[start:]


def between_rows(file: bytes) -> bytes:
    return file[:-1] + b"\1"


def after_pixels(file: bytes) -> bytes:
    at = file.rindex(b"IDAT") - 4
    (size,) = struct.unpack_from(">I", file, at)
    body = b"IDAT" + file[at + 8 : at + 8 + size] + ORIGINAL
    return file[:at] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + file[-12:]


def another_chunk(file: bytes) -> bytes:
    body = b"IDAT" + ORIGINAL
    return file[:-12] + struct.pack(">I", len(ORIGINAL)) + body + struct.pack(">I", zlib.crc32(body)) + file[-12:]


CASES = {
    "pages": ("TIFF", pages, "more than one picture"), "layers": ("TIFF", tagged(37724), "tag 37724"),
    "thumbnail": ("TIFF", tagged(513), "tag 513"), "a tag": ("TIFF", tagged(65000), "TIFF tags"),
    "appended to TIFF": ("TIFF", lambda file: file + ORIGINAL, "none of its tags names"),
    "appended raw": ("TIFF", lambda file: file + bytes(range(1, 256)) * 9, "none of its tags names"),
    "chunk": ("WEBP", riff((b"ORIG", ORIGINAL)), "chunk 'ORIG'"), "EXIF": ("WEBP", riff((b"EXIF", ORIGINAL)), "'EXIF'"),
    "second": ("WEBP", riff((b"VP8L", ORIGINAL)), "'VP8L'"), "frames": ("WEBP", animated, "more than one picture|VP8"),
    "in VP8L": ("WEBP", in_lossless, "among its samples"),
    "appended to WebP": ("WEBP", lambda file: file + ORIGINAL, "bytes follow its end"),
    "gap": ("BMP", gap, "between its header and its samples"), "rows": ("BMP", between_rows, "between its rows"),
    "appended to BMP": ("BMP", lambda file: file + ORIGINAL, "bytes follow its end"),
    "after pixels": ("PNG", after_pixels, "bytes follow its pixels"),
    "more IDAT": ("PNG", another_chunk, "bytes follow its pixels"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_original_that_goes_along_is_found(case: str) -> None:
    kind, spoil, reason = CASES[case]
    found = read_back(kind, spoil)
    assert found, "it was accepted"
    assert any(word in found for word in reason.split("|")), found


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK", "I;16", "P", "1"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_what_this_package_writes_holds_nothing_else(mode: str, compression: str) -> None:
    for options in (
        {},
        {"dpi": (99, 98), "icc_profile": SRGB, "tiffinfo": {271: "Camera", 34377: b"8BIM" + bytes(12)}},
    ):
        assert read_back("TIFF", lambda file: file, mode, compression=compression, **options) is None


def test_a_large_tiff_of_many_strips_holds_nothing_else() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 1100, 3), np.uint8))
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate"):
        original = decode(stored(image, "TIFF", compression=compression, dpi=(300, 300)), "a.tif")
        assert matches(original, original.planes, encode(original, original.planes), "a.tif") is None
