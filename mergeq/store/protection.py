"""What Redis keeps of protection: what is to be looked at, what was seen and who changed it, what is in force as it was
wished, who writes, what is held or left alone, and the audit. Losing it never writes anything.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mergeq.core.audit import Announced, AuditRecord, Held, InForce, Parked, Result, SeenRepo, merged, patched
from mergeq.core.protection import Item, Target, heard_item, heard_values, spoken_item, spoken_values
from mergeq.store import scripts
from mergeq.store.paging import newest_first
from mergeq.store.values import LeaseLost

_P = "mergeq:protection:"
DIRTY = _P + "dirty"  # sorted set: ``*``, ORG or ORG/REPO that is to be looked at -> since when
LATER = _P + "later"  # sorted set: the same -> when it is to be looked at
TAKEN = _P + "taken"  # sorted set: the same -> when it is to be looked at again, if whoever took it has died
LOOKS = _P + "looks"  # hash: the same -> token of the look that has it
SAID = _P + "said"  # list: scope and Announced, newest last
LIVE = _P + "live"  # hash: ORG/REPO -> when it was read, a blank, what protects it as `spoken_facts` gives it
SEEN = _P + "seen"  # hash: ORG/REPO -> SeenRepo
KINDS = _P + "kinds"  # hash: ORG/REPO -> how many of its targets are of each kind
BEGUN = _P + "begun"  # when a look at everything last became due
WHOLE = _P + "whole"  # when all was last looked at, a blank, by which configuration
APPLIED = _P + "applied:"  # hash per ORG/REPO: pattern -> InForce
KEPT = _P + "kept"  # set: ORG/REPO of which anything is in force as it was wished
PARKED = _P + "parked:"  # hash per ORG/REPO: pattern -> Parked
WRITERS = _P + "writers"  # sorted set: ORG/REPO -> when the lease of whoever writes there ends
TOKENS = _P + "tokens"  # hash: ORG/REPO -> fencing token of that lease
INTENTS = _P + "intents:"  # hash per ORG/REPO: pattern -> AuditRecord and Item of a write whose end is not on record
PACES = _P + "paces"  # hash: whose limits count -> when the next write may be sent
HELD = _P + "held"  # hash: what was looked at -> Held, its newest plan that waits for a person
ACKED = _P + "acked"  # sorted set: hash of an item that a person has let go -> until when
RUNS = _P + "runs"  # sorted set: run -> when it began to write
RUN = _P + "run:"  # list per run: each Item that it has applied, in their order
NAMES = _P + "names"  # counter of runs and rows
ROWS = _P + "rows"  # hash: id -> AuditRecord
AUDIT = _P + "audit"  # sorted set: id of an AuditRecord by its time
AUDIT_OF = _P + "audit:"  # the same per ORG/REPO in lower case

LOOK_SECONDS = 60.0  # whoever looks extends it meanwhile, so that only what has died or hangs is looked at again
WRITER_SECONDS = 60.0  # whoever writes extends it before each thing it does
_MEMORY_SECONDS = 120.0  # for how long it is remembered who an event was by: GitHub's API lags behind its events
_SAID = 10_000
_ACK_SECONDS = 86400.0
_RUNS = 1000
_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Look:
    """What is being looked at, by whoever took it with this `token`."""

    scope: str
    token: str


@dataclass(frozen=True, slots=True)
class Writer:
    """The expiring right to change the protection of one repository; the store knows the latest `token` alone."""

    repo: str
    token: str


@dataclass(frozen=True, slots=True)
class Sought:
    """Which rows of the audit are asked for; what is left at its default narrows nothing. `about` is ORG, ORG/REPO or
    ORG/REPO:PATTERN. `since` counts as in, `until` as out.
    """

    about: str = ""
    result: str = ""
    cause: str = ""
    effect: str = ""
    by: str = ""
    run: str = ""
    since: float | None = None
    until: float | None = None

    def admits(self, row: AuditRecord) -> bool:
        """Whether a row is wanted, its time apart."""
        org, repo = row.repo.partition("/")[0], row.repo
        return (
            self.about.lower() in {"", org.lower(), repo.lower(), row.target.lower()}
            and self.result in {"", row.result.value}
            and self.cause in {"", row.cause}
            and self.effect in {"", row.effect}
            and self.by.lower() in {"", row.by.lower()}
            and self.run in {"", row.run}
        )


class ProtectionStore:
    """The one reader and writer of these keys. `touch` has pages that are open be read again."""

    def __init__(self, connection: Any, touch: Sequence[str]) -> None:
        self._redis, self._touch = connection, list(touch)
        script = connection.register_script
        self._due = script(scripts.PROTECTION_DUE)
        self._taking = script(scripts.PROTECTION_TAKE)
        self._acquiring = script(scripts.ACQUIRE)
        self._extending = script(scripts.EXTEND)
        self._releasing = script(scripts.RELEASE)
        self._writing = script(scripts.WRITE)
        self._acting = script(scripts.ACT)
        self._pacing = script(scripts.TURN)

    # what is to be looked at

    def mark(self, scopes: Iterable[str], now: float) -> list[str]:
        """Note that ``*``, an ORG or an ORG/REPO is to be looked at; returns those that were not marked before."""
        return [scope for scope in scopes if self._redis.zadd(DIRTY, {scope: now}, nx=True)]

    def put_off(self, scope: str, at: float) -> None:
        """Have something looked at at `at`; the earliest counts."""
        self._redis.zadd(LATER, {scope: at}, lt=True)

    def begun(self) -> float:
        """When a look at everything last became due; 0.0 where it is at once."""
        return float(self._redis.get(BEGUN) or 0.0)

    def begin(self, now: float, last: float) -> bool:
        """Have a look at everything be due now; False where another has seen to that since `last`."""
        before = self._redis.set(BEGUN, repr(now), get=True)
        return float(before or 0.0) == last

    def begin_afresh(self) -> None:
        """Have a look at everything be due at once."""
        self._redis.delete(BEGUN)

    def overdue(self, now: float, patience: float) -> list[str]:
        """What has been marked for longer than `patience` seconds, with what was put off until now; each is named once
        per `patience`.
        """
        return _texts(self._due(keys=[DIRTY, LATER, TAKEN], args=[now, now - patience]))

    def take(self, scope: str, now: float) -> Look | None:
        """Take what is marked; None when it is not. Unless it is `done` or held on to, it is marked again soon."""
        look = Look(scope, secrets.token_hex(8))
        return look if self._taking(keys=[DIRTY, TAKEN, LOOKS], args=[scope, now + LOOK_SECONDS, look.token]) else None

    def hold_on(self, look: Look, now: float) -> None:
        """Look on for as long again. Raises LeaseLost."""
        if not self._extending(keys=[TAKEN, LOOKS], args=[look.scope, look.token, now + LOOK_SECONDS]):
            raise LeaseLost(look.scope)

    def done(self, look: Look) -> None:
        """Whoever took something has not died; another who took it since then may."""
        self._releasing(keys=[TAKEN, LOOKS], args=[look.scope, look.token])

    def is_idle(self) -> bool:
        """Whether nothing is to be looked at now."""
        return not self._redis.zcard(DIRTY)

    def announce(self, scope: str, said: Announced) -> None:
        """Remember what an event said; `Store.deliver` does the same in its one step."""
        self._redis.rpush(SAID, _dump((scope, said)))
        self._redis.ltrim(SAID, -_SAID, -1)

    def announced(self, repo: str, now: float) -> list[Announced]:
        """What events have said of a repository or all of its owner of late, newest first."""
        found = (msgspec.json.decode(raw, type=tuple[str, Announced]) for raw in self._redis.lrange(SAID, 0, -1))
        return [said for scope, said in found if is_within(repo, scope) and said.at > now - _MEMORY_SECONDS][::-1]

    # what was seen

    def live(self, repo: str) -> tuple[float, Mapping[str, Any]] | None:
        """What protected a repository when it was last read, as `spoken_facts` gave it, and when that was; None for one
        that was never read.
        """
        raw = self._redis.hget(LIVE, repo)
        return _live(raw) if raw else None

    def note_live(
        self,
        repo: str,
        at: float,
        told: Mapping[str, Any],
        rows: Callable[[Mapping[str, Any] | None], Sequence[AuditRecord]],
    ) -> tuple[AuditRecord, ...]:
        """Remember what a reading that began at `at` showed, together with the `rows` that say what has become of what
        was known; returns them. Whatever was about to be written there is over. Nothing where a later reading is known.

        A row of what was about to be written goes with its item, to be rolled back like any other.
        """
        while True:
            raw = self._redis.hget(LIVE, repo)
            known = _live(raw) if raw else None
            if known and known[0] > at:
                return ()
            news, pending = tuple(rows(known[1] if known else None)), self.intents(repo)
            shown = merged(known[1], told) if known else told
            commands = [["HSET", LIVE, repo, _alive(at, shown)], *_appending(news), ["DEL", INTENTS + repo]]
            done = {row.id for row in news if row.result is not Result.FAILED}
            commands += [command for row, item in pending if row.id in done for command in _ran(row, item)]
            if self._acting(keys=[LIVE], args=[repo, raw or "", _dump(commands)]):
                self._forget_old_rows()
                return news

    def note_seen(self, repos: Iterable[SeenRepo]) -> None:
        """Remember what a look found, for pages."""
        if seen := list(repos):
            kinds = {one.repo: msgspec.json.encode(Counter(item.kind.value for item in one.items)) for one in seen}
            self._redis.hset(SEEN, mapping={one.repo: msgspec.json.encode(_spoken_seen(one)) for one in seen})
            self._redis.hset(KINDS, mapping=kinds)
            self._redis.incr(*self._touch)

    def seen(self, scope: str = "*") -> Iterator[SeenRepo]:
        """What the last look at each repository found, sorted by name; `scope` is ``*``, an ORG or an ORG/REPO."""
        names = sorted(name for name in _texts(self._redis.hkeys(SEEN)) if is_within(name, scope))
        for start in range(0, len(names), 100):
            for raw in self._redis.hmget(SEEN, names[start : start + 100]):
                if (one := _heard_seen(raw)) is not None:
                    yield one

    def kinds(self) -> dict[str, Counter[str]]:
        """How many targets the last looks found, by owner and kind."""
        found: dict[str, Counter[str]] = {}
        for repo, counted in self._redis.hgetall(KINDS).items():
            org = repo.decode().partition("/")[0]
            found.setdefault(org, Counter()).update(msgspec.json.decode(counted))
        return found

    def spelt(self, repo: str) -> str:
        """A repository as it was called when it was looked at last; as it is where it never was."""
        return next((one for one in _texts(self._redis.hkeys(SEEN)) if one.lower() == repo.lower()), repo)

    def forget_repos(self, scope: str, but: Iterable[str]) -> None:
        """Forget what was seen of all repositories within a scope but these."""
        kept = set(but)
        if gone := [name for name in _texts(self._redis.hkeys(SEEN)) if is_within(name, scope) and name not in kept]:
            for one in SEEN, KINDS, LIVE:
                self._redis.hdel(one, *gone)
            self._redis.incr(*self._touch)

    def note_whole(self, at: float, config: str) -> None:
        """Remember that all was looked at, by which configuration."""
        self._redis.set(WHOLE, f"{at!r} {config}")

    def whole(self) -> tuple[float, str]:
        """When all was last looked at, and by which configuration; 0.0 for never."""
        at, _, config = (self._redis.get(WHOLE) or b"0.0 ").decode().partition(" ")
        return float(at), config

    # what is in force as it was wished, and what is left alone

    def in_force(self, repos: Iterable[str]) -> dict[Target, InForce]:
        """What was last seen in force as it was wished, by target."""
        return {
            target: InForce(heard_values(told["values"]), tuple(told["exemptions"]), told["at"])
            for target, told in self._by_target(APPLIED, repos)
        }

    def repos_in_force(self) -> list[str]:
        """The repositories of which anything was seen in force as it was wished, wherever that is not forgotten."""
        return sorted(_texts(self._redis.smembers(KEPT)))

    def note_in_force(self, repo: str, known: Mapping[Target, InForce], gone: Iterable[Target] = ()) -> None:
        """Remember what a look has found in force, and forget what is neither there nor wished."""
        write = self._redis.pipeline()
        for target, one in known.items():
            write.hset(APPLIED + repo, target.pattern, _spoken_in_force(one))
            write.sadd(KEPT, repo)
        for target in gone:
            write.hdel(APPLIED + repo, target.pattern)
        write.hlen(APPLIED + repo)
        if not write.execute()[-1]:
            self._redis.srem(KEPT, repo)

    def parked(self, repos: Iterable[str]) -> dict[Target, Parked]:
        """What is left alone, by target, whether that still holds or not."""
        return {target: msgspec.convert(told, Parked) for target, told in self._by_target(PARKED, repos)}

    def park(self, target: Target, parked: Parked) -> None:
        """Leave a target alone."""
        self._redis.hset(PARKED + target.repo, target.pattern, _dump(parked))

    def unpark(self, targets: Iterable[Target]) -> None:
        """Leave targets alone no longer."""
        for target in targets:
            self._redis.hdel(PARKED + target.repo, target.pattern)

    def _by_target(self, key: str, repos: Iterable[str]) -> Iterator[tuple[Target, Any]]:
        names, read = list(repos), self._redis.pipeline(transaction=False)
        for repo in names:
            read.hgetall(key + repo)
        for repo, found in zip(names, read.execute(), strict=True):
            for pattern, raw in found.items():
                yield Target(repo, pattern.decode()), msgspec.json.decode(raw)

    # who writes

    def acquire(self, repo: str, now: float) -> Writer | None:
        """The right to change the protection of a repository; None while another has it."""
        writer = Writer(repo, secrets.token_hex(8))
        args = [repo, now, now + WRITER_SECONDS, writer.token]
        return writer if self._acquiring(keys=[WRITERS, TOKENS], args=args) else None

    def extend(self, writer: Writer, now: float) -> None:
        """Hold on to it for as long again. Raises LeaseLost."""
        if not self._extending(keys=[WRITERS, TOKENS], args=[writer.repo, writer.token, now + WRITER_SECONDS]):
            raise LeaseLost(writer.repo)

    def release(self, writer: Writer) -> None:
        """Give it back; what was lost already is no error."""
        self._releasing(keys=[WRITERS, TOKENS], args=[writer.repo, writer.token])

    def turn(self, account: str, now: float, interval: float) -> float:
        """Seconds until the next write by an account may be sent, which is then taken: one each `interval`."""
        return float(self._pacing(keys=[PACES], args=[account, now, interval]))

    def is_writing(self, repo: str, now: float) -> bool:
        """Whether somebody is writing to a repository."""
        return float(self._redis.zscore(WRITERS, repo) or 0.0) > now

    def intend(self, writer: Writer, row: AuditRecord, item: Item) -> None:
        """Write down what is about to be sent, as it is to be on record if all goes well. Raises LeaseLost."""
        command = ["HSET", INTENTS + writer.repo, item.target.pattern, _dump((row, spoken_item(item)))]
        if not self._writing(keys=[TOKENS], args=[writer.repo, writer.token, _dump([command])]):
            raise LeaseLost(writer.repo)

    def intents(self, repo: str) -> list[tuple[AuditRecord, Item]]:
        """What was about to be sent when its writer was last heard of, in that order."""
        found = self._redis.hvals(INTENTS + repo)
        told = [msgspec.json.decode(raw, type=tuple[AuditRecord, dict[str, Any]]) for raw in found]
        return [(row, heard_item(item)) for row, item in sorted(told, key=lambda one: one[0].id)]

    def note_applied(
        self,
        writer: Writer,
        item: Item,
        row: AuditRecord,
        *,
        in_force: InForce | None,
        live: tuple[float, Mapping[str, Any]],
        parked: Parked | None = None,
    ) -> None:
        """Write down a change that was sent and what is there now, in one step: the audit, what is in force as
        it was wished, what its run has done, and what is left alone. Raises LeaseLost.
        """
        repo, pattern = item.target.repo, item.target.pattern
        known = self.live(repo)
        shown = patched(known[1], live[1], item.target) if known else live[1]
        commands = [["HSET", LIVE, repo, _alive(live[0], shown)], *_appending([row])]
        if in_force:
            commands += [["HSET", APPLIED + repo, pattern, _spoken_in_force(in_force)], ["SADD", KEPT, repo]]
        commands += [["HSET", PARKED + repo, pattern, _dump(parked)] if parked else ["HDEL", PARKED + repo, pattern]]
        commands += [
            *_ran(row, item),
            ["ZREM", ACKED, item.hash],
            ["HDEL", INTENTS + repo, pattern],
            ["INCR", *self._touch],
        ]
        if not self._writing(keys=[TOKENS], args=[repo, writer.token, _dump(commands)]):
            raise LeaseLost(repo)
        self._forget_old_rows()

    def run(self, run: str) -> tuple[Item, ...]:
        """What a run has applied, in its order; empty for one that is not known."""
        return tuple(heard_item(msgspec.json.decode(raw)) for raw in self._redis.lrange(RUN + run, 0, -1))

    def runs(self, limit: int = 50) -> list[tuple[str, float]]:
        """The newest runs that have written something, newest first, and when each began to."""
        return [(name.decode(), at) for name, at in self._redis.zrevrange(RUNS, 0, limit - 1, withscores=True)]

    # what waits for a person

    def hold(self, held: Held, rows: Sequence[AuditRecord]) -> bool:
        """Have a plan wait for a person, in place of the one before it of the same scope; whether that is news, and
        then the rows are written too.
        """
        known = next((one for one in self.held() if one.scope == held.scope), None)
        if known is not None and known.hash == held.hash:
            return False
        self._together([["HSET", HELD, held.scope, _spoken_held(held)], *_appending(rows)])
        return True

    def held(self) -> list[Held]:
        """The plans that wait for a person, by what they are about."""
        found = sorted(self._redis.hgetall(HELD).items())
        return [_heard_held(raw) for _, raw in found]

    def let_go(self, scope: str) -> None:
        """Forget the plan of a scope that waited: it is another by now, or nothing is left of it."""
        if self._redis.hdel(HELD, scope):
            self._redis.incr(*self._touch)

    def acknowledge(self, held: Held, rows: Sequence[AuditRecord], now: float) -> None:
        """Let each item of a plan go, for a day, on record."""
        until = repr(now + _ACK_SECONDS)
        acked = [["ZADD", ACKED, until, item.hash] for item in held.items]
        self._together([*acked, ["HDEL", HELD, held.scope], *_appending(rows)])

    def acknowledged(self, now: float) -> frozenset[str]:
        """The hashes of items that people have let go."""
        self._redis.zremrangebyscore(ACKED, "-inf", now)
        return frozenset(_texts(self._redis.zrange(ACKED, 0, -1)))

    # the audit

    def new_id(self, now: float) -> str:
        """A name for a run or a row: names sort in the order they were given, and no two are equal even if Redis lost
        its data between.
        """
        return f"{int(now):010d}-{self._redis.incr(NAMES):06d}-{secrets.token_hex(3)}"

    def append(self, rows: Sequence[AuditRecord]) -> None:
        """Add rows that go with nothing else."""
        if rows:
            self._together(_appending(rows))

    def note_failed(self, row: AuditRecord) -> None:
        """Add a row of what did not come about, which is not about to be sent any more."""
        self._together([*_appending([row]), ["HDEL", INTENTS + row.repo, row.target.partition(":")[2]]])

    def audit(self, sought: Sought | None = None, *, limit: int = 500, cursor: str = "") -> list[AuditRecord]:
        """The newest rows that are sought, newest first; `cursor` goes on after the row it was made of. Raises
        ValueError for a cursor that is none.
        """
        sought, found = sought or Sought(), list[AuditRecord]()
        key = AUDIT_OF + sought.about.partition(":")[0].lower() if "/" in sought.about else AUDIT
        for ids in newest_first(self._redis, key, sought.since, sought.until, cursor):
            for raw in self._redis.hmget(ROWS, ids):
                if raw is not None and sought.admits(row := msgspec.json.decode(raw, type=AuditRecord)):
                    found.append(row)
                    if len(found) == limit:
                        return found
        return found

    def _together(self, commands: list[list[str]]) -> None:
        write = self._redis.pipeline()
        for command in [*commands, ["INCR", *self._touch]]:
            write.execute_command(*command)
        write.execute()
        self._forget_old_rows()

    def _forget_old_rows(self) -> None:
        if (surplus := self._redis.zcard(AUDIT) - _ROWS) > 0:
            names = [name for name, _ in self._redis.zpopmin(AUDIT, surplus)]
            write = self._redis.pipeline()
            for name, raw in zip(names, self._redis.hmget(ROWS, names), strict=True):
                write.zrem(AUDIT_OF + msgspec.json.decode(raw, type=AuditRecord).repo.lower(), name)
            write.hdel(ROWS, *names)
            write.execute()
        if (surplus := self._redis.zcard(RUNS) - _RUNS) > 0:
            self._redis.delete(*(RUN + name.decode() for name, _ in self._redis.zpopmin(RUNS, surplus)))


def is_within(repo: str, scope: str) -> bool:
    """Whether a repository is within ``*``, an ORG or an ORG/REPO, however these are spelt."""
    return scope.lower() in {"*", repo.lower(), repo.partition("/")[0].lower()}


def _appending(rows: Iterable[AuditRecord]) -> list[list[str]]:
    return [
        command
        for row in rows
        for command in (
            ["HSETNX", ROWS, row.id, _dump(row)],
            ["ZADD", AUDIT, "NX", repr(row.time), row.id],
            ["ZADD", AUDIT_OF + row.repo.lower(), "NX", repr(row.time), row.id],
        )
    ]


def _ran(row: AuditRecord, item: Item) -> list[list[str]]:
    return [["RPUSH", RUN + row.run, _dump(spoken_item(item))], ["ZADD", RUNS, "NX", repr(row.time), row.run]]


def _alive(at: float, told: Mapping[str, Any]) -> str:
    return f"{at!r} {msgspec.json.encode(told, order='deterministic').decode()}"


def _live(raw: bytes) -> tuple[float, Mapping[str, Any]]:
    at, _, told = raw.partition(b" ")
    return float(at), msgspec.json.decode(told)


def _spoken_in_force(known: InForce) -> str:
    return _dump({"values": spoken_values(known.values), "exemptions": known.exemptions, "at": known.at})


def _spoken_seen(seen: SeenRepo) -> dict[str, Any]:
    return {
        "repo": seen.repo,
        "at": seen.at,
        "items": [spoken_item(item) for item in seen.items],
        "error": seen.error,
        "warnings": seen.warnings,
        "config": seen.config,
    }


def _heard_seen(raw: bytes | None) -> SeenRepo | None:
    """What was seen; None where it is gone, or written by an older version: the next look writes it again."""
    if raw is None:
        return None
    try:
        told = msgspec.json.decode(raw)
        items = tuple(heard_item(item) for item in told["items"])
        return SeenRepo(**told | {"items": items, "warnings": tuple(told["warnings"])})
    except (LookupError, TypeError, ValueError):
        return None


def _spoken_held(held: Held) -> str:
    return _dump(
        {
            "hash": held.hash,
            "at": held.at,
            "reasons": held.reasons,
            "repos": held.repos,
            "weakened": held.weakened,
            "removed": held.removed,
            "items": [spoken_item(item) for item in held.items],
            "scope": held.scope,
        }
    )


def _heard_held(raw: bytes) -> Held:
    told = msgspec.json.decode(raw)
    items = tuple(heard_item(item) for item in told["items"])
    return Held(**told | {"items": items, "reasons": tuple(told["reasons"])})


def _dump(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _texts(raw: Iterable[bytes]) -> list[str]:
    return [item.decode() for item in raw]
