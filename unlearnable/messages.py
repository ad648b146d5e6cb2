"""Texts for people: what somebody else named or said, made fit for one line."""

_MOST = 300  # characters of what a library says


def printable(text: str) -> str:
    """The text in one line that a terminal can show: line breaks, control characters, lone surrogates escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def one_line(error: Exception) -> str:
    """What an exception says, its line breaks gone and its end cut."""
    return " ".join(str(error).split())[:_MOST]


def in_words(error: Exception) -> str:
    """The same with its class: of a package whose exceptions are its own, the name says as much as the text."""
    return " ".join(f"{type(error).__name__} {error}".split())[:_MOST]
