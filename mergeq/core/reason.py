"""One thing that keeps a pull request from merging, said once and shown everywhere (D7)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Clause(StrEnum):
    """Which requirement is not met. The order is the order in which Tide's status text looks for one to tell (T3.7,
    T6.12).
    """

    CLOSED = "closed"
    CONFLICT = "conflict"
    METHOD_LABELS = "method-labels"
    REBASE = "rebase"
    METHOD_DISALLOWED = "method-disallowed"
    GITHUB_BLOCKED = "github-blocked"
    MERGE_QUEUE = "merge-queue"
    AUTO_MERGE = "auto-merge"
    ARCHIVED = "archived"
    WORKFLOWS = "workflows"
    EVICTED = "evicted"
    DRAFT = "draft"
    NO_QUERY = "no-query"
    BRANCH = "branch"
    AUTHOR = "author"
    MILESTONE = "milestone"
    LABELS = "labels"
    FORBIDDEN_LABELS = "forbidden-labels"
    CONTEXTS_UNREADABLE = "contexts-unreadable"
    NO_CONTEXTS = "no-contexts"
    CONTEXTS = "contexts"
    REVIEW = "review"
    SETTLING = "settling"
    REFUSED = "refused"
    STAGED = "staged"
    STAGING_FORBIDDEN = "staging-forbidden"
    VOIDED = "voided"
    PROTECTION = "protection"
    BEHIND = "behind"
    LANDING = "landing"
    LANDED = "landed"
    UNPOOLED = "unpooled"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a pull request is not in the pool.

    `needed` and `observed` are sentence parts for a person; `items` are the labels or contexts meant, sorted. `weight`
    is Tide's distance (T6.13-T6.20): it picks the query that is closest, it never admits. `who` can change it, `remedy`
    says what would. `observed_at` is when that was seen, in seconds since the epoch.
    """

    clause: Clause
    needed: str
    observed: str
    who: str
    remedy: str
    weight: int = 1
    items: tuple[str, ...] = ()
    observed_at: float = 0.0

    def seen(self, at: float) -> Self:
        """The same, observed at a moment."""
        values = (self.clause, self.needed, self.observed, self.who, self.remedy, self.weight, self.items)
        return type(self)(*values, observed_at=at)
