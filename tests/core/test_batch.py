"""Staged runs: which contexts count there, what a run says, and what it is about."""

import re
from dataclasses import replace
from typing import Any

import pytest

from mergeq.core.batch import (
    Conflict,
    RunState,
    Told,
    Verdict,
    conflicting,
    deadline,
    is_current,
    landed,
    rest,
    staged_policy,
    verdict,
)
from mergeq.core.contexts import ContextPolicy
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pool import BranchSettings, Pool
from mergeq.core.pull import Context, PullRequest, Result
from mergeq.core.queue import StagingValues
from tests.builders import BASE, clash, context, green, insider, pool, run, staging

ONE, TWO, THREE, FOUR = insider(1), insider(2), insider(3), insider(4)
PATIENT = StagingValues(start_timeout=600.0, timeout=7200.0)
MOVED = "c" * 40


def requiring(*names: str, **changes: Any) -> ContextPolicy:
    return ContextPolicy(required=frozenset(names), **changes)


def failed(name: str = "ci/test") -> Context:
    return context(name, Result.FAILURE)


def of(*pulls: PullRequest, config: BranchSettings | None = None) -> Pool:
    """The pool of a branch that stages."""
    return pool(*pulls, config=config or staging())


# Which contexts count on a staged commit


def test_what_is_required_of_the_head_is_required_of_the_staged_commit() -> None:
    """T0.6."""
    policy = staged_policy(staging(contexts=requiring("ci/test", "ci/lint")))

    assert policy.required == {"ci/test", "ci/lint"}


def test_a_context_that_only_reports_on_heads_is_neither_awaited_nor_judged() -> None:
    """T0.6: a sign-off is about the head; red or absent on the staged commit it says nothing."""
    config = staging(contexts=requiring("ci/test", "dco"), head_only_contexts=frozenset({"dco"}))

    assert verdict(run(ONE, contexts=(green(),)), config, 1000.0).state is RunState.GREEN
    assert verdict(run(ONE, contexts=(green(), failed("dco"))), config, 1000.0).state is RunState.GREEN


def test_a_head_only_context_that_is_required_if_present_does_not_count_when_staged() -> None:
    policy = replace(requiring("ci/test"), required_if_present=frozenset({"dco"}))
    config = staging(contexts=policy, head_only_contexts=frozenset({"dco"}))

    assert verdict(run(ONE, contexts=(green(), failed("dco"))), config, 1000.0).state is RunState.GREEN


def test_a_staging_context_is_required_of_the_staged_commit_alone() -> None:
    """T0.6: e2e runs on staged commits only; heads are not asked for it."""
    config = staging(staging_contexts=frozenset({"e2e"}))

    assert of(ONE, config=config).members
    assert verdict(run(ONE, contexts=(green(),)), config, 1000.0) == Verdict(
        RunState.PENDING, (Context("e2e", Result.EXPECTED),)
    )
    assert verdict(run(ONE, contexts=(green(), green("e2e"))), config, 1000.0).state is RunState.GREEN


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(requiring("ci/test", optional=frozenset({"e2e"})), id="optional on heads"),
        pytest.param(requiring("ci/test", required_if_present=frozenset({"e2e"})), id="required if present on heads"),
        pytest.param(requiring("ci/test", optional_patterns=(re.compile("e2e"),)), id="optional by pattern on heads"),
    ],
)
def test_a_staging_context_counts_whatever_it_is_on_heads(policy: ContextPolicy) -> None:
    config = staging(contexts=policy, staging_contexts=frozenset({"e2e"}))

    assert verdict(run(ONE, contexts=(green(), failed("e2e"))), config, 1000.0).state is RunState.RED


def test_a_context_that_is_named_for_both_is_required_when_staged() -> None:
    config = staging(head_only_contexts=frozenset({"e2e"}), staging_contexts=frozenset({"e2e"}))

    assert verdict(run(ONE, contexts=(green(), failed("e2e"))), config, 1000.0).state is RunState.RED


@pytest.mark.parametrize("name", ["tide", "Tide"])
def test_our_own_context_proves_nothing_about_a_staged_commit(name: str) -> None:
    """D3: nothing lands that was not tested, and our own context is never judged (T3.15)."""
    config = staging(contexts=requiring(name))

    assert staged_policy(config).required == frozenset()


# What a run says


def test_a_run_is_pending_while_a_context_runs() -> None:
    said = verdict(run(ONE), staging(), 1000.0)

    assert said == Verdict(RunState.PENDING, (context("ci/test", Result.PENDING),))
    assert said.why == "ci/test is still running"


