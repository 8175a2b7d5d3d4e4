"""Who may spend of what GitHub allows, and who waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergeq.core.budget import BudgetValues, Purpose, Spent, held_until, line, pause, stretch

USUAL = BudgetValues()
NOW = 1000.0


def left(remaining: float, limit: float = 5000.0, ends_at: float = 2000.0) -> Spent:
    return Spent("*", "graphql", ends_at, limit, remaining)


@pytest.mark.parametrize(
    ("remaining", "going_on"),
    [
        (1001, set(Purpose)),
        (1000, set(Purpose) - {Purpose.SWEEP}),
        (925, set(Purpose) - {Purpose.SWEEP, Purpose.LOOK_IDLE}),
        (
            850,
            {Purpose.LOOK, Purpose.STAGING, Purpose.PROTECTION, Purpose.LANDING},
        ),
        (700, {Purpose.LOOK, Purpose.STAGING, Purpose.PROTECTION, Purpose.LANDING}),
        (500, {Purpose.LOOK, Purpose.STAGING, Purpose.LANDING}),
        (450, {Purpose.LANDING}),
        (200, set()),
    ],
    ids=[
        "a fifth left", "no sweeps", "no looks at idle branches", "no statuses", "floors alone",
        "no protection", "landings alone", "another's floor",
    ],
)  # fmt: skip
def test_the_less_is_left_the_fewer_go_on_and_landings_last(remaining: float, going_on: set[Purpose]) -> None:
    """D12."""
    assert {purpose for purpose in Purpose if held_until(purpose, left(remaining), USUAL, NOW) is None} == going_on


def test_who_is_held_back_learns_when_the_hour_ends() -> None:
    assert held_until(Purpose.SWEEP, left(10), USUAL, NOW) == 2001.0


@pytest.mark.parametrize(
    "spent",
    [None, Spent("*", "core", 2000.0), left(0, ends_at=1000.0)],
    ids=["nothing was asked yet", "GitHub tells no limit", "the hour is over"],
)
def test_nobody_is_held_back_where_no_budget_is_known(spent: Spent | None) -> None:
    """Q84."""
    assert held_until(Purpose.SWEEP, spent, USUAL, NOW) is None


def test_floors_leave_half_of_a_small_limit_to_everybody() -> None:
    assert line(Purpose.STATUS, USUAL, 100.0) == pytest.approx(50.0)
    assert line(Purpose.LANDING, USUAL, 100.0) == pytest.approx(50 * 200 / 700)


def test_without_floors_and_reserve_everything_may_be_spent() -> None:
    free = BudgetValues(0.0, {})

    assert {line(purpose, free, 5000.0) for purpose in Purpose} == {0.0}


@given(
    limit=st.integers(1, 20000), reserve=st.floats(0, 1), landing=st.integers(0, 9000), protection=st.integers(0, 9000)
)
def test_nobody_may_spend_what_a_landing_may_not(limit: int, reserve: float, landing: int, protection: int) -> None:
    values = BudgetValues(reserve, {"landing": landing, "protection": protection})
    lines = {purpose: line(purpose, values, limit) for purpose in Purpose if purpose is not Purpose.PROTECTION}

    assert max(lines.values()) == lines[Purpose.SWEEP]
    assert min(lines.values()) == lines[Purpose.LANDING]


@pytest.mark.parametrize(
    ("remaining", "times"), [(5000, 1.0), (2000, 1.0), (1500, 2.0), (1100, 10.0), (1000, 10.0), (0, 10.0)]
)
def test_sweeps_become_rarer_before_they_stop(remaining: float, times: float) -> None:
    assert stretch(left(remaining), USUAL, NOW) == times


@pytest.mark.parametrize("spent", [Spent("*", "graphql", 2000.0), left(0, ends_at=1000.0)])
def test_sweeps_keep_their_pace_where_no_budget_is_known(spent: Spent) -> None:
    assert stretch(spent, USUAL, NOW) == 1.0


@pytest.mark.parametrize(
    ("asked_for", "strikes", "seconds"),
    [(7.0, 3, 7.0), (None, 0, 60.0), (None, 1, 120.0), (None, 9, 960.0), (-5.0, 0, 60.0)],
    ids=["as GitHub says", "a minute", "twice of it", "at most sixteen", "a moment that has gone by"],
)
def test_github_is_left_alone_for_as_long_as_it_says_or_ever_longer(
    asked_for: float | None, strikes: int, seconds: float
) -> None:
    """Q59, Q61."""
    assert pause(asked_for, strikes) == seconds
