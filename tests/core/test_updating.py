"""`retest: update`: one pull request at a time on its own branch, which contains the base (D3)."""

from typing import Any

import pytest

from mergeq.core.action import Action, Land, Update, Wait, wire_name
from mergeq.core.batch import Member, Run, RunState, is_current, not_ours_to_update, verdict
from mergeq.core.contexts import ContextPolicy
from mergeq.core.conviction import convictions
from mergeq.core.decide import Decision, decide
from mergeq.core.pool import BranchSettings, Memory, Pool, divide
from mergeq.core.pull import Method, Protection, PullRequest, Result
from mergeq.core.queue import Retest, UpdateMethod
from mergeq.core.reason import Clause
from mergeq.core.status import describe
from tests.builders import BASE, MAIN, context, facts, green, pool, pr, run, settings

UPDATING = settings(retest=Retest.UPDATE, contexts=ContextPolicy(required=frozenset({"ci/test"})), voided_by_push=())
ONE, TWO = pr(1), pr(2)
RUNNING = pr(1, contexts=(context("ci/test", Result.PENDING),))


def on_its_head(pull: PullRequest, **changes: Any) -> Run:
    """The run of a head that contains the base, where ci/test is green."""
    values = {"ref": "", "on_head": True, "staged_sha": pull.head_sha, "trees": ("7" * 40,), "contexts": (green(),)}
    return run(pull, **{**values, **changes})


def asked(pull: PullRequest) -> Run:
    """An update that was asked for and has not been seen."""
    return on_its_head(pull, staged_sha="", trees=(), contexts=None)


def judged(*pulls: PullRequest, config: BranchSettings = UPDATING, **changes: Any) -> Pool:
    return pool(*pulls, config=config, **changes)


def decided(*pulls: PullRequest, runs: tuple[Run, ...] = (), now: float = 1000.0, **changes: Any) -> Decision:
    config = changes.pop("config", UPDATING)
    return decide(judged(*pulls, config=config, **changes), config, runs=runs, now=now)


def chosen(*pulls: PullRequest, runs: tuple[Run, ...] = (), now: float = 1000.0) -> Action:
    return decided(*pulls, runs=runs, now=now).action


def test_the_first_in_rank_is_held_against_the_base() -> None:
    action = chosen(TWO, ONE)

    assert action == Update(1, ONE.head_sha, f"first to be held against {BASE[:7]}")
    assert wire_name(action) == "TRIGGER"


def test_nobody_else_is_touched_while_one_is_brought_up_to_date() -> None:
    assert chosen(ONE, TWO, runs=(asked(ONE),)) == Wait("#1 is brought up to date with main")


def test_nobody_else_is_touched_while_one_is_tested() -> None:
    running = on_its_head(ONE, contexts=RUNNING.contexts)

    assert chosen(RUNNING, TWO, runs=(running,)) == Wait(f"testing #1, whose head contains {BASE[:7]}")


def test_what_is_green_on_a_head_that_contains_the_base_lands() -> None:
    assert chosen(ONE, TWO, runs=(on_its_head(ONE),)) == Land(
        "run-1", (1,), f"green on a head that contains {BASE[:7]}"
    )


def test_what_is_green_and_not_admitted_waits_and_then_lets_others_go_ahead() -> None:
    """Its context was seen red before and is gone for a moment (T12.20), say."""
    out = pr(1, contexts=())
    runs = (on_its_head(ONE),)

    assert isinstance(chosen(out, TWO, runs=runs, now=1000.0), Wait)
    assert chosen(out, TWO, runs=runs, now=1000.0 + 7200) == Update(
        2, TWO.head_sha, f"first to be held against {BASE[:7]}"
    )


def test_nothing_is_updated_where_nothing_is_required() -> None:
    config = settings(retest=Retest.UPDATE)

    assert decided(ONE, config=config).action == Wait(
        "blocked: no context is required, so nothing could ever be proved"
    )


def test_without_members_it_says_whether_any_is_open() -> None:
    assert chosen() == Wait("no pull request is open")
    assert chosen(pr(1, labels=())) == Wait("no pull request is ready")


@pytest.mark.parametrize(
    ("runs", "pulls", "base", "why"),
    [
        ((on_its_head(ONE),), (pr(1, head_sha="9" * 40),), BASE, "#1 left the pool or changed"),
        ((on_its_head(ONE),), (pr(1, labels=()),), BASE, "#1 left the pool or changed"),
        ((on_its_head(ONE),), (), BASE, "#1 left the pool or changed"),
        ((on_its_head(ONE),), (ONE,), "c" * 40, f"the base moved from {BASE[:7]} to ccccccc"),
        ((on_its_head(ONE, on_head=False),), (ONE,), BASE, "`retest` is update now"),
    ],
    ids=["another head", "a label less", "closed", "base moved", "staged before"],
)
def test_a_run_that_is_not_about_the_branch_any_more_is_given_up(
    runs: tuple[Run, ...], pulls: tuple[PullRequest, ...], base: str, why: str
) -> None:
    assert decided(*pulls, runs=runs, base_sha=base).abandon == (("run-1", why),)


