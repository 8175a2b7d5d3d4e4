"""What GitHub remembers about repositories, pull requests, issues, statuses and reviews."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from mergeq.sandbox.git import GitRepo
from mergeq.sandbox.globs import fnmatch
from mergeq.sandbox.rulesets import Ruleset, RuleSuite
from mergeq.sandbox.users import People


class Method(StrEnum):
    """How a pull request becomes part of its base."""

    MERGE = "merge"
    SQUASH = "squash"
    REBASE = "rebase"


class ReviewState(StrEnum):
    """What a review says, spelt as GraphQL does."""

    APPROVED = "APPROVED"
    CHANGES_REQUESTED = "CHANGES_REQUESTED"
    COMMENTED = "COMMENTED"
    DISMISSED = "DISMISSED"


class StatusState(StrEnum):
    """The states a commit status can be posted in."""

    SUCCESS = "success"
    PENDING = "pending"
    FAILURE = "failure"
    ERROR = "error"


class CheckStatus(StrEnum):
    """How far a check run is, as REST spells it."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class CheckConclusion(StrEnum):
    """How a check run ended, as REST spells it."""

    ACTION_REQUIRED = "action_required"
    CANCELLED = "cancelled"
    FAILURE = "failure"
    NEUTRAL = "neutral"
    SKIPPED = "skipped"
    STALE = "stale"
    STARTUP_FAILURE = "startup_failure"
    SUCCESS = "success"
    TIMED_OUT = "timed_out"


PASSING = frozenset({CheckConclusion.SUCCESS, CheckConclusion.NEUTRAL, CheckConclusion.SKIPPED})


class CiKind(StrEnum):
    """What a sandbox CI reports its result as."""

    STATUS = "status"
    CHECK_RUN = "check_run"


@dataclass(frozen=True, slots=True)
class CiConfig:
    """A CI that runs ``ci.sh``; ``delay`` seconds of clock time pass before its verdict is reported.

    Branch globs: ``*`` stays within one path segment, ``**`` crosses them. ``dispatches`` are the types of
    repository_dispatch events that start it.
    """

    context: str = "ci/test"
    branches: tuple[str, ...] = ("**",)
    pull_requests: bool = True
    dispatches: tuple[str, ...] = ()
    kind: CiKind = CiKind.STATUS
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Label:
    """A label of a repository."""

    id: int
    name: str
    color: str = "ededed"
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Milestone:
    """A milestone of a repository."""

    id: int
    number: int
    title: str
    created_at: float
    creator: str


@dataclass(frozen=True, slots=True)
class Review:
    """One submitted review."""

    id: int
    author: str
    state: ReviewState
    commit_sha: str
    submitted_at: float
    body: str = ""


