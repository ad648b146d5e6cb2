"""In front of every request: whom the page answers, how much it takes, and where a browser may load from."""

import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from unlearnable.ui.uploads import Limits

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# Gradio makes functions of texts of its own page, which needs inline and eval; nothing comes from elsewhere
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-dns-prefetch-control", b"off"),
)
_FORM = 1 << 16  # bytes of a form beside its files, for each file
_EVENT = 16  # MB of any other request
_ELSEWHERE = re.compile(r"[=/]\s*https?:|/proxy=", re.IGNORECASE)


@dataclass(frozen=True)
class Guard:
    """app: what is guarded; hosts: the names it goes by; limits: of what may be uploaded at once; numbers: whether any
    IP address will do as its name, which nobody can make mean another computer as they can a name of their own.

    Another name, or a request sent by a page from elsewhere, is refused: a web site that someone has open must not
    reach into this one.
    """

    app: App
    hosts: frozenset[str]
    limits: Limits
    numbers: bool = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif refused := self._refusal(scope):
            await _refuse(send, *refused)
        else:
            await self.app(scope, _counted(receive, *self._allowed(scope)), _with_headers(send))

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        name = _split(f"//{host}").hostname
        if name not in self.hosts and not (self.numbers and _is_number(name)):
            named = "its IP address, its computer's name or --host" if self.numbers else "127.0.0.1 or localhost"
            return 421, f"this page goes by {named} alone"
        if scope["type"] == "websocket":
            return 403, "this page speaks HTTP alone"
        if _of_another_page(scope, headers, host):
            return 403, "requests of other pages are refused"
        if _leads_away(scope["path"]):
            return 403, "this page fetches nothing from elsewhere"
        return self._too_large(scope, headers) if scope["method"] == "POST" else None

    def _too_large(self, scope: Message, headers: dict[str, str]) -> tuple[int, str] | None:
        size = headers.get("content-length", "")
        if not size.isdecimal():
            return 411, "the length of what is sent must be said"
        allowed, reason = self._allowed(scope)
        return (413, reason) if int(size) > allowed else None

    def _allowed(self, scope: Message) -> tuple[int, str]:
        """(bytes that the body of a request may have, what is said of more)."""
        if scope["path"] != "/gradio_api/upload":
            return _EVENT << 20, f"more than the {_EVENT} MB allowed for a request"
        most = (self.limits.total_mb << 20) + self.limits.files * _FORM
        return most, f"more than the {self.limits.total_mb} MB allowed at once"


def _split(address: str) -> SplitResult:
    """What cannot be read as an address has no name and no place."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _is_number(name: str | None) -> bool:
    try:
        return bool(ipaddress.ip_address(name or ""))
    except ValueError:
        return False


def _of_another_page(scope: Message, headers: Mapping[str, str], host: str) -> bool:
    """Browsers say Origin with what changes something, Sec-Fetch-Site with all, pictures too; a link may be followed
    to the page itself.
    """
    if "origin" in headers and _split(headers["origin"]).netloc != host:
        return True
    followed = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    if scope["method"] == "GET" and scope["path"] == "/" and followed:
        return False
    return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def _leads_away(path: str) -> bool:
    """Gradio would fetch an address given as a file, by either of its two routes, and pass on to spaces of its maker's.

    What is still encoded is decoded here, so that nobody after this does it first.
    """
    while (plain := unquote(path)) != path:
        path = plain
    return _ELSEWHERE.search(path) is not None


def _counted(receive: Receive, allowed: int, reason: str) -> Receive:
    """What comes in chunks may be longer than the length that is said beside it."""
    taken = 0

    async def receiving() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > allowed:
            from fastapi import HTTPException  # the one error that every layer inside hands on as it is

            raise HTTPException(413, reason)
        return message

    return receiving


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
        await send(message)

    return sending


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = reason.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
