"""The page without a browser: what is taken, what a work comes to, who is answered, and that all of it goes again."""

import asyncio
import os
import struct
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import Command, refused
from jobs import crop, put, tree

from unlearnable.data import ImageSet
from unlearnable.experiment import watch
from unlearnable.packs import digits
from unlearnable.run import Cancelled, Run
from unlearnable.ui import effect, sessions
from unlearnable.ui.guard import Guard
from unlearnable.ui.protecting import Done, Wanted, methods, protect_uploads
from unlearnable.ui.server import Address
from unlearnable.ui.sessions import Sessions, rooms
from unlearnable.ui.uploads import Limits, Upload, source_of
from unlearnable.ui.work import Work

EVIL = "<img src=x onerror=alert(1)>.png"


def uploads(folder: Path, *names: str) -> list[Upload]:
    """Real pieces of photographs as a browser would have sent them, under these names."""
    files = (put(folder / f"{number}.png", crop(number)) for number, _ in enumerate(names))
    return [Upload(path, name) for path, name in zip(files, names, strict=True)]


def zipped(path: Path, **members: bytes) -> Upload:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return Upload(path, path.name)


def protected(tmp_path: Path, files: list[Upload], method: str = "lsp", **values: object) -> Done:
    return protect_uploads(files, tmp_path / "work", Wanted(method), Limits(), Run(device="cpu", **values))


