"""What the store keeps and hands out, as values."""

from dataclasses import dataclass

from mergeq.core.batch import Conflict, Run
from mergeq.core.history import HistoryRecord
from mergeq.core.marks import Hint
from mergeq.core.pool import Pool
from mergeq.core.pull import Branch, Method, Protection, PullRequest, Row


class Away(Exception):
    """Redis does not answer, or not in time; the text is the kind of failure."""


class LeaseLost(Exception):
    """Somebody else may act on this branch now; whatever was about to be written is not."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The expiring right to act on one branch. The store knows the `token` of the latest actor, and refuses all others;
    none is given twice, also by a Redis that lost the last second or fell back to a replica.
    """

    branch: Branch
    token: str


@dataclass(frozen=True, slots=True)
class SavedPool:
    """A pool with the action chosen for it, as pages and workers read it. `id` names this decision."""

    id: str
    pool: Pool
    action: str
    targets: tuple[int, ...]
    why: str
    at: float
    config: str
    error: str = ""
    run: str = ""
    abandon: tuple[tuple[str, str], ...] = ()
    runs: tuple[Run, ...] = ()
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """By which configuration a branch was judged last, and whether something goes on there: in its pool, under test, or
    an error that is to end.
    """

    config: str
    is_busy: bool


@dataclass(frozen=True, slots=True)
class Intent:
    """A write that is about to be sent: one pull request is to be merged, or the base is to be moved to `after`, with
    `number` and all targets behind it. Found again after a crash, it is resolved by re-reading, never by sending it
    again (D6).
    """

    saved: SavedPool
    number: int
    head_sha: str
    method: Method
    base_sha: str
    at: float
    after: str = ""
    way: str = ""


@dataclass(frozen=True, slots=True)
class Doubt:
    """The tip of a base that nobody has tested, and how it came there (D22)."""

    base_sha: str
    why: str


@dataclass(frozen=True, slots=True)
class Declined:
    """What GitHub said when it would not let us move a base, and under which protection: until that changes it would
    say so again (D5). Where it named no rule it is asked again after `until` (epoch seconds), None where it did;
    `tries` counts how often it has said no.
    """

    protection: Protection
    text: str
    until: float | None = None
    tries: int = 1

    def holds(self, protection: Protection, now: float) -> bool:
        """Whether it would say so again."""
        return self.protection == protection and (self.until is None or now < self.until)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which history records are asked for; what is left at its default narrows nothing.

    `repo` is ``ORG/REPO`` and `branch` a branch's bare name. `state` is an outcome, or Tide's ``success`` or
    ``failure``, which ask whether anything is said in `err` (T8.7). `since` counts as in, `until` as out.
    """

    repo: str = ""
    branch: str = ""
    pull: int | None = None
    author: str = ""
    action: str = ""
    state: str = ""
    since: float | None = None
    until: float | None = None

    def admits(self, record: HistoryRecord) -> bool:
        """Whether a record is wanted, its time apart; `pull` and `author` must meet in one target (T8.17)."""
        repo, _, branch = record.branch.partition(":")
        met = [t for t in record.targets if self.pull in {None, t.number} and self.author in {"", t.author}]
        return (
            self.repo in {"", repo}
            and self.branch in {"", branch}
            and self.action in {"", record.action}
            and self.state in {"", record.outcome.value, "failure" if record.err else "success"}
            and (bool(met) or (self.pull is None and not self.author))
        )


@dataclass(frozen=True, slots=True)
class Marked:
    """One thing to be read again: its GraphQL id where that is known, what events said of it, and a number that grows
    with each time it is marked.
    """

    serial: int
    node: str = ""
    hints: tuple[Hint, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """A pull request as it was read, on the `branch` it wants to reach; on None when it is not open any more. `pull` is
    None when it could not be read in full, `row` when the next sweep is to read it again.
    """

    full_repo: str
    number: int
    branch: Branch | None
    head_sha: str = ""
    pull: PullRequest | None = None
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a delivery touched: how many things, and the branches that were not marked before."""

    touched: int
    fresh: tuple[Branch, ...]
