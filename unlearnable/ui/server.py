"""The server of the page: on this computer alone unless told otherwise, silent towards everybody else."""

import contextlib
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from unlearnable.extras import imported
from unlearnable.run import Run
from unlearnable.ui.guard import Guard
from unlearnable.ui.sessions import Sessions, rooms
from unlearnable.ui.uploads import Limits

_SILENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",  # neither telemetry nor the check for a newer version
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_SSR_MODE": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}
_LEFT_OVER = 2  # seconds that open connections have when the server stops


@dataclass(frozen=True)
class Address:
    """Where the page is. exposed: a host that others can reach is meant. Raises ValueError where it is not said."""

    host: str = "127.0.0.1"
    port: int = 7860
    exposed: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"--port must be 0 (any free one) to 65535, got {self.port}")
        if not self.loopback and not self.exposed:
            raise ValueError(
                f"--host {self.host} lets others use this page, which asks for no password: say --let-others-in too"
            )

    @property
    def loopback(self) -> bool:
        """Whether only this computer reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def hosts(self) -> frozenset[str]:
        """The names that requests may call it by: where others can reach it, those of this computer too."""
        names = {self.host.lower(), "127.0.0.1", "localhost", "::1"}
        if self.loopback:
            return frozenset(names)
        name = socket.gethostname().lower()
        short = name.partition(".")[0]
        return frozenset(names | {name, short, f"{short}.local"})


def serve(address: Address, limits: Limits, run: Run, tell: Callable[[str], None]) -> int:
    """Serves until Ctrl-C or a signal to end; the number of the port it had. tell: hears where the page is.

    Raises ValueError where gradio is missing or the address is taken.
    """
    os.environ.update(_SILENT)
    uvicorn = imported("uvicorn", "unlearnable ui", "ui")
    with _listening(address) as listener, rooms() as root:
        os.environ["GRADIO_TEMP_DIR"] = str(root / "uploads")
        imported("gradio", "unlearnable ui", "ui")
        sessions, port = Sessions(root), listener.getsockname()[1]
        app = application(sessions, address, limits, run)
        shown = f"[{address.host}]" if ":" in address.host else address.host
        settings = uvicorn.Config(
            app, log_level="error", access_log=False, timeout_graceful_shutdown=_LEFT_OVER, server_header=False,
            ws="none",
        )  # fmt: skip
        server = uvicorn.Server(settings)
        try:
            with _ending(server):
                if not address.loopback:
                    tell("warning: others can reach this page; whoever does can use this computer for work, unasked")
                tell(f"the page is at http://{shown}:{port}; Ctrl-C ends it and removes what was uploaded")
                server.run(sockets=[listener])
        finally:
            sessions.close()
        return int(port)


def application(sessions: Sessions, address: Address, limits: Limits, run: Run) -> Guard:
    """The page and the files that sessions offer, guarded; nothing listens yet."""
    import fastapi
    import gradio
    from fastapi.responses import FileResponse, PlainTextResponse

    from unlearnable.ui.page import STYLE, page, theme

    logging.getLogger("httpx").setLevel(logging.WARNING)
    outer = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def fetched(token: str, name: str) -> Any:
        path = sessions.file(token, name)
        if path is None or not path.is_file():
            return PlainTextResponse("this is gone: its page was closed, or begun anew", 404)
        kind = "application/zip" if path.suffix == ".zip" else "image/png"
        return FileResponse(path, media_type=kind, filename=path.name if path.suffix == ".zip" else None)

    outer.add_api_route("/session/{token}/{name}", fetched, methods=["GET"], response_model=None)
    mounted = gradio.mount_gradio_app(
        outer, page(sessions, limits, run), path="/", max_file_size=limits.file_mb << 20, footer_links=[],
        run_history=False, ssr_mode=False, mcp_server=False, pwa=False, enable_monitoring=False, show_error=False,
        theme=theme(), css=STYLE.read_text(), blocked_paths=[str(Path.cwd() / ".gradio")],
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
    )  # fmt: skip
    _take_uploads_alone(sessions.uploads)
    return Guard(mounted, address.hosts, limits, numbers=not address.loopback)


def _take_uploads_alone(uploads: Path) -> None:
    """Gradio fetches any address that an event names as its file, and of a page mounted as this one it copies any file
    of this computer. Raises ValueError where it does so in another way than is known here.
    """
    import gradio
    from gradio import blocks, processing_utils

    async def uploaded(block: Any, path: Any) -> str:
        if not Path(os.path.abspath(path)).is_relative_to(uploads.absolute()):  # by name: a share is not even asked for
            raise gradio.Error("this page takes files that were uploaded to it alone", print_exception=False)
        return str(path)

    async def fetched(url: str) -> Any:
        raise gradio.Error("this page fetches nothing from elsewhere", print_exception=False)

    moving, fetching = "async_move_resource_to_block_cache", "async_ssrf_protected_get"
    for owner, name, instead in ((blocks.Block, moving, uploaded), (processing_utils, fetching, fetched)):
        if not hasattr(owner, name):
            raise ValueError(f"gradio {gradio.__version__} has no {name}, which this page replaces: install 6.31.0")
        setattr(owner, name, instead)


@contextlib.contextmanager
def _listening(address: Address) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((address.host, address.port))
            made.listen()
        except OSError as error:
            where = f"{address.host}:{address.port}"
            raise ValueError(f"{where} cannot be listened on ({error.strerror}): try another --port, or 0") from None
        yield made


@contextlib.contextmanager
def _ending(server: Any) -> Iterator[None]:
    """A signal ends the server, then the block: what follows it still happens."""

    def end(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
