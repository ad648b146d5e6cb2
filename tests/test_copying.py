"""What is copied beside the pictures: nothing that is, packs or holds one, in whatever the collection lies."""

import base64
import bz2
import gzip
import hashlib
import importlib
import io
import json
import lzma
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from jobs import crop, job, noise, packed, put, stored
from sources import write_tar

from unlearnable.files import Refused
from unlearnable.files.collections import item
from unlearnable.files.copying import check_copy, inspected
from unlearnable.job import audit, verify

JPEG, PNG = stored(crop(1), "JPEG"), stored(noise(1), "PNG")
EXIF = b"\xff\xd8\xff\xe1\0\x10Exif\0\0II*\0\x08\0\0\0" + JPEG[20:]


def saved(write, *content: object, **named: object) -> bytes:
    file = io.BytesIO()
    write(file, *content, **named)
    return file.getvalue()


def zipped(name: str = "a.png") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, PNG)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    return file.getvalue()


def arrow(kind: str) -> bytes:
    pyarrow, ipc = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.ipc")
    table, file = pyarrow.table({"image": [PNG]}), io.BytesIO()
    with (ipc.new_file if kind == "file" else ipc.new_stream)(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


def pickled(protocol: int) -> bytes:
    return importlib.import_module("pickle").dumps({b"data": np.zeros((1, 3072), np.uint8)}, protocol)


PACKING = {
    "zip": zipped(), "docx": zipped("word/media/image1.png"), "tar": tarred(), "gzip": gzip.compress(b"text"),
    "xz": lzma.compress(b"text"), "bzip2": bz2.compress(b"text"), "NumPy": saved(np.save, np.zeros((2, 2))),
    "Arrow file": arrow("file"), "Arrow stream": arrow("stream"), "pickles 2": pickled(2), "pickles 5": pickled(5),
    "7z": b"7z\xbc\xaf\x27\x1c\0\4", "RAR": b"Rar!\x1a\7\1\0", "HDF5": b"\x89HDF\r\n\x1a\n\0", "parquet": b"PAR1\x15\4",
    "zstd": b"\x28\xb5\x2f\xfd\4", "MATLAB": b"MATLAB 5.0 MAT-file, Platform", "IDX": b"\0\0\x08\3\0\0\xea\x60",
    "MATLAB 7": b"MATLAB 7.3 MAT-file, Platform", "pickles of torch": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
    "pickles 4, short": b"\x80\4K\1.", "pickles 0": pickled(0), "lz4": b"\x04\x22\x4d\x18\x60\x40",
    "lzma": lzma.compress(PNG, lzma.FORMAT_ALONE), "compress": b"\x1f\x9d\x90\x89\x28", "cab": b"MSCF\0\0\0\0\x2c",
    "zlib": zlib.compress(PNG), "zlib fast": zlib.compress(PNG, 1), "zlib low": zlib.compress(b"text" * 100, 3),
}  # fmt: skip

HOLDING = {
    "Thumbs.db": b"\xd0\xcf\x11\xe0" + bytes(600) + JPEG,
    "film": bytes(600) + EXIF,
    "base64 JPEG": b'{"imageData": "' + base64.b64encode(JPEG) + b'"}',
    "base64 EXIF": base64.b64encode(EXIF),
    "base64 PNG": b"data:image/png;base64," + base64.b64encode(PNG),
    "base64 WebP": b"data:image/webp;base64," + base64.b64encode(stored(noise(1), "WEBP")),
    "hexadecimal": b"begin " + JPEG[:200].hex(" ", 2).encode(),
    "WebP": b"text" + stored(noise(1), "WEBP"),
    "AVIF": b"text" + stored(crop(1), "AVIF"),
    "escaped slashes": b'{"imageData": "' + base64.b64encode(JPEG).replace(b"/", b"\\/") + b'"}',
    "escaped in JSON": b'"' + base64.b64encode(JPEG).replace(b"/", b"\\u002f") + b'"',
    "escaped in URLs": base64.b64encode(JPEG).replace(b"/", b"%2F").replace(b"+", b"%2b"),
    "escaped in HTML": base64.b64encode(JPEG).replace(b"/", b"&#x2F;"),
    "base64 of URLs": base64.urlsafe_b64encode(JPEG),
    "UTF-16": ('{"imageData": "' + base64.b64encode(JPEG).decode() + '"}').encode("utf-16"),
    "hexadecimal in UTF-16": JPEG.hex().encode("utf-16"),
    "repr of a JPEG": b"1,cat," + repr(JPEG).encode(),
    "repr of a PNG": b"1,cat," + repr(PNG).encode(),
    "repr of a GIF": repr(stored(noise(1), "GIF")).encode(),
    "repr of a WebP": repr(stored(noise(1), "WEBP")).encode(),
    "JPEG as text": json.dumps(JPEG.decode("latin-1")).encode(),
    "PNG as text": json.dumps(PNG.decode("latin-1")).encode(),
    "JPEG as UTF-8": JPEG.decode("latin-1").encode(),
    "list of bytes": json.dumps(list(JPEG)).encode(),
    "C source": ", ".join(f"0x{byte:02X}" for byte in JPEG).encode(),
    "PDF": b"%PDF-1.7\n3 0 obj\n<< /Type /XObject /Subtype /Image /Width 9 /Filter /FlateDecode >>\nstream\nx\x9c",
    "HTML": b'<img src="data:image/x-icon;base64,AAABAAEAICAAAAEAIAAo">',
    "TGA 2": bytes(600) + b"TRUEVISION-XFILE.\0",
    **{f"{kind} inside": b"text" + stored(noise(1), kind) for kind in ("GIF", "TIFF", "JPEG2000", "BMP")},
    **{f"base64 {kind}": b'"' + base64.b64encode(stored(noise(1), kind)) for kind in
       ("GIF", "AVIF", "BMP", "TIFF", "JPEG2000")},
}  # fmt: skip


DRAWN = {
    "DICOM": bytes(128) + b"DICM\2\0", "NIfTI": b"\x5c\1\0\0" + bytes(340) + b"n+1\0",
    "FITS": b"SIMPLE  =                    T / standard", "JPEG XL": b"\xff\x0a\x3f\x07",
    **{kind: stored(noise(1), kind) for kind in ("PCX", "SGI", "ICO", "TGA")},
    "TGA of a palette": stored(noise(1).quantize(), "TGA"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DRAWN)
def test_a_picture_of_a_type_that_is_not_read_is_not_copied(kind: str) -> None:
    with pytest.raises(Refused, match=rf"content is {kind.split(' of')[0]}.* cannot be protected: convert it"):
        check_copy(DRAWN[kind])


def test_what_lies_beside_pictures_in_most_collections_is_copied() -> None:
    ids = [hashlib.sha256(str(i).encode()).digest() for i in range(4000)]
    rows = [{"file": f"a-{i}_b.jpg", "sha": one.hex(), "etag": base64.urlsafe_b64encode(one).decode(), "label": i % 9,
             "box": [i % 255, 216, 255, 224], "url": f"https://x.org/%2F9j/{i}?w=1&amp;h=2"}
            for i, one in enumerate(ids)]  # fmt: skip
    table = "\n".join(",".join(str(value) for value in row.values()) for row in rows)
    pixels = "\n".join(",".join(str(byte) for byte in one) for one in ids)
    texts = [
        json.dumps(rows), "\n".join(json.dumps(row) for row in rows), table, pixels, "x^2 + y^2", "BM is not a bitmap",
        "II*, MM and GIF89a begin pictures, as do \\xff\\xd8 and data:image/png", "x\x01y", "#include <png.h>\n",
        "<svg><image href='data:image/svg+xml;base64,PHN2ZyB4bWxucz0i'/></svg>", "cat\ndog\n", "dp\n", "l\n",
        "%!PS names /Subtype /Image", "<annotation><size>9</size></annotation>", "P of 1", "ORC, CDF and Obj",
    ]  # fmt: skip
    for text in texts:
        for coded in (text.encode(), text.encode("utf-16"), text.encode("utf-8-sig")):
            check_copy(coded)
    wave = b"RIFF\x24\0\0\0WAVEfmt " + np.sin(np.arange(1 << 18)).astype(np.float32).tobytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\1\0\x0f\1\2\0\4\0\0\0abc\0\0\0\0\0"
    program = b"\x7fELF\2\1" + bytes(100) + b"GIF87a\0GIF89a\0MM\0*\0II*\0BMP\0"
    pdf = b"%PDF-1.7\n1 0 obj\n<< /Type /Font /Subtype /TrueType >>\nendobj\n"
    for data in (wave, exif, program, pdf, b"ID3\4" + ids[0] * 99, b"\0\0\0\x20ftypisom" + b"".join(ids)):
        check_copy(data)


@pytest.mark.parametrize("kind", PACKING)
def test_archives_tables_and_arrays_are_known_by_their_first_bytes(kind: str) -> None:
    with pytest.raises(
        Refused, match=rf"content is {kind.split()[0].replace('docx', 'zip')}.*, and .* is not looked into"
    ):
        check_copy(PACKING[kind])


@pytest.mark.parametrize("kind", HOLDING)
def test_a_picture_inside_is_found(kind: str) -> None:
    with pytest.raises(Refused, match="holds a picture that nobody protected"):
        check_copy(HOLDING[kind])


def test_a_picture_across_two_blocks_is_found_and_nothing_is_in_noise_and_texts() -> None:
    at = HOLDING["Thumbs.db"].index(JPEG[:11])
    for cut in range(at - 2, at + 12):
        with pytest.raises(Refused):
            list(inspected([HOLDING["Thumbs.db"][:cut], HOLDING["Thumbs.db"][cut:]]))
    film = np.random.default_rng(0).integers(0, 256, 1 << 24, np.uint8).tobytes()
    assert film.count(b"\xff\xd8\xff"), "the seed is one with the mark in it"
    check_copy(film)
    for text in (b"", b"Unlearnable \xff\xd8\xff", b'{"label": 7}', b"<svg/>", b"BZ, PK and PAR", bytes(1000)):
        check_copy(text)


def test_no_collection_copies_what_packs_or_holds_a_picture(tmp_path: Path) -> None:
    """Originals in `originals.zip` came out byte for byte in what was to be published."""
    bad = {"originals.dat": zipped(), "Thumbs.db": HOLDING["Thumbs.db"], "a.json": HOLDING["base64 JPEG"]}
    members = {"0.png": PNG, "notes.txt": b"notes", "p.npz": saved(np.savez, images=np.zeros((1, 8, 8, 3), np.uint8))}
    for name, data in (members | bad).items():
        put(tmp_path / "src" / name, data)
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for name, data in (members | bad).items():
            archive.writestr(name, data)
    write_tar(tmp_path / "in.tar", list((members | bad).items()))
    (tmp_path / "shards").mkdir()
    write_tar(tmp_path / "shards/a.tar", [("0.png", PNG)])
    for name, data in (members | bad).items():
        if name != "0.png":
            put(tmp_path / "shards" / name, data)
    for source, out in (("src", "out"), ("in.zip", "out.zip"), ("in.tar", "out.tar"), ("shards", "out-shards")):
        summary = job(tmp_path / source, tmp_path / out, method="random")
        assert (summary.protected, summary.copied, summary.failed) == (1, 1, 4), source
        failures = dict(summary.failures)
        assert {name: failures.pop(name).split(":")[0] for name in ("p.npz", "originals.dat")} == {
            "p.npz": "an archive or table among pictures is not looked into",
            "originals.dat": "content is zip, and an archive or table among pictures is not looked into",
        }
        assert all("it holds a picture that nobody protected" in reason for reason in failures.values())
        found = verify(tmp_path / source, tmp_path / out)
        assert (found.checked, found.bad, found.missing) == (1, 0, 4), source
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"0.png", "notes.txt", ".unlearnable"}


def test_a_film_is_copied_without_being_in_memory(tmp_path: Path) -> None:
    """It was held twice by every core: once as read, once as read back."""
    put(tmp_path / "src/0.png", PNG)
    put(tmp_path / "src/film.mp4", bytes(24 << 20))
    write_tar(tmp_path / "in.tar", [("0.png", PNG), ("film.mp4", bytes(24 << 20))])
    packed(tmp_path / "src", tmp_path / "in.zip")
    for source in ("src", "in.tar", "in.zip"):
        tracemalloc.start()
        assert job(tmp_path / source, tmp_path / f"out-{source}", method="random").copied == 1
        assert verify(tmp_path / source, tmp_path / f"out-{source}").bad == 0
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert used < 12 << 20, (source, used)


def test_a_file_above_the_limit_of_pictures_is_copied_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(item, "MAX_BYTES", 20_000)
    put(tmp_path / "src/0.png", PNG)
    put(tmp_path / "src/large.png", PNG + bytes(20_000))
    (tmp_path / "shards").mkdir()
    write_tar(tmp_path / "shards/a.tar", [("0.png", PNG)])
    for source, failed in (("src", 1), ("shards", 0)):
        film = put(tmp_path / source / "film.mp4", bytes(range(1, 256)) * 100)
        summary = job(tmp_path / source, tmp_path / f"out-{source}", method="random")
        assert (summary.protected, summary.copied, summary.failed) == (1, 1, failed)
        assert (tmp_path / f"out-{source}/film.mp4").read_bytes() == film.read_bytes()
        found = verify(tmp_path / source, tmp_path / f"out-{source}")
        assert (found.checked, found.bad, found.missing) == (1, 0, failed)
        assert audit(tmp_path / f"out-{source}").bad == 0
        put(tmp_path / f"out-{source}/film.mp4", bytes(30_000))
        for found in (verify(tmp_path / source, tmp_path / f"out-{source}"), audit(tmp_path / f"out-{source}")):
            assert ("film.mp4", "the output has changed since it was written") in found.problems


def test_the_texts_of_cifar_hold_no_picture(tmp_path: Path) -> None:
    np.random.default_rng(0).integers(0, 10, (4, 3073), np.uint8).tofile(put(tmp_path / "c/data_batch_1.bin", b""))
    put(tmp_path / "c/readme.html", HOLDING["base64 PNG"])
    with pytest.raises(ValueError, match=r"readme.html' would be copied, but it holds a picture"):
        job(tmp_path / "c", tmp_path / "out", method="random")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("labels", [1, 2])
def test_records_of_cifar_beside_pictures_are_not_copied(tmp_path: Path, labels: int) -> None:
    records = np.random.default_rng(0).integers(0, 256, (40, labels + 3072), dtype=np.uint8)
    records[:, :labels] = np.arange(40)[:, None] % (10 if labels == 1 else 20)
    whole = records.tobytes()
    for size in (len(whole), 1000, 3073):
        blocks = [whole[at : at + size] for at in range(0, len(whole), size)]
        with pytest.raises(Refused, match="CIFAR's records"):
            list(inspected(blocks))
    put(tmp_path / "src/cifar-10-batches-bin/data_batch_1.bin", whole)
    put(tmp_path / "src/a.png", crop(1))
    done = job(tmp_path / "src", tmp_path / "dst", method="random")
    assert (done.protected, done.copied, done.failed) == (1, 0, 1)
    for other in (whole[:-1], bytes(len(whole)), b"a text\n" * 3073, whole[5:] + whole[:5]):
        check_copy(other)
