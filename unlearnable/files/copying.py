"""What is copied as it is: files that are no pictures, hold none and pack nothing, so that no original goes along."""

import hashlib
import re
from collections.abc import Iterator

from unlearnable.files.collections.collection import Blocks
from unlearnable.files.formats import sniff
from unlearnable.files.marks import OVERLAP, drawn, packed, shows
from unlearnable.files.refused import Refused

UNSEEN = "an archive or table among pictures is not looked into: unpack it, or protect it by itself"
HOLDS = "it holds a picture that nobody protected: move it out of SRC, or copy the file yourself"
RECORDS = "it holds CIFAR's records of pictures: protect the folder it came in by itself, and move it out of SRC"
_PDF, _DRAWS = 1024, re.compile(rb"/Subtype\s*/Image\b")  # where its header may lie; how it names a picture


def inspected(blocks: Blocks) -> Iterator[bytes]:
    """The blocks of one file as they come; raises `Refused` once they turn out to be, to pack or to hold a picture.

    The first block holds the head of the file.
    """
    before: bytes | None = None
    pdf, records = False, [_Records((10,)), _Records((20, 100))]
    for block in blocks:
        if before is None:
            check_head(block)
            pdf = b"%PDF-" in block[:_PDF]
        window = (before or b"") + block
        if shows(window) or (pdf and _DRAWS.search(window)):
            raise Refused(HOLDS)
        before = window[-OVERLAP:]
        for kind in records:
            kind.see(block)
        yield block
    if any(kind.whole for kind in records):
        raise Refused(RECORDS)


class _Records:
    """Whether a file is nothing but records of CIFAR: label bytes, each below its limit, and 3072 bytes of pixels.

    They have no mark; a file of that length whose bytes at those places are such labels, and not all the same, is one.
    """

    def __init__(self, limits: tuple[int, ...]) -> None:
        self._limits, self._size = limits, len(limits) + 3072
        self._length, self._fits, self._labels = 0, True, set[int]()

    def see(self, block: bytes) -> None:
        """The next bytes of the file."""
        for place, limit in enumerate(self._limits) if self._fits else ():
            labels = set(block[(place - self._length) % self._size :: self._size])
            self._fits = self._fits and max(labels, default=0) < limit
            self._labels |= labels
        self._length += len(block)

    @property
    def whole(self) -> bool:
        return self._fits and self._length % self._size == 0 and len(self._labels) > 1


def hashed(blocks: Blocks) -> str:
    """The SHA-256 of one file, in hexadecimal; raises `Refused` where it is, packs or holds a picture."""
    seen = hashlib.sha256()
    for block in inspected(blocks):
        seen.update(block)
    return seen.hexdigest()


def check_copy(data: bytes) -> None:
    """Raises `Refused` where the file is, packs or holds a picture."""
    hashed([data])


def check_head(data: bytes) -> None:
    """Raises `Refused` where the file begins like a picture, or like what may pack some."""
    if kind := sniff(data):
        raise Refused(f"content is {kind} but the name is not a picture's: rename it")
    if kind := packed(data):
        raise Refused(f"content is {kind}, and {UNSEEN}")
    if kind := drawn(data):
        raise Refused(f"content is {kind}, which cannot be protected: convert it to PNG or TIFF, or move it out of SRC")
