"""Pictures go out as they came in but for their colour samples: modes and formats, read back independently."""

import importlib
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from jobs import stored
from pictures import SIZE, SRGB, SUFFIX, picture, protected, reopened
from PIL import Image

from unlearnable.files import decode, encode, matches, output_name, stems
from unlearnable.files.pictures import picture as reading


def independent(data: bytes, folder: Path, name: str) -> np.ndarray:
    """Decoded by Rust, which shares no code with Pillow."""
    import kornia_rs

    path = folder / name
    path.write_bytes(data)
    return np.asarray(kornia_rs.io.read_image(str(path)))


LOSSLESS = [
    ("PNG", "L", "L", {}), ("PNG", "LA", "LA", {}), ("PNG", "RGB", "RGB", {}), ("PNG", "RGBA", "RGBA", {}),
    ("PNG", "P", "RGB", {}), ("PNG", "1", "L", {}), ("PNG", "I;16", "I;16", {}),
    ("PNG", "P+transparency", "RGBA", {"transparency": bytes(range(0, 256, 8))}),
    ("TIFF", "L", "L", {}), ("TIFF", "LA", "LA", {}), ("TIFF", "RGB", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "RGBA", "RGBA", {"compression": "tiff_adobe_deflate"}), ("TIFF", "P", "RGB", {}),
    ("TIFF", "PA", "RGBA", {}), ("TIFF", "1", "L", {"compression": "group4"}),
    ("TIFF", "I;16", "I;16", {"compression": "packbits"}), ("TIFF", "I;16", "I;16", {}),
    ("TIFF", "CMYK", "CMYK", {}), ("TIFF", "CMYK", "CMYK", {"compression": "tiff_lzw"}),
    ("BMP", "L", "L", {}), ("BMP", "RGB", "RGB", {}), ("BMP", "P", "RGB", {}), ("BMP", "1", "L", {}),
    ("WEBP", "RGB", "RGB", {"lossless": True}), ("WEBP", "RGBA", "RGBA", {"lossless": True, "exact": True}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "mode", "kept", "options"), LOSSLESS)
def test_exact_formats_keep_their_type_and_every_changed_sample(kind, mode, kept, options, tmp_path):
    data = stored(picture(mode), kind, **options)
    original, planes, out = protected(data, "a" + SUFFIX[kind])
    assert original.mode == kept
    assert original.target == kind
    before, after = Image.open(BytesIO(data)), reopened(out)
    assert after.format == kind
    assert after.mode == kept
    assert after.size == SIZE
    expected, got = np.asarray(before if kept == "I;16" else before.convert(kept)), np.asarray(after)
    if kept in ("LA", "RGBA"):
        assert np.array_equal(got[..., -1], expected[..., -1])  # colours under transparent samples count too
        got, expected = got[..., :-1], expected[..., :-1]
    if kept == "CMYK":
        assert np.array_equal(got[..., 3], expected[..., 3])
        assert np.array_equal(~got[..., :3], planes)
    else:
        assert np.array_equal(got, planes.squeeze(2) if got.ndim == 2 else planes)
    assert 0 < np.abs(got.astype(int) - expected).max() <= 8
    if (kind, kept) in {("PNG", m) for m in ("L", "RGB", "RGBA", "I;16")} | {("TIFF", "L"), ("TIFF", "RGB")}:
        rust = independent(out, tmp_path, "out" + SUFFIX[kind])
        assert np.array_equal(rust[..., : planes.shape[2]], planes)
        assert original.aside is None or np.array_equal(rust[..., 3], original.aside)
    assert bool(original.notes) == (mode != kept or options.get("compression") == "group4"), original.notes


@pytest.mark.parametrize(("kind", "mode", "kept"), [
    ("JPEG", "L", "L"), ("JPEG", "RGB", "RGB"), ("WEBP", "RGB", "RGB"), ("WEBP", "RGBA", "RGBA"), ("GIF", "L", "RGB"),
    ("GIF", "P", "RGB"), ("GIF", "P+transparency", "RGBA"), ("AVIF", "RGB", "RGB"), ("AVIF", "RGBA", "RGBA"),
    ("AVIF", "L", "L"), ("JPEG2000", "RGB", "RGB"), ("JPEG2000", "I;16", "I;16"),
])  # fmt: skip
def test_lossy_formats_become_png_with_the_decoded_samples(kind, mode, kept, tmp_path):
    options = {"transparency": 3} if mode == "P+transparency" else {}
    data = stored(picture(mode), kind, **options)
    original, planes, out = protected(data, "a" + SUFFIX[kind])
    assert original.target == "PNG"
    assert f"{kind} -> PNG" in original.notes
    before = Image.open(BytesIO(data))
    expected = np.asarray(before if kept == "I;16" else before.convert(kept))
    colours = planes.shape[2]
    assert np.array_equal(original.planes, expected.reshape(*expected.shape[:2], -1)[..., :colours])
    assert np.array_equal(independent(out, tmp_path, "out.png")[..., :colours], planes)
    if kept == "RGBA":
        assert np.array_equal(np.asarray(reopened(out))[..., 3], expected[..., 3])


