"""What is tested next in the slots of a branch, and what that comes to over a queue without an end."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from mergeq.core.action import Action, Land, Stage, Wait
from mergeq.core.batch import Conflict, Run, RunState
from mergeq.core.decide import decide
from mergeq.core.pool import BranchSettings
from mergeq.core.pull import PullRequest, Result
from mergeq.core.queue import Order, StagingValues
from mergeq.core.strategy import Scene, Strategy, holds_a_failure
from tests.builders import clash, context, green, insider, pool, run, staging
from tests.core.queueing import LENGTH, Queue
from tests.core.trials import MANY

ONE, TWO, THREE, FOUR, FIVE = (insider(number) for number in range(1, 6))
ALL = (ONE, TWO, THREE, FOUR, FIVE)
MOVED = "c" * 40


def ended(*pulls: PullRequest, state: RunState = RunState.RED, at: float = 1000.0, **changes: Any) -> Run:
    """A run that came to its end at once; of nobody: of the base alone."""
    contexts = {RunState.RED: (context("ci/test", Result.FAILURE),), RunState.GREEN: (green(),)}.get(state, ())
    values = {"id": f"{[one.number for one in pulls]}-{at}", "contexts": contexts, "started_at": at, "ended_at": at}
    return run(*pulls, ended=state, **{**values, **changes})


def chosen(
    *pulls: PullRequest,
    runs: Sequence[Run] = (),
    conflicts: Sequence[Conflict] = (),
    doubt: str = "",
    now: float = 1000.0,
    base: dict[str, Any] | None = None,
    strategy: Strategy | None = None,
    **changes: Any,
) -> Action:
    config = staging(**changes)
    judged = replace(pool(*pulls, config=config, **(base or {})), doubt=doubt)
    return decide(judged, config, runs=runs, conflicts=conflicts, now=now, strategy=strategy).action


def next_run(*pulls: PullRequest, **known: Any) -> tuple[int, ...]:
    """Who is tested next."""
    action = chosen(*pulls, **known)
    assert isinstance(action, Stage), action
    return action.numbers


# The search


@pytest.mark.parametrize("slots", [1, 2])
def test_of_what_is_red_the_first_half_is_tested_down_to_one(slots: int) -> None:
    """T12.8."""
    red = [ended(ONE, TWO, THREE, FOUR)]

    assert next_run(*ALL, runs=red, slots=slots) == (1, 2)
    assert next_run(*ALL, runs=[*red, ended(ONE, TWO)], slots=slots) == (1,)
    assert next_run(*ALL, runs=[*red, ended(ONE, TWO), ended(ONE)], slots=slots) == (1,)


def test_when_the_first_half_has_landed_the_rest_is_to_blame_and_is_searched() -> None:
    """T12.11: by the tree of the base."""
    red = ended(ONE, TWO, THREE, FOUR, trees=("t1", "t2", "t3", "t4"))

    assert next_run(THREE, FOUR, runs=[red], base={"base_sha": MOVED, "base_tree": "t2"}, slots=1) == (3,)


def test_larger_sets_are_searched_while_one_that_is_suspected_alone_waits() -> None:
    runs = [run(), ended(FIVE), ended(FIVE, at=1001.0), ended(ONE, TWO)]

    assert next_run(*ALL, runs=runs, slots=3) == (1,)


def test_the_base_is_tested_too_where_one_is_red_alone_and_nothing_shows_that_it_is_good() -> None:
    """D24."""
    assert next_run(ONE, runs=[ended(ONE), run(ONE)], slots=3) == ()
    assert next_run(ONE, runs=[ended(ONE), ended(ONE, at=1001.0)], slots=1) == ()


def test_who_was_red_on_other_bases_is_tested_once_more_on_this_one() -> None:
    """What was found then has had its time."""
    old = [ended(ONE, base_sha=MOVED, at=1.0), ended(ONE, base_sha=MOVED, at=2.0)]

    assert next_run(ONE, runs=old, slots=1) == (1,)


def test_who_is_suspected_is_in_no_batch() -> None:
    assert next_run(*ALL, runs=[ended(ONE), run(ONE)], slots=2) == (2, 3, 4, 5)


def test_with_more_slots_a_red_batch_is_cut_in_several_places_at_once() -> None:
    runs = [ended(ONE, TWO, THREE, FOUR)]
    found = []
    while isinstance(action := chosen(ONE, TWO, THREE, FOUR, runs=runs, slots=3), Stage):
        found.append(action.numbers)
        runs.append(run(*ALL[: len(action.numbers)]))

    assert sorted(found) == [(1,), (1, 2), (1, 2, 3)]
    assert isinstance(action, Wait)


# The train


def test_with_more_than_two_slots_the_next_are_tested_on_top_of_what_is_under_test() -> None:
    below = run(ONE, TWO)

    assert next_run(*ALL, runs=[below], slots=3, batch_size_limit=2) == (1, 2, 3, 4)
    assert next_run(*ALL, runs=[below, run(ONE, TWO, THREE, FOUR)], slots=3, batch_size_limit=2) == (1, 2, 3, 4, 5)
    assert next_run(ONE, runs=[], slots=3) == (1,)
    assert isinstance(chosen(ONE, TWO, runs=[below], slots=3), Wait)


def test_nothing_is_put_on_top_of_runs_that_do_not_continue_each_other() -> None:
    assert isinstance(chosen(*ALL, runs=[run(ONE, TWO), run(THREE, FOUR)], slots=3, batch_size_limit=2), Wait)


def test_a_green_beginning_lands_and_what_was_tested_on_top_of_it_stays_under_test() -> None:
    """T12.11."""
    first = run(ONE, TWO, contexts=(green(),), trees=("t1", "t2"))
    second = run(*ALL[:4], trees=("t1", "t2", "t3", "t4"))

    assert chosen(*ALL[:4], runs=[first, second], slots=3) == Land("run-1-2", (1, 2), "green together on this base")
    assert chosen(
        THREE, FOUR, runs=[second], slots=3, base={"base_sha": MOVED, "base_tree": "t2"}
    ) == Wait("testing #3, #4")  # fmt: skip


def test_what_begins_with_something_red_is_given_up_and_never_lands() -> None:
    """A flake of the larger run would not prove the smaller one."""
    config, judged = staging(slots=3), pool(*ALL, config=staging())
    runs = [ended(ONE, TWO), run(*ALL[:4])]

    assert holds_a_failure(runs[1], judged, runs)
    assert decide(judged, config, runs=runs, now=1000.0).abandon == (
        ("run-1-2-3-4", "it begins with what is red by itself"),
    )
    runs = [ended(ONE, TWO), run(*ALL[:4], contexts=(green(),))]
    assert not isinstance(decide(judged, config, runs=runs, now=1000.0).action, Land)


# Together


@pytest.mark.parametrize(
    ("tide", "own", "expected"),
    [
        pytest.param(0, None, (1, 2, 3, 4, 5), id="T1.20 zero is no limit"),
        pytest.param(3, None, (1, 2, 3), id="T1.20 a cap"),
        pytest.param(1, None, (1,), id="T4.19 one alone is no batch"),
        pytest.param(-1, None, (1,), id="T1.20, T11.189 batching is off"),
        pytest.param(-1, 2, (1, 2), id="the queue's own limit goes before Tide's"),
        pytest.param(2, 0, (1, 2, 3, 4, 5), id="the queue's own may lift it"),
        pytest.param(4, -5, (1,), id="the queue's own may turn batching off"),
    ],
)
@pytest.mark.parametrize("slots", [1, 2, 3])
def test_a_batch_is_never_larger_than_its_limit(
    tide: int, own: int | None, expected: tuple[int, ...], slots: int
) -> None:
    config = staging(slots=slots, batch_size_limit=tide)
    config = replace(config, queue=replace(config.queue, batch_size_limit=own))

    action = decide(pool(*ALL, config=config), config).action

    assert isinstance(action, Stage)
    assert action.numbers == expected


def test_without_batches_nothing_is_stacked_either() -> None:
    assert isinstance(chosen(*ALL, runs=[run(ONE)], slots=4, batch_size_limit=-1), Wait)


def test_members_are_tested_together_in_the_order_in_which_they_are_served() -> None:
    """T12.15, T12.16, T4.17."""
    urgent = insider(3, labels=("lgtm", "approved", "urgent"))
    entered = {(1, ONE.head_sha): 20.0, (2, TWO.head_sha): 10.0, (3, urgent.head_sha): 30.0}

    def first(**changes: Any) -> tuple[int, ...]:
        config = staging(**changes)
        action = decide(pool(ONE, TWO, urgent, config=config, entered=entered), config).action
        assert isinstance(action, Stage)
        return action.numbers

    assert first(priority=(("urgent",),)) == (3, 2, 1)
    assert first(order=Order.NUMBER) == (1, 2, 3)


def test_who_conflicts_is_left_out_of_what_it_conflicts_with() -> None:
    """T4.16, T4.17, D4."""
    assert next_run(*ALL, conflicts=[clash((ONE,), TWO)], batch_size_limit=2) == (1, 3)
    assert next_run(*ALL, conflicts=[clash((), ONE)]) == (2, 3, 4, 5)
    assert next_run(ONE, TWO, conflicts=[clash((ONE,), TWO, base_sha=MOVED)]) == (1, 2)


# Without a result


def test_what_ci_gave_no_result_for_is_tried_again_as_it_was() -> None:
    """T4.27: a batch where `prioritize_existing_batches` says so, one alone in any case."""
    silent = [ended(ONE, TWO, state=RunState.SILENT)]

    def second(**changes: Any) -> Action:
        config: BranchSettings = replace(staging(slots=1), **changes)
        return decide(pool(*ALL, config=config), config, runs=silent, now=1000.0).action

    assert second() == Stage((1, 2), "CI gave no result")
    assert second(prioritizes_existing_batches=False) == Stage((1, 2, 3, 4, 5), "ready to be tested together")


def test_when_ci_gives_no_result_again_and_again_nothing_is_started_for_a_while() -> None:
    silent = [ended(ONE, TWO, state=RunState.ERROR, at=at) for at in (1000.0, 1001.0)]

    assert chosen(*ALL, runs=silent, now=1002.0) == Wait(
        "CI gave no result several times in a row; mergeq tries again in 59 s"
    )
    assert isinstance(chosen(*ALL, runs=silent, now=1061.0), Stage)


# A base in doubt


def test_a_base_in_doubt_is_tested_alone_before_anything_else() -> None:
    """D22."""
    why, silent = "it was pushed to", [ended(state=RunState.CANCELLED, at=at) for at in (1000.0, 1001.0)]

    assert chosen(ONE, TWO, doubt=why) == Stage((), "the base is tested alone: it was pushed to")
    for runs in ([run()], silent, [ended(), ended(at=1001.0)]):
        assert chosen(ONE, TWO, doubt=why, runs=runs, now=1002.0) == Wait(
            "the base is tested alone before anything else: it was pushed to"
        )
    assert chosen(ONE, TWO, doubt=why, runs=[ended(state=RunState.GREEN)]) == Stage(
        (1, 2), "ready to be tested together"
    )


def test_what_mends_a_base_that_is_red_lands() -> None:
    """D24: it is green where the base is not."""
    runs = [ended(at=1.0), ended(at=2.0), run(TWO, contexts=(green(),))]

    assert chosen(ONE, TWO, runs=runs) == Land("run-2", (2,), "green on this base")


# A strategy is a value


def test_a_strategy_is_a_value_and_sees_what_is_known() -> None:
    """D3: whoever has another way to use the slots hands it over."""
    seen: list[Scene] = []

    def the_last_first(scene: Scene) -> Iterator[Stage]:
        seen.append(scene)
        yield from (Stage((one.pull.number,), "from behind") for one in reversed(scene.order))

    backwards = Strategy("backwards", the_last_first)

    assert chosen(ONE, TWO, THREE, strategy=backwards) == Stage((3,), "from behind")
    assert chosen(ONE, TWO, THREE, runs=[run(THREE)], strategy=backwards) == Stage((2,), "from behind")
    assert [one.pending for one in seen] == [(), ((3,),)]
    assert seen[0].tries(9) == 0


# What it comes to


@pytest.mark.parametrize(("p", "runs"), [(0.05, 0.33), (0.10, 0.52), (0.20, 0.82)])
def test_one_slot_resolves_a_queue_with_as_few_runs_as_halving_can(p: float, runs: float) -> None:
    """Bisection with inference at b = 8 takes these many for each pull request, besides one for each that is convicted,
    which is red once more (D24). Nothing bad lands: that the queue itself asserts.
    """
    config = staging(slots=1, batch_size_limit=8, staging=StagingValues(keep=LENGTH))
    queues = [Queue(config, p, seed=seed, waiting=10) for seed in range(1, 2 + round(4 * MANY))]
    wanted, within = (250, 0.1) if MANY >= 1 else (60, 0.4)  # few scatter
    for queue in queues:
        while queue.resolved < wanted:
            queue.turn()

    resolved, found = sum(queue.resolved for queue in queues), sum(len(queue.convicted) for queue in queues)
    confirming = sum(queue.confirming for queue in queues)
    assert sum(queue.started for queue in queues) - confirming == pytest.approx(runs * resolved, rel=within)
    assert confirming == pytest.approx(found, rel=within)
    assert [queue.innocent for queue in queues] == [set()] * len(queues)


@pytest.mark.parametrize("slots", [1, 2, 3, 8])
def test_whatever_ci_invents_everybody_good_lands_and_everybody_bad_is_found(slots: int) -> None:
    """D24: a tenth of all runs is red for nothing, and they end in any order."""
    total = 60 if MANY >= 1 else 20
    queue = Queue(
        staging(slots=slots, batch_size_limit=4), 0.1, flakes=0.1, jitter=0.5, seed=slots, waiting=12, total=total
    )
    while queue.left or queue.bad - {int(head, 16) for head in queue.convicted}:
        queue.turn()
        assert queue.now < 2000 * LENGTH

    assert sorted(queue.landed) == sorted({*range(1, total + 1)} - queue.bad)


def test_a_flake_in_a_batch_convicts_nobody() -> None:
    """D24."""
    queue = Queue(staging(slots=2, batch_size_limit=8), flakes=0.05, seed=2, waiting=16, total=100)
    while queue.left:
        queue.turn()

    assert (len(queue.landed), queue.convicted) == (100, {})
    assert queue.started > 100 / 8 + 1


def test_two_that_are_good_alone_and_bad_together_are_not_both_landed() -> None:
    """The second is tested on what the first has made of the base."""
    red = ended(ONE, TWO, trees=("t1", "t2"))
    first = run(ONE, contexts=(green(),), trees=("t1",))

    assert chosen(ONE, TWO, runs=[red, first]) == Land("run-1", (1,), "green on this base")
    after = {"base_sha": MOVED, "base_tree": "t1"}
    assert next_run(TWO, runs=[red, replace(first, ended=RunState.GREEN)], base=after) == (2,)
    again = ended(TWO, base_sha=MOVED, base_tree="t1", at=1001.0)
    runs = [red, replace(first, ended=RunState.GREEN), again]
    assert isinstance(chosen(TWO, runs=runs, base=after, staging=StagingValues(retries=1)), Wait)
