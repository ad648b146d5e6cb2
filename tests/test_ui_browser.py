"""The page in a real browser: dropped, protected, fetched, the command line's bytes; and nobody else is asked."""

import os
import shutil
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Command
from jobs import crop, put, tree

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'unlearnable[ui]'")
pytest.importorskip("playwright", reason="the browser is driven by playwright: pip install playwright")

from benchmarks.browser import CHROMIUM, Person, Served, browser, served, wait_for

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: apt-get install chromium")
EVIL = "<img src=x onerror=document.title='owned'>.png"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's temporary folder."""
    return tmp_path_factory.mktemp("room")


@pytest.fixture(scope="module")
def server(room: Path) -> Iterator[Served]:
    with served("--max-file-mb", "2", "--max-files", "300", tmp=room) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as opened:
        yield opened


@pytest.fixture
def person(chromium: Any, server: Served) -> Iterator[Person]:
    someone = Person(chromium, server.url)
    yield someone
    assert someone.errors == []
    assert [url for url in someone.asked if not url.startswith((server.url, "data:", "blob:"))] == []
    someone.page.close()


def pictures(folder: Path, count: int, side: int = 90) -> list[Path]:
    return [put(folder / f"{number:03}.png", crop(number, side, side)) for number in range(count)]


def unpacked(archive: Path, folder: Path) -> dict[str, str]:
    with zipfile.ZipFile(archive) as file:
        assert file.testzip() is None
        file.extractall(folder)
    (folder / "unlearnable-report.txt").rename(folder.with_suffix(".txt"))
    return tree(folder)


def choose(person: Person, words: str) -> None:
    """A method of the list by a part of what is said of it."""
    person.page.click("#protect-method input")
    person.page.fill("#protect-method input", words)
    person.page.keyboard.press("Enter")


def test_dropped_protected_fetched_and_the_same_bytes(person: Person, command: Command, tmp_path: Path) -> None:
    files = [put(tmp_path / "in" / EVIL, crop(1)), put(tmp_path / "in" / "b.jpg", crop(2), quality=90)]
    files.append(put(tmp_path / "in" / "broken.png", b"\x89PNG\r\n\x1a\nno"))
    person.drop(*files)
    person.press("protect-go")
    assert "2 protected, 1 could not be protected" in person.said()
    found = unpacked(person.fetch(tmp_path / "got.zip"), tmp_path / "got")
    assert command("protect", tmp_path / "in", "cli", "--eps", "8/255").code == 1
    assert found == tree(Path("cli")) != {}
    person.until(".views img")
    assert wait_for(lambda: person.page.evaluate("[...document.querySelectorAll('.views img')].every(i => i.width)"))
    text = person.page.inner_text("body")
    assert EVIL in text
    assert "cannot be decoded" in text
    assert person.page.title() == "unlearnable"
    assert person.page.locator("img[src='x']").count() == 0


def test_a_zip_and_another_picture_to_look_at(person: Person, tmp_path: Path) -> None:
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for number, path in enumerate(pictures(tmp_path / "p", 2)):
            file.write(path, f"class {number}/<b>{number}</b>.png")
        file.writestr("../evil.png", b"out of it")
    person.drop(archive)
    choose(person, "random")
    person.press("protect-go")
    assert "2 protected, 1 could not" in person.said()
    first = person.until(".views img").get_attribute("src")
    person.page.click("#protect-choice input")
    person.page.click("ul[role=listbox] li >> nth=1")
    assert wait_for(lambda: person.until(".views img").get_attribute("src") != first)
    assert sorted(unpacked(person.fetch(tmp_path / "got.zip"), tmp_path / "got")) == [
        "class 0/<b>0</b>.png", "class 1/<b>1</b>.png",
    ]  # fmt: skip


def test_two_tabs_have_jobs_of_their_own(person: Person, chromium: Any, server: Served, tmp_path: Path) -> None:
    other = Person(chromium, server.url)
    for who, name, number in ((person, "one.png", 1), (other, "two.png", 2)):
        who.drop(put(tmp_path / name, crop(number)))
        choose(who, "random")
        who.press("protect-go")
    for who, name in ((person, "one.png"), (other, "two.png")):
        assert "1 protected" in who.said()
        assert list(unpacked(who.fetch(tmp_path / f"{name}.zip"), tmp_path / f"got-{name}")) == [name]
    other.page.close()


