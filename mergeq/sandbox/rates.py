"""GitHub's rate limits: the points of an hour, and how much may be asked at once and within a minute."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

WINDOW_S = 3600.0
SEARCH_WINDOW_S = 60.0
INSTALLATION_CAP = 12_500
Resource = Literal["core", "graphql", "search"]


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose limit a request counts against, as a refusal names them; ``extra`` points come on top of a user's."""

    name: str
    extra: int = 0
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of a window's limit is left; ``reset_at`` is in epoch seconds."""

    resource: Resource
    limit: int
    used: int
    reset_at: int

    @property
    def remaining(self) -> int:
        return max(self.limit - self.used, 0)

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Used": str(min(self.used, self.limit)),
            "X-RateLimit-Reset": str(self.reset_at),
            "X-RateLimit-Resource": self.resource,
        }


class Rates:
    """The primary limit: ``limit`` points an hour for each payer, ``anonymous_limit`` for who does not sign in.

    Search has its own: ``search_limit`` a minute, a third of it without signing in. ``taken`` is all that was ever
    taken of each resource, by whomever. Thread-safe.
    """

    def __init__(self) -> None:
        self.limit = 5000
        self.anonymous_limit = 60
        self.search_limit = 30
        self.taken: Counter[Resource] = Counter()
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, Resource], tuple[float, int]] = {}

    def budget(self, payer: Payer, resource: Resource, now: float) -> Budget:
        start, used = self._window(payer, resource, now)
        if resource == "search":
            limit = self.search_limit // 3 if payer.anonymous else self.search_limit
        elif payer.anonymous:
            limit = self.anonymous_limit
        else:
            limit = max(self.limit, min(self.limit + payer.extra, INSTALLATION_CAP))
        return Budget(resource, limit, used, int(start + _length(resource)))

    def charge(self, payer: Payer, resource: Resource, points: int, now: float) -> bool:
        """Take points; False, and nothing is taken, if the window's limit is used up."""
        with self._lock:
            enough = self.budget(payer, resource, now).remaining >= points
            if enough:
                self._take(payer, resource, points, now)
            return enough

    def fine(self, payer: Payer, resource: Resource, points: int, now: float) -> None:
        """Take points whether they are there or not."""
        with self._lock:
            self._take(payer, resource, points, now)

    def _take(self, payer: Payer, resource: Resource, points: int, now: float) -> None:
        start, used = self._window(payer, resource, now)
        self._windows[payer.name, resource] = (start, used + points)
        self.taken[resource] += points

    def _window(self, payer: Payer, resource: Resource, now: float) -> tuple[float, int]:
        start, used = self._windows.get((payer.name, resource), (now, 0))
        return (now, 0) if now >= start + _length(resource) else (start, used)


def _length(resource: Resource) -> float:
    return SEARCH_WINDOW_S if resource == "search" else WINDOW_S


@dataclass(frozen=True, slots=True)
class Burst:
    """The secondary limits: requests at once, points a minute, and things made a minute and an hour."""

    concurrent: int = 100
    points: int = 900
    graphql_points: int = 2000
    content_minute: int = 80
    content_hour: int = 500


@dataclass(frozen=True, slots=True)
class Ask:
    """What one request weighs: a read 1, a write 5 (GraphQL: a mutation), and whether it makes something people see."""

    scope: str
    points: int
    graphql: bool
    makes_content: bool


@dataclass(slots=True)
class _Trail:
    """When a payer asked for what: epoch seconds, and points of each scope."""

    points: deque[tuple[float, str, int]] = field(default_factory=deque)
    content: deque[float] = field(default_factory=deque)


class Bursts:
    """Keeps count of what is asked at once and lately. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at_once: Counter[str] = Counter()
        self._trails: dict[str, _Trail] = {}

    def enter(self, payer: Payer) -> None:
        """A request begins."""
        with self._lock:
            self._at_once[payer.name] += 1

    def leave(self, payer: Payer) -> None:
        """A request ends."""
        with self._lock:
            self._at_once[payer.name] -= 1

    def wait_s(self, payer: Payer, ask: Ask, burst: Burst, now: float) -> int | None:
        """None: within the limits, and counted; else how many seconds to wait, and nothing is counted."""
        with self._lock:
            trail = self._trails.setdefault(payer.name, _Trail())
            while trail.points and trail.points[0][0] <= now - 60:
                trail.points.popleft()
            while trail.content and trail.content[0] <= now - WINDOW_S:
                trail.content.popleft()
            if self._at_once[payer.name] > burst.concurrent:
                return 1
            lately = [(at, points) for at, scope, points in trail.points if scope == ask.scope]
            allowed = burst.graphql_points if ask.graphql else burst.points
            if sum(points for _, points in lately) + ask.points > allowed:
                return _until(lately[0][0] + 60 if lately else now + 60, now)
            if ask.makes_content:
                minute = [at for at in trail.content if at > now - 60]
                if len(minute) >= burst.content_minute:
                    return _until(minute[0] + 60 if minute else now + 60, now)
                if len(trail.content) >= burst.content_hour:
                    return _until(trail.content[0] + WINDOW_S if trail.content else now + WINDOW_S, now)
                trail.content.append(now)
            trail.points.append((now, ask.scope, ask.points))
            return None


def _until(moment: float, now: float) -> int:
    return max(1, int(moment - now) + 1)


def burst_of(args: Mapping[str, int]) -> Burst:
    """The limits with some of them replaced; raises TypeError for one that is none."""
    return Burst(**args)
