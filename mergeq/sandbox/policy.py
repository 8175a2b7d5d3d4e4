"""What protection and rulesets say of merging a pull request and of moving a ref, in GitHub's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from mergeq.sandbox.codeowners import waited_for
from mergeq.sandbox.demands import Binding, Demands, Violation, bindings
from mergeq.sandbox.git import HEADS, ZERO
from mergeq.sandbox.git_objects import CommitInfo
from mergeq.sandbox.proofs import files_against, lacking, workflows_lacking
from mergeq.sandbox.records import (
    PASSING,
    CheckRun,
    CheckStatus,
    Method,
    Pull,
    Repo,
    RequiredCheck,
    Restrictions,
    Review,
    ReviewRule,
    ReviewState,
    Status,
    StatusState,
)
from mergeq.sandbox.rulesets import BypassMode

BY_PULL_REQUEST = "Changes must be made through a pull request."
BY_QUEUE = "Changes must be made through the merge queue"
HEAD_BEHIND = "Head branch is out of date. Review and try the merge again."
NO_CREATION = "Cannot create ref due to creations being restricted."
NOT_AUTHORIZED = (
    "You're not authorized to push to this branch. "
    "Visit https://docs.github.com/articles/about-protected-branches/ for more information."
)
NOT_LINEAR = "This branch must not contain merge commits."
NOT_RESOLVED = "A conversation must be resolved before this pull request can be merged."
UNSIGNED = "Commits must have verified signatures."
UNSIGNED_REBASE = "Base branch requires signed commits. Rebase merges cannot be automatically signed by GitHub"
VIOLATIONS = "Repository rule violations found"


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

    Where an app is asked for, only what it reported counts; what others report is told from nothing at all.
    """
    name = check.context.casefold()
    runs = [run for run in repo.latest_runs(sha) if run.name.casefold() == name]
    statuses = [status for status in repo.latest_statuses(sha) if status.context.casefold() == name]
    if check.app_id is None:
        found = {status_verdict(status) for status in statuses} | {run_verdict(run) for run in runs}
    else:
        found = {run_verdict(run) for run in runs if run.suite.app.id == check.app_id}
        found |= {status_verdict(status) for status in statuses if status.app_id == check.app_id}
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


@dataclass(frozen=True, slots=True)
class Ruling:
    """What stands against a write, by classic protection and by rulesets, and what somebody was let through."""

    classic: tuple[Violation, ...] = ()
    rulesets: tuple[Violation, ...] = ()
    bypassed: tuple[Violation, ...] = ()
    is_by_rulesets: bool = False
    """Whether any ruleset had a say, be it a yes."""

    @property
    def refused(self) -> tuple[Violation, ...]:
        return (*self.classic, *self.rulesets)

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(violation.sentence for violation in self.refused))

    @property
    def message(self) -> str:
        """As the APIs say it; empty if nothing stands against the write."""
        if not self.rulesets:
            return " ".join(self.sentences)
        return "".join(f"{text}\n\n" for text in (VIOLATIONS, *self.sentences))


def judge_move(repo: Repo, ref: str, old: str, new: str, by: str) -> Ruling:
    """What stands against moving a ref from ``old`` to ``new`` (ZERO: not there); the objects are there.

    A branch that is created needs no pull request, nor deployments and scans; its contexts are asked for all the same.
    """
    move = _Move(repo, ref, old, new, by)
    return _ruling(repo, ref, by, move.against, merging=False)


def judge_merge(repo: Repo, pull: Pull, method: Method, message: str, by: str) -> Ruling:
    """What keeps somebody from merging a pull request this way, ``message`` being that of the commit to be made."""

    def against(binding: Binding) -> Iterator[Violation]:
        yield from _against_merge(repo, pull, method, message, by, binding.demands)

    return _ruling(repo, HEADS + pull.base_ref, by, against, merging=True)


