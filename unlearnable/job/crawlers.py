"""What a web site can say to crawlers: templates, written beside the manifest and never among the pictures."""

import json
from pathlib import Path

from unlearnable.run import write_atomically

VERSION = 1
FOLDER = "signals"
CRAWLERS = (
    "AI2Bot", "Amazonbot", "anthropic-ai", "Applebot-Extended", "Bytespider", "CCBot", "ClaudeBot", "cohere-ai",
    "Diffbot", "FacebookBot", "Google-Extended", "GPTBot", "ImagesiftBot", "img2dataset", "meta-externalagent",
    "Omgilibot", "PerplexityBot", "Timpibot",
)  # fmt: skip
"""User agents that collect, or say they collect, what models are trained on, or tokens that stand for that use."""

_README = """\
Templates for the web site on which the pictures are published. They are signals: they ask, they protect nothing, and
whoever does not want to read them does not. The pictures themselves say the same in XMP (plus:DataMining).

robots.txt      to the root of the site, as /robots.txt; where there is one already, add these lines to it
tdmrep.json     to /.well-known/tdmrep.json (TDM Reservation Protocol, W3C Community Group report of 10 May 2024);
                "location" may be narrowed to the folder of the pictures, and "tdm-policy" may name your terms
noai.html       its lines into the <head> of every page that shows the pictures
headers.txt     the same for the answers of the server, where pages have no head: the pictures themselves

Names of crawlers change: this list was true of 2026 and is not complete.
"""
_NOAI = """\
<meta name="robots" content="noai, noimageai">
<meta name="tdm-reservation" content="1">
"""
_HEADERS = """\
X-Robots-Tag: noai, noimageai
tdm-reservation: 1
"""


def write(bookkeeping: Path) -> Path:
    """The templates, in a folder of the bookkeeping; where it is."""
    files = {
        "README.txt": _README, "robots.txt": _robots(), "noai.html": _NOAI, "headers.txt": _HEADERS,
        "tdmrep.json": json.dumps([{"location": "/*", "tdm-reservation": 1}], indent=1) + "\n",
    }  # fmt: skip
    folder = bookkeeping / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_atomically(folder / name, text.encode())
    return folder


def _robots() -> str:
    """One group of rules for all of them (RFC 9309, 2.1)."""
    return "".join(f"User-agent: {name}\n" for name in CRAWLERS) + "Disallow: /\n"
