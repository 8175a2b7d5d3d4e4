from __future__ import annotations

import threading

from mergeq.sandbox import ManualClock, RealClock
from mergeq.sandbox.clock import iso


def test_a_manual_clock_runs_what_becomes_due_in_order_of_time_at_its_time() -> None:
    clock = ManualClock()
    start = clock.now()
    ran: list[tuple[str, float]] = []

    def note(name: str) -> None:
        ran.append((name, clock.now() - start))

    def first() -> None:
        note("first")
        clock.call_later(5, lambda: note("scheduled meanwhile"))

    clock.call_later(30, lambda: note("last"))
    clock.call_later(10, first)
    clock.call_later(99, lambda: note("never"))
    clock.advance(60)

    assert ran == [("first", 10), ("scheduled meanwhile", 15), ("last", 30)]
    assert clock.now() - start == 60
    assert iso(start) == "2026-01-05T09:00:00Z"


def test_a_real_clock_runs_calls_on_one_thread_of_its_own_in_order() -> None:
    clock = RealClock()
    ran: list[str] = []
    threads = set()
    done = threading.Event()

    def note(name: str) -> None:
        ran.append(name)
        threads.add(threading.current_thread())

    def last() -> None:
        note("second")
        done.set()

    def schedule() -> None:
        clock.call_later(0.5, last)
        clock.call_later(0.0, lambda: note("first"))

    clock.call_later(0.0, schedule)

    assert done.wait(180)
    clock.close()
    assert ran == ["first", "second"]
    assert len(threads) == 1
    assert not any(thread.is_alive() for thread in threads)


def test_a_closed_clock_runs_nothing_more() -> None:
    ran: list[str] = []
    clock = RealClock()
    clock.call_later(60, lambda: ran.append("too late"))
    clock.close()
    clock.call_later(0, lambda: ran.append("after the end"))

    assert ran == []
