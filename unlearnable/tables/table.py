"""Table: texts in rows and columns, as markdown and as HTML. Whatever a name holds, it stays text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


class Name(str):
    """A text that is shown as code: what somebody may type."""

    __slots__ = ()


@dataclass(frozen=True)
class Table:
    """head: the headings; rows: as many texts each, the first `heads` of them being what the row is about."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    heads: int = 1
    notes: tuple[str, ...] = ()

    @property
    def markdown(self) -> str:
        """The caption, the table, and the notes as a list."""
        lines = [f"**{_marked(self.caption)}**", "", _row(self.head), "|" + "---|" * len(self.head)]
        lines += [_row(row) for row in self.rows]
        return "\n".join([*lines, *(["", *(f"* {note}" for note in self.notes)] if self.notes else [])])

    @property
    def html(self) -> str:
        """The same in a box that is scrolled where the screen is narrow."""
        head = "".join(self._heading(column) for column in range(len(self.head)))
        rows = "".join(f"<tr>{self._cells(row)}</tr>\n" for row in self.rows)
        top = f"<caption>{_tagged(self.caption)}</caption>\n<thead><tr>{head}</tr></thead>"
        notes = "".join(f"<li>{ticked(note)}</li>" for note in self.notes)
        return scrolled(f"<table>{top}\n<tbody>{rows}</tbody></table>", self.caption) + (
            f"<ul>{notes}</ul>\n" if notes else ""
        )

    def _heading(self, column: int) -> str:
        """A heading stands over names as they do, at the left."""
        names = column < self.heads or all(isinstance(row[column], Name) for row in self.rows)
        return f'<th scope="col"{_left(names)}>{_tagged(self.head[column])}</th>'

    def _cells(self, row: Sequence[str]) -> str:
        heads = "".join(f'<th scope="row">{_tagged(text)}</th>' for text in row[: self.heads])
        rest = (f"<td{_left(isinstance(text, Name))}>{_tagged(text)}</td>" for text in row[self.heads :])
        return heads + "".join(rest)


def scrolled(content: str, name: str) -> str:
    """A box of HTML that can be moved sideways, also by keyboard, where it is wider than the screen."""
    return f'<div class="wide" role="region" tabindex="0" aria-label="{escape(name)}">{content}</div>\n'


def ticked(text: str) -> str:
    """Text with `names` in back ticks as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def code(text: str) -> str:
    """A name in back ticks, whatever it holds."""
    return "`" + re.sub(r"[`\s]+", " ", text) + "`"


def _left(names: bool) -> str:
    return ' class="name"' if names else ""


def _row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(_marked(text) for text in texts) + " |"


def _marked(text: str) -> str:
    if isinstance(text, Name):
        return code(text).replace("|", "\\|")
    return re.sub(r"\s+", " ", escape(text, quote=False)).replace("|", "\\|")


def _tagged(text: str) -> str:
    return f"<code>{escape(text)}</code>" if isinstance(text, Name) else escape(text)
