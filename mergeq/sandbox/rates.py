"""GitHub's primary rate limit: points used by each user and resource in the hour that runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

WINDOW_S = 3600.0
SEARCH_LIMIT = 30
"""Of REST's search, which is not simulated and so never used up."""
Resource = Literal["core", "graphql", "search"]


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of an hour's limit is left; ``reset_at`` is in epoch seconds."""

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
    """``limit`` points an hour for each user, ``anonymous_limit`` for all who do not sign in."""

    def __init__(self) -> None:
        self.limit = 5000
        self.anonymous_limit = 60
        self._windows: dict[tuple[str | None, Resource], tuple[float, int]] = {}

    def budget(self, login: str | None, resource: Resource, now: float) -> Budget:
        start, used = self._window(login, resource, now)
        limit = SEARCH_LIMIT if resource == "search" else self.anonymous_limit if login is None else self.limit
        return Budget(resource, limit, used, int(start + WINDOW_S))

    def charge(self, login: str | None, resource: Resource, points: int, now: float) -> bool:
        """Take points; False, and nothing is taken, if the hour's limit is used up."""
        if self.budget(login, resource, now).remaining < points:
            return False
        start, used = self._window(login, resource, now)
        self._windows[login, resource] = (start, used + points)
        return True

    def _window(self, login: str | None, resource: Resource, now: float) -> tuple[float, int]:
        start, used = self._windows.get((login, resource), (now, 0))
        return (now, 0) if now >= start + WINDOW_S else (start, used)
