"""Metadata of an opened picture, collected from wherever its format keeps it, and compared after the writing."""

from dataclasses import replace
from typing import Any

from PIL import Image

from unlearnable.files.marks import shows
from unlearnable.files.pictures import colour, metadata, opening, png, tiff
from unlearnable.files.pictures.metadata import Metadata
from unlearnable.files.pictures.surplus import surplus
from unlearnable.files.refused import Refused

_HELD_BY_WEBP = (b"iCCP", b"eXIf")


def collect(image: Image.Image, data: bytes, kind: str, plan: opening.Plan) -> tuple[Metadata, list[str]]:
    """(cleaned metadata of a loaded image, notes on what could not be kept).

    Raises `Refused` where its colours would become others, or their profile is none.
    """
    meta, notes = _collected(image, data, kind, plan)
    if meta.icc and shows(meta.icc):
        raise Refused("its colour profile contains a picture: embed the plain profile, or none")
    meta, said = colour.fitted(meta, plan)
    return meta, [*notes, *said]


def _collected(image: Image.Image, data: bytes, kind: str, plan: opening.Plan) -> tuple[Metadata, list[str]]:
    if kind == "PNG":
        same = plan.target == "PNG" and image.mode == plan.mode and data[24] in (8, 16)
        return _of_png(image, data, same)
    if kind == "TIFF":
        return _of_tiff(image, data)
    info = image.info
    exif, notes = metadata.clean_exif(_bytes(info.get("exif")))
    if exif and plan.target == "TIFF" and not tiff.readable(exif):
        exif, notes = None, ["damaged EXIF block dropped"]
    xmp, said = metadata.clean_xmp(_bytes(info.get("xmp")))
    icc = opening.bmp_profile(data) if kind == "BMP" else _bytes(info.get("icc_profile"))
    meta = Metadata(icc, exif, xmp, dpi=metadata.resolution(info), texts=_comments(image))
    notes += said
    if kind == "JPEG":
        meta, said = _with_jpeg_parts(meta, image)
        notes += said
    if kind in ("HEIF", "AVIF") and not icc:
        meta = replace(meta, points=colour.code_points(image, data))
    notes += _unknown(image, data, kind)
    if kind == "JPEG2000":
        meta = replace(meta, icc=_jpeg2000_profile(data))
        notes += ["JPEG 2000 metadata boxes dropped"] * (b"uuid" in data[:_HEAD] or b"xml " in data[:_HEAD])
    return meta, notes


_HEAD = 1 << 16
_C2PA_BOX = b"uuid\xd8\xfe\xc3\xd6\x1b\x0e\x48\x3c\x92\x97\x58\x28\x87\x7e\xc4\x81"
_SEGMENTS = {
    "APP0": b"", "APP1": (b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/"),
    "APP2": (b"ICC_PROFILE\0", b"MPF\0"), "APP13": b"Photoshop 3.0\0", "APP14": b"Adobe", "COM": b"",
}  # fmt: skip
_WEBP_CHUNKS = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP", b"EXIF", b"XMP ")


def _unknown(image: Image.Image, data: bytes, kind: str) -> list[str]:
    """Notes on parts of the file that are not read: what says where the picture comes from among them."""
    notes = []
    for name, body in getattr(image, "applist", ()) if kind == "JPEG" else ():
        if name == "APP11" and b"jumb" in body[:64]:
            notes.append(metadata.NO_C2PA)
        elif name == "APP11" and body.startswith(b"JP"):
            continue  # a manifest goes on
        elif not body.startswith(_SEGMENTS.get(name, ())):
            notes.append(f"JPEG segment {name} dropped")
    for chunk, _ in opening.webp_chunks(data) if kind == "WEBP" else ():
        if chunk not in _WEBP_CHUNKS:
            notes.append(metadata.NO_C2PA if chunk == b"C2PA" else f"WebP chunk {chunk.decode('latin-1')!r} dropped")
    if kind in ("HEIF", "AVIF") and _C2PA_BOX in data:
        notes.append(metadata.NO_C2PA)
    return list(dict.fromkeys(notes))


def _bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) and value else None


