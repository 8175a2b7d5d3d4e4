"""What every HTTP request shares: the world, its counters, and who is asking."""

from __future__ import annotations

import base64
import binascii
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Request, g, request

from mergeq.sandbox.callers import Caller
from mergeq.sandbox.graph_endpoint import GraphEndpoint
from mergeq.sandbox.rates import Bursts, Rates
from mergeq.sandbox.refusals import RefusedError
from mergeq.sandbox.shapes import Shapes
from mergeq.sandbox.world import World

API_PREFIX = "/api/v3"
SITE = "mergeq.sandbox.site"
"""Where a request's WSGI environment holds its Site."""


class Hits:
    """How often each route and GraphQL operation was asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(sorted(self._counts.items()))

    def clear(self) -> None:
        with self._lock:
            self._counts.clear()


@dataclass(slots=True)
class Site:
    """Everything the HTTP side needs; ``load`` plants a seed."""

    world: World
    load: Callable[[Mapping[str, Any]], None]
    rates: Rates = field(default_factory=Rates)
    bursts: Bursts = field(default_factory=Bursts)
    hits: Hits = field(default_factory=Hits)
    graph: GraphEndpoint = field(init=False)
    _request_ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.graph = GraphEndpoint(self.world, self.rates)

    def next_request_id(self) -> str:
        """What an answer is called in GitHub's logs."""
        return f"SB00:{next(self._request_ids):06X}"


def site() -> Site:
    """The site this request belongs to."""
    found: Site = request.environ[SITE]
    return found


def world() -> World:
    """The world this request acts on."""
    return site().world


def token_of(asked: Request) -> str | None:
    """The token a request carries as ``token``, ``Bearer`` or Basic password; None if it carries none."""
    scheme, _, value = asked.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in ("token", "bearer"):
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return None


def caller() -> Caller:
    """Who asks; nobody until the gate has settled it."""
    found: Caller = g.get("caller") or Caller(world(), None)
    return found


def viewer() -> str | None:
    """The login of who asks; None if nobody signed in."""
    return caller().login


def actor() -> str:
    """Who is acting; raises RefusedError 401 if nobody signed in."""
    login = viewer()
    if login is None:
        raise RefusedError(401, "Requires authentication")
    return login


def via_app() -> int | None:
    """The App (id) that asks, for itself or for somebody."""
    grant = caller().grant
    return None if grant is None else grant.app


def shapes() -> Shapes:
    """Shapes with the URLs this client uses: its own host, and the API prefix it came by.

    Where the API has a host of its own, ``api.HOST``, pages and git are at ``HOST``.
    """
    here = request.host_url.rstrip("/")
    prefixed = request.path.startswith(API_PREFIX + "/") or request.path.startswith("/api/graphql")
    return Shapes(world(), here.replace("//api.", "//", 1), here + API_PREFIX if prefixed else here)
