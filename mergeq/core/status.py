"""The words of the commit status: Tide's texts (T6), computed from the one list of reasons."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mergeq.core.batch import Conflict, Run, RunState, conflicting, is_current, staged_policy, verdict
from mergeq.core.pool import BlocksPolicy, BranchSettings, Pool, Standing, under_protection
from mergeq.core.pull import Context
from mergeq.core.queue import Retest
from mergeq.core.reason import Clause, Reason

_LIMIT = 140
_LIST_WIDTH = 50
_ERRORS = frozenset(
    {
        Clause.CLOSED,
        Clause.CONFLICT,
        Clause.METHOD_LABELS,
        Clause.REBASE,
        Clause.METHOD_DISALLOWED,
        Clause.GITHUB_BLOCKED,
        Clause.MERGE_QUEUE,
        Clause.ARCHIVED,
        Clause.REFUSED,
    }
)

_TEXTS = {
    Clause.CLOSED: " PR is not open.",
    Clause.CONFLICT: " PR has a merge conflict.",
    Clause.METHOD_LABELS: " PR has conflicting merge method override labels",
    Clause.REBASE: " PR can't be rebased",
    Clause.METHOD_DISALLOWED: ' Merge type "{}" disallowed by repo settings',
    Clause.GITHUB_BLOCKED: (
        " PR is blocked from merging by GitHub (check branch protection, required reviews, or rulesets)"
    ),
    Clause.MERGE_QUEUE: " GitHub's own merge queue serves this branch.",
    Clause.ARCHIVED: " The repository is archived.",
    Clause.DRAFT: " PR is a draft.",
    Clause.NO_QUERY: "",
    Clause.BRANCH: " Merging to branch {} is forbidden.",
    Clause.AUTHOR: " Must be by author {}.",
    Clause.MILESTONE: " Must be in milestone {}.",
    Clause.CONTEXTS_UNREADABLE: " The CI results of this commit could not be read.",
    Clause.NO_CONTEXTS: " No CI has reported on this commit.",
    Clause.REVIEW: " PullRequest is missing sufficient approving GitHub review(s)",
    Clause.REFUSED: " GitHub refused: {}",
    Clause.STAGING_FORBIDDEN: " {}",
    Clause.VOIDED: " {}",
    Clause.PROTECTION: " {}",
    Clause.BEHIND: " It is behind its base, and its author has to bring it up to date.",
}
_LISTS = {
    Clause.LABELS: (" Needs {} label.", " Needs {} labels."),
    Clause.FORBIDDEN_LABELS: (" Should not have {} label.", " Should not have {} labels."),
    Clause.CONTEXTS: (" Job {} has not succeeded.", " Jobs {} have not succeeded."),
    Clause.STAGED: (" Job {} is not green together with the base.", " Jobs {} are not green together with the base."),
}


@dataclass(frozen=True, slots=True)
class Status:
    """A commit status: `state` is success, pending or error, never failure (T6.2); `description` holds at most 140
    characters.
    """

    state: str
    description: str


def describe(
    standing: Standing,
    pool: Pool,
    settings: BranchSettings,
    *,
    runs: Sequence[Run] = (),
    conflicts: Iterable[Conflict] = (),
) -> Status:
    """The status of one pull request; the first that applies of T6.4-T6.9. A blocked branch says so to its members too
    (T12.25).
    """
    settings = under_protection(settings, pool.protection)
    first = min(standing.reasons, key=lambda reason: list(Clause).index(reason.clause), default=None)
    if first is not None and first.clause in _ERRORS:
        return Status("error", _cut("Not mergeable." + phrase(first)))
    if pool.halted:
        return Status("error", _cut(f"Not mergeable. The queue of this branch is halted: {pool.halted}"))
    if pool.blockers:
        numbers = [blocker.number for blocker in pool.blockers]
        return Status("error" if standing.reasons else "pending", _cut("Not mergeable." + blocked_phrase(numbers)))
    if first is not None:
        return Status("pending", _cut("Not mergeable." + phrase(first)))
    if settings.queue.retest is Retest.UPDATE and not _is_proved(standing, pool, settings, runs):
        return Status("pending", _cut("Not mergeable." + _updating(standing, runs)))
    if settings.queue.retest is Retest.STAGING and not _is_proved(standing, pool, settings, runs):
        return Status("pending", _cut("Not mergeable." + _retesting(standing, pool, settings, runs, conflicts)))
    if settings.blocks_policy is BlocksPolicy.PERMIT and standing.pull.merge_state == "BLOCKED":
        return Status("success", "In merge pool (despite BLOCKED).")
    return Status("success", "In merge pool.")


def _is_proved(standing: Standing, pool: Pool, settings: BranchSettings, runs: Iterable[Run]) -> bool:
    """Whether a run that is about this pool is green with this pull request in it."""
    mine = (run for run in runs if standing.pull.head_sha in run.heads and is_current(run, pool))
    return any(verdict(run, settings, run.started_at).state is RunState.GREEN for run in mine)


def _updating(standing: Standing, runs: Iterable[Run]) -> str:
    """What a member of the pool waits for where its own branch has to contain the tip of the base (D3)."""
    asked = any(run.ended is None and standing.pull.head_sha in run.heads for run in runs)
    return f" {'Is' if asked else 'Waits to be'} brought up to date with {standing.pull.base}."


def _retesting(
    standing: Standing, pool: Pool, settings: BranchSettings, runs: Iterable[Run], conflicts: Iterable[Conflict]
) -> str:
    """What a member of the pool waits for: a place beside one that it conflicts with, or its contexts (T6.9)."""
    if clash := conflicting(pool, conflicts).get(standing.pull.number):
        return f" {clash[0].upper()}{clash[1:]}."
    required = staged_policy(settings).required
    if not required:
        return " No context is required on staged commits, so nothing can be proved."
    mine = [
        verdict(run, settings, run.started_at)
        for run in runs
        if run.ended is None and standing.pull.head_sha in run.heads and is_current(run, pool)
    ]
    left = [{context.name for context in said.contexts} for said in mine if said.state is RunState.PENDING]
    names = min((sorted(one) for one in left), key=lambda one: (len(one), one), default=sorted(required))
    text = f" Retesting: {' '.join(names)}"
    return (
        text if len(text) + len("Not mergeable.") <= _LIMIT else f" Retesting {len(names)} job{'s' * (len(names) > 1)}."
    )


def shown(contexts: Iterable[Context], name: str) -> Status | None:
    """Our own status as GitHub shows it on a head; None when there is none."""
    mine = [context for context in contexts if context.app is None and context.name.lower() == name.lower()]
    newest = max(mine, key=lambda context: context.at, default=None)
    return Status(newest.result.value.lower(), newest.description) if newest else None


def blocked_phrase(numbers: Sequence[int]) -> str:
    """The blocking issues of a branch, as T6.5 words them."""
    return f" Merging is blocked by issue{'s' * (len(numbers) > 1)} {', '.join(str(number) for number in numbers)}."


def phrase(reason: Reason) -> str:
    """The text of one reason, with a leading blank (T3.6-T3.10, T6.13-T6.20); NO_QUERY says nothing (T6.7)."""
    if reason.clause in _LISTS:
        return _listed(*_LISTS[reason.clause], reason.items)
    return _TEXTS[reason.clause].format(*reason.items)


def _listed(singular: str, plural: str, items: Sequence[str]) -> str:
    """As many items as fit Tide's width, at least one; the number follows what is shown (T6.20a)."""
    shown, width = [items[0]], len(items[0].encode())
    for item in items[1:]:
        if width + len(item.encode()) > _LIST_WIDTH:
            break
        shown.append(item)
        width += 2 + len(item.encode())
    return (plural if len(shown) > 1 else singular).format(", ".join(shown))


def _cut(text: str) -> str:
    """At most 140 characters that GitHub takes: nothing beyond the basic plane, cut by character (T6.24, Q74)."""
    plain = "".join(char if ord(char) <= 0xFFFF else "\N{REPLACEMENT CHARACTER}" for char in text)
    return plain if len(plain) <= _LIMIT else plain[: _LIMIT - 3] + "..."
