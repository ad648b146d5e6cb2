"""One HTML page that needs no other file and no network: light and dark, readable on a phone."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape

STYLE = """
:root{color-scheme:light dark}
:root{--ink:#1c1c1c;--soft:#595959;--paper:#fff;--line:#d5d5d5;--box:#f4f4f1;--link:#00558b}
@media(prefers-color-scheme:dark){
:root{--ink:#e4e4e4;--soft:#a8a8a8;--paper:#161616;--line:#3a3a3a;--box:#222;--link:#7cc0f0}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:76rem;font:1rem/1.5 system-ui,sans-serif;color:var(--ink)}
body{background:var(--paper)}h1{font-size:1.6rem;line-height:1.2}
h2{font-size:1.25rem;margin-top:2.2rem;border-top:1px solid var(--line);padding-top:1rem}
h3{font-size:1.05rem}a{color:var(--link)}p,li{max-width:46rem}
code{font:.92em ui-monospace,monospace}
.wide{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{padding:.25rem .7rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{padding-left:0}
tbody th,.name{text-align:left}
thead th{vertical-align:bottom;font-weight:600;white-space:normal}tbody th{font-weight:400}
.verdict{background:var(--box);border-left:.35rem solid var(--ink);padding:.6rem 1rem;font-size:1.1rem}
.verdict p{margin:.4rem 0}
figure{margin:1rem 0}figcaption{color:var(--soft);font-size:.9rem;max-width:46rem}
.wide svg{display:block;max-width:none}
img{display:block;max-width:100%;height:auto;image-rendering:pixelated}
footer{color:var(--soft);font-size:.9rem}dt{font-weight:600}dd{margin:0 0 .4rem;overflow-wrap:anywhere}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
@media print{.wide{overflow:visible}}
"""
_PNG = b"\x89PNG\r\n\x1a\n"


def document(title: str, body: str) -> str:
    """A whole page of a title and the HTML below it."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n{body}</main>\n</body>\n</html>\n"
    )


def picture(caption: str, png: bytes) -> str:
    """A PNG inside the page. Raises ValueError for other bytes."""
    if not png.startswith(_PNG):
        raise ValueError(f"the picture {caption!r} is not a PNG")
    data = b64encode(png).decode()
    said = escape(caption)
    return f'<figure><img alt="{said}" src="data:image/png;base64,{data}"><figcaption>{said}</figcaption></figure>\n'


def listed(pairs: Sequence[tuple[str, str]]) -> str:
    """Terms and what they are."""
    lines = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>\n" for term, text in pairs)
    return f"<dl>\n{lines}</dl>\n"
