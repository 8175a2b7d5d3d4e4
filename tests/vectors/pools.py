"""Vectors about pools: what a pull request lacks, who is in the pool, what is done next, and every status."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mergeq.config import Configuration
from mergeq.core.batch import Conflict
from mergeq.core.compat import Compat
from mergeq.core.contexts import best, unsuccessful
from mergeq.core.decide import Action, Land, Situation, Stage, decide, judge, wire_name
from mergeq.core.evidence import progress
from mergeq.core.pool import BranchSettings, Pool
from mergeq.core.pull import Branch, Context, PullRequest
from mergeq.core.status import difference, told
from mergeq.github import saved
from tests.vectors.frame import Line, Op, configuration, differences
from tests.vectors.queries import as_json

JSON = dict[str, Any]

_STATES = {"triggered": "pending", "pending": "pending", "success": "success"}


def lacking(line: Line) -> JSON:
    """What each pull request lacks in each query for its repository."""
    found = configuration(line)
    return {
        "loaded_queries": [as_json(query) for query in found.queries],
        "prs": [_lacking(found, saved.pull(node)) for node in line["input"]["prs"]],
    }


def _lacking(found: Configuration, pull: PullRequest) -> JSON:
    settings = found.for_branch(pull.branch, Compat.TIDE)
    if settings.refusal:
        return {"number": pull.number, "context_policy_error": settings.refusal}
    diffs = []
    for query in settings.queries:
        description, weight = difference(query, pull, settings)
        diffs.append({"query_index": found.queries.index(query), "description": description, "diff": weight})
    return {
        "number": pull.number,
        "diffs": diffs,
        "head_contexts": _contexts(best(pull.contexts or ()), in_words=True),
        "unsuccessful_contexts": _contexts(unsuccessful(pull.contexts or (), settings.demands)),
    }


def _contexts(contexts: Iterable[Context], *, in_words: bool = False) -> list[JSON]:
    said = (
        {
            "context": one.name,
            "state": one.result.value,
            **({"description": one.description} if in_words else {}),
        }
        for one in contexts
    )
    return sorted(said, key=lambda one: tuple(one.values()))


def synced(line: Line) -> JSON:
    """One sync of a world: its pools with their actions, and the status of every pull request. A job is evidence, what
    git would refuse is found out conflict by conflict.
    """
    found, asked = configuration(line), line["input"]
    world = saved.world({**asked, "evidence": [_row(job) for job in asked["prowjobs"]]}, Compat.TIDE)
    pools, statuses = [], []
    for situation in world.situations:
        settings = found.for_branch(situation.facts.branch, Compat.TIDE)
        pool, _ = judge(situation, settings)
        if pool.members:
            pools.append(_pool(pool, situation, world, settings))
        for standing in pool.standings:
            status = told(standing, pool, settings, rows=situation.rows)
            failed = None if status.state else f"failed to set up context register: {status.description}"
            statuses.append(
                {
                    **_named(pool.branch),
                    "number": standing.pull.number,
                    "state": status.state,
                    "description": "" if failed else status.description,
                    "error": failed,
                }
            )
    return {"pools": pools, "expected_statuses": statuses}


def _row(job: JSON) -> JSON:
    return {
        "branch": f"{job['org']}/{job['repo']}:{job['base_ref']}",
        "base_sha": job["base_sha"],
        "pulls": job["pulls"],
        "context": job["context"],
        "state": _STATES.get(job["state"], "failure"),
        "batch": job["type"] == "batch",
        "reporter": "tide" if job["created_by_tide"] else "",
    }


def _pool(pool: Pool, situation: Situation, world: saved.World, settings: BranchSettings) -> JSON:
    action = _settled(pool, situation, world, settings)
    found = progress(pool, situation.rows, settings)
    return {
        **_named(pool.branch),
        "branch": pool.branch.name,
        "members": [member.pull.number for member in pool.members],
        "success_prs": sorted(one.numbers[0] for one in found.passed),
        "pending_prs": sorted(one.numbers[0] for one in found.pending),
        "missing_prs": sorted(found.missing),
        "batch_pending": sorted(found.pending_batches[0].numbers) if found.pending_batches else [],
        "action": wire_name(action),
        "target": sorted(action.numbers) if isinstance(action, Stage | Land) else [],
        "blockers": sorted(blocker.number for blocker in pool.blockers),
    }


def _settled(pool: Pool, situation: Situation, world: saved.World, settings: BranchSettings) -> Action:
    """The action when every conflict that it would run into is known."""
    heads = {standing.pull.number: standing.pull.head_sha for standing in pool.standings}
    conflicts = {Conflict(pool.base_sha, (), head) for head in world.unmergeable}
    while True:
        action = decide(pool, settings, conflicts=conflicts, rows=situation.rows).action
        if not isinstance(action, Stage) or len(action.numbers) == 1:
            return action
        staged = tuple(heads[number] for number in action.numbers)
        refused = (index for index, head in enumerate(staged) if not world.merges(staged[:index], head))
        facts = {Conflict(pool.base_sha, staged[:index], staged[index]) for index in refused} - conflicts
        if not facts:
            return action
        conflicts |= facts


def _named(branch: Branch) -> JSON:
    return {"org": branch.org, "repo": branch.repo}


def _compare_synced(expected: JSON, got: JSON) -> Iterator[str]:
    """Tide's outcome depends on the order of Go's maps; one of those that were seen has to be met."""
    by_outcome = [list(differences(_outcome(one), _ordered(got))) for one in expected["outcomes"]]
    yield from min(by_outcome, key=len)


def _outcome(expected: JSON) -> JSON:
    members: dict[str, set[int]] = {}
    for name in expected["pool_members"] or ():
        repo, _, number = name.partition("#")
        members.setdefault(repo, set()).add(int(number))
    pools = [{key: value for key, value in pool.items() if key != "error"} for pool in expected["pools"]]
    for pool in pools:
        buckets = {*pool["success_prs"], *pool["pending_prs"], *pool["missing_prs"]}
        pool["members"] = sorted(buckets & members[f"{pool['org']}/{pool['repo']}"])
    return _ordered({"pools": pools, "expected_statuses": expected["expected_statuses"]})


def _ordered(outcome: JSON) -> JSON:
    return {
        "pools": sorted(outcome["pools"], key=lambda pool: (pool["org"], pool["repo"], pool["branch"])),
        "expected_statuses": sorted(
            outcome["expected_statuses"], key=lambda one: (one["org"], one["repo"], one["number"])
        ),
    }


def _compare_lacking(expected: JSON, got: JSON) -> Iterator[str]:
    yield from differences(expected, got)


OPS: Mapping[str, Op] = {
    "requirement_diff": Op(lacking, _compare_lacking),
    "sync": Op(synced, _compare_synced),
}
GO: Mapping[str, Op] = {}