def test_a_run_is_green_when_all_that_is_required_is() -> None:
    assert verdict(run(ONE, contexts=(green(),)), staging(), 1000.0) == Verdict(RunState.GREEN)


def test_a_run_that_was_green_is_not_when_more_is_required() -> None:
    """D3: what nobody has tested proves nothing, whatever it said in its time."""
    proof = run(ONE, contexts=(green(),), ended=RunState.GREEN)

    assert verdict(proof, staging(), 9e9).state is RunState.GREEN
    assert verdict(proof, staging(staging_contexts=frozenset({"e2e"})), 9e9).state is RunState.SILENT
    assert verdict(replace(proof, contexts=None), staging(), 9e9).state is RunState.SILENT


def test_another_context_that_reports_on_the_staged_commit_must_be_green_too() -> None:
    """T1.62."""
    assert verdict(run(ONE, contexts=(green(), failed("docs"))), staging(), 1000.0).state is RunState.RED
    assert verdict(
        run(ONE, contexts=(green(), context("docs", Result.PENDING))), staging(), 1000.0
    ).state is RunState.PENDING  # fmt: skip


@pytest.mark.parametrize(
    ("result", "conclusion", "state", "why"),
    [
        (Result.FAILURE, "", RunState.RED, "ci/test failed"),
        (Result.FAILURE, "timed_out", RunState.RED, "ci/test took too long"),
        (Result.FAILURE, "cancelled", RunState.CANCELLED, "ci/test was cancelled"),
        (Result.FAILURE, "stale", RunState.CANCELLED, "ci/test was given up by GitHub"),
        (Result.FAILURE, "startup_failure", RunState.ERROR, "ci/test could not start"),
        (Result.FAILURE, "action_required", RunState.ERROR, "ci/test waits for somebody's approval on GitHub"),
        (Result.ERROR, "", RunState.ERROR, "ci/test ended with an error"),
    ],
)
def test_one_context_that_did_not_pass_ends_a_run_while_others_still_run(
    result: Result, conclusion: str, state: RunState, why: str
) -> None:
    """T4.23; only what failed is held against somebody."""
    config = staging(contexts=requiring("ci/test", "ci/lint"))

    bad = context("ci/test", result, conclusion=conclusion)

    said = verdict(run(ONE, contexts=(context("ci/lint", Result.PENDING), bad)), config, 1000.0)

    assert said == Verdict(state, (bad,))
    assert said.why == why


def test_a_red_run_says_all_that_failed_and_not_what_was_cancelled_beside_it() -> None:
    beside = (context("c", Result.FAILURE, conclusion="cancelled"), context("d", Result.ERROR))

    said = verdict(run(ONE, contexts=(failed("b"), failed("a"), *beside, green())), staging(), 1000.0)

    assert (said.state, said.why) == (RunState.RED, "a failed; b failed")


def test_our_own_status_on_the_staged_commit_is_not_judged() -> None:
    """T3.15."""
    assert verdict(run(ONE, contexts=(green(), failed("Tide"))), staging(), 1000.0).state is RunState.GREEN


def test_a_repeated_context_counts_as_it_ended_last() -> None:
    """D18: a re-run that passes heals the run."""
    before, after = context("ci/test", Result.FAILURE, at=1.0), green(at=2.0)

    assert verdict(run(ONE, contexts=(after, before)), staging(), 1000.0).state is RunState.GREEN


def test_a_pinned_context_counts_from_its_app_alone() -> None:
    """D18: a name alone is forgeable, on the staged commit as on the head."""
    config = staging(context_apps={"ci/test": "github-actions"})

    assert verdict(run(ONE, contexts=(green(),)), config, 1000.0).state is RunState.PENDING
    assert verdict(run(ONE, contexts=(green(app="evil"),)), config, 1000.0).state is RunState.PENDING
    assert verdict(run(ONE, contexts=(green(app="github-actions"),)), config, 1000.0).state is RunState.GREEN
    assert verdict(
        run(ONE, contexts=(green(app="github-actions"), context("ci/test", Result.FAILURE, app="evil"))), config, 1000.0
    ).state is RunState.GREEN  # fmt: skip


