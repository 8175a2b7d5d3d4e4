"""What mergeq asks of GitHub when webhooks are delivered, on the sandbox's virtual clock, as GitHub counts it."""

import time
from collections.abc import Sequence
from functools import cache, partial

from mergeq.sandbox import CiConfig
from mergeq.sandbox.records import Pull
from tests.bench.frame import Bench, Measured, tell
from tests.bench.organization import KINDS, LAST, READY_BUT_FOR_LAST, found, misjudged
from tests.bench.virtual import Cost, Queue, github_and_clock, queue, told
from tests.conftest import CONFIG, READY

_HOUR = 3600.0
_UNSWEPT = CONFIG.replace("tide:", "tide:\n  sync_period: 24h", 1)
"""What landings cost is measured without what looking around costs."""
_STAGED = _UNSWEPT + (
    f"  context_options: {{required-contexts: [{LAST}]}}\n"
    "mergeq: {queue: {retest: staging, landing: pull-request, batch_size_limit: 10}}\n"
)
_PUSHED = _STAGED.replace("landing: pull-request", "landing: auto")


@cache
def _organization(share: float) -> tuple[str, Cost, float, Cost]:
    """What is there; the cost of a cold start, its seconds of work here, and the cost of two idle hours after it."""
    repos, pulls = max(2, round(1000 * share)), max(10, round(5000 * share))
    with github_and_clock() as (github, clock):
        made = found(github, repos, pulls, told(KINDS))
        tell(f"{repos} repositories with {pulls} open pull requests are there")
        with queue(github, clock, CONFIG) as queued:
            started = time.perf_counter()
            queued.pass_time(1)
            _until_right(queued)
            cold, seconds = queued.cost(), time.perf_counter() - started
            tell(f"a cold start: {cold}, {seconds:.0f} s")
            queued.fall_silent(made[0])
            before = queued.cost()
            queued.pass_time(2 * _HOUR)
            idle = queued.cost() - before
            tell(f"two idle hours: {idle}")
            assert not misjudged(github, queued.services)
    return f"{repos} repositories with {pulls} open pull requests", cold, seconds, idle


def _until_right(queued: Queue) -> None:
    """Let minutes pass, an hour at most, until every open pull request is judged as its facts say."""
    for _ in range(60):
        if not misjudged(queued.github, queued.services):
            return
        queued.pass_time(60)
    assert misjudged(queued.github, queued.services) == []


def cold_points(share: float) -> Measured:
    """An organization that nothing is known of, until every pool is right."""
    what, cold, seconds, _ = _organization(share)
    said = f"{what}, each judged as its facts say by an independent reckoning: {cold}. {seconds:.0f} s of work here"
    return Measured(cold.points, f"{said}, GitHub's own included; most have a status from an earlier time.")


def idle_points(share: float) -> Measured:
    """An hour in which nothing happens."""
    what, _, _, idle = _organization(share)
    return Measured(idle.points / 2, f"{what}, webhooks delivered, nothing happens. Two hours: {idle}.")


def idle_calls(share: float) -> Measured:
    """REST calls of an hour in which nothing happens, status writes included."""
    what, _, _, idle = _organization(share)
    return Measured((idle.rest + idle.statuses) / 2, f"{what}: as `idle_points`.")


def calls_per_landing(share: float) -> Measured:
    """Each pull request of which the last context becomes green lands by itself."""
    repos = max(1, round(10 * share))
    with github_and_clock() as (github, clock):
        pulls = found(github, repos, 5 * repos, (READY_BUT_FOR_LAST,))
        with queue(github, clock, _UNSWEPT) as queued:
            queued.pass_time(60)
            before = queued.cost()
            for pull in pulls:
                _end(queued, pull)
                queued.pass_time(30)
            return _per_landing(queued.cost() - before, pulls, "one after another, `retest: head`")


def calls_per_landing_batch(share: float) -> Measured:
    """Ten pull requests are staged together, tested, and land one by one."""
    return _batches(share, _STAGED, "by pull request")


def calls_per_landing_pushed(share: float) -> Measured:
    """Ten pull requests are staged together, tested, and land by one push of what was tested."""
    return _batches(share, _PUSHED, "by fast-forward")


