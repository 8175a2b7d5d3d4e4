"""What stands between a pull request and its base: reviews, required contexts, and the states GitHub shows for them."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from mergeq.sandbox.records import (
    PASSING,
    CheckRun,
    CheckStatus,
    Protection,
    Pull,
    Repo,
    Review,
    ReviewState,
    Status,
    StatusState,
)


class ContextVerdict(StrEnum):
    """The word GitHub uses for a required context in a refusal."""

    EXPECTED = "expected"
    PENDING = "pending"
    IN_PROGRESS = "in progress"
    FAILING = "failing"
    PASSING = "passing"


_WORST_FIRST = (
    ContextVerdict.FAILING,
    ContextVerdict.IN_PROGRESS,
    ContextVerdict.PENDING,
    ContextVerdict.PASSING,
)


class MergeState(StrEnum):
    """GraphQL's MergeStateStatus, as far as it occurs here."""

    UNKNOWN = "UNKNOWN"
    DIRTY = "DIRTY"
    DRAFT = "DRAFT"
    BLOCKED = "BLOCKED"
    BEHIND = "BEHIND"
    UNSTABLE = "UNSTABLE"
    CLEAN = "CLEAN"


def status_verdict(status: Status) -> ContextVerdict:
    """What one commit status counts as."""
    match status.state:
        case StatusState.SUCCESS:
            return ContextVerdict.PASSING
        case StatusState.PENDING:
            return ContextVerdict.PENDING
    return ContextVerdict.FAILING


def run_verdict(run: CheckRun) -> ContextVerdict:
    """What one check run counts as; neutral and skipped pass (Q38)."""
    if run.status is CheckStatus.COMPLETED:
        return ContextVerdict.PASSING if run.conclusion in PASSING else ContextVerdict.FAILING
    return ContextVerdict.IN_PROGRESS if run.status is CheckStatus.IN_PROGRESS else ContextVerdict.PENDING


def context_verdict(repo: Repo, sha: str, context: str) -> ContextVerdict:
    """The worst of a status and check runs of one name: both must pass (Q37)."""
    name = context.casefold()
    found = {status_verdict(s) for s in repo.latest_statuses(sha) if s.context.casefold() == name}
    found |= {run_verdict(run) for run in repo.latest_runs(sha) if run.name.casefold() == name}
    return next((verdict for verdict in _WORST_FIRST if verdict in found), ContextVerdict.EXPECTED)


def opinions(pull: Pull) -> dict[str, Review]:
    """The newest review of each reviewer that carries an opinion; a dismissed one carries none."""
    latest: dict[str, Review] = {}
    for review in pull.reviews:
        if review.state is ReviewState.DISMISSED:
            latest.pop(review.author, None)
        elif review.state is not ReviewState.COMMENTED:
            latest[review.author] = review
    return latest


def review_decision(repo: Repo, pull: Pull) -> str | None:
    """GraphQL's reviewDecision: None where the base requires no reviews, even if approved (Q88)."""
    protection = repo.protections.get(pull.base_ref)
    if protection is None or protection.required_reviews == 0:
        return None
    states = Counter(review.state for review in opinions(pull).values())
    if states[ReviewState.CHANGES_REQUESTED]:
        return "CHANGES_REQUESTED"
    enough = states[ReviewState.APPROVED] >= protection.required_reviews
    return "APPROVED" if enough else "REVIEW_REQUIRED"


def unmet(repo: Repo, pull: Pull, *, as_admin: bool = False) -> tuple[str, ...]:
    """GitHub's sentences for what the base's protection still asks of a pull request; empty if nothing."""
    protection = repo.protections.get(pull.base_ref)
    if protection is None or (as_admin and not protection.enforce_admins):
        return ()
    return tuple(_unmet_contexts(repo, pull.head_sha, protection)) + tuple(_unmet_reviews(repo, pull, protection))


def _unmet_contexts(repo: Repo, sha: str, protection: Protection) -> list[str]:
    verdicts = {context: context_verdict(repo, sha, context) for context in protection.required_contexts}
    open_ones = {c: verdict for c, verdict in verdicts.items() if verdict is not ContextVerdict.PASSING}
    if not open_ones:
        return []
    if len(open_ones) == 1:
        context, verdict = next(iter(open_ones.items()))
        return [f'Required status check "{context}" is {verdict}.']
    if set(open_ones.values()) == {ContextVerdict.EXPECTED}:
        return [f"{len(open_ones)} of {len(verdicts)} required status checks are expected."]
    counts: Counter[ContextVerdict] = Counter(open_ones.values())
    parts = [f"{counts[verdict]} {verdict}" for verdict in ContextVerdict if counts[verdict]]
    listed = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    return [f"{len(open_ones)} of {len(verdicts)} required status checks have not succeeded: {listed}."]


def _unmet_reviews(repo: Repo, pull: Pull, protection: Protection) -> list[str]:
    match review_decision(repo, pull):
        case "REVIEW_REQUIRED":
            count = protection.required_reviews
            reviews = "review is" if count == 1 else "reviews are"
            return [f"At least {count} approving {reviews} required by reviewers with write access."]
        case "CHANGES_REQUESTED":
            return ["Changes have been requested."]
    return []


def is_behind(repo: Repo, pull: Pull) -> bool:
    """Whether a strict base has moved past what the head contains."""
    protection = repo.protections.get(pull.base_ref)
    tip = repo.git.tip(pull.base_ref)
    return bool(protection and protection.strict and tip and not repo.git.is_ancestor(tip, pull.head_sha))


def merge_state(repo: Repo, pull: Pull) -> MergeState:
    """The first that applies, in the order of MergeState."""
    if pull.mergeable is None or not pull.is_open:
        return MergeState.UNKNOWN
    if not pull.mergeable:
        return MergeState.DIRTY
    if pull.draft:
        return MergeState.DRAFT
    if unmet(repo, pull):
        return MergeState.BLOCKED
    if is_behind(repo, pull):
        return MergeState.BEHIND
    verdicts = [status_verdict(status) for status in repo.latest_statuses(pull.head_sha)]
    verdicts += [run_verdict(run) for run in repo.latest_runs(pull.head_sha)]
    if any(verdict is not ContextVerdict.PASSING for verdict in verdicts):
        return MergeState.UNSTABLE
    return MergeState.CLEAN