def _ruling(
    repo: Repo, ref: str, by: str, against: Callable[[Binding], Iterator[Violation]], *, merging: bool
) -> Ruling:
    classic: list[Violation] = []
    rulesets: list[Violation] = []
    bypassed: list[Violation] = []
    binding_here = bindings(repo, ref)
    for binding in binding_here:
        mode = binding.lets_through(repo, by, merging=merging)
        if mode is BypassMode.EXEMPT:
            continue
        refused = rulesets if binding.is_ruleset else classic
        for violation in against(binding):
            (refused if mode is None or violation.absolute else bypassed).append(violation)
    is_by_rulesets = any(binding.is_ruleset for binding in binding_here)
    return Ruling(tuple(classic), tuple(rulesets), tuple(bypassed), is_by_rulesets)


def allowed_methods(repo: Repo, branch: str, by: str) -> frozenset[Method]:
    """The repository's, cut down by the rulesets of the branch that bind this person; linear history speaks later."""
    allowed = repo.allowed
    for binding in bindings(repo, HEADS + branch):
        wanted = binding.demands.methods
        if wanted is not None and binding.lets_through(repo, by, merging=True) is None:
            allowed &= wanted
    return allowed


@dataclass(frozen=True, slots=True)
class _Move:
    repo: Repo
    ref: str
    old: str
    new: str
    by: str

    def against(self, binding: Binding) -> Iterator[Violation]:
        demands, creating = binding.demands, self.old == ZERO
        kind = "tag" if self.ref.startswith("refs/tags/") else "branch"
        if self.new == ZERO:
            if demands.never_deleted:
                what = f"this {kind}" if binding.is_ruleset else "a protected branch"
                yield Violation(f"Cannot delete {what}", absolute=not binding.is_ruleset)
            return
        if creating and demands.never_created:
            yield Violation(NO_CREATION)
        if creating:
            name = self.ref.split("/", 2)[2]
            yield from (Violation(p.sentence) for p in demands.names if not p.allows(name))
        elif self._is_forced(demands):
            where = f"this {kind}" if binding.is_ruleset else "a protected branch"
            yield Violation(f"Cannot force-push to {where}", absolute=not binding.is_ruleset)
        if demands.frozen and not creating:
            yield Violation(demands.frozen)
        if (demands.pushers_create or not creating) and not may_push(self.repo, demands.pushers, self.by):
            yield Violation(NOT_AUTHORIZED)
        if demands.on_create or not creating:
            yield from _contexts(self.repo, self.new, demands)
        if demands.workflows_on_create or not creating:
            yield from workflows_lacking(self.repo, self.new, demands)
        yield from files_against(self.repo, self.new, demands)
        if not creating:
            yield from lacking(self.repo, self.new, self.old, demands)
            yield from self._not_by_pull_request(binding)
        if demands.looks_at_commits:
            yield from self._commits(demands)

    def _is_forced(self, demands: Demands) -> bool:
        free = not demands.never_forced or is_named(self.repo, demands.forcers, self.by)
        return not free and not self.repo.git.is_ancestor(self.old, self.new)

    def _not_by_pull_request(self, binding: Binding) -> Iterator[Violation]:
        demands = binding.demands
        if demands.queue:
            yield Violation(BY_QUEUE)
        rule = demands.reviews
        if rule is not None and not is_named(self.repo, rule.bypass, self.by):
            words = _reviews_needed(rule.count) if rule.count and not binding.is_ruleset else BY_PULL_REQUEST
            yield Violation(words)

    def _commits(self, demands: Demands) -> Iterator[Violation]:
        git = self.repo.git
        added = git.unseen_commits(self.new) if self.old == ZERO else git.new_commits(self.old, self.new)
        merges = tuple(sha for sha, parents in added if len(parents) > 1)
        if demands.linear and merges:
            yield Violation(NOT_LINEAR, merges)
        infos = git.commits([sha for sha, _ in added])
        unsigned = tuple(info.sha for info in infos if not info.is_verified)
        if demands.signatures and unsigned:
            yield Violation(UNSIGNED, unsigned)
        yield from _patterns(demands, infos)


