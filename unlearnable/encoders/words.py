"""Names as vectors, with no vocabulary that a name could be missing from: words and parts of words, hashed.

Parts of words are those of Bojanowski et al., "Enriching Word Vectors with Subword Information", TACL 2017, arXiv
1607.04606: the 3 to 5 characters of every window of "<word>". So "minibus", never seen, shares rows with "bus".
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.encoders.encoder import Vectors

_SYNSET = re.compile(r"^n\d{8}[_ ]")
_HUMPS = re.compile(r"(?<=[a-z]{2})(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")  # GolfBall, TVScreen; not iPod
_WORD = re.compile(r"[\w']*\w")
_GRAMS = (3, 4, 5)


def plain(name: str) -> str:
    """A class or folder name as lower-case words: "n02123045_tabby", "bus_interior", "GolfBall" -> "golf ball"."""
    words = _HUMPS.sub(" ", _SYNSET.sub("", unicodedata.normalize("NFC", name)))  # macOS spells é as two characters
    return re.sub(r"[_\s-]+", " ", words).strip().lower()


def cleaned(names: Sequence[str]) -> list[str]:
    """Every name as `plain` has it. Raises ValueError where there are none, or one has no letter or digit."""
    if isinstance(names, str) or not names:
        raise ValueError(f"names must be one or more, in a list, got {names!r}")
    if empty := [name for name in names if not _WORD.search(plain(name))]:
        raise ValueError(f"every name needs a letter or a digit, got {empty[0]!r}")
    return [plain(name) for name in names]


@lru_cache(maxsize=1 << 16)
def rows(name: str, buckets: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The rows of a table of `buckets` that a cleaned name looks up: those of its words, those of parts of words.

    The word that says what it is ("bus" in "school bus", in "bus (vehicle)") comes first and has rows of its own.
    """
    words: list[str] = _WORD.findall(name)
    subject: list[str] = _WORD.findall(name.partition("(")[0]) or words
    others = subject[:-1] + words[len(subject) :]
    grams = [f"<{word}>"[i : i + n] for word in words for n in _GRAMS for i in range(len(word) + 3 - n)]
    whole = [_row("noun", subject[-1], buckets), *(_row("word", word, buckets) for word in others)]
    return tuple(whole), tuple(_row("part", gram, buckets) for gram in grams)


def _row(salt: str, text: str, buckets: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{salt} {text}".encode(), digest_size=8).digest()) % buckets


class Words(nn.Module):
    """Names -> (k, dimension) of unit length: mean rows of the words and of their parts, and two layers on both."""

    def __init__(self, dimension: int, buckets: int, width: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(buckets, width, mode="mean")
        self.layers = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, dimension))

    def forward(self, names: Sequence[str]) -> Vectors:
        found = [rows(name, self.table.num_embeddings) for name in cleaned(names)]
        whole, parts = (self._mean(bags) for bags in zip(*found, strict=True))
        return F.normalize(self.layers(torch.cat([whole, parts], 1)).float(), dim=1)

    def _mean(self, bags: Sequence[tuple[int, ...]]) -> Tensor:
        at = self.table.weight.device
        starts = torch.tensor([0, *map(len, bags)]).cumsum(0)[:-1]
        mean: Tensor = self.table(torch.tensor([row for bag in bags for row in bag], device=at), starts.to(at))
        return mean
