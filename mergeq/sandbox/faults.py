"""Faults that can be switched on: what GitHub does wrong, how often, and how often it has happened so far."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class FaultId(StrEnum):
    """Every fault this sandbox can produce, under the name that the catalogue of GitHub's quirks gives it."""

    MERGE_LIE_MERGED = "merge.lie_merged"
    MERGE_5XX_NOP = "merge.5xx_nop"
    MERGE_BASE_MODIFIED = "merge.base_modified"
    MERGE_HEAD_PUSH = "merge.head_push"
    MERGE_RACE_PUSH = "merge.race_push"
    MERGE_LANDED_PR_OPEN = "merge.landed_pr_open"
    MERGE_RESET = "merge.reset"
    MERGE_WRONG_TREE = "merge.wrong_tree"
    MERGEABLE_LAZY = "mergeable.lazy"
    MERGEABLE_STUCK = "mergeable.stuck"
    MERGESTATE_WRONG = "mergestate.wrong"
    UPDATE_BRANCH_ASYNC = "update_branch.async"
    UPDATE_BRANCH_422 = "update_branch.422"
    REFS_OPAQUE_422 = "refs.opaque422"
    REFS_FALSE_NONFF = "refs.false_nonff"
    MERGES_409_AUTH = "merges.409_auth"
    GIT_REPLICA_LAG = "git.replica_lag"
    POLICY_NO_WORKFLOWS = "policy.no_workflows"
    DETECT_MERGE_NEVER = "detect.merge_never"
    DETECT_MERGE_DELAY = "detect.merge_delay"
    SCHEMA_FUTURE = "schema.future"
    PUSH_DIRECT = "push.direct"
    BRANCH_DELETE = "branch.delete"
    BRANCH_ENABLE_MQ = "branch.enable_mq"
    PR_CLOSE = "pr.close"
    PR_REOPEN = "pr.reopen"
    PR_DRAFT = "pr.draft"
    PR_RETARGET = "pr.retarget"
    PR_FORCE_PUSH = "pr.force_push"
    PR_DELETE_HEAD_REPO = "pr.delete_head_repo"
    PR_MAINTAINER_CAN_MODIFY = "pr.maintainer_can_modify"
    REPO_ARCHIVE = "repo.archive"
    POLICY_SIGNATURES = "policy.signatures"
    POLICY_LINEAR = "policy.linear"
    POLICY_RESTRICT = "policy.restrict"
    POLICY_DISMISS_STALE = "policy.dismiss_stale"
    POLICY_LAST_PUSH = "policy.last_push"
    RULESET_ALL = "ruleset.all"
    RULESET_KEEPS_BYPASS = "ruleset.keeps_bypass"
    PROTECTION_DISABLE = "protection.disable"
    GRAPHQL_5XX = "graphql.5xx"
    GRAPHQL_TIMEOUT = "graphql.timeout"
    GRAPHQL_PARTIAL = "graphql.partial"
    GRAPHQL_RATE_LIMITED = "graphql.rate_limited"
    GRAPHQL_UNTYPED = "graphql.untyped"
    STATUS_5XX = "status.5xx"
    HTTP_5XX = "http.5xx"
    HTTP_RESET = "http.reset"
    HTTP_SLOW = "http.slow"
    HTTP_TRUNCATED = "http.truncated"
    READ_LAG = "read.lag"
    READ_STALE_HEAD = "read.stale_head"
    READ_NOT_YET = "read.not_yet"
    SEARCH_DROP = "search.drop"
    SEARCH_LAG = "search.lag"
    SEARCH_STRICT_2025 = "search.strict_2025"
    SEARCH_LEGACY_OR = "search.legacy_or"
    SEARCH_CAP = "search.cap"
    SEARCH_SHIFT = "search.shift"
    COMMITS_SHUFFLE = "commits.shuffle"
    LABELS_REMOVE = "labels.remove"
    CHECKS_SUPERSEDED = "checks.superseded"
    CHECKS_SAME_NAME = "checks.same_name"
    CHECKS_FLIP = "checks.flip"
    PROFILE_GHES = "profile.ghes"
    ETAG_STALE_REPO_SETTINGS = "etag.stale_repo_settings"
    LIMIT_PRIMARY = "limit.primary"
    LIMIT_SECONDARY = "limit.secondary"
    LIMIT_ABUSE = "limit.abuse"
    LIMIT_ENFORCED = "limit.enforced"
    LIMIT_NONE = "limit.none"
    AUTH_EXPIRE = "auth.expire"
    AUTH_SUSPEND = "auth.suspend"
    AUTH_PERMS = "auth.perms"
    AUTH_SAML = "auth.saml"
    CLOCK_SKEW = "clock.skew"
    REPO_RENAME = "repo.rename"
    REPO_TRANSFER = "repo.transfer"
    REPO_DELETE = "repo.delete"
    PR_GHOST = "pr.ghost"
    PR_LOCK = "pr.lock"
    PR_AUTO_MERGE = "pr.auto_merge"
    BRANCH_RENAME = "branch.rename"
    HOOK_DROP = "hook.drop"
    HOOK_DUP = "hook.dup"
    HOOK_SHUFFLE = "hook.shuffle"
    HOOK_BADSIG = "hook.badsig"


