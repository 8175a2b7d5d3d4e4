"""The pool of a branch: each of its open pull requests with everything that keeps it out, and those that nothing keeps
out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mergeq.core import query
from mergeq.core.contexts import ContextPolicy, EmptyContexts, latest, unsuccessful
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pull import Blocker, Branch, BranchFacts, Mergeable, Method, PullRequest, Repository
from mergeq.core.query import Query
from mergeq.core.queue import Drafts, Order, QueueValues
from mergeq.core.reason import Clause, Reason


class BlocksPolicy(StrEnum):
    """What GitHub's own verdict BLOCKED means for a pull request (T1.22)."""

    IGNORE = "ignore"
    PERMIT = "permit"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class BranchSettings:
    """Everything configured for one branch. The defaults of YAML keys live here."""

    queries: tuple[Query, ...] = ()
    contexts: ContextPolicy = field(default_factory=ContextPolicy)
    methods: MergeMethods = field(default_factory=MergeMethods)
    status_context: str = "tide"
    blocks_policy: BlocksPolicy = BlocksPolicy.PERMIT
    priority: tuple[tuple[str, ...], ...] = ()
    batch_size_limit: int = 0
    queue: QueueValues = field(default_factory=QueueValues)


@dataclass(frozen=True, slots=True)
class Refusal:
    """GitHub said no to a landing; the pull request stands back until its head changes or `until` (epoch seconds) has
    come (T12.7).
    """

    head_sha: str
    text: str
    until: float


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
    """A branch, judged: every open pull request with its standing, ascending by number, and the blockers that apply."""

    branch: Branch
    base_sha: str
    standings: tuple[Standing, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    partial: str = ""

    @property
    def members(self) -> tuple[Standing, ...]:
        """Those that are in the pool."""
        return tuple(standing for standing in self.standings if standing.in_pool)

    def standing(self, number: int) -> Standing | None:
        """The standing of one pull request; None when it is not open on this branch."""
        return next((standing for standing in self.standings if standing.pull.number == number), None)


def assess(
    pull: PullRequest,
    repository: Repository,
    settings: BranchSettings,
    refusal: Refusal | None = None,
    now: float = 0.0,
) -> Standing:
    """Judge one pull request: the only place where it is decided whether it may merge, before the pool and again
    before landing (D7, D23).
    """
    method = settings.methods.of(pull)
    reasons = (
        *_unmergeable(pull, method, repository, settings),
        *_unready(pull, settings),
        *query.closest(settings.queries, pull, settings.contexts, settings.status_context),
        *_refused(pull, refusal, now),
    )
    return Standing(pull, method, reasons)


def divide(
    facts: BranchFacts,
    settings: BranchSettings,
    *,
    entered: Mapping[tuple[int, str], float],
    refusals: Mapping[int, Refusal],
    now: float,
) -> Pool:
    """Judge every pull request of a branch. `entered` maps (number, head SHA) to when that head came into the pool
    before.
    """
    standings = []
    for pull in sorted(facts.pulls, key=lambda pull: pull.number):
        standing = assess(pull, facts.repository, settings, refusals.get(pull.number), now)
        at = entered.get((pull.number, pull.head_sha), now) if standing.in_pool else None
        standings.append(Standing(pull, standing.method, standing.reasons, at))
    return Pool(facts.branch, facts.base_sha, tuple(standings), applicable_blockers(facts), facts.partial)


def applicable_blockers(facts: BranchFacts) -> tuple[Blocker, ...]:
    """The blockers that stop this branch, ascending by number (T7.7)."""
    return tuple(sorted((b for b in facts.blockers if b.applies_to(facts.branch.name)), key=lambda b: b.number))


def priority_of(pull: PullRequest, settings: BranchSettings) -> int:
    """The index of the first `priority` entry whose labels are all there; their number when there is none (T4.12)."""
    present = frozenset(label.lower() for label in pull.labels)
    met = (i for i, entry in enumerate(settings.priority) if not any(query.lacking(label, present) for label in entry))
    return next(met, len(settings.priority))


def ranked(members: Iterable[Standing], settings: BranchSettings) -> Sequence[Standing]:
    """Members in the order in which they are served: by `priority` entry, then by `order`, then by number (T4.12)."""

    def rank(member: Standing) -> tuple[int, float, int]:
        entered = member.entered_at or 0.0 if settings.queue.order is Order.ENTERED else 0.0
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
    if method is Method.REBASE and not pull.can_be_rebased and pull.mergeable is not Mergeable.UNKNOWN:
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


def _unready(pull: PullRequest, settings: BranchSettings) -> tuple[Reason, ...]:
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
    elif settings.queue.empty_contexts is EmptyContexts.HOLD:
        theirs = [c for c in latest(pull.contexts) if c.name.lower() != settings.status_context.lower()]
        if not theirs and not unsuccessful((), settings.contexts, settings.status_context):
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


def _refused(pull: PullRequest, refusal: Refusal | None, now: float) -> tuple[Reason, ...]:
    if refusal is None or refusal.head_sha != pull.head_sha or now >= refusal.until:
        return ()
    return (
        Reason(
            Clause.REFUSED,
            "GitHub to accept the merge",
            f"GitHub answered: {refusal.text}",
            "see GitHub's words",
            f"mergeq tries again in {max(1, round(refusal.until - now))} s, or at once after a push",
            items=(refusal.text,),
        ),
    )
