"""What the pure part costs: judging a pull request, looking up a branch, deciding for many, reading configuration."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import FrameType
from typing import Any

from mergeq.config import ConfigError, Configuration, load
from mergeq.core import query
from mergeq.core.action import wire_name
from mergeq.core.branchprotector import JobContexts
from mergeq.core.decide import Situation, decide, judge
from mergeq.core.explain import explain
from mergeq.core.pool import divide
from mergeq.core.pull import Branch
from mergeq.core.queue import Retest
from mergeq.core.status import describe
from mergeq.store import SavedPool
from tests.bench.frame import Bench, Measured, timed
from tests.bench.worlds import NOW, REAL, ROOT, branches, configurations, described, situation

Work = Callable[[], object]


def requirement_diff(share: float) -> Measured:
    """One query against one pull request."""
    config, *_ = configurations()
    worlds = _worlds(config, _some(200, share), 10)
    cases = [
        (wanted, pull, settings.demands)
        for one in worlds
        for settings in (config.for_branch(one.facts.branch),)
        for pull in one.facts.pulls
        for wanted in settings.queries
    ]
    return _each(share, len(cases), lambda: [query.unmet(*case) for case in cases], "query against pull request")


def context_policy(share: float) -> Measured:
    """The contexts that count on one branch."""
    return _lookups(share, lambda config, branch: config.contexts(branch), "contexts of a branch")


def merge_method(share: float) -> Measured:
    """The configured method of one branch."""
    return _lookups(share, lambda config, branch: config.methods.for_branch(branch), "merge method of a branch")


def policy_merge(share: float) -> Measured:
    """The protection of one branch, out of all its levels."""
    jobs = JobContexts()
    return _lookups(share, lambda config, branch: config.protection.of(branch, jobs), "protection policy of a branch")


def decide_1000(share: float) -> Measured:
    """One decision for one branch with a thousand pull requests, which are staged."""
    config, *_ = configurations()
    branch = next(branches(config, 1))
    settings = config.for_branch(branch)
    settings = replace(settings, queue=replace(settings.queue, retest=Retest.STAGING, staging_contexts=frozenset("e")))
    one = situation(config, branch, _some(1000, share))
    pool = divide(one.facts, replace(settings, queue=replace(settings.queue, retest=Retest.HEAD)), one.memory, NOW)
    times = 20
    timing = timed(lambda: lambda: [decide(pool, settings, now=NOW) for _ in range(times)], _some(7, share))
    said = type(decide(pool, settings, now=NOW).action).__name__
    return Measured(
        timing.seconds / times * 1e3,
        f"{len(pool.standings)} pull requests, {len(pool.members)} in the pool, {said}; {times} decisions: {timing}.",
    )


def decide_10k(share: float) -> Measured:
    """Ten thousand pull requests in a thousand branches, from what was gathered to what is saved."""
    found = configurations()
    worlds = [_worlds(config, _some(1000 // len(found), share), 10) for config in found]

    def prepare() -> Work:
        fresh = [replace(config) for config in found]
        return lambda: [_decided(config, one) for config, some in zip(fresh, worlds, strict=True) for one in some]

    timing = timed(prepare, _some(7, share))
    work = prepare()
    evaluations = _calls(query.unmet, work)
    pools = [saved.pool for saved, _ in work()]  # type: ignore[attr-defined]
    pulls, members = (sum(map(len, some)) for some in ([p.standings for p in pools], [p.members for p in pools]))
    return Measured(
        timing.seconds,
        f"{pulls} pull requests in {len(pools)} branches, {members} of them mergeable, {described(found)}: "
        f"{evaluations} query evaluations. {timing}.",
    )


def _decided(config: Configuration, one: Situation) -> tuple[SavedPool, Sequence[object]]:
    """One branch: divided, decided, every status worded."""
    settings = config.for_branch(one.facts.branch)
    pool, decision = judge(one, settings)
    saved = SavedPool("1", pool, wire_name(decision.action), (), decision.action.why, NOW, config.digest)
    return saved, [describe(standing, pool, settings) for standing in pool.standings]


def explaining(share: float) -> Measured:
    """Everything there is to say about one pull request of a branch with ten."""
    config, *_ = configurations()
    asked = [
        (pull.number, one, config.for_branch(one.facts.branch))
        for one in _worlds(config, _some(50, share), 10)
        for pull in one.facts.pulls
    ]
    return _each(share, len(asked), lambda: [explain(*one) for one in asked], "pull request explained")


def config_load(share: float) -> Measured:
    """Every real configuration, each by itself."""
    files = sorted(REAL.rglob("*.y*ml")) or [ROOT / "policies/config.yaml"]
    files = files[: _some(len(files), share)]

    def work() -> None:
        for file in files:
            with contextlib.suppress(ConfigError):
                load([file])

    timing = timed(lambda: work, _some(2, share))
    size = sum(file.stat().st_size for file in files) / 1e6
    return Measured(timing.seconds, f"{len(files)} files, {size:.1f} MB, read and checked one by one: {timing}.")


def _worlds(config: Configuration, count: int, pulls: int) -> list[Situation]:
    return [situation(config, branch, pulls, index) for index, branch in enumerate(branches(config, count))]


def _some(whole: int, share: float) -> int:
    return max(1, round(whole * share))


def _lookups(share: float, look_up: Callable[[Configuration, Branch], object], what: str) -> Measured:
    found = configurations()
    asked = [(config, branch) for config in found for branch in branches(config, _some(1000, share))]
    return _each(share, len(asked), lambda: [look_up(*one) for one in asked], what)


def _each(share: float, count: int, work: Work, what: str) -> Measured:
    timing = timed(lambda: work, _some(7, share))
    return Measured(timing.seconds / count * 1e6, f"per {what}, {count} of them: {timing}.")


def _calls(function: Any, work: Work) -> int:
    """How often a function is called while something is done."""
    count = 0

    def watch(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event == "call" and frame.f_code is function.__code__

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


BENCHES: tuple[Bench, ...] = (
    Bench("requirement_diff", "µs", requirement_diff, tide=4.718),
    Bench("context_policy", "µs", context_policy, tide=4.697),
    Bench("merge_method", "µs", merge_method, tide=0.244),
    Bench("policy_merge", "µs", policy_merge, tide=0.468),
    Bench("decide_1000", "ms", decide_1000, tide=2.833),
    Bench("decide_10k", "s", decide_10k, limit=0.3),
    Bench("explain", "µs", explaining),
    Bench("config_load", "s", config_load),
)
