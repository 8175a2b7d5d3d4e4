"""What GitHub says, as values: branches, pull requests, their contexts, blockers. Nothing here judges."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

_BRANCH = re.compile(r"(?P<org>[^/:\s]+)/(?P<repo>[^/:\s]+):(?P<name>\S+)")


@dataclass(frozen=True, slots=True, order=True)
class Branch:
    """A base branch, written ``ORG/REPO:BRANCH`` (T0.1). `name` is without ``refs/heads/`` and may hold slashes."""

    org: str
    repo: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``ORG/REPO:BRANCH``; ValueError says what was wrong with the text."""
        match = _BRANCH.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not of the form ORG/REPO:BRANCH")
        return cls(match["org"], match["repo"], match["name"])

    @property
    def full_repo(self) -> str:
        """``ORG/REPO``."""
        return f"{self.org}/{self.repo}"

    def __str__(self) -> str:
        return f"{self.org}/{self.repo}:{self.name}"


class Mergeable(StrEnum):
    """GitHub's lazily computed opinion on conflicts. UNKNOWN is normal and is not a refusal (T3.6, Q14)."""

    MERGEABLE = "MERGEABLE"
    CONFLICTING = "CONFLICTING"
    UNKNOWN = "UNKNOWN"


class Result(StrEnum):
    """What one context says about a commit. EXPECTED: required, and nothing has reported it yet."""

    SUCCESS = "SUCCESS"
    PENDING = "PENDING"
    FAILURE = "FAILURE"
    ERROR = "ERROR"
    EXPECTED = "EXPECTED"


class Method(StrEnum):
    """A merge method."""

    MERGE = "merge"
    SQUASH = "squash"
    REBASE = "rebase"


@dataclass(frozen=True, slots=True)
class Context:
    """One report on one commit: a commit status (`app` None) or a check run of an app.

    `at` is when it started to run or was posted, in seconds since the epoch; 0.0 when GitHub does not say. `serial` is
    GitHub's id of a check run and breaks ties of `at`. `conclusion` is GitHub's lower-case word for how one ended,
    `ended_at` when, 0.0 for a status and for one that has not.
    """

    name: str
    result: Result
    app: str | None = None
    at: float = 0.0
    serial: int = 0
    description: str = ""
    url: str = ""
    conclusion: str = ""
    ended_at: float = 0.0

    @property
    def reported_at(self) -> float:
        """When it was last heard of, in seconds since the epoch."""
        return max(self.at, self.ended_at)


@dataclass(frozen=True, slots=True)
class PullRequest:
    """An open pull request as read from GitHub at one moment.

    `contexts` are those of exactly `head_sha`, or None when they could not all be read: then nothing may be concluded
    from them (D8). `labels` keep GitHub's spelling. `label_times` says, by label in lower case, when each was last put
    on. `approvers` approved exactly this head, `objectors` last requested changes; all may write to the repository, as
    the author may where it is `by_writer`. `paths` are the changed files, None when not all were read. `body` is read
    only right before it is needed, and empty until then. `is_bot`: the author is a GitHub App. `steps` counts its
    commits; `was_forced` unless it is certain that the head was never force-pushed. `head_owner` is empty when the
    head's repository is gone (Q24); `maintainer_can_modify` is about forks. `auto_merge_by` told GitHub to merge it by
    itself, empty for nobody (Q46). `was_found` unless a search is known not to have returned it, which only Tide minds
    (D11, D20). `tree` is that of its head, empty where it is not
    known. Times are seconds since the epoch.
    """

    org: str
    repo: str
    number: int
    base: str
    head_sha: str
    head_ref: str
    title: str
    author: str
    labels: tuple[str, ...] = ()
    contexts: tuple[Context, ...] | None = ()
    milestone: str | None = None
    is_draft: bool = False
    is_open: bool = True
    mergeable: Mergeable = Mergeable.UNKNOWN
    merge_state: str = "UNKNOWN"
    can_be_rebased: bool = False
    review_decision: str | None = None
    in_merge_queue: bool = False
    auto_merge_by: str = ""
    url: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    approvers: tuple[str, ...] = ()
    objectors: tuple[str, ...] = ()
    label_times: tuple[tuple[str, float], ...] = ()
    unresolved_threads: int = 0
    is_fork: bool = False
    by_writer: bool = False
    paths: tuple[str, ...] | None = None
    steps: int = 1
    head_owner: str = ""
    was_forced: bool = True
    maintainer_can_modify: bool = False
    was_found: bool = True
    body: str = ""
    is_bot: bool = False
    tree: str = ""

    @property
    def branch(self) -> Branch:
        """The base branch this pull request wants to reach."""
        return Branch(self.org, self.repo, self.base)

    def __str__(self) -> str:
        return f"{self.org}/{self.repo}#{self.number}"


