"""What cannot be protected without loss is refused in one line; damaged data never gives anything but a refusal."""

import contextlib
import importlib
import resource
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jobs import stored
from PIL import Image, ImageFile

from unlearnable.files import Picture, Refused, decode, encode, is_picture_name, matches, sniff

NOISE = np.random.default_rng(3).integers(0, 256, (20, 30, 4), dtype=np.uint8)


def rgb() -> Image.Image:
    return Image.fromarray(NOISE[..., :3].copy())


def png(width: int, height: int, depth: int, colour: int, body: bytes = b"") -> bytes:
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)),
        (b"IDAT", body),
        (b"IEND", b""),
    ]
    framed = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def tiff(tags: list[tuple[int, int, int, int]], body: bytes = b"") -> bytes:
    """A little-endian TIFF of SHORT and LONG tags (tag, type, count, value); `body` lies at offset 256."""
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    head += b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return head.ljust(256, b"\0") + body


def rgb16_tiff() -> bytes:
    size = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 3, 300), (259, 3, 1, 1), (262, 3, 1, 2)]
    strips = [(273, 4, 1, 320), (277, 3, 1, 3), (278, 3, 1, 2), (279, 4, 1, 24)]
    return tiff(size + strips, bytes(44) + struct.pack("<3H", 16, 16, 16).ljust(20, b"\0") + bytes(24))


def animation(kind: str) -> bytes:
    frames = [Image.fromarray(np.roll(NOISE, i, 0)) for i in range(3)]
    options = {"lossless": True} if kind == "WEBP" else {}
    return stored(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)


def refusal(data: bytes, name: str, container: str = "keep") -> str:
    with pytest.raises(Refused) as caught:
        decode(data, name, container)
    message = str(caught.value)
    assert "\n" not in message
    assert 10 < len(message) < 400
    return message


REFUSED = {
    "empty": (b"", "a.jpg", "the file is empty"),
    "not a picture": (b"hello world, this is text", "a.png", "not a picture in any known format"),
    "PNG called JPEG": (stored(rgb(), "PNG"), "a.jpg", r"content is PNG but the name ends in .jpg: rename it"),
    "JPEG called TIFF": (stored(rgb(), "JPEG"), "a.TIFF", "content is JPEG but the name ends in .tiff"),
    "JPEG called text": (stored(rgb(), "JPEG"), "notes.txt", "content is JPEG but the name ends in .txt"),
    "PNG without suffix": (stored(rgb(), "PNG"), "photo", "content is PNG but the name ends in no suffix"),
    "Photoshop called PNG": (b"8BPS\0\1" + bytes(40), "a.png", "content is PSD"),
    "raw": (b"II*\0\x08\0\0\0", "a.NEF", ".nef pictures cannot be protected: develop it"),
    "Photoshop": (b"8BPS\0\1", "a.psd", "export it as PNG or TIFF"),
    "JPEG XL": (b"\xff\x0a", "a.jxl", "convert it to PNG or TIFF"),
    "16-bit RGB PNG": (png(1, 1, 16, 2, zlib.compress(bytes(7))), "a.png", "more than 8 bits per channel"),
    "16-bit LA PNG": (png(1, 1, 16, 4, zlib.compress(bytes(5))), "a.png", "more than 8 bits per channel"),
    "16-bit RGB TIFF": (rgb16_tiff(), "a.tif", "more than 8 bits per channel"),
    "BigTIFF": (stored(rgb(), "TIFF", big_tiff=True), "a.tif", "BigTIFF"),
    "32-bit": (stored(Image.fromarray(NOISE[..., 0].astype(np.int32)), "TIFF"), "a.tif", "32-bit"),
    "float": (stored(Image.fromarray(NOISE[..., 0].astype(np.float32)), "TIFF"), "a.tif", "32-bit, signed or floating"),
    "LAB": (stored(rgb().convert("LAB"), "TIFF"), "a.tif", "mode LAB"),
    "YCbCr": (stored(rgb().convert("YCbCr"), "TIFF"), "a.tif", "YCbCr"),
    "RGBX": (stored(rgb().convert("RGBX"), "TIFF"), "a.tif", "extra channels"),
    "GIF animation": (animation("GIF"), "a.gif", "animation with 3 frames"),
    "WebP animation": (animation("WEBP"), "a.webp", "animation with 3 frames"),
    "APNG": (animation("PNG"), "a.png", "animation with 3 frames"),
    "pages": (stored(rgb(), "TIFF", save_all=True, append_images=[rgb()]), "a.tif", "a file with 2 pages"),
    "bomb": (png(60_000, 60_000, 8, 2), "a.png", "above the 178,956,970 allowed"),
    "just a bomb": (png(178_956_971, 1, 8, 0), "a.png", "above the 178,956,970 allowed"),
    "I;16 with key": (
        stored(Image.fromarray(NOISE[..., 0].astype(np.uint16)), "PNG", transparency=7), "a.png", "transparent colour"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_reason(case):
    data, name, reason = REFUSED[case]
    assert reason in refusal(data, name)


def test_the_bomb_is_refused_before_it_is_decoded():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refusal(png(60_000, 60_000, 8, 2), "a.png")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000, "kilobytes"


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp"), ("GIF", ".gif"),
                                          ("BMP", ".bmp"), ("TIFF", ".tif"), ("AVIF", ".avif")])  # fmt: skip
