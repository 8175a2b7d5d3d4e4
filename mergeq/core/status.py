"""The words of the commit status: Tide's texts (T6), computed from the one list of reasons."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mergeq.core import query
from mergeq.core.batch import Conflict, Run, RunState, conflicting, is_current, staged_policy, verdict
from mergeq.core.compat import Compat
from mergeq.core.evidence import Evidence, untested
from mergeq.core.pool import BlocksPolicy, BranchSettings, Pool, Standing, under_protection
from mergeq.core.pull import Context, PullRequest
from mergeq.core.query import Query
from mergeq.core.queue import Retest
from mergeq.core.reason import Clause, Reason

_LIMIT = 140
_BEYOND_BASIC_PLANE = re.compile("[\U00010000-\U0010ffff]")
_LIST_WIDTH = 50
_OTHER_BRANCH = 2000  # from this weight on a query is about other branches (T6.21)
_NOTHING_TO_PROVE = " No context is required on staged commits, so nothing can be proved."
_ORDER = {clause: index for index, clause in enumerate(Clause)}
_OF_A_QUERY = frozenset(
    {
        Clause.BRANCH,
        Clause.AUTHOR,
        Clause.MILESTONE,
        Clause.LABELS,
        Clause.FORBIDDEN_LABELS,
        Clause.CONTEXTS,
        Clause.REVIEW,
    }
)
_ERRORS = frozenset(
    {
        Clause.CLOSED,
        Clause.CONFLICT,
        Clause.METHOD_LABELS,
        Clause.REBASE,
        Clause.METHOD_DISALLOWED,
        Clause.GITHUB_BLOCKED,
        Clause.MERGE_QUEUE,
        Clause.AUTO_MERGE,
        Clause.ARCHIVED,
        Clause.WORKFLOWS,
        Clause.EVICTED,
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
    Clause.AUTO_MERGE: " {} enabled auto-merge; disable it, the queue merges.",
    Clause.ARCHIVED: " The repository is archived.",
    Clause.WORKFLOWS: " mergeq may not change workflow files, and PR changes {}.",
    Clause.EVICTED: " Taken out of the queue by {}",
    Clause.DRAFT: " PR is a draft.",
    Clause.NO_QUERY: "",
    Clause.UNPOOLED: "",
    Clause.BRANCH: " Merging to branch {} is forbidden.",
    Clause.AUTHOR: " Must be by author {}.",
    Clause.MILESTONE: " Must be in milestone {}.",
    Clause.CONTEXTS_UNREADABLE: " The CI results of this commit could not be read.",
    Clause.NO_CONTEXTS: " No CI has reported on this commit.",
    Clause.REVIEW: " PullRequest is missing sufficient approving GitHub review(s)",
    Clause.SETTLING: " CI has reported only just now, and has to settle.",
    Clause.REFUSED: " GitHub refused: {}",
    Clause.STAGING_FORBIDDEN: " {}",
    Clause.VOIDED: " {}",
    Clause.PROTECTION: " {}",
    Clause.BEHIND: " It is behind its base, and its author has to bring it up to date.",
    Clause.LANDING: " It is not landed: {}.",
    Clause.LANDED: " It has landed as {}.",
}
_LISTS = {
    Clause.LABELS: (" Needs {} label.", " Needs {} labels."),
    Clause.FORBIDDEN_LABELS: (" Should not have {} label.", " Should not have {} labels."),
    Clause.CONTEXTS: (" Job {} has not succeeded.", " Jobs {} have not succeeded."),
    Clause.STAGED: (" Job {} is not green together with the base.", " Jobs {} are not green together with the base."),
}


@dataclass(frozen=True, slots=True)
class Status:
    """A commit status: `state` is success, pending or error, never failure (T6.2), or empty where none can be told;
    `description` holds at most 140 characters.
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
    """The status of one pull request as it is written, cut to what GitHub takes."""
    full = told(standing, pool, settings, runs=runs, conflicts=conflicts)
    text = cut(full.description, settings.compat)
    return full if text is full.description else Status(full.state, text)


def told(
    standing: Standing,
    pool: Pool,
    settings: BranchSettings,
    *,
    runs: Sequence[Run] = (),
    conflicts: Iterable[Conflict] = (),
    rows: Iterable[Evidence] = (),
) -> Status:
    """The status of one pull request in full: the first that applies of T6.4-T6.11. A blocked branch says so to its
    members too (T12.25), except under TIDE (T6.6), whose evidence `rows` is.
    """
    first = min(standing.reasons, key=lambda reason: _ORDER[reason.clause], default=None)
    if first is not None and first.clause in _ERRORS:
        return _not_mergeable("error", phrase(first))
    if settings.refusal:
        return Status("", settings.refusal)
    if pool.halted:
        return _not_mergeable("error", f" The queue of this branch is halted: {pool.halted}")
    if pool.blockers and not (standing.in_pool and settings.compat is Compat.TIDE):
        numbers = [blocker.number for blocker in pool.blockers]
        return _not_mergeable("error" if standing.reasons else "pending", blocked_phrase(numbers))
    if first is not None and first.clause is not Clause.UNPOOLED:
        return _not_mergeable("pending", _missing(first, standing.pull, under_protection(settings, pool.protection)))
    if waits := _waits_for(standing, pool, settings, runs, conflicts, rows):
        return _not_mergeable("pending", waits)
    if settings.blocks_policy is BlocksPolicy.PERMIT and standing.pull.merge_state == "BLOCKED":
        return Status("success", "In merge pool (despite BLOCKED).")
    return Status("success", "In merge pool.")


