"""Reads that lag behind: what somebody still gets to see of a pull request after it has changed (Q9, Q12, Q18)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mergeq.sandbox.records import Pull


class Lags:
    """Old pictures of pull requests, each shown until a moment of the clock. Guarded by the world's lock."""

    def __init__(self) -> None:
        self._pictures: dict[int, tuple[float, Pull]] = {}

    def hold(self, pull: Pull, until: float) -> None:
        """Let readers see the pull request as it is now until ``until`` (epoch seconds)."""
        picture = replace(pull, labels=[*pull.labels], comments=[*pull.comments], reviews=[*pull.reviews])
        picture.timeline, picture.threads = [*pull.timeline], [*pull.threads]
        self._pictures[pull.id] = (until, picture)

    def seen(self, pull: Pull, now: float) -> Pull:
        """What a reader gets to see."""
        until, picture = self._pictures.get(pull.id, (now, pull))
        if now < until:
            return picture
        self._pictures.pop(pull.id, None)
        return pull

    def all_seen(self, pulls: Iterable[Pull], now: float) -> tuple[Pull, ...]:
        return tuple(self.seen(pull, now) for pull in pulls)
