"""What goes wrong between a client and the API: error pages, resets, slow and cut answers, and GraphQL's own ways."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, abort, g, jsonify, request

from mergeq.sandbox.clock import ManualClock, iso
from mergeq.sandbox.faults import Fault, FaultId
from mergeq.sandbox.server import TIMEOUT
from mergeq.sandbox.shapes import Json
from mergeq.sandbox.state import WorldState

_REASONS = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out"}
_SERVER_ERROR = "Server Error"
_UNTYPED = "Something went wrong while executing your query. Please include `{}` when reporting this issue."


@dataclass(slots=True)
class Trouble:
    """What is to happen to the answer of this request once it is there."""

    reset: Fault | None = None
    slow: Fault | None = None
    truncated: Fault | None = None


def broken_gateway(code: int, *, html: bool = True) -> Response:
    """What stands before GitHub's servers answers in HTML, not JSON (Q1)."""
    title = f"{code} {_REASONS.get(code, _SERVER_ERROR)}"
    if not html:
        answer = jsonify({"message": _SERVER_ERROR})
        answer.status_code = code
        return answer
    page = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    return Response(f"{page}<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n", code, mimetype="text/html")


def broken(fault: Fault) -> Response:
    """The answer of an outage with the code, and the kind of body, that its switch asks for."""
    return broken_gateway(fault.code, html=bool(fault.args.get("html", True)))


def hang_up() -> None:
    """End this request without any answer (Q11)."""
    raise ConnectionResetError("the sandbox was told to hang up")


def before(world: WorldState, route: str, repo: str | None, pr: int | None) -> None:
    """What happens to a request before anybody reads it; the rest is kept for ``after``."""
    where = (repo, pr, route)
    trouble = g.trouble = Trouble()
    outage = world.faults.fires(FaultId.HTTP_5XX, *where)
    if outage is not None:
        abort(broken(outage))
    reset = world.faults.fires(FaultId.HTTP_RESET, *where)
    if reset is not None and not reset.args.get("handled"):
        hang_up()
    trouble.reset = reset
    trouble.slow = world.faults.fires(FaultId.HTTP_SLOW, *where)
    trouble.truncated = world.faults.fires(FaultId.HTTP_TRUNCATED, *where)


def after(world: WorldState, answer: Response) -> None:
    """What happens to an answer on its way: nothing of it arrives, or late, or only half."""
    trouble: Trouble = g.get("trouble") or Trouble()
    if trouble.slow is not None:
        _dawdle(world, trouble.slow.delay_s)
    if trouble.reset is not None:
        hang_up()
    if trouble.truncated is not None:
        whole = answer.get_data()
        answer.set_data(whole[: int(trouble.truncated.args.get("keep", len(whole) // 2))])


def _dawdle(world: WorldState, seconds: float) -> None:
    """Take time: on a clock that stands still, move it, and give up where the client would have."""
    patience = request.environ.get(TIMEOUT)
    if not isinstance(world.clock, ManualClock):
        threading.Event().wait(seconds)
    elif patience is not None and seconds > patience:
        world.clock.advance(patience)
        raise TimeoutError(f"no answer within {patience} seconds")
    else:
        world.clock.advance(seconds)


def graphql(world: WorldState, route: str, longest: int, charge: Callable[[int], None]) -> Response | None:
    """What answers in place of GraphQL (Q1, Q2); ``charge`` takes points of the hour. ``longest`` is the longest list
    that a variable asks for: one no longer than ``args.above`` takes no time.
    """
    faults = world.faults
    outage = faults.fires(FaultId.GRAPHQL_5XX, route=route)
    if outage is not None:
        return broken(outage)
    late = faults.fires(FaultId.GRAPHQL_TIMEOUT, route=route, when=lambda one: longest > int(one.args.get("above", -1)))
    if late is not None:
        charge(int(late.args.get("points", 10)))
        return broken_gateway(int(late.args.get("code", 504)), html=bool(late.args.get("html", True)))
    return None


def spoilt(world: WorldState, route: str, body: Json) -> Json:
    """What GraphQL says of an answer it has, or of a part of it (Q3, Q5); what was done stays done."""
    untyped = world.faults.fires(FaultId.GRAPHQL_UNTYPED, route=route)
    if untyped is not None:
        return {"data": None, "errors": [{"message": _UNTYPED.format(f"SB00:{untyped.hits:04X}:{int(world.now()):X}")}]}
    future = world.faults.fires(FaultId.SCHEMA_FUTURE, when=lambda fault: _has(body, fault.args.get("field")))
    if future is not None:
        _put(body, str(future.args["field"]), future.args.get("value", "PHASE_OF_THE_MOON"))
    partial = world.faults.fires(FaultId.GRAPHQL_PARTIAL, route=route)
    if partial is None or not body.get("data"):
        return body
    asked = partial.args.get("path") or [next(iter(body["data"]))]
    path = asked.split(".") if isinstance(asked, str) else list(asked)
    error = {
        "type": partial.args.get("type", "SERVICE_UNAVAILABLE"),
        "path": _cut(body["data"], path),
        "message": f"Something went wrong while executing your query on {iso(world.now())}.",
    }
    return {"data": body["data"], "errors": [*body.get("errors", ()), error]}


def _has(data: Any, field: object) -> bool:
    """Whether a field is anywhere in an answer."""
    below = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return (isinstance(data, dict) and field in data) or any(_has(one, field) for one in below)


def _put(data: Any, field: str, value: object) -> None:
    """Let a field say something that no schema of today knows, wherever it is (Q85)."""
    if isinstance(data, dict) and field in data:
        data[field] = value
    for one in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        _put(one, field, value)


def _cut(data: Any, path: Sequence[str | int]) -> list[str | int]:
    """Put null in the place a path leads to, or as far along it as there is something; that place."""
    done: list[str | int] = []
    for step in path:
        key = int(step) if isinstance(data, list) else step
        there = key in data if isinstance(data, dict) else isinstance(data, list) and int(key) < len(data)
        if not there:
            break
        done.append(key)
        if data[key] is None or len(done) == len(path):
            data[key] = None
            break
        data = data[key]
    return done
