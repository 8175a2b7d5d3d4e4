"""Redis, the only live state: the dirty set, leases, saved pools, intents, history, deliveries, counters. Losing it
never merges wrongly.

Every deadline is a number compared with a `now` that is passed in; Redis' own expiry is garbage collection alone (D14).
"""

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

import msgspec
import redis

from mergeq.core.audit import Announced
from mergeq.core.batch import Conflict, Run
from mergeq.core.budget import Hold, Spent
from mergeq.core.conviction import Conviction
from mergeq.core.history import HistoryRecord
from mergeq.core.marks import Hint, Mark
from mergeq.core.orders import EVERYTHING, Eviction, Halt
from mergeq.core.pool import Arrival, Landed, Refusal, Unproved
from mergeq.core.pull import Branch, BranchFacts, Context, Mergeable, PullRequest, Row
from mergeq.core.watch import Pulse
from mergeq.store import protection, scripts
from mergeq.store.paging import cursor_of, newest_first
from mergeq.store.protection import ProtectionStore
from mergeq.store.values import (
    Away,
    Declined,
    Delivered,
    Doubt,
    Intent,
    Judged,
    Lease,
    LeaseLost,
    Marked,
    Reading,
    SavedPool,
    Wanted,
)

__all__ = [
    "ALL",
    "LEASE_SECONDS",
    "LIST",
    "REFS",
    "RUNS",
    "TIP",
    "Away",
    "Declined",
    "Delivered",
    "Doubt",
    "Intent",
    "Judged",
    "Lease",
    "LeaseLost",
    "Marked",
    "Reading",
    "SavedPool",
    "Store",
    "Wanted",
    "cursor_of",
    "held",
    "reaching",
]

T = TypeVar("T")
_Field = tuple[str, str, str, Hint | None]

_P = "mergeq:"
DIRTY = _P + "dirty"  # sorted set: branch -> when it was first marked
MARKS = _P + "marks:"  # hash per branch: what of it is to be read again, a number or ALL and the like -> Marked
MARK = _P + "mark"  # counter of marks
WORKING = _P + "working"  # sorted set: branch -> when its lease ends
TOKENS = _P + "tokens"  # hash: branch -> fencing token of the lease in force
POOLS = _P + "pools"  # hash: branch -> SavedPool
JUDGED = _P + "judged"  # hash: branch with a pool -> Judged
PULLS = _P + "pulls"  # hash: ORG/REPO#N -> branch and head SHA, a blank between
READ = _P + "read:"  # hash per branch: number -> when it was read, a blank, PullRequest or nothing if it was unreadable
ROWS = _P + "rows:"  # hash per owner: ORG/REPO#N -> Row of that reading
WRITTEN = _P + "written:"  # hash per branch: number -> head SHA and Context of ours that was last written to it
STATES = _P + "states"  # hash: branch -> when it was read, a blank, BranchFacts without pull requests
APPS = _P + "apps"  # hash: number of an App -> its slug
UNREAD = _P + "unread:"  # list per ORG or ORG/REPO: Mark of each pull request that is still to be read
AGAIN = _P + "again"  # hash: branch -> how often in a row it was looked at again because something was not there yet
HEARD = _P + "heard"  # hash: ORG, or ORG/REPO for the webhook of one repository -> when the last delivery came
MISSED = _P + "missed"  # hash: ORG or ORG/REPO -> when a sweep last found what no webhook had told
HEADS = _P + "heads"  # hash: ORG/REPO@SHA -> what has this commit: lines of a branch, a blank, a field of its MARKS
REFUSALS = _P + "refusals:"  # hash per branch: number -> Refusal
STAGED = _P + "runs:"  # hash per branch: run id -> Run
CONVICTIONS = _P + "convictions:"  # hash per branch: head SHA -> Conviction
CONFLICTS = _P + "conflicts:"  # set per branch: Conflict
DOUBTS = _P + "doubts"  # hash: branch -> Doubt about the tip of its base
DECLINED = _P + "declined"  # hash: branch -> Declined, the last refusal to move its base
UNNOTICED = _P + "unnoticed:"  # hash per branch: number -> Landed, what GitHub was not seen to have marked as merged
HALTS = _P + "halts"  # hash: branch, or the name of all of them -> Halt
EVICTIONS = _P + "evictions:"  # hash per repository: number -> Eviction of a head
PULSES = _P + "pulses"  # hash: branch -> Pulse
VERDICTS = _P + "verdicts"  # hash: branch -> when the last verdict about anything in its pool came
STALLED = _P + "stalled"  # hash: branch -> since when the alarm that it stands still is about
RETRIES = _P + "retries:"  # hash per branch: number -> head SHA that is to be tried as if nothing was known of it
EPOCH = _P + "epoch"  # since when this store is known to have lost nothing of an earlier one
READ_THROUGH = _P + "read-through"  # set: ORG or ORG/REPO of which all was read since this store is new
ARRIVALS = _P + "arrivals:"  # hash per repository: number -> Arrival of the present head
UNPROVED = _P + "unproved:"  # hash per repository: number -> Unproved contexts of the present head
INTENTS = _P + "intents"  # hash: branch -> Intent of a write whose outcome is not recorded yet
RECORDS = _P + "records"  # hash: record id -> HistoryRecord
HISTORY = _P + "history"  # sorted set: record id by time
DELIVERIES = _P + "deliveries"  # sorted set: delivery id -> when it may be forgotten
ASKED = _P + "asked"  # sorted set: delivery id that GitHub was asked to send again -> when it may be forgotten
ASKED_UNTIL = _P + "asked-until"  # the time until which every delivery that failed was asked for again
COUNTERS = _P + "counters"  # hash: metric name and labels as JSON -> number
LATER = _P + "later"  # sorted set: branch -> when it is marked again, because something holds it back until then
SURE = _P + "sure"  # sorted set: branch, a blank, a field of its MARKS or - -> when that is marked, to be sure
SPENT = _P + "spent:"  # hash per account and resource: the hour that runs, what each purpose used of it, GitHub's word
ACCOUNTS = _P + "accounts"  # set: account and resource as JSON, those of which something was spent
HOLDS = _P + "holds"  # hash: account -> Hold, GitHub's word that nothing may be asked until then
KNOWN = _P + "known"  # hash: what was found out of GitHub -> the answer, and until when it is believed
STATUSES = _P + "statuses"  # hash: account -> when the statuses that were written would be written at an even pace
TOLD = _P + "told"  # set: what is said once
REFS_SWEPT = _P + "refs-swept"  # hash: branch -> when its leftover refs were last looked for
DECISIONS = _P + "decisions"  # counter of decisions
VERSION = _P + "version"  # counter of changes that a page would show
TURNS = _P + "turns"  # hash: branch -> when it is its turn to write statuses
SWEPT = _P + "swept-by"  # hash: search -> when its last sweep began

