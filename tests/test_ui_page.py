"""The whole page without a browser: what it does with requests that no browser sends."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jobs import put

from unlearnable.run import Run
from unlearnable.ui.guard import Guard
from unlearnable.ui.server import Address, application
from unlearnable.ui.sessions import Sessions
from unlearnable.ui.uploads import Limits

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'unlearnable[ui]'")

from gradio import Error, blocks, processing_utils

Page = Callable[..., tuple[int, str]]


@pytest.fixture
def posted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """Sends a body, piece by piece, to the whole page as others can reach it; what it answers."""
    for owner, name in ((blocks.Block, "async_move_resource_to_block_cache"),
                        (processing_utils, "async_ssrf_protected_get")):  # fmt: skip
        monkeypatch.setattr(owner, name, getattr(owner, name))  # put back what the page replaces
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))

    async def built() -> Guard:
        return application(Sessions(tmp_path), Address("0.0.0.0", exposed=True), Limits(1, 1, 1), Run(device="cpu"))

    def post(path: str, *body: bytes, length: int, kind: str) -> tuple[int, str]:
        sent, pieces = list[Any](), list(body)
        headers = {"host": "127.0.0.1", "content-length": str(length), "content-type": kind}

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        async def send(message: object) -> None:
            sent.append(message)

        scope = {
            "type": "http", "path": path, "raw_path": path.encode(), "root_path": "", "method": "POST",
            "scheme": "http", "query_string": b"", "http_version": "1.1", "server": ("127.0.0.1", 80),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        runner.run(page(scope, receive, send))
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent).decode()

    with asyncio.Runner() as runner:
        page = runner.run(built())
        yield post


def test_an_event_has_no_address_fetched_and_no_file_of_this_computer_taken(
    posted: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked_for = list[object]()
    monkeypatch.setattr("socket.getaddrinfo", lambda host, *_, **__: asked_for.append(host) or [])
    own = put(tmp_path / "private" / "own.png", b"own")
    for path in ("http://evil.example/x.png", str(own), str(tmp_path / "uploads" / ".." / "private" / "own.png")):
        named = {"path": path, "orig_name": "x.png", "meta": {"_type": "gradio.FileData"}}
        for number, data in ((0, [[named]]), (4, [named, "all of it"])):
            body = json.dumps({"fn_index": number, "data": data, "session_hash": "me"}).encode()
            status, said = posted("/gradio_api/run/predict", body, length=len(body), kind="application/json")
            assert (status, "uploaded to it alone" in said) == (500, True), said
    with pytest.raises(Error, match="fetches nothing from elsewhere"):
        processing_utils.async_ssrf_protected_get("http://evil.example/x.png").send(None)
    assert asked_for == []
    assert [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()] == []
    assert "Traceback" not in capfd.readouterr().err


def test_a_body_longer_than_it_says_is_refused_where_it_passes_the_limit(posted: Page) -> None:
    form = b'--B\r\nContent-Disposition: form-data; name="files"; filename="%d.png"\r\n\r\n'
    parts = [piece for number in range(4) for piece in (form % number, bytes(1 << 19), b"\r\n")]
    kind = "multipart/form-data; boundary=B"
    assert posted("/gradio_api/upload", *parts[:3], b"--B--\r\n", length=9, kind=kind)[0] == 200
    status, said = posted("/gradio_api/upload", *parts, b"--B--\r\n", length=9, kind=kind)
    assert (status, "more than the 1 MB allowed at once" in said) == (413, True)
    pieces = [b'{"data": ["', *[b"x" * (1 << 20)] * 17, b'"]}']
    for path in ("/gradio_api/run/predict", "/gradio_api/call/upload"):
        assert posted(path, *pieces, length=9, kind="application/json")[0] == 413
