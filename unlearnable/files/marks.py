"""By what bytes a picture, or what packs some, is known wherever it lies: as it is, in base64, or written out.

A mark counts only with what follows it in a real file, so that texts, labels and long films are no false alarms.
"""

import re
import struct
import zlib

OVERLAP = 4096  # bytes: a mark, written out in a text or with the directory of a TIFF behind it, is no longer

_ARCHIVES: tuple[tuple[bytes, str], ...] = (
    (b"PK\3\4", "zip"), (b"PK\5\6", "zip"), (b"PK\7\x08", "zip"),
    (b"\x1f\x8b", "gzip"), (b"\xfd7zXZ\0", "xz"), (b"BZh", "bzip2"), (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"), (b"\x02\x21\x4c\x18", "lz4"), (b"LZIP\1", "lzip"), (b"MSCF\0\0\0\0", "cab"),
    (b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\7", "RAR"),
    (b"PAR1", "parquet"), (b"ARROW1", "Arrow"), (b"FEA1", "Arrow"), (b"Obj\1", "Avro"),
    (b"\x93NUMPY", "NumPy"), (b"\x89HDF\r\n\x1a\n", "HDF5"), (b"CDF\1", "netCDF"), (b"CDF\2", "netCDF"),
    (b"CDF\5", "netCDF"), (b"\0\0\x08\3", "IDX"), (b"\0\0\x08\4", "IDX"),
)  # fmt: skip
_ARCHIVES_LIKE: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb".{257}ustar", re.DOTALL), "tar"),
    (re.compile(rb"\x1f\x9d[\x80-\x9f]"), "compress (.Z)"),
    (re.compile(rb"\x5d\0\0.[\0-\x08](\xff{8}|.{5}\0{3})", re.DOTALL), "lzma"),
    (re.compile(rb"\xff{4}..\0\0\x10\0\0\0", re.DOTALL), "Arrow"),  # without a file header, as `datasets` writes it
    (re.compile(rb"\x80[\2-\5]|\(?[dl]p[01]\n|c(copy_reg|numpy[\w.]*|__builtin__|_codecs|collections)\n"), "pickles"),
    (re.compile(rb"MATLAB \d\.\d MAT-file"), "MATLAB"),
)  # fmt: skip
_PICTURES_LIKE: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb".{128}DICM", re.DOTALL), "DICOM"),
    (re.compile(rb".{344}(n\+|ni)1\0|.{4}(n\+|ni)2\0\r\n\x1a\n", re.DOTALL), "NIfTI"),
    (re.compile(rb"SIMPLE  = {20}T"), "FITS"),
    (re.compile(rb"\xff\x0a"), "JPEG XL"),
    (re.compile(rb"\0\0[\1\2]\0[\1-\xff]\0..[\0-\xff]\0[\0-\x20]\0[\0-\x20]\0", re.DOTALL), "ICO"),
    (re.compile(rb".\0[\2\3\x0a\x0b]\0{5}.{4}(?!\0\0)..(?<!\0\0)..(?<!\0\0)[\x08\x10\x18\x20][\0\x08\x20\x28]",
                re.DOTALL), "TGA"),
    (re.compile(rb".\x01[\1\x09]\0\0.[\0\1][\x0f\x10\x18\x20].{4}..(?<!\0\0)..(?<!\0\0)\x08[\0\x08\x20\x28]",
                re.DOTALL), "TGA"),
    (re.compile(rb"\x0a[\0\2-\5]\x01[\1\2\4\x08]"), "PCX"),
    (re.compile(rb"\x01\xda[\0\1][\1\2]\0[\1-\3]"), "SGI"),
    (re.compile(rb"\x59\xa6\x6a\x95"), "Sun raster"),
    (re.compile(rb"SDPX\0|XPDS|BPG\xfb|II\xbc\x01|icns\0|FUJIFILMCCD-RAW|#\?R(ADIANC|GB)E|/\* XPM \*/"), "a picture"),
)  # fmt: skip


def packed(data: bytes) -> str | None:
    """The kind of archive, of table or of arrays that the bytes begin like; else None."""
    found = next((kind for magic, kind in _ARCHIVES if data.startswith(magic)), None)
    found = found or next((kind for form, kind in _ARCHIVES_LIKE if form.match(data)), None)
    return found or ("zlib" if _unpacks(data) else None)


def drawn(data: bytes) -> str | None:
    """The kind of picture, of those that are not read, that a whole file begins like; else None."""
    return next((kind for form, kind in _PICTURES_LIKE if form.match(data)), None)