ALL, TIP, RUNS = "all", "tip", "runs"  # fields of MARKS: a branch and all on it, its own state, its staged runs
LIST = "list"  # the same: its own state once more, whatever events say of it
REFS = "refs"  # the same: refs of ours that may have been left behind

LEASE_SECONDS = 30.0  # whoever acts extends it meanwhile, so that only what has died or hangs lets it run out
_DELIVERY_SECONDS = 4 * 86400.0
_HISTORY_LIMIT = 100_000
_UNFOUNDED = "the store is new, and it is being read from GitHub whether an earlier one was lost"
_POOLS_AT_ONCE = 32  # some hundred kilobytes each time, where a pool has some ten pull requests


class Store:
    """The one reader and writer of Redis. Keys are listed at the top of this module and nowhere else."""

    def __init__(self, connection: "redis.Redis") -> None:
        self._redis: Any = connection
        script: Any = connection.register_script
        self._claim = script(scripts.CLAIM)
        self._extend = script(scripts.EXTEND)
        self._release = script(scripts.RELEASE)
        self._write = script(scripts.WRITE)
        self._act = script(scripts.ACT)
        self._found = script(scripts.FOUND)
        self._deliver = script(scripts.DELIVER)
        self._overdue = script(scripts.OVERDUE)
        self._sweep = script(scripts.SWEEP)
        self._spend = script(scripts.SPEND)
        self._hold = script(scripts.HOLD)
        self._mark = script(scripts.MARK)
        self._unmark = script(scripts.UNMARK)
        self._kept = script(scripts.KEEP)
        self._pace = script(scripts.PACE)
        self.protection = ProtectionStore(connection, [VERSION])

    def ping(self) -> None:
        """Raise redis.RedisError when Redis does not answer."""
        self._redis.ping()

    # the dirty set and leases (D9)

    def mark(self, marks: Iterable[Mark], now: float) -> list[Branch]:
        """Note what is to be read again; returns the branches that were not marked already, for whom a job is to be
        enqueued.
        """
        return self._marked([_field(mark) for mark in marks], now)

    def mark_parts(self, branches: Iterable[Branch], parts: Sequence[str], now: float) -> list[Branch]:
        """The same for parts of branches that are none of their pull requests: ALL, TIP, RUNS."""
        return self._marked([_part(branch, part) for branch in branches for part in parts], now)

    def send(self, branches: Iterable[Branch], now: float) -> list[Branch]:
        """Note that branches are to be judged again, by what is known of them; returns as `mark` does."""
        return [branch for branch in branches if self._redis.zadd(DIRTY, {str(branch): now}, nx=True)]

    def _marked(self, fields: "list[_Field]", now: float) -> list[Branch]:
        if not fields:
            return []
        fresh = self._mark(keys=[DIRTY, MARK], args=[MARKS, now, msgspec.json.encode(fields)])
        return [Branch.parse(name) for name in _texts(fresh)]

    def marks(self, branch: Branch) -> dict[str, Marked]:
        """What of a branch is to be read again, by field."""
        found = self._redis.hgetall(MARKS + str(branch))
        return {field.decode(): msgspec.json.decode(raw, type=Marked) for field, raw in found.items()}

    def unmark(self, branch: Branch, read: Mapping[str, Marked]) -> None:
        """Forget marks whose subject was read after they were looked up; one that was set again meanwhile stays."""
        if read:
            serials = [text for field, marked in read.items() for text in (field, marked.serial)]
            self._unmark(keys=[MARKS + str(branch)], args=serials)

    def look_later(self, branch: Branch, fields: Sequence[str], at: float) -> None:
        """Have a branch looked at again at `at`, and these fields of it read then."""
        self._redis.zadd(SURE, {f"{branch} {field}": at for field in fields or "-"}, lt=True)

    def try_again(self, branch: Branch, now: float, delay: float, limit: float) -> float:
        """Have a branch looked at again after `delay` seconds, twice as many each time in a row; returns how many.

        Nothing more than `limit`.
        """
        seconds = min(delay * 2.0 ** min(int(self._redis.hincrby(AGAIN, str(branch), 1)) - 1, 20), limit)
        self.put_off(branch, now + seconds)
        return seconds

    def is_settled(self, branch: Branch) -> None:
        """Whatever a branch was looked at again for is there now."""
        self._redis.hdel(AGAIN, str(branch))

    def put_off(self, branch: Branch, until: float) -> None:
        """Have a branch marked again at `until`, the earliest counts; whatever else marks it does so before."""
        self._redis.zadd(LATER, {str(branch): until}, lt=True)

    def deliver(
        self,
        delivery: str,
        marks: Iterable[Mark],
        now: float,
        *,
        whole: Iterable[Branch] = (),
        head: str = "",
        hint: Hint | None = None,
        scope: str = "",
        arrival: tuple[str, int, Arrival] | None = None,
        sweep: bool = False,
        protects: str = "",
        said: Announced | None = None,
        otherwise: str = "ignored",
    ) -> "Delivered | None":
        """Remember a webhook delivery, mark what it touches, and count what became of it (`otherwise` where it touches
        nothing), in one step; None when it was delivered before (Q67).

        `whole` branches are marked with all that is on them. `head`, as ``ORG/REPO@SHA``, stands for everything that is
        known to have this commit (Q81). The state of a branch on which nothing is known to be open is not marked: who
        opens something there is announced as well. `scope` is what the webhook is about, ``ORG`` or ``ORG/REPO``, of
        which something was heard now. An `arrival` (``ORG/REPO``, number) replaces one that is older and of another
        head (Q68). `sweep` has every sweep be due at once. The protection of `protects`, an ORG or an ORG/REPO, is to
        be looked at, for what was `said`.
        """
        fields = [*map(_field, marks), *(_part(branch, ALL) for branch in whole)]
        repo, number, came = arrival or ("", 0, None)
        told = {
            "fields": fields,
            "head": head,
            "hint": hint,
            "scope": scope,
            "arrival": (str(number), came.head_sha, came.not_after) if came else None,
            "sweep": sweep,
            "protects": protects,
            "said": _dump((protects, said)) if protects else "",
            "queued": _result("queued"),
            "duplicate": _result("duplicate"),
            "otherwise": _result(otherwise),
        }
        keys = [DIRTY, MARK, DELIVERIES, HEADS, WORKING, POOLS, HEARD, COUNTERS, ARRIVALS + repo, SWEPT, LATER]
        keys += [protection.DIRTY, protection.SAID]
        args = [MARKS, now, msgspec.json.encode(told), delivery, now + _DELIVERY_SECONDS, _dump(came)]
        answer = self._deliver(keys=keys, args=args)
        if answer is None:
            return None
        return Delivered(answer[0], tuple(Branch.parse(name) for name in _texts(answer[1])))

    def is_missed(self, delivery: str) -> bool:
        """Whether a delivery neither came in the last days nor was asked for again."""
        return all(self._redis.zscore(key, delivery) is None for key in (DELIVERIES, ASKED))

    def note_asked(self, delivery: str, now: float) -> None:
        """Remember that GitHub was asked to send a delivery again."""
        self._redis.zremrangebyscore(ASKED, "-inf", now)
        self._redis.zadd(ASKED, {delivery: now + _DELIVERY_SECONDS})

    def asked_until(self) -> float:
        """The time until which everything that failed was asked for again; 0.0 where nothing ever was."""
        return float(self._redis.get(ASKED_UNTIL) or 0.0)

    def set_asked_until(self, at: float) -> None:
        """Remember until when everything that failed was asked for again."""
        self._redis.set(ASKED_UNTIL, at)

    def overdue(self, now: float, patience: float) -> list[Branch]:
        """Branches marked for longer than `patience` seconds, after marking again those whose lease has run out, and
        those that were put off until now.

        Each is named once per `patience`: their marks are made young again.
        """
        return [
            Branch.parse(name)
            for name in _texts(self._overdue(keys=[DIRTY, WORKING, LATER, SURE], args=[now, now - patience, MARKS]))
        ]

    def claim(self, branch: Branch, now: float) -> Lease | None:
        """Take a marked or abandoned branch; None when there is nothing to do or somebody is at it."""
        lease = Lease(branch, secrets.token_hex(8))
        args = [str(branch), now, now + LEASE_SECONDS, lease.token]
        return lease if self._claim(keys=[DIRTY, WORKING, TOKENS], args=args) else None

    def extend(self, lease: Lease, now: float) -> None:
        """Hold on to a branch for another full lease. Raises LeaseLost."""
        args = [str(lease.branch), lease.token, now + LEASE_SECONDS]
        if not self._extend(keys=[WORKING, TOKENS], args=args):
            raise LeaseLost(str(lease.branch))

    def release(self, lease: Lease) -> None:
        """Give a branch back; a lease that was lost already is no error."""
        self._release(keys=[WORKING, TOKENS], args=[str(lease.branch), lease.token])

    def is_idle(self) -> bool:
        """Whether no branch is marked or put off, and none is being worked on."""
        return not any(self._redis.zcard(key) for key in (DIRTY, LATER, WORKING))

    def is_dirty(self, branch: Branch) -> bool:
        """Whether a branch was marked again."""
        return self._redis.zscore(DIRTY, str(branch)) is not None

    # pools

    def new_id(self) -> str:
        """A name for a decision: names sort in the order they were given, and no two are equal even if Redis lost its
        data between.
        """
        return f"{self._redis.incr(DECISIONS):010d}-{secrets.token_hex(4)}"

    def save_pool(self, lease: Lease, saved: SavedPool) -> None:
        """Replace what was decided about a branch; one without pull requests is forgotten. Raises LeaseLost."""
        branch = str(lease.branch)
        commands = [["HDEL", POOLS, branch], ["HDEL", JUDGED, branch], ["HDEL", AGAIN, branch]]
        if saved.pool.standings or saved.pool.unread or saved.error:
            judged = Judged(saved.config, bool(saved.pool.members or saved.runs or saved.error))
            commands = [["HSET", POOLS, branch, _dump(saved)], ["HSET", JUDGED, branch, _dump(judged)]]
        self._commit(lease, [*commands, ["INCR", VERSION]])

    def pool(self, branch: Branch) -> SavedPool | None:
        """The newest saved pool of a branch."""
        return _load(self._redis.hget(POOLS, str(branch)), SavedPool)

    def pools(self) -> Iterator[SavedPool]:
        """Every saved pool, sorted by branch. Which there are is read at once, each of them when its turn comes: few
        are held at any time, and one that is forgotten meanwhile is left out.
        """
        return self._pools([str(branch) for branch in self.branches()])

    def _pools(self, names: Sequence[str]) -> Iterator[SavedPool]:
        for start in range(0, len(names), _POOLS_AT_ONCE):
            for raw in self._redis.hmget(POOLS, names[start : start + _POOLS_AT_ONCE]):
                if (saved := _load(raw, SavedPool)) is not None:
                    yield saved

    def branches(self) -> list[Branch]:
        """Every branch that has a saved pool."""
        return sorted(Branch.parse(name) for name in _texts(self._redis.hkeys(POOLS)))

    def judged(self) -> dict[Branch, Judged]:
        """What there is to know of every saved pool without reading it."""
        found = self._redis.hgetall(JUDGED).items()
        return {Branch.parse(name.decode()): msgspec.json.decode(raw, type=Judged) for name, raw in found}

    def branch_of(self, full_repo: str, number: int) -> Branch | None:
        """The base branch on which a pull request was last seen."""
        found = self.last_seen(full_repo, number)
        return found[0] if found else None

    def last_seen(self, full_repo: str, number: int) -> tuple[Branch, str] | None:
        """The base branch and the head with which a pull request was last seen."""
        name, _, head_sha = (_text(self._redis.hget(PULLS, f"{full_repo}#{number}")) or "").partition(" ")
        return (Branch.parse(name), head_sha) if name else None

    def known_pulls(self) -> Iterator[tuple[str, PullRequest | None]]:
        """Every pull request that is known, by its name, as it was last read; None where that is unreadable."""
        for branch in self.known_branches():
            for number, raw in self._redis.hgetall(READ + str(branch)).items():
                yield f"{branch.full_repo}#{int(number)}", _load(raw[18:] or None, PullRequest)

    def known_branches(self) -> list[Branch]:
        """Every branch on which a pull request is known, judged already or not."""
        return sorted({Branch.parse(name.partition(" ")[0]) for name in _texts(self._redis.hvals(PULLS))})

    # what was read of GitHub

    def keep(self, read: Iterable[Reading], states: Iterable[BranchFacts], at: float) -> list[Branch]:
        """Remember what was read by calls that began at `at`; what is known by a later one stays. Returns the branches
        about which something may be new.
        """
        when = f"{at:017.6f}"
        pulls = [
            (
                one.full_repo,
                str(one.number),
                str(one.branch or ""),
                one.head_sha,
                when,
                _dump(one.pull) if one.pull else "",
                _dump(one.row) if one.row else "",
            )
            for one in read
        ]
        tips = [(str(state.branch), when, _dump(state)) for state in states]
        args = [msgspec.json.encode(pulls), msgspec.json.encode(tips)]
        touched = self._kept(keys=[PULLS, HEADS, READ, ROWS, STATES, WRITTEN], args=args)
        return [Branch.parse(name) for name in dict.fromkeys(_texts(touched))]

    def facts(self, branch: Branch) -> BranchFacts | None:
        """A branch as it was last read, part by part; None when its own state never was."""
        state = self.state(branch)
        if state is None:
            return None
        read = {int(number): raw[18:] for number, raw in self._redis.hgetall(READ + str(branch)).items()}
        pulls = (_load(raw or None, PullRequest) for _, raw in sorted(read.items()))
        rows, written = self.rows_of(branch.full_repo, list(read)), self.written(branch)
        found = tuple(
            _as_seen_last(pull, rows.get(pull.number), written.get(pull.number)) for pull in pulls if pull is not None
        )
        unread = sorted(set(read) - {pull.number for pull in found})
        needs = any((app or "").startswith("App ") for _, app in state.protection.required)
        return replace(
            state,
            pulls=found,
            unread=(*state.unread, *(f"#{number}" for number in unread)),
            protection=state.protection.naming(self.apps()) if needs else state.protection,
        )

    def state(self, branch: Branch) -> BranchFacts | None:
        """The own state of a branch as it was last read, without its pull requests."""
        raw = self._redis.hget(STATES, str(branch))
        return _load(raw[18:], BranchFacts) if raw else None

    def forget_states(self, scope: str, but: Collection[Branch]) -> None:
        """Forget the own states of all branches of ``ORG`` or ``ORG/REPO`` but of these, and of those with a pool."""
        known = (Branch.parse(name) for name in _texts(self._redis.hkeys(STATES)))
        kept = {*but, *self.branches()}
        if idle := [str(one) for one in known if scope in {one.org, one.full_repo} and one not in kept]:
            self._redis.hdel(STATES, *idle)

    def rows(self, owner: str) -> dict[str, Row]:
        """The rows of all pull requests of an owner as they were last read, by ``ORG/REPO#N``."""
        found = ((name.decode(), _load(raw, Row)) for name, raw in self._redis.hgetall(ROWS + owner).items())
        return {name: row for name, row in found if row is not None}

    def keep_rows(self, rows: Iterable[Row]) -> None:
        """Remember rows that show nothing new but GitHub's opinion on merging: of what was read, that alone changes."""
        for row in rows:
            self._redis.hset(ROWS + row.org, str(row), _dump(row))

    def rows_of(self, full_repo: str, numbers: Sequence[int]) -> dict[int, Row]:
        """The rows of some pull requests as they were last read, by number."""
        if not numbers:
            return {}
        raw = self._redis.hmget(ROWS + full_repo.partition("/")[0], [f"{full_repo}#{number}" for number in numbers])
        found = ((number, _load(one, Row)) for number, one in zip(numbers, raw, strict=True))
        return {number: row for number, row in found if row is not None}

    def numbers(self, branch: Branch) -> list[int]:
        """The pull requests that are known on a branch."""
        return sorted(int(number) for number in self._redis.hkeys(READ + str(branch)))

    def written(self, branch: Branch) -> dict[int, tuple[str, Context]]:
        """The statuses of ours that were last written to pull requests of a branch: number to head SHA and context."""
        found = self._redis.hgetall(WRITTEN + str(branch))
        return {int(number): msgspec.json.decode(raw, type=tuple[str, Context]) for number, raw in found.items()}

    def note_written(self, pull: PullRequest, context: Context, before: str | None) -> None:
        """Remember a status that was written in place of one in the state `before`, or of none: readings from before do
        not show it, and a row that does is nothing new.
        """
        self._redis.hset(WRITTEN + str(pull.branch), str(pull.number), _dump((pull.head_sha, context)))
        row = self.rows_of(f"{pull.org}/{pull.repo}", [pull.number]).get(pull.number)
        if row is not None and row.head_sha == pull.head_sha:
            self.keep_rows([row.with_status(before, context.result.value)])

    def apps(self) -> dict[int, str]:
        """The slugs of Apps, by their numbers."""
        return {int(number): slug.decode() for number, slug in self._redis.hgetall(APPS).items()}

    def learn_apps(self, slugs: Mapping[int, str]) -> None:
        """Remember the slugs of Apps."""
        if slugs:
            self._redis.hset(APPS, mapping={str(number): slug for number, slug in slugs.items()})

    def set_unread(self, scope: str, marks: Sequence[Mark]) -> None:
        """Replace what of ``ORG`` or ``ORG/REPO`` is still to be read, the most urgent first."""
        write = self._redis.pipeline()
        write.delete(UNREAD + scope)
        if marks:
            write.rpush(UNREAD + scope, *map(_dump, marks))
        write.execute()

    def take_unread(self, scope: str, count: int) -> list[Mark]:
        """Take what is to be read next. What is then not read after all will be found by the next sweep."""
        return [msgspec.json.decode(raw, type=Mark) for raw in self._redis.lpop(UNREAD + scope, count) or ()]

    def all_marked(self) -> set[Branch]:
        """The branches that are marked, put off, or being worked on."""
        return {
            Branch.parse(name) for key in (DIRTY, LATER, WORKING) for name in _texts(self._redis.zrange(key, 0, -1))
        }

    def heard(self) -> dict[str, float]:
        """When the last genuine webhook came, by ``ORG`` or ``ORG/REPO``."""
        return {scope.decode(): float(at) for scope, at in self._redis.hgetall(HEARD).items()}

    # refusals, intents, history

    def refusals(self, branch: Branch) -> dict[int, Refusal]:
        """What GitHub refused on this branch, by pull request number."""
        raw = self._redis.hgetall(REFUSALS + str(branch))
        return {int(number): msgspec.json.decode(text, type=Refusal) for number, text in raw.items()}

    def refuse(self, lease: Lease, number: int, refusal: Refusal) -> None:
        """Remember a refusal. Raises LeaseLost."""
        self._commit(lease, [["HSET", REFUSALS + str(lease.branch), str(number), _dump(refusal)]])

    def runs(self, branch: Branch) -> list[Run]:
        """The staged runs of a branch that are under way or still evidence, oldest first."""
        found = (_load(raw, Run) for raw in self._redis.hvals(STAGED + str(branch)))
        return sorted((run for run in found if run), key=lambda run: (run.started_at, run.id))

    def save_run(self, lease: Lease, run: Run) -> None:
        """Add or replace a run. Raises LeaseLost."""
        self._commit(lease, _keeping(lease, run))

    def forget_run(self, lease: Lease, run: Run) -> None:
        """Drop a run that is no evidence any more. Raises LeaseLost."""
        self._commit(lease, _dropping(lease, run))

    def conflicts(self, branch: Branch) -> list[Conflict]:
        """The conflicts found on a branch."""
        found = (_load(raw, Conflict) for raw in self._redis.smembers(CONFLICTS + str(branch)))
        return sorted((fact for fact in found if fact), key=lambda fact: (fact.base_sha, fact.prefix, fact.head_sha))

    def add_conflicts(self, lease: Lease, facts: Iterable[Conflict]) -> None:
        """Remember conflicts. Raises LeaseLost."""
        self._commit(lease, [["SADD", CONFLICTS + str(lease.branch), _dump(fact)] for fact in facts])

    def forget_conflicts(self, lease: Lease) -> None:
        """Forget the conflicts of a branch, whose base has moved. Raises LeaseLost."""
        self._commit(lease, [["DEL", CONFLICTS + str(lease.branch)]])

    def convictions(self, branch: Branch) -> dict[str, Conviction]:
        """What is held against heads of a branch beyond the runs that say so, by head."""
        found = self._redis.hgetall(CONVICTIONS + str(branch)).items()
        known = ((head.decode(), _load(raw, Conviction)) for head, raw in found)
        return {head: one for head, one in known if one is not None}

    def keep_convictions(self, lease: Lease, convictions: Mapping[str, Conviction] | None) -> None:
        """Replace what is held against heads; None leaves it. Raises LeaseLost."""
        if convictions is not None:
            key = CONVICTIONS + str(lease.branch)
            kept = [["HSET", key, head, _dump(one)] for head, one in convictions.items()]
            self._commit(lease, [["DEL", key], *kept])

    def doubt(self, lease: Lease, base_sha: str, why: str) -> None:
        """Note that the tip of a base was never tested: it is to be tested alone (D22). Raises LeaseLost."""
        self._commit(lease, [["HSET", DOUBTS, str(lease.branch), _dump(Doubt(base_sha, why))]])

    def doubted(self, branch: Branch) -> Doubt | None:
        """The newest doubt about the tip of a base, which may have moved on since."""
        return _load(self._redis.hget(DOUBTS, str(branch)), Doubt)

    def clear_doubt(self, lease: Lease) -> None:
        """Forget the doubt about a base. Raises LeaseLost."""
        self._commit(lease, [["HDEL", DOUBTS, str(lease.branch)]])

    def decline(self, lease: Lease, declined: Declined) -> None:
        """Remember that GitHub would not let us move a base. Raises LeaseLost."""
        self._commit(lease, [["HSET", DECLINED, str(lease.branch), _dump(declined)]])

    def declined(self, branch: Branch) -> Declined | None:
        """What GitHub said when it last did not let us move a base."""
        return _load(self._redis.hget(DECLINED, str(branch)), Declined)

    def unnoticed(self, branch: Branch) -> dict[int, Landed]:
        """The pull requests that have landed without GitHub's having been seen to know, by number."""
        raw = self._redis.hgetall(UNNOTICED + str(branch))
        return {int(number): msgspec.json.decode(text, type=Landed) for number, text in raw.items()}

    def note_unnoticed(self, lease: Lease, landed: Mapping[int, Landed]) -> None:
        """Remember such pull requests, or look at them again later than was said. Raises LeaseLost."""
        self._commit(lease, _unnoticed(lease, landed))

    def forget_unnoticed(self, lease: Lease, number: int) -> None:
        """GitHub knows now, or nobody minds any more. Raises LeaseLost."""
        self._commit(lease, [["HDEL", UNNOTICED + str(lease.branch), str(number)]])

    def arrivals(self, full_repo: str) -> dict[int, Arrival]:
        """When the present heads of a repository's pull requests arrived, by number."""
        raw = self._redis.hgetall(ARRIVALS + full_repo)
        return {int(number): msgspec.json.decode(text, type=Arrival) for number, text in raw.items()}

    def note_arrivals(self, full_repo: str, arrivals: Mapping[int, Arrival]) -> None:
        """Remember arrivals; an older head of the same pull request is forgotten."""
        if arrivals:
            known = {str(number): _dump(arrival) for number, arrival in arrivals.items()}
            self._redis.hset(ARRIVALS + full_repo, mapping=known)

    def unproved(self, full_repo: str) -> dict[int, Unproved]:
        """What was not green on the heads of a repository's pull requests when last seen, by number."""
        raw = self._redis.hgetall(UNPROVED + full_repo)
        return {int(number): msgspec.json.decode(text, type=Unproved) for number, text in raw.items()}

    def reported(self, branch: Branch) -> frozenset[str] | None:
        """The contexts, in lower case, that have been reported on what is open on a branch; None where none was."""
        pulls = (_load(raw[18:] or None, PullRequest) for raw in self._redis.hvals(READ + str(branch)))
        return frozenset(one.name.lower() for pull in pulls if pull for one in pull.contexts or ()) or None

    def note_unproved(self, full_repo: str, unproved: Mapping[int, Unproved]) -> None:
        """Remember what is not green; an older head of the same pull request is forgotten."""
        if unproved:
            self._redis.hset(UNPROVED + full_repo, mapping={str(n): _dump(one) for n, one in unproved.items()})

    def intend(self, lease: Lease, intent: Intent) -> None:
        """Write down a landing before it is asked for. Raises LeaseLost."""
        self._commit(lease, [["HSET", INTENTS, str(lease.branch), _dump(intent)]])

    def withdraw(self, lease: Lease) -> None:
        """Forget a landing that is certain not to have happened. Raises LeaseLost."""
        self._commit(lease, [["HDEL", INTENTS, str(lease.branch)]])

    def intent(self, branch: Branch) -> Intent | None:
        """The landing that was asked for and whose outcome nobody recorded."""
        return _load(self._redis.hget(INTENTS, str(branch)), Intent)

    def record(
        self,
        lease: Lease,
        record: HistoryRecord,
        *also: HistoryRecord,
        keep: Run | None = None,
        drop: Run | None = None,
        unnoticed: Mapping[int, Landed] | None = None,
    ) -> None:
        """Append to the history, close the branch's intent, replace or drop a run, and remember what landed unnoticed,
        in one step. Raises LeaseLost. A second call with one id adds nothing to the history.
        """
        self._commit(
            lease,
            [
                *(command for one in (record, *also) for command in _appending(one)),
                ["HDEL", INTENTS, record.branch],
                *([["HSET", VERDICTS, record.branch, repr(record.time)]] if _is_verdict(record, keep) else []),
                *(_keeping(lease, keep) if keep else []),
                *(_dropping(lease, drop) if drop else []),
                *_unnoticed(lease, unnoticed or {}),
            ],
        )
        self._forget_old_records()

    def _forget_old_records(self) -> None:
        if (surplus := self._redis.zcard(HISTORY) - _HISTORY_LIMIT) > 0:
            old = [name for name, _ in self._redis.zpopmin(HISTORY, surplus)]
            self._redis.hdel(RECORDS, *old)

    # what operators say, and whether this store has lost it

    def halt(self, lease: Lease, why: str, now: float) -> None:
        """Stop everything on a branch until `resume`. Raises LeaseLost."""
        self._commit(lease, [["HSET", HALTS, str(lease.branch), _dump(Halt(why, at=now))]])

    def halted(self, branch: Branch) -> str:
        """Why nothing may be done to a branch; empty when something may. In a store that may have lost a halt nothing
        may be done to any (D14).
        """
        halt, is_founded = self._halt_of(branch)
        return halt.said if halt else "" if is_founded else _UNFOUNDED

    def halt_of(self, branch: Branch) -> Halt | None:
        """What halts a branch, for itself or with everything; None when nothing does."""
        return self._halt_of(branch)[0]

    def _halt_of(self, branch: Branch) -> tuple[Halt | None, bool]:
        read = self._redis.pipeline(transaction=False)
        read.hmget(HALTS, [str(branch), str(EVERYTHING)])
        read.exists(EPOCH)
        found, is_founded = read.execute()
        return next((_halt(raw) for raw in found if raw is not None), None), bool(is_founded)

    def halts(self) -> dict[Branch, Halt]:
        """Everything that is halted."""
        found = self._redis.hgetall(HALTS).items()
        return {Branch.parse(name.decode()): _halt(raw) for name, raw in found}

    def pause(self, branch: Branch, halt: Halt, record: HistoryRecord) -> bool:
        """Stop everything on a branch, or on all as EVERYTHING, until `resume`, and record it; False where that itself
        is halted already, and then nothing is done.
        """
        return self._acted(HALTS, str(branch), "", [["HSET", HALTS, str(branch), _dump(halt)]], record)

    def resume(self, branch: Branch, halt: Halt, record: HistoryRecord) -> bool:
        """Lift exactly this halt and record it; False when it is not in force any more."""
        raw = self._redis.hget(HALTS, str(branch))
        if raw is None or _halt(raw) != halt:
            return False
        return self._acted(HALTS, str(branch), raw, [["HDEL", HALTS, str(branch)]], record)

    def evictions(self, full_repo: str) -> dict[int, Eviction]:
        """The heads of a repository that operators took out of their pools, by pull request number."""
        raw = self._redis.hgetall(EVICTIONS + full_repo)
        return {int(number): msgspec.json.decode(text, type=Eviction) for number, text in raw.items()}

    def evict(self, branch: Branch, number: int, eviction: Eviction, record: HistoryRecord) -> bool:
        """Take a head out of its pool and record it; False when the pull request was seen with another meanwhile."""
        key, head_sha = EVICTIONS + branch.full_repo, eviction.head_sha
        commands = [["HSET", key, str(number), _dump(eviction)]]
        return self._acted(PULLS, f"{branch.full_repo}#{number}", f"{branch} {head_sha}", commands, record)

    def move_eviction(self, full_repo: str, number: int, before: str, head_sha: str) -> None:
        """Have an eviction of the head `before` hold for the one that mergeq itself had made of it."""
        if (one := self.evictions(full_repo).get(number)) is not None and one.head_sha == before:
            self._redis.hset(EVICTIONS + full_repo, str(number), _dump(replace(one, head_sha=head_sha)))

    def retry(self, branch: Branch, number: int, head_sha: str, record: HistoryRecord) -> bool:
        """Lift an eviction, and have the branch's next turn forget what else is held against this head; recorded. False
        when the pull request was seen with another head meanwhile.
        """
        repo, field = branch.full_repo, str(number)
        commands = [["HDEL", EVICTIONS + repo, field], ["HSET", RETRIES + str(branch), field, head_sha]]
        return self._acted(PULLS, f"{repo}#{number}", f"{branch} {head_sha}", commands, record)

    def retries(self, branch: Branch) -> dict[int, str]:
        """The heads that are to be tried as if nothing was known of them, by pull request number."""
        return {int(number): head.decode() for number, head in self._redis.hgetall(RETRIES + str(branch)).items()}

    def forget_held(self, lease: Lease, retries: Mapping[int, str], runs: Iterable[Run]) -> None:
        """Forget what is held against heads: refusals, convictions, and the runs that say so. Raises LeaseLost."""
        branch, refusals = str(lease.branch), self.refusals(lease.branch)
        commands = [command for run in runs for command in _dropping(lease, run)]
        for number, head in retries.items():
            commands += [["HDEL", CONVICTIONS + branch, head], ["HDEL", RETRIES + branch, str(number)]]
            if number in refusals and refusals[number].head_sha == head:
                commands.append(["HDEL", REFUSALS + branch, str(number)])
        self._commit(lease, commands)

    def _acted(
        self, key: str, field: str, known: str | bytes, commands: list[list[str]], record: HistoryRecord
    ) -> bool:
        """Run commands and append a record in one step, if a field of a hash is still `known`, empty for absent."""
        args = [field, known, msgspec.json.encode([*commands, *_appending(record)])]
        done = bool(self._act(keys=[key], args=args))
        self._forget_old_records()
        return done

    def is_founded(self) -> bool:
        """Whether this store is known to have lost nothing of an earlier one, or a person took that on (D14)."""
        return bool(self._redis.exists(EPOCH))

    def found(self, now: float, record: HistoryRecord | None = None, halt: Halt | None = None) -> bool:
        """Take this store for one that lost nothing, or with a `halt` for one that did: then everything is paused until
        a person resumes it. Recorded if it is to be; False, and nothing is done, when it was founded before.
        """
        paused = [["HSETNX", HALTS, str(EVERYTHING), _dump(halt)]] if halt else []
        commands = [*paused, ["DEL", READ_THROUGH], *(_appending(record) if record else [])]
        return bool(self._found(keys=[EPOCH], args=[repr(now), msgspec.json.encode(commands)]))

    def note_read_through(self, scope: str) -> None:
        """Remember that all that is open in ``ORG`` or ``ORG/REPO`` was read since this store is new."""
        self._redis.sadd(READ_THROUGH, scope)

    def read_through(self) -> set[str]:
        """Of what all was read since this store is new."""
        return set(_texts(self._redis.smembers(READ_THROUGH)))

    # whether pools go on

    def pulse(self, branch: Branch) -> tuple[Pulse, float]:
        """How the pool of a branch went on when it was last looked at, and when its last verdict came."""
        read = self._redis.pipeline(transaction=False)
        read.hget(PULSES, str(branch))
        read.hget(VERDICTS, str(branch))
        pulse, verdict = read.execute()
        return _load(pulse, Pulse) or Pulse(), float(verdict or 0.0)

    def keep_pulse(self, lease: Lease, pulse: Pulse) -> None:
        """Remember how the pool of a branch goes on. Raises LeaseLost."""
        self._commit(lease, [["HSET", PULSES, str(lease.branch), _dump(pulse)]])

    def pulses(self) -> dict[Branch, Pulse]:
        """How the pools of all branches went on when they were last looked at."""
        found = ((name.decode(), _load(raw, Pulse)) for name, raw in self._redis.hgetall(PULSES).items())
        return {Branch.parse(name): pulse for name, pulse in found if pulse is not None}

    def raise_alarm(self, branch: Branch, since: float) -> bool:
        """Note that a pool stands still; whether that is news."""
        return bool(self._redis.hsetnx(STALLED, str(branch), repr(since)))

    def end_alarms(self, but: Collection[Branch]) -> list[Branch]:
        """Note that all other pools go on; returns those of which that is news."""
        over = [branch for branch in map(Branch.parse, _texts(self._redis.hkeys(STALLED))) if branch not in but]
        return [branch for branch in over if self._redis.hdel(STALLED, str(branch))]

    # pages

    def renew_pages(self) -> None:
        """Have pages that are open be read again, for a change that is not in the store."""
        self._redis.incr(VERSION)

    def version(self) -> int:
        """A number that grows with every saved pool and every record: what a page shows is as new as this says."""
        return int(self._redis.get(VERSION) or 0)

    def history(
        self,
        *,
        branch: Branch | None = None,
        pull: tuple[str, int] | None = None,
        limit: int = 500,
        wanted: Wanted | None = None,
        cursor: str = "",
    ) -> list[HistoryRecord]:
        """The newest records, newest first; of one branch, of one pull request given as (``ORG/REPO``, number), or
        those `wanted`. `cursor` goes on after the record it was made of. Raises ValueError for a cursor that is none.
        """
        wanted, records = wanted or Wanted(), list[HistoryRecord]()
        for ids in newest_first(self._redis, HISTORY, wanted.since, wanted.until, cursor):
            for record in (_load(raw, HistoryRecord) for raw in self._redis.hmget(RECORDS, ids)):
                if (
                    record
                    and (branch is None or record.branch == str(branch))
                    and (pull is None or _is_about(record, *pull))
                    and wanted.admits(record)
                ):
                    records.append(record)
                    if len(records) == limit:
                        return records
        return records

    # what GitHub allows (D12)

    def spend(
        self,
        account: str,
        resource: str,
        purpose: str,
        kind: str,
        points: float,
        now: float,
        told: tuple[float, float, float] | None,
    ) -> None:
        """Account for one call, and count it; `told` is GitHub's last word: limit, remaining, and when the hour ends.
        Of what several processes heard of one hour the least that remains counts.
        """
        name = msgspec.json.encode((account, resource))
        word = dict(zip(("limit", "remaining", "ends_at"), told, strict=True)) if told else {}
        labels = {"owner": account, "resource": resource, "purpose": purpose}
        series = [_series("mergeq_github_points_total", labels)]
        series += [_series("mergeq_github_calls_total", labels | {"kind": kind})]
        args = [now, purpose, points, name, msgspec.json.encode(word), *series]
        self._spend(keys=[SPENT + name.decode(), ACCOUNTS, COUNTERS], args=args)

    def allowance(self, account: str, resource: str) -> tuple[Hold | None, Spent | None]:
        """What holds an account back, if anything does, and what was used of the hour that ran last."""
        read = self._redis.pipeline(transaction=False)
        read.hget(HOLDS, account)
        read.hgetall(SPENT + msgspec.json.encode((account, resource)).decode())
        hold, spent = read.execute()
        return _load(hold, Hold), _spent(account, resource, spent)

    def all_spent(self) -> list[Spent]:
        """What was used of every account and resource."""
        names = (msgspec.json.decode(raw, type=tuple[str, str]) for raw in self._redis.smembers(ACCOUNTS))
        return list(self._all_spent(sorted(names)))

    def _all_spent(self, names: Sequence[tuple[str, str]]) -> Iterator[Spent]:
        read = self._redis.pipeline(transaction=False)
        for name in names:
            read.hgetall(SPENT + msgspec.json.encode(name).decode())
        for (account, resource), raw in zip(names, read.execute(), strict=True):
            if (one := _spent(account, resource, raw)) is not None:
                yield one

    def hold_off(self, account: str, hold: Hold) -> None:
        """Have every process leave an account alone, for longer than it was before or not at all."""
        self._hold(keys=[HOLDS], args=[account, hold.until, _dump(hold)])
        self.renew_pages()

    def hold(self, account: str) -> Hold | None:
        """The last hold on an account, which may be over."""
        return _load(self._redis.hget(HOLDS, account), Hold)

    def holds(self, now: float) -> dict[str, Hold]:
        """The holds that are in force, by account."""
        found = {name.decode(): _load(raw, Hold) for name, raw in sorted(self._redis.hgetall(HOLDS).items())}
        return {account: hold for account, hold in found.items() if hold is not None and hold.until > now}

    def remember(self, what: str, answer: str, until: float) -> None:
        """Believe something of GitHub until then, in epoch seconds."""
        self._redis.hset(KNOWN, what, _dump((answer, until)))

    def recall(self, what: Sequence[str], now: float) -> list[str | None]:
        """What is believed of each of these; None where nothing is, or not any more."""
        told = self._redis.hmget(KNOWN, list(what)) if what else []
        known = (_load(one, tuple[str, float]) or (None, 0.0) for one in told)
        return [answer if until > now else None for answer, until in known]

    def is_news(self, what: str) -> bool:
        """Whether this is said for the first time."""
        return bool(self._redis.sadd(TOLD, what))

    # sweeps and counters

    def begin_sweep(self, search: str, now: float, period: float) -> bool:
        """Whether a sweep by this search is due: its last one began `period` seconds ago or before. Then it begins."""
        return bool(self._sweep(keys=[SWEPT], args=[search, now, period]))

    def begin_ref_sweep(self, branch: Branch, now: float, period: float) -> bool:
        """The same for a look for leftover refs of a branch."""
        return bool(self._sweep(keys=[REFS_SWEPT], args=[str(branch), now, period]))

    def set_swept(self, search: str, at: float) -> None:
        """Have the last sweep by this search be one that began at `at`."""
        self._redis.hset(SWEPT, search, repr(at))

    def swept(self) -> dict[str, float]:
        """When the last sweep by each search began."""
        return {search.decode(): float(at) for search, at in self._redis.hgetall(SWEPT).items()}

    def sweep_afresh(self) -> None:
        """Have all sweeps be due at once."""
        self._redis.delete(SWEPT)

    def missed(self) -> dict[str, float]:
        """When a sweep last found what no webhook had told, by ``ORG`` or ``ORG/REPO``."""
        return {scope.decode(): float(at) for scope, at in self._redis.hgetall(MISSED).items()}

    def note_missed(self, scope: str, now: float) -> None:
        """A sweep found what no webhook had told."""
        self._redis.hset(MISSED, scope, repr(now))

    def pace(
        self, account: str, branch: Branch, now: float, interval: float, burst: int, count: int, *, urgent: bool
    ) -> float:
        """Seconds until `count` statuses of a branch may be written, 0.0 for now: one each `interval`, `burst` of them
        at once. Who has to wait has a turn that is kept for it. Those that are `urgent` are never kept waiting, others
        wait for them.
        """
        args = [account, now, interval, burst, count, str(branch), int(urgent)]
        return float(self._pace(keys=[STATUSES, TURNS], args=args))

    def count(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        """Add to a counter. Counters live here because a job's process ends with the job."""
        self._redis.hincrbyfloat(COUNTERS, _series(name, labels), amount)

    def set_gauge(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        self._redis.hset(COUNTERS, _series(name, labels), repr(value))

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Every counter and gauge: name, labels, value."""
        found = []
        for key, value in self._redis.hgetall(COUNTERS).items():
            name, labels = msgspec.json.decode(key, type=tuple[str, dict[str, str]])
            found.append((name, labels, float(value)))
        return sorted(found, key=lambda series: (series[0], sorted(series[1].items())))

    def _commit(self, lease: Lease, commands: list[list[str]]) -> None:
        """Run commands in one step, if the lease is still in force."""
        args = [str(lease.branch), lease.token, msgspec.json.encode(commands)]
        if not self._write(keys=[TOKENS], args=args):
            raise LeaseLost(str(lease.branch))


@contextmanager
def reaching() -> Iterator[None]:
    """A block of work in which whatever Redis does not answer raises Away."""
    try:
        yield
    except redis.RedisError as error:
        raise Away(type(error).__name__) from None


@contextmanager
def held(store: Store, branch: Branch, now: float) -> Iterator[Lease | None]:
    """The lease of a branch for a block of work, given back at its end; None when there is nothing to do."""
    lease = store.claim(branch, now)
    try:
        yield lease
    finally:
        if lease is not None:
            store.release(lease)


def _dump(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _load(raw: bytes | None, kind: type[T]) -> T | None:
    """A saved value; None when there is none, or when an older version wrote it in another shape: it will be written
    again.
    """
    try:
        return msgspec.json.decode(raw, type=kind) if raw is not None else None
    except msgspec.ValidationError:
        return None


def _as_seen_last(pull: PullRequest, row: Row | None, written: tuple[str, Context] | None) -> PullRequest:
    """A pull request with GitHub's last opinion on merging exactly its head, and with the status of ours that was
    written there since it was read.
    """
    if written is not None and written[0] == pull.head_sha and pull.contexts is not None:
        mine = [one for one in pull.contexts if one.app is None and one.name.lower() == written[1].name.lower()]
        if all(one.at <= written[1].at for one in mine):
            pull = replace(pull, contexts=(*(one for one in pull.contexts if one not in mine), written[1]))
    if row is None or row.head_sha != pull.head_sha or row.mergeable is Mergeable.UNKNOWN:
        return pull
    return replace(pull, mergeable=row.mergeable, merge_state=row.merge_state, can_be_rebased=row.can_be_rebased)


def _spent(account: str, resource: str, raw: Mapping[bytes, bytes]) -> Spent | None:
    said = {name.decode(): float(value) for name, value in raw.items()}
    points = {name.removeprefix("points:"): value for name, value in said.items() if name.startswith("points:")}
    return Spent(account, resource, said["ends_at"], said.get("limit"), said.get("remaining"), points) if said else None


def _field(mark: Mark) -> _Field:
    return str(mark.branch), str(mark.number) if mark.number else TIP, mark.node, mark.hint


def _part(branch: Branch, part: str) -> _Field:
    return str(branch), part, "", None


def _keeping(lease: Lease, run: Run) -> list[list[str]]:
    head = f"{lease.branch.full_repo}@{run.staged_sha}"
    kept = [["HSET", STAGED + str(lease.branch), run.id, _dump(run)]]
    return [*kept, ["HSET", HEADS, head, f"{lease.branch} {RUNS}"]] if run.ref else kept


def _dropping(lease: Lease, run: Run) -> list[list[str]]:
    head = f"{lease.branch.full_repo}@{run.staged_sha}"
    dropped = [["HDEL", STAGED + str(lease.branch), run.id]]
    return [*dropped, ["HDEL", HEADS, head]] if run.ref else dropped


def _unnoticed(lease: Lease, landed: Mapping[int, Landed]) -> list[list[str]]:
    return [["HSET", UNNOTICED + str(lease.branch), str(number), _dump(one)] for number, one in landed.items()]


def _appending(record: HistoryRecord) -> list[list[str]]:
    return [
        ["HSETNX", RECORDS, record.id, _dump(record)],
        ["ZADD", HISTORY, "NX", repr(record.time), record.id],
        ["INCR", VERSION],
    ]


def _is_verdict(record: HistoryRecord, run: Run | None) -> bool:
    return record.landed_sha is not None or (run is not None and run.ended is not None)


def _halt(raw: bytes) -> Halt:
    """A halt; in whatever shape it was written, it halts."""
    try:
        return msgspec.json.decode(raw, type=Halt)
    except msgspec.DecodeError:
        return Halt(raw.decode())


def _is_about(record: HistoryRecord, full_repo: str, number: int) -> bool:
    return record.branch.startswith(f"{full_repo}:") and any(target.number == number for target in record.targets)


@cache
def _result(what: str) -> str:
    return _series("mergeq_webhooks_total", {"result": what}).decode()


def _series(name: str, labels: Mapping[str, str]) -> bytes:
    return msgspec.json.encode((name, dict(sorted(labels.items()))))


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode()


def _texts(raw: Iterable[bytes]) -> list[str]:
    return [item.decode() for item in raw]