@pytest.mark.parametrize(("kind", "mode", "kept"), [
    ("PNG", "RGB", "RGB"), ("PNG", "LA", "LA"), ("PNG", "P", "RGB"), ("PNG", "I;16", "I;16"), ("JPEG", "RGB", "RGB"),
    ("TIFF", "CMYK", "CMYK"), ("WEBP", "RGBA", "RGBA"),
])  # fmt: skip
def test_large_pictures_are_read_in_bands_and_every_row_is_where_it_was(kind, mode, kept, monkeypatch):
    monkeypatch.setattr(reading, "_BAND_PIXELS", 5 * SIZE[0])  # nine bands, the last of three rows
    data = stored(picture(mode), kind)
    original, planes, out = protected(data, "a" + SUFFIX[kind])
    before = Image.open(BytesIO(data))
    expected = np.asarray(before if kept == "I;16" else before.convert(kept)).reshape(SIZE[1], SIZE[0], -1)
    colours = planes.shape[2]
    assert np.array_equal(original.planes, ~expected[..., :colours] if kept == "CMYK" else expected[..., :colours])
    assert original.aside is None or np.array_equal(original.aside, expected[..., colours])
    other = planes.copy()
    other[-1, -1, 0] ^= 1
    assert "samples" in str(matches(original, other, out, output_name("a", original.target, {}))), (
        "the last band counts"
    )


def test_cmyk_jpeg_becomes_cmyk_tiff_with_k_untouched():
    data = stored(picture("CMYK"), "JPEG", dpi=(240, 240), icc_profile=SRGB)
    original, planes, out = protected(data, "a.jpg")
    after, before = reopened(out), np.asarray(Image.open(BytesIO(data)))
    assert (after.format, after.mode) == ("TIFF", "CMYK")
    assert "JPEG -> TIFF" in original.notes
    assert np.array_equal(np.asarray(after)[..., 3], before[..., 3])
    assert np.array_equal(original.planes, 255 - before[..., :3]), "planes are the complements of C, M and Y"
    assert np.array_equal(np.asarray(after)[..., :3], 255 - planes)
    assert after.info["dpi"] == (240, 240)
    assert after.info["icc_profile"] == SRGB


@pytest.mark.parametrize(("mode", "container", "target"), [
    ("RGB", "webp", "WEBP"), ("RGBA", "webp", "WEBP"), ("LA", "webp", "WEBP"), ("L", "png", "PNG"),
    ("CMYK", "png", "TIFF"), ("I;16", "png", "PNG"),
])  # fmt: skip
def test_a_container_can_be_asked_for(mode, container, target):
    data = stored(picture(mode), "TIFF", icc_profile=SRGB, dpi=(72, 72))
    original, planes, out = protected(data, "a.tif", container)
    after = reopened(out)
    assert original.target == after.format == target
    assert after.info["icc_profile"] == SRGB
    if target == "WEBP":
        assert b"VP8L" in out
        grey = planes.shape[2] == 1
        assert np.array_equal(np.asarray(after)[..., :3], np.repeat(planes, 3, 2) if grey else planes)
    if mode == "CMYK":
        assert any("CMYK cannot be png" in note for note in original.notes)


def test_transparent_colour_of_low_depth_grey_png_is_found_at_its_own_depth():
    """Pillow widens 4-bit samples to 8 bits but not the transparent sample of tRNS."""
    rows = b"".join(b"\0" + bytes([0x5A, 0xA5]) for _ in range(4))
    head = struct.pack(">IIBBBBB", 4, 4, 4, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"tRNS", b"\0\5"), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks
    )
    original, _, out = protected(data, "a.png")
    assert original.planes[0, :, 0].tolist() == [0x55, 0xAA, 0xAA, 0x55]
    assert np.asarray(reopened(out))[0, :, 1].tolist() == [0, 255, 255, 0]


def test_transparent_colour_of_rgb_png_becomes_alpha():
    image = picture("RGB")
    image.putpixel((3, 2), (9, 8, 7))
    original, _, out = protected(stored(image, "PNG", transparency=(9, 8, 7)), "a.png")
    assert original.mode == "RGBA"
    assert reopened(out).getchannel("A").getpixel((3, 2)) == 0
    assert "transparent colour -> RGBA" in original.notes


def test_big_endian_sixteen_bit_tiff():
    image = Image.frombytes("I;16B", (2, 2), struct.pack(">4H", 1, 256, 65_000, 513))
    original, planes, out = protected(stored(image, "TIFF"), "a.tif")
    assert original.planes.squeeze(2).tolist() == [[1, 256], [65_000, 513]]
    assert np.array_equal(np.asarray(reopened(out)), planes.squeeze(2))


def test_the_same_input_gives_the_same_bytes():
    data = stored(picture("RGB"), "JPEG", icc_profile=SRGB)
    assert protected(data, "a.jpg")[2] == protected(data, "a.jpg")[2]