@pytest.mark.parametrize(
    ("after", "state"), [(599.9, RunState.PENDING), (600.0, RunState.SILENT), (7200.0, RunState.SILENT)]
)
def test_a_run_that_ci_never_took_up_is_silent_after_the_start_timeout(after: float, state: RunState) -> None:
    untouched = run(ONE, contexts=())

    said = verdict(untouched, staging(staging=PATIENT), 1000.0 + after)

    assert said == Verdict(state, (Context("ci/test", Result.EXPECTED),))
    assert said.why == "ci/test never appeared"


def test_a_run_is_silent_for_the_context_that_never_appeared_and_not_for_one_that_runs() -> None:
    config = staging(contexts=requiring("ci/test", "e2e"))

    said = verdict(run(ONE), config, 1600.0)

    assert said == Verdict(RunState.SILENT, (Context("e2e", Result.EXPECTED),))


@pytest.mark.parametrize(
    ("after", "state"), [(600.0, RunState.PENDING), (7199.9, RunState.PENDING), (7200.0, RunState.OVERDUE)]
)
def test_a_run_that_does_not_finish_is_overdue_after_the_timeout(after: float, state: RunState) -> None:
    """T12.13."""
    assert verdict(run(ONE), staging(staging=PATIENT), 1000.0 + after) == Verdict(
        state, (context("ci/test", Result.PENDING),)
    )


def test_what_is_red_or_green_in_the_end_is_not_overdue() -> None:
    assert verdict(run(ONE, contexts=(green(),)), staging(), 99_999.0).state is RunState.GREEN
    assert verdict(run(ONE, contexts=(failed(),)), staging(), 99_999.0).state is RunState.RED


def test_a_run_whose_contexts_could_not_be_read_is_never_green() -> None:
    """D8: not even where nothing is required."""
    assert verdict(run(ONE, contexts=None), staging(), 1000.0).state is RunState.PENDING
    assert verdict(run(ONE, contexts=None), staging(contexts=ContextPolicy()), 1000.0).state is RunState.PENDING


@pytest.mark.parametrize(("after", "state"), [(600.0, RunState.PENDING), (7200.0, RunState.OVERDUE)])
def test_contexts_that_could_not_be_read_are_not_contexts_that_never_appeared(after: float, state: RunState) -> None:
    """D8: unreadable is not silence; the run stays open until its timeout."""
    assert verdict(run(ONE, contexts=None), staging(staging=PATIENT), 1000.0 + after).state is state


@pytest.mark.parametrize("state", list(RunState))
def test_a_run_that_has_ended_says_what_it_said_then(state: RunState) -> None:
    assert verdict(run(ONE, contexts=(green(),), ended=state), staging(), 99_999.0).state is state


@pytest.mark.parametrize(
    ("contexts", "now"),
    [
        pytest.param((failed(),), 1000.0, id="red"),
        pytest.param((context("ci/test", Result.PENDING), context("e2e", Result.PENDING)), 8200.0, id="overdue"),
        pytest.param((context("ci/test", Result.PENDING),), 1600.0, id="silent, while another context ran"),
    ],
)
def test_a_run_that_has_ended_blames_the_contexts_that_ended_it(contexts: tuple[Context, ...], now: float) -> None:
    config = staging(contexts=requiring("ci/test", "e2e"))
    open_run = run(ONE, contexts=contexts)
    at_its_end = verdict(open_run, config, now)

    assert verdict(replace(open_run, ended=at_its_end.state), config, 99_999.0) == at_its_end


# What a run is about


def test_a_run_is_about_the_pool_with_its_base_its_heads_and_its_methods() -> None:
    assert is_current(run(ONE, TWO), of(ONE, TWO, THREE))


@pytest.mark.parametrize(
    "now_open",
    [
        pytest.param((ONE,), id="T4.21 a member is not open any more"),
        pytest.param((ONE, insider(2, is_draft=True)), id="T4.21 a member left the pool"),
        pytest.param((ONE, insider(2, head_sha="9" * 40)), id="T4.21 a member was pushed"),
        pytest.param((ONE, insider(2, labels=("lgtm", "approved", "m/squash"))), id="a member has another method"),
    ],
)
def test_a_run_is_void_when_one_of_its_members_is_not_what_was_staged(now_open: tuple[PullRequest, ...]) -> None:
    config = staging(methods=MergeMethods(squash_label="m/squash"))

    assert not is_current(run(ONE, TWO), of(*now_open, config=config))


def test_a_run_is_void_when_the_base_moves() -> None:
    """T4.30."""
    assert not is_current(run(ONE, base_sha=MOVED), of(ONE))


def test_a_run_knows_the_heads_that_it_tests() -> None:
    assert run(ONE, TWO).heads == {ONE.head_sha, TWO.head_sha}


