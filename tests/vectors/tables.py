"""Vectors that are calls of Tide's own functions, recorded while its unit tests ran: each is put to that part of the
core which decides the same.

A recorded pool has the jobs that each pull request demands instead of changed files; here pull request N changes the
path ``N``, and a job is demanded by the paths of those that demand it. What could not be recorded is not compared.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mergeq.config.reading import compiled
from mergeq.core import evidence
from mergeq.core.action import targets_of, wire_name
from mergeq.core.batch import Progress, Tested
from mergeq.core.contexts import ContextPolicy, Presubmit, best, unsuccessful
from mergeq.core.evidence import Evidence
from mergeq.core.pool import BlocksPolicy, BranchSettings, Memory, Pool, Standing, assess, ranked
from mergeq.core.pull import Blocker, Branch, Context, Method, Protection, PullRequest, Repository, Result
from mergeq.core.status import difference, told
from mergeq.github import saved
from tests.vectors.frame import Line, Op, configuration, differences, settings_of
from tests.vectors.queries import query_of

JSON = dict[str, Any]

_BRANCH = Branch("org", "repo", "main")
_RESULTS = {"triggered": Result.PENDING, "pending": Result.PENDING, "success": Result.SUCCESS}


def _settings(line: Line, tide: JSON | None = None, policy: JSON | None = None, **changes: Any) -> BranchSettings:
    """The settings of any branch, read from sections as JSON, which is YAML. Recorded queries may be half of one."""
    sections = {key: value for key, value in (tide or {}).items() if key != "queries"}
    found = configuration({"config_yaml": json.dumps({"tide": {**sections, "context_options": policy or {}}})})
    read = settings_of(line, found, changes.pop("branch", _BRANCH))
    return replace(read, contexts=found.context_options.everyone, **changes)


def _pull(node: JSON, branch: Branch = _BRANCH) -> PullRequest:
    """A pull request as it is recorded for a pool; where it wants to go is known by the pool alone."""
    pull = saved.pull(node["github"], paths=(str(node["number"]),))
    return replace(pull, org=branch.org, repo=branch.repo, base=branch.name, head_sha=node["head_sha"])


def _pool(line: Line, node: JSON, tide: JSON | None = None) -> tuple[Pool, list[Evidence], BranchSettings]:
    branch = Branch(node["org"], node["repo"], node["branch"])
    members = tuple(Standing(_pull(one, branch), Method.MERGE, ()) for one in node["prs"])
    policies = {json.dumps(policy, sort_keys=True) for policy in node["context_policies"].values()}
    (policy,) = policies or {"{}"}
    jobs = _demanded(node["required_presubmits_by_pr"])
    settings = _settings(line, tide, json.loads(policy), branch=branch, presubmits=jobs)
    pool = Pool(branch, node["base_sha"], tuple(sorted(members, key=lambda one: one.pull.number)))
    return pool, _rows(node["prowjobs"], pool), settings


def _rows(jobs: Iterable[JSON], pool: Pool) -> list[Evidence]:
    """What jobs said about a pool: those of other branches and bases were left out before (T3.4)."""
    return [
        Evidence(
            pool.branch,
            pool.base_sha,
            tuple((one["number"], one["sha"]) for one in job["pulls"]),
            job["context"],
            _RESULTS.get(job["state"], Result.FAILURE),
            is_batch=job["type"] == "batch",
            reporter="tide",
        )
        for job in jobs
    ]


def _demanded(by_pull: Mapping[str, Sequence[JSON]]) -> tuple[Presubmit, ...]:
    """The jobs that are demanded, each by the paths of the pull requests that demand it."""
    numbers: dict[str, list[str]] = {}
    for number, jobs in by_pull.items():
        for job in jobs:
            numbers.setdefault(job["context"], []).append(number)
    return tuple(
        Presubmit(context, always=False, run_if_changed=compiled(f"^({'|'.join(paths)})$"))
        for context, paths in numbers.items()
    )


def _always(jobs: Iterable[JSON] | None) -> tuple[Presubmit, ...]:
    return tuple(Presubmit(job["context"]) for job in jobs or ())


def _numbers(tests: Iterable[Tested]) -> list[int]:
    return [number for tested in tests for number in tested.numbers]


def accumulated(line: Line) -> JSON:
    """Whose tests are green, running or missing, and which of them."""
    asked = line["input"]
    node = {
        "org": _BRANCH.org,
        "repo": _BRANCH.repo,
        "branch": _BRANCH.name,
        "context_policies": {},
        **{key: asked[key] for key in ("base_sha", "prs", "prowjobs", "required_presubmits_by_pr")},
    }
    pool, rows, settings = _pool(line, node)
    found, again = evidence.progress(pool, rows, settings), evidence.to_test(pool, rows, settings)
    return {
        "successes": _numbers(found.passed),
        "pendings": _numbers(found.pending),
        "missings": list(found.missing),
        "missing_tests": {str(number): list(contexts) for number, contexts in again.items()},
    }


def _compare_accumulated(expected: JSON, got: JSON) -> Iterator[str]:
    """Tide keeps the order in which it was given the pull requests, which says nothing."""
    yield from differences({**expected, **{key: sorted(expected[key] or ()) for key in _BUCKETS}}, got)


_BUCKETS = ("successes", "pendings", "missings")


def batches(line: Line) -> JSON:
    """The batch that is green and the one that is running."""
    asked = line["input"]
    pool, rows, settings = _pool(line, asked["pool"])
    found = evidence.progress(pool, rows, replace(settings, presubmits=_always(asked["presubmits_of_repo"])))
    return {
        "success_batch": list(found.passed_batches[0].numbers) if found.passed_batches else [],
        "pending_batch": list(found.pending_batches[0].numbers) if found.pending_batches else [],
    }


def picked(line: Line) -> JSON:
    """The batch to be tested next."""
    pool, rows, settings = _pool(line, line["input"]["pool"], line["input"]["tide"])
    return {"batch": [one.pull.number for one in evidence.candidates(pool, rows, (), settings) or ()]}


def _compare_picked(expected: JSON, got: JSON) -> Iterator[str]:
    """The jobs of the repository, which Tide tells as well, are not recorded."""
    yield from differences({"batch": expected["batch"]}, got)


def picked_again(line: Line) -> list[int]:
    """The batch that was tried before and is tried again; everyone who is asked about may be tested."""
    asked = line["input"]
    pool, rows, settings = _pool(line, asked["pool"])
    members = [member for member in pool.members if member.pull.number in asked["candidates"]]
    found = evidence.tried(pool, members, rows, replace(settings, batch_size_limit=asked["max_size"]))
    return [member.pull.number for member in found]


def first(line: Line) -> JSON:
    """Who is served first."""
    asked = line["input"]
    blank = PullRequest("org", "repo", 0, "main", "", "", "", "")
    members = [
        Standing(replace(blank, number=number, labels=tuple(asked["labels"][str(number)])), Method.MERGE, ())
        for number in asked["eligible"]
    ]
    found = ranked(members, _settings(line, {"priority": asked["priority"] or []}))
    return {"found": bool(found), "number": found[0].pull.number if found else None}


def acted(line: Line) -> JSON:
    """What is done with a pool of which it is known how far its testing has come."""
    asked = line["input"]
    pool, rows, settings = _pool(line, asked["pool"], asked["tide"])
    together = [tuple(asked[key] or ()) for key in ("batch_merges", "batch_pending")]
    green, running = ((Tested(numbers),) if numbers else () for numbers in together)
    found = Progress(
        passed=tuple(Tested((number,)) for number in asked["successes"] or ()),
        pending=tuple(Tested((number,)) for number in asked["pendings"] or ()),
        missing=tuple(asked["missings"] or ()),
        passed_batches=green,
        pending_batches=running,
        is_demanded=any(asked["pool"]["required_presubmits_by_pr"].values()),
    )
    action = evidence.choose(pool, settings, found, rows=rows)
    return {"action": wire_name(action), "target": sorted(targets_of(action))}


def _compare_acted(expected: JSON, got: JSON) -> Iterator[str]:
    """How GitHub answered to merging is not recorded, and so the error cannot be known."""
    wanted = {key: expected[key] for key in ("action", "target")}
    yield from differences(wanted, got)
    if expected["error"] and not str(expected["action"]).startswith("MERGE"):
        yield f"error: expected {expected['error']}, got none"


def kept_out(line: Line) -> JSON:
    """Whether a pull request stays out of the pool."""
    asked = line["input"]
    settings = _settings(line, policy=asked["context_policy"], presubmits=_always(asked["required_presubmits"]))
    standing = assess(_pull(asked["pr"]), Repository(), Protection(), settings, Memory(), 0.0)
    return {"filtered_out": not standing.in_pool}


def stated(line: Line) -> JSON:
    """The status of a pull request of which it is known whether it is in the pool."""
    asked = line["input"]
    pull, settings = saved.pull(asked["pr"]), _settings(line, asked["tide"], asked["context_policy"])
    judged = replace(settings, contexts=ContextPolicy()), replace(pull, contexts=(), was_found=asked["in_pool"])
    reasons = assess(judged[1], Repository(), Protection(), judged[0], Memory(), 0.0).reasons
    blockers = tuple(Blocker(number, "", "") for number in asked["applicable_blockers"])
    pool = Pool(pull.branch, "base", (standing := Standing(pull, None, reasons),), blockers)
    heads = ((pull.number, pull.head_sha),)
    passing = asked["passing_contexts_for_base_and_head"]
    rows = [Evidence(pull.branch, "base", heads, context, Result.SUCCESS) for context in passing]
    status = told(standing, pool, settings, rows=rows)
    return {"state": status.state, "description": status.description, "error": None}


def awaiting(line: Line) -> str:
    """The status of a pull request in the pool that waits for these contexts."""
    pull = PullRequest("org", "repo", 1, "main", "head", "", "", "")
    contexts = ContextPolicy(required=frozenset(line["input"]["contexts"]))
    settings = replace(_settings(line), contexts=contexts)
    standing = Standing(pull, Method.MERGE, ())
    return told(standing, Pool(pull.branch, "base", (standing,)), settings).description


def lacking(line: Line) -> JSON:
    """What a pull request lacks for one query."""
    asked = line["input"]
    blocks = BlocksPolicy(asked["merge_blocks_policy"])
    settings = _settings(line, policy=asked["context_policy"], blocks_policy=blocks)
    text, weight = difference(query_of(asked["query"]), saved.pull(asked["pr"]), settings)
    return {"description": text, "diff": weight}


def _contexts(nodes: Iterable[JSON], app: str | None) -> tuple[Context, ...]:
    return tuple(Context(one["context"], Result(one["state"]), app, description=one["description"]) for one in nodes)


def _as_json(contexts: Iterable[Context]) -> list[JSON]:
    return [
        {"context": one.name, "state": one.result.value, "description": one.description}
        for one in sorted(contexts, key=lambda one: (one.name, one.result))
    ]


def _from_check_run(line: Line) -> JSON:
    (context,) = saved.contexts((), [line["input"]])
    return {"context": context.name, "state": context.result.value}


def _unsuccessful(line: Line) -> list[JSON]:
    """Those that are not green; what is recorded are statuses and the check runs that stand for their names."""
    demands = _settings(line, policy=line["input"]["context_policy"]).demands
    return _as_json(unsuccessful(_contexts(line["input"]["contexts"] or (), None), demands))


def _compare_sets(expected: Any, got: list[JSON]) -> Iterator[str]:
    nodes = expected["unordered"] if isinstance(expected, dict) else expected
    yield from differences(sorted(nodes or (), key=lambda one: (one["context"], one["state"])), got)


OPS: Mapping[str, Op] = {}
GO: Mapping[str, Op] = {
    "accumulate": Op(accumulated, _compare_accumulated),
    "accumulateBatch": Op(batches),
    "checkRunToContext": Op(_from_check_run),
    "deduplicateContexts": Op(
        lambda line: _as_json(best(_contexts(line["input"]["contexts"] or (), "ci"))), _compare_sets
    ),
    "expectedStatus": Op(stated),
    "filterPR": Op(kept_out),
    "pickBatch": Op(picked, _compare_picked),
    "pickBatchWithPreexistingTests": Op(picked_again),
    "pickHighestPriorityPR": Op(first),
    "requirementDiff": Op(lacking),
    "retestingStatus": Op(awaiting),
    "takeAction": Op(acted, _compare_acted),
    "unsuccessfulContexts": Op(_unsuccessful, _compare_sets),
}


def _jobs_are_elsewhere(asked: JSON) -> bool:
    """Whether the jobs of a batch stand in the repository itself."""
    return asked["presubmits_of_repo"] is None


def _queries_decide(asked: JSON) -> bool:
    """Whether nothing but the queries, which are not recorded, can tell the status."""
    return not (asked["in_pool"] or asked["not_allowed_to_merge_reason"] or asked["applicable_blockers"])


def _eligibility_is_unknown(asked: JSON) -> bool:
    """Whether who may be tested again depends on contexts or a policy that is not recorded."""
    pulls, policies = asked["pool"]["prs"], asked["pool"]["context_policies"]
    return any(not one["github"]["commits"]["nodes"] or str(one["number"]) not in policies for one in pulls)


def _earlier_jobs_decide(asked: JSON) -> bool:
    """Whether a context is pending though no job is recorded: one on another base may have started it."""
    contexts = (context for one in asked["pool"]["prs"] for context in saved.pull(one["github"]).contexts or ())
    pending = any(one.result is Result.PENDING and one.name != "tide" for one in contexts)
    return pending and not asked["pool"]["prowjobs"]


INSUFFICIENT: Mapping[str, Callable[[JSON], bool]] = {
    "accumulateBatch": _jobs_are_elsewhere,
    "expectedStatus": _queries_decide,
    "pickBatch": _eligibility_is_unknown,
    "takeAction": _earlier_jobs_decide,
}