def _of_png(image: Image.Image, data: bytes, same_samples: bool) -> tuple[Metadata, list[str]]:
    chunks, notes = png.clean(data, same_samples)
    exif = next((body for kind, body, _ in chunks if kind == b"eXIf"), None)
    xmp, _ = metadata.clean_xmp(_bytes(image.info.get("xmp")))
    icc = _bytes(image.info.get("icc_profile"))
    return Metadata(icc, exif, xmp, dpi=metadata.resolution(image.info), chunks=chunks), notes


def _of_tiff(image: Image.Image, data: bytes) -> tuple[Metadata, list[str]]:
    tags, notes = metadata.clean_tags(data)

    def blob(tag: int) -> bytes | None:
        return _bytes(tags[tag].value) if tag in tags else None

    exif = metadata.exif_from_tags(tags)
    dpi = metadata.resolution(image.info) if tiff.X_RESOLUTION in tags else None
    return Metadata(blob(tiff.ICC), exif, blob(tiff.XMP), blob(tiff.IPTC), dpi, tags=tags), notes


def _comments(image: Image.Image) -> tuple[tuple[str, str], ...]:
    raw = [body for kind, body in getattr(image, "applist", ()) if kind == "COM"]
    comments = raw or [c for c in (_bytes(image.info.get("comment")),) if c]
    return tuple(("Comment", _text(c)) for c in comments if not metadata.shows_picture(c))


def _text(raw: bytes) -> str:
    try:
        return raw.decode().replace("\0", "")
    except UnicodeDecodeError:
        return raw.decode("latin-1").replace("\0", "")


def _with_jpeg_parts(meta: Metadata, image: Image.Image) -> tuple[Metadata, list[str]]:
    photoshop: Any = image.info.get("photoshop", {})
    parts = [body for _, body in getattr(image, "applist", ())]
    extended = any(body.startswith(b"http://ns.adobe.com/xmp/extension/") for body in parts)
    iptc = _bytes(photoshop.get(0x0404))
    if iptc and metadata.shows_picture(iptc):
        iptc = None
    return replace(meta, iptc=iptc), ["extended XMP dropped"] * extended


def _jpeg2000_profile(data: bytes) -> bytes | None:
    at = data.find(b"colr\x02", 0, _HEAD)
    return data[at + 7 : at - 4 + int.from_bytes(data[at - 4 : at], "big")] or None if at >= 4 else None


def losses(meta: Metadata, kind: str, target: str) -> list[str]:
    """Notes on metadata for which the written format has no place."""
    notes = []
    if meta.iptc and target != "TIFF":
        notes.append(f"IPTC data dropped: {target} cannot hold it")
    if target == "BMP" and (meta.texts or meta.xmp or meta.exif):
        notes.append("metadata dropped: BMP cannot hold it")
    if target == "WEBP" and kind != "WEBP":
        others = [c for c in meta.chunks if c[0] not in _HELD_BY_WEBP and not c[1].startswith(png.XMP_KEY)]
        if others or meta.texts or meta.dpi:
            notes.append("text, resolution or gamma dropped: WebP cannot hold them")
    return notes


def wrong(meta: Metadata, image: Image.Image, data: bytes, kind: str) -> str | None:
    """Which metadata of a file read back is not what was meant; None where all is."""
    if found := surplus(meta, image, data, kind):
        return found
    icc, exif, xmp = (_bytes(image.info.get(key)) for key in ("icc_profile", "exif", "xmp"))
    dpi = metadata.resolution(image.info)
    same = {
        "TIFF": lambda: {"TIFF tags": metadata.carried_tags(data) == metadata.tiff_tags_for(meta)},
        "PNG": lambda: {
            "PNG chunks": png.carried(data) == png.chunks_for(meta),
            "ICC profile": icc == meta.icc,
            "resolution": _close(dpi, meta.dpi),
        },
        "WEBP": lambda: {
            "ICC profile": icc == meta.icc,
            "EXIF block": (exif and exif.removeprefix(b"Exif\0\0")) == meta.exif,
            "XMP packet": xmp == meta.xmp,
        },
        "BMP": lambda: {"resolution": _close(dpi, meta.dpi)},
    }[kind]()
    differing = [key for key, good in same.items() if not good]
    return f"its {differing[0]} read back differs" if differing else None


def _close(got: tuple[float, float] | None, want: tuple[float, float] | None) -> bool:
    if got is None or want is None:
        return got is want
    return all(abs(g - w) <= 0.03 for g, w in zip(got, want, strict=True))