def test_cancelled_in_the_middle_what_is_there_is_whole(person: Person, command: Command, tmp_path: Path) -> None:
    archive, count = tmp_path / "many.zip", 250
    with zipfile.ZipFile(archive, "w") as file:
        for path in pictures(tmp_path / "p", count, 40):
            file.write(path, path.name)
    person.drop(archive)
    person.press("protect-go")
    assert wait_for(lambda: "protecting: " in person.page.inner_text("#protect-bar"))
    person.press("protect-stop")
    said = person.said()
    assert "stopped before the other" in said
    found = unpacked(person.fetch(tmp_path / "got.zip"), tmp_path / "got")
    assert 0 < len(found) < count
    command("protect", archive, "cli", "--eps", "8/255")
    assert found.items() <= tree(Path("cli")).items()


def test_what_it_cannot_take_is_said_and_it_lives_on(person: Person, server: Served, tmp_path: Path) -> None:
    person.drop(put(tmp_path / "a.txt", b"no picture"))
    person.press("protect-go")
    assert "none of these files is a picture" in person.said()
    person.page.reload()
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(400):
            file.writestr(f"{number}.png", b"")
    person.drop(bomb)
    person.press("protect-go")
    assert "holds 400 files, 300 are allowed" in person.said()
    person.page.reload()
    large = tmp_path / "large.zip"
    with open(large, "wb") as file:
        file.truncate(3 << 20)
    person.page.set_input_files("#protect-files input[type=file]", str(large))
    assert "maximum allowed size" in person.until("[data-testid=toast-body]").inner_text()
    assert server.process.poll() is None


def test_closing_the_page_removes_what_it_had(chromium: Any, server: Served, room: Path, tmp_path: Path) -> None:
    assert wait_for(lambda: not held(room), 60)
    someone = Person(chromium, server.url)
    someone.drop(put(tmp_path / "mine.png", crop(3)))
    someone.press("protect-go")
    someone.said()
    assert held(room)
    someone.page.close()
    assert wait_for(lambda: not held(room), 60)


def held(room: Path) -> list[Path]:
    return [path for path in room.rglob("*") if path.is_file() and path.name != "lock"]


def test_ended_it_leaves_nothing(tmp_path: Path) -> None:
    with served(tmp=tmp_path) as running:
        assert list(tmp_path.iterdir())
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(60) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_second_tab_draws_its_curves(person: Person) -> None:
    person.page.click("button[role=tab]:has-text('See what it does')")
    person.press("try-go")
    assert "Of 597 test pictures that nobody changed" in person.said("try", 580)
    assert person.page.locator("#try-curve svg").count() == 1


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("strace"), reason="connections are watched by strace: apt-get install strace")
def test_it_connects_to_nobody(chromium: Any, tmp_path: Path) -> None:
    """Every connection that the server and its threads begin, by the system calls themselves."""
    log = tmp_path / "calls"
    with served(before=("strace", "-f", "-qq", "-e", "trace=connect,sendto", "-o", str(log)), tmp=tmp_path) as running:
        someone = Person(chromium, running.url)
        someone.drop(put(tmp_path / "a.png", crop(0)))
        someone.press("protect-go")
        assert "1 protected" in someone.said(seconds=400)
        someone.page.close()
    calls = [line for line in log.read_text().splitlines() if "sa_family=AF_INET" in line]
    assert [line for line in calls if "127.0.0.1" not in line and '"::1"' not in line] == []


def test_it_works_without_a_network(tmp_path: Path) -> None:
    """In a network namespace of its own, where only loopback is up, the page answers and is whole."""
    inside = ("unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    needed = ("unshare", "ip", "nsenter", "curl")
    if not all(map(shutil.which, needed)) or subprocess.run([*inside, "true"], check=False).returncode:
        pytest.skip("a network namespace cannot be made here")
    with served(before=inside, tmp=tmp_path) as running:
        child = running.process.pid
        asked = ["nsenter", "-t", str(child), "-n", "curl", "-sf", "--max-time", "60", running.url]
        page = subprocess.run(
            asked, capture_output=True, text=True, check=True, env=os.environ | {"no_proxy": "*"}
        ).stdout
        assert "<gradio-app" in page
