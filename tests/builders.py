"""Values with everything green, for tests that spoil one thing."""

from dataclasses import fields
from typing import Any

from mergeq.core.batch import Conflict, Member, Run
from mergeq.core.compat import Compat
from mergeq.core.contexts import ContextPolicy, Presubmit
from mergeq.core.evidence import Evidence
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pool import Arrival, BranchSettings, Memory, Pool, Refusal, divide
from mergeq.core.pull import Branch, BranchFacts, Context, Mergeable, Method, PullRequest, Result
from mergeq.core.query import Query
from mergeq.core.queue import QueueValues, Retest

MAIN = Branch("acme", "rocket", "main")
BASE = "b" * 40


QUEUE_KEYS = {field.name for field in fields(QueueValues)} - {"batch_size_limit"}


def green(name: str = "ci/test", **changes: Any) -> Context:
    """A context that passed."""
    return Context(**{"name": name, "result": Result.SUCCESS, "at": 1.0, **changes})


def context(name: str, result: Result, **changes: Any) -> Context:
    """A context with a result."""
    return green(name, result=result, **changes)


def pr(number: int = 1, **changes: Any) -> PullRequest:
    """A pull request that `settings()` admits."""
    values: dict[str, Any] = {
        "org": MAIN.org,
        "repo": MAIN.repo,
        "number": number,
        "base": MAIN.name,
        "head_sha": f"{number:040x}",
        "head_ref": f"patch-{number}",
        "title": f"Change {number}",
        "author": "ana",
        "labels": ("lgtm", "approved"),
        "contexts": (green(),),
        "mergeable": Mergeable.MERGEABLE,
        "merge_state": "CLEAN",
        "can_be_rebased": True,
    }
    return PullRequest(**{**values, **changes})


def query(**changes: Any) -> Query:
    """A query that admits `pr()`."""
    return Query(
        **{"orgs": ("acme",), "labels": ("lgtm", "approved"), "missing_labels": ("do-not-merge/hold",), **changes}
    )


def settings(**changes: Any) -> BranchSettings:
    """Settings under which `pr()` may merge; keys of `mergeq.queue` may be given beside the others."""
    values: dict[str, Any] = {"queries": (query(),), "contexts": ContextPolicy(), "methods": MergeMethods()}
    queue = {name: changes.pop(name) for name in [*changes] if name in QUEUE_KEYS}
    return BranchSettings(**{**values, "queue": QueueValues(**queue), **changes})


def facts(*pulls: PullRequest, **changes: Any) -> BranchFacts:
    """What was gathered about `MAIN`."""
    return BranchFacts(**{"branch": MAIN, "base_sha": BASE, "pulls": pulls, **changes})


def pool(
    *pulls: PullRequest,
    config: BranchSettings | None = None,
    entered: dict[tuple[int, str], float] | None = None,
    refusals: dict[int, Refusal] | None = None,
    now: float = 1000.0,
    **changes: Any,
) -> Pool:
    """`MAIN`, judged, every head being the one its pull request was opened with."""
    memory = Memory(entered=entered or {}, refusals=refusals or {}, arrivals=arrivals_of(*pulls))
    return divide(facts(*pulls, **changes), config or settings(), memory, now)


def arrivals_of(*pulls: PullRequest) -> dict[int, Arrival]:
    """Every head being the one its pull request was opened with."""
    return {one.number: Arrival(one.head_sha, 0.0, original=True) for one in pulls}


def staging(**changes: Any) -> BranchSettings:
    """Settings under which `insider()` is tested on a staged commit, where ci/test must be green."""
    required = ContextPolicy(required=frozenset({"ci/test"}))
    return settings(**{"retest": Retest.STAGING, "contexts": required, **changes})


def insider(number: int = 1, **changes: Any) -> PullRequest:
    """A pull request that `settings()` and `staging()` admit: its author may write to the repository."""
    return pr(number, **{"by_writer": True, **changes})


def run(*pulls: PullRequest, **changes: Any) -> Run:
    """These staged together at 1000 s on `BASE`, where ci/test is still running."""
    numbers = "-".join(str(one.number) for one in pulls)
    values: dict[str, Any] = {
        "id": f"run-{numbers}",
        "base_sha": BASE,
        "members": tuple(Member(one.number, one.head_sha, Method.MERGE) for one in pulls),
        "ref": f"mergeq/main-{numbers}",
        "staged_sha": "5" * 40,
        "trees": tuple(f"{one.number:039x}f" for one in pulls),
        "started_at": 1000.0,
        "contexts": (context("ci/test", Result.PENDING),),
    }
    return Run(**{**values, **changes})


def clash(after: tuple[PullRequest, ...], pull: PullRequest, **changes: Any) -> Conflict:
    """The fact that a pull request does not merge on `BASE` after these."""
    return Conflict(
        **{"base_sha": BASE, "prefix": tuple(one.head_sha for one in after), "head_sha": pull.head_sha, **changes}
    )


def tide(*jobs: str, **changes: Any) -> BranchSettings:
    """Tide's settings of a branch whose every change must pass these jobs."""
    values: dict[str, Any] = {
        "compat": Compat.TIDE,
        "queue": QueueValues.of_tide(),
        "presubmits": tuple(map(Presubmit, jobs)),
    }
    return settings(**{**values, **changes})


def job(
    name: str,
    result: Result,
    *pulls: PullRequest,
    batch: bool = False,
    base: str = BASE,
    by: str = "tide",
    branch: Branch = MAIN,
) -> Evidence:
    """What one job said, started by Tide itself unless told otherwise."""
    heads = tuple((pull.number, pull.head_sha) for pull in pulls)
    return Evidence(branch, base, heads, name, result, is_batch=batch, reporter=by)