@dataclass(slots=True)
class Thread:
    """A conversation about the changes of a pull request; open until somebody resolves it."""

    id: int
    author: str
    path: str
    body: str
    commit_sha: str
    created_at: float
    resolved_by: str | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment on an issue or pull request; ``via_app``: by which App (id) it was written."""

    id: int
    author: str
    body: str
    created_at: float
    via_app: int | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """One commit status as posted; ``context`` keeps its spelling but compares without case."""

    id: int
    sha: str
    context: str
    state: StatusState
    description: str | None
    target_url: str | None
    creator: str
    created_at: float
    app_id: int | None = None
    """The App whose token posted it."""


@dataclass(frozen=True, slots=True)
class App:
    """What reports check runs."""

    id: int
    slug: str


@dataclass(slots=True)
class CheckSuite:
    """The check runs of one app on one commit."""

    id: int
    repo: str
    app: App
    sha: str
    created_at: float
    runs: list[CheckRun] = field(default_factory=list)

    @property
    def latest(self) -> tuple[CheckRun, ...]:
        """The newest run of each name: a rerun in one suite supersedes the one before."""
        return tuple({run.name: run for run in self.runs}.values())

    @property
    def status(self) -> CheckStatus:
        """Completed when all its runs are."""
        states = {run.status for run in self.latest} or {CheckStatus.QUEUED}
        if states <= {CheckStatus.COMPLETED}:
            return CheckStatus.COMPLETED
        return CheckStatus.QUEUED if states == {CheckStatus.QUEUED} else CheckStatus.IN_PROGRESS

    @property
    def conclusion(self) -> CheckConclusion | None:
        """That of the first run that did not pass, once all are completed."""
        if self.status is not CheckStatus.COMPLETED:
            return None
        bad = (run.conclusion for run in self.latest if run.conclusion not in PASSING)
        return next(bad, CheckConclusion.SUCCESS)


@dataclass(slots=True)
class CheckRun:
    """One run of a check by an app."""

    id: int
    suite: CheckSuite
    name: str
    status: CheckStatus
    conclusion: CheckConclusion | None
    started_at: float
    completed_at: float | None = None
    details_url: str | None = None
    external_id: str = ""
    title: str | None = None
    summary: str | None = None


class DeploymentState(StrEnum):
    """How a deployment is, as REST spells it."""

    ERROR = "error"
    FAILURE = "failure"
    INACTIVE = "inactive"
    IN_PROGRESS = "in_progress"
    QUEUED = "queued"
    PENDING = "pending"
    SUCCESS = "success"


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    """What somebody said of a deployment."""

    id: int
    state: DeploymentState
    creator: str
    created_at: float
    environment: str
    description: str = ""
    environment_url: str = ""
    log_url: str = ""
    via_app: int | None = None


@dataclass(slots=True)
class Deployment:
    """A wish to have a commit run somewhere, and what has become of it, oldest first.

    ``transient``: the environment will be gone; ``production``: people use it. Neither becomes inactive by itself.
    """

    id: int
    sha: str
    ref: str
    task: str
    original_environment: str
    description: str | None
    payload: Any
    creator: str
    created_at: float
    transient: bool = False
    production: bool = False
    via_app: int | None = None
    statuses: list[DeploymentStatus] = field(default_factory=list)

    @property
    def state(self) -> DeploymentState:
        return self.statuses[-1].state if self.statuses else DeploymentState.PENDING

    @property
    def environment(self) -> str:
        """The one that was reported last; a deployment may end up elsewhere than where it was meant for."""
        return self.statuses[-1].environment if self.statuses else self.original_environment

    @property
    def updated_at(self) -> float:
        return self.statuses[-1].created_at if self.statuses else self.created_at


class TimelineKind(StrEnum):
    """GraphQL's names of the timeline items that are kept."""

    LABELED = "LabeledEvent"
    UNLABELED = "UnlabeledEvent"
    CLOSED = "ClosedEvent"
    REOPENED = "ReopenedEvent"
    MERGED = "MergedEvent"
    FORCE_PUSHED = "HeadRefForcePushedEvent"
    BASE_CHANGED = "BaseRefChangedEvent"
    READY = "ReadyForReviewEvent"
    DRAFTED = "ConvertToDraftEvent"


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """``before`` and ``after`` are SHAs of a force push, names of a retarget, or the merge commit (after)."""

    id: int
    kind: TimelineKind
    at: float
    actor: str
    label: Label | None = None
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class AutoMerge:
    """Somebody's wish that a pull request is merged as soon as nothing stands in its way."""

    by: str
    method: Method
    at: float
    title: str | None = None
    message: str | None = None


@dataclass(slots=True)
class Ticket:
    """What issues and pull requests share."""

    id: int
    repo: str
    number: int
    title: str
    body: str
    author: str
    created_at: float
    updated_at: float
    state: str = "open"
    closed_at: float | None = None
    locked: bool = False
    lock_reason: str | None = None
    labels: list[str] = field(default_factory=list)
    milestone: Milestone | None = None
    assignees: list[str] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)

    def has_label(self, name: str) -> bool:
        return name.casefold() in {label.casefold() for label in self.labels}


