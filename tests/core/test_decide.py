"""The decision: one action for a pool, and why."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from mergeq.core.action import Action, Blocked, Land, Merge, Stage, Wait, targets_of, wire_name
from mergeq.core.batch import Conflict, Run, RunState
from mergeq.core.contexts import ContextPolicy
from mergeq.core.decide import Decision, decide
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pool import BranchSettings, Pool, Standing
from mergeq.core.pull import Blocker, Method, PullRequest, Result, blocker
from mergeq.core.queue import Order
from tests.builders import BASE, MAIN, clash, context, green, insider, pool, pr, run, settings, staging

READY = ("lgtm", "approved")
MOVED = "c" * 40
ONE, TWO, THREE, FOUR = insider(1), insider(2), insider(3), insider(4)


def chosen(judged: Pool, config: BranchSettings) -> Action:
    """The action for a pool on which nothing has been staged."""
    decision = decide(judged, config)
    assert decision.abandon == ()
    return decision.action


def test_a_green_pull_request_is_merged_with_exactly_its_head() -> None:
    assert chosen(pool(pr(4)), settings()) == Merge(4, pr(4).head_sha, Method.MERGE, "green and admitted")


def test_a_pull_request_is_merged_by_its_own_method() -> None:
    config = settings(methods=MergeMethods(squash_label="m/squash"))

    action = chosen(pool(pr(4, labels=(*READY, "m/squash")), config=config), config)

    assert isinstance(action, Merge)
    assert action.method is Method.SQUASH


@pytest.mark.parametrize(
    ("paths", "numbers"),
    [
        ((("a",), ("b",), ("c",)), (1, 2)),
        ((("a",), ("b", "a"), ("c",)), (1,)),
        ((("a",), None, ("c",)), (1,)),
        ((None, ("b",), ("c",)), (1,)),
    ],
    ids=["apart", "one in common", "not known of the second", "not known of the first"],
)
def test_several_land_by_one_look_as_long_as_they_are_known_to_touch_nothing_in_common(
    paths: tuple[tuple[str, ...] | None, ...], numbers: tuple[int, ...]
) -> None:
    """T12.14."""
    config = settings(landings_per_cycle=2)
    pulls = [pr(number, paths=touched) for number, touched in enumerate(paths, 1)]

    decision = decide(pool(*pulls, config=config), config)

    assert targets_of(decision.action) == numbers
    assert isinstance(decision.action, Land) == (len(numbers) > 1)


def test_nobody_overtakes_one_that_cannot_land_by_the_same_look() -> None:
    config = settings(landings_per_cycle=3)
    pulls = [pr(1, paths=("a",)), pr(2, paths=("a",)), pr(3, paths=("c",))]

    assert targets_of(decide(pool(*pulls, config=config), config).action) == (1,)


def test_a_branch_without_pull_requests_waits() -> None:
    assert chosen(pool(), settings()) == Wait("no pull request is open")


def test_a_branch_where_nobody_is_ready_waits() -> None:
    assert chosen(pool(pr(1, is_draft=True)), settings()) == Wait("no pull request is ready")


def test_an_open_blocker_stops_the_branch() -> None:
    """T4.2."""
    seven, nine = blocker(7, "Outage", ""), blocker(9, "Freeze", "")

    action = chosen(pool(pr(1), blockers=(nine, seven)), settings())

    assert action == Blocked((seven, nine))
    assert action.why == "blocked by issue #7, issue #9"


def test_a_blocker_of_another_branch_stops_nothing() -> None:
    assert isinstance(chosen(pool(pr(1), blockers=(blocker(7, "branch:next", ""),)), settings()), Merge)


def test_a_branch_that_could_not_be_read_whole_waits_and_says_what_is_missing() -> None:
    """D8."""
    assert chosen(pool(pr(1), partial="page 2"), settings()) == Wait("not everything could be read from GitHub: page 2")


def test_a_pull_request_that_could_not_be_read_holds_up_nobody_else() -> None:
    """Q3."""
    assert isinstance(chosen(pool(pr(1), unread=("#7",)), settings()), Merge)


def test_a_run_with_a_member_that_could_not_be_read_is_neither_given_up_nor_landed() -> None:
    """Q3, D8."""
    config = staging()
    seen = pool(insider(1), config=config, unread=("a pull request",))

    decision = decide(seen, config, runs=[run(insider(1), insider(7))])

    assert decision == Decision(Wait("#7 is being tested, and could not be read from GitHub in full"))


def test_the_first_in_the_pool_is_merged_and_the_others_are_counted() -> None:
    entered = {(1, pr(1).head_sha): 20.0, (2, pr(2).head_sha): 10.0}

    assert chosen(pool(pr(1), pr(2), entered=entered), settings()) == Merge(
        2, pr(2).head_sha, Method.MERGE, "green and admitted; first by entered of 2"
    )


def test_the_lowest_number_is_merged_where_tide_s_order_is_configured() -> None:
    config = settings(order=Order.NUMBER)
    entered = {(1, pr(1).head_sha): 20.0, (2, pr(2).head_sha): 10.0}

    assert chosen(pool(pr(1), pr(2), config=config, entered=entered), config) == Merge(
        1, pr(1).head_sha, Method.MERGE, "green and admitted; first by number of 2"
    )


def test_a_priority_label_goes_first_and_the_decision_says_so() -> None:
    """T4.12."""
    config = settings(priority=(("urgent",),))

    assert chosen(pool(pr(1), pr(2, labels=(*READY, "urgent")), config=config), config) == Merge(
        2, pr(2).head_sha, Method.MERGE, "green and admitted; highest priority of 2"
    )


def test_a_merge_does_not_claim_a_priority_that_nobody_has() -> None:
    """D7: priorities are configured, but no member carries one."""
    config = settings(priority=(("urgent",),))

    action = chosen(pool(pr(1), pr(2), config=config), config)

    assert action == Merge(1, pr(1).head_sha, Method.MERGE, "green and admitted; first by entered of 2")


def test_a_priority_does_not_help_a_pull_request_that_is_not_green() -> None:
    config = settings(priority=(("urgent",),))
    red = pr(1, labels=(*READY, "urgent"), contexts=(context("ci/test", Result.FAILURE),))

    action = chosen(pool(red, pr(2), config=config), config)

    assert isinstance(action, Merge)
    assert action.number == 2


def test_a_member_without_a_method_is_passed_over() -> None:
    unclear, clear = Standing(pr(1), None, ()), Standing(pr(2), Method.REBASE, ())

    action = chosen(Pool(MAIN, BASE, (unclear, clear)), settings())

    assert isinstance(action, Merge)
    assert (action.number, action.method) == (2, Method.REBASE)


@pytest.mark.parametrize(
    ("action", "name"),
    [
        (Wait("x"), "WAIT"),
        (Blocked(()), "BLOCKED"),
        (Merge(1, "a", Method.MERGE, "x"), "MERGE"),
        (Stage((1,), "x"), "TRIGGER"),
        (Stage((1, 2), "x"), "TRIGGER_BATCH"),
        (Land("run", (1,), "x"), "MERGE"),
        (Land("run", (1, 2), "x"), "MERGE_BATCH"),
    ],
)
def test_an_action_goes_by_tide_s_name_on_the_wire(action: Action, name: str) -> None:
    """T4."""
    assert wire_name(action) == name


def test_where_nothing_is_staged_runs_are_given_up() -> None:
    """The branch was in staging mode before."""
    runs = [run(ONE), run(TWO, ended=RunState.RED), run(THREE, base_sha=MOVED)]

    decision = decide(pool(ONE), settings(), runs=runs)

    assert isinstance(decision.action, Merge)
    assert decision.abandon == (("run-1", "staging is off"), ("run-3", "staging is off"))


@pytest.mark.parametrize("blockers", [(), (blocker(7, "Freeze", ""),)], ids=["free", "blocked"])
def test_runs_are_given_up_when_staging_is_turned_off(blockers: tuple[Blocker, ...]) -> None:
    assert decide(pool(ONE, blockers=blockers), settings(), runs=[run(ONE)]).abandon == (("run-1", "staging is off"),)


# With staging: who is tested, and what lands


def chooses(
    *pulls: PullRequest,
    runs: Sequence[Run] = (),
    conflicts: Sequence[Conflict] = (),
    config: BranchSettings | None = None,
    now: float = 1000.0,
) -> Action:
    """The action for pull requests that are all ready, where no run is stale."""
    config = config or staging()
    decision = decide(pool(*pulls, config=config), config, runs=runs, conflicts=conflicts, now=now)
    assert decision.abandon == ()
    return decision.action


def green_run(*pulls: PullRequest, **changes: Any) -> Run:
    return run(*pulls, contexts=(green(),), **changes)


def red_run(*pulls: PullRequest, **changes: Any) -> Run:
    return run(*pulls, contexts=(context("ci/test", Result.FAILURE),), ended=RunState.RED, **changes)


def test_nothing_lands_untested_one_pull_request_is_tested_alone() -> None:
    """D3, T11.209."""
    assert chooses(ONE) == Stage((1,), "ready to be tested alone")


def test_two_that_are_ready_are_tested_together_first() -> None:
    """T4.3 step 4, T4.29."""
    assert chooses(TWO, ONE) == Stage((1, 2), "ready to be tested together")


def test_beside_a_pending_batch_the_first_is_tested_alone() -> None:
    """T4.4, T4.29, T11.207."""
    assert chooses(ONE, TWO, runs=[run(ONE, TWO)]) == Stage((1,), "ready to be tested alone")


def test_with_a_batch_and_a_single_under_way_the_branch_waits_and_says_for_what() -> None:
    """T4.7, T11.205."""
    assert chooses(ONE, TWO, THREE, runs=[run(ONE, TWO), run(ONE)]) == Wait("testing #1, #2 and #1")


def test_a_single_that_runs_does_not_keep_a_batch_from_being_tested() -> None:
    """T11.208, T11.200."""
    assert chooses(ONE, TWO, THREE, runs=[run(ONE)]) == Stage((1, 2, 3), "ready to be tested together")


def test_a_single_that_runs_keeps_another_from_being_tested_alone() -> None:
    """T4.7."""
    assert chooses(ONE, TWO, runs=[run(ONE)], config=staging(batch_size_limit=-1)) == Wait("testing #1")


def test_a_green_batch_lands_in_the_order_in_which_it_was_staged() -> None:
    """T4.3 step 1, D4."""
    assert chooses(ONE, TWO, THREE, runs=[green_run(TWO, ONE)]) == Land(
        "run-2-1", (2, 1), "green together on this base"
    )


@pytest.mark.parametrize("runs", [[green_run(ONE, TWO), green_run(ONE)], [green_run(ONE), green_run(ONE, TWO)]])
def test_a_green_batch_goes_before_a_green_single(runs: list[Run]) -> None:
    """T4.5, T11.211."""
    assert chooses(ONE, TWO, runs=runs) == Land("run-1-2", (1, 2), "green together on this base")


def test_a_green_batch_lands_while_another_is_pending() -> None:
    """T4.3 step 1, T11.179."""
    assert chooses(ONE, TWO, THREE, FOUR, runs=[run(ONE, TWO), green_run(THREE, FOUR)]) == Land(
        "run-3-4", (3, 4), "green together on this base"
    )


def test_a_green_single_lands_where_no_batch_is_pending() -> None:
    """T4.3 step 2, T11.210."""
    assert chooses(ONE, TWO, THREE, runs=[green_run(TWO)]) == Land("run-2", (2,), "green on this base")


def test_a_green_single_waits_for_a_pending_batch_that_it_would_spoil() -> None:
    """T4.4, T11.206: and no other is tested alone meanwhile."""
    assert chooses(ONE, TWO, THREE, runs=[run(ONE, TWO), green_run(THREE)]) == Wait("testing #1, #2 and #3")


def test_a_green_single_does_not_wait_for_a_batch_that_begins_with_it() -> None:
    """T12.11, T12.13: the base will have the tree on which the rest of the batch is tested."""
    assert chooses(ONE, TWO, runs=[run(ONE, TWO), green_run(ONE)]) == Land("run-1", (1,), "green on this base")


def test_a_green_single_that_may_overtake_waits_for_nobody() -> None:
    """T12.13."""
    urgent, config = insider(3, labels=(*READY, "Urgent")), staging(overtake=("urgent",))

    assert chooses(ONE, TWO, urgent, runs=[run(ONE, TWO), green_run(urgent)], config=config) == Land(
        "run-3", (3,), "green on this base"
    )


def test_when_the_batch_has_failed_the_green_single_lands() -> None:
    """T4.6."""
    runs = [red_run(ONE, TWO), green_run(ONE)]

    assert chooses(ONE, TWO, runs=runs) == Land("run-1", (1,), "green on this base")


def test_a_batch_that_failed_is_not_tested_again_its_first_half_is() -> None:
    """T12.8, D24, against T4.6."""
    assert chooses(ONE, TWO, runs=[red_run(ONE, TWO)]) == Stage((1,), "looking for what is wrong in #1, #2")


def test_who_was_red_alone_once_is_tested_alone_again() -> None:
    """D24."""
    assert chooses(ONE, runs=[red_run(ONE)]) == Stage((1,), "to be sure that it is to blame")


def test_of_several_green_batches_the_largest_lands_and_then_the_oldest() -> None:
    """T4.24, T12.39."""
    pulls = (ONE, TWO, THREE, FOUR, insider(5))
    small, large = green_run(ONE, TWO), green_run(THREE, FOUR, insider(5))
    young, old = green_run(ONE, TWO, started_at=5.0), green_run(THREE, FOUR, started_at=4.0)

    for runs, landed in (((small, large), (3, 4, 5)), ((young, old), (3, 4))):
        for order in (runs, runs[::-1]):
            action = chooses(*pulls, runs=order)
            assert isinstance(action, Land)
            assert action.numbers == landed


def test_with_one_slot_a_batch_is_tested_without_a_single_beside_it() -> None:
    one_at_a_time = staging(slots=1)

    assert chooses(ONE, TWO, config=one_at_a_time) == Stage((1, 2), "ready to be tested together")
    assert chooses(ONE, TWO, runs=[run(ONE, TWO)], config=one_at_a_time) == Wait("testing #1, #2")


def test_with_one_slot_a_single_keeps_a_batch_from_being_tested() -> None:
    assert chooses(ONE, TWO, runs=[run(ONE)], config=staging(slots=1)) == Wait("testing #1")


def test_one_that_conflicts_with_the_first_is_not_tested_with_it() -> None:
    """D4, T4.16."""
    facts = [clash((ONE,), TWO)]

    assert chooses(ONE, TWO, THREE, conflicts=facts) == Stage((1, 3), "ready to be tested together")
    assert chooses(ONE, TWO, conflicts=facts) == Stage((1,), "ready to be tested alone")


def test_where_nobody_merges_into_the_base_the_branch_waits_and_says_so() -> None:
    assert chooses(ONE, TWO, conflicts=[clash((), ONE), clash((), TWO)]) == Wait(
        "every ready pull request conflicts with the base or with one that goes first"
    )


def test_a_staging_branch_waits_while_nobody_is_ready() -> None:
    assert chooses() == Wait("no pull request is open")
    assert chooses(insider(1, is_draft=True)) == Wait("no pull request is ready")


def test_where_nothing_is_required_of_staged_commits_nothing_is_tested_and_nothing_lands() -> None:
    """D3: T0.7 does not apply; not even what is green."""
    unproved = Wait("blocked: no context is required on staged commits, so nothing could ever be proved")
    nothing = staging(contexts=ContextPolicy())
    ours = staging(contexts=ContextPolicy(required=frozenset({"dco"})), head_only_contexts=frozenset({"dco"}))
    signed = insider(1, contexts=(green("dco"),))

    assert chooses(ONE, runs=[green_run(ONE)], config=nothing) == unproved
    assert chooses(signed, runs=[green_run(signed)], config=ours) == unproved


def test_where_our_own_context_alone_is_required_nothing_lands() -> None:
    """D3, T3.15: it is never judged, so a run would be green before any CI has seen it."""
    config = staging(contexts=ContextPolicy(required=frozenset({"tide"})))

    action = chooses(ONE, runs=[run(ONE, contexts=())], config=config)

    assert isinstance(action, Wait)
    assert action.why.startswith("blocked: no context is required")


# With staging: what stops a branch


@pytest.mark.parametrize("runs", [[], [green_run(ONE)], [green_run(ONE, TWO), run(ONE)]])
def test_a_blocker_stops_testing_and_landing(runs: list[Run]) -> None:
    """T4.2, T7."""
    seven = blocker(7, "Outage", "")

    decision = decide(pool(ONE, TWO, config=staging(), blockers=(seven,)), staging(), runs=runs, now=1000.0)

    assert decision == Decision(Blocked((seven,)))


def test_a_blocked_branch_gives_up_runs_that_are_not_about_it_any_more() -> None:
    blocked = pool(ONE, config=staging(), blockers=(blocker(7, "Outage", ""),))

    decision = decide(blocked, staging(), runs=[run(ONE, base_sha=MOVED)])

    assert decision.abandon == (("run-1", "the base moved from ccccccc to bbbbbbb"),)


@pytest.mark.parametrize("config", [staging(), settings()])
def test_a_halted_branch_does_nothing_until_a_person_resumes_it(config: BranchSettings) -> None:
    """D22: nor does it give up what may be evidence."""
    halted = replace(pool(ONE, TWO, config=config), halted="wrong tree on #3")

    decision = decide(halted, config, runs=[green_run(ONE, TWO), run(ONE, base_sha=MOVED)])

    assert decision == Decision(Wait("halted until a person resumes it: wrong tree on #3"))


@pytest.mark.parametrize("config", [staging(), settings()])
def test_a_branch_that_was_not_read_whole_gives_up_nothing(config: BranchSettings) -> None:
    """D8: a member that is not seen may have been left out of the page."""
    decision = decide(pool(ONE, config=config, partial="page 2"), config, runs=[green_run(ONE, TWO)])

    assert decision == Decision(Wait("not everything could be read from GitHub: page 2"))


# With staging: what is given up


def test_a_run_on_an_old_base_is_given_up_and_says_why() -> None:
    """T4.30: whatever it said."""
    decision = decide(pool(ONE, config=staging()), staging(), runs=[green_run(ONE, base_sha=MOVED)], now=1000.0)

    assert decision.action == Stage((1,), "ready to be tested alone")
    assert decision.abandon == (("run-1", "the base moved from ccccccc to bbbbbbb"),)


@pytest.mark.parametrize(
    ("now_open", "why"),
    [
        pytest.param((ONE,), "#2 left the pool or changed", id="closed"),
        pytest.param((ONE, insider(2, is_draft=True)), "#2 left the pool or changed", id="not ready any more"),
        pytest.param((ONE, insider(2, head_sha="9" * 40)), "#2 left the pool or changed", id="pushed"),
        pytest.param((THREE,), "#1, #2 left the pool or changed", id="both"),
        pytest.param(
            (ONE, insider(2, labels=(*READY, "m/squash"))), "a member left the pool or changed", id="another method"
        ),
    ],
)
def test_a_run_whose_members_changed_is_given_up_even_if_it_is_green(
    now_open: tuple[PullRequest, ...], why: str
) -> None:
    """T4.21."""
    config = staging(methods=MergeMethods(squash_label="m/squash"))

    decision = decide(pool(*now_open, config=config), config, runs=[green_run(ONE, TWO)], now=1000.0)

    assert isinstance(decision.action, Stage)
    assert decision.abandon == (("run-1-2", why),)


def test_a_run_that_has_ended_is_not_given_up_again() -> None:
    decision = decide(pool(ONE, config=staging()), staging(), runs=[red_run(ONE, TWO), red_run(ONE, base_sha=MOVED)])

    assert decision.abandon == ()


def test_a_run_that_is_given_up_takes_no_slot() -> None:
    config = staging(slots=1)

    decision = decide(pool(ONE, TWO, config=config), config, runs=[run(ONE, THREE)], now=1000.0)

    assert decision.action == Stage((1, 2), "ready to be tested together")


def test_the_order_in_which_runs_are_known_changes_nothing() -> None:
    """T12.39."""
    runs = [run(ONE, TWO), run(ONE), run(FOUR, base_sha=MOVED), run(THREE, base_sha=MOVED)]
    judged = pool(ONE, TWO, config=staging())

    assert decide(judged, staging(), runs=runs) == decide(judged, staging(), runs=runs[::-1])


def test_a_run_of_which_all_has_landed_is_given_up() -> None:
    """T12.11."""
    landed = green_run(ONE, base_sha=MOVED, trees=("t1",))

    assert decide(pool(TWO, config=staging(), base_tree="t1"), staging(), runs=[landed]).abandon == (
        ("run-1", "all of it has landed"),
    )
