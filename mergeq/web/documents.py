"""What the JSON routes serve, in Deck's and Tide's shapes with our own fields beside."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mergeq.config import Configuration
from mergeq.core.batch import Progress, Tested, progress
from mergeq.core.explain import Chance, Explanation, chances, next_step, position
from mergeq.core.history import HistoryRecord
from mergeq.core.pool import BranchSettings, Standing, under_protection
from mergeq.core.pull import PullRequest
from mergeq.core.query import Query
from mergeq.core.queue import Retest
from mergeq.core.reason import Reason
from mergeq.store import SavedPool
from mergeq.web.shown import said
from mergeq.web.views import when


def queue_json(config: Configuration, pools: Iterable[SavedPool]) -> Iterator[str]:
    """The queue as Deck serves it (T8.11), as JSON in pieces: never more of it is held than one pool."""
    queries = {
        "Queries": list(config.searches()),
        "TideQueries": [query_json(query) for query in config.queries],
    }
    yield f'{json.dumps(queries)[:-1]}, "Pools": '
    yield from _listed(pool_json(saved, config.for_branch(saved.pool.branch)) for saved in pools)
    yield "}"


def pools_json(config: Configuration, pools: Iterable[SavedPool]) -> Iterator[str]:
    """The pools as Tide serves them (T8.9), as JSON in pieces, a pool each."""
    return _listed(full_pool_json(saved, config) for saved in pools)


def _listed(values: Iterable[Any]) -> Iterator[str]:
    yield "["
    for index, value in enumerate(values):
        yield (", " if index else "") + json.dumps(value)
    yield "]"


def pool_json(saved: SavedPool, settings: BranchSettings) -> dict[str, Any]:
    """A pool as Tide serves it (T8.9), its pull requests reduced as Deck does (T8.11).

    Where heads alone decide, every member has passed; else those have whose run on this base is green.
    """
    branch = saved.pool.branch
    by_number = {standing.pull.number: standing.pull for standing in saved.pool.standings}
    found = _progress(saved, settings)

    def pulls(numbers: Iterable[int]) -> list[dict[str, Any]] | None:
        return [_reduced(by_number[number]) for number in dict.fromkeys(numbers) if number in by_number] or None

    return {
        "Org": branch.org,
        "Repo": branch.repo,
        "Branch": branch.name,
        "SuccessPRs": pulls(_numbers(found.passed)),
        "PendingPRs": pulls(_numbers(found.pending)),
        "MissingPRs": pulls(found.missing),
        "BatchPending": pulls(_numbers(found.pending_batches)),
        "Action": saved.action,
        "Target": pulls(saved.targets),
        "Blockers": [{"Number": b.number, "Title": b.title, "URL": b.url} for b in saved.pool.blockers] or None,
        "Error": saved.error,
        "TenantIDs": [],
    }


def _progress(saved: SavedPool, settings: BranchSettings) -> Progress:
    if settings.queue.retest is Retest.HEAD:
        return Progress(passed=tuple(Tested((member.pull.number,)) for member in saved.pool.members))
    return progress(saved.pool, saved.runs, under_protection(settings, saved.pool.protection), saved.at)


def _numbers(tested: Iterable[Tested]) -> Iterator[int]:
    return (number for one in tested for number in one.numbers)


def full_pool_json(saved: SavedPool, config: Configuration) -> dict[str, Any]:
    """A pool as Tide serves it (T8.9) with whole pull requests, and beside Tide's keys what is outside the pool, and
    why.
    """
    settings = config.for_branch(saved.pool.branch)

    def whole(standing: Standing) -> dict[str, Any]:
        pull, words = standing.pull, said(standing, saved, settings)
        return _reduced(pull) | {
            "Author": pull.author,
            "BaseRefName": pull.base,
            "HeadRefName": pull.head_ref,
            "Labels": list(pull.labels),
            "URL": pull.url,
            "MergeMethod": standing.method.value if standing.method else None,
            "Status": {"state": words.state, "description": words.description},
            "Reasons": [_reason(reason) for reason in standing.reasons],
        }

    reduced = pool_json(saved, settings)
    by_number = {standing.pull.number: standing for standing in saved.pool.standings}

    def filled(key: str) -> list[dict[str, Any]] | None:
        return [whole(by_number[pull["Number"]]) for pull in reduced[key] or ()] or None

    return reduced | {
        **{key: filled(key) for key in ("SuccessPRs", "PendingPRs", "MissingPRs", "BatchPending", "Target")},
        "OtherPRs": [whole(standing) for standing in saved.pool.standings if not standing.in_pool] or None,
        "BaseSHA": saved.pool.base_sha,
        "Why": saved.why,
        "ObservedAt": when(saved.at),
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
        "way": record.way,
        "by": record.by or None,
        "why": record.why or None,
    }


def history_json(records: Sequence[HistoryRecord], following: str) -> dict[str, Any]:
    """One page of the history; `next` is the cursor of the page after it, null at the end."""
    return {"records": [listed_json(record) for record in records], "next": following or None}


def listed_json(record: HistoryRecord) -> dict[str, Any]:
    """A history record that stands by itself."""
    return {"id": record.id, "branch": record.branch} | record_json(record)


def pull_json(
    key: str,
    standing: Standing | None,
    saved: SavedPool | None,
    records: Sequence[HistoryRecord],
    config: Configuration,
) -> dict[str, Any]:
    """One pull request with the one list of reasons (D7); one that is no longer open has its history alone."""
    done = {"pr": key, "open": standing is not None, "history": [record_json(record) for record in records]}
    if standing is None or saved is None:
        return done
    pull, settings = standing.pull, config.for_branch(saved.pool.branch)
    words = said(standing, saved, settings)
    pool = saved.pool
    return done | {
        "branch": str(saved.pool.branch),
        "title": pull.title,
        "author": pull.author,
        "head_sha": pull.head_sha,
        "url": pull.url,
        "in_pool": standing.in_pool,
        "position": position(standing, pool, settings),
        "merge_method": standing.method.value if standing.method else None,
        "status": {"state": words.state, "description": words.description},
        "reasons": [_reason(reason) for reason in standing.reasons],
        "chances": [_chance(one) for one in chances(standing, under_protection(settings, pool.protection), saved.at)],
        "next": next_step(standing, pool, saved.action, saved.targets, saved.why, saved.runs),
        "action": saved.action if pull.number in saved.targets else None,
        "blockers": [blocker.number for blocker in saved.pool.blockers],
        "base_sha": saved.pool.base_sha,
        "observed_at": when(saved.at),
    }


def explanation_json(found: Explanation) -> dict[str, Any]:
    """Everything there is to say about one open pull request, as /pr/ORG/REPO/N.json has it, without its history."""
    pull = found.standing.pull
    return {
        "pr": str(pull),
        "branch": str(found.pool.branch),
        "base_sha": found.pool.base_sha,
        "title": pull.title,
        "author": pull.author,
        "head_sha": pull.head_sha,
        "url": pull.url,
        "in_pool": found.standing.in_pool,
        "position": found.position,
        "merge_method": found.standing.method.value if found.standing.method else None,
        "status": {"state": found.status.state, "description": found.status.description},
        "reasons": [_reason(reason) for reason in found.standing.reasons],
        "chances": [_chance(chance) for chance in found.chances],
        "blockers": [blocker.number for blocker in found.pool.blockers],
        "next": found.next,
        "way": found.way,
    }


def _chance(chance: Chance) -> dict[str, Any]:
    return {
        "query": query_json(chance.query),
        "closest": chance.is_closest,
        "distance": chance.distance,
        "reasons": [_reason(reason) for reason in chance.reasons],
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "clause": reason.clause.value,
        "needed": reason.needed,
        "observed": reason.observed,
        "observed_at": when(reason.observed_at) if reason.observed_at else None,
        "weight": reason.weight,
        "who": reason.who,
        "remedy": reason.remedy,
    }


def _reduced(pull: PullRequest) -> dict[str, Any]:
    return {"Title": pull.title, "Number": pull.number, "HeadRefOID": pull.head_sha, "Mergeable": pull.mergeable.value}
