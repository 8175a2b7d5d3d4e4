"""Who is held responsible for a test that was not passed, and who is only suspected (D24)."""

from dataclasses import replace
from typing import Any

import pytest

from mergeq.core.batch import Run, RunState
from mergeq.core.contexts import ContextPolicy
from mergeq.core.conviction import (
    Blame,
    Conviction,
    Health,
    again,
    convictions,
    ends_of_waiting,
    health_of,
    holds,
    is_evidence,
    pause,
    suspects,
)
from mergeq.core.pool import BranchSettings
from mergeq.core.pull import Context, PullRequest, Result
from mergeq.core.queue import StagingValues
from mergeq.core.reason import Clause, Reason
from tests.builders import BASE, context, green, insider, pool, run, staging

ONE, TWO, THREE, FOUR = insider(1), insider(2), insider(3), insider(4)
MOVED = "c" * 40
RED = (context("ci/test", Result.FAILURE, url="https://ci/9"),)
SAID: dict[RunState, tuple[Context, ...]] = {RunState.RED: RED, RunState.GREEN: (green(),), RunState.SILENT: ()}


def ended(*pulls: PullRequest, state: RunState = RunState.RED, at: float = 1000.0, **changes: Any) -> Run:
    """A run that came to its end at once; of nobody: of the base alone."""
    values = {"id": f"{[one.number for one in pulls]}-{at}", "contexts": SAID.get(state, run().contexts)}
    return run(*pulls, **{"ended": state, "started_at": at, "ended_at": at, **values, **changes})


BASE_IS_GREEN = ended(state=RunState.GREEN, at=1.0)
BASE_IS_RED = (ended(at=1.0), ended(at=2.0))


def convicted(
    *runs: Run, base_sha: str = BASE, base_tree: str = "", config: BranchSettings | None = None, now: float = 2000.0
) -> dict[str, Conviction]:
    return convictions(runs, base_sha, base_tree, config or staging(), now)


def health(*runs: Run, base_tree: str = "") -> Health:
    return health_of(runs, BASE, base_tree, staging(), 2000.0).health


# The base


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        pytest.param((), Health.UNKNOWN, id="never tested"),
        pytest.param((run(),), Health.PENDING, id="under test"),
        pytest.param((BASE_IS_GREEN,), Health.GOOD, id="green"),
        pytest.param((BASE_IS_GREEN, run()), Health.GOOD, id="green, and under test once more"),
        pytest.param((ended(at=1.0),), Health.UNKNOWN, id="red once: it is repeated"),
        pytest.param((ended(at=1.0), run()), Health.PENDING, id="red once, repeated"),
        pytest.param(BASE_IS_RED, Health.BAD, id="red twice"),
        pytest.param((*BASE_IS_RED, ended(state=RunState.GREEN, at=3.0)), Health.GOOD, id="green in the end"),
        pytest.param((ended(state=RunState.SILENT), ended(state=RunState.SILENT, at=2.0)), Health.UNKNOWN, id="silent"),
        pytest.param((ended(ONE, at=1.0), ended(ONE, at=2.0)), Health.UNKNOWN, id="of a pull request"),
        pytest.param((ended(state=RunState.GREEN, base_sha=MOVED),), Health.UNKNOWN, id="of another base"),
    ],
)
def test_a_base_is_as_it_was_tested_alone(runs: tuple[Run, ...], expected: Health) -> None:
    """D22, D24."""
    assert health(*runs) is health(*reversed(runs)) is expected


def test_a_green_run_of_which_all_have_landed_shows_that_the_base_is_good() -> None:
    landed = run(ONE, TWO, base_sha=MOVED, trees=("t1", "t2"), contexts=(green(),))

    assert health(landed, base_tree="t2") is Health.GOOD
    assert health(landed, base_tree="t1") is Health.UNKNOWN


# Who is to blame


def test_one_red_run_is_repeated_before_it_counts() -> None:
    """D24."""
    assert convicted(BASE_IS_GREEN, ended(ONE)) == {}


def test_who_is_red_alone_twice_on_a_good_base_is_held_responsible() -> None:
    """D24."""
    found = convicted(BASE_IS_GREEN, ended(ONE, at=3.0), ended(ONE, at=4.0), ended(TWO))

    assert list(found) == [ONE.head_sha]
    one = found[ONE.head_sha]
    assert (one.blame, one.reason.clause, one.reason.items) == (Blame.ITSELF, Clause.STAGED, ("ci/test",))
    assert one.reason.observed == (
        "ci/test failed on 5555555 (mergeq/main-1, https://ci/9), this pull request on base bbbbbbb, 2 times"
    )


@pytest.mark.parametrize("base", [(), (run(),), (ended(at=1.0),)], ids=["unknown", "under test", "red once"])
def test_nobody_is_convicted_before_the_base_is_known(base: tuple[Run, ...]) -> None:
    """D24."""
    assert convicted(*base, ended(ONE, at=3.0), ended(ONE, at=4.0)) == {}