@dataclass(frozen=True, slots=True)
class Row:
    """The little of a pull request by which it is seen, at the cost of one hundredth of a reading, that something about
    it has changed. `node` is its GraphQL id, `results` how many contexts of its head are in each state.
    """

    org: str
    repo: str
    number: int
    node: str
    base: str
    head_sha: str
    updated_at: float
    mergeable: Mergeable = Mergeable.UNKNOWN
    merge_state: str = "UNKNOWN"
    can_be_rebased: bool = False
    review_decision: str | None = None
    results: tuple[tuple[str, int], ...] = ()

    @property
    def branch(self) -> Branch:
        """The base branch this pull request wants to reach."""
        return Branch(self.org, self.repo, self.base)

    def __str__(self) -> str:
        return f"{self.org}/{self.repo}#{self.number}"

    def differs_from(self, known: "Row | None") -> bool:
        """Whether there is anything new in it but GitHub's opinion on merging."""
        return known is None or self.with_opinion_of(known) != known

    def thinks_otherwise(self, known: "Row") -> bool:
        """Whether all that is new in it is GitHub's opinion on merging. To have none just now is nothing new."""
        return self.mergeable is not Mergeable.UNKNOWN and self != known and not self.differs_from(known)

    def with_opinion_of(self, known: "Row") -> Self:
        """The same with GitHub's opinion on merging from another reading."""
        return replace(
            self, mergeable=known.mergeable, merge_state=known.merge_state, can_be_rebased=known.can_be_rebased
        )

    def with_status(self, before: str | None, now: str) -> Self:
        """The same after a status of ours was in one state, or was not there, and is in another now."""
        counts = dict(self.results)
        for state, step in ((before, -1), (now, 1)):
            if state is not None:
                counts[state] = counts.get(state, 0) + step
        return replace(self, results=tuple(sorted((state, count) for state, count in counts.items() if count)))


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of a pull request; `login` is its author's on GitHub, empty when GitHub knows nobody by that address.
    `parents` and `tree` are empty where they were not asked for.
    """

    sha: str
    message: str
    name: str = ""
    email: str = ""
    login: str = ""
    parents: tuple[str, ...] = ()
    tree: str = ""


@dataclass(frozen=True, slots=True)
class Repository:
    """The settings of a repository that limit merging, and those for the messages of what is merged, as GitHub's
    GraphQL API spells them ("Repository", `mergeCommitTitle` and the like). `withholds_workflows`: it is certain that
    our credentials may not bring in changes of workflow files (Q58).
    """

    allowed_methods: frozenset[Method] = frozenset(Method)
    is_archived: bool = False
    merge_title: str = "MERGE_MESSAGE"
    merge_message: str = "PR_TITLE"
    squash_title: str = "COMMIT_OR_PR_TITLE"
    squash_message: str = "COMMIT_MESSAGES"
    withholds_workflows: bool = False


@dataclass(frozen=True, slots=True)
class Protection:
    """What GitHub's own rules demand of a branch, classic protection and rulesets together, as mergeq holds itself to
    them without any bypass (D19).

    `required` are names of contexts with the slug of the app they must come from, None for any. `unjudged` names rules
    that only GitHub can judge: there its own verdict is awaited. `by_pull`: whatever comes in has to come by a pull
    request. `no_updates`: a ruleset lets nobody update the branch. `reserved_for` names who alone may push, where
    mergeq is not among them.
    """

    required: tuple[tuple[str, str | None], ...] = ()
    reviews: bool = False
    conversations: bool = False
    up_to_date: bool = False
    linear_history: bool = False
    signatures: bool = False
    dismisses_stale: bool = False
    last_push_approval: bool = False
    is_locked: bool = False
    unjudged: tuple[str, ...] = ()
    by_pull: bool = False
    no_updates: bool = False
    reserved_for: tuple[str, ...] = ()

    @property
    def pins(self) -> Mapping[str, str]:
        """The slugs of the apps that a required context must come from, split by commas, by its name."""
        apps: dict[str, set[str]] = {}
        for name, app in self.required:
            if app:
                apps.setdefault(name, set()).add(app)
        return {name: ",".join(sorted(slugs)) for name, slugs in apps.items()}

    def naming(self, slugs: Mapping[int, str]) -> Self:
        """The same with the slugs of Apps that were known by their numbers alone."""
        names = {f"App {number}": slug for number, slug in slugs.items()}
        return replace(self, required=tuple((name, names.get(app or "", app)) for name, app in self.required))


@dataclass(frozen=True, slots=True)
class Blocker:
    """An open issue with the blocker label (T7). `branches` are those its title names, in its words and as often as it
    does; empty: it blocks every branch of its repository.
    """

    number: int
    title: str
    url: str
    branches: tuple[str, ...] = ()

    def applies_to(self, branch: str) -> bool:
        """Whether this issue stops `branch` (T7.7; names compare exactly, T7.5)."""
        return not self.branches or branch in self.branches

    def times_listed(self, branch: str) -> int:
        """How often Tide lists it for `branch`: once for each time that the title names it."""
        return self.branches.count(branch) if self.branches else 1


@dataclass(frozen=True, slots=True)
class BranchFacts:
    """Everything gathered about one branch at one moment: the input of every decision about it.

    `base_sha` is the tip of the base, `base_tree` its tree, empty where it is not known. `pulls` are its open pull
    requests in any order. `partial` names what could not be read of the branch as a whole; a branch with such a gap
    does not act (D8). `unread` names the pull requests that could not be read in full; they alone stay out (Q3).
    """

    branch: Branch
    base_sha: str
    pulls: tuple[PullRequest, ...] = ()
    repository: Repository = Repository()
    protection: Protection = Protection()
    blockers: tuple[Blocker, ...] = ()
    partial: str = ""
    unread: tuple[str, ...] = ()
    base_tree: str = ""


_BRANCH_TOKEN = re.compile(r"\bbranch:[^\w-]*([\w./-]+)\b", re.IGNORECASE | re.ASCII)


def blocker(number: int, title: str, url: str) -> Blocker:
    """A blocker issue, with the ``branch:NAME`` tokens of its title understood and taken out of it (T7.4-T7.6)."""
    return Blocker(number, _BRANCH_TOKEN.sub("", title), url, tuple(_BRANCH_TOKEN.findall(title)))
