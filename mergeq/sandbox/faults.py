"""Faults that can be switched on: what GitHub does wrong, how often, and how often it has happened so far."""

from __future__ import annotations

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
    GRAPHQL_5XX = "graphql.5xx"
    STATUS_5XX = "status.5xx"
    HOOK_DROP = "hook.drop"
    HOOK_DUP = "hook.dup"
    HOOK_SHUFFLE = "hook.shuffle"


@dataclass(slots=True)
class Fault:
    """One fault switched on: skip ``after`` chances, then happen ``times`` times (None: always)."""

    id: FaultId
    repo: str | None = None
    pr: int | None = None
    times: int | None = 1
    after: int = 0
    args: Mapping[str, Any] = field(default_factory=dict)
    chances: int = 0
    hits: int = 0

    def matches(self, repo: str | None, pr: int | None) -> bool:
        return self.repo in (None, repo) and self.pr in (None, pr)

    def seconds(self, argument: str = "ms", default_ms: float = 0.0) -> float:
        """A span given in milliseconds."""
        return float(self.args.get(argument, default_ms)) / 1000

    @property
    def code(self) -> int:
        """The HTTP status to answer with, 502 unless given."""
        return int(self.args.get("code", 502))


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
        times: int | None = 1,
        after: int = 0,
        args: Mapping[str, Any] | None = None,
    ) -> Fault:
        """Switch a fault on; raises ValueError for an id that is not in FaultId."""
        added = Fault(FaultId(fault), repo, pr, times, after, args or {})
        with self._lock:
            self._faults.append(added)
        return added

    def fires(
        self,
        fault: FaultId,
        repo: str | None = None,
        pr: int | None = None,
        *,
        when: Callable[[Fault], bool] = lambda _fault: True,
    ) -> Fault | None:
        """The fault that happens now, counted as a hit; None if all goes well, or it is not its time."""
        with self._lock:
            for candidate in self._faults:
                if candidate.id is not fault or not candidate.matches(repo, pr) or not when(candidate):
                    continue
                candidate.chances += 1
                if candidate.chances > candidate.after and candidate.hits != candidate.times:
                    candidate.hits += 1
                    return candidate
        return None

    def is_on(self, fault: FaultId, repo: str | None = None) -> bool:
        """Whether a fault may happen there, which is no chance for it yet."""
        return any(known.id is fault and known.repo in (None, repo) for known in self.listed())

    def listed(self) -> tuple[Fault, ...]:
        with self._lock:
            return tuple(self._faults)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()
