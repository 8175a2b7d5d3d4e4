"""The decision: one action for a pool, and why."""

import pytest

from mergeq.core.decide import Action, Blocked, Merge, Wait, decide, wire_name
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pool import Pool, Standing
from mergeq.core.pull import Method, Result, blocker
from mergeq.core.queue import Order
from tests.builders import BASE, MAIN, context, pool, pr, settings

READY = ("lgtm", "approved")


def test_a_green_pull_request_is_merged_with_exactly_its_head() -> None:
    assert decide(pool(pr(4)), settings()) == Merge(4, pr(4).head_sha, Method.MERGE, "green and admitted")


def test_a_pull_request_is_merged_by_its_own_method() -> None:
    config = settings(methods=MergeMethods(squash_label="m/squash"))

    action = decide(pool(pr(4, labels=(*READY, "m/squash")), config=config), config)

    assert isinstance(action, Merge)
    assert action.method is Method.SQUASH


def test_a_branch_without_pull_requests_waits() -> None:
    assert decide(pool(), settings()) == Wait("no pull request is open")


def test_a_branch_where_nobody_is_ready_waits() -> None:
    assert decide(pool(pr(1, is_draft=True)), settings()) == Wait("no pull request is ready")


def test_an_open_blocker_stops_the_branch() -> None:
    """T4.2."""
    seven, nine = blocker(7, "Outage", ""), blocker(9, "Freeze", "")

    action = decide(pool(pr(1), blockers=(nine, seven)), settings())

    assert action == Blocked((seven, nine))
    assert action.why == "blocked by issue #7, issue #9"


def test_a_blocker_of_another_branch_stops_nothing() -> None:
    assert isinstance(decide(pool(pr(1), blockers=(blocker(7, "branch:next", ""),)), settings()), Merge)


def test_a_branch_that_could_not_be_read_whole_waits_and_says_what_is_missing() -> None:
    """D8."""
    assert decide(pool(pr(1), partial="page 2"), settings()) == Wait("not everything could be read from GitHub: page 2")


def test_the_first_in_the_pool_is_merged_and_the_others_are_counted() -> None:
    entered = {(1, pr(1).head_sha): 20.0, (2, pr(2).head_sha): 10.0}

    assert decide(pool(pr(1), pr(2), entered=entered), settings()) == Merge(
        2, pr(2).head_sha, Method.MERGE, "green and admitted; first by entered of 2"
    )


def test_the_lowest_number_is_merged_where_tide_s_order_is_configured() -> None:
    config = settings(order=Order.NUMBER)
    entered = {(1, pr(1).head_sha): 20.0, (2, pr(2).head_sha): 10.0}

    assert decide(pool(pr(1), pr(2), config=config, entered=entered), config) == Merge(
        1, pr(1).head_sha, Method.MERGE, "green and admitted; first by number of 2"
    )


def test_a_priority_label_goes_first_and_the_decision_says_so() -> None:
    """T4.12."""
    config = settings(priority=(("urgent",),))

    assert decide(pool(pr(1), pr(2, labels=(*READY, "urgent")), config=config), config) == Merge(
        2, pr(2).head_sha, Method.MERGE, "green and admitted; highest priority of 2"
    )


def test_a_merge_does_not_claim_a_priority_that_nobody_has() -> None:
    """D7: priorities are configured, but no member carries one."""
    config = settings(priority=(("urgent",),))

    action = decide(pool(pr(1), pr(2), config=config), config)

    assert action == Merge(1, pr(1).head_sha, Method.MERGE, "green and admitted; first by entered of 2")


def test_a_priority_does_not_help_a_pull_request_that_is_not_green() -> None:
    config = settings(priority=(("urgent",),))
    red = pr(1, labels=(*READY, "urgent"), contexts=(context("ci/test", Result.FAILURE),))

    action = decide(pool(red, pr(2), config=config), config)

    assert isinstance(action, Merge)
    assert action.number == 2


def test_a_member_without_a_method_is_passed_over() -> None:
    unclear, clear = Standing(pr(1), None, ()), Standing(pr(2), Method.REBASE, ())

    action = decide(Pool(MAIN, BASE, (unclear, clear)), settings())

    assert isinstance(action, Merge)
    assert (action.number, action.method) == (2, Method.REBASE)


@pytest.mark.parametrize(
    ("action", "name"),
    [(Wait("x"), "WAIT"), (Blocked(()), "BLOCKED"), (Merge(1, "a", Method.MERGE, "x"), "MERGE")],
)
def test_an_action_goes_by_tide_s_name_on_the_wire(action: Action, name: str) -> None:
    """T4."""
    assert wire_name(action) == name
