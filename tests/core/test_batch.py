"""Staged runs: which contexts count there, what a run says, who is held responsible, and who is staged next."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from mergeq.core.batch import (
    Conflict,
    Run,
    RunState,
    Told,
    Verdict,
    candidates,
    conflicting,
    is_current,
    progress,
    serial_candidate,
    staged_policy,
    verdict,
)
from mergeq.core.contexts import ContextPolicy
from mergeq.core.conviction import convictions
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pool import BranchSettings, Pool
from mergeq.core.pull import Context, PullRequest, Result
from mergeq.core.queue import Order, StagingValues
from mergeq.core.reason import Clause, Reason
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


def numbers(
    *pulls: PullRequest,
    config: BranchSettings | None = None,
    runs: Sequence[Run] = (),
    conflicts: Sequence[Conflict] = (),
) -> list[int]:
    """Who would be staged together."""
    config = config or staging()
    return [one.pull.number for one in candidates(of(*pulls, config=config), runs, conflicts, config)]


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


def test_another_context_that_reports_on_the_staged_commit_must_be_green_too() -> None:
    """T1.62."""
    assert verdict(run(ONE, contexts=(green(), failed("docs"))), staging(), 1000.0).state is RunState.RED
    assert verdict(
        run(ONE, contexts=(green(), context("docs", Result.PENDING))), staging(), 1000.0
    ).state is RunState.PENDING  # fmt: skip


@pytest.mark.parametrize("result", [Result.FAILURE, Result.ERROR])
def test_one_failed_context_makes_a_run_red_while_others_still_run(result: Result) -> None:
    """T4.23."""
    config = staging(contexts=requiring("ci/test", "ci/lint"))

    said = verdict(run(ONE, contexts=(context("ci/lint", Result.PENDING), context("ci/test", result))), config, 1000.0)

    assert said == Verdict(RunState.RED, (context("ci/test", result),))


def test_a_red_run_says_all_that_failed_and_how() -> None:
    said = verdict(run(ONE, contexts=(context("b", Result.ERROR), failed("a"), green())), staging(), 1000.0)

    assert said.why == "a failed; b ended with an error"


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


# Who is held responsible


def convicted(*runs: Run, config: BranchSettings | None = None) -> dict[str, Reason]:
    return convictions(runs, BASE, config or staging(), 99_999.0)


def ended(pull: PullRequest, state: RunState = RunState.RED, at: float = 1000.0, **changes: Any) -> Run:
    """A run of one pull request that has ended."""
    contexts = {RunState.RED: (failed(),), RunState.GREEN: (green(),), RunState.SILENT: ()}
    values = {"id": f"{pull.number}-{at}", "contexts": contexts.get(state, run(pull).contexts), "started_at": at}
    return run(pull, ended=state, **{**values, **changes})


def test_one_red_run_is_repeated_before_it_counts() -> None:
    """D24."""
    assert convicted(ended(ONE)) == {}


def test_who_is_red_alone_twice_is_held_responsible() -> None:
    """D24."""
    found = convicted(ended(ONE, at=1.0), ended(ONE, at=2.0), ended(TWO))

    assert list(found) == [ONE.head_sha]
    reason = found[ONE.head_sha]
    assert (reason.clause, reason.items) == (Clause.STAGED, ("ci/test",))
    assert reason.needed == "ci/test to be green together with the base"
    assert reason.observed == "ci/test failed on 5555555, this pull request on base bbbbbbb, 2 times"
    assert all((reason.who, reason.remedy))


@pytest.mark.parametrize("retries", [0, 1, 2, 3])
def test_how_often_a_red_run_is_repeated_is_configured(retries: int) -> None:
    config = staging(staging=StagingValues(retries=retries))
    tries = [ended(ONE, at=float(at)) for at in range(retries + 1)]

    assert convicted(*tries[:-1], config=config) == {}
    assert list(convicted(*tries, config=config)) == [ONE.head_sha]


def test_a_single_red_run_that_counts_does_not_speak_of_times() -> None:
    found = convicted(ended(ONE), config=staging(staging=StagingValues(retries=0)))

    assert found[ONE.head_sha].observed == "ci/test failed on 5555555, this pull request on base bbbbbbb"


@pytest.mark.parametrize(
    ("state", "observed"),
    [
        (RunState.SILENT, "ci/test never appeared within 600 s on 5555555, this pull request on base bbbbbbb"),
        (RunState.OVERDUE, "ci/test is still running within 7200 s on 5555555, this pull request on base bbbbbbb"),
    ],
)
def test_a_run_without_an_end_counts_at_once_and_is_not_held_against_the_author(state: RunState, observed: str) -> None:
    reason = convicted(ended(ONE, state), config=staging(staging=PATIENT))[ONE.head_sha]

    assert (reason.clause, reason.items) == (Clause.STAGED, ("ci/test",))
    assert reason.needed == "a result of ci/test on the staged commit"
    assert reason.observed == observed
    assert reason.who == "whoever runs CI for the repository"
    assert "mergeq/**" in reason.remedy


def test_the_reason_is_that_of_the_last_try_in_whatever_order_the_runs_are_known() -> None:
    tries = [ended(ONE, at=1.0, contexts=(failed("old"),)), ended(ONE, at=2.0, contexts=(failed("new"),))]

    assert convicted(*tries) == convicted(*reversed(tries))
    assert convicted(*tries)[ONE.head_sha].items == ("new",)


@pytest.mark.parametrize(
    "others",
    [
        pytest.param((ended(ONE, base_sha=MOVED), ended(ONE, base_sha=MOVED)), id="on another base"),
        pytest.param((ended(ONE), ended(ONE, RunState.GREEN)), id="one of them was green"),
        pytest.param((ended(ONE), run(ONE, contexts=(failed(),))), id="one has not ended"),
        pytest.param((run(ONE, TWO, ended=RunState.RED), run(ONE, TWO, ended=RunState.RED)), id="not alone"),
        pytest.param((ended(ONE), ended(insider(1, head_sha="9" * 40))), id="of two heads"),
        pytest.param((), id="never"),
    ],
)
def test_nobody_is_held_responsible_for_what_was_not_seen_twice_alone_on_this_base(others: tuple[Run, ...]) -> None:
    """D24: inference from others orders the search, it does not convict."""
    assert convicted(*others) == {}


def test_what_does_not_count_any_more_is_held_against_nobody() -> None:
    """The configuration has changed since: the context that failed is optional now."""
    tries = (
        ended(ONE, at=1.0, contexts=(green(), failed("e2e"))),
        ended(ONE, at=2.0, contexts=(green(), failed("e2e"))),
    )
    lenient = staging(contexts=requiring("ci/test", optional=frozenset({"e2e"})))

    assert list(convicted(*tries)) == [ONE.head_sha]
    assert convicted(*tries, config=lenient) == {}


# Who is staged together


def test_members_are_staged_together_in_the_order_in_which_they_are_served() -> None:
    """T12.15, T12.16, T4.17."""
    config = staging(priority=(("urgent",),), order=Order.ENTERED)
    urgent = insider(3, labels=("lgtm", "approved", "urgent"))
    known = {(1, ONE.head_sha): 20.0, (2, TWO.head_sha): 10.0, (3, urgent.head_sha): 30.0}

    batch = candidates(pool(ONE, TWO, urgent, config=config, entered=known), [], [], config)

    assert [one.pull.number for one in batch] == [3, 2, 1]


def test_who_is_not_in_the_pool_is_not_staged() -> None:
    assert numbers(ONE, insider(2, is_draft=True), THREE) == [1, 3]


@pytest.mark.parametrize("pulls", [(), (ONE,)])
def test_fewer_than_two_are_no_batch(pulls: tuple[PullRequest, ...]) -> None:
    """T4.19."""
    assert numbers(*pulls) == []


@pytest.mark.parametrize(
    ("tide", "own", "expected"),
    [
        pytest.param(0, None, [1, 2, 3, 4], id="T1.20 zero is no limit"),
        pytest.param(3, None, [1, 2, 3], id="T1.20 a cap"),
        pytest.param(2, None, [1, 2], id="T1.20 a cap of two"),
        pytest.param(1, None, [], id="T4.19 one alone is no batch"),
        pytest.param(9, None, [1, 2, 3, 4], id="a cap that is not reached"),
        pytest.param(-1, None, [], id="T1.20, T11.189 batching is off"),
        pytest.param(-1, 2, [1, 2], id="the queue's own limit goes before Tide's"),
        pytest.param(2, 0, [1, 2, 3, 4], id="the queue's own may lift it"),
        pytest.param(4, -5, [], id="the queue's own may turn batching off"),
    ],
)
def test_a_batch_is_never_larger_than_its_limit(tide: int, own: int | None, expected: list[int]) -> None:
    values = staging()
    config = replace(values, batch_size_limit=tide, queue=replace(values.queue, batch_size_limit=own))

    assert numbers(ONE, TWO, THREE, FOUR, config=config) == expected


def test_who_conflicts_with_those_before_is_left_out_and_the_next_may_come() -> None:
    """T4.16, T4.17, D4."""
    config = staging(batch_size_limit=2)

    assert numbers(ONE, TWO, THREE, config=config, conflicts=[clash((ONE,), TWO)]) == [1, 3]


def test_who_conflicts_with_the_base_itself_is_left_out() -> None:
    assert numbers(ONE, TWO, THREE, conflicts=[clash((), ONE)]) == [2, 3]


def test_a_conflict_is_known_only_for_exactly_those_before_and_this_base() -> None:
    after_both = [clash((ONE, TWO), THREE)]
    elsewhere = [clash((ONE,), TWO, base_sha=MOVED)]

    assert numbers(ONE, THREE, conflicts=after_both) == [1, 3]
    assert numbers(ONE, TWO, THREE, conflicts=after_both) == [1, 2]
    assert numbers(ONE, TWO, conflicts=elsewhere) == [1, 2]


def test_when_conflicts_leave_fewer_than_two_there_is_no_batch() -> None:
    assert numbers(ONE, TWO, conflicts=[clash((ONE,), TWO)]) == []


@pytest.mark.parametrize("state", [RunState.RED, RunState.SILENT, RunState.OVERDUE])
def test_a_set_that_did_not_pass_on_this_base_is_not_staged_again(state: RunState) -> None:
    """T12.8, T4.28: in whatever order."""
    before = [run(TWO, ONE, ended=state)]

    assert numbers(ONE, TWO, runs=before) == []
    assert numbers(ONE, TWO, THREE, runs=before) == [1, 2, 3]


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(run(ONE, TWO, ended=RunState.RED, base_sha=MOVED), id="red on another base"),
        pytest.param(run(ONE, TWO, ended=RunState.GREEN), id="green"),
        pytest.param(run(ONE, insider(2, head_sha="9" * 40), ended=RunState.RED), id="red with another head"),
        pytest.param(run(ONE, ended=RunState.RED), id="red alone"),
    ],
)
def test_a_set_that_was_never_red_here_may_be_staged(before: Run) -> None:
    assert numbers(ONE, TWO, runs=[before]) == [1, 2]


# Who is staged alone


def alone(*pulls: PullRequest, runs: tuple[Run, ...] = (), conflicts: tuple[Conflict, ...] = ()) -> int | None:
    """The number of who would be staged alone."""
    judged = of(*pulls)
    chosen = serial_candidate(judged, progress(judged, runs, staging(), 1000.0).missing, conflicts, staging())
    return chosen.pull.number if chosen else None


def test_the_first_in_the_pool_is_staged_alone() -> None:
    assert alone(TWO, ONE) == 1


def test_in_an_empty_pool_nobody_is_staged_alone() -> None:
    assert alone() is None
    assert alone(insider(1, is_draft=True)) is None


def test_who_does_not_merge_into_the_base_is_not_staged_alone() -> None:
    assert alone(ONE, TWO, conflicts=(clash((), ONE),)) == 2
    assert alone(ONE, conflicts=(clash((), ONE),)) is None


def test_a_conflict_with_another_pull_request_or_on_another_base_does_not_matter_alone() -> None:
    assert alone(TWO, conflicts=(clash((ONE,), TWO), clash((), TWO, base_sha=MOVED))) == 2


def test_who_is_under_way_alone_is_not_staged_alone_again() -> None:
    assert alone(ONE, TWO, runs=(run(ONE),)) == 2


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(run(ONE, ended=RunState.RED), id="its run has ended: it is repeated"),
        pytest.param(run(ONE, TWO), id="it is under way with another"),
        pytest.param(run(ONE, base_sha=MOVED), id="its run is on another base"),
    ],
)
def test_any_other_run_does_not_keep_it_from_being_staged_alone(before: Run) -> None:
    """T4.4, D24."""
    assert alone(ONE, TWO, runs=(before,)) == 1


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
