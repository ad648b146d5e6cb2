"""Addresses in place of paths: what is one, and how it is said to others."""

import re

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# one slash too: that is what becomes of an address that was taken for a path
_IN_TEXT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:/{1,2})(\S*?)(?=::[A-Za-z][A-Za-z0-9+.-]*:[:/]|\s|$)")
_ASKED = re.compile(r"""(?:\?|#(?=[^\s'"]*=))[^\s'"]*""")  # a name may have a # too
_PORT = re.compile(r":\d{1,5}$")


def is_address(place: str) -> bool:
    """Is it an address such as s3://bucket/name, and not a path?"""
    return _ADDRESS.match(place) is not None


def shown(text: str) -> str:
    """The text, its addresses without user, password, query and fragment: what opens a place is nobody else's.

    So is each of several that are chained by `::`. Where a password may go on after a slash, too much is left out.
    """
    return _IN_TEXT.sub(lambda found: found[1] + _bare(found[2]), text)


def _bare(place: str) -> str:
    """What follows the scheme, without what is secret."""
    host = re.split("[/?#]", place, maxsplit=1)[0]
    if "@" in host:
        place = place[host.rindex("@") + 1 :]
        host = _PORT.sub("", host.rpartition("@")[2])
    if ":" in host and "@" in place:
        place = place.rpartition("@")[2]
    return _ASKED.sub("", place)
