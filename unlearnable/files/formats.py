"""Which files are pictures, what their names promise, what their bytes are, and what the written file is called."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Literal

from unlearnable.files.refused import Refused

Container = Literal["keep", "png", "webp"]
Target = Literal["PNG", "WEBP", "TIFF", "BMP"]

SUFFIXES: dict[str, str] = {
    ".png": "PNG", ".apng": "PNG",
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".mpo": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF", ".tiff": "TIFF",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".avif": "AVIF",
    **dict.fromkeys((".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf"), "JPEG2000"),
    ".heic": "HEIF", ".heif": "HEIF", ".hif": "HEIF",
}  # fmt: skip
"""Suffixes that are read, and the format each promises."""

_REMEDIES = {
    "develop it to TIFF or PNG with your raw converter": """
        .3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .rw2
        .rwl .sr2 .srf .srw .x3f""",
    "export it as PNG or TIFF from your editor": ".afphoto .kra .psb .psd .xcf",
    "convert it to PNG or TIFF": """
        .avifs .btf .dcm .dds .dib .exr .fits .hdp .hdr .icns .ico .jls .jxl .jxr .pam .pbm .pcx .pgm .pnm
        .ppm .qoi .ras .sgi .tga .wdp""",
}
UNSUPPORTED = {suffix: remedy for remedy, suffixes in _REMEDIES.items() for suffix in suffixes.split()}
"""Suffixes of pictures that are not read, and what to do: never copied as if they were no pictures."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"), (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"), (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"8BPS", "PSD"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\x76\x2f\x31\x01", "EXR"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"gimp xcf ", "XCF"),
)  # fmt: skip
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_NETPBM = re.compile(rb"P[1-6]\s+(#|\d)")


def suffix_of(name: str) -> str:
    """The last suffix in lower case with its dot, or ''."""
    return PurePosixPath(name).suffix.lower()


def is_picture_name(name: str) -> bool:
    """Does the name promise a picture, one that can be read or not? (Drawings such as .svg are not pictures here.)"""
    return suffix_of(name) in SUFFIXES or suffix_of(name) in UNSUPPORTED


def sniff(data: bytes) -> str | None:
    """The picture format the bytes begin like, also one that is not read (a name for messages); else None."""
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if data[4:8] == b"ftyp":
        return _isobmff(data)
    return "NetPBM" if _NETPBM.match(data[:4]) else None


def _isobmff(data: bytes) -> str | None:
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12], *(data[i : i + 4] for i in range(16, end, 4))}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


def unsupported(name: str) -> str | None:
    """Why no picture with a name like this is read; None where they are."""
    suffix = suffix_of(name)
    return f"{suffix} pictures cannot be protected: {UNSUPPORTED[suffix]}" if suffix in UNSUPPORTED else None


def identify(data: bytes, name: str) -> str:
    """The format of the bytes, once it is sure that the name says the same and that it can be read; else `Refused`."""
    suffix = suffix_of(name)
    if not data:
        raise Refused("the file is empty (0 bytes): restore it from where it came")
    if reason := unsupported(name):
        raise Refused(reason)
    kind = sniff(data)
    if kind is None:
        raise Refused(f"not a picture in any known format (it begins {data[:8]!r}): damaged, or misnamed")
    if SUFFIXES.get(suffix) != kind:
        raise Refused(f"content is {kind} but the name ends in {suffix or 'no suffix'!s}: rename it")
    return kind


def stems(names: Iterable[str]) -> Counter[str]:
    """How many pictures of a collection share each name without suffix, case ignored: what `output_name` must know."""
    return Counter(_stem(name).casefold() for name in names if is_picture_name(name))


def output_name(name: str, target: Target, taken: Mapping[str, int]) -> str:
    """The name under which a picture is written as `target`; `taken` = `stems` of all names of the collection.

    A suffix that fits the target stays. Else it is replaced, `photo.jpg` -> `photo.png`; where another
    picture of the collection is also called `photo` the old suffix stays inside: `photo.jpg.png`.
    The answer depends on names alone, so any order of work and any resumed run give the same.
    """
    if SUFFIXES.get(suffix_of(name)) == target:
        return name
    suffix = ".tif" if target == "TIFF" else f".{target.lower()}"
    if taken.get(_stem(name).casefold(), 0) <= 1:
        return _stem(name) + suffix
    stem = name
    while stem.casefold() in taken:
        stem += "_"
    return stem + suffix


def _stem(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return name[: len(name) - len(suffix)] if suffix else name
