"""Serving the sandbox on a real port, and reaching it without one."""

from __future__ import annotations

import io
import socket
import struct
import threading
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from urllib.parse import unquote_to_bytes, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict, HTTPResponse
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HOST = "127.0.0.1"
TIMEOUT = "mergeq.sandbox.timeout"
"""Where a request's WSGI environment says how many seconds its client waits; not set by a real server."""


class _Quiet(WSGIRequestHandler):
    """HTTP/1.1 with connections kept open, and no line on the terminal for each request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def send_response(self, code: int, message: str | None = None) -> None:
        """The status line alone: the application says itself which server it is and what time it has."""
        self.send_response_only(code, message)

    def connection_dropped(
        self,
        error: BaseException,  # noqa: ARG002
        environ: WSGIEnvironment | None = None,  # noqa: ARG002
    ) -> None:
        """The application hangs up: no answer, and nothing more on this connection."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        pass


class _Threaded(ThreadedWSGIServer):
    """Remembers its open connections, so that closing leaves no thread waiting on one."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, app: WSGIApplication) -> None:
        super().__init__(host, port, app, handler=_Quiet)
        self._open: dict[socket.socket, threading.Thread] = {}
        self._guard = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._guard:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Cut every open connection and wait for its thread."""
        with self._guard:
            waiting = list(self._open.items())
        for connection, _ in waiting:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for _, thread in waiting:
            thread.join()


class Server:
    """A threaded HTTP/1.1 server on 127.0.0.1; port 0 takes a free one."""

    def __init__(self, app: WSGIApplication, port: int = 0) -> None:
        self._server = _Threaded(HOST, port, app)
        self.url = f"http://{HOST}:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox-server", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.hang_up()


@runtime_checkable
class SupportsRead(Protocol):
    """A body that is a file."""

    def read(self) -> bytes:
        """All of it."""


class WsgiAdapter(BaseAdapter):
    """Lets a requests session talk to a WSGI application in this process: no port, no thread."""

    def __init__(self, app: WSGIApplication) -> None:
        super().__init__()
        self._app = app

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, timeout: float | tuple[float, float] | None = None, **_ignored: object
    ) -> requests.Response:
        started: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> Any:
            started.update(status=status, headers=headers)
            return None

        begin: StartResponse = start_response
        environ = _environ(request)
        environ[TIMEOUT] = timeout[1] if isinstance(timeout, tuple) else timeout
        try:
            chunks = self._app(environ, begin)
        except ConnectionResetError as error:
            raise requests.ConnectionError(error, request=request) from error
        except TimeoutError as error:
            raise requests.ReadTimeout(error, request=request) from error
        body = b"".join(chunks)
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
        return _response(request, started["status"], started["headers"], body)

    def close(self) -> None:
        """Nothing is kept open."""


def _environ(request: requests.PreparedRequest) -> dict[str, Any]:
    url = urlsplit(request.url or "")
    body = _body(request.body)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method or "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(url.path or "/").decode("latin-1"),
        "QUERY_STRING": url.query,
        "SERVER_NAME": url.hostname or "",
        "SERVER_PORT": str(url.port or (443 if url.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": HOST,
        "HTTP_HOST": url.netloc,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value
        elif key not in ("CONTENT_LENGTH", "HOST", "TRANSFER_ENCODING"):
            environ[f"HTTP_{key}"] = value
    return environ


def _body(body: object) -> bytes:
    match body:
        case None:
            return b""
        case str():
            return body.encode()
        case bytes():
            return body
        case SupportsRead():
            return body.read()
        case Iterable():
            return b"".join(body)
    raise TypeError(f"a body of type {type(body).__name__}")


def _response(
    request: requests.PreparedRequest, status: str, headers: list[tuple[str, str]], body: bytes
) -> requests.Response:
    code, _, reason = status.partition(" ")
    answer = requests.Response()
    answer.status_code = int(code)
    answer.reason = reason or HTTPStatus(int(code)).phrase
    answer.headers = CaseInsensitiveDict(headers)
    answer.encoding = requests.utils.get_encoding_from_headers(answer.headers)
    pairs = HTTPHeaderDict(headers)
    answer.raw = HTTPResponse(io.BytesIO(body), headers=pairs, status=int(code), preload_content=False)
    answer.url = request.url or ""
    answer.request = request
    return answer
