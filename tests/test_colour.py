"""What the samples of a picture mean, and where it comes from, is carried, refused or named, never lost in silence."""

import importlib
import os
import struct
import zlib
from io import BytesIO

import pytest
from jobs import stored
from pictures import SIZE, SRGB, picture, protected, reopened
from PIL import PngImagePlugin

from unlearnable.files import Refused, decode
from unlearnable.files.pictures.png import chunks

P3, PLAIN, VIDEO = (12, 13), (1, 13), (1, 1)  # primaries and transfer: Display P3, sRGB, BT.709
GREY = SRGB[:16] + b"GRAY" + SRGB[20:]
VAST = SRGB + os.urandom(PngImagePlugin.MAX_TEXT_CHUNK)


def heic(points: tuple[int, int], **options: object) -> bytes:
    heif, file = importlib.import_module("pillow_heif"), BytesIO()
    named = dict(zip(("color_primaries", "transfer_characteristics"), points, strict=True))
    heif.from_pillow(picture("RGB")).save(file, quality=90, matrix_coefficients=6, **named, **options)
    return file.getvalue()


def avif(points: tuple[int, int], **options: object) -> bytes:
    data = stored(picture("RGB"), "AVIF", **options)
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", *points) + data[at + 4 :]


def png(points: tuple[int, int], **options: object) -> bytes:
    data, body = stored(picture("RGB"), "PNG", **options), bytes((*points, 0, 1))
    chunk = struct.pack(">I", 4) + b"cICP" + body + struct.pack(">I", zlib.crc32(b"cICP" + body))
    return data[:33] + chunk + data[33:]


def said(out: bytes) -> list[bytes]:
    return [body for kind, body, _ in chunks(out) if kind == b"cICP"]


MAKERS = [(heic, "a.heic"), (avif, "a.avif"), (png, "a.png")]


@pytest.mark.parametrize(("make", "name"), MAKERS)
@pytest.mark.parametrize("points", [P3, VIDEO, (9, 16)])
def test_colours_that_are_not_srgb_stay_what_they_are(make, name, points):
    _, _, out = protected(make(points), name)
    assert said(out) == [bytes((*points, 0, 1))]
    assert reopened(out).size == SIZE


@pytest.mark.parametrize(("make", "name"), MAKERS[:2])
@pytest.mark.parametrize("points", [PLAIN, (2, 2)])
def test_srgb_and_what_is_not_said_need_no_words(make, name, points):
    _, _, out = protected(make(points), name)
    assert said(out) == []
    assert protected(make(points), name, "webp")[0].target == "WEBP"


def test_a_profile_goes_before_code_points():
    data = png(P3, icc_profile=SRGB)
    assert said(protected(data, "a.png")[2]) == [bytes((*P3, 0, 1))]
    assert reopened(protected(data, "a.png", "webp")[2]).info["icc_profile"] == SRGB
    data = stored(picture("RGB"), "AVIF", icc_profile=SRGB)
    assert said(protected(data, "a.avif")[2]) == []


@pytest.mark.parametrize(("make", "name"), MAKERS)
def test_webp_cannot_say_what_colours_they_are(make, name):
    with pytest.raises(
        Refused, match=r"colours are not sRGB \(primaries 12, transfer 13\).*: use --format keep or png"
    ):
        decode(make(P3), name, "webp")
    original, _, _ = protected(make(VIDEO), name, "webp")
    assert "colour code points 1, 1 dropped: WebP cannot hold them" in original.notes


def chunked(*said: tuple[bytes, bytes], **options: object) -> bytes:
    info = PngImagePlugin.PngInfo()
    for kind, body in said:
        info.add(kind, body)
    return stored(picture("RGB"), "PNG", pnginfo=info, **options)


GAMMA, LINEAR = (struct.pack(">I", value) for value in (45455, 100_000))
PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
LIKE_SRGB, ADOBE = (struct.pack(">8I", *PRIMARIES[:4], green, *PRIMARIES[5:]) for green in (30010, 21000))