@pytest.mark.parametrize("part", [0.01, 0.3, 0.6, 0.9])
def test_truncated(kind, suffix, part):
    data = stored(rgb(), kind)
    decode(data, "a" + suffix)
    refusal(data[: int(len(data) * part)], "a" + suffix)


def test_bombs_are_refused_even_if_another_library_lifted_pillows_limit(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert "60000 x 60000 pixels: above the 178,956,970 allowed" in refusal(png(60_000, 60_000, 8, 2), "a.png")


def test_more_than_eight_bits_in_jpeg_2000_and_avif():
    data = bytearray(stored(rgb(), "JPEG2000"))
    data[data.index(b"\xff\x4f\xff\x51") + 42] |= 8
    assert "more than 8 bits per channel" in refusal(bytes(data), "a.jp2")
    data = bytearray(stored(rgb(), "AVIF"))
    data[data.index(b"av1C") + 6] |= 64
    depths = data.index(b"pixi") + 9
    data[depths : depths + 3] = bytes([10, 10, 10])
    assert "more than 8 bits per channel" in refusal(bytes(data), "a.avif")


def test_more_than_eight_bits_in_heic():
    heif = importlib.import_module("pillow_heif")
    file = BytesIO()
    heif.from_bytes("RGB;16", (32, 32), np.arange(32 * 32 * 3, dtype="<u2").tobytes()).save(file)
    assert "more than 8 bits per channel" in refusal(file.getvalue(), "a.heic")


def test_png_without_its_last_bytes_or_with_a_flipped_bit():
    data = stored(rgb(), "PNG")
    assert "truncated" in refusal(data[:-1], "a.png")
    assert "checksum" in refusal(data[:-13] + bytes([data[-13] ^ 1]) + data[-12:], "a.png")


def test_heic_without_its_reader_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert "pip install pillow-heif" in refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a.heic")


def test_webp_limits():
    grey = stored(Image.fromarray(NOISE[..., 0].astype(np.uint16)), "PNG")
    assert "16-bit" in refusal(grey, "a.png", "webp")
    assert "16384 x 1" in refusal(stored(Image.new("L", (16_384, 1)), "PNG"), "a.png", "webp")


def test_truncation_is_noticed_even_if_another_library_switched_that_off(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert "LOAD_TRUNCATED_IMAGES" in refusal(stored(rgb(), "JPEG"), "a.jpg")


@pytest.mark.parametrize("name", ["a.JPG", "x/y.nef", "a.heic", "a.psd"])
def test_names_that_promise_pictures(name):
    assert is_picture_name(name)


@pytest.mark.parametrize("name", ["a.svg", "a.txt", "jpg", ".png"])
def test_names_that_promise_none(name):
    assert not is_picture_name(name)


def test_sniff_knows_pictures_by_content():
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000"):
        assert sniff(stored(rgb(), kind)) == kind
    assert sniff(b"BMW is a car maker, and this is text") is None
    assert sniff(b"") is None
    assert sniff(b"II am a text") is None
    assert sniff(b"\0\0\0\x20ftypisom\0\0\0\0mp42") is None


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("BMP", ".bmp"), ("TIFF", ".tif")])
def test_one_by_one(kind, suffix):
    picture = decode(stored(Image.new("RGB", (1, 1), (9, 8, 7)), kind), "a" + suffix)
    assert matches(picture, picture.planes, encode(picture, picture.planes), f"a.{picture.target.lower()}") is None
    assert picture.view(4).shape == (4, 4, 3)


