"""What is written down of protection: each change with its cause and its author, what a look found, what is held."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mergeq.core.protection import Item


class Result(StrEnum):
    """How a change ended, or what was seen of it."""

    APPLIED = "applied"
    FAILED = "failed"
    NOT_EFFECTIVE = "not-effective"
    HELD = "held"
    ACKNOWLEDGED = "acknowledged"
    SEEN = "seen"
    """Somebody else changed it on GitHub."""
    EXPIRED = "expired"
    ROLLED_BACK = "rolled-back"


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One row of the audit, never changed afterwards (P7.8).

    `time` is epoch seconds; `run` names the run of the reconciler, `plan` is the hash of what was carried out, `config`
    the digest of the configuration. `target` is ORG/REPO:PATTERN, ORG/REPO for what is about all of it. `before` and
    `after` are fields as `spoken_values` gives them, those that differ alone. `by` is who did it: a login for what
    GitHub told of, the operator who asked, or ``mergeq``; `why` the cause in words, `executor` the identity that wrote.
    """

    id: str
    time: float
    run: str
    target: str
    result: Result
    cause: str = ""
    effect: str = ""
    kind: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    by: str = ""
    why: str = ""
    executor: str = ""
    plan: str = ""
    config: str = ""
    place: str = ""
    problem: str = ""
    calls: int = 0

    @property
    def repo(self) -> str:
        """ORG/REPO."""
        return self.target.partition(":")[0]


@dataclass(frozen=True, slots=True)
class SeenRepo:
    """What the last look at a repository found: an item per target, `error` where it could not be read. `by` is who
    changed it last, as far as GitHub told, and `at` when it was looked at, in epoch seconds.
    """

    repo: str
    at: float
    items: tuple[Item, ...] = ()
    error: str = ""
    warnings: tuple[str, ...] = ()
    config: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A plan that waits for a person: its hash, since when, why, and what it would do, in counts."""

    hash: str
    at: float
    reasons: tuple[str, ...]
    repos: int
    weakened: int
    removed: int
    items: tuple[Item, ...] = ()
