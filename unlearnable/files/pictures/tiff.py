"""TIFF directories (IFDs), which are also what an EXIF block is: read, blanked, merged and appended, bytes
kept as they are.

Pillow's own way, `tiffinfo`, re-derives every value: it loses sub-directories, non-ASCII text and unknown types.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from unlearnable.files.refused import Refused

ORIENTATION, ICC, XMP, IPTC, PHOTOSHOP, MAKER_NOTE = 274, 34675, 700, 33723, 34377, 37500
EXTRA_SAMPLES, SAMPLE_FORMAT, BITS_PER_SAMPLE, PHOTOMETRIC = 338, 339, 258, 262
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
SUB_IMAGES, LAYERS, C2PA = 330, 37724, 52545
BYTE, SHORT, LONG, RATIONAL, UNDEFINED = 1, 3, 4, 5, 7

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_WORDS = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}
_DIRECTORIES = {34665: "Exif", 34853: "GPS", 40965: "Interoperability"}
_MAX_DEPTH = 3

STRUCTURAL = frozenset(
    {*range(254, 260), 262, 263, 264, 265, 266, 273, *range(277, 282), 284, *range(288, 294), 317, 320,
     *range(322, 328), 330, 336, 338, 339, 340, 341, *range(342, 348), *range(512, 522), *range(529, 533),
     PHOTOSHOP, LAYERS}
)  # fmt: skip
"""Tags that say how the pixels of one file lie, or hold pictures: never carried to another file as they are."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag: TIFF type, count of values, and the little-endian bytes of its values or the directory it leads to."""

    type: int
    count: int
    value: "bytes | Tags"


Tags: TypeAlias = dict[int, Entry]


def order_of(block: bytes) -> str:
    """'<' or '>', the byte order of a classic TIFF or EXIF block; raises `Refused` for anything else."""
    if block[:4] == b"II*\0":
        return "<"
    if block[:4] == b"MM\0*":
        return ">"
    if block[:4] in (b"II+\0", b"MM\0+"):
        raise Refused("BigTIFF is not supported: save it as a classic TIFF")
    raise Refused(f"not a TIFF header: {block[:4]!r}")


def first(block: bytes) -> int:
    """Where the first directory lies."""
    return int(struct.unpack_from(order_of(block) + "I", block, 4)[0])


def parse(block: bytes) -> Tags:
    """The first directory with its Exif, GPS and Interoperability directories; raises `Refused` or `struct.error`."""
    budget = [len(block)]
    return _directory(block, order_of(block), first(block), budget, 0)


def readable(block: bytes) -> bool:
    """Can `parse` read it?"""
    try:
        return bool(parse(block))
    except (Refused, struct.error):
        return False


def _directory(block: bytes, order: str, at: int, budget: list[int], depth: int) -> Tags:
    if depth > _MAX_DEPTH:
        raise Refused("damaged TIFF directories: nested too deep")
    tags: Tags = {}
    for tag, kind, count, place in _entries(block, order, at):
        size = _SIZES.get(kind, 0) * count
        if not size or tag in tags:
            continue
        if tag in _DIRECTORIES and size == 4:
            (child,) = struct.unpack_from(order + "I", block, place)
            tags[tag] = Entry(LONG, 1, _directory(block, order, child, budget, depth + 1))
            continue
        start = place if size <= 4 else int(struct.unpack_from(order + "I", block, place)[0])
        budget[0] -= size
        # Overlapping values could make a small file claim gigabytes; well-formed ones fit into the file together.
        if budget[0] < 0 or start + size > len(block):
            raise Refused(f"damaged TIFF directory: tag {tag} lies outside the file")
        tags[tag] = Entry(kind, count, _little(block[start : start + size], kind, order))
    return tags


def _entries(block: bytes, order: str, at: int) -> Iterator[tuple[int, int, int, int]]:
    (n,) = struct.unpack_from(order + "H", block, at)
    for i in range(n):
        place = at + 2 + 12 * i
        yield *struct.unpack_from(order + "HHI", block, place), place + 8


def _little(value: bytes, kind: int, order: str) -> bytes:
    width = _WORDS.get(kind)
    if order == "<" or width is None:
        return value
    return np.frombuffer(value, f">u{width}").astype(f"<u{width}").tobytes()


def values(entry: Entry | None) -> tuple[int, ...]:
    """The whole numbers of a SHORT, LONG or RATIONAL (numerator, denominator, ...) entry; () where there is none."""
    if entry is None or isinstance(entry.value, dict) or entry.type not in _WORDS:
        return ()
    return tuple(np.frombuffer(entry.value, f"<u{_WORDS[entry.type]}").tolist())


def following(file: bytes) -> int:
    """Where the second directory lies, 0 where there is none."""
    order, at = order_of(file), first(file)
    return int(struct.unpack_from(order + "I", file, at + 2 + 12 * struct.unpack_from(order + "H", file, at)[0])[0])


