"""What the two tabs do when something is pressed: they start works, look at them, and say how far they are."""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from unlearnable.files import Refused
from unlearnable.messages import printable
from unlearnable.run import Run
from unlearnable.ui import effect, views
from unlearnable.ui.protecting import Done, Wanted, methods, protect_uploads
from unlearnable.ui.report import counted, table
from unlearnable.ui.sessions import Session, Sessions
from unlearnable.ui.uploads import Limits, Upload
from unlearnable.ui.work import Work

PART, WHOLE = "a part at its own size", "all of it"
_SHOWN = 1000  # files in the table of the page; the report has all of them
_STAGES = {"protect": "protecting", "read": "reading", "labels": "reading", "train": "training"}
_BROKEN = "something went wrong that is not your doing: the window in which the server runs says what"


class Tab:
    """name: under which a session keeps its work."""

    name = ""

    def __init__(self, sessions: Sessions, limits: Limits, run: Run) -> None:
        self.sessions, self.limits, self.run = sessions, limits, run

    def took(self, files: list[dict[str, Any]] | None, request: gr.Request) -> None:
        """Files arrived: they are this session's, and go when it does."""
        self._session(request).uploads.update(upload.path for upload in self._uploads(files))

    def stop(self, request: gr.Request) -> str:
        """Cancel was pressed."""
        if (work := self._session(request).works.get(self.name)) is not None:
            work.stop()
        return _bar(work)

    def _session(self, request: gr.Request) -> Session:
        return self.sessions.of(str(request.session_hash))

    def _uploads(self, files: list[dict[str, Any]] | None) -> list[Upload]:
        """Where the files lie that the browser names: below the folder for uploads, and nowhere else."""
        root = self.sessions.uploads.resolve()
        found = [Upload(Path(file["path"]).resolve(), str(file["orig_name"] or "picture")) for file in files or []]
        return [upload for upload in found if upload.path.is_relative_to(root) and upload.path.is_file()]

    def _wanted(self, method: str, strength: float) -> Wanted:
        if method not in {name for _, name in methods()}:
            raise ValueError(f"there is no method {method!r} on this page")
        return Wanted(method, f"{int(strength)}/255")

    def _work(self, do: Callable[[Run], Any]) -> Work[Any]:
        return Work(do, self.run, self.sessions.turn)


class ProtectTab(Tab):
    """Pictures in, a zip out."""

    name = "protect"

    def start(self, files: list[dict[str, Any]] | None, method: str, strength: float, request: gr.Request) -> list[Any]:
        """Protect was pressed."""
        session, uploads = self._session(request), self._uploads(files)

        def begun() -> Work[Any]:
            wanted, folder = self._wanted(method, strength), session.new_folder("job")
            session.files.clear()
            return self._work(lambda run: protect_uploads(uploads, folder, wanted, self.limits, run))

        work = session.begin(self.name, begun)
        empty = ["", gr.update(visible=False), gr.update(choices=[], value=None), [], ""]
        return [*_running(work), *empty]

    def look(self, request: gr.Request) -> list[Any]:
        """The clock ticked."""
        session = self._session(request)
        work = session.works.get(self.name)
        if work is None or not work.over:
            return [*_running(work), *[gr.skip()] * 5]
        done = work.result
        if not isinstance(done, Done):
            return [*_ended(work), *[gr.skip()] * 5]
        choices = [(printable(row.name), row.id) for row in done.protected]
        first = choices[0][1] if choices else None
        return [
            *_ended(work, " ".join([counted(done.rows, done.summary is None), *done.told]) + _unlisted(done)),
            _link(session, done), gr.update(visible=True),
            gr.update(choices=choices, value=first), table(done.rows)[:_SHOWN], self.view(first, PART, request),
        ]  # fmt: skip

    def view(self, choice: int | None, part: str | None, request: gr.Request) -> str:
        """Another picture, or more or less of it, is to be seen."""
        session = self._session(request)
        done = session.works[self.name].result if self.name in session.works else None
        if not isinstance(done, Done) or not (chosen := [row for row in done.protected if row.id == choice]):
            return ""
        (row,) = chosen
        try:
            paths = views.draw(done.source, done.out, row, done.out.parent / "views", part == WHOLE)
        except (Refused, OSError):
            return "<p>This picture cannot be shown: its files have gone or changed.</p>"
        psnr = "nothing changed" if row.outcome.psnr is None else f"PSNR {row.outcome.psnr:.1f} dB"
        said = ("before", f"after: {psnr}, at most {row.outcome.max_delta} of 255", f"the change, {views.GAIN} times")
        figures = [
            f'<figure><img src="{session.offer(path.name, path)}?{done.out.parent.name}" alt="{escape(words)}">'
            f"<figcaption>{escape(words)}</figcaption></figure>"
            for path, words in zip(paths, said, strict=True)
        ]
        return f'<div class="views">{"".join(figures)}</div>'


