"""What the samples mean: profiles and code points (ITU-T H.273), carried to the written format or refused."""

import struct
from dataclasses import replace

from PIL import Image, PngImagePlugin

from unlearnable.files.pictures.metadata import Metadata
from unlearnable.files.pictures.opening import Plan
from unlearnable.files.refused import Refused

_SRGB = (1, 13)  # primaries, transfer; what is not said (2, or 0) is sRGB's
_LIKE_SRGB = (1, 6, 13, 14, 15)  # transfers that are shown as sRGB's is
_HEAD = 1 << 16
_GAMMA = (45455,)  # of sRGB, as PNG says it, in 1/100000
_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
_NEAR = 500


def code_points(image: Image.Image, data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer that a HEIF or AVIF says its colours have; None where they are sRGB's."""
    found = image.info.get("nclx_profile")
    if found:
        return _said(int(found["color_primaries"]), int(found["transfer_characteristics"]))
    at = data.find(b"colrnclx", 0, _HEAD)
    if at < 0:
        return None
    return _said(int.from_bytes(data[at + 8 : at + 10], "big"), int.from_bytes(data[at + 10 : at + 12], "big"))


def _said(primaries: int, transfer: int) -> tuple[int, int] | None:
    said = (_SRGB[0] if primaries in (0, 2) else primaries, _SRGB[1] if transfer in (0, 2) else transfer)
    return None if said == _SRGB or max(said) > 0xFE else said


def fitted(meta: Metadata, plan: Plan) -> tuple[Metadata, list[str]]:
    """(what of it the written format can say, notes). Raises `Refused` where the colours would become others."""
    if plan.target == "PNG" and meta.icc and len(meta.icc) > PngImagePlugin.MAX_TEXT_CHUNK:
        raise Refused(
            f"its ICC profile of {len(meta.icc):,} bytes is above the {PngImagePlugin.MAX_TEXT_CHUNK:,} that readers "
            "of PNG take: embed a smaller one, or use --format webp"
        )
    return _for_webp(meta, plan) if plan.target == "WEBP" else (meta, [])


def _check_gamma(meta: Metadata) -> None:
    """Raises `Refused` where gAMA or cHRM say other colours than sRGB's, and nothing that goes before them does."""
    said = {kind: body for kind, body, _ in meta.chunks}
    if meta.icc or b"sRGB" in said or b"cICP" in said:
        return
    for kind, usual in ((b"gAMA", _GAMMA), (b"cHRM", _PRIMARIES)):
        body = said.get(kind)
        if body is None or len(body) != 4 * len(usual):
            continue
        found = struct.unpack(f">{len(usual)}I", body)
        if any(abs(value - like) > _NEAR for value, like in zip(found, usual, strict=True)):
            raise Refused(
                f"its colours are not sRGB ({kind.decode()} {', '.join(map(str, found))}) and it has no profile, "
                "without which WebP cannot say so: use --format keep or png"
            )


def _for_webp(meta: Metadata, plan: Plan) -> tuple[Metadata, list[str]]:
    _check_gamma(meta)
    notes = []
    chunk = next((body for kind, body, _ in meta.chunks if kind == b"cICP" and len(body) == 4), None)
    points = meta.points or (_said(chunk[0], chunk[1]) if chunk else None)
    if points and not meta.icc:
        if points[0] != _SRGB[0] or points[1] not in _LIKE_SRGB:
            raise Refused(
                f"its colours are not sRGB (primaries {points[0]}, transfer {points[1]}) and it has no profile, "
                "without which WebP cannot say so: use --format keep or png"
            )
        notes.append(f"colour code points {points[0]}, {points[1]} dropped: WebP cannot hold them")
    if plan.mode in ("L", "LA") and meta.icc and meta.icc[16:20] == b"GRAY":
        return replace(meta, icc=None), [*notes, "profile of greys dropped: WebP stores RGB"]
    return meta, notes