def test_where_the_base_is_red_itself_nobody_is_to_blame() -> None:
    """D24."""
    found = convicted(*BASE_IS_RED, ended(ONE, at=3.0), ended(ONE, at=4.0))[ONE.head_sha]

    assert found.blame is Blame.BASE
    assert "on the base alone too (ci/test failed): it is not its fault" in found.reason.observed
    assert not holds(found, BASE, "", 2000.0)


def test_what_was_red_on_a_base_that_was_red_itself_does_not_count_on_the_next() -> None:
    """D24: two red runs on good bases, whatever was before."""
    before = (*BASE_IS_RED, ended(ONE, at=3.0), ended(ONE, at=4.0))
    good = ended(state=RunState.GREEN, base_sha=MOVED)
    first, second = ended(ONE, base_sha=MOVED, at=5.0), ended(ONE, base_sha=MOVED, at=6.0)

    assert convicted(*before, good, first, base_sha=MOVED) == {}
    assert [*convicted(*before, good, first, second, base_sha=MOVED)] == [ONE.head_sha]


def test_a_base_that_moves_on_and_on_saves_nobody() -> None:
    """T12.11: one red run on each of two bases is red twice."""
    good = ended(state=RunState.GREEN, base_sha=MOVED)

    assert [*convicted(ended(ONE, at=1.0), good, ended(ONE, base_sha=MOVED, at=2.0), base_sha=MOVED)] == [ONE.head_sha]
    assert convicted(ended(ONE, at=1.0), ended(ONE, at=2.0), good, base_sha=MOVED) == {}


def test_a_red_batch_whose_others_have_landed_is_a_red_run_of_its_last_member() -> None:
    series = ended(ONE, TWO, base_sha=MOVED, trees=("t1", "t2"))
    first = run(ONE, base_sha=MOVED, trees=("t1",), contexts=(green(),))

    assert [*convicted(series, first, ended(TWO, at=1001.0), base_tree="t1")] == [TWO.head_sha]


@pytest.mark.parametrize(
    "runs",
    [
        pytest.param((ended(ONE), ended(ONE, at=1001.0, state=RunState.GREEN)), id="green in the end"),
        pytest.param((ended(ONE), run(ONE, contexts=RED)), id="one has not ended"),
        pytest.param((ended(ONE, TWO), ended(ONE, TWO, at=1001.0)), id="not alone"),
        pytest.param((ended(ONE), ended(insider(1, head_sha="9" * 40))), id="of two heads"),
        pytest.param((ended(ONE, on_head=True, base_sha=MOVED),) * 2, id="on its own branch on another base"),
    ],
)
def test_nobody_is_convicted_by_what_was_not_seen_twice_alone(runs: tuple[Run, ...]) -> None:
    """D24: inference from others orders the search, it does not convict."""
    assert convicted(BASE_IS_GREEN, *runs) == {}


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_how_often_a_red_run_is_repeated_is_configured(retries: int) -> None:
    config = staging(staging=StagingValues(retries=retries))
    tries = [ended(ONE, at=float(at + 2)) for at in range(retries + 1)]

    assert convicted(BASE_IS_GREEN, *tries[:-1], config=config) == {}
    (found,) = convicted(BASE_IS_GREEN, *tries, config=config).values()
    assert ("times" in found.reason.observed) == (retries > 0)


def test_what_does_not_count_any_more_is_held_against_nobody() -> None:
    """The configuration has changed since: the context that failed is optional now."""
    tries = [ended(ONE, at=at, contexts=(green(), context("e2e", Result.FAILURE))) for at in (3.0, 4.0)]
    lenient = staging(contexts=ContextPolicy(required=frozenset({"ci/test"}), optional=frozenset({"e2e"})))

    assert [*convicted(BASE_IS_GREEN, *tries)] == [ONE.head_sha]
    assert convicted(BASE_IS_GREEN, *tries, config=lenient) == {}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (RunState.SILENT, "ci/test never appeared within 600 s on 5555555"),
        (RunState.OVERDUE, "ci/test is still running within 7200 s on 5555555"),
        (RunState.CANCELLED, "ci/test is still running on 5555555"),
    ],
)
def test_who_gets_no_result_stands_back_for_longer_each_time_and_is_not_to_blame(state: RunState, told: str) -> None:
    tries = [ended(ONE, state=state, at=at) for at in (1000.0, 1001.0, 1002.0)]

    assert convicted(tries[0]) == {}
    (second,) = convicted(*tries[:2], now=1002.0).values()
    (third,) = convicted(*tries, now=1002.0).values()
    assert (second.blame, second.until - second.at, third.until - third.at) == (Blame.NOBODY, 600.0, 1200.0)
    assert second.reason.observed.startswith(told)
    assert second.reason.who == "whoever runs CI for the repository"
    assert ends_of_waiting(tries, BASE, "", staging(), 1002.0) == [1002.0 + 120.0, third.until]
    assert convicted(*tries, now=third.until) == {}
    assert holds(third, MOVED, "", third.until - 1)
    assert not holds(third, BASE, "", third.until)


