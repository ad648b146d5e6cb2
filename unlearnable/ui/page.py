"""What is on the page: a title, one sentence, two tabs. All that happens is told by `tabs`."""

from pathlib import Path
from typing import Any

import gradio as gr

from unlearnable import demo
from unlearnable.job import DEFAULT_METHOD
from unlearnable.run import Run
from unlearnable.ui.protecting import LEVELS, methods
from unlearnable.ui.report import HEADERS
from unlearnable.ui.sessions import Sessions
from unlearnable.ui.tabs import PART, WHOLE, ProtectTab, TryTab
from unlearnable.ui.uploads import Limits

STYLE = Path(__file__).with_name("style.css")
_TICK = 0.7  # seconds between two looks at a work
_HEAD = """
<h1>unlearnable</h1>
<p>Changes pictures by a little that is hard to see, so that networks trained on them without your consent learn less
from them. This raises the cost of such training; it does not make it impossible, cannot undo what was already
collected, and does nothing about models that exist.</p>
<p class="quiet">Everything happens on the computer that serves this page. Nothing is sent anywhere; what you drop here
is removed when you close this page.</p>
"""
_TRY = """Trains a small network three times: on pictures as they are, on the same pictures protected, and on the same
with plain noise, and shows after every round how many pictures it then recognises that nobody changed. Without a zip it
takes scanned digits that come with the program; this is a matter of a minute or two."""
_ON_DIGITS = "The standard method was made for photographs: it does next to nothing for the digits."
_SILENT = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def theme() -> Any:
    """Plain, in the reader's own fonts: none is fetched."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "sans-serif"]
    made = gr.themes.Base(primary_hue="teal", neutral_hue="gray", font=fonts, font_mono=["ui-monospace", "monospace"])
    return made.set(button_primary_background_fill="#2f6f6a", button_primary_text_color="#fff")


def page(sessions: Sessions, limits: Limits, run: Run) -> Any:
    """The page of a server; each tab of a browser that opens it has a session of its own."""
    with gr.Blocks(title="unlearnable", analytics_enabled=False) as made:
        gr.HTML(_HEAD, elem_id="title")
        with gr.Tab("Protect pictures"):
            _protecting(ProtectTab(sessions, limits, run), limits)
        with gr.Tab("See what it does"):
            _trying(TryTab(sessions, limits, run))
        made.unload(_ender(sessions))
    return made


def _ender(sessions: Sessions) -> Any:
    def end(request: gr.Request) -> None:
        sessions.end(str(request.session_hash))

    return end


def _choices(where: str, method: str, info: str | None = None) -> tuple[Any, Any]:
    chosen = gr.Dropdown(methods(), value=method, label="Method", info=info, elem_id=f"{where}-method")
    strength = gr.Slider(
        1, 16, value=LEVELS, step=1, label="Strength: how far a value may change, of 255", elem_id=f"{where}-strength",
        info="8 is usual. More protects better and is easier to see.", buttons=[],
    )  # fmt: skip
    return chosen, strength


def _buttons(where: str, go: str) -> tuple[Any, Any, Any, Any, Any]:
    with gr.Row():
        start = gr.Button(go, variant="primary", elem_id=f"{where}-go")
        stop = gr.Button("Cancel", interactive=False, elem_id=f"{where}-stop")
    bar = gr.HTML(elem_id=f"{where}-bar")
    said = gr.Textbox(show_label=False, container=False, interactive=False, max_lines=6, elem_classes="said",
                      elem_id=f"{where}-said", visible=False)  # fmt: skip
    return start, stop, bar, said, gr.Timer(_TICK, active=False)


def _protecting(tab: ProtectTab, limits: Limits) -> None:
    label = f"Drop pictures here, or one zip (up to {limits.files} files, {limits.file_mb} MB each)"
    with gr.Row():
        files = gr.File(file_count="multiple", label=label, height=190, elem_id="protect-files")
        with gr.Column():
            method, strength = _choices("protect", DEFAULT_METHOD)
    start, stop, bar, said, timer = _buttons("protect", "Protect")
    link = gr.HTML(elem_id="protect-link")
    with gr.Column(visible=False) as results:
        with gr.Row():
            choice = gr.Dropdown([], label="Look at", elem_id="protect-choice", type="value")
            part = gr.Radio([PART, WHOLE], value=PART, label="How much of it", elem_id="protect-part")
        views = gr.HTML(elem_id="protect-views")
        table = gr.Dataframe(
            headers=HEADERS, datatype="str", interactive=False, wrap=True, label="Every file", elem_id="protect-table",
            column_widths=["35%", "40%", "10%", "15%"], max_height=420, buttons=[],
        )  # fmt: skip
    shown = [bar, said, timer, start, stop, link, results, choice, table, views]
    files.change(tab.took, files, None, preprocess=False, **_SILENT)
    start.click(tab.start, [files, method, strength], shown, preprocess=False, **_SILENT)
    stop.click(tab.stop, None, [bar], **_SILENT)
    timer.tick(tab.look, None, shown, **_SILENT)
    for changed in (choice, part):
        changed.change(tab.view, [choice, part], views, **_SILENT)


def _trying(tab: TryTab) -> None:
    gr.Markdown(_TRY)
    with gr.Row():
        files = gr.File(
            file_count="multiple", label="Optional: one zip with a folder for each class", height=190,
            elem_id="try-files",
        )  # fmt: skip
        with gr.Column():
            method, strength = _choices("try", demo.METHOD, _ON_DIGITS)
    start, stop, bar, said, timer = _buttons("try", "Train and compare")
    curve = gr.HTML(elem_id="try-curve", elem_classes="curve")
    shown = [bar, said, timer, start, stop, curve]
    files.change(tab.took, files, None, preprocess=False, **_SILENT)
    start.click(tab.start, [files, method, strength], shown, preprocess=False, **_SILENT)
    stop.click(tab.stop, None, [bar], **_SILENT)
    timer.tick(tab.look, None, shown, **_SILENT)