def _batches(share: float, config: str, way: str) -> Measured:
    repos = max(1, round(5 * share))
    with github_and_clock() as (github, clock):
        pulls = found(github, repos, 0, prefix="acme/staged")
        for repo in [one for one in github.world.repos() if one.owner == "acme"]:
            repo.ci = CiConfig(LAST, branches=("mergeq/**",), pull_requests=False, delay=60.0)
            pulls += [
                github.world.open_pull(repo, title=f"Part {n}", files={f"{n}.txt": "1\n"}, labels=READY)
                for n in range(10)
            ]
            github.world.push(repo.full_name, "main", {"elsewhere.txt": "1\n"})
        for pull in pulls:
            github.world.set_status(pull.repo, pull.head_sha, context=LAST, state="pending")
        with queue(github, clock, config) as queued:
            queued.pass_time(60)
            before = queued.cost()
            for first in range(0, len(pulls), 10):
                for pull in pulls[first : first + 10]:
                    _end(queued, pull)
                queued.pass_time(300)
            return _per_landing(queued.cost() - before, pulls, f"ten at a time by one staged run, {way}")


def _end(queued: Queue, pull: Pull) -> None:
    """The last context becomes green."""
    queued.github.world.set_status(pull.repo, pull.head_sha, context=LAST, state="success")


def _per_landing(cost: Cost, pulls: Sequence[Pull], how: str) -> Measured:
    landed = sum(pull.merged for pull in pulls)
    assert landed == len(pulls), f"{landed} of {len(pulls)} landed: {cost}"
    said = f"{landed} landed {how}, webhooks delivered: {cost}; {cost.statuses / landed:.1f} statuses for each."
    return Measured((cost.graphql + cost.rest) / landed, said)


_ACTIVE = 20
"""Pull requests to which something happens within an hour: each gets a label, a red context, a green one, and lands."""


def slope(share: float) -> Measured:
    """The same events in organizations of different sizes: what an hour costs above one in which nothing happens."""
    active = max(1, round(_ACTIVE * share))
    sizes = [max(active, round(size * share)) for size in (100, 1000, 5000)]
    hours = [_eventful(size, active) for size in sizes]
    above = [max((eventful - idle).points, 1) for eventful, idle in hours]
    said = "; ".join(
        f"{size} repositories: {points} points ({eventful.points} with the events, {idle.points} without)"
        for size, points, (eventful, idle) in zip(sizes, above, hours, strict=True)
    )
    return Measured(above[-1] / above[0], f"{3 * active} events in an hour, {active} landings. {said}.")


def _eventful(repos: int, active: int) -> tuple[Cost, Cost]:
    """What an hour with events costs, and the one after it, in which nothing happens."""
    with github_and_clock() as (github, clock):
        mine = found(github, repos, repos, told([READY_BUT_FOR_LAST]), even=True)[:active]
        with queue(github, clock, CONFIG) as queued:
            queued.pass_time(1)
            queued.fall_silent(mine[0])
            before = queued.cost()
            act = partial(queued.github.world.set_status, context=LAST)
            for pull in mine:
                for step in (
                    partial(queued.github.world.add_label, pull, "kind/feature"),
                    partial(act, pull.repo, pull.head_sha, state="failure"),
                    partial(act, pull.repo, pull.head_sha, state="success"),
                ):
                    step()
                    queued.pass_time(_HOUR / active / 3)
            eventful, between = queued.cost() - before, queued.cost()
            assert all(pull.merged for pull in mine)
            queued.pass_time(_HOUR)
            idle = queued.cost() - between
            tell(f"{repos} repositories: {eventful} with events, {idle} without")
    return eventful, idle


BENCHES: tuple[Bench, ...] = (
    Bench("idle_points", "pt", idle_points, limit=100),
    Bench("idle_calls", "calls", idle_calls, limit=100),
    Bench("cold_points", "pt", cold_points, limit=500),
    Bench("calls_per_landing", "calls", calls_per_landing, limit=6),
    Bench("calls_per_landing_batch", "calls", calls_per_landing_batch, limit=7),
    Bench("calls_per_landing_pushed", "calls", calls_per_landing_pushed, limit=3),
    Bench("slope", "-fold", slope, limit=1.2),
)
