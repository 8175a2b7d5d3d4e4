"""Whether what was read is as new as the event that had it read."""

import pytest

from mergeq.core.marks import Announced, Hint, are_shown, is_shown
from mergeq.core.pull import Result
from tests.builders import BASE, context, facts, green, pr

ENDED = Hint(Announced.REPORTED, at=5.0, name="ci/test", ended=True)
RUN = Hint(Announced.REPORTED, name="build", serial=70)


@pytest.mark.parametrize(("read", "shown"), [(4.0, False), (5.0, True), (6.0, True)])
def test_a_change_is_shown_by_a_pull_request_that_was_changed_no_earlier(read: float, shown: bool) -> None:
    assert is_shown(Hint(Announced.UPDATED, at=5.0), facts(), pr(updated_at=read)) == shown


def test_a_change_is_not_shown_while_the_pull_request_is_not_to_be_seen() -> None:
    assert not is_shown(Hint(Announced.UPDATED, at=5.0), facts(), None)


def test_who_has_left_is_not_to_be_seen_any_more() -> None:
    assert is_shown(Hint(Announced.LEFT), facts(), None)
    assert not is_shown(Hint(Announced.LEFT), facts(), pr())


def test_who_has_left_and_come_back_since_may_be_there() -> None:
    left = Hint(Announced.LEFT, at=5.0)

    assert [is_shown(left, facts(), pr(updated_at=at)) for at in (4.0, 5.0, 6.0)] == [False, False, True]


def test_who_has_left_need_not_show_what_happened_before() -> None:
    changed, left = Hint(Announced.UPDATED, at=5.0), Hint(Announced.LEFT)

    assert are_shown([changed, left], facts(), None)
    assert not are_shown([changed], facts(), None)
    assert not are_shown([changed, left], facts(), pr(updated_at=5.0))
    assert are_shown([changed], facts(), pr(updated_at=5.0))


def test_a_push_is_shown_by_another_tip() -> None:
    assert is_shown(Hint(Announced.MOVED, name="a" * 40), facts(), None)
    assert not is_shown(Hint(Announced.MOVED, name=BASE), facts(), None)


@pytest.mark.parametrize(
    ("at", "result", "shown"),
    [
        pytest.param(4.0, Result.SUCCESS, False, id="an older one"),
        pytest.param(5.0, Result.SUCCESS, True, id="itself"),
        pytest.param(5.0, Result.PENDING, False, id="the one before it, of the same second"),
        pytest.param(6.0, Result.PENDING, True, id="a newer one"),
    ],
)
def test_a_status_is_shown_by_itself_or_a_newer_one(at: float, result: Result, shown: bool) -> None:
    assert is_shown(ENDED, facts(), pr(contexts=(context("ci/test", result, at=at),))) == shown


@pytest.mark.parametrize(
    ("serial", "result", "ended", "shown"),
    [
        pytest.param(69, Result.SUCCESS, False, False, id="an older run"),
        pytest.param(70, Result.PENDING, False, True, id="it has begun"),
        pytest.param(70, Result.PENDING, True, False, id="it has ended and is not seen to"),
        pytest.param(70, Result.FAILURE, True, True, id="it has ended"),
        pytest.param(71, Result.PENDING, True, True, id="a newer run"),
        pytest.param(0, Result.SUCCESS, False, False, id="a status of its name"),
    ],
)
def test_a_check_run_is_shown_by_itself_or_a_newer_one(serial: int, result: Result, ended: bool, shown: bool) -> None:
    hint = Hint(Announced.REPORTED, name=RUN.name, serial=RUN.serial, ended=ended)

    assert is_shown(hint, facts(), pr(contexts=(context("build", result, at=9.0, serial=serial),))) == shown


def test_a_check_run_of_a_statuss_name_does_not_show_the_status() -> None:
    assert not is_shown(ENDED, facts(), pr(contexts=(green("ci/test", at=9.0, serial=70),)))


def test_a_context_that_is_not_there_is_not_shown() -> None:
    assert not is_shown(RUN, facts(), pr(contexts=(green("lint", serial=70),)))


def test_a_result_of_what_is_not_open_or_not_readable_is_not_waited_for() -> None:
    assert is_shown(RUN, facts(), None)
    assert is_shown(RUN, facts(), pr(contexts=None))
