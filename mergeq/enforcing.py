"""A plan of protection is carried out: write, verify by reading again, put on record (P7.7, P7.8). Rules of GitHub are
written here alone, as the applier.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from mergeq.bootstrap import Services
from mergeq.core.audit import (
    AuditRecord,
    Difference,
    Held,
    InForce,
    Parked,
    Result,
    difference_of,
    differences,
    spoken_facts,
    wish_of,
)
from mergeq.core.branchprotector import body, policy_of
from mergeq.core.marks import Mark
from mergeq.core.plan_text import CAUSES
from mergeq.core.protecting import Fields
from mergeq.core.protection import (
    WRITES,
    Actors,
    Backend,
    Effect,
    Field,
    Item,
    Kind,
    Plan,
    Problem,
    RepoFacts,
    Target,
    Trouble,
    Value,
    Values,
    Wish,
    spoken,
)
from mergeq.core.pull import Branch
from mergeq.core.rulesets import in_place, matches, standing
from mergeq.gathering import Gathered, planned, seen_as, warned
from mergeq.github import Changed, HeldBack, Unreadable
from mergeq.store import Away, Lease, LeaseLost, reaching
from mergeq.store.protection import Writer
from mergeq.sync import is_served

STOPPED = "the run was stopped before it came to this"
OURSELVES = "mergeq"
_AT_ONCE = 4  # repositories that are written to at once
_INTERVAL = 1.0  # seconds between two writes by one account, as GitHub asks ("Rate limits for the REST API")
_SETTLES = (0.0, 1.0, 2.0, 4.0)  # seconds before each look whether a change is there: reads may lag behind writes
_WAITS = 20  # seconds that the queue or another writer is waited for, before others come first
_AGAIN = 60.0  # seconds until what was not done is tried again
LATER = 300.0  # the same for what GitHub could not do
_UNKNOWN = 660.0  # and for whom it did not know, though an event came: that is believed for ten minutes
_PARKED, _PARKED_LONGEST = 600.0, 86400.0
RETRIED = frozenset({Trouble.RATE_LIMITED, Trouble.SERVER, Trouble.CONFLICT})
_IN_A_ROW = 10  # changes of a repository between two looks at it,
_FRESH = 15.0  # which is not older than so many seconds when one is sent
_REFUSED = "GitHub refused two changes here for want of administration rights"
_STRICTER_FIRST = "what is to be stricter comes first, and was not done"
_REFUSALS = 2  # for want of rights, after which the rest of a repository is not tried (P7.7)


@dataclass(frozen=True, slots=True)
class Order:
    """On whose word a plan is carried out. `exactly`: what has changed since it was shown is left alone, where it else
    is planned again; `undoes` the run that is rolled back.
    """

    run: str
    by: str = OURSELVES
    why: str = ""
    plan: str = ""
    exactly: bool = False
    undoes: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run: the reasons why all of it is held, the rows of the audit, and what was left for later, and
    why.
    """

    run: str
    gathered: Gathered
    held: Held | None = None
    rows: tuple[AuditRecord, ...] = ()
    left: tuple[tuple[Item, str], ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all that was to be written is in force."""
        done = {Result.APPLIED, Result.ROLLED_BACK, Result.EXPIRED}
        return not self.held and not self.left and all(row.result in done for row in self.rows)


def values_of(wish: Wish, there: Values) -> dict[Field, Value]:
    """The managed fields as GitHub has them; empty for what is wished to be unprotected."""
    return {name: there.get(name, value) for name, value in wish.values.items()} if wish.protect else {}


def carry_out(
    services: Services,
    gathered: Gathered,
    items: Sequence[Item],
    order: Order,
    going: Callable[[], bool] = lambda: True,
    say: Callable[[AuditRecord], None] = lambda _: None,
) -> Report:
    """Write items, one after the other in a repository and a few repositories at once, and verify each by reading it
    again. Each ends on record, by itself; what was not tried is left, and is tried again. `say` hears of each row.
    Raises Away.
    """
    by_repo: dict[str, list[Item]] = {}
    for item in items:
        by_repo.setdefault(item.target.repo, []).append(item)

    def work(repo: str) -> "_Work":
        done = _Work(services, gathered, order, going, say)
        done.on(repo, by_repo[repo])
        return done

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="protection") as pool:
        done = list(pool.map(work, by_repo))
    rows = tuple(row for one in done for row in one.rows)
    return Report(order.run, gathered, None, rows, tuple(left for one in done for left in one.left))


@dataclass(frozen=True, slots=True)
class _Sent:
    """A change that was sent: the row that it is to have on record, and what GitHub said against it."""

    item: Item
    row: AuditRecord
    problem: Problem | None


class _Work:
    """What is done to one repository, in the thread of its own."""

    def __init__(
        self,
        services: Services,
        gathered: Gathered,
        order: Order,
        going: Callable[[], bool],
        say: Callable[[AuditRecord], None],
    ) -> None:
        self._services, self._gathered, self._order = services, gathered, order
        self._store, self._going, self._say = services.store.protection, going, say
        self._refusals = 0
        self._is_behind = False  # something that was to be stricter by now is not
        self.rows: list[AuditRecord] = []
        self.left: list[tuple[Item, str]] = []

    def on(self, repo: str, items: Sequence[Item]) -> None:
        """Carry out the items of a repository; nothing that goes wrong here stops others (D8). Raises Away."""
        todo = list(items)
        try:
            with reaching(), self._writing(repo) as writer:
                if writer is None:
                    self._leave(todo, "somebody else is writing there", _AGAIN)
                    return
                while todo and self._going() and self._refusals < _REFUSALS:
                    sent, count = self._sent(writer, todo[:_IN_A_ROW], repo)
                    self._settled(writer, repo, sent)
                    del todo[:count]
            if todo:
                is_refused = self._refusals >= _REFUSALS
                self._leave(todo, _REFUSED if is_refused else STOPPED, None)
        except Away:
            raise  # nothing can be put off: whoever took this up is missed, and it is looked at again
        except LeaseLost:
            self._leave(todo, "another writer took over", _AGAIN)
        except HeldBack as error:
            self._leave(todo, str(error), max(error.until - self._services.now(), 0.0))
        except Unreadable as error:
            self._leave(todo, str(error), LATER)
        except Exception as error:
            self._leave(todo, f"mergeq failed ({type(error).__name__})", LATER)
            self._services.log.exception("protection failed", repo=repo)

    def _leave(self, items: Sequence[Item], why: str, seconds: float | None) -> None:
        """Note what is not done now; it is looked at again after so many seconds, None for when it is due anyway."""
        told = {*(str(item.target) for item, _ in self.left), *(row.target for row in self.rows)}
        self.left += [(item, why) for item in items if str(item.target) not in told]
        if seconds is not None and items:
            self._store.put_off(items[0].target.repo, self._services.now() + seconds)

    @contextmanager
    def _writing(self, repo: str) -> Iterator[Writer | None]:
        """The right to write to a repository, waited for a while."""
        writer = None
        for wait in (0.0, *([1.0] * _WAITS)):
            if wait:
                self._services.sleep(wait)
            if writer := self._store.acquire(repo, self._services.now()):
                break
        try:
            yield writer
        finally:
            if writer:
                self._store.release(writer)

    def _read(self, repo: str) -> RepoFacts:
        """A repository as it is now. Raises Unreadable."""
        facts = self._services.planner.read([repo])[repo]
        if facts.rules is None:
            raise Unreadable(facts.problem.text if facts.problem else f"the rules of {repo} could not be read")
        return replace(facts, branches=self._gathered.facts[repo].branches)

    def _again(self, facts: RepoFacts) -> Plan:
        return planned(self._services, self._gathered, {facts.repo: facts})

    def _chosen(self, wanted: Item, now_planned: Plan) -> Item | None:
        """What is to be done now of what was planned; None where that is nothing, or not what was meant, or what is
        weaker while something that strengthens is to be tried again (P7.7).
        """
        item = _of(now_planned, wanted.target)
        if item is None or item.kind is Kind.NOTHING:
            return None  # it is as wished by now
        if item.kind not in WRITES:
            self._leave([wanted], item.why, None)
            return None
        if item.hash != wanted.hash and (self._order.exactly or _is_worse(item, wanted)):
            self._leave([wanted], "it was changed since the plan was made; plan it again", _AGAIN)
            self._is_behind |= wanted.effect is not Effect.WEAKEN
            return None
        if self._is_behind and item.effect is Effect.WEAKEN:
            self._leave([wanted], _STRICTER_FIRST, LATER)
            return None
        return item

    def _sent(self, writer: Writer, items: Sequence[Item], repo: str) -> tuple[list[_Sent], int]:
        """Send some items, each if it is still to be done to the repository as it was read a moment before; and how
        many of them are seen to, which is not all where that has become too long ago.
        """
        services, store, sent = self._services, self._store, list[_Sent]()
        at, facts = services.now(), self._read(repo)
        now_planned = self._again(facts)
        note_changes(services, facts, at, now_planned.items)
        for index, wanted in enumerate(items):
            if not self._going() or self._refusals >= _REFUSALS:
                self._leave(items[index:], STOPPED if self._refusals < _REFUSALS else _REFUSED, None)
                break
            if (item := self._chosen(wanted, now_planned)) is None:
                continue
            with _branches_kept(services, item.target) as busy:
                if busy:
                    self._leave([wanted], f"the queue is at work on {busy}", _AGAIN)
                    self._is_behind |= item.effect is not Effect.WEAKEN
                    continue
                if wait := store.turn(services.applier.account(_org(item)), services.now(), _INTERVAL):
                    services.sleep(wait)
                if services.now() - at > _FRESH:
                    return sent, index
                row = row_about(
                    services, self._order, item, Result.ROLLED_BACK if self._order.undoes else Result.APPLIED
                )
                row, before = replace(row, executor=_executor(services), calls=1), services.applier.calls
                store.extend(writer, services.now())
                store.intend(writer, row, item)
                problem = _write(services, item, facts)
                row = replace(row, calls=services.applier.calls - before)
            self._refusals += problem is not None and problem.kind is Trouble.NO_ADMIN
            is_passing = problem is not None and problem.kind in RETRIED
            self._is_behind |= is_passing and item.effect is not Effect.WEAKEN
            sent.append(_Sent(item, row, problem))
            if problem is not None and problem.kind is Trouble.RATE_LIMITED:
                self._leave(items[index + 1 :], problem.text, LATER)
                break
        return sent, len(items)

    def _settled(self, writer: Writer, repo: str, sent: Sequence[_Sent]) -> None:
        """Find out what became of writes by reading the repository again, and put that on record (P7.8)."""
        services, open_ = self._services, list(sent)
        for wait in _SETTLES if sent else ():
            if wait:
                services.sleep(wait)
            self._store.extend(writer, services.now())
            at, facts = services.now(), self._read(repo)
            found = self._again(facts)
            for one in [one for one in open_ if _is_done(one.item, _of(found, one.item.target))]:
                self._ended(writer, one, facts, at)
                open_.remove(one)
            if wait == _SETTLES[-1] or all(one.problem for one in open_):
                for one in open_:
                    self._not_there(writer, one, found, facts, at)
                self._show(facts)
                break

    def _not_there(self, writer: Writer, sent: _Sent, found: Plan, facts: RepoFacts, at: float) -> None:
        rest = _of(found, sent.item.target)
        if sent.problem is not None:
            self._failed(sent.row, sent.problem)
        elif rest is not None and rest.kind in {*WRITES, Kind.PARKED}:
            self._not_effective(writer, sent, rest, facts, at)
        elif rest is not None:
            self._leave([sent.item], f"it cannot be told whether it was done: {rest.why}", LATER)

    def _ended(self, writer: Writer, sent: _Sent, facts: RepoFacts, at: float) -> None:
        services, order, item, row = self._services, self._order, sent.item, sent.row
        wish = self._gathered.wish(item.target)
        known = InForce(values_of(wish, item.after), item.exemptions, services.now()) if wish else None
        parked = _kept_undone(services, facts, item.target, order) if order.undoes else None
        live = (at, spoken_facts(facts))
        self._store.note_applied(writer, item, row, in_force=known, live=live, parked=parked)
        services.store.count("mergeq_protection_applied_total", org=_org(item), reason=row.cause or "asked")
        self._said(row)

    def _failed(self, row: AuditRecord, problem: Problem) -> None:
        row = replace(row, result=Result.FAILED, problem=f"{problem.kind}: {problem.text}")
        self._store.note_failed(row)
        now = self._services.now()
        if problem.kind in RETRIED:
            self._store.put_off(row.repo, now + LATER)
        elif problem.kind is Trouble.ACTOR_INVALID and self._store.announced(row.repo, now):
            self._store.put_off(row.repo, now + _UNKNOWN)
        org = row.repo.partition("/")[0]
        self._services.store.count("mergeq_protection_failed_total", org=org, reason=problem.kind.value)
        self._services.log.warning("protection not changed", target=row.target, why=row.problem)
        self._said(row)

    def _not_effective(self, writer: Writer, sent: _Sent, rest: Item, facts: RepoFacts, at: float) -> None:
        """GitHub took it and it is not so: tried once more, then left alone for longer each time, until the wish or the
        live rule is another. Where it told of changes by somebody besides, who may have undone it, for a minute only:
        nobody is to win by being quick.
        """
        services, item, about = self._services, sent.item, difference_of(rest)
        said = self._store.announced(facts.repo, services.now())
        by = sorted({one.by for one in said if one.about == item.target.pattern and one.at >= sent.row.time} - {""})
        known = self._store.parked([facts.repo]).get(item.target)
        strikes = known.strikes + 1 if known is not None and known.about == about else 1
        is_short = strikes < 2 or len(by) > 1
        seconds = _AGAIN if is_short else min(_PARKED * 2.0 ** min(strikes - 2, 20), _PARKED_LONGEST)
        names = ", ".join(change.field for change in rest.changes) or "the rule"
        why = f"GitHub accepted the change, but it had no effect on {names}"
        why += f"; it told of changes by {', '.join(by)} since" if by else ""
        row = replace(sent.row, result=Result.NOT_EFFECTIVE, problem=why)
        parked = Parked(f"{why}, {strikes} times", about, strikes, services.now() + seconds)
        live = (at, spoken_facts(facts))
        self._store.note_applied(writer, item, row, in_force=None, live=live, parked=parked)
        self._store.put_off(facts.repo, parked.until)
        services.store.count("mergeq_protection_failed_total", org=_org(item), reason=Trouble.NOT_EFFECTIVE.value)
        tell = services.log.error if strikes > 1 else services.log.warning
        tell("protection without effect", target=str(item.target), fields=names, times=strikes)
        self._said(row)

    def _show(self, facts: RepoFacts) -> None:
        """Have pages show the repository as it is now; after what was asked for besides, as the next look finds it."""
        if self._gathered.is_asked:
            self._store.put_off(facts.repo, self._services.now())
            return
        shown = [warned(self._services, item) for item in self._again(facts).items]
        self._store.note_seen([seen_as(self._services, replace(self._gathered, at=self._services.now()), facts, shown)])

    def _said(self, row: AuditRecord) -> None:
        self.rows.append(row)
        self._say(row)


def _is_worse(item: Item, wanted: Item) -> bool:
    """Whether an item would weaken anything that was not to be weakened just so."""
    return any(change.effect is Effect.WEAKEN and change not in wanted.changes for change in item.changes)


def _is_done(item: Item, now: Item | None) -> bool:
    """Whether what is planned now shows that an item was carried out: a rule that is gone leaves a branch to others."""
    is_gone = item.kind is Kind.DELETE and now is not None and now.kind is Kind.BLOCKED and not now.rule
    return now is None or now.kind is Kind.NOTHING or is_gone


def _of(found: Plan, target: Target) -> Item | None:
    return next((item for item in found.items if item.target == target), None)


def _org(item: Item) -> str:
    return item.target.repo.partition("/")[0]


def _kept_undone(services: Services, facts: RepoFacts, target: Target, order: Order) -> Parked | None:
    """What keeps the configuration from putting right back what was just rolled back: its present wish, if there is
    one, waits until it is another.
    """
    wishes = services.config.wishes(facts, services.now())
    if (wish := next((one for one in wishes if one.target == target), None)) is None:
        return None
    why = f"rolled back by {order.by}: {order.why}; it stays so until the configuration asks for something else"
    return Parked(why, wish_of(wish), strikes=2)


def note_changes(services: Services, facts: RepoFacts, at: float, items: Sequence[Item]) -> tuple[AuditRecord, ...]:
    """Put on record what others had changed when a repository was read, which began at `at`, and what mergeq itself was
    about to do when it was last heard of. Returns the rows.
    """
    store, told = services.store.protection, spoken_facts(facts)
    causes = {item.target.pattern: item.cause.value for item in items if item.cause}
    before, pending = store.live(facts.repo), store.intents(facts.repo)

    @cache
    def log() -> tuple[Changed, ...]:
        try:
            return services.planner.changed_by(facts.repo, before[0] if before else 0.0)
        except (HeldBack, Unreadable):
            return ()

    def rows(known: Mapping[str, Any] | None) -> list[AuditRecord]:
        found = differences(known, told) if known is not None else ()
        ours = [item.target for _, item in pending]
        theirs = [one for one in found if not any(one.is_of(target) for target in ours)]
        return [
            *(_come_of(row, item, facts) for row, item in pending),
            *(_row_of(services, facts.repo, one, causes, log) for one in theirs),
        ]

    new = store.note_live(facts.repo, at, told, rows)
    for row in new:
        if row.result is Result.SEEN:
            services.store.count("mergeq_protection_drift_total", org=row.repo.partition("/")[0], reason=row.effect)
    return new


def _come_of(row: AuditRecord, item: Item, facts: RepoFacts) -> AuditRecord:
    """What came of a write about which nothing was heard any more: nothing, where all is still as it was before."""
    if item.backend is Backend.RULESET:
        ruleset = standing(facts, item.target.pattern)
        there = in_place(ruleset, item.target.pattern) if ruleset else {}
    else:
        rule = facts.rule(item.target.pattern)
        there = rule.values if rule else {}
    if there != item.before:
        return row
    return replace(row, result=Result.FAILED, problem="mergeq was stopped before it was sent, or it was lost")


def _row_of(
    services: Services,
    repo: str,
    found: Difference,
    causes: Mapping[str, str],
    log: Callable[[], Sequence[Changed]],
) -> AuditRecord:
    now = services.now()
    kind = Kind.CREATE if found.before is None else Kind.DELETE if found.after is None else Kind.UPDATE
    what = f"ruleset {found.about}" if found.is_ruleset else "the rule"
    verb = {Kind.CREATE: "was made", Kind.DELETE: "was removed"}.get(kind, "was changed")
    return AuditRecord(
        id=services.store.protection.new_id(now),
        time=now,
        run="",
        target=repo if found.is_ruleset else f"{repo}:{found.about}",
        result=Result.SEEN,
        cause="" if found.is_ruleset else causes.get(found.about, ""),
        effect=found.effect.value,
        kind=kind.value,
        before=found.before,
        after=found.after,
        by=_who(services, repo, found.about, log),
        why=f"{what} {verb} on GitHub",
        config=services.config.digest,
    )


def _who(services: Services, repo: str, about: str, log: Callable[[], Sequence[Changed]]) -> str:
    """Who changed a rule, as far as GitHub tells: by an event about it, about the repository, or by its own log. Who
    changed another rule is not named for this one.
    """
    said = services.store.protection.announced(repo, services.now())
    events = (one.by for wanted in (about, "") for one in said if one.about == wanted and one.by)
    logged = (one.by for wanted in (about, "") for one in log() if one.about == wanted and one.by)
    return next(events, "") or next(logged, "")


def row_about(services: Services, order: Order, item: Item, result: Result) -> AuditRecord:
    """A row about an item: of its fields those that change."""
    now = services.now()
    before, after = (
        {change.field.value: spoken(getattr(change, side)) for change in item.changes} for side in ("before", "after")
    )
    lines = next((item.sources[one.field] for one in item.changes if one.field in item.sources), ())
    return AuditRecord(
        id=services.store.protection.new_id(now),
        time=now,
        run=order.run,
        target=str(item.target),
        result=result,
        cause=item.cause.value if item.cause else "",
        effect=item.effect.value,
        kind=item.kind.value,
        before=None if item.kind is Kind.CREATE else before,
        after=None if item.kind is Kind.DELETE else after,
        by=order.by,
        why=order.why or (CAUSES.get(item.cause, item.why) if item.cause else item.why),
        plan=order.plan,
        config=services.config.digest,
        place=lines[-1].place if lines else item.place,
    )


def _write(services: Services, item: Item, facts: RepoFacts) -> Problem | None:
    """Send one item: as what differs, or with `fields: prow` as Prow's own request for all of the rule (D13)."""
    values, target = services.config.protection_values, item.target
    if values.fields is not Fields.PROW or item.backend is not Backend.CLASSIC or target.is_glob:
        return services.applier.write(item, facts)
    if item.kind is Kind.DELETE:
        return services.applier.replace(target.repo, target.pattern, None)
    policy = policy_of(item.after)
    sent = body(policy, apps=values.enable_apps_restrictions or _lets_an_app_push(item))
    signatures = next((bool(one.after) for one in item.changes if one.field is Field.SIGNATURES), None)
    return services.applier.replace(target.repo, target.pattern, sent, signatures)


def _lets_an_app_push(item: Item) -> bool:
    """Whether an item lets an App push that may not yet: one that is named by its bot, whatever is said of apps."""
    before, after = (values.get(Field.PUSHERS) for values in (item.before, item.after))
    known = before.apps if isinstance(before, Actors) else frozenset[str]()
    return isinstance(after, Actors) and not after.apps <= known


def _executor(services: Services) -> str:
    """Who writes, as far as the settings tell."""
    app = services.settings.protection_app_id or services.settings.github_app_id
    return f"App {app}" if app else "the token"


@contextmanager
def _branches_kept(services: Services, target: Target) -> Iterator[str]:
    """Keep the queue from acting on the branches of a target meanwhile, so that no context becomes required in the
    middle of a landing (P7.47); gives the branch that it is at work on all the same, empty for none.
    """
    store, leases, busy = services.store, list[Lease](), ""
    known = {*store.branches(), *store.all_marked()} if services.config.queries else set()
    theirs = sorted(
        one
        for one in known
        if one.full_repo == target.repo and matches(target.pattern, one.name) and is_served(services, one)
    )
    try:
        for branch in theirs:
            if (lease := _claimed(services, branch)) is None:
                busy = str(branch)
                break
            leases.append(lease)
        for lease in leases:
            store.extend(lease, services.now())
        yield busy
    finally:
        for lease in leases:
            store.release(lease)
        store.mark([Mark(lease.branch) for lease in leases], services.now())


def _claimed(services: Services, branch: Branch) -> Lease | None:
    """The queue's lease of a branch, waited for a while."""
    for wait in (0.0, *([1.0] * _WAITS)):
        if wait:
            services.sleep(wait)
        services.store.send([branch], services.now())
        if lease := services.store.claim(branch, services.now()):
            return lease
    return None
