"""What a picture carries beside its samples comes out as it went in, but for anything that shows the picture."""

import base64
import struct
from io import BytesIO

import numpy as np
import pytest
from jobs import stored
from pictures import SIZE, SRGB, SUFFIX, picture, protected, reopened
from PIL import Image, PngImagePlugin

from unlearnable.files.pictures import tiff

THUMBNAIL = bytes.fromhex("ffd8ffe000104a46494600010100000100010000") + b"the unprotected picture" + b"\xff\xd9"
XMP = b'<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"><a>caf\xc3\xa9</a>%s</x:xmpmeta><?xpacket end="w"?>'


def exif_block(
    order: str, thumbnail: bytes = THUMBNAIL, note: bytes = b"NOTE\0offset 118", orientation: int = 6
) -> bytes:
    """IFD0 (Make, Orientation, Exif -> MakerNote) and IFD1 with a JPEG thumbnail, written by hand."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    make, exif_at, note_at = 8 + 2 + 36 + 4, 60, 60 + 2 + 12 + 4
    ifd1_at = note_at + len(note) + len(note) % 2
    thumbnail_at = ifd1_at + 2 + 24 + 4

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        body = struct.pack(order + ("Hxx" if kind == 3 else "I"), value)
        return struct.pack(order + "HHI", tag, kind, count) + body

    ifd0 = entry(271, 2, 10, make) + entry(274, 3, 1, orientation) + entry(34665, 4, 1, exif_at)
    ifd1 = entry(513, 4, 1, thumbnail_at) + entry(514, 4, 1, len(thumbnail))
    block = head + struct.pack(order + "H", 3) + ifd0 + struct.pack(order + "I", ifd1_at) + b"Caf\xe9 Cam \0"
    block += struct.pack(order + "H", 1) + entry(37500, 7, len(note), note_at) + bytes(4) + note
    block = block.ljust(ifd1_at, b"\0")
    return block + struct.pack(order + "H", 2) + ifd1 + bytes(4) + thumbnail


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_survives_byte_for_byte_without_its_thumbnail(order, kind):
    block = exif_block(order)
    options = {"lossless": True} if kind == "WEBP" else {}
    data = stored(picture("RGB"), kind, exif=b"Exif\0\0" + block, **options)
    assert THUMBNAIL in data, "the input must hold what the output must not"
    original, _, out = protected(data, "a" + SUFFIX[kind])
    assert b"unprotected picture" not in out
    assert "EXIF thumbnail removed" in original.notes
    got = reopened(out).info["exif"].removeprefix(b"Exif\0\0")
    assert len(got) == len(block)
    link = 8 + 2 + 36
    start = struct.unpack(order + "I", block[link : link + 4])[0]
    assert got == block[:link] + bytes(4) + block[link + 4 : start] + bytes(len(block) - start)
    exif = reopened(out).getexif()
    assert exif[274] == 6
    assert exif.get_ifd(34665)[37500] == b"NOTE\0offset 118"


def test_orientation_profile_and_xmp_of_avif_survive():
    exif = Image.Exif()
    exif[274] = 6
    image = picture("RGB")
    original, _, out = protected(stored(image, "AVIF", exif=exif, icc_profile=SRGB, xmp=XMP % b""), "a.avif")
    after = reopened(out)
    assert after.getexif()[274] == 6
    assert original.planes.shape[:2] == (SIZE[1], SIZE[0])
    assert after.info["icc_profile"] == SRGB
    assert after.info["xmp"] == XMP % b""


def test_previews_in_maker_notes_are_blanked():
    note = b"PREVIEW" + THUMBNAIL + b"tail"
    original, _, out = protected(stored(picture("RGB"), "JPEG", exif=b"Exif\0\0" + exif_block("<", note=note)), "a.jpg")
    kept = reopened(out).getexif().get_ifd(34665)[37500]
    assert kept == b"PREVIEW" + bytes(len(THUMBNAIL)) + b"tail"
    assert b"unprotected" not in out
    assert "preview in the EXIF block removed" in original.notes


def test_uncompressed_exif_thumbnail_is_blanked():
    block = exif_block("<", thumbnail=b"raw samples of the picture")
    block = block.replace(struct.pack("<HHI", 513, 4, 1), struct.pack("<HHI", 273, 4, 1))
    block = block.replace(struct.pack("<HHI", 514, 4, 1), struct.pack("<HHI", 279, 4, 1))
    _, _, out = protected(stored(picture("RGB"), "JPEG", exif=b"Exif\0\0" + block), "a.jpg")
    assert b"raw samples" not in out
    assert b"Caf\xe9 Cam" in out


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_survives_without_its_thumbnails(kind):
    inner = b"<xmp:Thumbnails><rdf:li><xmpGImg:image>/9j/4AAQSkZJRg==</xmpGImg:image></rdf:li></xmp:Thumbnails>"
    options: dict[str, object] = {"xmp": XMP % inner, "lossless": True}
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP % inner)
        options = {"pnginfo": info}
    if kind == "TIFF":
        options = {"tiffinfo": {700: XMP % inner}}
    data = stored(picture("RGB"), kind, **options)
    assert b"Thumbnails" in data
    _, _, out = protected(data, "a" + SUFFIX[kind])
    assert reopened(out).info["xmp"] == XMP % b""
    assert b"/9j/4AAQ" not in out


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("dpi", [(300, 300), (72, 96)])
def test_profile_and_resolution_survive(kind, dpi):
    data = stored(picture("RGB"), kind, icc_profile=SRGB, dpi=dpi, **({"lossless": True} if kind == "WEBP" else {}))
    _, _, out = protected(data, "a" + SUFFIX[kind])
    info = reopened(out).info
    if kind != "BMP":
        assert info["icc_profile"] == SRGB
    if kind != "WEBP":
        assert tuple(info["dpi"]) == pytest.approx(dpi, abs=0.03)


def test_png_chunks_survive_byte_for_byte_and_private_ones_go():
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 45455))
    info.add(b"cHRM", bytes(range(32)))
    info.add(b"sBIT", b"\5\6\5")
    info.add(b"tIME", bytes([7, 200, 1, 2, 3, 4, 5]))
    info.add(b"bKGD", bytes(6))
    info.add_text("Title", "caf\xe9", zip=True)
    info.add_text("Title", "\u732b")
    info.add_text("Comment", "after the pixels")
    info.add_text("workflow", "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg")
    info.add(b"prVw", b"a preview of the picture")
    data = stored(picture("RGB"), "PNG", pnginfo=info, dpi=(99, 98))
    original, _, out = protected(data, "a.png")

    def chunks(file: bytes) -> dict[bytes, list[bytes]]:
        at, found = 8, {}
        while at < len(file):
            size = int.from_bytes(file[at : at + 4], "big")
            found.setdefault(file[at + 4 : at + 8], []).append(file[at + 8 : at + 8 + size])
            at += 12 + size
        return found

    before, after = chunks(data), chunks(out)
    for kind in (b"gAMA", b"cHRM", b"sBIT", b"tIME", b"bKGD", b"pHYs", b"zTXt", b"iTXt"):
        assert after[kind] == before[kind], kind
    assert after[b"tEXt"] == [b"Comment\0after the pixels"]
    assert b"prVw" not in after
    assert b"iVBORw0KGgo" not in out
    assert "PNG chunk 'prVw' dropped" in original.notes
    assert "text 'workflow' dropped: it holds a picture" in original.notes


def test_exif_in_a_text_chunk_moves_to_exif_without_thumbnail():
    """ImageMagick hides EXIF, thumbnail included, as hexadecimal text."""
    blob = b"Exif\0\0" + exif_block("<")
    text = f"\nexif\n{len(blob):8}\n" + "\n".join(blob.hex()[i : i + 72] for i in range(0, 2 * len(blob), 72)) + "\n"
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", text, zip=True)
    _, _, out = protected(stored(picture("RGB"), "PNG", pnginfo=info), "a.png")
    after = reopened(out)
    assert after.getexif()[274] == 6
    assert "Raw profile type exif" not in after.text
    assert b"unprotected picture" not in after.info["exif"]


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_tiff_tags_orientation_and_compression_survive(compression, orientation):
    image = picture("RGB")
    options: dict[str, object] = {"tiffinfo": {274: orientation, 271: "Camera"}, "dpi": (301, 302)}
    if compression == "raw":  # with the others Pillow cannot write an Exif directory
        options["exif"] = options.pop("tiffinfo") and exif_block("<", orientation=orientation)
    data = stored(image, "TIFF", compression=compression, icc_profile=SRGB, **options)
    original, planes, out = protected(data, "a.tiff")
    assert original.planes.shape == (SIZE[1], SIZE[0], 3), "the samples are as stored, not turned"
    assert np.array_equal(original.planes, np.asarray(image))
    with Image.open(BytesIO(out)) as after:
        assert after.tag_v2[274] == orientation
        assert after.info["compression"] == compression
        assert after.info["dpi"] == (301, 302)
        assert after.info["icc_profile"] == SRGB
        with Image.open(BytesIO(data)) as before:
            assert after.tag_v2[271] == before.tag_v2[271]
        exif = {37500: b"NOTE\0offset 118"} if compression == "raw" else {}
        assert after.getexif().get_ifd(34665) == exif
    assert any("maker note" in note for note in original.notes) == (compression == "raw")
    turned = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270}[orientation]
    shown = Image.fromarray(planes)
    assert np.array_equal(np.asarray(reopened(out)), np.asarray(shown.transpose(turned) if turned else shown))


def test_photoshop_thumbnails_and_layers_leave_a_tiff():
    def resource(number: int, body: bytes) -> bytes:
        return b"8BIM" + struct.pack(">HxxI", number, len(body)) + body + b"\0" * (len(body) % 2)

    kept = resource(1005, b"resolution") + resource(1028, b"\x1c\x02\x05\0\3abc")
    blocks = kept + resource(1036, bytes(28) + THUMBNAIL) + resource(1033, b"raw samples, unprotected")
    data = stored(picture("RGB"), "TIFF", tiffinfo={34377: blocks, 37724: b"Adobe Photoshop layers"})
    assert b"unprotected" in data
    original, _, out = protected(data, "a.tif")
    assert Image.open(BytesIO(out)).tag_v2[34377] == kept
    assert b"unprotected" not in out
    assert b"layers" not in out
    assert len(original.notes) == 2


def test_jpeg_comment_survives_and_app13_thumbnail_does_not():
    data = stored(picture("RGB"), "JPEG", comment="sch\xf6n".encode())
    body = b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HxxI", 1036, 60) + THUMBNAIL.ljust(60, b"\0")
    body += b"8BIM" + struct.pack(">HxxI", 0x0404, 8) + b"\x1c\x02\x05\0\3abc"
    data = data[:2] + b"\xff\xed" + struct.pack(">H", len(body) + 2) + body + data[2:]
    original, _, out = protected(data, "a.jpg")
    assert reopened(out).text["Comment"] == "sch\xf6n"
    assert b"unprotected" not in out
    assert "IPTC data dropped: PNG cannot hold it" in original.notes


WEBP, AVIF, PNG = (stored(picture("RGB"), kind) for kind in ("WEBP", "AVIF", "PNG"))
IN_XMP = {
    "WebP": base64.b64encode(WEBP), "AVIF": base64.b64encode(AVIF), "filled": b"/9j//9sAQwAI", "restarts": b"/9j/3QAE",
    "escaped": base64.b64encode(THUMBNAIL).replace(b"/", b"&#x2F;"), "of URLs": base64.urlsafe_b64encode(THUMBNAIL),
}  # fmt: skip


@pytest.mark.parametrize("inside", IN_XMP)
def test_an_xmp_packet_with_a_picture_outside_its_thumbnails_goes(inside):
    packet = XMP % (b"<mine>" + IN_XMP[inside] + b"</mine>")
    original, _, out = protected(stored(picture("RGB"), "JPEG", xmp=packet), "a.jpg")
    assert "XMP packet with a picture inside dropped" in original.notes
    assert IN_XMP[inside][:40] not in out


def raw_profile(kind: str, blob: bytes, cut: int = 0) -> bytes:
    digits = blob.hex()[: len(blob) * 2 - cut]
    info = PngImagePlugin.PngInfo()
    info.add_text(f"Raw profile type {kind}", f"\n{kind}\n{len(blob):8}\n{digits}\n", zip=True)
    return stored(picture("RGB"), "PNG", pnginfo=info)


def test_profiles_in_hexadecimal_text_are_looked_into():
    """They were looked at as text, in which the base64 inside them does not show."""
    encoded = XMP % (b"<mine>" + base64.b64encode(THUMBNAIL) + b"</mine>")
    head = b"http://ns.adobe.com/xap/1.0/\0"
    for kind, blob in (("xmp", encoded), ("APP1", head + encoded), ("8bim", base64.b64encode(WEBP)), ("iptc", PNG)):
        original, _, out = protected(raw_profile(kind, blob), "a.png")
        assert any("dropped" in note for note in original.notes), kind
        assert b"Raw profile type" not in out
    for kind, blob in (("xmp", XMP % b""), ("APP1", head + XMP % b""), ("iptc", b"\x1c\x02\x05\0\3abc")):
        original, _, out = protected(raw_profile(kind, blob), "a.png")
        assert original.notes == ()
        assert b"Raw profile type" in out
    thumbnails = b"<xmp:Thumbnails>" + base64.b64encode(THUMBNAIL) + b"</xmp:Thumbnails>"
    assert reopened(protected(raw_profile("xmp", XMP % thumbnails), "a.png")[2]).info["xmp"] == XMP % b""


def test_a_profile_in_text_that_is_cut_short_goes_and_the_picture_stays():
    """It was refused as: non-hexadecimal number found in fromhex() arg."""
    original, _, _ = protected(raw_profile("iptc", b"abc", cut=1), "a.png")
    assert original.notes == ("text 'Raw profile type iptc' dropped: it is cut short",)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("tag", "kind", "blob"), [
    (33723, 4, THUMBNAIL), (65000, 2, THUMBNAIL), (270, 2, base64.b64encode(THUMBNAIL)), (65001, 7, PNG),
    (65002, 1, WEBP), (65003, 3, THUMBNAIL), (65004, 12, THUMBNAIL),
], ids=["LONG", "ASCII", "base64", "UNDEFINED", "BYTE", "SHORT", "DOUBLE"])  # fmt: skip
def test_a_tag_of_whatever_type_that_holds_a_picture_leaves_a_tiff(order, tag, kind, blob):
    width = {4: 4, 3: 2, 12: 8}.get(kind, 1)
    blob = blob.ljust(-(-len(blob) // 8) * 8, b"\0")
    plain = stored(picture("RGB"), "TIFF")
    tags = {**tiff.parse(plain), tag: tiff.Entry(kind, len(blob) // width, blob), 271: tiff.Entry(2, 4, b"Cam\0")}
    data = tiff.graft(plain, tags)
    if order == ">":  # as a program would write it whose words are the other way round
        swapped = tiff.in_both_orders(tags[tag])[-1]
        data = tiff.graft(plain, {**tags, tag: tiff.Entry(kind, len(blob) // width, swapped)})
    original, _, out = protected(data, "a.tif")
    assert f"TIFF tag {tag} dropped: it holds a picture" in original.notes
    assert set(tiff.parse(out)) - tiff.STRUCTURAL == {271}
    assert b"unprotected" not in out


def test_an_exif_block_with_another_picture_than_a_jpeg_goes():
    block = b"Exif\0\0" + exif_block("<", note=b"NOTE" + PNG)
    original, _, out = protected(stored(picture("RGB"), "JPEG", exif=block), "a.jpg")
    assert "EXIF block with a picture inside dropped" in original.notes
    assert "exif" not in reopened(out).info