@dataclass(slots=True)
class Issue(Ticket):
    """An issue that is not a pull request; ``via_app``: by which App (id) it was opened."""

    via_app: int | None = None


@dataclass(slots=True)
class Pull(Ticket):
    """A pull request.

    ``base_sha`` is the base's tip when the head last moved, as in GitHub's REST answers; the base itself may
    be further on. ``last_pusher`` is who last moved the head. ``mergeable`` is None while unknown;
    ``merge_commit_sha`` of an open one is the last test merge and may be stale (Q17).
    """

    base_ref: str = ""
    base_sha: str = ""
    head_repo: str = ""
    head_ref: str = ""
    head_sha: str = ""
    draft: bool = False
    merged: bool = False
    merged_at: float | None = None
    merged_by: str | None = None
    merge_commit_sha: str | None = None
    maintainer_can_modify: bool = True
    mergeable: bool | None = None
    rebaseable: bool | None = None
    last_pusher: str = ""
    auto_merge: AutoMerge | None = None
    reads_until_known: int | None = None
    known_from: float = 0.0
    reviews: list[Review] = field(default_factory=list)
    timeline: list[TimelineEvent] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    """Who is asked for a review and has not given one since."""
    reviewing_teams: list[str] = field(default_factory=list)
    """The slugs of the teams that are asked."""

    @property
    def is_open(self) -> bool:
        return self.state == "open"

    @property
    def is_cross_repository(self) -> bool:
        return self.head_repo != self.repo


@dataclass(frozen=True, slots=True)
class RequiredCheck:
    """A context that must pass; with an app's id only what that app reported counts."""

    context: str
    app_id: int | None = None


@dataclass(frozen=True, slots=True)
class StatusRule:
    """The contexts a branch requires; ``strict``: on a head that contains the base's tip."""

    strict: bool = False
    checks: tuple[RequiredCheck, ...] = ()


@dataclass(frozen=True, slots=True)
class Restrictions:
    """Whom a rule names: logins, and slugs of teams and apps."""

    users: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.users or self.teams or self.apps)


NOBODY = Restrictions()


@dataclass(frozen=True, slots=True)
class ReviewRule:
    """Changes come by pull request, with that many approvals.

    Who is in ``bypass`` needs no pull request; ``dismissers`` None: whoever may write may dismiss a review.
    """

    count: int = 1
    dismiss_stale: bool = False
    last_push_approval: bool = False
    code_owners: bool = False
    bypass: Restrictions = NOBODY
    dismissers: Restrictions | None = None


