"""A pool that stands still is told from one that takes its time."""

import pytest

from mergeq.core.queue import QueueValues, Retest, StagingValues
from mergeq.core.watch import Pulse

HEAD, STAGED = QueueValues(), QueueValues(retest=Retest.STAGING, staging=StagingValues(timeout=7200.0))


def after(*verdicts: float, begin: float = 0.0) -> Pulse:
    """A pool that has waited since `begin`, and had verdicts at these times."""
    pulse = Pulse().beat(begin, 0.0, is_waiting=True)
    for at in verdicts:
        pulse = pulse.beat(at + 1, at, is_waiting=True)
    return pulse


@pytest.mark.parametrize(
    ("values", "limit"), [(HEAD, 3600.0), (STAGED, 21600.0), (QueueValues(retest=Retest.UPDATE), 21600.0)]
)
def test_a_pool_of_which_nothing_is_known_yet_may_take_its_time(values: QueueValues, limit: float) -> None:
    pulse = after(begin=100.0)

    assert not pulse.stalled(100.0 + limit, values)
    assert pulse.stalled(100.1 + limit, values)


def test_a_pool_may_take_as_long_as_it_did_of_late() -> None:
    pulse = after(2000.0, 2100.0)

    assert pulse.intervals == (2000.0, 100.0)
    assert not pulse.stalled(2100.0 + 2000.0, STAGED)
    assert pulse.stalled(2100.1 + 2000.0, STAGED)


def test_a_quick_pool_may_take_a_quarter_of_an_hour_for_once() -> None:
    pulse = after(2.0, 4.0)

    assert not pulse.stalled(904.0, HEAD)
    assert pulse.stalled(904.1, HEAD)


def test_a_long_wait_is_forgotten_in_the_end() -> None:
    pulse = after(5000.0, *(5000.0 + 10 * n for n in range(1, 51)))

    assert len(pulse.intervals) == 50
    assert max(pulse.intervals) == 10.0


def test_a_verdict_ends_the_alarm() -> None:
    pulse = after(10.0)
    assert pulse.stalled(2000.0, HEAD)

    assert not pulse.beat(2001.0, 2000.5, is_waiting=True).stalled(2010.0, HEAD)


def test_a_pool_that_is_empty_or_stopped_by_people_does_not_wait() -> None:
    pulse = after(10.0).beat(50.0, 10.0, is_waiting=False)

    assert pulse.since is None
    assert not pulse.stalled(99_999.0, HEAD)
    assert pulse.intervals == (10.0,)


def test_waiting_begins_anew_with_the_next_pull_request() -> None:
    pulse = after(10.0).beat(50.0, 10.0, is_waiting=False).beat(5000.0, 10.0, is_waiting=True)

    assert pulse.since == 5000.0
    assert pulse.intervals == (10.0,)


def test_a_verdict_about_a_pool_that_did_not_wait_measures_nothing() -> None:
    pulse = Pulse().beat(50.0, 40.0, is_waiting=True)

    assert pulse == Pulse(since=50.0, verdict=40.0)


def test_a_verdict_that_empties_the_pool_is_measured() -> None:
    pulse = after().beat(31.0, 30.0, is_waiting=False)

    assert pulse == Pulse(since=None, verdict=30.0, intervals=(30.0,))