def named(file: bytes) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(start, end) of header, directories and values, and of the strips that a file has by its first directory."""
    order, tags = order_of(file), parse(file)
    spans, waiting = [(0, 8)], [first(file)]
    while waiting:
        at = waiting.pop()
        entries = list(_entries(file, order, at))
        spans.append((at, at + 2 + 12 * len(entries) + 4))
        for tag, kind, count, place in entries:
            size, (start,) = _SIZES.get(kind, 0) * count, struct.unpack_from(order + "I", file, place)
            if size > 4:
                spans.append((start, start + size))
            elif tag in _DIRECTORIES and size == 4:
                waiting.append(start)
    starts, sizes = (values(tags.get(tag)) for tag in (273, 279))
    return spans, [(start, start + size) for start, size in zip(starts, sizes, strict=False)]


def in_both_orders(entry: Entry) -> tuple[bytes, ...]:
    """The bytes of an entry in both byte orders: bytes that were called numbers lie in either."""
    value, width = entry.value, _WORDS.get(entry.type)
    if isinstance(value, dict):
        return ()
    return (value,) if width is None else (value, np.frombuffer(value, f"<u{width}").byteswap().tobytes())


def serialise(tags: Mapping[int, Entry], start: int) -> bytes:
    """One little-endian directory and all it leads to, to be placed at the even offset `start`."""
    size = 2 + 12 * len(tags) + 4
    head, tail = [struct.pack("<H", len(tags))], bytearray()
    for tag in sorted(tags):
        entry, place = tags[tag], start + size + len(tail)
        value = serialise(entry.value, place) if isinstance(entry.value, dict) else entry.value
        inline = isinstance(entry.value, bytes) and len(value) <= 4
        head.append(struct.pack("<HHI", tag, entry.type, entry.count))
        head.append(value.ljust(4, b"\0") if inline else struct.pack("<I", place))
        if not inline:
            tail += value + b"\0" * (len(value) % 2)
    return b"".join(head) + struct.pack("<I", 0) + bytes(tail)


def block(tags: Mapping[int, Entry]) -> bytes:
    """A whole little-endian EXIF block that holds `tags`."""
    return b"II*\0" + struct.pack("<I", 8) + serialise(tags, 8)


def graft(file: bytes, tags: Mapping[int, Entry]) -> bytes:
    """A little-endian TIFF file with `tags` added to its first directory, which moves to the end of the file."""
    if not tags:
        return file
    start = len(file) + len(file) % 2
    merged = {**parse(file), **tags}
    padded = file.ljust(start, b"\0")
    return b"".join((file[:4], struct.pack("<I", start), padded[8:], serialise(merged, start)))


def upright(file: bytes) -> bytes:
    """The file with its orientation set to 1: Pillow would turn the pixels of a TIFF (only) while it decodes them."""
    order = order_of(file)
    for tag, kind, count, place in _entries(file, order, first(file)):
        value = struct.pack(order + "H", 1)
        if (tag, kind, count) == (ORIENTATION, SHORT, 1) and file[place : place + 2] != value:
            return file[:place] + value + file[place + 2 :]
    return file


def without_thumbnail(exif: bytes) -> bytes:
    """An EXIF block of the same length whose second and later directories, and the pictures they hold, are zeros.

    Everything else stays where it is, so that offsets inside maker notes keep their meaning."""
    order, out = order_of(exif), bytearray(exif)
    link = first(exif)
    link += 2 + 12 * int(struct.unpack_from(order + "H", exif, link)[0])
    (at,) = struct.unpack_from(order + "I", exif, link)
    out[link : link + 4] = bytes(4)
    seen = set()
    while at and at not in seen and at + 2 <= len(exif):
        seen.add(at)
        for start, size in _pictures(exif, order, at):
            _blank(out, start, size)
        end = at + 2 + 12 * int(struct.unpack_from(order + "H", exif, at)[0])
        _blank(out, at, end + 4 - at)
        at = struct.unpack_from(order + "I", exif, end)[0] if end + 4 <= len(exif) else 0
    return bytes(out)


def _pictures(exif: bytes, order: str, at: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of the JPEG or the strips to which the directory at `at` leads, as far as it can be read."""
    found: dict[int, tuple[int, ...]] = {}
    (n,) = struct.unpack_from(order + "H", exif, at)
    for tag, kind, count, place in _entries(exif, order, at) if at + 2 + 12 * n <= len(exif) else ():
        if tag in (513, 514, 273, 279) and kind in (SHORT, LONG):
            width = _SIZES[kind]
            start = place if width * count <= 4 else int(struct.unpack_from(order + "I", exif, place)[0])
            data = exif[start : start + width * count]
            found[tag] = tuple(np.frombuffer(data[: len(data) // width * width], f"{order}u{width}").tolist())
    for offsets, lengths in ((513, 514), (273, 279)):
        yield from zip(found.get(offsets, ()), found.get(lengths, ()), strict=False)


def _blank(out: bytearray, start: int, size: int) -> None:
    end = min(start + size, len(out))
    if start < end:
        out[start:end] = bytes(end - start)
