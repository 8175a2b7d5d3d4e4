"""The pool of a branch: each of its open pull requests with everything that keeps it out, and those that nothing keeps
out.
"""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256

from mergeq.core import landing, query
from mergeq.core.compat import Compat
from mergeq.core.contexts import ContextPolicy, Demands, EmptyContexts, Presubmit, latest, unsuccessful
from mergeq.core.merge_method import BranchMethods, MergeMethods
from mergeq.core.orders import Eviction, moment
from mergeq.core.pull import (
    Blocker,
    Branch,
    BranchFacts,
    Context,
    Mergeable,
    Method,
    Protection,
    PullRequest,
    Repository,
    Result,
)
from mergeq.core.query import Query
from mergeq.core.queue import Drafts, Forks, Landing, Order, QueueValues, Retest
from mergeq.core.reason import Clause, Reason


class BlocksPolicy(StrEnum):
    """What GitHub's own verdict BLOCKED means for a pull request (T1.22)."""

    IGNORE = "ignore"
    PERMIT = "permit"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class BranchSettings:
    """Everything configured for one branch. The defaults of YAML keys live here.

    Under TIDE alone (D20): `presubmits` are the jobs that must be green with the base, `refusal` says why Tide would
    not act on the contexts of the branch (T1.61).
    """

    queries: tuple[Query, ...] = ()
    contexts: ContextPolicy = field(default_factory=ContextPolicy)
    methods: MergeMethods = field(default_factory=MergeMethods)
    status_context: str = "tide"
    blocks_policy: BlocksPolicy = BlocksPolicy.PERMIT
    priority: tuple[tuple[str, ...], ...] = ()
    batch_size_limit: int = 0
    queue: QueueValues = field(default_factory=QueueValues)
    tells_all_queries: bool = False
    compat: Compat = Compat.MERGEQ
    presubmits: tuple[Presubmit, ...] = ()
    prioritizes_existing_batches: bool = True
    refusal: str = ""

    @property
    def demands(self) -> Demands:
        """What is demanded of the contexts of a head."""
        return Demands(self.contexts, self.status_context, self.queue.context_apps, self.compat)


@dataclass(frozen=True, slots=True)
class Refusal:
    """GitHub said no to a landing, or we did (`is_ours`); the pull request stands back until its head changes or
    `until` (epoch seconds) has come (T12.7).

    It is also over when that could change GitHub's mind: `circumstances` are not what they were, or the tip of the base
    is not `base_sha` any more. Each is empty where that is nothing to go by. `tries` counts how often this head was
    refused.
    """

    head_sha: str
    text: str
    until: float
    is_ours: bool = False
    circumstances: str = ""
    base_sha: str = ""
    tries: int = 1


_LONGEST_REFUSAL = 3600.0


