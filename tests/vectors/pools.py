"""Vectors about pools: what a pull request lacks, who is in the pool, what is done next, and every status."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mergeq.config import Configuration
from mergeq.core.action import Action, Land, Stage, Wait, targets_of, wire_name
from mergeq.core.batch import Conflict
from mergeq.core.contexts import best, unsuccessful
from mergeq.core.decide import Situation, decide, judge
from mergeq.core.evidence import progress
from mergeq.core.pool import Arrival, BranchSettings, Memory, Pool
from mergeq.core.pull import Branch, Context, PullRequest
from mergeq.core.refusal import MergeRefusal, failed_merges
from mergeq.core.status import difference, told
from mergeq.github import saved
from tests.vectors.frame import Line, Op, compat_of, configuration, differences, settings_of
from tests.vectors.queries import as_json

JSON = dict[str, Any]

_STATES = {"triggered": "pending", "pending": "pending", "success": "success"}
_REFUSALS = {
    "modified_head": (MergeRefusal.HEAD_MODIFIED, "head modified"),
    "unmergable": (MergeRefusal.UNMERGEABLE, "not mergable"),
    "base_changed": (MergeRefusal.BASE_CHANGED, "base changed"),
    "unauthorized": (MergeRefusal.UNAUTHORIZED, "unauthorized"),
    "merge_forbidden": (MergeRefusal.METHOD_FORBIDDEN, "merge commits forbidden"),
}
"""What GitHub's stand-in answered to merging; every other name is an answer that Tide has no words for."""


def lacking(line: Line) -> JSON:
    """What each pull request lacks in each query for its repository."""
    found = configuration(line)
    return {
        "loaded_queries": [as_json(query) for query in found.queries],
        "prs": [_lacking(line, found, saved.pull(node)) for node in line["input"]["prs"]],
    }


def _lacking(line: Line, found: Configuration, pull: PullRequest) -> JSON:
    settings = settings_of(line, found, pull.branch)
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
    git would refuse is found out conflict by conflict. When labels were given nobody recorded.
    """
    found, asked = configuration(line), line["input"]
    world = saved.world({**asked, "evidence": [_row(job) for job in asked["prowjobs"]]}, compat_of(line))
    pools, statuses, history = [], [], {}
    for situation in world.situations:
        settings = settings_of(line, found, situation.facts.branch)
        arrivals = {pull.number: Arrival(pull.head_sha, 0.0, original=True) for pull in situation.facts.pulls}
        pool, _ = judge(replace(situation, memory=Memory(arrivals=arrivals)), settings)
        if pool.members:
            shown = _pool(pool, situation, world, settings, asked["merge_errors"] or {})
            pools.append(shown)
            if shown["action"] not in {"WAIT", "BLOCKED"}:
                history[str(pool.branch)] = [_record(shown, pool.base_sha)]
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
    return {"pools": pools, "expected_statuses": statuses, "history": history}


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


def _record(pool: JSON, base_sha: str) -> JSON:
    """What history keeps of an action that is not idle (T8.1-T8.3)."""
    return {"action": pool["action"], "baseSHA": base_sha, "err": pool["error"], "target": pool["target"]}


def _pool(
    pool: Pool, situation: Situation, world: saved.World, settings: BranchSettings, answers: Mapping[str, str]
) -> JSON:
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
        "target": sorted(targets_of(action)),
        "blockers": sorted(blocker.number for blocker in pool.blockers),
        "error": _error(action, answers),
    }


def _error(action: Action, answers: Mapping[str, str]) -> str:
    """What a person is told went wrong, when GitHub answers to merging as given, by pull request."""
    if not isinstance(action, Land):
        return action.why if isinstance(action, Wait) and action.failed else ""
    merged, failures = [], {}
    for number in action.numbers:
        answer = answers.get(str(number))
        if answer is None:
            merged.append(number)
            continue
        refusal, message = _REFUSALS.get(answer, (MergeRefusal.OTHER, answer))
        failures[number] = refusal.told(message)
        if refusal.stops_others:
            break
    return failed_merges(action.numbers, merged, failures)


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
    pools = [{**pool, "error": pool["error"] or ""} for pool in expected["pools"]]
    for pool in pools:
        buckets = {*pool["success_prs"], *pool["pending_prs"], *pool["missing_prs"]}
        pool["members"] = sorted(buckets & members[f"{pool['org']}/{pool['repo']}"])
    return _ordered({**expected, "pools": pools})


def _ordered(outcome: JSON) -> JSON:
    return {
        "pools": sorted(outcome["pools"], key=lambda pool: (pool["org"], pool["repo"], pool["branch"])),
        "expected_statuses": sorted(
            outcome["expected_statuses"], key=lambda one: (one["org"], one["repo"], one["number"])
        ),
        "history": outcome["history"],
    }


def _compare_lacking(expected: JSON, got: JSON) -> Iterator[str]:
    yield from differences(expected, got)


OPS: Mapping[str, Op] = {
    "requirement_diff": Op(lacking, _compare_lacking),
    "sync": Op(synced, _compare_synced),
}
GO: Mapping[str, Op] = {}