MEASURE = """
import resource, sys
from unlearnable.files import decode, encode, matches
data = open(sys.argv[1], "rb").read()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
picture = decode(data, "a.png")
print(round(peak() - before), picture.planes.nbytes >> 20, picture.planes.shape, int(picture.planes.max()))
"""


def test_twelve_thousand_square_is_allowed_and_needs_little_more_than_itself(tmp_path):
    row = zlib.compressobj(1)
    body = b"".join(row.compress(bytes(12_001)) for _ in range(12_000)) + row.flush()
    file = tmp_path / "a.png"
    file.write_bytes(png(12_000, 12_000, 8, 0, body))
    command = [sys.executable, "-W", "error", "-c", MEASURE, str(file)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert out[2:] == ["(12000,", "12000,", "1)", "0"]
    assert int(out[0]) < 2.3 * int(out[1]), f"{out[0]} MiB for a picture of {out[1]} MiB"


def test_pillow_warnings_stay_inside_even_with_threads():
    """Two resolution units make Pillow warn; a filter left behind would silence the caller's own warnings."""
    size = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 256), (279, 4, 1, 2)]
    data = tiff([*size, (282, 5, 1, 260), (283, 5, 1, 260), (296, 3, 2, 0x20002)], struct.pack("<4I", 7, 72, 1, 0))
    with pytest.warns(UserWarning, match="too many entries"):
        Image.open(BytesIO(data))
    filters = list(warnings.filters)
    failures: list[BaseException] = []

    def work() -> None:
        for _ in range(20):
            try:
                assert decode(data, "a.tif").planes.tolist() == [[[7], [0]]]
            except BaseException as error:
                failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert list(warnings.filters) == filters


def check_written(picture: Picture) -> None:
    out = encode(picture, picture.planes)
    suffix = {"PNG": ".png", "TIFF": ".tif", "WEBP": ".webp", "BMP": ".bmp"}[picture.target]
    assert matches(picture, picture.planes, out, "a" + suffix) is None


SEEDS = [
    (stored(rgb(), "PNG", dpi=(72, 72)), "a.png"), (stored(rgb(), "JPEG", comment=b"c"), "a.jpg"),
    (stored(rgb().quantize(9), "GIF"), "a.gif"), (stored(rgb(), "WEBP", lossless=True), "a.webp"),
    (stored(rgb(), "TIFF", dpi=(72, 72)), "a.tif"), (stored(rgb(), "TIFF", compression="tiff_lzw"), "a.tif"),
    (stored(rgb(), "BMP"), "a.bmp"), (stored(rgb(), "AVIF"), "a.avif"), (stored(rgb(), "JPEG2000"), "a.jp2"),
    (stored(Image.fromarray(NOISE), "PNG"), "a.png"), (stored(rgb().convert("1"), "TIFF"), "a.tif"),
]  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.sampled_from(SEEDS), draw=st.data())
def test_damaged_data_is_refused_or_decoded_and_nothing_else(seed, draw):
    data, name = bytearray(seed[0]), seed[1]
    head = min(len(data), 400)
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, head - 1))] = draw.draw(st.integers(0, 255))
    if draw.draw(st.booleans()):
        del data[draw.draw(st.integers(1, len(data))) :]
    with contextlib.suppress(Refused):
        check_written(decode(bytes(data), name))