# How long it lasts


REASON = Reason(Clause.STAGED, "", "", "", "")
FOUND = Conviction(REASON, Blame.ITSELF, BASE, "t", at=1000.0)


def test_a_conviction_outlasts_its_base_for_twice_as_long_each_time() -> None:
    first = again(FOUND, None)
    second = again(replace(FOUND, base_sha=MOVED), first)

    assert (first.until, first.times) == (4600.0, 1)
    assert (second.until, second.times) == (8200.0, 2)
    assert again(FOUND, replace(first, times=99)).until == 1000.0 + 86400.0


def test_what_nobody_is_to_blame_for_is_kept_as_it_is() -> None:
    resting = replace(FOUND, blame=Blame.NOBODY, until=1600.0)

    assert again(resting, FOUND) == resting
    assert again(FOUND, resting).times == 1


def test_a_conviction_holds_on_its_own_base_and_elsewhere_for_its_time() -> None:
    kept = again(FOUND, None)

    assert holds(kept, BASE, "", 99_999.0)
    assert holds(kept, MOVED, "t", 99_999.0)
    assert holds(kept, MOVED, "else", kept.until - 1)
    assert not holds(kept, MOVED, "else", kept.until)
    assert not holds(replace(kept, base_tree=""), MOVED, "", kept.until)


# When CI gives no result


@pytest.mark.parametrize(("silent", "seconds"), [(0, None), (1, None), (2, 60.0), (3, 120.0), (4, 240.0), (20, 3600.0)])
def test_while_ci_gives_no_result_nothing_is_started_for_longer_and_longer(silent: int, seconds: float | None) -> None:
    runs = [ended(TWO, at=1.0), *(ended(ONE, state=RunState.CANCELLED, at=at + 2.0) for at in range(silent))]

    assert pause(runs) == pause(runs[::-1]) == (0.0 if seconds is None else runs[-1].ended_at + seconds)


# Who is suspected


def suspected(*runs: Run, pulls: tuple[PullRequest, ...] = (ONE, TWO, THREE, FOUR)) -> list[tuple[int, ...]]:
    found = suspects(pool(*pulls, config=staging()), runs, staging())
    return [tuple(member.number for member in one) for one in found]


def test_a_red_run_makes_its_members_suspicious_and_a_smaller_one_explains_it() -> None:
    """T12.8."""
    assert suspected(ended(ONE, TWO, THREE, FOUR)) == [(1, 2, 3, 4)]
    assert suspected(ended(ONE, TWO, THREE, FOUR), ended(ONE, TWO)) == [(1, 2)]
    assert suspected(ended(ONE, TWO), ended(THREE, FOUR), ended(THREE)) == [(3,), (1, 2)]


def test_a_red_run_is_explained_by_a_member_that_was_pushed_or_put_out_of_the_pool() -> None:
    pushed, held = insider(2, head_sha="9" * 40), insider(2, is_draft=True)

    for changed in (pushed, held):
        assert suspected(ended(ONE, TWO), pulls=(ONE, changed)) == []
    assert suspected(ended(ONE, TWO), pulls=(ONE,)) == [(1,)]


def test_a_suspicion_outlasts_the_base_and_ends_when_the_same_are_green() -> None:
    old = ended(ONE, TWO, base_sha=MOVED)

    assert suspected(old) == [(1, 2)]
    assert suspected(old, ended(ONE, TWO, state=RunState.GREEN, at=1001.0)) == []


def test_what_got_no_result_is_suspicious_only_when_that_was_repeated() -> None:
    once, twice = (ended(ONE, TWO, state=RunState.OVERDUE, at=at) for at in (1.0, 2.0))

    assert suspected(once) == []
    assert suspected(once, twice) == [(1, 2)]


def test_what_is_under_way_or_behind_or_about_nobody_makes_nobody_suspicious() -> None:
    assert suspected(run(ONE, TWO), ended(ONE, on_head=True), ended(), ended(TWO, state=RunState.BEHIND)) == []


# What is kept


@pytest.mark.parametrize(
    ("kept", "moved", "later"),
    [
        pytest.param(run(ONE), True, True, id="under way"),
        pytest.param(ended(ONE), True, False, id="red"),
        pytest.param(ended(TWO), False, False, id="red, of nobody who is open"),
        pytest.param(ended(ONE, state=RunState.GREEN), True, False, id="green"),
        pytest.param(ended(), True, False, id="of the base alone"),
        pytest.param(ended(ONE, on_head=True), False, False, id="of a branch of its own"),
    ],
)
def test_a_run_is_kept_as_long_as_it_may_say_something(kept: Run, moved: bool, later: bool) -> None:
    def is_kept(base_sha: str, now: float) -> bool:
        return is_evidence(kept, {ONE.head_sha}, base_sha, "", keep=60.0, now=now)

    assert is_kept(BASE, 1010.0)
    assert is_kept(MOVED, 1010.0) is moved
    assert is_kept(MOVED, 999_999.0) is later
