"""What the pages show, as values: every field a template receives. `shown` makes them."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mergeq.core.history import Outcome
from mergeq.core.pull import Blocker, Branch, PullRequest
from mergeq.core.reason import Reason

ACTIONS = ("MERGE", "MERGE_BATCH", "TRIGGER", "TRIGGER_BATCH", "PAUSE", "RESUME", "RETRY", "EVICT")
STATES = ("success", "failure", *(outcome.value for outcome in Outcome))


@dataclass(frozen=True, slots=True)
class Mark:
    """How new a page is: the store's `version` when it was made, and what time that was."""

    version: int
    now: str


@dataclass(frozen=True, slots=True)
class PullView:
    """One pull request on a page: where it stands, in the words of its status, and every reason.

    `place` is its turn among the members of its pool, 1 is served next, 0 is outside. `doing` is what the branch's
    action or a run does to it now, empty when neither is about it. `tone` is what its dot says: success, testing,
    pending (people or CI are awaited), failure (nothing moves until somebody changes something) or rest. `url` leads
    to GitHub.
    """

    pull: PullRequest
    url: str
    method: str
    place: int
    entered_at: str
    tone: str
    text: str
    reasons: tuple[Reason, ...]
    doing: str

    @property
    def in_pool(self) -> bool:
        """Whether nothing keeps it out."""
        return self.place > 0


@dataclass(frozen=True, slots=True)
class ContextView:
    """One context of a head. `counts` tells whether it must be green; `url` leads to its log."""

    name: str
    source: str
    result: str
    description: str
    url: str
    counts: bool
    is_ours: bool


@dataclass(frozen=True, slots=True)
class TargetView:
    """A pull request that a record is about."""

    number: int
    title: str
    author: str
    sha: str


@dataclass(frozen=True, slots=True)
class RunView:
    """Pull requests being tested together on the base, or tested: `state` is testing until the run has ended, and
    green while it is being landed. `way` is how it lands if it is green, and why so; empty for one that is over.
    """

    id: str
    state: str
    started_at: str
    staged_sha: str
    staged_url: str
    targets: tuple[TargetView, ...]
    contexts: tuple[ContextView, ...]
    way: str = ""


@dataclass(frozen=True, slots=True)
class PoolView:
    """One branch on the queue page. `members` are in the pool, as they are served; `others` open beside it, unless
    these are only counted: `outside` is how many there are, and `awaited` counts what they wait for. `stalled` is since
    when nothing has come of it, where that is too long. `is_guarded`: mergeq looks after the branch's protection.
    """

    branch: Branch
    base_sha: str
    base_url: str
    action: str
    why: str
    at: str
    error: str
    halted: str
    stalled: str
    unread: tuple[str, ...]
    never_reported: tuple[str, ...]
    blockers: tuple[Blocker, ...]
    runs: tuple[RunView, ...]
    members: tuple[PullView, ...]
    others: tuple[PullView, ...]
    outside: int
    awaited: tuple[tuple[str, int], ...]
    is_guarded: bool
    is_open: bool = False
    shows_others: bool = False


@dataclass(frozen=True, slots=True)
class QueryView:
    """One query: where it applies, the search that it is, and the same search on GitHub."""

    scope: str
    search: str
    url: str


@dataclass(frozen=True, slots=True)
class LineView:
    """One branch of many, in a line. `error` is what hinders it, else `why` tells what its action rests on; `goes_on`
    is false where everything waits for people or CI.
    """

    branch: Branch
    action: str
    why: str
    error: str
    in_pool: int
    waiting: int
    is_blocked: bool
    goes_on: bool

    def is_meant(self, asked: str) -> bool:
        """Whether this very branch is asked for, in lower case."""
        return str(self.branch).lower() == asked


@dataclass(frozen=True, slots=True)
class QueueView:
    """The queue page: the `found` branches that `asked` leaves of `known`, and the sums over them. `pools` are shown
    whole, `lines` named, `unlisted` only counted.
    """

    pools: tuple[PoolView, ...]
    lines: tuple[LineView, ...]
    unlisted: tuple[LineView, ...]
    asked: str
    known: int
    found: int
    in_pool: int
    waiting: int
    blocked: int
    queries: tuple[QueryView, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WaitView:
    """What waits for GitHub's limits, until when, and why; `account` is empty where all have the same limits."""

    what: str
    account: str
    until: str
    why: str


@dataclass(frozen=True, slots=True)
class StepView:
    """One station of a pull request's way. `state` is done, now, stop or ahead; exactly what `text` says is true."""

    name: str
    state: str
    text: str


@dataclass(frozen=True, slots=True)
class RecordView:
    """One row of the history. `is_first` starts a run of rows that share branch and base (T8.16)."""

    time: str
    branch: Branch
    action: str
    outcome: str
    base_sha: str
    base_url: str
    landed_sha: str
    landed_url: str
    targets: tuple[TargetView, ...]
    err: str
    tested: str
    is_first: bool
    by: str
    why: str
    way: str = ""


@dataclass(frozen=True, slots=True)
class PullPage:
    """Everything about one pull request. `view` and `pool` are None when it is no longer open, and then `landed` is the
    record of its landing, if there is one. `next` says what happens to it next; `others` are the queries that could
    take it beside the nearest, each with what it misses there.
    """

    branch: Branch
    number: int
    title: str
    url: str
    view: PullView | None
    pool: PoolView | None
    steps: tuple[StepView, ...]
    contexts: tuple[ContextView, ...]
    records: tuple[RecordView, ...]
    landed: RecordView | None
    next: str = ""
    others: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters of the history offer."""

    repos: tuple[str, ...]
    branches: tuple[str, ...]
    pulls: tuple[int, ...]
    authors: tuple[str, ...]
    actions: tuple[str, ...] = ACTIONS
    states: tuple[str, ...] = STATES


def when(at: float) -> str:
    """A time as RFC 3339 in UTC, to the microsecond, as Go prints it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
