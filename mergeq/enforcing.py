"""A plan of protection is carried out: write, verify by reading again, put on record (P7.7, P7.8). Rules of GitHub are
written here alone, as the applier.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from mergeq.bootstrap import Services
from mergeq.core.audit import (
    AuditRecord,
    Held,
    InForce,
    Parked,
    Result,
    difference_of,
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
from mergeq.core.rulesets import matches
from mergeq.gathering import Gathered, planned, seen_as, warned
from mergeq.github import HeldBack, Unreadable
from mergeq.store import Away, Lease, LeaseLost, reaching
from mergeq.store.protection import Writer
from mergeq.sync import is_served

STOPPED = "the run was stopped before it came to this"
OURSELVES = "mergeq"
_AT_ONCE = 4  # repositories that are written to at once
_INTERVAL = 1.0  # seconds between two writes for one owner, as GitHub asks ("Rate limits for the REST API")
_SETTLES = (0.0, 1.0, 2.0, 4.0)  # seconds before each look whether a change is there: reads may lag behind writes
_WAITS = 20  # seconds that the queue or another writer is waited for, before others come first
_AGAIN = 60.0  # seconds until what was not done is tried again
LATER = 300.0  # the same for what GitHub could not do
_PARKED, _PARKED_LONGEST = 600.0, 86400.0
RETRIED = frozenset({Trouble.RATE_LIMITED, Trouble.SERVER, Trouble.CONFLICT})
_IN_A_ROW = 10  # changes of a repository between two looks at it
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
                    part = todo[:_IN_A_ROW]
                    self._settled(writer, repo, self._sent(writer, part, self._read(repo)))
                    del todo[: len(part)]
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
        self.left += [(item, why) for item in items]
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

    def _sent(self, writer: Writer, items: Sequence[Item], facts: RepoFacts) -> list[_Sent]:
        """Send some items, each if it is still to be done to the repository as it was just read. What weakens waits
        where something that strengthens is to be tried again (P7.7).
        """
        services, store, now_planned, sent = self._services, self._store, self._again(facts), list[_Sent]()
        for index, wanted in enumerate(items):
            if not self._going() or self._refusals >= _REFUSALS:
                self._leave(items[index:], STOPPED if self._refusals < _REFUSALS else _REFUSED, None)
                break
            item = _of(now_planned, wanted.target)
            if item is None or item.kind not in WRITES:
                continue  # it is as wished by now, or is not to be any more
            if item.hash != wanted.hash and (self._order.exactly or _is_worse(item, wanted)):
                self._leave([wanted], "it was changed since the plan was made; plan it again", _AGAIN)
                self._is_behind |= wanted.effect is not Effect.WEAKEN
                continue
            if self._is_behind and item.effect is Effect.WEAKEN:
                self._leave([wanted], _STRICTER_FIRST, LATER)
                continue
            if wait := store.turn(_org(item), services.now(), _INTERVAL):
                services.sleep(wait)
            with _branches_kept(services, item.target) as busy:
                if busy:
                    self._leave([wanted], f"the queue is at work on {busy}", _AGAIN)
                    self._is_behind |= item.effect is not Effect.WEAKEN
                    continue
                row = row_about(
                    services, self._order, item, Result.ROLLED_BACK if self._order.undoes else Result.APPLIED
                )
                row = replace(row, executor=_executor(services), calls=1)
                store.extend(writer, services.now())
                store.intend(writer, row, item)
                problem = _write(services, item, facts)
            self._refusals += problem is not None and problem.kind is Trouble.NO_ADMIN
            is_passing = problem is not None and problem.kind in RETRIED
            self._is_behind |= is_passing and item.effect is not Effect.WEAKEN
            sent.append(_Sent(item, row, problem))
        return sent

    def _settled(self, writer: Writer, repo: str, sent: Sequence[_Sent]) -> None:
        """Find out what became of writes by reading the repository again, and put that on record (P7.8)."""
        services, open_ = self._services, list(sent)
        for wait in _SETTLES if sent else ():
            if wait:
                services.sleep(wait)
            self._store.extend(writer, services.now())
            at, facts = services.now(), self._read(repo)
            found = self._again(facts)
            left = {one.target for one in found.items if one.kind in {*WRITES, Kind.PARKED}}
            for one in [one for one in open_ if one.item.target not in left]:
                self._ended(writer, one, facts, at)
                open_.remove(one)
            if wait == _SETTLES[-1] or all(one.problem for one in open_):
                for one in open_:
                    self._not_there(writer, one, found, facts, at)
                self._show(facts)
                break

    def _not_there(self, writer: Writer, sent: _Sent, found: Plan, facts: RepoFacts, at: float) -> None:
        if sent.problem is not None:
            self._failed(sent.row, sent.problem)
        elif (rest := _of(found, sent.item.target)) is not None:
            self._not_effective(writer, sent, rest, facts, at)

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
        if problem.kind in RETRIED:
            self._store.put_off(row.repo, self._services.now() + LATER)
        org = row.repo.partition("/")[0]
        self._services.store.count("mergeq_protection_failed_total", org=org, reason=problem.kind.value)
        self._services.log.warning("protection not changed", target=row.target, why=row.problem)
        self._said(row)

    def _not_effective(self, writer: Writer, sent: _Sent, rest: Item, facts: RepoFacts, at: float) -> None:
        """GitHub took it and it is not so: tried once more, then left alone for longer each time, until the wish or the
        live rule is another.
        """
        services, item, about = self._services, sent.item, difference_of(rest)
        known = self._store.parked([facts.repo]).get(item.target)
        strikes = known.strikes + 1 if known is not None and known.about == about else 1
        seconds = min(_PARKED * 2.0 ** min(strikes - 2, 20), _PARKED_LONGEST) if strikes > 1 else _AGAIN
        names = ", ".join(change.field for change in rest.changes) or "the rule"
        why = f"GitHub accepted the change, but it had no effect on {names}"
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
    """Whether an item would weaken what nobody was shown to be weakened."""
    return item.effect is Effect.WEAKEN and wanted.effect is not Effect.WEAKEN


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