def test_a_head_under_test_is_given_up_when_staging_is_chosen_instead() -> None:
    config = settings(retest=Retest.STAGING, contexts=UPDATING.contexts)

    assert decide(judged(ONE, config=config), config, runs=(on_its_head(ONE),)).abandon == (
        ("run-1", "`retest` is staging now"),
    )


def test_the_want_of_results_alone_does_not_void_the_run_of_a_head() -> None:
    assert is_current(on_its_head(ONE), judged(RUNNING))
    assert not is_current(on_its_head(ONE), judged(pr(1, contexts=RUNNING.contexts, labels=())))


def test_an_update_that_was_asked_for_is_waited_for_whatever_the_base_does() -> None:
    assert is_current(asked(ONE), judged(ONE, base_sha="c" * 40))


def test_contexts_of_the_head_count_on_the_head() -> None:
    """`head_only_contexts` are not awaited on staged commits; here the head itself is tested."""
    config = settings(retest=Retest.UPDATE, contexts=UPDATING.contexts, head_only_contexts=frozenset({"ci/test"}))

    assert verdict(on_its_head(ONE, contexts=()), config, 1000.0).state is RunState.PENDING
    assert verdict(on_its_head(ONE), config, 1000.0).state is RunState.GREEN


def test_a_head_that_ci_never_took_up_says_where_ci_should_run() -> None:
    silent = on_its_head(ONE, contexts=(), ended=RunState.SILENT, ended_at=1000.0)

    assert "pull requests" in convictions([silent], BASE, "", UPDATING, 1000.0)[ONE.head_sha].reason.remedy


@pytest.mark.parametrize(
    ("spoiled", "protection", "why"),
    [
        ({}, Protection(), ""),
        ({"is_fork": True, "maintainer_can_modify": True}, Protection(), ""),
        ({"is_fork": True}, Protection(), "it comes from a fork that maintainers may not push to"),
        ({"head_owner": ""}, Protection(), "the repository of its branch is gone"),
        ({}, Protection(dismisses_stale=True), "a push by mergeq would dismiss its reviews"),
        ({}, Protection(last_push_approval=True), "a push by mergeq would need an approval of its own"),
    ],
    ids=["own branch", "open fork", "closed fork", "deleted fork", "dismisses reviews", "last push approval"],
)
def test_some_branches_are_not_ours_to_update(spoiled: dict[str, Any], protection: Protection, why: str) -> None:
    """Q24, Q25, Q89, Q90."""
    assert not_ours_to_update(pr(1, **{"head_owner": "ana", **spoiled}), protection, UpdateMethod.REBASE) == why


def test_signatures_are_lost_by_a_rebase_alone() -> None:
    pull, signed = pr(1, head_owner="ana"), Protection(signatures=True)

    assert not_ours_to_update(pull, signed, UpdateMethod.MERGE) == ""
    assert not_ours_to_update(pull, signed, UpdateMethod.REBASE) == (
        "a rebase by GitHub would lose the signatures that protection requires"
    )


def test_what_protection_wants_up_to_date_is_updated_in_that_mode_and_told_of_the_mode_elsewhere() -> None:
    behind, strict = pr(1, merge_state="BEHIND"), Protection(up_to_date=True)

    assert decided(behind, protection=strict).action == Update(1, ONE.head_sha, f"first to be held against {BASE[:7]}")
    (reason,) = pool(behind, protection=strict).standings[0].reasons
    assert reason.remedy.endswith("`retest: update` has mergeq do it")


def test_one_that_is_left_behind_is_out_of_the_pool_until_its_head_or_the_base_moves() -> None:
    behind = on_its_head(ONE, staged_sha="", ended=RunState.BEHIND, why="it comes from a fork")
    known = convictions([behind], BASE, "", UPDATING, 1000.0)
    reasons = {head: one.reason for head, one in known.items()}
    left = divide(facts(ONE), UPDATING, Memory(convictions=reasons), 1000.0)

    (reason,) = left.standings[0].reasons
    assert (reason.clause, reason.who) == (Clause.BEHIND, "the author")
    assert reason.observed == f"it lacks commits of {BASE[:7]}, and it comes from a fork"
    assert convictions([behind], "c" * 40, "", UPDATING, 1000.0) == {}
    assert describe(left.standings[0], left, UPDATING).description == (
        "Not mergeable. It is behind its base, and its author has to bring it up to date."
    )


def test_the_status_says_whose_turn_it_is() -> None:
    both = judged(ONE, TWO)

    def said(number: int, *runs: Run) -> str:
        standing = both.standing(number)
        assert standing is not None
        return describe(standing, both, UPDATING, runs=runs).description

    assert said(1) == "Not mergeable. Waits to be brought up to date with main."
    assert said(1, asked(ONE)) == "Not mergeable. Is brought up to date with main."
    assert said(2, asked(ONE)) == "Not mergeable. Waits to be brought up to date with main."
    assert said(1, on_its_head(ONE)) == "In merge pool."


def test_the_method_that_was_chosen_must_still_be_the_one_that_is_asked_for() -> None:
    squashed = on_its_head(ONE, members=(Member(1, ONE.head_sha, Method.SQUASH),))

    assert not is_current(squashed, judged(ONE))
    assert judged(ONE).branch == MAIN