def _patterns(demands: Demands, infos: Iterable[CommitInfo]) -> Iterator[Violation]:
    texts = [(info.sha, info.message, info.author.email, info.committer.email) for info in infos]
    for place, patterns in enumerate((demands.messages, demands.author_emails, demands.committer_emails), start=1):
        for pattern in patterns:
            wrong = tuple(text[0] for text in texts if not pattern.allows(text[place]))
            if wrong:
                yield Violation(pattern.sentence, wrong)


def _against_merge(
    repo: Repo, pull: Pull, method: Method, message: str, by: str, demands: Demands
) -> Iterator[Violation]:
    yield from _unmet(repo, pull, demands, by)
    yield from files_against(repo, pull.head_sha, demands)
    if not may_push(repo, demands.pushers, by):
        yield Violation(NOT_AUTHORIZED)
    if demands.linear and method is Method.MERGE:
        yield Violation(NOT_LINEAR)
    if demands.signatures and method is Method.REBASE:
        yield Violation(UNSIGNED_REBASE)
    if demands.looks_at_commits:
        infos = _brought_in(repo, pull) if method is not Method.SQUASH else ()
        unsigned = tuple(info.sha for info in infos if not info.is_verified)
        if demands.signatures and unsigned and method is Method.MERGE:
            yield Violation(UNSIGNED, unsigned)
        yield from _patterns(demands, infos)
        if method is not Method.REBASE:
            yield from (Violation(p.sentence) for p in demands.messages if not p.allows(message))
    if _is_behind(repo, pull, demands):
        yield Violation(HEAD_BEHIND)


def _brought_in(repo: Repo, pull: Pull) -> tuple[CommitInfo, ...]:
    new = repo.git.new_commits(repo.git.tip(pull.base_ref) or ZERO, pull.head_sha)
    return repo.git.commits([sha for sha, _ in new])


def _unmet(repo: Repo, pull: Pull, demands: Demands, by: str | None) -> Iterator[Violation]:
    """What is asked of the pull request itself; ``by`` None: of anybody."""
    if demands.frozen:
        yield Violation(demands.frozen)
    if demands.queue:
        yield Violation(BY_QUEUE)
    yield from _contexts(repo, pull.head_sha, demands)
    yield from workflows_lacking(repo, pull.head_sha, demands)
    yield from lacking(repo, pull.head_sha, repo.git.tip(pull.base_ref) or ZERO, demands)
    rule = demands.reviews
    if rule is not None and not (by is not None and is_named(repo, rule.bypass, by)):
        words = _reviews_lacking(repo, pull, rule)
        if words is not None:
            yield Violation(words)
    if demands.threads and any(thread.resolved_by is None for thread in pull.threads):
        yield Violation(NOT_RESOLVED)


def _contexts(repo: Repo, sha: str, demands: Demands) -> Iterator[Violation]:
    checks = demands.status.checks if demands.status else ()
    verdicts = {check: check_verdict(repo, sha, check) for check in checks}
    open_ones = {check: verdict for check, verdict in verdicts.items() if verdict is not ContextVerdict.PASSING}
    if not open_ones:
        return
    if len(open_ones) == 1:
        check, verdict = next(iter(open_ones.items()))
        verb = "was" if verdict is ContextVerdict.FOREIGN else "is"
        yield Violation(f'Required status check "{check.context}" {verb} {verdict}.')
    elif set(open_ones.values()) == {ContextVerdict.EXPECTED}:
        yield Violation(f"{len(open_ones)} of {len(verdicts)} required status checks are expected.")
    else:
        counts: Counter[ContextVerdict] = Counter(open_ones.values())
        parts = [f"{counts[verdict]} {verdict}" for verdict in ContextVerdict if counts[verdict]]
        listed = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
        yield Violation(f"{len(open_ones)} of {len(verdicts)} required status checks have not succeeded: {listed}.")


def is_named(repo: Repo, named: Restrictions, login: str) -> bool:
    """Whether a rule names somebody: by login, by a team of theirs, or by the App they are."""
    if login in named.users or (login.endswith("[bot]") and login.removesuffix("[bot]") in named.apps):
        return True
    return any(login in repo.people.teams.get(team, ()) for team in named.teams)


