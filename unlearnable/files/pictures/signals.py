"""A word beside the pixels: the PLUS property that forbids training, put into the XMP of a picture. It stops nobody.

IPTC Photo Metadata 2023.1 and PLUS LDF: plus:DataMining, whose values are URIs of the PLUS vocabulary. XMP packets are
added to, never written anew: what stood there before stands there byte for byte.
"""

from dataclasses import replace
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from unlearnable.files.pictures import png, tiff
from unlearnable.files.pictures.metadata import Chunk, Metadata
from unlearnable.files.pictures.picture import Picture

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
PLUS = "http://ns.useplus.org/ldf/xmp/1.0/"
VOCABULARY = "http://ns.useplus.org/ldf/vocab/"
FORBIDDEN = "DMI-PROHIBITED-AIMLTRAINING"
ADDED = "signal added, no protection"
HOLDS = ("PNG", "WEBP", "TIFF")
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    f'<rdf:RDF xmlns:rdf="{RDF}">\n</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>'
).encode()
_SPACE = " "  # between namespace and name, as expat gives them


class _Unreadable(Exception):
    """The packet is no XMP that can be added to."""


def signalled(picture: Picture) -> Picture:
    """The picture with the property in its metadata, and a note that says so, or why not."""
    meta, note = _marked(picture.metadata, picture.target)
    return replace(picture, metadata=meta, notes=(*picture.notes, note))


def stated(xmp: bytes) -> str | None:
    """What plus:DataMining says in a packet, without the vocabulary's URI; None where it says nothing.

    Raises ValueError where the packet cannot be read.
    """
    try:
        return _Looked(xmp).stated
    except _Unreadable as error:
        raise ValueError(f"XMP packet cannot be read: {error}") from None


def _marked(meta: Metadata, target: str) -> tuple[Metadata, str]:
    if target not in HOLDS:
        return meta, f"no signal: {target} has no place for XMP"
    try:
        packets = {xmp: _merged(xmp) for xmp in _packets(meta)}
    except _Unreadable as error:
        return meta, f"no signal: the XMP packet that is there cannot be added to ({error})"
    if (said := next((said for _, said in packets.values() if said is not None), None)) is not None:
        return meta, f"signal left as it was: plus:DataMining {said or 'without a value'}"
    added: dict[bytes | None, bytes] = {was: now for was, (now, _) in packets.items()}
    added = added or {None: _merged(_PACKET)[0]}
    return _with(meta, added), f"{ADDED}: plus:DataMining {FORBIDDEN}"


def _packets(meta: Metadata) -> list[bytes]:
    """The packets that the written file will hold."""
    found = [meta.xmp, *(png.packet(chunk) for chunk in meta.chunks)]
    entry = meta.tags.get(tiff.XMP)
    found += [entry.value] if entry is not None and isinstance(entry.value, bytes) else []
    return list(dict.fromkeys(packet for packet in found if packet))


def _with(meta: Metadata, packets: dict[bytes | None, bytes]) -> Metadata:
    """The metadata with other packets in place of its own, wherever it holds them."""
    xmp = packets.get(meta.xmp) or next(iter(packets.values()))
    return replace(meta, xmp=xmp, chunks=_chunks(meta.chunks, packets, xmp), tags=_tags(meta.tags, xmp))


def _chunks(chunks: tuple[Chunk, ...], packets: dict[bytes | None, bytes], xmp: bytes) -> tuple[Chunk, ...]:
    if not chunks:
        return chunks
    now = [packets.get(png.packet(chunk)) if png.packet(chunk) else None for chunk in chunks]
    found = [png.with_packet(chunk, one) if one else chunk for chunk, one in zip(chunks, now, strict=True)]
    if any(now):
        return tuple(found)
    before = sum(not after for _, _, after in chunks)
    return (*found[:before], png.with_packet(None, xmp), *found[before:])


def _tags(tags: tiff.Tags, xmp: bytes) -> tiff.Tags:
    if not tags:
        return tags
    kind = tags[tiff.XMP].type if tiff.XMP in tags else tiff.BYTE
    return tags | {tiff.XMP: tiff.Entry(kind, len(xmp), xmp)}


def _merged(xmp: bytes) -> tuple[bytes, str | None]:
    """(the packet with the property, None), or (the packet as it is, what the property says in it already)."""
    found = _Looked(xmp)
    if found.stated is not None:
        return xmp, found.stated
    if found.end is None:
        raise _Unreadable("it has no rdf:RDF element to write into")
    words = f'xmlns:rdf="{RDF}" rdf:about={quoteattr(found.about)} xmlns:plus="{PLUS}"'
    added = f'<rdf:Description {words} plus:DataMining="{VOCABULARY}{FORBIDDEN}"/>\n'.encode()
    merged = xmp[: found.end] + added + xmp[found.end :]
    if _Looked(merged).stated != FORBIDDEN:
        raise _Unreadable("what is added to it is not read")
    return merged, None


class _Looked:
    """Where rdf:RDF ends (None where it holds nothing to write into), what it is about, what plus:DataMining says."""

    def __init__(self, xmp: bytes) -> None:
        self.end: int | None = None
        self.about = ""
        self.stated: str | None = None
        self._inside: list[str] = []
        self._text = ""
        parser = expat.ParserCreate("utf-8", _SPACE)
        parser.StartDoctypeDeclHandler = self._refuse  # entities are how a small packet becomes a large one
        parser.StartElementHandler, parser.CharacterDataHandler = self._start, self._characters
        parser.EndElementHandler = lambda name: self._finish(name, xmp, parser.CurrentByteIndex)
        try:
            parser.Parse(xmp.rstrip(b"\0"), True)
        except expat.ExpatError as error:
            raise _Unreadable(str(error)) from None

    def _refuse(self, *_: object) -> None:
        raise _Unreadable("it declares a document type")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._inside.append(name)
        self._text = ""
        if name != f"{RDF}{_SPACE}Description" or len(self._inside) < 2 or self._inside[-2] != f"{RDF}{_SPACE}RDF":
            if name == f"{PLUS}{_SPACE}DataMining" and f"{RDF}{_SPACE}resource" in attributes:
                self._say(attributes[f"{RDF}{_SPACE}resource"])
            return
        self.about = self.about or attributes.get(f"{RDF}{_SPACE}about", "")
        if (said := attributes.get(f"{PLUS}{_SPACE}DataMining")) is not None:
            self._say(said)

    def _characters(self, text: str) -> None:
        self._text += text

    def _finish(self, name: str, xmp: bytes, at: int) -> None:
        self._inside.pop()
        if name == f"{PLUS}{_SPACE}DataMining" and self.stated is None:
            self._say(self._text)
        if name == f"{RDF}{_SPACE}RDF" and xmp[at : at + 2] == b"</":
            self.end = at

    def _say(self, value: str) -> None:
        self.stated = value.strip().removeprefix(VOCABULARY)