def test_read_back_sees_one_wrong_sample_and_lost_metadata():
    data = stored(picture("RGBA"), "PNG", icc_profile=SRGB)
    original, planes, out = protected(data, "a.png")
    other = planes.copy()
    other[5, 5, 1] ^= 1
    assert "samples" in str(matches(original, other, out, "a.png"))
    assert "chunks" in str(matches(original, planes, stored(reopened(out), "PNG", icc_profile=None), "a.png"))
    opaque = reopened(out)
    opaque.putalpha(255)
    assert "samples" in str(matches(original, planes, stored(opaque, "PNG"), "a.png"))
    assert "truncated" in str(matches(original, planes, out[:-20], "a.png"))
    assert "not PNG" in str(matches(original, planes, stored(picture("RGB"), "BMP"), "a.bmp"))


def test_planes_of_another_shape_or_type_are_our_own_mistake():
    original = decode(stored(picture("RGB"), "PNG"), "a.png")
    with pytest.raises(ValueError, match=r"uint8 \(43, 61, 3\), got uint8 \(42, 61, 3\)"):
        encode(original, original.planes[1:])
    with pytest.raises(ValueError, match="read-only"):
        original.planes[0, 0, 0] = 1


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK", "I;16"])
def test_view_is_what_a_network_sees(mode):
    image = picture(mode)
    seen = decode(stored(image, "TIFF"), "a.tif").view(32)
    if mode == "I;16":
        image = Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
    colour = image.convert("L") if mode == "LA" else Image.merge("RGB", image.split()[:3]) if mode == "RGBA" else image
    expected = np.asarray(colour.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
    assert seen.shape == (32, 32, 3)
    assert seen.dtype == np.uint8
    assert np.array_equal(seen, expected)


def test_view_of_a_square_picture_at_its_own_size_is_exact():
    image = picture("RGB").crop((0, 0, 43, 43))
    assert np.array_equal(decode(stored(image, "PNG"), "a.png").view(43), np.asarray(image))


def test_names_keep_fitting_suffixes_and_never_collide():
    names = ["a/photo.jpg", "a/Photo.PNG", "solo.JPG", "two.jpeg", "two.webp", "two.jpeg.gif", "b/solo.txt"]
    taken = stems(names)
    assert output_name("a/Photo.PNG", "PNG", taken) == "a/Photo.PNG"
    assert output_name("a/photo.jpg", "PNG", taken) == "a/photo.jpg.png"
    assert output_name("solo.JPG", "PNG", taken) == "solo.png"
    assert output_name("solo.JPG", "TIFF", taken) == "solo.tif"
    given = [output_name(n, "PNG", taken).casefold() for n in names if not n.endswith("txt")]
    assert len(set(given)) == len(given), given


@pytest.mark.parametrize("progressive", [False, True])
def test_what_lies_behind_a_jpeg_is_left_out_and_said(progressive):
    image = Image.effect_noise((64, 48), 90).convert("RGB")
    data = BytesIO()
    image.save(data, "JPEG", quality=90, progressive=progressive, restart_marker_rows=1, comment=b"\xff\xd9 no end")
    plain = decode(data.getvalue(), "a.jpg")
    assert plain.notes == ("JPEG -> PNG",)
    for tail in (b"\x00" * 5, data.getvalue(), b"film \xff\xd9"):
        found = decode(data.getvalue() + tail, "a.jpg")
        assert found.notes == (f"{len(tail):,} bytes behind the picture's end are left out", "JPEG -> PNG")
        assert (found.planes == plain.planes).all()


def test_mpo_keeps_its_first_picture():
    file = BytesIO()
    picture("RGB").save(file, "MPO", save_all=True, append_images=[picture("L").convert("RGB")])
    original, _, _ = protected(file.getvalue(), "a.jpg")
    assert original.format == "MPO"
    assert "only the first of the 2 pictures in the file is kept" in original.notes
    assert np.array_equal(original.planes, np.asarray(Image.open(BytesIO(stored(picture("RGB"), "JPEG")))))


def test_bmp_with_alpha_or_profile_becomes_png():
    width, height = 2, 1
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    profile_at = 124 + 8
    head = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 32, 3, 8, 2835, 2835, 0, 0) + masks + b"DEBM" + bytes(48)
    head += struct.pack("<IIII", 0, profile_at, len(SRGB), 0)
    body = head + bytes([1, 2, 3, 40, 5, 6, 7, 80]) + SRGB
    data = b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, 14 + 124) + body
    original, _, out = protected(data, "a.bmp")
    assert original.target == "PNG"
    assert original.planes.tolist() == [[[3, 2, 1], [7, 6, 5]]]
    after = reopened(out)
    assert np.asarray(after)[..., 3].tolist() == [[40, 80]]
    assert after.info["icc_profile"] == SRGB


def test_heic_is_read_where_pillow_heif_is_installed():
    heif = importlib.import_module("pillow_heif")
    file = BytesIO()
    heif.from_pillow(picture("RGB")).save(file, quality=90)
    original, planes, out = protected(file.getvalue(), "a.heic")
    assert original.format == "HEIF"
    assert original.target == "PNG"
    assert "HEIF -> PNG" in original.notes
    assert np.array_equal(np.asarray(reopened(out)), planes)