def test_names_stay_as_they_are_and_none_hides_another(tmp_path: Path) -> None:
    names = (EVIL, "a.png", "A.PNG", "a.png", "../../etc/passwd.png", "C:\\photos\\b.png", ".unlearnable.png")
    source = source_of(uploads(tmp_path, *names), tmp_path / "in", Limits())
    found = {path.name for path in source.iterdir()}
    assert found == {
        EVIL, "a.png", "A (2).PNG", "a (3).png", "passwd.png", "b.png", "picture-unlearnable.png"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "limits", "said"),
    [
        ((), Limits(), "drop pictures or a zip first"),
        (("a.png", "b.png"), Limits(files=1), "2 files are more than the 1 allowed"),
        (("a.txt", "b.pdf"), Limits(), "none of these files is a picture"),
        (("a.png", "b.zip"), Limits(), "one zip alone"),
        (("a.tar",), Limits(), "takes zip alone"),
        (("a.zip",), Limits(), "not a readable zip"),
    ],
)
def test_what_cannot_be_taken_is_said_in_one_line(
    tmp_path: Path, names: tuple[str, ...], limits: Limits, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        source_of(uploads(tmp_path, *names), tmp_path / "in", limits)


def test_large_files_are_refused_unread(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    with open(large, "wb") as file:
        file.truncate(3 << 20)
    with pytest.raises(ValueError, match="3 MB is larger than the 2 MB allowed"):
        source_of([Upload(large, "large.png")], tmp_path / "in", Limits(file_mb=2))
    with pytest.raises(ValueError, match="6 MB are more than the 5 MB allowed"):
        source_of([Upload(large, "a.png"), Upload(large, "b.png")], tmp_path / "in2", Limits(total_mb=5))


def test_zip_bombs_are_refused_by_their_list(tmp_path: Path) -> None:
    wide = zipped(tmp_path / "wide.zip", **{"a.png": bytes(8 << 20)})
    assert wide.path.stat().st_size < 1 << 16
    with pytest.raises(ValueError, match="unpacked the zip has 8 MB"):
        source_of([wide], tmp_path / "in", Limits(total_mb=4))
    many = zipped(tmp_path / "many.zip", **{f"{number}.png": b"" for number in range(30)})
    with pytest.raises(ValueError, match="holds 30 files, 20 are allowed"):
        source_of([many], tmp_path / "in2", Limits(files=20))
    listed = zipped(tmp_path / "listed.zip", **{f"{number:0200}.png": b"" for number in range(400)})
    with pytest.raises(ValueError, match="lists more than the 20 files allowed"):
        source_of([listed], tmp_path / "in3", Limits(files=20))
    with pytest.raises(ValueError, match="holds no pictures"):
        source_of([zipped(tmp_path / "none.zip", **{"a.txt": b"a"})], tmp_path / "in4", Limits())


def test_a_large_file_in_a_zip_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a file of 3 MB in the zip is larger than the 2 MB allowed"):
        source_of([zipped(tmp_path / "a.zip", **{"a.png": bytes(3 << 20)})], tmp_path / "in", Limits(file_mb=2))


def test_the_list_of_a_zip_is_measured_where_zipfile_reads_it(tmp_path: Path) -> None:
    """The end record's own offset reads as the beginning of an end record, with fewer bytes behind it than one has."""
    data = zipped(tmp_path / "a.zip", **{f"{number:0200}.png": b"" for number in range(400)}).path.read_bytes()
    end = data.rindex(b"PK\5\6")
    size, start = struct.unpack("<2L", data[end + 12 : end + 20])
    (offset,) = struct.unpack("<L", b"PK\5\6")
    with open(tmp_path / "led.zip", "wb") as file:
        file.seek(offset)
        file.write(data[start : start + size] + data[end : end + 16] + struct.pack("<LH", offset, 0))
    with pytest.raises(ValueError, match="lists more than the 20 files allowed"):
        source_of([Upload(tmp_path / "led.zip", "led.zip")], tmp_path / "in", Limits(files=20))


def test_the_long_form_of_a_zips_end_is_not_taken_for_a_long_list(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", **{"a.png": os.urandom(2 << 20)}).path
    data = path.read_bytes()
    end = data.rindex(b"PK\5\6")
    size, start = struct.unpack("<2L", data[end + 12 : end + 20])
    long = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, start)
    long += struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    path.write_bytes(data[:end] + long + data[end : end + 8] + b"\xff" * 12 + data[end + 20 :])
    assert source_of([Upload(path, "a.zip")], tmp_path / "in", Limits()).is_file()


def test_the_page_makes_the_bytes_of_the_command_line(command: Command, tmp_path: Path) -> None:
    files = uploads(tmp_path / "sent", EVIL, "b.jpg", "c.png")
    files[1].path.write_bytes(b"no picture")
    done = protected(tmp_path, files)
    assert [done.count(status) for status in ("protected", "failed")] == [2, 1]
    with zipfile.ZipFile(done.archive or "") as archive:
        archive.extractall(tmp_path / "unpacked")
    report = (tmp_path / "unpacked" / "unlearnable-report.txt").read_text()
    assert "b.jpg: not protected: " in report
    (tmp_path / "unpacked" / "unlearnable-report.txt").unlink()
    assert command("protect", done.source, "cli", "--method", "lsp", "--eps", "8/255").code == 1
    assert tree(tmp_path / "unpacked") == tree(Path("cli")) != {}
    verified = command("verify", done.source, tmp_path / "unpacked", "--json").json
    assert (verified["checked"], verified["bad"], verified["missing"]) == (2, 0, 1)


def test_a_report_of_the_users_is_not_replaced(tmp_path: Path) -> None:
    picture = put(tmp_path / "a.png", crop(0)).read_bytes()
    done = protected(tmp_path, [zipped(tmp_path / "a.zip", **{"a.png": picture, "unlearnable-report.txt": b"mine"})])
    with zipfile.ZipFile(done.archive or "") as archive:
        assert archive.read("unlearnable-report.txt") == b"mine"
        assert b"What was done" in archive.read("_unlearnable-report.txt")


def test_what_was_done_before_a_cancel_is_kept_whole(tmp_path: Path) -> None:
    count = 4 * (os.cpu_count() or 1) + 12  # more than are in flight at once
    files = uploads(tmp_path / "sent", *(f"{number:03}.png" for number in range(count)))
    heard: list[int] = []
    stopped = {"listener": lambda event: heard.append(event.done), "cancelled": lambda: bool(heard)}
    done = protected(tmp_path, files, "one_for_all", **stopped)
    assert 0 < len(done.protected) < count
    assert done.summary is None
    with zipfile.ZipFile(done.archive or "") as archive:
        assert archive.testzip() is None
        pictures = [name for name in archive.namelist() if name.endswith(".png")]
    assert len(pictures) == len(done.protected)
    assert not list((tmp_path / "work").rglob("*.partial"))
    assert not (done.out / ".unlearnable" / "scratch").exists()


def test_a_refusal_of_the_job_does_not_speak_of_temporary_folders(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="eps") as said:
        protect_uploads(uploads(tmp_path, "a.png"), tmp_path / "w", Wanted("lsp", "9"), Limits(), Run(device="cpu"))
    assert str(tmp_path) not in str(said.value)


def test_methods_begin_with_the_shipped_one_and_have_a_strength() -> None:
    names = [name for _, name in methods()]
    assert names[0] == "one_for_all"
    assert not {"ops", "class_filters"} & set(names)


def waiting(status: Callable[[], str], wanted: str) -> None:
    until = time.monotonic() + 10
    while status() != wanted and time.monotonic() < until:
        time.sleep(0.01)
    assert status() == wanted


def test_one_work_is_done_at_a_time_and_each_can_be_stopped(run: Run) -> None:
    turn, go = threading.Lock(), threading.Event()

    def patient(run: Run) -> str:
        while not go.is_set():
            if run.cancelled():
                raise Cancelled("stopped")
            time.sleep(0.01)
        return "done"

    first = Work(patient, run, turn)
    waiting(lambda: first.status, "working")
    second, third = Work(patient, run, turn), Work(patient, run, turn)
    time.sleep(0.05)
    assert (second.status, third.status) == ("waiting", "waiting")
    third.stop()
    assert third.wait(10.0)
    assert third.status == "stopped"
    first.stop()
    waiting(lambda: second.status, "working")
    go.set()
    assert first.wait(10.0)
    assert second.wait(10.0)
    assert (first.status, second.status, second.result) == ("stopped", "done", "done")
    assert turn.acquire(blocking=False)


def test_a_mistake_is_said_and_a_bug_is_not_hidden(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    def mistaken(run: Run) -> None:
        raise ValueError("too much:\nless")

    def broken(run: Run) -> None:
        raise KeyError("bug")

    refused_work, broken_work = (Work(do, run, threading.Lock()) for do in (mistaken, broken))
    assert refused_work.wait(10.0)
    assert broken_work.wait(10.0)
    assert (refused_work.status, refused_work.said) == ("refused", "too much: less")
    assert broken_work.status == "broken"
    assert "KeyError" in caplog.text


def test_a_session_ends_with_all_it_had_and_leaves_the_others_alone(run: Run) -> None:
    with rooms() as root:
        all_of_them = Sessions(root)
        one, two = all_of_them.of("one"), all_of_them.of("two")
        shared, own = put(root / "uploads" / "a" / "a.png", b"a"), put(root / "uploads" / "b" / "b.png", b"b")
        one.uploads, two.uploads = {shared, own}, {shared}
        path = put(one.new_folder("job") / "protected.zip", b"zip")
        assert one.offer("protected.zip", path) == f"session/{one.token}/protected.zip"
        assert all_of_them.file(one.token, "protected.zip") == path
        assert all_of_them.file(two.token, "protected.zip") is None
        assert all_of_them.file("", "protected.zip") is None
        assert all_of_them.file("é", "protected.zip") is None

        def patient(run: Run) -> None:
            while not run.cancelled():
                time.sleep(0.01)
            raise Cancelled("stopped")

        one.begin("protect", lambda: Work(patient, run, all_of_them.turn))
        all_of_them.end("one")
        assert all_of_them.file(one.token, "protected.zip") is None
        assert (one.folder.exists(), two.folder.exists()) == (False, True)
        assert (own.exists(), shared.exists()) == (False, True)
        all_of_them.close()
        assert len(all_of_them) == 0
    assert not root.exists()


def test_what_an_upload_left_that_was_broken_off_goes_with_the_next_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = Sessions(tmp_path)
    taken, partial, lost = (put(every.uploads / name, b"a").resolve() for name in ("a/a.png", "tmpx", "b/b.png"))
    every.of("other").uploads = {taken}
    every.end("nobody")
    assert partial.exists()
    assert lost.exists()
    ages = {partial: 90.0, lost: 90.0, taken: 90.0, put(every.uploads / "tmpy", b"a").resolve(): 1.0}
    monkeypatch.setattr(sessions, "_age", ages.__getitem__)
    every.end("nobody")
    assert not lost.exists()
    assert partial.exists(), "it may be of the upload whose last file is still on its way"
    ages[every.uploads.resolve() / "tmpy"] = 90.0
    every.end("nobody")
    assert [path for path in every.uploads.resolve().rglob("*") if path.is_file()] == [taken]


@pytest.mark.parametrize("kind", ["ProtectTab", "TryTab"])
def test_of_two_clicks_at_once_one_begins_a_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    gradio = pytest.importorskip("gradio", reason="the page needs gradio: pip install 'unlearnable[ui]'")
    from unlearnable.ui import tabs

    begun, answers, both = list[Any](), list[Any](), threading.Barrier(2)

    def begins(work: Any, *_: object) -> None:
        time.sleep(0.1)  # in which the other click looks whether something is at work
        work.status, work._stop = "waiting", threading.Event()
        begun.append(work)

    monkeypatch.setattr(Work, "__init__", begins)
    every = Sessions(tmp_path)
    tab = getattr(tabs, kind)(every, Limits(), Run(device="cpu"))

    def click() -> None:
        both.wait()
        answers.append(tab.start([], "lsp", 8.0, gradio.Request(session_hash="me")))

    clicks = [threading.Thread(target=click) for _ in range(2)]
    for one in clicks:
        one.start()
    for one in clicks:
        one.join()
    assert list(every.of("me").works.values()) == begun, "another one could not be cancelled"
    assert len(begun) == 1
    assert len(answers) == 2


def test_what_a_killed_server_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(sessions, "_YOUNG", -1.0)
    left = put(tmp_path / "unlearnable-ui-old" / "uploads" / "a.png", b"a").parent.parent
    with rooms() as alive:
        assert not left.exists()
        with rooms() as second:
            assert alive.exists()
            assert second != alive
    assert list(tmp_path.iterdir()) == []


def test_what_others_left_under_such_a_name_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(sessions, "_YOUNG", -1.0)
    mine = put(tmp_path / "mine" / "lock", b"mine")
    (tmp_path / "unlearnable-ui-link").symlink_to(mine.parent)
    theirs = put(tmp_path / "unlearnable-ui-theirs" / "lock", b"theirs")
    me = os.getuid()
    with monkeypatch.context() as other:
        other.setattr(sessions.os, "getuid", lambda: me + 1)
        with rooms():
            assert theirs.read_bytes() == b"theirs"
    with rooms():
        assert not theirs.exists()
        assert mine.read_bytes() == b"mine"


def asked(guard: Guard, path: str = "/", method: str = "GET", **headers: str) -> int:
    """The status that a request gets."""
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(guard({"type": "http", "path": path, "method": method, "headers": named}, receive, send))
    policy = dict(sent[0]["headers"])[b"content-security-policy"]  # type: ignore[call-overload]
    assert b"default-src 'self'" in policy
    assert b"http" not in policy
    return int(str(sent[0]["status"]))


async def well(scope: object, receive: object, send: Callable[..., object]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[misc]


def test_other_sites_and_names_are_not_answered() -> None:
    guard = Guard(well, Address().hosts, Limits(total_mb=1, files=1))
    here = "127.0.0.1:7860"
    assert asked(guard, host=here) == 200
    assert asked(guard, host="localhost:7860", origin="http://localhost:7860") == 200
    assert asked(guard, host="evil.example:7860") == 421
    assert asked(guard) == 421
    assert asked(guard, host=here, origin="http://evil.example") == 403
    assert asked(guard, host=here, origin="null") == 403
    assert asked(guard, "/gradio_api/upload", "POST", host=here, content_length=str(1 << 20)) == 200
    assert asked(guard, "/gradio_api/upload", "POST", host=here, content_length=str(2 << 20)) == 413
    assert asked(guard, "/gradio_api/upload", "POST", host=here) == 411
    assert asked(guard, host=here, origin="http://[") == 403


def test_others_are_let_in_by_numbers_and_known_names_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A web site can make a name of its own mean this computer, and is then no other site to a browser."""
    monkeypatch.setattr("socket.gethostname", lambda: "Mine.lan")
    guard = Guard(well, Address("0.0.0.0", exposed=True).hosts, Limits(), numbers=True)
    for known in ("192.168.0.7:7860", "[fe80::1]:7860", "localhost", "mine.lan:7860", "mine", "mine.local", "0.0.0.0"):
        assert asked(guard, host=known) == 200, known
    for foreign in ("evil.example:7860", "192.168.0.7.evil.example", "mine.example", "", "["):
        assert asked(guard, host=foreign) == 421, foreign
    named = Guard(well, Address("Mine.example", exposed=True).hosts, Limits(), numbers=True)
    assert asked(named, host="mine.example:7860") == 200


def test_a_table_that_is_cut_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio", reason="the page needs gradio: pip install 'unlearnable[ui]'")
    from unlearnable.ui import tabs

    done = protected(tmp_path, uploads(tmp_path / "sent", "a.png", "b.png"))
    assert tabs._unlisted(done) == ""
    monkeypatch.setattr(tabs, "_SHOWN", 1)
    assert tabs._unlisted(done) == " The table shows 1 of 2 files."


@pytest.mark.parametrize(
    "path",
    [
        "file=http://evil.example/a.png",
        "file/http://evil.example/a.png",  # another name of the same, which Gradio keeps for old pages
        "file/HTTPS://evil.example/a.png",
        "file//http://evil.example/a.png",
        "file/%68ttp%3a//evil.example/a.png",
        "file/%2568ttp://evil.example/a.png",
        "file= http://evil.example/a.png",
        "proxy=https://a.hf.space/",
        "%70roxy=https:/a.hf.space/",
    ],
)
def test_no_address_makes_the_server_fetch_from_elsewhere(path: str) -> None:
    guard = Guard(well, Address().hosts, Limits())
    assert asked(guard, f"/gradio_api/{path}", host="127.0.0.1:7860") == 403


def test_a_picture_that_another_site_shows_is_not_asked_of_the_page() -> None:
    """Such a request has no Origin; what a browser says instead is Sec-Fetch-Site."""
    guard, path = Guard(well, Address().hosts, Limits()), "/session/token/protected.zip"

    def status(path: str, site: str, **headers: str) -> int:
        return asked(guard, path, host="127.0.0.1:7860", sec_fetch_site=site, **headers)

    assert [status(path, site) for site in ("none", "same-origin", "same-site", "cross-site")] == [200, 200, 403, 403]
    followed = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert status("/", "cross-site", **followed) == 200, "a link to the page itself may be followed"
    assert status("/", "cross-site", sec_fetch_mode="navigate", sec_fetch_dest="iframe") == 403
    assert status(path, "cross-site", **followed) == 403


def test_only_this_computer_unless_it_is_said(command: Command) -> None:
    assert Address("::1").loopback
    assert Address("127.0.0.2").loopback
    said = refused(command("ui", "--host", "0.0.0.0"))
    assert "say --let-others-in too" in said
    assert "--port must be" in refused(command("ui", "--port", "70000"))
    assert "--max-files must be 1 or more" in refused(command("ui", "--max-files", "0"))


def test_without_gradio_the_command_says_what_to_install(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("unlearnable.extras.importlib.import_module", without)
    assert "pip install 'unlearnable[ui]'" in refused(command("ui", "--port", "0"))


def test_the_curve_grows_and_ends_where_the_victims_do(run: Run) -> None:
    train, test = (
        ImageSet(part.images[part.labels < 2], part.labels[part.labels < 2], ("0", "1")) for part in digits()
    )
    heard: list[tuple[str, int]] = []
    sets = {"clean": train, "protected": train.with_images(train.images // 2)}
    found = watch(sets, test, lambda name, curve: heard.append((name, len(curve))), epochs=2, run=run)
    assert heard == [("clean", 1), ("clean", 2), ("protected", 1), ("protected", 2)]
    assert [len(curve) for curve in found.values()] == [2, 2]
    watched = effect.Watched("Digits", 2, len(test), {**found, "random noise": (0.5,)})
    assert "guessing gets 50%" in watched.words
    assert watched.drawing.startswith("<svg")
    assert "http" not in watched.drawing
    assert effect.Watched().drawing == effect.Watched().words == ""


def test_own_class_folders_are_held_back_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, int] = {}

    def watched(sets: dict[str, object], test: object, tell: object, *, run: Run) -> None:
        seen.update({name: len(data) for name, data in sets.items()} | {"test": len(test)})  # type: ignore[arg-type]

    monkeypatch.setattr(effect.experiment, "watch", watched)
    members = {
        f"{name}/{n}.png": put(tmp_path / "p.png", crop(n)).read_bytes() for name in ("cat", "dog") for n in range(6)
    }
    own = zipped(tmp_path / "own.zip", **members)
    effect.try_out([own], tmp_path / "w", Wanted("lsp"), Limits(), effect.Watched(), Run(device="cpu"))
    assert seen == {"clean": 10, "protected": 10, "random noise": 10, "test": 2}
    few = zipped(tmp_path / "few.zip", **dict(list(members.items())[:9]))
    with pytest.raises(ValueError, match="class 'dog' has 3 pictures that can be used: 5 at least"):
        effect.try_out([few], tmp_path / "w2", Wanted("lsp"), Limits(), effect.Watched(), Run(device="cpu"))
    with pytest.raises(ValueError, match="drop one zip with a folder for each class"):
        effect.try_out(uploads(tmp_path, "a.png"), tmp_path / "w3", Wanted(), Limits(), effect.Watched(), Run())


def test_the_page_says_what_keeps_the_change_from_protecting(tmp_path: Path) -> None:
    """What the command line says on standard error: a seed that anybody can try, classes that nobody gave."""
    done = protected(tmp_path, uploads(tmp_path, *(f"{number}.png" for number in range(12))))
    words = " ".join(done.told)
    assert "seed: the change follows from the method and seed 0" in words
    assert "classes: its classes are k-means groups of looks" in words
    assert done.archive is not None
    with zipfile.ZipFile(done.archive) as archive:
        report = archive.read("unlearnable-report.txt").decode()
    assert all(line in report for line in done.told)