@dataclass(frozen=True, slots=True)
class Protection:
    """Classic protection of one branch, or of all that a glob matches; None: that is not demanded.

    ``restrictions`` name who may push besides administrators; with ``block_creations`` also who may create.
    ``forcers`` may force-push where that is not allowed to all.
    """

    id: int
    status: StatusRule | None = None
    reviews: ReviewRule | None = None
    restrictions: Restrictions | None = None
    enforce_admins: bool = False
    linear_history: bool = False
    force_pushes: bool = False
    forcers: Restrictions = NOBODY
    deletions: bool = False
    block_creations: bool = False
    conversation_resolution: bool = False
    lock_branch: bool = False
    fork_syncing: bool = False
    signatures: bool = False
    creator: str | None = None
    environments: tuple[str, ...] | None = None
    """Where its commits must have been deployed to."""
    queue: bool = False
    """Merges only by GitHub's own merge queue, which nothing but its settings page can ask for."""

    @property
    def checks(self) -> tuple[RequiredCheck, ...]:
        return self.status.checks if self.status else ()


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set of a repository besides its merge methods, spelt as REST does."""

    description: str | None = None
    homepage: str | None = None
    allow_auto_merge: bool = False
    allow_update_branch: bool = False
    delete_branch_on_merge: bool = False
    squash_merge_commit_title: str = "PR_TITLE"
    squash_merge_commit_message: str = "COMMIT_MESSAGES"
    merge_commit_title: str = "MERGE_MESSAGE"
    merge_commit_message: str = "PR_TITLE"


@dataclass(slots=True)
class Repo:
    """A repository and everything that hangs on it."""

    id: int
    full_name: str
    git: GitRepo
    people: People
    default_branch: str
    created_at: float
    pushed_at: float
    owner_is_user: bool = False
    fork_of: Repo | None = None
    allowed: frozenset[Method] = frozenset(Method)
    settings: Settings = Settings()
    ci: CiConfig | None = None
    archived: bool = False
    free_plan: bool = False
    updated_at: float = 0.0
    """When settings changed last; pushes count besides."""
    branch_names: dict[str, str] = field(default_factory=dict)
    """Where branches that were renamed are now, by their old names."""
    labels: dict[str, Label] = field(default_factory=dict)
    milestones: list[Milestone] = field(default_factory=list)
    pulls: dict[int, Pull] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    statuses: dict[str, list[Status]] = field(default_factory=dict)
    suites: dict[str, list[CheckSuite]] = field(default_factory=dict)
    deployments: list[Deployment] = field(default_factory=list)
    """Oldest first."""
    protections: dict[str, Protection] = field(default_factory=dict)
    """By branch name or glob, oldest first."""
    rulesets: dict[int, Ruleset] = field(default_factory=dict)
    owner_rulesets: dict[int, Ruleset] = field(default_factory=dict)
    """Those of the organization, shared by all its repositories."""
    properties: dict[str, str] = field(default_factory=dict)
    """What the organization has filed it under; rulesets can choose by it."""
    rule_suites: list[RuleSuite] = field(default_factory=list)
    workflows_may_write: bool = False
    """Whether the tokens of its workflows may write unless they say otherwise."""
    moved_at: dict[str, float] = field(default_factory=dict)
    """When a commit was last pushed, by its SHA."""
    tips: dict[str, set[str]] = field(default_factory=dict)
    """The commits to which a branch was ever moved."""
    last_number: int = 0

    @property
    def git_dir(self) -> Path:
        return self.git.git_dir

    @property
    def private(self) -> bool:
        return self.people.closed

    @private.setter
    def private(self, closed: bool) -> None:
        self.people.closed = closed

    @property
    def owner(self) -> str:
        return self.full_name.partition("/")[0]

    @property
    def name(self) -> str:
        return self.full_name.partition("/")[2]

    def association(self, login: str) -> str:
        """How GitHub calls what somebody is to this repository; who may write counts as a member."""
        if login == self.owner:
            return "OWNER"
        if self.people.may_write(login):
            return "MEMBER"
        return "CONTRIBUTOR" if any(p.merged and p.author == login for p in self.pulls.values()) else "NONE"

    def pattern_for(self, branch: str) -> str | None:
        """The name or glob of the one rule that protects a branch: its own, else the oldest that matches."""
        if branch in self.protections:
            return branch
        return next((pattern for pattern in self.protections if fnmatch(pattern, branch)), None)

    def protection_of(self, branch: str) -> Protection | None:
        pattern = self.pattern_for(branch)
        return None if pattern is None else self.protections[pattern]

    def next_number(self) -> int:
        """Issues and pull requests share one sequence."""
        self.last_number += 1
        return self.last_number

    @property
    def tickets(self) -> tuple[Pull | Issue, ...]:
        """Every pull request, then every issue."""
        return (*self.pulls.values(), *self.issues.values())

    def ticket(self, number: int) -> Pull | Issue | None:
        return self.pulls.get(number) or self.issues.get(number)

    def latest_statuses(self, sha: str) -> tuple[Status, ...]:
        """The newest status of each context."""
        return tuple({status.context.casefold(): status for status in self.statuses.get(sha, ())}.values())

    def latest_runs(self, sha: str) -> tuple[CheckRun, ...]:
        """The newest check run of each name within each suite."""
        return tuple(run for suite in self.suites.get(sha, ()) for run in suite.latest)


Files = Mapping[str, str | None]
