"""History records: what was done to a branch, on which base, and how it ended; and what operators said of it (T8.2,
extended).
"""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How an action ended."""

    LANDED = "LANDED"
    PARTIAL = "PARTIAL"
    REFUSED = "REFUSED"
    STALE = "STALE"
    RACED = "RACED"
    WRONG_TREE = "WRONG_TREE"
    LANDED_AFTER_CLOSE = "LANDED_AFTER_CLOSE"
    TRIGGERED = "TRIGGERED"
    RED = "RED"
    ABANDONED = "ABANDONED"
    PAUSED = "PAUSED"
    RESUMED = "RESUMED"
    RETRIED = "RETRIED"
    EVICTED = "EVICTED"


@dataclass(frozen=True, slots=True)
class Target:
    """A pull request that an action was about (T8.3)."""

    number: int
    author: str
    sha: str
    title: str
    head_ref: str


@dataclass(frozen=True, slots=True)
class HistoryRecord:
    """One non-idle action and its outcome, or what an operator did: then `by` says who, and `why`.

    `id` is unique and also the id of the saved action it ends: recording twice changes nothing. `time` is seconds
    since the epoch. `tested_tree` is None when base and pull request were not tested together (D3), and where what
    landed is only the beginning of what was. `way` is how it was landed, or was to be, and why so (D5).
    """

    id: str
    branch: str
    time: float
    action: str
    base_sha: str
    targets: tuple[Target, ...]
    outcome: Outcome
    err: str = ""
    landed_sha: str | None = None
    landed_tree: str | None = None
    tested_tree: str | None = None
    approvers: tuple[str, ...] = ()
    config: str = ""
    way: str = ""
    by: str = ""
    why: str = ""