def test_gamma_and_primaries_that_webp_cannot_say_are_refused():
    """They were dropped with a note, and the picture was shown in other colours."""
    for said, words in (((b"gAMA", LINEAR), "gAMA 100000"), ((b"cHRM", ADOBE), "cHRM 31270, 32900")):
        with pytest.raises(Refused, match=rf"colours are not sRGB \({words}.*: use --format keep or png"):
            decode(chunked(said), "a.png", "webp")
        assert protected(chunked(said, icc_profile=SRGB), "a.png", "webp")[0].target == "WEBP"
        assert protected(chunked(said, (b"sRGB", b"\0")), "a.png", "webp")[0].target == "WEBP"
        assert protected(chunked(said), "a.png")[0].notes == ()
    plain = protected(chunked((b"gAMA", GAMMA), (b"cHRM", LIKE_SRGB)), "a.png", "webp")[0]
    assert "text, resolution or gamma dropped: WebP cannot hold them" in plain.notes


def test_a_profile_that_holds_a_picture_is_refused():
    vast = SRGB + stored(picture("RGB"), "JPEG")
    for kind, name in (("PNG", "a.png"), ("JPEG", "a.jpg")):
        with pytest.raises(Refused, match="its colour profile contains a picture"):
            decode(stored(picture("RGB"), kind, icc_profile=vast), name)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_profile_of_greys_is_not_put_on_colours(kind, mode):
    name = {"PNG": "a.png", "TIFF": "a.tif", "JPEG": "a.jpg"}[kind]
    data = stored(picture("L" if kind == "JPEG" else mode), kind, icc_profile=GREY)
    original, _, out = protected(data, name, "webp")
    assert "icc_profile" not in reopened(out).info
    assert "profile of greys dropped: WebP stores RGB" in original.notes
    assert reopened(protected(data, name, "png")[2]).info["icc_profile"] == GREY


def test_a_profile_too_large_for_readers_of_png_is_refused_at_once():
    data = stored(picture("RGB"), "JPEG", icc_profile=VAST)
    line = rf"its ICC profile of {len(VAST):,} bytes is above the 1,048,576 that readers of PNG take"
    with pytest.raises(Refused, match=line):
        decode(data, "a.jpg")
    assert reopened(protected(data, "a.jpg", "webp")[2]).info["icc_profile"] == VAST
    with pytest.raises(Refused, match="profile or a text in it unpacks to more than 1,048,576 bytes"):
        decode(stored(picture("RGB"), "PNG", icc_profile=VAST), "a.png")


def segment(number: int, body: bytes) -> bytes:
    return bytes((0xFF, 0xE0 + number)) + struct.pack(">H", len(body) + 2) + body


def riff(data: bytes, kind: bytes, body: bytes) -> bytes:
    data += kind + struct.pack("<I", len(body)) + body
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def test_what_a_jpeg_webp_or_heif_said_of_its_origin_is_not_dropped_in_silence():
    dropped = "C2PA manifest dropped: it was of the unprotected picture"
    jpeg = stored(picture("RGB"), "JPEG", icc_profile=SRGB, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    claim = segment(11, b"JP\0\1\0\0\0\1\0\0\0\x20jumb\0\0\0\x18jumdc2pa")
    notes = protected(jpeg[:2] + claim * 2 + segment(12, b"Ducky\0\1") + jpeg[2:], "a.jpg")[0].notes
    assert [note for note in notes if "dropped" in note] == [dropped, "JPEG segment APP12 dropped"]
    assert not [note for note in protected(jpeg, "a.jpg")[0].notes if "dropped" in note]
    webp = stored(picture("RGB"), "WEBP", lossless=True, icc_profile=SRGB)
    notes = protected(riff(riff(webp, b"C2PA", b"abcd"), b"mine", b"x\0"), "a.webp")[0].notes
    assert notes == (dropped, "WebP chunk 'mine' dropped")
    assert protected(webp, "a.webp")[0].notes == ()
    box = bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + bytes(8)
    for data, name in ((heic(PLAIN), "a.heic"), (stored(picture("RGB"), "AVIF"), "a.avif")):
        claimed = data + struct.pack(">I", len(box) + 8) + b"uuid" + box
        assert dropped in protected(claimed, name)[0].notes
        assert dropped not in protected(data, name)[0].notes
