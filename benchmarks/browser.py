"""The page in a real browser: starts the command, opens it in the system's Chromium, presses what a person presses."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
STARTING = 180.0  # seconds


@dataclass(frozen=True)
class Served:
    """A running `unlearnable ui`: where it is, and its process."""

    url: str
    process: subprocess.Popen[str]


@contextmanager
def served(*flags: str, before: Sequence[str] = (), tmp: Path | None = None) -> Iterator[Served]:
    """Runs the command for the length of the block. before: what is put in front of it; tmp: its temporary folder."""
    words = [*before, sys.executable, "-m", "unlearnable", "ui", "--port", "0", "--device", "cpu", *flags]
    surroundings = os.environ | ({} if tmp is None else {"TMPDIR": str(tmp)})
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=surroundings, start_new_session=True)
    try:
        yield Served(_address(process), process)
    finally:
        _signal(process, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()
        if process.stderr is not None:
            process.stderr.close()


def _signal(process: subprocess.Popen[str], number: int) -> None:
    """To what is put in front of the command and to the command, which would go on without it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _address(process: subprocess.Popen[str]) -> str:
    said = ""
    assert process.stderr is not None
    for line in process.stderr:
        said += line
        if found := re.search(r"http://[\d.]+:\d+", line):
            return found[0]
    raise RuntimeError(f"the page did not start: {said}")


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking", "--no-first-run"]
        )
        try:
            yield opened
        finally:
            opened.close()


class Person:
    """Somebody at the page. asked: the addresses that the browser asked for; errors: what it complained of."""

    def __init__(self, browser: Any, url: str) -> None:
        self.page = browser.new_page(viewport={"width": 1120, "height": 1000})
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)
        self.page.wait_for_selector("#protect-go", timeout=STARTING * 1000)

    def drop(self, *files: Path, where: str = "protect") -> None:
        """Uploads files, and waits until they are there."""
        self.page.set_input_files(f"#{where}-files input[type=file]", [str(file) for file in files])
        self.page.wait_for_selector(f"#{where}-files tr.file >> nth={len(files) - 1}", timeout=STARTING * 1000)

    def press(self, button: str) -> None:
        """A button by its id, as soon as it can be pressed."""
        self.page.click(f"#{button}", timeout=STARTING * 1000)

    def said(self, where: str = "protect", seconds: float = STARTING) -> str:
        """What the page says once the work is over."""
        box = self.page.locator(f"#{where}-said textarea")
        box.wait_for(state="visible", timeout=seconds * 1000)
        return str(box.input_value())

    def until(self, selector: str, seconds: float = STARTING) -> Any:
        """The element, once it is to be seen."""
        found = self.page.locator(selector).first
        found.wait_for(state="visible", timeout=seconds * 1000)
        return found

    def fetch(self, to: Path) -> Path:
        """The zip, by its link."""
        with self.page.expect_download(timeout=STARTING * 1000) as download:
            self.until("a.download").click()
        download.value.save_as(to)
        return to


def wait_for(condition: Any, seconds: float = STARTING) -> bool:
    """Whether it became true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.1)
    return bool(condition())