# What of a run has landed


SERIES = run(ONE, TWO, THREE, base_tree="t0", trees=("t1", "t2", "t3"))


@pytest.mark.parametrize(
    ("base_sha", "base_tree", "count"),
    [
        (BASE, "t0", 0),
        (MOVED, "t0", 0),
        (MOVED, "t1", 1),
        (MOVED, "t3", 3),
        (MOVED, "else", None),
        (MOVED, "", None),
    ],
    ids=["its own base", "its base under another SHA", "one has landed", "all have landed", "another", "unknown"],
)
def test_what_of_a_run_has_landed_is_known_by_the_tree_of_the_base(
    base_sha: str, base_tree: str, count: int | None
) -> None:
    """T4.21 and T12.11 repaired: whoever made the commit."""
    assert landed(SERIES, base_sha, base_tree) == count
    assert rest(SERIES, base_sha, base_tree) == (None if count is None else SERIES.members[count:])


def test_a_tree_that_a_run_comes_to_twice_counts_as_reached_the_last_time() -> None:
    """A change and its reversal: what is left then is tested again, and nothing lands twice."""
    reverted = replace(SERIES, trees=("t1", "t2", "t1"))

    assert landed(reverted, MOVED, "t1") == 3
    assert landed(replace(reverted, trees=("t1", "t0", "t3")), MOVED, "t0") == 0


def test_a_run_stays_about_the_pool_while_its_members_land_in_order() -> None:
    """T12.10, T12.11."""
    assert is_current(SERIES, pool(TWO, THREE, config=staging(), base_sha=MOVED, base_tree="t1"))
    assert not is_current(SERIES, pool(THREE, config=staging(), base_sha=MOVED, base_tree="t1"))
    assert not is_current(SERIES, pool(FOUR, config=staging(), base_sha=MOVED, base_tree="t3"))


def test_a_green_run_that_lost_a_member_counts_again_when_that_returns() -> None:
    """T12.10: the tree did not change meanwhile."""
    assert not is_current(SERIES, of(ONE, TWO))
    assert is_current(SERIES, of(ONE, TWO, THREE))


# In words


def test_who_conflicts_with_another_member_is_told_with_whom() -> None:
    """D4."""
    assert conflicting(of(ONE, TWO, THREE), [clash((ONE,), TWO), clash((ONE, TWO), THREE)]) == {
        2: "it conflicts with #1, which is tested first",
        3: "it conflicts with #1 or #2, which is tested first",
    }


@pytest.mark.parametrize(
    "fact",
    [
        pytest.param(clash((ONE,), TWO, base_sha=MOVED), id="on another base"),
        pytest.param(clash((THREE,), TWO), id="with one that has left"),
        pytest.param(clash((ONE,), THREE), id="of one that has left"),
    ],
)
def test_a_conflict_that_is_over_is_not_told(fact: Conflict) -> None:
    assert conflicting(of(ONE, TWO), [fact]) == {}


def test_the_order_in_which_conflicts_are_known_changes_nothing() -> None:
    facts = [clash((ONE,), THREE), clash((ONE, TWO), THREE)]

    assert conflicting(of(ONE, TWO, THREE), facts) == conflicting(of(ONE, TWO, THREE), facts[::-1])


def test_a_run_that_ci_was_not_told_of_waits_however_long_and_is_judged_by_what_comes_all_the_same() -> None:
    untold = run(ONE, contexts=(), told=Told(1000.0, 3, "no answer"))

    assert verdict(untold, staging(), 1e9).state is RunState.PENDING
    assert verdict(replace(untold, contexts=(green(),)), staging(), 1e9).state is RunState.GREEN
    assert verdict(replace(untold, told=Told(1000.0, 4)), staging(), 1e9).state is RunState.SILENT


def test_who_was_told_is_told_no_more() -> None:
    assert [told.is_done for told in (Told(), Told(1.0, 1, "no answer"), Told(1.0, 2))] == [False, False, True]


# Until when it is waited for


@pytest.mark.parametrize(
    ("contexts", "wait"),
    [((), 600.0), (None, 600.0), ((context("ci/test", Result.PENDING),), 7200.0)],
    ids=["never appeared", "unread", "running"],
)
def test_a_run_is_given_up_sooner_where_nothing_has_begun(contexts: tuple[Context, ...] | None, wait: float) -> None:
    assert deadline(run(ONE, contexts=contexts), staging(staging=PATIENT)) == 1000.0 + wait