def _unpacks(data: bytes) -> bool:
    """Does it begin like a zlib stream, and unpack like one?"""
    if data[:2] not in (b"x\x01", b"x^", b"x\x9c", b"x\xda"):
        return False
    try:
        return len(zlib.decompressobj().decompress(data[: 1 << 16], 256)) >= 64
    except zlib.error:
        return False


# how the first segment of a JPEG goes on: the four bytes that begin every one come up in any long film by chance
_JPEG = re.compile(
    rb"\xff\xd8\xff(\xe0..(JF(IF|XX)|AVI1)|\xe1..(Exif\0|http:)|\xe2..(ICC_PROFILE|MPF\0)|\xed..Photoshop|\xee\0\x0eAdobe"
    rb"|\xdb\0[\x43\x84\xc5]\0|\xc0\0[\x0b\x11]\x08|\xdd\0\4\0|\xfe\0.[ -~]{4})",
    re.DOTALL,
)
_MARKS: tuple[tuple[bytes, re.Pattern[bytes]], ...] = (
    (b"\xff\xd8\xff", _JPEG),
    (b"\x89PNG\r", re.compile(rb"\x89PNG\r\n\x1a\n")),
    (b"WEBPVP8", re.compile(rb"RIFF(.{4}|\S{4,24})WEBPVP8", re.DOTALL)),
    (b"ftyp", re.compile(rb"\0\0\0.ftyp(hei[cx]|mif1|msf1|avi[fs])", re.DOTALL)),
    (b"GIF8", re.compile(rb"GIF8[79]a(.[\0-\x3f].[\0-\x3f]..\0|[^\n]{0,24}\\(x|u00)0)", re.DOTALL)),
    (b" \r\n\x87\n", re.compile(rb"\0\0\0\x0c(jP |JXL) \r\n\x87\n")),
    (b"\xff\x4f\xff\x51\0", re.compile(rb"\xff\x4f\xff\x51\0[\x29-\x7f][\0-\3\x40\x80]")),
    (b"8BPS\0", re.compile(rb"8BPS\0[\1\2]\0{6}")),
    (b"TRUEVISION-XFILE.", re.compile(rb"TRUEVISION-XFILE\.\0")),
    (b"\0\0\0\0", re.compile(rb"BM.{4}\0{4}.[\0-\4]\0\0[\x28\x6c\x7c]\0{3}", re.DOTALL)),
    (b"\xc3\xbf\xc3\x98\xc3\xbf\xc3", re.compile(rb"")),  # a JPEG taken for Latin-1, as UTF-8
    (b"\\377\\330\\377\\3", re.compile(rb"")),
)  # fmt: skip
_TIFF = tuple((mark, re.compile(re.escape(mark))) for mark in (b"II*\0", b"MM\0*"))

