"""Addresses in place of paths: what is one, and how it is said to others."""

import re

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# one slash too: that is what becomes of an address that was taken for a path
_IN_TEXT = re.compile(r"""([A-Za-z][A-Za-z0-9+.-]+:/{1,2})(?:[^/?#\s]*@)?([^?\s]*)(?:\?[^\s'"]*)?""")


def is_address(place: str) -> bool:
    """Is it an address such as s3://bucket/name, and not a path?"""
    return _ADDRESS.match(place) is not None


def shown(text: str) -> str:
    """The text, its addresses without user, password and query: what opens a place is nobody else's."""
    return _IN_TEXT.sub(r"\1\2", text)
