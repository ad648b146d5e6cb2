"""--signals: what is written beside the pixels, what stays as it was, and what an independent reader finds."""

import json
import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from jobs import crop, everything, job, manifest, put, stored, tree
from PIL import Image

from unlearnable.files import decode
from unlearnable.files.pictures import png, signals, tiff
from unlearnable.files.pictures.signals import FORBIDDEN, PLUS, RDF, VOCABULARY, signalled, stated
from unlearnable.job import verify

XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="'
    f'{RDF}">\n<r:Description r:about="a&amp;b" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="é &lt; ü">{{}}'
    '</r:Description>\n</r:RDF ></x:xmpmeta>\n\n\n<?xpacket end="w"?>'
)
PLAIN = XMP.format("").encode()
SAYS = {
    "element": XMP.format(f'<p:DataMining xmlns:p="{PLUS}">{VOCABULARY}DMI-ALLOWED</p:DataMining>').encode(),
    "resource": XMP.format(f'<p:DataMining xmlns:p="{PLUS}" r:resource="{VOCABULARY}DMI-ALLOWED"/>').encode(),
    "attribute": PLAIN.replace(b'dc:source="', f'xmlns:p="{PLUS}" p:DataMining="DMI-ALLOWED" dc:source="'.encode()),
}
BROKEN = {
    "no XML": b"<x:xmpmeta",
    "no RDF": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
    "nothing inside": f"<rdf:RDF xmlns:rdf='{RDF}'/>".encode(),
    "an entity": b'<!DOCTYPE a [<!ENTITY b "c">]>' + PLAIN,
}
KINDS = {"a.png": "PNG", "b.tif": "TIFF", "c.webp": "WEBP"}


def file(kind: str, xmp: bytes | None = None) -> bytes:
    image, options = crop(1), {"lossless": True} if kind == "WEBP" else {}
    if kind == "PNG":
        plain = stored(image, kind)
        return plain if xmp is None else png.with_chunks(plain, (png.with_packet(None, xmp), (b"tEXt", b"a\0b", True)))
    if kind == "TIFF":
        plain = stored(image, kind, compression="tiff_lzw")
        return plain if xmp is None else tiff.graft(plain, {tiff.XMP: tiff.Entry(1, len(xmp), xmp)})
    return stored(image, kind, **options | ({} if xmp is None else {"xmp": xmp}))


def packet(data: bytes) -> bytes:
    info = Image.open(BytesIO(data)).info
    found = info.get("xmp") or b""
    if data.startswith(b"II*\0"):
        found = tiff.parse(data)[tiff.XMP].value
    return found if isinstance(found, bytes) else found.encode()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, kind in KINDS.items():
        put(tmp_path / "src" / name, file(kind))
        put(tmp_path / "src" / "with" / name, file(kind, PLAIN))
    put(tmp_path / "src" / "d.bmp", crop(2))
    put(tmp_path / "src" / "e.jpg", crop(3), xmp=PLAIN)
    put(tmp_path / "src" / "f.txt", b"text")
    return tmp_path / "src"


def test_pixels_and_everything_else_stay_as_they_are_without(source: Path, tmp_path: Path) -> None:
    job(source, tmp_path / "plain")
    said = job(source, tmp_path / "dst", signals=True)
    assert (said.signalled, said.protected, said.copied) == (7, 8, 1)
    for path in sorted((tmp_path / "plain").rglob("*")):
        if not path.is_file() or ".unlearnable" in path.parts:
            continue
        before, after = path.read_bytes(), (tmp_path / "dst" / path.relative_to(tmp_path / "plain")).read_bytes()
        if path.suffix in (".bmp", ".txt"):
            assert before == after
            continue
        assert stated(packet(after)) == FORBIDDEN
        if path.suffix == ".png":
            without = [chunk for chunk in framed(before) if not chunk[4:].startswith(b"iTXtXML:com.adobe.xmp")]
            assert without == [chunk for chunk in framed(after) if not chunk[4:].startswith(b"iTXtXML:com.adobe.xmp")]
        elif path.suffix == ".tif":
            was, now = tiff.parse(before), tiff.parse(after)
            assert {**was, tiff.XMP: now[tiff.XMP]} == now
        else:
            assert riff(before)[b"VP8L"] == riff(after)[b"VP8L"]
            assert riff(after).keys() == riff(before).keys() | {b"VP8X", b"XMP "}


def framed(data: bytes) -> list[bytes]:
    at, found = 8, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big") + 12
        found.append(data[at : at + size])
        at += size
    return found


def riff(data: bytes) -> dict[bytes, bytes]:
    at, found = 12, {}
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found[data[at : at + 4]] = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return found


@pytest.mark.parametrize("name", KINDS)
def test_xmp_that_is_there_is_added_to_and_stays_byte_for_byte(name: str) -> None:
    meta = signalled(decode(file(KINDS[name], PLAIN), name)).metadata
    assert meta.xmp is not None
    at = PLAIN.index(b"</r:RDF")
    added = meta.xmp[at : len(meta.xmp) - len(PLAIN) + at]
    assert meta.xmp == PLAIN[:at] + added + PLAIN[at:]
    assert b'rdf:about="a&amp;b"' in added
    assert stated(meta.xmp) == FORBIDDEN