class TryTab(Tab):
    """Networks trained on clean and on protected pictures."""

    name = "try"

    def start(self, files: list[dict[str, Any]] | None, method: str, strength: float, request: gr.Request) -> list[Any]:
        """Train was pressed."""
        session, uploads = self._session(request), self._uploads(files)

        def begun() -> Work[Any]:
            wanted, folder = self._wanted(method, strength), session.new_folder("try")
            session.watched = watched = effect.Watched()
            return self._work(lambda run: effect.try_out(uploads, folder, wanted, self.limits, watched, run))

        return [*_running(session.begin(self.name, begun)), ""]

    def look(self, request: gr.Request) -> list[Any]:
        """The clock ticked."""
        session = self._session(request)
        work, watched = session.works.get(self.name), session.watched
        curve = watched.drawing if isinstance(watched, effect.Watched) else ""
        if work is None or not work.over:
            return [*_running(work), curve]
        return [*_ended(work, watched.words), curve]


def _running(work: Work[Any] | None) -> list[Any]:
    """Bar, what is said, clock, start, stop; while a work is not over."""
    going = work is not None
    return [
        _bar(work), gr.update(value="", visible=False), gr.update(active=going), gr.update(interactive=not going),
        gr.update(interactive=going),
    ]  # fmt: skip


def _ended(work: Work[Any], said: str = "") -> list[Any]:
    """The same, once it is over."""
    words = {"done": said, "stopped": "Cancelled: nothing was kept.", "refused": f"Not done: {work.said}"}
    value = printable(words.get(work.status, _BROKEN))
    return [
        "", gr.update(value=value, visible=True), gr.update(active=False), gr.update(interactive=True),
        gr.update(interactive=False),
    ]  # fmt: skip


def _bar(work: Work[Any] | None) -> str:
    """How far it is. Nothing that anybody wrote is in it."""
    if work is None or work.over:
        return ""
    if work.stopping:
        return '<div class="bar"><progress></progress><span>cancelling: what is begun is finished first</span></div>'
    if work.status == "waiting":
        return '<div class="bar"><progress></progress><span>waiting: other work is being done here</span></div>'
    event = work.progress
    if event is None:
        return '<div class="bar"><progress></progress><span>getting ready</span></div>'
    stage = escape(_STAGES.get(event.stage, "working"))
    value = f'<progress max="{event.total}" value="{event.done}"></progress>'
    return f'<div class="bar">{value}<span>{stage}: {event.done} of {event.total}</span></div>'


def _unlisted(done: Done) -> str:
    over = len(done.rows) > _SHOWN
    return f" The table shows {_SHOWN} of {len(done.rows)} files." if over else ""


def _link(session: Session, done: Done) -> str:
    if done.archive is None:
        return ""
    size = done.archive.stat().st_size / 2**20
    address = session.offer(done.archive.name, done.archive)
    return f'<a class="download" href="{address}" download="protected.zip">Download all as a zip ({size:.1f} MB)</a>'