@dataclass(slots=True)
class Fault:
    """One fault switched on: skip ``after`` chances, then happen ``times`` times (None: always).

    ``route`` is spelt as hits are counted; ``args.p`` lets it happen only that often (0 to 1), by seeded chance.
    """

    id: FaultId
    repo: str | None = None
    pr: int | None = None
    route: str | None = None
    times: int | None = 1
    after: int = 0
    args: Mapping[str, Any] = field(default_factory=dict)
    chances: int = 0
    hits: int = 0
    dice: random.Random = field(default_factory=lambda: random.Random(20260105))  # noqa: S311 - a fault is no secret

    def matches(self, repo: str | None, pr: int | None, route: str | None = None) -> bool:
        return self.repo in (None, repo) and self.pr in (None, pr) and self.route in (None, route)

    def happens(self) -> bool:
        """Take a chance: whether this is one of the times."""
        self.chances += 1
        due = self.chances > self.after and self.hits != self.times and self.dice.random() < self.args.get("p", 1)
        self.hits += due
        return due

    def seconds(self, argument: str = "ms", default_ms: float = 0.0) -> float:
        """A span given in milliseconds."""
        return float(self.args.get(argument, default_ms)) / 1000

    @property
    def code(self) -> int:
        """The HTTP status to answer with, 502 unless given."""
        return int(self.args.get("code", 502))

    @property
    def delay_s(self) -> float:
        """How long it lasts, in seconds; ``delay`` or ``ms`` say it in milliseconds; a minute unless given."""
        return self.seconds("delay" if "delay" in self.args else "ms", 60_000)


class Faults:
    """The faults switched on. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(
        self,
        fault: str,
        *,
        repo: str | None = None,
        pr: int | None = None,
        route: str | None = None,
        times: int | None = 1,
        after: int = 0,
        args: Mapping[str, Any] | None = None,
    ) -> Fault:
        """Switch a fault on; raises ValueError for an id that is not in FaultId."""
        added = Fault(FaultId(fault), repo, pr, route, times, after, args or {})
        with self._lock:
            self._faults.append(added)
        return added

    def fires(
        self,
        fault: FaultId,
        repo: str | None = None,
        pr: int | None = None,
        route: str | None = None,
        *,
        when: Callable[[Fault], bool] = lambda _fault: True,
    ) -> Fault | None:
        """The fault that happens now, counted as a hit; None if all goes well, or it is not its time."""
        with self._lock:
            chosen = (one for one in self._faults if one.id is fault and one.matches(repo, pr, route) and when(one))
            return next((one for one in chosen if one.happens()), None)

    def standing(self, fault: FaultId) -> Fault | None:
        """A fault that is a state rather than an event: the newest of its kind, not counted."""
        with self._lock:
            return next((one for one in reversed(self._faults) if one.id is fault), None)

    def is_on(self, fault: FaultId, repo: str | None = None) -> bool:
        """Whether a fault may happen there, which is no chance for it yet."""
        return any(known.id is fault and known.repo in (None, repo) for known in self.listed())

    def listed(self) -> tuple[Fault, ...]:
        with self._lock:
            return tuple(self._faults)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()
