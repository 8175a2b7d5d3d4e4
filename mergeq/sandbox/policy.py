"""What protection says of merging a pull request and of moving a branch, in GitHub's words, and the states it shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

from mergeq.sandbox.git import ZERO
from mergeq.sandbox.records import (
    PASSING,
    CheckRun,
    CheckStatus,
    Method,
    Protection,
    Pull,
    Repo,
    RequiredCheck,
    Review,
    ReviewRule,
    ReviewState,
    Status,
    StatusState,
)

LOCKED = "Cannot change this locked branch"
NOT_AUTHORIZED = (
    "You're not authorized to push to this branch. "
    "Visit https://docs.github.com/articles/about-protected-branches/ for more information."
)
NOT_LINEAR = "This branch must not contain merge commits."
UNSIGNED = "Commits must have verified signatures."


class ContextVerdict(StrEnum):
    """The word GitHub uses for a required context in a refusal."""

    EXPECTED = "expected"
    PENDING = "pending"
    IN_PROGRESS = "in progress"
    FAILING = "failing"
    PASSING = "passing"
    FOREIGN = "not set by the expected GitHub app"


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


def check_verdict(repo: Repo, sha: str, check: RequiredCheck) -> ContextVerdict:
    """The worst of a status and check runs of one name: both must pass (Q37).

    Where an app is asked for, only its check runs count, and what others report is told from nothing at all.
    """
    name = check.context.casefold()
    runs = [run for run in repo.latest_runs(sha) if run.name.casefold() == name]
    statuses = [status for status in repo.latest_statuses(sha) if status.context.casefold() == name]
    if check.app_id is None:
        found = {status_verdict(status) for status in statuses} | {run_verdict(run) for run in runs}
    else:
        found = {run_verdict(run) for run in runs if run.suite.app.id == check.app_id}
        if not found and (runs or statuses):
            return ContextVerdict.FOREIGN
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
    protection = repo.protection_of(pull.base_ref)
    rule = protection.reviews if protection else None
    if rule is None or (rule.count == 0 and not rule.last_push_approval):
        return None
    counted = [review for review in opinions(pull).values() if repo.people.may_write(review.author)]
    states = Counter(review.state for review in counted)
    if states[ReviewState.CHANGES_REQUESTED]:
        return "CHANGES_REQUESTED"
    enough = states[ReviewState.APPROVED] >= rule.count and not _lacks_last_approval(pull, rule, counted)
    return "APPROVED" if enough else "REVIEW_REQUIRED"


def _lacks_last_approval(pull: Pull, rule: ReviewRule, reviews: Iterable[Review]) -> bool:
    """Whether nobody but the last pusher has approved the present head, where that is asked for (Q90)."""
    return rule.last_push_approval and not any(
        review.state is ReviewState.APPROVED
        and review.commit_sha == pull.head_sha
        and review.author != pull.last_pusher
        for review in reviews
    )


def unmet(repo: Repo, pull: Pull) -> tuple[str, ...]:
    """GitHub's sentences for what the base's protection still asks of a pull request; empty if nothing."""
    protection = repo.protection_of(pull.base_ref)
    if protection is None:
        return ()
    sentences = [LOCKED] if protection.lock_branch else []
    sentences += _unmet_contexts(repo, pull.head_sha, protection)
    sentences += _unmet_reviews(repo, pull, protection)
    if protection.conversation_resolution and any(thread.resolved_by is None for thread in pull.threads):
        sentences.append("A conversation must be resolved before this pull request can be merged.")
    return tuple(sentences)


def merge_refusals(repo: Repo, pull: Pull, method: Method, by: str) -> tuple[str, ...]:
    """Everything that keeps somebody from merging a pull request this way; empty if nothing does."""
    protection = repo.protection_of(pull.base_ref)
    if protection is None or _passes(repo, protection, by):
        return ()
    sentences = list(unmet(repo, pull))
    if not _may_push(repo, protection, by):
        sentences.append(NOT_AUTHORIZED)
    if protection.linear_history and method is Method.MERGE:
        sentences.append(NOT_LINEAR)
    if protection.signatures and method is Method.REBASE:
        sentences.append("Base branch requires signed commits. Rebase merges cannot be automatically signed by GitHub")
    if protection.signatures and method is Method.MERGE and _brings_unsigned(repo, pull.base_ref, pull.head_sha):
        sentences.append(UNSIGNED)
    return tuple(sentences)


def _brings_unsigned(repo: Repo, base: str, head: str) -> bool:
    new = repo.git.new_commits(repo.git.tip(base) or ZERO, head)
    return any(not info.is_verified for info in repo.git.commits([sha for sha, _ in new]))


def push_refusals(repo: Repo, branch: str, old: str, new: str, by: str) -> tuple[str, ...]:
    """GitHub's sentences against moving a branch from ``old`` to ``new`` (ZERO: none); the objects are there.

    Forced moves and deletions are refused to administrators too, whatever ``enforce_admins`` says.
    """
    protection = repo.protection_of(branch)
    if protection is None:
        return ()
    if new == ZERO:
        return () if protection.deletions else ("Cannot delete a protected branch",)
    if old != ZERO and not protection.force_pushes and not repo.git.is_ancestor(old, new):
        return ("Cannot force-push to a protected branch",)
    if _passes(repo, protection, by):
        return ()
    sentences = [LOCKED] if protection.lock_branch else []
    if not _may_push(repo, protection, by):
        sentences.append(NOT_AUTHORIZED)
    sentences += _unmet_contexts(repo, new, protection)
    if protection.reviews is not None:
        count = protection.reviews.count
        sentences.append(_reviews_needed(count) if count else "Changes must be made through a pull request.")
    if not (protection.linear_history or protection.signatures):
        return tuple(sentences)
    added = repo.git.new_commits(old if old != ZERO else repo.git.tip(repo.default_branch) or ZERO, new)
    if protection.linear_history and any(len(parents) > 1 for _, parents in added):
        sentences.append(NOT_LINEAR)
    if protection.signatures and not all(i.is_verified for i in repo.git.commits([sha for sha, _ in added])):
        sentences.append(UNSIGNED)
    return tuple(sentences)


def _passes(repo: Repo, protection: Protection, by: str) -> bool:
    """Whether the rules are not for this person."""
    return not protection.enforce_admins and repo.people.is_admin(by)


def _may_push(repo: Repo, protection: Protection, by: str) -> bool:
    """Whether push restrictions let somebody through; administrators always are."""
    allowed = protection.restrictions
    if allowed is None or repo.people.is_admin(by) or by in allowed.users:
        return True
    if by.removesuffix("[bot]") in allowed.apps and by.endswith("[bot]"):
        return True
    return any(by in repo.people.teams.get(team, ()) for team in allowed.teams)


def _unmet_contexts(repo: Repo, sha: str, protection: Protection) -> list[str]:
    verdicts = {check.context: check_verdict(repo, sha, check) for check in protection.checks}
    open_ones = {c: verdict for c, verdict in verdicts.items() if verdict is not ContextVerdict.PASSING}
    if not open_ones:
        return []
    if len(open_ones) == 1:
        context, verdict = next(iter(open_ones.items()))
        verb = "was" if verdict is ContextVerdict.FOREIGN else "is"
        return [f'Required status check "{context}" {verb} {verdict}.']
    if set(open_ones.values()) == {ContextVerdict.EXPECTED}:
        return [f"{len(open_ones)} of {len(verdicts)} required status checks are expected."]
    counts: Counter[ContextVerdict] = Counter(open_ones.values())
    parts = [f"{counts[verdict]} {verdict}" for verdict in ContextVerdict if counts[verdict]]
    listed = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    return [f"{len(open_ones)} of {len(verdicts)} required status checks have not succeeded: {listed}."]


def _unmet_reviews(repo: Repo, pull: Pull, protection: Protection) -> list[str]:
    match review_decision(repo, pull), protection.reviews:
        case "CHANGES_REQUESTED", _:
            return ["Changes have been requested."]
        case "REVIEW_REQUIRED", ReviewRule() as rule:
            approvals = [
                review
                for review in opinions(pull).values()
                if review.state is ReviewState.APPROVED and repo.people.may_write(review.author)
            ]
            if len(approvals) < rule.count:
                return [_reviews_needed(rule.count)]
            return ["New changes require approval from someone other than the last pusher."]
    return []


def _reviews_needed(count: int) -> str:
    reviews = "review is" if count == 1 else "reviews are"
    return f"At least {count} approving {reviews} required by reviewers with write access."


def is_behind(repo: Repo, pull: Pull, by: str | None = None) -> bool:
    """Whether a strict base has moved past what the head contains; not for whom the rules do not bind."""
    protection = repo.protection_of(pull.base_ref)
    if protection is None or protection.status is None or not protection.status.strict:
        return False
    if by is not None and _passes(repo, protection, by):
        return False
    tip = repo.git.tip(pull.base_ref)
    return tip is not None and not repo.git.is_ancestor(tip, pull.head_sha)


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
