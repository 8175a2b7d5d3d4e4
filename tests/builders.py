"""Values with everything green, for tests that spoil one thing."""

from dataclasses import fields
from typing import Any

from mergeq.core.contexts import ContextPolicy
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pool import BranchSettings, Pool, Refusal, divide
from mergeq.core.pull import Branch, BranchFacts, Context, Mergeable, PullRequest, Result
from mergeq.core.query import Query
from mergeq.core.queue import QueueValues

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
    """`MAIN`, judged."""
    return divide(
        facts(*pulls, **changes), config or settings(), entered=entered or {}, refusals=refusals or {}, now=now
    )