_ANY = rb"[A-Za-z0-9+/]"
_BASE64: tuple[tuple[bytes, re.Pattern[bytes]], ...] = (
    (b"/9j/", re.compile(rb"/9j/(" + _ANY + rb"{4}(SkZJ|SkZY|RXhp|aHR0|SUND|TVBG|UGhv)|2wB[DF]?|2wC|7gAOQWRv)")),
    (b"iVBORw0KGgo", re.compile(rb"")),
    (b"UklGR", re.compile(rb"UklGR" + _ANY + rb"{7}RUJQVlA4")),
    (b"R0lGOD", re.compile(rb"R0lGOD[dl]h")),
    (b"GZ0eXB", re.compile(rb"AAAA" + _ANY + rb"GZ0eXB(hdmlm|hdmlz|oZWl[j4]|taWYx|tc2Yx)")),
    (b"AAAADGpQICANCocK", re.compile(rb"")), (b"AAAADEpYTCANCocK", re.compile(rb"")),
    (b"/0//UQA", re.compile(rb"/0//UQA[p-z0-9+/]")),
    (b"SUkqA", re.compile(rb"(?<![A-Za-z0-9+/])SUkqA[A-P]" + _ANY + rb"{20}")),
    (b"TU0AKg", re.compile(rb"(?<![A-Za-z0-9+/])TU0AKg[A-Za-z]" + _ANY + rb"{20}")),
    (b"AAAA", re.compile(rb"Qk[0-3]" + _ANY + rb"{5}AAAAA" + _ANY + rb"{3}AA(Ao|B8|Bs)AAAA")),
    (b"ata:image/", re.compile(rb"(?i)data:image/(?!svg)[\w.+]+(;[\w=+.]+)*,[A-Za-z0-9+/%]{8}")),
)  # fmt: skip
_BETWEEN = rb"(?:[,;%&#]+(?:0?x|u00)?|0?x|u00)"  # bytes that are written out one by one, spaces left out
_WRITTEN: tuple[tuple[bytes, re.Pattern[bytes]], ...] = (
    (b"ffd8ff", re.compile(rb"ffd8ff(e[0-9a-f]{5}(4a46|4578|6874|4943|4d50|5068)|ee000e|db00(43|84|c5)00)")),
    (b"89504e47", re.compile(rb"89504e470d0a1a0a")),
    (b"474946383", re.compile(rb"4749463839?7?61")),
    (b"5745425056", re.compile(rb"52494646[0-9a-f]{8}5745425056")),
    (b"66747970", re.compile(rb"000000[0-9a-f]{2}66747970(61766966|68656963|6d696631)")),
    (b"d8", re.compile(_BETWEEN.join((rb"ff", rb"d8", rb"ff", rb"(?:e[0-9a-f]|db|c0|fe)")))),
    (b"89png", re.compile(rb"89pngrn(x|u00)1an")),
    (b"255,216,255,", re.compile(rb"255,216,255,\d+,\d+,\d+,(74,70,73,70|69,120,105,102)")),
    (b"137,80,78,71,13,10,26,10", re.compile(rb"")),
)  # fmt: skip
# a slash or plus in base64 as URLs, JSON and HTML write it
_ONE_ALPHABET = bytes.maketrans(b"-_", b"+/")
_ESCAPES = {
    b"%2": ((b"%2F", b"/"), (b"%2f", b"/"), (b"%2B", b"+"), (b"%2b", b"+")),
    b"u002": ((b"u002F", b"/"), (b"u002f", b"/"), (b"u002B", b"+"), (b"u002b", b"+")),
    b"&#": ((b"&#x2F;", b"/"), (b"&#x2f;", b"/"), (b"&#47;", b"/"),
            (b"&#x2B;", b"+"), (b"&#x2b;", b"+"), (b"&#43;", b"+")),
}  # fmt: skip
_LOWER = bytes(range(256)).lower()


def shows(window: bytes) -> bool:
    """Does a piece of a file hold a picture: as it is, in base64, or byte by byte in a text (hexadecimal, decimal)?"""
    return _in(window, _MARKS) or _has_tiff(window) or _in_text(window)


def unescaped(window: bytes) -> bytes:
    """The text with base64 in its plain alphabet: without escapes, without the zeros of UTF-16."""
    text = window.translate(_ONE_ALPHABET, b"\0\\")
    for mark, spellings in _ESCAPES.items() if _is_text(window) else ():
        for spelt, meant in spellings if mark in text else ():
            text = text.replace(spelt, meant)
    return text


def _is_text(window: bytes) -> bool:
    """No zeros, or those of UTF-16. What is written out byte by byte stands in such files alone."""
    return not 0 < window.count(b"\0") < len(window) * 2 // 5


def _in_text(window: bytes) -> bool:
    text = unescaped(window)
    if _in(text, _BASE64):
        return True
    return _is_text(window) and _in(text.translate(_LOWER, b" \t\r\n"), _WRITTEN)


def _in(window: bytes, marks: tuple[tuple[bytes, re.Pattern[bytes]], ...]) -> bool:
    return any(mark in window and form.search(window) for mark, form in marks)


def _has_tiff(window: bytes) -> bool:
    """A TIFF header whose first directory is near, says a width and where the samples lie: EXIF alone does not."""
    found = (form.finditer(window) for mark, form in _TIFF if mark in window)
    return any(_tells_samples(window, one.start()) for hits in found for one in hits)


def _tells_samples(window: bytes, at: int) -> bool:
    order = "<" if window[at : at + 1] == b"I" else ">"
    try:
        (first,) = struct.unpack_from(order + "I", window, at + 4)
        (count,) = struct.unpack_from(order + "H", window, at + first)
        if not 0 < count <= 400:
            return False
        entries = (struct.unpack_from(order + "HH", window, at + first + 2 + 12 * i) for i in range(count))
        tags = {tag for tag, kind in entries if 0 < kind <= 18}
    except struct.error:
        return False
    return {256, 257} <= tags and bool(tags & {273, 324})
