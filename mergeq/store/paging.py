"""Going through what is kept by its time, newest first, a page at a time."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from math import isfinite
from typing import Any, Protocol


class Dated(Protocol):
    """What is kept by its time."""

    @property
    def id(self) -> str: ...
    @property
    def time(self) -> float: ...


def cursor_of(record: Dated) -> str:
    """The position of a record, opaque to whoever holds it."""
    return urlsafe_b64encode(f"{record.time!r} {record.id}".encode()).decode().rstrip("=")


def newest_first(
    redis: Any, key: str, since: float | None, until: float | None, cursor: str = "", size: int = 500
) -> Iterator[list[bytes]]:
    """Ids of a sorted set, below the position of a `cursor` if there is one. Walked by time, so that new ones move
    nothing. `since` counts as in, `until` as out. Raises ValueError for a cursor that is none.
    """
    after = _position(cursor) if cursor else None
    bottom = "-inf" if since is None else repr(since)
    top = "+inf" if until is None else f"({until!r}"
    if after and (until is None or after[0] < until):
        top = repr(after[0])
    skip, last = 0, None
    while found := redis.zrevrangebyscore(key, top, bottom, start=skip, num=size, withscores=True):
        if ids := [name for name, score in found if after is None or (score, name) < after]:
            yield ids
        level = found[-1][1]
        skip = sum(score == level for _, score in found) + (skip if level == last else 0)
        top, last = repr(level), level


def _position(cursor: str) -> tuple[float, bytes]:
    raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    at, _, name = raw.partition(b" ")
    if not name or not isfinite(float(at)):
        raise ValueError(cursor)
    return float(at), name
