"""PNG chunks: read with their checksums, cleaned of pictures, and written again byte for byte."""

import re
import struct
import zlib
from collections.abc import Iterator

from unlearnable.files.pictures.metadata import PNG_MAGIC, Chunk, Metadata, clean_exif, clean_xmp, shows_picture
from unlearnable.files.refused import Refused

_MAX_TEXT = 64 << 20
XMP_KEY = b"XML:com.adobe.xmp"
_RAW_PROFILE = re.compile(rb"\s*\w+\s+\d+\s+([0-9a-fA-F\s]*)$")
_XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
KEPT_CHUNKS = frozenset(
    (b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"pHYs", b"tEXt", b"zTXt", b"iTXt",
     b"eXIf", b"tIME", b"oFFs", b"pCAL", b"sCAL", b"sTER")
)  # fmt: skip
C2PA_CHUNK = b"caBX"
_SAMPLE_CHUNKS = frozenset((b"sBIT", b"bKGD"))
_PIXEL_CHUNKS = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"))


def chunks(file: bytes) -> Iterator[Chunk]:
    """The chunks of a PNG file, pixels included; raises `Refused` where it is cut short or a checksum is wrong."""
    kind, after, view = b"", False, memoryview(file)
    for kind, start, end in _places(file):
        if end + 4 > len(file):
            raise Refused(f"truncated PNG: its {kind!r} chunk is cut short")
        if zlib.crc32(view[start - 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise Refused(f"damaged PNG: wrong checksum of its {kind!r} chunk")
        after |= kind == b"IDAT"
        yield kind, b"" if kind == b"IDAT" else bytes(view[start:end]), after
    if kind != b"IEND":
        raise Refused("truncated PNG: it ends before its IEND chunk")


def length(file: bytes) -> int:
    """How many of the bytes are the PNG: up to the end of its IEND chunk."""
    return max((end + 4 for _, _, end in _places(file)), default=len(PNG_MAGIC))


def pixels(file: bytes) -> Iterator[bytes]:
    """The bodies of its IDAT chunks."""
    return (file[start:end] for kind, start, end in _places(file) if kind == b"IDAT")


def _places(file: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where its body begins, where it ends) of every chunk up to IEND, whatever is in them."""
    at, kind = len(PNG_MAGIC), b""
    while kind != b"IEND" and at + 12 <= len(file):
        size, kind = int.from_bytes(file[at : at + 4], "big"), file[at + 4 : at + 8]
        yield kind, at + 8, at + 8 + size
        at += 12 + size


def clean(file: bytes, same_samples: bool) -> tuple[tuple[Chunk, ...], list[str]]:
    """(ancillary chunks that may be written again byte for byte, notes).

    same_samples: the written PNG has the colour type and depth of this one, so that sBIT and bKGD stay valid."""
    kept: list[Chunk] = []
    notes: list[str] = []
    for kind, body, after in chunks(file):
        if kind in KEPT_CHUNKS:
            chunk, said = _clean_chunk(kind, body, after)
            kept += [chunk] if chunk else []
            notes += said
        elif kind in _SAMPLE_CHUNKS and same_samples:
            kept.append((kind, body, after))
        elif kind not in _PIXEL_CHUNKS:
            notes.append(f"PNG chunk {kind.decode('latin-1')!r} dropped")
    exifs = [chunk for chunk in kept if chunk[0] == b"eXIf"]
    return tuple(c for c in kept if c[0] != b"eXIf" or c is exifs[0]), list(dict.fromkeys(notes))


def carried(file: bytes) -> tuple[Chunk, ...]:
    """All chunks of a PNG file but those of the pixels and of C2PA, which vouches for the others."""
    return tuple(chunk for chunk in chunks(file) if chunk[0] not in _PIXEL_CHUNKS and chunk[0] != C2PA_CHUNK)


def _clean_chunk(kind: bytes, body: bytes, after: bool) -> tuple[Chunk | None, list[str]]:
    if kind == b"eXIf":
        exif, notes = clean_exif(body)
        return (kind, exif, after) if exif else None, notes
    if kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return (kind, body, after), []
    key, text = _text_of(kind, body)
    if key == XMP_KEY:
        xmp, notes = clean_xmp(text)
        if xmp is None:
            return None, notes
        return (kind, body if xmp == text else _xmp_chunk(xmp), after), notes
    if key.startswith(b"Raw profile type") and (profile := _RAW_PROFILE.match(text)):
        return _clean_profile((kind, body, after), key.decode("latin-1"), b"".join(profile[1].split()))
    if shows_picture(text):
        return None, [f"text {key.decode('latin-1')!r} dropped: it holds a picture"]
    return (kind, body, after), []


def _clean_profile(chunk: Chunk, key: str, digits: bytes) -> tuple[Chunk | None, list[str]]:
    """EXIF, XMP and the like as ImageMagick hides them, as hexadecimal text."""
    if len(digits) % 2:
        return None, [f"text {key!r} dropped: it is cut short"]
    blob, after = bytes.fromhex(digits.decode()), chunk[2]
    if blob.startswith(b"Exif\0\0"):
        exif, notes = clean_exif(blob)
        return (b"eXIf", exif, after) if exif else None, [*notes, "EXIF moved from a text chunk to eXIf"]
    packet = blob.removeprefix(_XMP_HEAD)
    if packet != blob or key.endswith(" xmp"):
        xmp, notes = clean_xmp(packet)
        kept = chunk if xmp == packet else (b"iTXt", _xmp_chunk(xmp), after) if xmp else None
        return kept, notes
    if shows_picture(blob):
        return None, [f"text {key!r} dropped: it holds a picture"]
    return chunk, []


def _text_of(kind: bytes, body: bytes) -> tuple[bytes, bytes]:
    """(keyword, text) of a text chunk; what cannot be unpacked is given as it is."""
    key, _, rest = body.partition(b"\0")
    if kind == b"tEXt":
        return key, rest
    packed = kind == b"zTXt" or rest[:1] == b"\1"
    text = rest[1:] if kind == b"zTXt" else rest[2:].split(b"\0", 2)[-1]
    try:
        return key, zlib.decompressobj().decompress(text, _MAX_TEXT) if packed else text
    except zlib.error:
        return key, text


def _xmp_chunk(xmp: bytes) -> bytes:
    return XMP_KEY + bytes(5) + xmp


def packet(chunk: Chunk) -> bytes | None:
    """The XMP packet that a chunk holds, None where it holds something else."""
    kind, body, _ = chunk
    if kind not in (b"tEXt", b"zTXt", b"iTXt") or not body.startswith(XMP_KEY + b"\0"):
        return None
    return _text_of(kind, body)[1]


def with_packet(chunk: Chunk | None, xmp: bytes) -> Chunk:
    """The chunk with another packet in it, uncompressed; a new one, before the pixels, where there is none."""
    return b"iTXt", _xmp_chunk(xmp), bool(chunk and chunk[2])


def chunks_for(meta: Metadata) -> tuple[Chunk, ...]:
    """The chunks that carry the metadata in a PNG: its own byte for byte, or made from another format's."""
    if meta.chunks:
        return meta.chunks
    made: list[Chunk] = []
    if meta.points:
        made.append((b"cICP", bytes((*meta.points, 0, 1)), False))  # as RGB, of the full range
    if meta.icc:
        made.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(meta.icc), False))
    if meta.dpi:
        x, y = (round(v / 0.0254) for v in meta.dpi)
        made.append((b"pHYs", struct.pack(">IIB", x, y, 1), False))
    if meta.exif:
        made.append((b"eXIf", meta.exif, False))
    if meta.xmp:
        made.append((b"iTXt", _xmp_chunk(meta.xmp), False))
    made += [(b"iTXt", key.encode() + bytes(5) + text.encode(), False) for key, text in meta.texts]
    return tuple(made)


def with_chunks(png: bytes, chunks: tuple[Chunk, ...]) -> bytes:
    """A PNG as Pillow writes it (header 33 bytes, pixels, end 12 bytes) with more chunks round its pixels."""
    before = [_framed(kind, body) for kind, body, after in chunks if not after]
    behind = [_framed(kind, body) for kind, body, after in chunks if after]
    return b"".join((png[:33], *before, memoryview(png)[33:-12], *behind, png[-12:]))


def _framed(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