@pytest.mark.parametrize("says", SAYS)
@pytest.mark.parametrize("name", KINDS)
def test_the_owners_own_word_stays(name: str, says: str) -> None:
    before = decode(file(KINDS[name], SAYS[says]), name)
    after = signalled(before)
    assert after.metadata == before.metadata
    assert after.notes[-1] == "signal left as it was: plus:DataMining DMI-ALLOWED"


@pytest.mark.parametrize("broken", BROKEN)
def test_a_packet_that_cannot_be_read_stays_as_it_is(broken: str) -> None:
    before = decode(file("PNG", BROKEN[broken]), "a.png")
    after = signalled(before)
    assert after.metadata == before.metadata
    assert after.notes[-1].startswith("no signal: the XMP packet that is there cannot be added to")


def test_bmp_has_no_place_for_it_and_says_so(source: Path, tmp_path: Path) -> None:
    job(source, tmp_path / "dst", signals=True)
    notes = dict(manifest(tmp_path / "dst", "name, notes"))
    assert notes[b"d.bmp"] == "no signal: BMP has no place for XMP"
    assert notes[b"e.jpg"].splitlines() == ["JPEG -> PNG", f"{signals.ADDED}: plus:DataMining {FORBIDDEN}"]


def test_an_independent_reader_finds_it(source: Path, tmp_path: Path) -> None:
    if shutil.which("exiftool") is None:
        pytest.skip("needs exiftool: apt-get install libimage-exiftool-perl")
    job(source, tmp_path / "dst", signals=True)
    words = ["exiftool", "-r", "-json", "-n", "-XMP:all", "-validate", str(tmp_path / "dst")]
    found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    by_name = {str(Path(one["SourceFile"]).relative_to(tmp_path / "dst")): one for one in found}
    for name in ("a.png", "b.tif", "c.webp", "with/a.png", "with/b.tif", "with/c.webp", "e.png"):
        assert by_name[name]["DataMining"].removeprefix(VOCABULARY) == FORBIDDEN, name
    for name in ("with/a.png", "with/b.tif", "with/c.webp", "e.png"):
        assert by_name[name]["Source"] == "é < ü"
    assert "DataMining" not in by_name["d.bmp"]


def test_verify_and_resume_know_it(source: Path, tmp_path: Path) -> None:
    dst = tmp_path / "dst"
    job(source, dst, signals=True)
    assert verify(source, dst).bad == 0
    before = tree(dst)
    (dst / "with" / "a.png").unlink()
    job(source, dst, signals=True, resume=True)
    assert tree(dst) == before
    with pytest.raises(ValueError, match="it was with signals, is now without"):
        job(source, dst, resume=True)
    shutil.rmtree(dst / ".unlearnable")
    assert verify(source, dst).bad == 0  # by names alone, with a signal or without one
    shutil.copy(source / "a.png", dst / "a.png")
    put(dst / "with" / "a.png", Image.open(dst / "with" / "a.png"))  # XMP lost
    assert [name for name, _ in verify(source, dst).problems] == ["a.png", "with/a.png"]


def test_the_templates_lie_beside_the_manifest_and_nowhere_else(source: Path, tmp_path: Path) -> None:
    job(source, tmp_path / "plain")
    job(source, tmp_path / "dst", signals=True)
    assert tree(tmp_path / "dst").keys() == tree(tmp_path / "plain").keys()
    folder = tmp_path / "dst" / ".unlearnable" / "signals"
    assert {path.name for path in folder.iterdir()} == {
        "README.txt", "robots.txt", "tdmrep.json", "noai.html", "headers.txt"
    }  # fmt: skip
    assert json.loads((folder / "tdmrep.json").read_text()) == [{"location": "/*", "tdm-reservation": 1}]
    *agents, last = (folder / "robots.txt").read_text().splitlines()
    assert last == "Disallow: /"
    assert all(line.startswith("User-agent: ") for line in agents)
    assert "protect nothing" in (folder / "README.txt").read_text()


def test_a_dry_run_writes_nothing(source: Path, tmp_path: Path, command) -> None:
    before = everything(tmp_path)
    assert command("protect", source, tmp_path / "dst", "--signals", "--dry-run", "--method", "lsp").code == 0
    assert everything(tmp_path) == before


def test_the_command_line_says_that_it_stops_nobody(source: Path, tmp_path: Path, command) -> None:
    ended = command("protect", source, "dst", "--signals", "--method", "lsp")
    assert "signals, which stop nobody: 7 of 8 pictures say in XMP that training is not allowed" in ended.out
    assert command("protect", source, "dst", "--signals", "--method", "lsp", "--resume", "--json").json["signals"] == 7
    assert "signals" not in command("protect", source, "other", "--method", "lsp", "--json").json


def test_a_property_without_a_value_is_not_said_to_be_added() -> None:
    empty = SAYS["attribute"].replace(b"DMI-ALLOWED", b"")
    after = signalled(decode(file("PNG", empty), "a.png"))
    assert after.metadata.xmp == empty
    assert after.notes[-1] == "signal left as it was: plus:DataMining without a value"