def stands_back(tries: int, first: float) -> float:
    """Seconds that a head stands back after its `tries`-th refusal: `first`, then twice as long each time, up to an
    hour where that is not less than `first`.
    """
    return min(first * 2.0 ** min(tries - 1, 20), max(first, _LONGEST_REFUSAL))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one pull request stands: `reasons` is the one list of what keeps it out, empty when it is in the pool.

    `method` is None when its labels contradict each other. `entered_at` (epoch seconds) is when it came into the pool,
    None outside.
    """

    pull: PullRequest
    method: Method | None
    reasons: tuple[Reason, ...]
    entered_at: float | None = None

    @property
    def in_pool(self) -> bool:
        """Whether nothing keeps this pull request out."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Pool:
    """A branch, judged: every open pull request with its standing, ascending by number, and the blockers that apply.
    `doubt` says why the base has to be tested alone before anything else, if it has.
    `untestable` says why GitHub did not let be tested what was to be tested.
    """

    branch: Branch
    base_sha: str
    standings: tuple[Standing, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    partial: str = ""
    halted: str = ""
    protection: Protection = field(default_factory=Protection)
    unread: tuple[str, ...] = ()
    base_tree: str = ""
    doubt: str = ""
    untestable: str = ""

    @property
    def members(self) -> tuple[Standing, ...]:
        """Those that are in the pool."""
        return tuple(standing for standing in self.standings if standing.in_pool)

    def never_reported(self, ours: str) -> tuple[str, ...]:
        """The contexts that GitHub requires here and that no open pull request has been given, except `ours`: most
        likely their names are wrong, or CI is not set up (P7.47). Empty while CI has not reported anything at all.
        """
        seen = {one.name.lower() for standing in self.standings for one in standing.pull.contexts or ()} - {
            ours.lower()
        }
        wanted = {name for name, _ in self.protection.required if name.lower() not in {*seen, ours.lower()}}
        return tuple(sorted(wanted)) if seen else ()

    def standing(self, number: int) -> Standing | None:
        """The standing of one pull request; None when it is not open on this branch."""
        return next((standing for standing in self.standings if standing.pull.number == number), None)


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a head came to its pull request: not after a moment, in seconds since the epoch.

    `original`: it is the head with which the pull request was opened, so no label is older.
    """

    head_sha: str
    not_after: float
    original: bool = False


@dataclass(frozen=True, slots=True)
class Unproved:
    """The contexts that were seen pending or red on a head and not seen green since (T12.20)."""

    head_sha: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Landed:
    """A head that is on the base since `at` (epoch seconds), as `sha` or below it, though GitHub was not seen to have
    marked its pull request as merged (Q76).
    """

    head_sha: str
    sha: str
    at: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known from before: when members entered (by number and head), what GitHub refused (by number), which
    heads did not pass with the base, when heads arrived and what was not green on them, what has landed already, and
    which operators took out of the pool (by number).
    """

    entered: Mapping[tuple[int, str], float] = field(default_factory=dict)
    refusals: Mapping[int, Refusal] = field(default_factory=dict)
    convictions: Mapping[str, Reason] = field(default_factory=dict)
    arrivals: Mapping[int, Arrival] = field(default_factory=dict)
    unproved: Mapping[int, Unproved] = field(default_factory=dict)
    landed: Mapping[int, Landed] = field(default_factory=dict)
    evictions: Mapping[int, Eviction] = field(default_factory=dict)


def assess(
    pull: PullRequest,
    repository: Repository,
    protection: Protection,
    settings: BranchSettings,
    memory: Memory,
    now: float,
) -> Standing:
    """Judge one pull request by itself, as `divide` does with all of a branch: before landing (D23)."""
    return _judged(pull, _bar(pull.branch, repository, protection, settings), memory, now)


@dataclass(frozen=True, slots=True)
class _Bar:
    """What the pull requests of one branch are held against: the settings under protection, and what follows from them
    for all. `is_protected`: the protection demands more than contexts.
    """

    repository: Repository
    protection: Protection
    settings: BranchSettings
    demands: Demands
    methods: BranchMethods
    is_protected: bool


def _bar(branch: Branch, repository: Repository, protection: Protection, settings: BranchSettings) -> _Bar:
    held = under_protection(settings, protection)
    demands_more = replace(protection, required=()) != Protection()
    return _Bar(repository, protection, held, held.demands, held.methods.on(branch, held.compat), demands_more)


def _judged(pull: PullRequest, bar: _Bar, memory: Memory, now: float) -> Standing:
    """The only place where it is decided whether a pull request may merge (D7)."""
    settings, demands = bar.settings, bar.demands
    method = bar.methods.of(pull)
    if settings.compat is Compat.TIDE:
        reasons = _as_tide(pull, method, bar.repository, settings)
    else:
        if (unproved := memory.unproved.get(pull.number)) is not None:
            demands = still_awaiting(settings, pull, unproved).demands
        arrival = memory.arrivals.get(pull.number)
        conviction = memory.convictions.get(pull.head_sha)
        retest = settings.queue.retest
        found = (
            *_unmergeable(pull, method, bar.repository, settings),
            *_evicted(pull, memory.evictions.get(pull.number)),
            *_unready(pull, settings, demands),
            *query.closest(settings.queries, pull, demands),
            *voided(pull, settings, arrival),
            *(_protected(pull, method, bar.protection, settings) if bar.is_protected else ()),
            *(_not_stageable(pull, settings, arrival) if retest is Retest.STAGING else ()),
            *((conviction,) if conviction and retest is not Retest.HEAD else ()),
            *_not_pushable(pull, method, bar.protection, settings),
            *_refused(pull, memory.refusals.get(pull.number), bar, now),
            *_landed(pull, memory.landed.get(pull.number)),
        )
        if not found and (pull.number, pull.head_sha) not in memory.entered:
            found = _settling(pull, settings, now)
        reasons = tuple([reason.seen(now) for reason in found])
    entered_at = None if reasons else memory.entered.get((pull.number, pull.head_sha), now)
    return Standing(pull, method, reasons, entered_at)


def _as_tide(
    pull: PullRequest, method: Method | None, repository: Repository, settings: BranchSettings
) -> tuple[Reason, ...]:
    """What keeps a pull request out of Tide's pool (T3.5-T3.14): the search is believed, of the contexts those that a
    job may be running again may be pending.

    Of one that stays out, everything that the nearest query misses is told; there may be nothing of the kind (T6.8).
    """
    merging = _unmergeable(pull, method, repository, settings)
    again = {job.context for job in settings.presubmits if job.is_demanded(pull.paths or ())}
    awaited = unsuccessful(pull.contexts or (), settings.demands)
    if (
        pull.was_found
        and not settings.refusal
        and not merging
        and pull.contexts is not None
        and all(context.result is Result.PENDING and context.name in again for context in awaited)
    ):
        return ()
    out = Reason(
        Clause.UNPOOLED,
        "to be in Tide's pool",
        settings.refusal or "it is not found, or its contexts are not green",
        "nobody",
        "wait",
        0,
    )
    return (*merging, *query.closest(settings.queries, pull, settings.demands), out)


def under_protection(settings: BranchSettings, protection: Protection) -> BranchSettings:
    """The settings with every context that GitHub requires required here too, from its app (D18, D19). Tide knows no
    such thing.
    """
    if not protection.required or settings.compat is Compat.TIDE:
        return settings
    names = frozenset(name for name, _ in protection.required if name.lower() != settings.status_context.lower())
    contexts = replace(
        settings.contexts,
        required=settings.contexts.required | names,
        optional=settings.contexts.optional - names,
        required_if_present=settings.contexts.required_if_present - names,
    )
    queue = replace(settings.queue, context_apps={**settings.queue.context_apps, **protection.pins})
    return replace(settings, contexts=contexts, queue=queue)


def still_awaiting(settings: BranchSettings, pull: PullRequest, unproved: Unproved | None) -> BranchSettings:
    """The settings with what was seen pending or red on this head required on it: a re-run takes its context away for a
    moment, and that moment must not look green (D18, T12.20).
    """
    if unproved is None or unproved.head_sha != pull.head_sha:
        return settings
    names = frozenset(name for name in unproved.names if settings.contexts.counts(name))
    contexts = replace(
        settings.contexts,
        required=settings.contexts.required | names,
        required_if_present=settings.contexts.required_if_present - names,
    )
    return replace(settings, contexts=contexts)


def unproved_now(pull: PullRequest, before: Unproved | None, ours: str) -> Unproved:
    """What is unproved on the present head, after another look at it; what cannot be read proves nothing."""
    known = before.names if before and before.head_sha == pull.head_sha else frozenset()
    seen = [context for context in latest(pull.contexts or ()) if context.name.lower() != ours.lower()]
    bad = frozenset(context.name for context in seen if context.result is not Result.SUCCESS)
    return Unproved(pull.head_sha, (known | bad) - (frozenset(context.name for context in seen) - bad))


def divide(facts: BranchFacts, settings: BranchSettings, memory: Memory, now: float) -> Pool:
    """Judge every pull request of a branch."""
    bar = _bar(facts.branch, facts.repository, facts.protection, settings)
    pulls = sorted(facts.pulls, key=lambda pull: pull.number)
    if settings.compat is Compat.TIDE and facts.partial:
        pulls = [replace(pull, was_found=False) for pull in pulls]  # Tide drops what it is not sure of (T7.3)
    standings = tuple(_judged(pull, bar, memory, now) for pull in pulls)
    blockers = applicable_blockers(facts)
    return Pool(
        facts.branch,
        facts.base_sha,
        standings,
        blockers,
        facts.partial,
        protection=facts.protection,
        unread=facts.unread,
        base_tree=facts.base_tree,
    )


def applicable_blockers(facts: BranchFacts) -> tuple[Blocker, ...]:
    """The blockers that stop this branch, ascending by number (T7.7)."""
    return tuple(sorted((b for b in facts.blockers if b.applies_to(facts.branch.name)), key=lambda b: b.number))


def priority_of(pull: PullRequest, settings: BranchSettings) -> int:
    """The index of the first `priority` entry whose labels are all there; their number when there is none (T4.12)."""
    compat = settings.compat
    present = compat.all_of(pull.labels)
    for index, entry in enumerate(settings.priority):
        if not any(query.lacking(label, present, compat) for label in entry):
            return index
    return len(settings.priority)


def ranked(members: Iterable[Standing], settings: BranchSettings) -> Sequence[Standing]:
    """Members in the order in which they are served: by `priority` entry, then by `order`, then by number (T4.12)."""
    by_entry = settings.queue.order is Order.ENTERED

    def rank(member: Standing) -> tuple[int, float, int]:
        entered = member.entered_at or 0.0 if by_entry else 0.0
        return (priority_of(member.pull, settings), entered, member.pull.number)

    return sorted(members, key=rank)


def _unmergeable(
    pull: PullRequest, method: Method | None, repository: Repository, settings: BranchSettings
) -> tuple[Reason, ...]:
    """What makes merging impossible whatever the queries say, in the order of T3.7, with our own clauses beside
    Tide's.
    """
    reasons: list[Reason] = []
    if not pull.is_open:
        reasons.append(Reason(Clause.CLOSED, "to be open", "it is closed or merged", "the author", "reopen it"))
    if pull.mergeable is Mergeable.CONFLICTING:
        reasons.append(
            Reason(
                Clause.CONFLICT,
                f"to merge cleanly into {pull.base}",
                "GitHub finds a merge conflict",
                "the author",
                f"rebase onto {pull.base}, or merge {pull.base} into the branch, and push",
            )
        )
    if method is None:
        labels = (settings.methods.squash_label, settings.methods.rebase_label, settings.methods.merge_label)
        reasons.append(
            Reason(
                Clause.METHOD_LABELS,
                "at most one merge method label",
                "it has several",
                "whoever set the labels",
                f"keep one of {', '.join(label for label in labels if label)}",
            )
        )
    if method is Method.REBASE and not pull.can_be_rebased and not _is_unsure(pull, settings):
        reasons.append(
            Reason(
                Clause.REBASE,
                "commits that can be rebased onto the base",
                "GitHub says they cannot",
                "the author",
                f"rebase onto {pull.base} by hand and push",
            )
        )
    if method is not None and method not in repository.allowed_methods:
        reasons.append(
            Reason(
                Clause.METHOD_DISALLOWED,
                f"the repository to allow the method {method}",
                f"it allows {', '.join(sorted(repository.allowed_methods)) or 'none'}",
                "an administrator of the repository",
                f"allow {method} in the repository's settings, or configure another method",
                items=(method.value,),
            )
        )
    if pull.merge_state == "BLOCKED" and settings.blocks_policy is BlocksPolicy.BLOCK:
        reasons.append(
            Reason(
                Clause.GITHUB_BLOCKED,
                "GitHub's own rules to be met",
                "GitHub reports it as blocked",
                "depends on the rule",
                "see the merge box on GitHub: protection, reviews and rulesets",
                100,
            )
        )
    if pull.in_merge_queue:
        reasons.append(
            Reason(
                Clause.MERGE_QUEUE,
                "not to be owned by another queue",
                "GitHub's own merge queue serves this branch",
                "an administrator of the repository",
                "turn GitHub's merge queue off for this branch, or take the branch out of `tide.queries`",
            )
        )
    if pull.auto_merge_by and settings.queue.retest is not Retest.HEAD and settings.compat is not Compat.TIDE:
        reasons.append(
            Reason(
                Clause.AUTO_MERGE,
                "nobody but the queue to merge it",
                f"{pull.auto_merge_by} told GitHub to merge it by itself, which would not be what was tested",
                pull.auto_merge_by,
                "disable auto-merge; the queue merges it",
                items=(pull.auto_merge_by,),
            )
        )
    if repository.withholds_workflows and (changed := changed_workflow(pull)):
        reasons.append(
            Reason(
                Clause.WORKFLOWS,
                "a right of mergeq's to change workflow files",
                f"it changes {changed}, and the credentials lack workflows: write",
                "whoever owns the credentials of mergeq",
                "give them workflows: write (a classic token: the scope workflow), or merge it by hand",
                items=(changed,),
            )
        )
    if repository.is_archived:
        reasons.append(
            Reason(
                Clause.ARCHIVED,
                "a repository that can be written",
                "the repository is archived",
                "an administrator of the repository",
                "unarchive it",
            )
        )
    return tuple(reasons)


def changed_workflow(pull: PullRequest) -> str:
    """A workflow file that a pull request changes, as far as its changed files are known; empty when there is none."""
    return next((path for path in pull.paths or () if path.startswith(".github/workflows/")), "")


def _is_unsure(pull: PullRequest, settings: BranchSettings) -> bool:
    """Whether GitHub has not looked yet whether it can be rebased; Tide does not ask."""
    return pull.mergeable is Mergeable.UNKNOWN and settings.compat is not Compat.TIDE


def _unready(pull: PullRequest, settings: BranchSettings, demands: Demands) -> tuple[Reason, ...]:
    """What keeps a pull request out whatever the queries ask for: a draft, contexts that are unknown or absent (D3,
    D8).
    """
    reasons: list[Reason] = []
    if pull.is_draft and settings.queue.drafts is Drafts.EXCLUDE:
        reasons.append(
            Reason(Clause.DRAFT, "to be ready for review", "it is a draft", "the author", "mark it as ready for review")
        )
    if pull.contexts is None:
        reasons.append(
            Reason(
                Clause.CONTEXTS_UNREADABLE,
                f"the results of CI on {pull.head_sha[:7]}",
                "they could not all be read from GitHub",
                "nobody: mergeq reads them again",
                "wait; if it stays, see the log of mergeq",
            )
        )
    elif settings.queue.empty_contexts is EmptyContexts.HOLD and _is_silent(pull.contexts, demands):
        reasons.append(
            Reason(
                Clause.NO_CONTEXTS,
                f"at least one result of CI on {pull.head_sha[:7]}",
                "no CI has reported anything",
                "whoever runs CI for the repository",
                "run CI on this commit, or set `empty_contexts: allow` if the repository has none",
            )
        )
    return tuple(reasons)


def _is_silent(contexts: Sequence[Context], demands: Demands) -> bool:
    """Whether a head would count as green only because nothing has reported on it (D3)."""
    return all(demands.is_ours(context.name) for context in contexts) and not unsuccessful((), demands)


def voided(pull: PullRequest, settings: BranchSettings, arrival: Arrival | None) -> tuple[Reason, ...]:
    """The approvals by label that were given to another head, or may have been (D17).

    A label counts when it is certain that it was put on after the present head had arrived. Not knowing is not enough.
    """
    present = settings.compat.all_of(pull.labels)
    reasons = []
    for name in settings.queue.voided_by_push:
        if name.lower() not in present or _was_given(name.lower(), pull, arrival):
            continue
        label = next(label for label in pull.labels if label.lower() == name.lower())
        reasons.append(
            Reason(
                Clause.VOIDED,
                f"{label} for {pull.head_sha[:7]}",
                f"{label} was given to an earlier head, or to one that is not known",
                "a reviewer",
                f"review what was pushed, then remove {label} and add it again",
                items=(f"{label} was given to an earlier head, head is now {pull.head_sha[:7]}.",),
            )
        )
    return tuple(reasons)


def _was_given(label: str, pull: PullRequest, arrival: Arrival | None) -> bool:
    """Whether a label that is there, its name in lower case, was certainly put on after the present head had arrived
    (D17).
    """
    if arrival is None or arrival.head_sha != pull.head_sha:
        return False
    return arrival.original or next((at for one, at in pull.label_times if one == label), 0.0) > arrival.not_after


def _protected(
    pull: PullRequest, method: Method | None, protection: Protection, settings: BranchSettings
) -> tuple[Reason, ...]:
    """What GitHub's own rules still demand, whether or not our token could pass them by (D19). That it is up to date is
    what `retest: update` sees to itself, and what a staged commit is that can be pushed.
    """
    queue = settings.queue
    is_seen_to = queue.retest is Retest.UPDATE or (
        queue.landing is not Landing.PULL_REQUEST and not landing.obstacles([(pull.number, method)], protection, queue)
    )
    author, admin = "the author", "an administrator of the repository"
    demands = (
        (
            protection.reviews and pull.review_decision != "APPROVED",
            ("the approving reviews that the branch's protection requires", "GitHub does not count it as approved"),
            ("a reviewer with write access", "approve it on GitHub"),
            "Protection requires approving reviews.",
        ),
        (
            protection.conversations and pull.unresolved_threads > 0,
            ("every conversation resolved", f"{pull.unresolved_threads} are not"),
            (author, "resolve them on GitHub"),
            "Protection requires every conversation to be resolved.",
        ),
        (
            protection.up_to_date and pull.merge_state in {"BEHIND", "UNKNOWN"} and not is_seen_to,
            ("to contain the tip of its base", f"GitHub says {pull.merge_state.lower()}"),
            (author, f"merge {pull.base} into the branch, or rebase onto it; `retest: update` has mergeq do it"),
            f"Protection requires it to be up to date with {pull.base}.",
        ),
        (
            protection.linear_history and method is Method.MERGE,
            ("a method without merge commits", "it would be landed by merge"),
            (admin, "configure squash or rebase"),
            "Protection requires a linear history, which merge would break.",
        ),
        (
            protection.signatures and method is Method.REBASE,
            ("signed commits", "GitHub cannot sign rebased ones"),
            (admin, "configure merge or squash"),
            "Protection requires signatures, which rebase would lose.",
        ),
        (
            protection.is_locked,
            ("a branch that is not locked", "the branch is locked"),
            (admin, "unlock it in the settings of the repository"),
            "The branch is locked.",
        ),
        (
            protection.no_updates,
            ("a branch that may be updated", "a ruleset restricts updates to those who may pass it by"),
            (admin, "take that rule out of the ruleset; to let mergeq alone land, restrict pushes to it instead"),
            "A ruleset restricts updates of the branch.",
        ),
        (
            bool(protection.reserved_for),
            ("mergeq to be among those who may push", f"only {', '.join(protection.reserved_for)} may"),
            (admin, "add mergeq's account to the protection's list of those who may push"),
            f"Only {', '.join(protection.reserved_for)} may push to the branch.",
        ),
        (
            bool(protection.unjudged) and pull.merge_state in {"BLOCKED", "UNKNOWN"},
            (
                f"GitHub's word that its own rules are met ({', '.join(protection.unjudged)})",
                f"GitHub says {pull.merge_state.lower()}",
            ),
            ("depends on the rule", "see the merge box on GitHub"),
            f"Rules of GitHub are not met: {', '.join(protection.unjudged)}.",
        ),
    )
    return tuple(
        Reason(Clause.PROTECTION, needed, observed, who, remedy, items=(said,))
        for unmet, (needed, observed), (who, remedy), said in demands
        if unmet
    )


def _not_pushable(
    pull: PullRequest, method: Method | None, protection: Protection, settings: BranchSettings
) -> tuple[Reason, ...]:
    """Why it will not land at all where only a fast-forward may land it (D5)."""
    if settings.queue.landing is not Landing.FAST_FORWARD or method is None:
        return ()
    return tuple(
        Reason(
            Clause.LANDING,
            "to be able to land by fast-forward, as `landing` asks",
            text,
            "an administrator of the repository",
            "change that rule or setting, or set `landing: auto`",
            items=(f"by fast-forward it cannot, since {text}",),
        )
        for text in landing.obstacles([(pull.number, method)], protection, settings.queue)
    )


def _landed(pull: PullRequest, landed: Landed | None) -> tuple[Reason, ...]:
    if landed is None or landed.head_sha != pull.head_sha:
        return ()
    return (
        Reason(
            Clause.LANDED,
            "nothing more",
            f"it has landed as {landed.sha[:7]}, which GitHub does not show yet",
            "nobody: mergeq looks again",
            "wait; if GitHub does not mark it as merged, mergeq closes it",
            items=(landed.sha[:7],),
        ),
    )


def _not_stageable(pull: PullRequest, settings: BranchSettings, arrival: Arrival | None) -> tuple[Reason, ...]:
    """Why this code may not meet the repository's secrets on a staging ref (D21)."""
    staging = settings.queue.staging
    present = settings.compat.all_of(pull.labels)
    given = settings.compat.all_of(settings.queue.voided_by_push) & present
    allowing = staging.allow_label.lower()
    cleared = allowing in present and _was_given(allowing, pull, arrival)
    approved = cleared or bool(pull.approvers) or any(_was_given(label, pull, arrival) for label in given)
    reasons = []
    if pull.is_fork and not (staging.forks is Forks.ALWAYS or (staging.forks is Forks.APPROVED and approved)):
        never = staging.forks is Forks.NEVER
        reasons.append(
            Reason(
                Clause.STAGING_FORBIDDEN,
                "somebody's word that its code may run with the repository's secrets",
                "it comes from a fork"
                + (", which is never staged here" if never else " and this head is not approved"),
                "a member of the repository",
                "push it to a branch of the repository itself"
                if never
                else f"add {staging.allow_label}, or approve {pull.head_sha[:7]}",
                items=("PR comes from a fork and is not cleared for staging.",),
            )
        )
    touched = [path for path in pull.paths or () if _is_under(path, staging.sensitive_paths)]
    if not cleared and not pull.by_writer and (touched or pull.paths is None):
        what = f"it touches {', '.join(touched[:3])}" if touched else "its changed files could not all be read"
        reasons.append(
            Reason(
                Clause.STAGING_FORBIDDEN,
                "somebody's word that it may change how CI runs",
                f"{what}, and {pull.author} has no write access",
                "a member of the repository",
                f"read it, then add {staging.allow_label}",
                items=(f"PR touches sensitive paths and needs {staging.allow_label} label.",),
            )
        )
    return tuple(reasons)


def _is_under(path: str, patterns: Iterable[str]) -> bool:
    """Whether a path matches a pattern: ``**`` crosses folders, ``*`` does not."""
    return any(_glob(pattern).fullmatch(path) for pattern in patterns)


@functools.cache
def _glob(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*)", pattern)
    return re.compile("".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts), re.DOTALL)


