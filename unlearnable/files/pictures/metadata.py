"""What a picture carries beside its pixels: profile, EXIF, XMP, resolution, text; and nothing that shows the picture.

A thumbnail or preview inside the metadata would publish the unprotected picture, so each is removed, wherever it hides.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from unlearnable.files.marks import shows, unescaped
from unlearnable.files.pictures import tiff
from unlearnable.files.refused import Refused

Chunk = tuple[bytes, bytes, bool]
"""PNG chunk type, its body, and whether it stands after the pixels."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Cleaned metadata. `exif` is a TIFF block; `dpi` is (x, y); `chunks` and `tags` are a PNG's or TIFF's own;
    `points` are primaries and transfer of colours that are not sRGB, said without a profile."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    texts: tuple[tuple[str, str], ...] = ()
    chunks: tuple[Chunk, ...] = ()
    tags: tiff.Tags = field(default_factory=dict)
    points: tuple[int, int] | None = None


NO_C2PA = "C2PA manifest dropped: it was of the unprotected picture"
_JPEG = re.compile(rb"\xff\xd8\xff[\xc0-\xcf\xdb\xdd\xe0-\xef\xfe]")
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# metadata is small, so that fewer bytes than `marks` asks for tell that there is a picture
_ENCODED = re.compile(rb"/9j/[w-z2-7/]|UklGR[A-Za-z0-9+/]{7}RUJQ")
_HEX = re.compile(rb"ffd8ff(c[0-9a-f]|db|dd|e[0-9a-f]|fe)|89504e470d0a1a0a")
_XMP_THUMBNAILS = re.compile(rb"<([\w.-]+):Thumbnails[\s/>].*?</\1:Thumbnails\s*>", re.DOTALL)


def shows_picture(blob: bytes) -> bool:
    """Does the blob hold a picture: as it is, in base64 or in hexadecimal?"""
    if _JPEG.search(blob) or shows(blob) or _ENCODED.search(unescaped(blob)):
        return True
    return bool(_HEX.search(blob.translate(None, b" \t\r\n").lower()))


def blank_jpegs(blob: bytes) -> bytes:
    """The blob, same length, with each JPEG in it (previews in maker notes) turned to zeros."""
    out, at = bytearray(blob), 0
    while found := _JPEG.search(out, at):
        end = jpeg_end(out, found.start())
        out[found.start() : end] = bytes(end - found.start())
        at = end
    return bytes(out)


def jpeg_end(data: bytes | bytearray, start: int) -> int:
    """Just after the end marker of the JPEG at `start`; the end of the data where there is none."""
    at = start + 2
    while at + 4 <= len(data) and data[at : at + 1] == b"\xff" and data[at : at + 2] != b"\xff\xda":
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    end = data.find(b"\xff\xd9", at)
    return len(data) if end < 0 else end + 2


def clean_exif(raw: bytes | None) -> tuple[bytes | None, list[str]]:
    """(EXIF block without pictures or None, notes); same length as what came in, so all offsets hold."""
    if not raw:
        return None, []
    raw = raw.removeprefix(b"Exif\0\0")
    try:
        bare = tiff.without_thumbnail(raw)
    except (Refused, struct.error):
        return None, ["damaged EXIF block dropped"]
    clean = blank_jpegs(bare)
    if shows_picture(clean[4:]):  # the block itself begins like a TIFF
        return None, ["EXIF block with a picture inside dropped"]
    notes = ["EXIF thumbnail removed"] * (bare != raw)
    return clean, notes + ["preview in the EXIF block removed"] * (clean != bare)


def clean_xmp(raw: bytes | None) -> tuple[bytes | None, list[str]]:
    """(XMP packet without thumbnails or None, notes)."""
    if not raw:
        return None, []
    if b"\0" in raw.rstrip(b"\0"):
        return None, ["XMP packet that is not UTF-8 dropped"]
    clean = _XMP_THUMBNAILS.sub(b"", raw)
    if shows_picture(clean):
        return None, ["XMP packet with a picture inside dropped"]
    return clean, ["XMP thumbnail removed"] * (clean != raw)