def difference(wanted: Query, pull: PullRequest, settings: BranchSettings) -> tuple[str, int]:
    """How far a query is from admitting a pull request, in Tide's words and weight: the text is about the first class
    that fails, the weight sums up all; ("", 0) when it is admitted (T6.12-T6.20).
    """
    reasons = query.unmet(wanted, pull, settings.demands)
    blocked = settings.blocks_policy is BlocksPolicy.BLOCK and pull.merge_state == "BLOCKED"
    texts = (*map(phrase, reasons), *([" Blocked by GitHub (branch rulesets or protection)"] if blocked else ()))
    return next(iter(texts), ""), sum(reason.weight for reason in reasons) + 100 * blocked


def _not_mergeable(state: str, why: str) -> Status:
    return Status(state, "Not mergeable." + why)


def _missing(first: Reason, pull: PullRequest, settings: BranchSettings) -> str:
    """What a pull request misses: of the nearest query, or with `display_all_tide_queries_in_status` of every query for
    its branch (T6.21).
    """
    if not settings.tells_all_queries or first.clause not in _OF_A_QUERY:
        return phrase(first) + _consent(first, pull, settings)
    all_of_them = (difference(wanted, pull, settings) for wanted in settings.queries)
    texts = [text for text, weight in all_of_them if weight < _OTHER_BRANCH]
    if not texts:
        return f" No Tide query for branch {pull.base} found."
    return " OR".join((*(text.removesuffix(".") for text in texts[:-1]), texts[-1]))


def _consent(first: Reason, pull: PullRequest, settings: BranchSettings) -> str:
    """What a maintainer has to do before CI runs a stranger's code; empty when that is not what it lacks (Q86)."""
    if first.clause is not Clause.CONTEXTS or settings.compat is Compat.TIDE:
        return ""
    asked = any(context.name in first.items and query.waits_for_consent(context) for context in pull.contexts or ())
    return " A maintainer has to let CI run." if asked else ""


def _waits_for(
    standing: Standing,
    pool: Pool,
    settings: BranchSettings,
    runs: Sequence[Run],
    conflicts: Iterable[Conflict],
    rows: Iterable[Evidence],
) -> str:
    """What has still to happen before a member of the pool can land; empty when nothing has."""
    if settings.compat is Compat.TIDE:
        return _retesting(untested(standing.pull, pool.base_sha, rows, settings))
    if settings.queue.retest is Retest.HEAD:
        return ""
    settings = under_protection(settings, pool.protection)
    if _is_proved(standing, pool, settings, runs):
        return ""
    if settings.queue.retest is Retest.UPDATE:
        asked = any(run.ended is None and standing.pull.head_sha in run.heads for run in runs)
        return f" {'Is' if asked else 'Waits to be'} brought up to date with {standing.pull.base}."
    if clash := conflicting(pool, conflicts).get(standing.pull.number):
        return f" {clash[0].upper()}{clash[1:]}."
    if why := _untold(standing, runs):
        return f" CI could not be told: {why}"
    if pool.untestable and not _is_under_way(standing, pool, runs):
        return f" It cannot be tested: {pool.untestable}"
    required = staged_policy(settings).required
    return _retesting(_left(standing, pool, settings, runs, required)) if required else _NOTHING_TO_PROVE


def _untold(standing: Standing, runs: Iterable[Run]) -> str:
    """Why CI does not know yet of a run under way with this pull request; empty when it does."""
    mine = (run.told.why for run in runs if run.ended is None and standing.pull.head_sha in run.heads)
    return next(filter(None, mine), "")


def _is_proved(standing: Standing, pool: Pool, settings: BranchSettings, runs: Iterable[Run]) -> bool:
    """Whether a run that is about this pool is green with this pull request in it."""
    mine = (run for run in runs if standing.pull.head_sha in run.heads and is_current(run, pool))
    return any(verdict(run, settings, run.started_at).state is RunState.GREEN for run in mine)


def _is_under_way(standing: Standing, pool: Pool, runs: Iterable[Run]) -> bool:
    mine = (run for run in runs if run.ended is None and standing.pull.head_sha in run.heads)
    return any(is_current(run, pool) for run in mine)


def _left(
    standing: Standing, pool: Pool, settings: BranchSettings, runs: Iterable[Run], required: Iterable[str]
) -> list[str]:
    """The contexts that a member of the pool waits for: those of the run that is nearest to its end (T6.9)."""
    mine = [
        verdict(run, settings, run.started_at)
        for run in runs
        if run.ended is None and standing.pull.head_sha in run.heads and is_current(run, pool)
    ]
    left = [{context.name for context in said.contexts} for said in mine if said.state is RunState.PENDING]
    return min((sorted(one) for one in left), key=lambda one: (len(one), one), default=sorted(required))


def _retesting(names: Sequence[str]) -> str:
    """The contexts that are awaited, or where those are too many their number (T6.9)."""
    text = f" Retesting: {' '.join(names)}" if names else ""
    if len(f"Not mergeable.{text}".encode()) <= _LIMIT:
        return text
    return f" Retesting {len(names)} job{'s' * (len(names) > 1)}."


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


def cut(text: str, compat: Compat = Compat.MERGEQ) -> str:
    """At most 140 characters that GitHub takes: nothing beyond the basic plane, cut by character (T6.24, Q74). Tide
    counts bytes, and may cut inside a character.
    """
    if len(text) <= _LIMIT and text.isascii():
        return text
    if compat is Compat.TIDE:
        raw = text.encode()
        return text if len(raw) <= _LIMIT else raw[: _LIMIT - 3].decode(errors="replace") + "..."
    plain = _BEYOND_BASIC_PLANE.sub("\N{REPLACEMENT CHARACTER}", text)
    return plain if len(plain) <= _LIMIT else plain[: _LIMIT - 3] + "..."
