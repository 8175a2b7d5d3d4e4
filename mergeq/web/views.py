"""What the pages show, as values: every field a template receives, and the JSON twins in Deck's and Tide's shapes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mergeq.config import Configuration
from mergeq.core import status
from mergeq.core.history import HistoryRecord, Target
from mergeq.core.pool import Standing
from mergeq.core.pull import Context, PullRequest
from mergeq.core.query import Query
from mergeq.core.reason import Reason
from mergeq.store import SavedPool


@dataclass(frozen=True, slots=True)
class PullView:
    """One pull request on a page: where it stands, in the words of its status, and every reason."""

    pull: PullRequest
    key: str
    method: str
    in_pool: bool
    state: str
    text: str
    reasons: tuple[Reason, ...]
    contexts: tuple[Context, ...]
    is_target: bool


@dataclass(frozen=True, slots=True)
class PoolView:
    """One branch on the queue page. `members` are in the pool, `others` open beside it."""

    name: str
    repo: str
    branch: str
    url: str
    base_sha: str
    action: str
    why: str
    at: str
    error: str
    blockers: tuple[Any, ...]
    members: tuple[PullView, ...]
    others: tuple[PullView, ...]


@dataclass(frozen=True, slots=True)
class RecordView:
    """One row of the history page."""

    time: str
    branch: str
    action: str
    outcome: str
    base_sha: str
    landed_sha: str
    targets: tuple[Target, ...]
    err: str


def pool_view(saved: SavedPool, config: Configuration) -> PoolView:
    """The queue page's view of a branch."""
    branch = saved.pool.branch
    views = tuple(pull_view(standing, saved, config) for standing in saved.pool.standings)
    return PoolView(
        name=str(branch),
        repo=branch.full_repo,
        branch=branch.name,
        url=f"/tide-history?repo={branch.full_repo}&branch={branch.name}",
        base_sha=saved.pool.base_sha,
        action=saved.action,
        why=saved.why,
        at=when(saved.at),
        error=saved.error,
        blockers=saved.pool.blockers,
        members=tuple(view for view in views if view.in_pool),
        others=tuple(view for view in views if not view.in_pool),
    )


def pull_view(standing: Standing, saved: SavedPool, config: Configuration) -> PullView:
    """One pull request, with the very text of its commit status."""
    said = status.describe(standing, saved.pool, config.for_branch(saved.pool.branch))
    return PullView(
        pull=standing.pull,
        key=str(standing.pull),
        method=standing.method.value if standing.method else "",
        in_pool=standing.in_pool,
        state=said.state,
        text=said.description,
        reasons=standing.reasons,
        contexts=standing.pull.contexts or (),
        is_target=standing.pull.number in saved.targets,
    )


def record_view(record: HistoryRecord) -> RecordView:
    """The history page's view of a record."""
    return RecordView(
        time=when(record.time),
        branch=record.branch,
        action=record.action,
        outcome=record.outcome.value,
        base_sha=record.base_sha,
        landed_sha=record.landed_sha or "",
        targets=record.targets,
        err=record.err,
    )


def pool_json(saved: SavedPool) -> dict[str, Any]:
    """A pool as Tide serves it (T8.9), its pull requests reduced as Deck does (T8.11)."""
    branch = saved.pool.branch
    by_number = {standing.pull.number: standing.pull for standing in saved.pool.standings}
    return {
        "Org": branch.org,
        "Repo": branch.repo,
        "Branch": branch.name,
        "SuccessPRs": [_pr_json(member.pull) for member in saved.pool.members] or None,
        "PendingPRs": None,
        "MissingPRs": None,
        "BatchPending": None,
        "Action": saved.action,
        "Target": [_pr_json(by_number[number]) for number in saved.targets if number in by_number] or None,
        "Blockers": [{"Number": b.number, "Title": b.title, "URL": b.url} for b in saved.pool.blockers] or None,
        "Error": saved.error,
        "TenantIDs": [],
    }


def query_json(query: Query) -> dict[str, Any]:
    """A query with its YAML keys; empty fields are left out (T8.11)."""
    fields = {
        "author": query.author,
        "labels": list(query.labels),
        "missingLabels": list(query.missing_labels),
        "excludedBranches": list(query.excluded_branches),
        "includedBranches": list(query.included_branches),
        "milestone": query.milestone,
        "reviewApprovedRequired": query.review_approved_required,
        "orgs": list(query.orgs),
        "repos": list(query.repos),
        "excludedRepos": list(query.excluded_repos),
    }
    return {key: value for key, value in fields.items() if value}


def record_json(record: HistoryRecord) -> dict[str, Any]:
    """A history record as Tide writes it (T8.2), with our own fields beside."""
    tides = {
        "time": when(record.time),
        "action": record.action,
        "baseSHA": record.base_sha,
        "target": [
            {"number": t.number, "author": t.author, "sha": t.sha, "title": t.title, "head_ref": t.head_ref}
            for t in sorted(record.targets, key=lambda target: target.number)
        ],
        "err": record.err,
    }
    return {key: value for key, value in tides.items() if value} | {
        "tenantids": None,
        "outcome": record.outcome.value,
        "tested_tree": record.tested_tree,
        "landed_tree": record.landed_tree,
        "landed_sha": record.landed_sha,
        "author": record.targets[0].author if record.targets else None,
        "approvers": list(record.approvers),
        "config": record.config,
    }


def pull_json(
    key: str, view: PullView | None, saved: SavedPool | None, records: Sequence[HistoryRecord]
) -> dict[str, Any]:
    """One pull request with the one list of reasons (D7); one that is no longer open has its history alone."""
    done = {"pr": key, "open": view is not None, "history": [record_json(record) for record in records]}
    if view is None or saved is None:
        return done
    return done | {
        "branch": str(saved.pool.branch),
        "title": view.pull.title,
        "author": view.pull.author,
        "head_sha": view.pull.head_sha,
        "url": view.pull.url,
        "in_pool": view.in_pool,
        "merge_method": view.method or None,
        "status": {"state": view.state, "description": view.text},
        "reasons": [
            {
                "clause": reason.clause.value,
                "needed": reason.needed,
                "observed": reason.observed,
                "weight": reason.weight,
                "who": reason.who,
                "remedy": reason.remedy,
            }
            for reason in view.reasons
        ],
        "action": saved.action if view.is_target else None,
        "blockers": [blocker.number for blocker in saved.pool.blockers],
        "base_sha": saved.pool.base_sha,
        "observed_at": when(saved.at),
    }


def when(at: float) -> str:
    """A time as RFC 3339 in UTC, to the microsecond, as Go prints it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _pr_json(pull: PullRequest) -> dict[str, Any]:
    return {"Title": pull.title, "Number": pull.number, "HeadRefOID": pull.head_sha, "Mergeable": pull.mergeable.value}