def _evicted(pull: PullRequest, eviction: Eviction | None) -> tuple[Reason, ...]:
    if eviction is None or eviction.head_sha != pull.head_sha:
        return ()
    who, head = eviction.who, eviction.head_sha[:7]
    return (
        Reason(
            Clause.EVICTED,
            f"somebody's word that {head} may go on",
            f"{who} took it out of the queue at {moment(eviction.at)}: {eviction.why}",
            "the author, or whoever runs mergeq",
            f"push something else, or say `mergeq retry {pull}`",
            items=(f"{who}: {eviction.why}",),
        ),
    )


def settled_at(pull: PullRequest, settings: BranchSettings) -> float:
    """When CI has left a head alone for `settle` seconds (D18), in epoch seconds: of what counts there the newest
    report was that long ago.
    """
    newest = _newest_report(pull, settings)
    return newest.reported_at + settings.queue.settle if newest else 0.0


def _newest_report(pull: PullRequest, settings: BranchSettings) -> Context | None:
    demands = settings.demands
    others = (one for one in pull.contexts or () if not demands.is_ours(one.name))
    counting = (one for one in others if settings.contexts.counts(one.name))
    return max(counting, key=lambda one: one.reported_at, default=None)


def _settling(pull: PullRequest, settings: BranchSettings, now: float) -> tuple[Reason, ...]:
    """Why a head is not admitted yet that is green just now: what CI is about to report may not be known (D18, T12.20).
    Once in the pool a head is not held any more; what is not green there counts at once.
    """
    newest = _newest_report(pull, settings) if settings.queue.settle else None
    if newest is None or (left := settled_at(pull, settings) - now) <= 0:
        return ()
    return (
        Reason(
            Clause.SETTLING,
            f"CI to have been quiet for {settings.queue.settle:.0f} s",
            f"{newest.name} reported {max(now - newest.reported_at, 0.0):.0f} s ago",
            "nobody: it passes by itself",
            f"wait {max(1, round(left))} s more",
            items=(newest.name,),
        ),
    )