def clean_tags(file: bytes) -> tuple[tiff.Tags, list[str]]:
    """(the tags of a TIFF file that another file may carry, notes)."""
    tags, notes = {}, []
    source = tiff.parse(file)
    for tag, entry in source.items():
        if tag in (tiff.SUB_IMAGES, tiff.LAYERS):
            notes.append(f"TIFF tag {tag} dropped: it holds other pictures")
        elif tag == tiff.C2PA:
            notes.append(NO_C2PA)
        elif tag == tiff.PHOTOSHOP and isinstance(entry.value, bytes):
            kept = b"".join(_resources(entry.value))
            notes += ["Photoshop resources that hold pictures or are damaged removed"] * (kept != entry.value)
            if kept:
                tags[tag] = replace(entry, count=len(kept), value=kept)
        elif tag == tiff.XMP and isinstance(entry.value, bytes):
            xmp, said = clean_xmp(entry.value)
            notes += said
            if xmp:
                tags[tag] = replace(entry, count=len(xmp), value=xmp)
        elif tag not in tiff.STRUCTURAL:
            clean = _clean_entry(entry)
            blanked = clean is not None and clean != entry
            notes += [f"picture in TIFF tag {tag} blanked"] * blanked
            notes += [f"TIFF tag {tag} dropped: it holds a picture"] * (clean is None)
            tags |= {tag: clean} if clean else {}
    return tags, notes + _moved_maker_note(tags)


def carried_tags(file: bytes) -> tiff.Tags:
    """The tags of a TIFF file that this package wrote which do not say how its pixels lie, and are not C2PA's."""
    kept = {tag: e for tag, e in tiff.parse(file).items() if tag not in tiff.STRUCTURAL or tag == tiff.PHOTOSHOP}
    return {tag: entry for tag, entry in kept.items() if tag != tiff.C2PA}


def _moved_maker_note(tags: tiff.Tags) -> list[str]:
    exif = tags.get(34665)
    if exif and isinstance(exif.value, dict) and tiff.MAKER_NOTE in exif.value:
        return ["maker note kept, but moved: offsets inside it may no longer fit"]
    return []


def _clean_entry(entry: tiff.Entry) -> tiff.Entry | None:
    """The entry, JPEGs in its bytes blanked; None where it holds a picture in another way, whatever its type."""
    if isinstance(entry.value, dict):
        inner = {tag: _clean_entry(child) for tag, child in entry.value.items()}
        return replace(entry, value={tag: child for tag, child in inner.items() if child})
    if entry.type in (tiff.BYTE, tiff.UNDEFINED):
        entry = replace(entry, value=blank_jpegs(entry.value))
    return None if any(map(shows_picture, tiff.in_both_orders(entry))) else entry


def _resources(blocks: bytes) -> Iterator[bytes]:
    """The Photoshop resources that hold no picture; the thumbnails are numbers 1033 and 1036."""
    at = 0
    while blocks[at : at + 4] == b"8BIM" and at + 12 <= len(blocks):
        (number,) = struct.unpack_from(">H", blocks, at + 4)
        name = (blocks[at + 6] + 2) // 2 * 2
        size = int.from_bytes(blocks[at + 6 + name : at + 10 + name], "big")
        end = at + 10 + name + (size + 1) // 2 * 2
        if number not in (1033, 1036) and end <= len(blocks) and not shows_picture(blocks[at:end]):
            yield blocks[at:end]
        at = end


def tiff_tags_for(meta: Metadata) -> tiff.Tags:
    """The tags that carry the metadata in a TIFF: its own, or made from another format's."""
    if meta.tags:
        return meta.tags
    tags: tiff.Tags = {}
    if meta.exif:
        tags = {tag: entry for tag, entry in tiff.parse(meta.exif).items() if tag not in tiff.STRUCTURAL}
    for tag, blob, kind in ((tiff.ICC, meta.icc, 7), (tiff.XMP, meta.xmp, 1), (tiff.IPTC, meta.iptc, 7)):
        if blob:
            tags[tag] = tiff.Entry(kind, len(blob), blob)
    if meta.dpi:
        for tag, value in zip((tiff.X_RESOLUTION, tiff.Y_RESOLUTION), meta.dpi, strict=True):
            tags[tag] = tiff.Entry(tiff.RATIONAL, 1, struct.pack("<II", round(value * 10_000), 10_000))
        tags[tiff.RESOLUTION_UNIT] = tiff.Entry(tiff.SHORT, 1, struct.pack("<H", 2))
    return tags


def exif_from_tags(tags: tiff.Tags) -> bytes | None:
    """An EXIF block of what a TIFF says about itself, for a format that has its own place for profile and XMP."""
    elsewhere = (tiff.ICC, tiff.XMP, tiff.IPTC, tiff.PHOTOSHOP)
    kept = {tag: entry for tag, entry in tags.items() if tag not in elsewhere}
    return tiff.block(kept) if kept else None


def resolution(info: dict[Any, Any]) -> tuple[float, float] | None:
    """Pillow's idea of dots per inch, where it is one that a file can hold."""
    try:
        x, y = (float(v) for v in info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 0.1 <= x < 1e6 and 0.1 <= y < 1e6 else None
