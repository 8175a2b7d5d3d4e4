"""What watching over an organization costs is what ARCHITECTURE says, by what the sandbox has counted."""

from collections.abc import Callable, Iterable
from math import ceil

import pytest

from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.records import Pull
from tests.bench.organization import KINDS, LAST, READY_BUT_FOR_LAST, found, misjudged
from tests.bench.virtual import Cost, Queue
from tests.conftest import CONFIG, Mergeq

HOURLY = CONFIG + "mergeq: {sweep: {period: 1h}}\n"
SIZES = [(1, 3, 1, 0, 1), (4, 40, 3, 2, 2), (60, 130, 5, 1, 3)]
"""Repositories, open pull requests, events, pushes and landings of an hour."""


def swept(pulls: Iterable[Pull]) -> int:
    """The points of one sweep over the pull requests that are open."""
    waiting = [pull for pull in pulls if pull.is_open]
    return ceil(len(waiting) / 100) + ceil(len({pull.repo for pull in waiting}) / 48)


@pytest.fixture
def queued(github: Sandbox, clock: ManualClock, start_mergeq: Callable[..., Mergeq]) -> Queue:
    return Queue(start_mergeq(HOURLY).services, github, clock)


def during(queued: Queue, seconds: float) -> Cost:
    before = queued.cost()
    queued.pass_time(seconds)
    return queued.cost() - before


@pytest.mark.parametrize(("repos", "pulls", "events", "pushes", "landings"), SIZES)
def test_an_hour_costs_what_happens_in_it_and_one_sweep(
    github: Sandbox, queued: Queue, repos: int, pulls: int, events: int, pushes: int, landings: int
) -> None:
    kinds = (READY_BUT_FOR_LAST,) * landings + KINDS * ceil(pulls / len(KINDS))
    made = found(github, repos, pulls, kinds[:pulls])
    queued.listen()

    cold = during(queued, 1)

    assert misjudged(github, queued.services) == []
    assert cold.points <= swept(made) + 2 * ceil(pulls / 34)
    assert cold.rest == 0

    queued.pass_time(2 * 3600)
    idle = during(queued, 3600)

    assert idle.points == swept(made)
    assert (idle.rest, idle.statuses) == (0, 0)

    before = queued.cost()
    for pull in made[-events:]:
        github.world.add_label(pull, "area/engine")
        queued.pass_time(60)
    for repo in [github.world.repo(pull.repo) for pull in made[-pushes:] if pushes]:
        github.world.push(repo, "main", {"README.md": f"changed at {queued.clock.now()}\n"})
        queued.pass_time(60)
    for pull in made[:landings]:
        github.world.set_status(pull.repo, pull.head_sha, context=LAST)
        queued.pass_time(60)
    queued.pass_time(3600 - 60 * (events + pushes + landings))
    busy = queued.cost() - before

    assert all(pull.merged for pull in made[:landings])
    assert swept(made) < busy.points <= idle.points + events + 2 * pushes + 6 * landings
    assert busy.rest == landings
    assert busy.statuses <= landings + events


def test_without_webhooks_sweeps_cost_what_they_always_do(
    github: Sandbox, clock: ManualClock, start_mergeq: Callable[..., Mergeq]
) -> None:
    made = found(github, 3, 12)
    queued = Queue(start_mergeq().services, github, clock)
    queued.pass_time(120)

    cost = during(queued, 600)

    assert cost.points == 10 * swept(made)
    assert cost.rest + cost.statuses == 0