def circumstances(pull: PullRequest, repository: Repository, protection: Protection, ours: str) -> str:
    """What GitHub's answer to a merge may rest on but the head and the base, as a short text to compare: labels,
    reviews, conversations, what CI says, the rules. Not its opinion on merging, which comes and goes.
    """
    others = (one for one in pull.contexts or () if one.name.lower() != ours.lower())
    told = (
        sorted(label.lower() for label in pull.labels),
        sorted((one.name, one.app or "", one.result.value, one.at, one.serial) for one in others),
        (pull.review_decision, sorted(pull.approvers), sorted(pull.objectors), pull.unresolved_threads, pull.is_draft),
        (sorted(repository.allowed_methods), repository.is_archived, protection),
    )
    return sha256(repr(told).encode()).hexdigest()[:16]


def binding(refusals: Mapping[int, Refusal], base_sha: str) -> dict[int, Refusal]:
    """The refusals that hold on this tip of the base."""
    return {number: one for number, one in refusals.items() if one.base_sha in {"", base_sha}}


def _refused(pull: PullRequest, refusal: Refusal | None, bar: _Bar, now: float) -> tuple[Reason, ...]:
    if refusal is None or refusal.head_sha != pull.head_sha or now >= refusal.until:
        return ()
    present = circumstances(pull, bar.repository, bar.protection, bar.settings.status_context)
    if refusal.circumstances not in {"", present}:
        return ()
    later = f"mergeq tries again in {max(1, round(refusal.until - now))} s, or at once when {_changes(refusal)}"
    if refusal.is_ours:
        needed = "to be landed as it is configured, and past no rule"
        return (
            Reason(
                Clause.LANDING, needed, refusal.text, "an administrator of the repository", later, items=(refusal.text,)
            ),
        )
    return (
        Reason(
            Clause.REFUSED,
            "GitHub to accept the merge",
            f"GitHub answered: {refusal.text}",
            "see GitHub's words",
            later,
            items=(refusal.text,),
        ),
    )


def _changes(refusal: Refusal) -> str:
    if not refusal.circumstances:
        return "it is pushed to"
    base = " its base moves," if refusal.base_sha else ""
    return f"it is pushed to,{base} or its labels, reviews, results or rules change"
