"""Server-sent events: one stream for each page that is looked at, saying only that something changed."""

import socket
import threading
from collections.abc import Callable, Iterator

from flask import Blueprint, Flask, Response, abort, current_app, request

from mergeq.bootstrap import Services

STREAMS = 8  # of the 16 threads of a process: the other half stays free for pages and webhooks
HEARTBEAT_SECONDS = 15.0
LIFE_SECONDS = 300.0  # then the browser connects again, maybe to another process
_LOOK_SECONDS = 1.0

live = Blueprint("live", __name__)


def prepare(app: Flask) -> None:
    """Give an application, and so each process, streams of its own, and a way to learn that it is ending."""
    app.extensions["mergeq.streams"] = threading.BoundedSemaphore(STREAMS)
    app.extensions["mergeq.ending"] = lambda: False


@live.get("/events")
def events() -> Response:
    """A stream with an event `change` for every new version of the store; 503 when every stream of this process is
    taken.

    ``since``, or the header ``Last-Event-ID``, names the version the page was made of: what came after it is said at
    once.
    """
    services: Services = current_app.config["SERVICES"]
    streams: threading.BoundedSemaphore = current_app.extensions["mergeq.streams"]
    known = request.headers.get("Last-Event-ID") or request.args.get("since", "")
    since = int(known) if known.isascii() and known.isdigit() and len(known) < 20 else services.store.version()
    if not streams.acquire(blocking=False):
        abort(503, "every stream of this process is taken; read the page again every few seconds instead")
    extensions = current_app.extensions
    connection: socket.socket | None = request.environ.get("gunicorn.socket")
    answer = Response(
        _changes(services, since, lambda: extensions["mergeq.ending"]() or _is_gone(connection)),
        mimetype="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )
    answer.call_on_close(streams.release)
    return answer


def _changes(services: Services, told: int, is_over: Callable[[], bool]) -> Iterator[str]:
    """The lines of a stream. One cheap read a second; a comment when nothing was said for a while."""
    began = spoke = services.now()
    yield "retry: 2000\n\n"
    while not is_over() and (now := services.now()) - began < LIFE_SECONDS:
        try:
            version = services.store.version()
        except Exception as error:  # noqa: BLE001 -- half an answer is sent: the stream ends, the browser comes again
            services.log.warning("stream ended", error=type(error).__name__)
            return
        if version != told:
            told, spoke = version, now
            yield f"id: {version}\nevent: change\ndata: {version}\n\n"
        elif now - spoke >= HEARTBEAT_SECONDS:
            spoke = now
            yield ": nothing new\n\n"
        services.sleep(_LOOK_SECONDS)


def _is_gone(connection: socket.socket | None) -> bool:
    """Whether the client has hung up, asked of the socket itself: a write would notice at the second heartbeat."""
    if connection is None:
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
