"""What is copied as it is: files that are no pictures, hold none and pack nothing, so that no original goes along."""

import re
from collections.abc import Iterator

from unlearnable.files.collection import Blocks
from unlearnable.files.formats import sniff
from unlearnable.files.refused import Refused

UNSEEN = "an archive or table among pictures is not looked into: unpack it, or protect it by itself"
_OVERLAP = 64  # a mark may lie across two blocks

_PACKED: tuple[tuple[bytes, str], ...] = (
    (b"PK\3\4", "zip"), (b"PK\5\6", "zip"), (b"PK\7\x08", "zip"),
    (b"\x1f\x8b", "gzip"), (b"\xfd7zXZ\0", "xz"), (b"BZh", "bzip2"), (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\7", "RAR"),
    (b"PAR1", "parquet"), (b"ARROW1", "Arrow"), (b"\x93NUMPY", "NumPy"), (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"MATLAB 5.0 MAT-file", "MATLAB"), (b"\0\0\x08\3", "IDX"), (b"\0\0\x08\4", "IDX"),
)  # fmt: skip
_STREAM = re.compile(rb"\xff{4}..\0\0\x10\0\0\0", re.DOTALL)  # Arrow without its file header, as `datasets` writes it
_PICKLED = re.compile(rb"\x80([\4\5]\x95|[\2\3][]}(cXq])")

# how the first segment of a JPEG goes on: the four bytes that begin every one come up in any long film by chance
_JPEG = re.compile(
    rb"\xff\xd8\xff(\xe0..(JF(IF|XX)|AVI1)|\xe1..(Exif\0|http:)|\xe2..(ICC_PROFILE|MPF\0)|\xed..Photoshop|\xee\0\x0eAdobe"
    rb"|\xdb\0[\x43\x84\xc5]\0|\xc0\0[\x0b\x11]\x08|\xdd\0\4\0|\xfe\0.[ -~]{4})",
    re.DOTALL,
)
_OTHERS = re.compile(rb"\x89PNG\r\n\x1a\n|RIFF.{4}WEBPVP8|\0\0\0.ftyp(hei[cx]|mif1|avif)", re.DOTALL)
_ANY = rb"[A-Za-z0-9+/]"
_BASE64 = re.compile(
    rb"/9j/(" + _ANY + rb"{4}(SkZJ|SkZY|RXhp|aHR0|SUND|TVBG|UGhv)|2wB|2wC|7gAOQWRv)"
    rb"|iVBORw0KGgo|UklGR" + _ANY + rb"{7}RUJQVlA4"
)  # fmt: skip
_HEX = re.compile(rb"ffd8ff(e[0-9a-f]{5}(4a46|4578|6874|4943|4d50|5068)|ee000e|db00(43|84|c5)00)|89504e470d0a1a0a")
_MARKS = ((b"\xff\xd8\xff", _JPEG), (b"/9j/", _BASE64), (b"iVBORw0KGgo", _BASE64), (b"UklGR", _BASE64),
          (b"\x89PNG\r", _OTHERS), (b"WEBPVP8", _OTHERS), (b"ftyp", _OTHERS))  # fmt: skip


def inspected(blocks: Blocks) -> Iterator[bytes]:
    """The blocks of one file as they come; raises `Refused` once they turn out to be, to pack or to hold a picture.

    The first block holds the head of the file. JPEG, PNG, WebP and HEIF are found as they are and in base64, JPEG and
    PNG in hexadecimal too.
    """
    before: bytes | None = None
    for block in blocks:
        if before is None:
            _check_head(block)
        window = (before or b"") + block
        if _shows_picture(window):
            raise Refused("it holds a picture that nobody protected: move it out of SRC, or copy the file yourself")
        before = window[-_OVERLAP:]
        yield block


def check_copy(data: bytes) -> None:
    """Raises `Refused` where the file is, packs or holds a picture."""
    for _ in inspected([data]):
        pass


def _check_head(data: bytes) -> None:
    if kind := sniff(data):
        raise Refused(f"content is {kind} but the name is not a picture's: rename it")
    if kind := packed(data):
        raise Refused(f"content is {kind}, and {UNSEEN}")


def packed(data: bytes) -> str | None:
    """The kind of archive, of table or of arrays that the bytes begin like; else None."""
    if data[257:262] == b"ustar":
        return "tar"
    if _STREAM.match(data):
        return "Arrow"
    if _PICKLED.match(data):
        return "pickles"
    return next((kind for magic, kind in _PACKED if data.startswith(magic)), None)


def _shows_picture(window: bytes) -> bool:
    if any(mark in window and form.search(window) for mark, form in _MARKS):
        return True
    if b"\0" in window:  # hexadecimal is for text
        return False
    digits = window.translate(None, b" \t\r\n").lower()
    return (b"ffd8ff" in digits or b"89504e47" in digits) and _HEX.search(digits) is not None
