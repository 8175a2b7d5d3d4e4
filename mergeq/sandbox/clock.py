"""Time in the sandbox: what time it is, what happens later, and how to wait until nothing is under way."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

Call = Callable[[], None]

MANUAL_START = 1_767_603_600.0
"""Where a ManualClock starts: 2026-01-05T09:00:00Z."""


class Clock(Protocol):
    """What the sandbox needs to know about time."""

    @property
    def virtual(self) -> bool:
        """True if time stands still between calls of ``advance``."""

    def now(self) -> float:
        """Seconds since 1970."""

    def call_later(self, delay_s: float, call: Call) -> None:
        """Run ``call`` once, ``delay_s`` seconds from now."""

    def advance(self, seconds: float) -> None:
        """Move time on."""

    def close(self) -> None:
        """Forget what was still to come and end any thread."""


def iso(moment: float) -> str:
    """Write an instant the way GitHub does: whole seconds, UTC, ``Z``."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class RealClock:
    """Wall time, and as much later as ``advance`` has said; what falls due runs one after another on one thread."""

    virtual = False

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._due: list[tuple[float, int, Call]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def now(self) -> float:
        return time.time() + self._ahead_s  # noqa: TID251 - the one place where the sandbox asks for the time of day

    def advance(self, seconds: float) -> None:
        """Be later by that much from now on; what has become due thereby runs at once."""
        with self._changed:
            self._ahead_s += seconds
            self._changed.notify()

    def call_later(self, delay_s: float, call: Call) -> None:
        with self._changed:
            if self._closed:
                return
            heapq.heappush(self._due, (self._elapsed() + delay_s, next(self._order), call))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sandbox-clock", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._due.clear()
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while (call := self._next()) is not None:
            call()

    def _elapsed(self) -> float:
        return time.monotonic() + self._ahead_s

    def _next(self) -> Call | None:
        with self._changed:
            while not self._closed:
                wait_s = self._due[0][0] - self._elapsed() if self._due else None
                if wait_s is not None and wait_s <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait_s)
            return None


class ManualClock:
    """Time that moves only when told to; calls that fall due run in the thread that moves it."""

    virtual = True

    def __init__(self, start: float = MANUAL_START) -> None:
        self._now = start
        self._due: list[tuple[float, int, Call]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._moving = threading.RLock()

    def now(self) -> float:
        return self._now

    def call_later(self, delay_s: float, call: Call) -> None:
        with self._lock:
            heapq.heappush(self._due, (self._now + max(delay_s, 0.0), next(self._order), call))

    def advance(self, seconds: float) -> None:
        """Move time on; what becomes due runs in time order, and may schedule more within the same span."""
        with self._moving:
            end = self._now + seconds
            while (call := self._pop_due(end)) is not None:
                call()
            with self._lock:
                self._now = max(self._now, end)

    def close(self) -> None:
        with self._lock:
            self._due.clear()

    def _pop_due(self, end: float) -> Call | None:
        with self._lock:
            if not self._due or self._due[0][0] > end:
                return None
            due_at, _, call = heapq.heappop(self._due)
            self._now = max(self._now, due_at)
            return call


class Activity:
    """Counts what is under way, so that a test can wait until nothing is."""

    def __init__(self) -> None:
        self._count = 0
        self.failures: list[Exception] = []
        self._idle = threading.Condition()

    def begin(self) -> None:
        with self._idle:
            self._count += 1

    def end(self) -> None:
        with self._idle:
            self._count -= 1
            if self._count == 0:
                self._idle.notify_all()

    def wait_idle(self, timeout_s: float) -> bool:
        with self._idle:
            return self._idle.wait_for(lambda: self._count == 0, timeout_s)

    def tracked(self, call: Call) -> Call:
        """Wrap ``call`` so that it counts as under way from now until it has run; what it raises is kept."""
        self.begin()

        def run() -> None:
            try:
                call()
            except Exception as failure:
                self.failures.append(failure)
                raise
            finally:
                self.end()

        return run