def may_push(repo: Repo, pushers: Restrictions | None, by: str) -> bool:
    """Whether restrictions let somebody push; administrators they always let."""
    return pushers is None or repo.people.is_admin(by) or is_named(repo, pushers, by)


def review_rules(repo: Repo, branch: str) -> tuple[ReviewRule, ...]:
    """What is asked of reviews of pull requests into a branch, by every source."""
    found = (binding.demands.reviews for binding in bindings(repo, HEADS + branch))
    return tuple(rule for rule in found if rule is not None)


def review_decision(repo: Repo, pull: Pull) -> str | None:
    """GraphQL's reviewDecision: None where the base requires no reviews, even if approved (Q88)."""
    rules = review_rules(repo, pull.base_ref)
    asking = [rule for rule in rules if rule.count or rule.last_push_approval or rule.code_owners]
    if not asking:
        return None
    if any(review.state is ReviewState.CHANGES_REQUESTED for review in _counted(repo, pull)):
        return "CHANGES_REQUESTED"
    return "REVIEW_REQUIRED" if any(_reviews_lacking(repo, pull, rule) for rule in asking) else "APPROVED"


def _counted(repo: Repo, pull: Pull) -> list[Review]:
    return [review for review in opinions(pull).values() if repo.people.may_write(review.author)]


def _reviews_lacking(repo: Repo, pull: Pull, rule: ReviewRule) -> str | None:
    """The one sentence GitHub says of missing reviews; a rule that asks for none looks at none."""
    if not (rule.count or rule.last_push_approval or rule.code_owners):
        return None
    counted = _counted(repo, pull)
    approvals = [review for review in counted if review.state is ReviewState.APPROVED]
    if len(approvals) < len(counted):
        return "Changes have been requested."
    owners = waited_for(repo, pull, (review.author for review in approvals)) if rule.code_owners else ()
    if owners:
        return f"Waiting on code owner review from {' and/or '.join(owners)}."
    if len(approvals) < rule.count:
        return _reviews_needed(rule.count)
    if rule.last_push_approval and not any(
        review.commit_sha == pull.head_sha and review.author != pull.last_pusher for review in approvals
    ):
        return "New changes require approval from someone other than the last pusher."
    return None


def _reviews_needed(count: int) -> str:
    reviews = "review is" if count == 1 else "reviews are"
    return f"At least {count} approving {reviews} required by reviewers with write access."


def _is_behind(repo: Repo, pull: Pull, demands: Demands) -> bool:
    """Whether a strict base has moved past what the head contains."""
    if demands.status is None or not demands.status.strict:
        return False
    tip = repo.git.tip(pull.base_ref)
    return tip is not None and not repo.git.is_ancestor(tip, pull.head_sha)


def is_queued(repo: Repo, branch: str) -> bool:
    """Whether a branch is GitHub's own merge queue's, which merges there and nobody else (Q46)."""
    return any(binding.demands.queue for binding in bindings(repo, HEADS + branch))


def merge_state(repo: Repo, pull: Pull) -> MergeState:
    """The first that applies, in the order of MergeState."""
    if pull.mergeable is None or not pull.is_open:
        return MergeState.UNKNOWN
    if not pull.mergeable:
        return MergeState.DIRTY
    if pull.draft:
        return MergeState.DRAFT
    asked = [binding.demands for binding in bindings(repo, HEADS + pull.base_ref)]
    if any(True for demands in asked for _ in _unmet(repo, pull, demands, None)):
        return MergeState.BLOCKED
    if any(_is_behind(repo, pull, demands) for demands in asked):
        return MergeState.BEHIND
    verdicts = [status_verdict(status) for status in repo.latest_statuses(pull.head_sha)]
    verdicts += [run_verdict(run) for run in repo.latest_runs(pull.head_sha)]
    if any(verdict is not ContextVerdict.PASSING for verdict in verdicts):
        return MergeState.UNSTABLE
    return MergeState.CLEAN
