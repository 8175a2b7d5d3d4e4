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
from werkzeug.http import http_date

from mergeq.sandbox.graph_endpoint import GraphEndpoint
from mergeq.sandbox.rates import Budget, Rates, Resource
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
    hits: Hits = field(default_factory=Hits)
    request_ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    graph: GraphEndpoint = field(init=False)

    def __post_init__(self) -> None:
        self.graph = GraphEndpoint(self.world, self.rates)

    def headers(self, budget: Budget) -> dict[str, str]:
        """What stands on every API answer."""
        number = next(self.request_ids)
        return {
            **budget.headers(),
            "Date": http_date(self.world.now()),
            "X-GitHub-Request-Id": f"SB00:{number:06X}",
            "X-GitHub-Media-Type": "github.v3; format=json",
            "Server": "github.com",
        }


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


def identify() -> None:
    """Settle who is asking; raises RefusedError 401 for a token GitHub does not know."""
    token = token_of(request)
    g.login = None if token is None else world().users.login_of_token(token)
    if token is not None and g.login is None:
        raise RefusedError(401, "Bad credentials")


def viewer() -> str | None:
    """Who asks; None if nobody signed in."""
    login: str | None = g.get("login")
    return login


def actor() -> str:
    """Who is acting; raises RefusedError 401 if nobody signed in."""
    login = viewer()
    if login is None:
        raise RefusedError(401, "Requires authentication")
    return login


def shapes() -> Shapes:
    """Shapes with the URLs this client uses: its own host, and the API prefix it came by.

    Where the API has a host of its own, ``api.HOST``, pages and git are at ``HOST``.
    """
    here = request.host_url.rstrip("/")
    prefixed = request.path.startswith(API_PREFIX + "/") or request.path.startswith("/api/graphql")
    return Shapes(world(), here.replace("//api.", "//", 1), here + API_PREFIX if prefixed else here)


def charge(resource: Resource) -> None:
    """Take one point; raises RefusedError 403 if the hour's limit is used up."""
    here = world()
    login = viewer()
    if not site().rates.charge(login, resource, 1, here.now()):
        who = f"user ID {here.users.id_of(login)}" if login else "127.0.0.1"
        raise RefusedError(403, f"API rate limit exceeded for {who}.")
