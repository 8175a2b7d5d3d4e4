"""Protection is brought to what is configured: gather, plan, gate, apply, verify, write down what came of it (P7.1).

Whatever looks does so as the planner; `carry_out` alone writes, as the applier. What is decided is decided in the core.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from mergeq.bootstrap import Services
from mergeq.core.audit import (
    AuditRecord,
    Difference,
    Held,
    InForce,
    Parked,
    Result,
    SeenRepo,
    difference_of,
    differences,
    spoken_facts,
    wish_of,
)
from mergeq.core.branchprotector import body, policy_of, unauthorized
from mergeq.core.factoring import factored
from mergeq.core.marks import Mark
from mergeq.core.orders import EVERYTHING
from mergeq.core.planning import extent, gate, in_order, plan, undone
from mergeq.core.protecting import Fields
from mergeq.core.protection import (
    WRITES,
    Actors,
    Backend,
    Check,
    Effect,
    Field,
    Item,
    Kind,
    Mode,
    Plan,
    Problem,
    RepoFacts,
    Source,
    Target,
    Trouble,
    Value,
    Values,
    Wish,
    spoken,
)
from mergeq.core.pull import Branch
from mergeq.core.rulesets import Demand, effective, matches, may_begin
from mergeq.github import HeldBack, Protecting, Unreadable
from mergeq.store import Lease, LeaseLost
from mergeq.store.protection import Sought, Writer, is_within
from mergeq.sync import is_served

ALL = "*"
STOPPED = "the run was stopped before it came to this"
OURSELVES = "mergeq"

_AT_ONCE = 4  # repositories that are written to at once
_INTERVAL = 1.0  # seconds between two writes for one owner, as GitHub asks ("Rate limits for the REST API")
_SETTLES = (0.0, 1.0, 2.0, 4.0)  # seconds before each look whether a change is there: reads may lag behind writes
_WAITS = 20  # seconds that the queue or another writer is waited for, before others come first
_AGAIN = 60.0  # seconds until what was not done is tried again
_LATER = 300.0  # the same for what GitHub could not do
_FEW = 20  # repositories that are looked at again each by itself
_PARKED, _PARKED_LONGEST = 600.0, 86400.0
_RETRIED = frozenset({Trouble.RATE_LIMITED, Trouble.SERVER, Trouble.CONFLICT})
_REFUSALS = 2  # for want of rights, after which the rest of a repository is not tried (P7.7)
_UNFOUNDED = "the store is new, and it is being found out whether an earlier one was lost"


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is wished and what is there, and the plan that follows. `scope` is ``*``, an ORG or an ORG/REPO, `at` when
    the reading began; `errors` say what could not be listed, by its ORG. `is_asked`: the wishes are not those of the
    configuration.
    """

    scope: str
    at: float
    plan: Plan = field(default_factory=Plan)
    wishes: Mapping[str, tuple[Wish, ...]] = field(default_factory=dict)
    facts: Mapping[str, RepoFacts] = field(default_factory=dict)
    known: Mapping[Target, InForce] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    is_asked: bool = False

    def wish(self, target: Target) -> Wish | None:
        """What is wished for a target."""
        return next((one for one in self.wishes.get(target.repo, ()) if one.target == target), None)

    @property
    def unknown(self) -> dict[str, str]:
        """What could not be read, ORG or ORG/REPO, and why."""
        unread = {repo: one.problem.text for repo, one in self.facts.items() if one.rules is None and one.problem}
        return {**self.errors, **unread}


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


def gather(services: Services, scope: str = ALL, asked: Iterable[Wish] | None = None) -> Gathered:
    """Read what protects all that a scope names, and plan what is wished for it: by the configuration, or as `asked`.

    Nothing is written, neither on GitHub nor in the store. What cannot be read is unknown, by its name (D8). Raises
    HeldBack.
    """
    at, config = services.now(), services.config
    if asked is None:
        repos, errors = _managed(services, scope)
    else:
        asked = tuple(asked)
        repos, errors = sorted({wish.target.repo for wish in asked}), {}
    wanted = [repo for repo in repos if config.wants_branches(repo)]
    facts = services.planner.read(repos, branches=wanted) if repos else {}
    wishes: dict[str, tuple[Wish, ...]] = {}
    for repo, seen in facts.items():
        theirs = config.wishes(seen, at) if asked is None else (one for one in asked if one.target.repo == repo)
        wishes[repo] = _authorized(services, repo, theirs)
    known, is_asked = services.store.protection.in_force(facts), asked is not None
    gathered = Gathered(scope, at, wishes=wishes, facts=facts, known=known, errors=errors, is_asked=is_asked)
    return replace(gathered, plan=_planned(services, gathered, facts))


def _authorized(services: Services, repo: str, wishes: Iterable[Wish]) -> tuple[Wish, ...]:
    """Wishes, with a problem where one names somebody who may not push, if that is to be verified (P3.12)."""
    found = tuple(wishes)
    naming = {wish.target: who for wish in found if isinstance(who := wish.values.get(Field.PUSHERS), Actors) and who}
    if not naming or not services.config.protection_values.verify_restrictions:
        return found
    try:
        allowed = services.planner.authorized(repo)
    except Unreadable as error:
        why = f"it could not be read who may push to {repo}: {error}"
        return tuple(replace(wish, problem=wish.problem or why) if wish.target in naming else wish for wish in found)
    wrong = {
        target: "; ".join(unauthorized(repo, {"restrictions": spoken(who)}, allowed)) for target, who in naming.items()
    }
    return tuple(replace(wish, problem=wish.problem or wrong.get(wish.target, "")) for wish in found)


def _managed(services: Services, scope: str) -> tuple[list[str], dict[str, str]]:
    """The repositories within a scope that are to be looked at, those too whose rules nobody asks for any more; and the
    owners that could not be listed, and why.
    """
    found: set[str] = {repo for repo in services.store.protection.repos_in_force() if is_within(repo, scope)}
    errors: dict[str, str] = {}
    for org, named in services.config.protected().items():
        if scope not in {ALL, org} and not scope.startswith(f"{org}/"):
            continue
        if named is not None:
            found |= {repo for repo in named if is_within(repo, scope)}
        elif "/" in scope:
            found.add(scope)
        else:
            try:
                found |= {one.repo for one in services.planner.repos(org)}
            except Unreadable as error:
                errors[org] = str(error)
                found |= {one.repo for one in services.store.protection.seen(org)}
    return sorted(found), errors


def _planned(services: Services, gathered: Gathered, facts: Mapping[str, RepoFacts]) -> Plan:
    """The plan for repositories as they are read now, everything else as it was gathered."""
    left_alone, now = services.store.protection.parked(facts), services.now()
    items = [
        _warned(services, item)
        for repo, seen in facts.items()
        for item in _planned_alone(services, gathered, seen, left_alone, now)
    ]
    warnings = (one for seen in facts.values() for one in services.config.protection_warnings(seen, now))
    ordered = tuple(sorted(items, key=lambda item: item.target))
    return Plan(ordered, tuple(dict.fromkeys(warnings)), services.config.digest)


def _planned_alone(
    services: Services, gathered: Gathered, facts: RepoFacts, left_alone: Mapping[Target, Parked], now: float
) -> tuple[Item, ...]:
    """The items of one repository, without what is parked: that is known only by what would be done."""
    config, wishes = services.config, gathered.wishes[facts.repo]
    past = {target: one.values for target, one in gathered.known.items() if target.repo == facts.repo}

    def found(parked: Mapping[Target, str]) -> Plan:
        reserved = config.reserved(facts.repo)
        return plan(wishes, {facts.repo: facts}, past, parked=parked, reserved=reserved, now=now)

    made, by_target = found({}), {wish.target: wish for wish in wishes}
    parked = {
        item.target: left_alone[item.target].why
        for item in made.writes
        if item.target in left_alone and left_alone[item.target].holds(item, by_target[item.target], now)
    }
    return (found(parked) if parked else made).items


def _warned(services: Services, item: Item) -> Item:
    """An item with a warning for each context that is required, or is to be, and that nothing has reported there as far
    as the queue has seen pull requests: it would never turn green (P7.47).
    """
    branch = _branch_of(item.target) if item.kind in {*WRITES, Kind.NOTHING} else None
    required = item.after.get(Field.CONTEXTS)
    if branch is None or not isinstance(required, frozenset) or not required:
        return item
    if (reported := services.store.reported(branch)) is None:
        return item
    never = sorted({one.context for one in required if isinstance(one, Check)})
    told = tuple(
        f"context never seen: no pull request into {branch} has reported {context}"
        for context in never
        if context.lower() not in reported
    )
    return replace(item, warnings=(*item.warnings, *told))


def _branch_of(target: Target) -> Branch | None:
    try:
        return None if target.is_glob else Branch.parse(str(target))
    except ValueError:
        return None


# what a look is good for besides


def note(services: Services, gathered: Gathered) -> tuple[AuditRecord, ...]:
    """Remember what a look found: what others changed on GitHub since the one before, which is put on record by their
    names as far as GitHub tells them (P7.8); and if it was for the sake of the configuration, what is in force as it is
    wished and what is to be shown. Returns the rows.
    """
    store, rows = services.store.protection, list[AuditRecord]()
    items: dict[str, list[Item]] = {repo: [] for repo in gathered.facts}
    for item in gathered.plan.items:
        items.setdefault(item.target.repo, []).append(item)
    now = services.now()
    for repo, facts in gathered.facts.items():
        if store.is_writing(repo, now):
            store.put_off(repo, now + _AGAIN)  # whoever writes puts on record what is new
        elif facts.rules is not None:
            rows += _note_changes(services, gathered, facts, items[repo])
            if not gathered.is_asked:
                _note_in_force(services, gathered, facts, items[repo])
    _measure(services, gathered, rows)
    if not gathered.is_asked:
        store.note_seen(_seen(services, gathered, facts, items[repo]) for repo, facts in gathered.facts.items())
        if not gathered.errors and "/" not in gathered.scope:
            store.forget_repos(gathered.scope, gathered.facts)
        _look_again(services, gathered)
    return tuple(rows)


def _look_again(services: Services, gathered: Gathered) -> None:
    """Have what an exemption is about looked at when it ends, and soon what could not be read for now."""
    store, now = services.store.protection, services.now()
    for repo, wishes in gathered.wishes.items():
        if ends := [wish.expires_at for wish in wishes if wish.expires_at]:
            store.put_off(repo, min(ends))
    passing = [repo for repo, one in gathered.facts.items() if one.problem and one.problem.kind in _RETRIED]
    for scope in passing if len(passing) <= _FEW else [gathered.scope]:
        store.put_off(scope, now + _LATER)


def _seen(services: Services, gathered: Gathered, facts: RepoFacts, items: Sequence[Item]) -> SeenRepo:
    error = facts.problem.text if facts.problem else ""
    warnings = services.config.protection_warnings(facts, services.now())
    return SeenRepo(facts.repo, gathered.at, tuple(items), error, warnings, services.config.digest)


def _note_changes(
    services: Services, gathered: Gathered, facts: RepoFacts, items: Sequence[Item]
) -> tuple[AuditRecord, ...]:
    """Put on record what others changed, and what mergeq itself was about to do when it was last heard of."""
    store, told = services.store.protection, spoken_facts(facts)
    causes = {item.target.pattern: item.cause.value for item in items if item.cause}
    before, pending = store.live(facts.repo), store.intent(facts.repo)
    since = before[0] if before else 0.0

    def rows(known: Mapping[str, Any] | None) -> list[AuditRecord]:
        found = list(differences(known, told)) if known is not None else []
        if pending is None:
            return [_row_of(services, facts.repo, one, causes, since) for one in found]
        row, item = pending
        left = next((one for one in items if one.target == item.target), None)
        theirs = [one for one in found if one.is_ruleset or one.about != item.target.pattern]
        if left is not None and left.kind in WRITES and left.hash == item.hash:
            row = replace(row, result=Result.FAILED, problem="mergeq was stopped before it was sent, or it was lost")
        return [row, *(_row_of(services, facts.repo, one, causes, since) for one in theirs)]

    return store.note_live(facts.repo, gathered.at, told, rows)


def _row_of(services: Services, repo: str, found: Difference, causes: Mapping[str, str], since: float) -> AuditRecord:
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
        by=_who(services, repo, found.about, since),
        why=f"{what} {verb} on GitHub",
        config=services.config.digest,
    )


def _who(services: Services, repo: str, about: str, since: float) -> str:
    """Who changed a rule, as far as GitHub tells: by an event about it, about the repository, or by its own log."""
    said = services.store.protection.announced(repo, services.now())
    for wanted in (about, ""):
        if by := next((one.by for one in said if one.about == wanted and one.by), ""):
            return by
    try:
        return next((one.by for one in services.planner.changed_by(repo, since) if one.by), "")
    except (HeldBack, Unreadable):
        return ""


def _note_in_force(services: Services, gathered: Gathered, facts: RepoFacts, items: Sequence[Item]) -> None:
    """Remember what is as it is wished, whoever made it so; and on record which exemptions have ended."""
    store, found, gone, rows = services.store.protection, dict[Target, InForce](), list[Target](), list[AuditRecord]()
    for item in items:
        wish, known = gathered.wish(item.target), gathered.known.get(item.target)
        if wish is not None and known is not None:
            rows += _ended(services, wish, known)
        if item.kind is Kind.NOTHING and wish is not None and (wish.protect or known is not None):
            new = InForce(_values_of(wish, item.before), wish.exemptions, services.now())
            if known is None or (known.values, known.exemptions) != (new.values, new.exemptions):
                found[item.target] = new
    shown = {item.target for item in items}
    gone = [target for target in gathered.known if target.repo == facts.repo and target not in shown]
    store.append(rows)
    store.note_in_force(facts.repo, found, gone)


def _values_of(wish: Wish, there: Values) -> dict[Field, Value]:
    """The managed fields as GitHub has them; empty for what is wished to be unprotected."""
    return {name: there.get(name, value) for name, value in wish.values.items()} if wish.protect else {}


def _ended(services: Services, wish: Wish, known: InForce) -> list[AuditRecord]:
    """A row for each exemption that has run out since it was last seen in force; each time the same one."""
    return [
        AuditRecord(
            id=f"{known.at:.0f}-{hashlib.sha256(f'{one} {wish.target}'.encode()).hexdigest()[:10]}",
            time=services.now(),
            run="",
            target=str(wish.target),
            result=Result.EXPIRED,
            by=OURSELVES,
            why=f"the exemption {one} has ended",
            config=services.config.digest,
            place=wish.place,
        )
        for one in sorted({*wish.expired.values()} & {*known.exemptions})
    ]


def _measure(services: Services, gathered: Gathered, rows: Sequence[AuditRecord]) -> None:
    """The gauges of whole owners, and what is counted of every look (P3.19)."""
    store = services.store
    for row in rows:
        store.count("mergeq_protection_drift_total", org=row.repo.partition("/")[0], reason=row.effect)
    is_whole = "/" not in gathered.scope and not gathered.is_asked
    orgs = {repo.partition("/")[0] for repo in gathered.facts} if is_whole else set()
    for org in orgs:
        kinds = [item.kind for item in gathered.plan.items if item.target.repo.startswith(f"{org}/")]
        for kind in Kind:
            store.set_gauge("mergeq_protection_branches", kinds.count(kind), org=org, reason=kind.value)
    reason = "changes" if gathered.plan.writes else "nothing"
    store.count("mergeq_protection_plans_total", org=gathered.scope.partition("/")[0], reason=reason)


# a run


def reconcile(services: Services, scope: str, going: Callable[[], bool] = lambda: True) -> Report:
    """Bring what a scope names to what is configured, as far as it is enforced and nobody has to agree first.

    Called by timer and by events alike. `going` is asked before each write. Raises HeldBack.
    """
    store, began, scope = services.store.protection, services.now(), widened(services, scope)
    gathered = gather(services, scope)
    note(services, gathered)
    if scope == ALL:
        store.note_whole(gathered.at, services.config.digest)
    order = Order(store.new_id(began), plan=gathered.plan.hash)
    chosen = in_order(gathered.plan)
    report = Report(order.run, gathered)
    if why := stopped(services):
        report = replace(report, left=tuple((item, why) for item in chosen))
    elif chosen:
        report = enforce(services, gathered, chosen, order, going)
    else:
        _supersede(services, scope)
    tell(services, report, services.now() - began)
    return report


def widened(services: Services, scope: str) -> str:
    """A scope, or everything where the configuration is another than at the last look at everything: no part of a
    change goes by itself that would be held as a whole.
    """
    return scope if services.store.protection.whole()[1] == services.config.digest else ALL


def enforce(
    services: Services,
    gathered: Gathered,
    chosen: Sequence[Item],
    order: Order,
    going: Callable[[], bool] = lambda: True,
    say: Callable[[AuditRecord], None] = lambda _: None,
) -> Report:
    """Carry out items unless they wait for a person: together they are more than may go by itself, or they are part of
    a plan that waits already (P7.6).
    """
    store, now = services.store.protection, services.now()
    acked = store.acknowledged(now)
    fresh = [item for item in chosen if item.hash not in acked]
    asked = Plan(tuple(sorted(fresh, key=lambda item: item.target)), config=services.config.digest)
    if reasons := gate(asked, services.config.protection_values.gate):
        would = extent(asked)
        counts = (len(would.repos), len(would.weakened), len(would.removed))
        held = Held(asked.hash, now, reasons, *counts, asked.items, gathered.scope)
        waits = replace(order, plan=held.hash, why="; ".join(reasons))
        rows = [_row(services, waits, item, Result.HELD) for item in asked.items]
        if store.hold(held, rows):
            services.log.error("a plan waits for somebody to agree", plan=held.hash[:12], why="; ".join(reasons))
        return Report(order.run, gathered, held)
    _supersede(services, gathered.scope)
    waiting = {item.target for held in store.held() for item in held.items}
    free = [item for item in chosen if item.hash in acked or item.target not in waiting]
    left = tuple((item, "it is part of a plan that waits for somebody to agree") for item in chosen if item not in free)
    report = carry_out(services, gathered, free, order, going, say)
    return replace(report, left=(*left, *report.left))


def _supersede(services: Services, scope: str) -> None:
    """Forget the plans that waited and that a look at a scope, which is held by nothing, has weighed again."""
    store = services.store.protection
    for held in store.held():
        if scope in {held.scope, ALL}:
            store.let_go(held.scope)


def acknowledge(services: Services, held: Held, who: str, why: str) -> None:
    """Let the items of a plan that waits go, on record; they are written by the next look, which is soon."""
    store = services.store.protection
    order = Order("", who, why, plan=held.hash)
    rows = [_row(services, order, item, Result.ACKNOWLEDGED) for item in held.items]
    store.acknowledge(held, rows, services.now())
    store.mark([held.scope], services.now())


def undoing(services: Services, run: str) -> Gathered:
    """What would put back all that a run has changed; empty where nothing is known of it, or nothing is left. Raises
    HeldBack.
    """
    wishes = {wish.target: wish for wish in reversed(undone(services.store.protection.run(run)))}
    mode = services.config.protection_mode
    asked = [replace(wish, mode=mode(wish.target.repo.partition("/")[0])) for wish in wishes.values()]
    return gather(services, ALL, asked)


def stopped(services: Services, *, by_hand: bool = False) -> str:
    """Why nothing may be written at all at present; a person may also where the store is new."""
    if services.followed.problem:
        return "the configuration on disk is invalid, and nothing is written until it is mended"
    if (halt := services.store.halts().get(EVERYTHING)) is not None:
        return f"everything is halted: {halt.said}"
    return "" if by_hand or services.store.is_founded() else _UNFOUNDED


def tell(services: Services, report: Report, seconds: float | None = None) -> None:
    """Say in the log and in figures what a run has come to."""
    store, gathered = services.store, report.gathered
    if seconds is not None:
        store.set_gauge("mergeq_protection_run_seconds", seconds, scope="all" if gathered.scope == ALL else "part")
    store.set_gauge("mergeq_protection_held", len(store.protection.held()))
    skipped = [(item, item.kind.value) for item in gathered.plan.items if item.kind not in {*WRITES, Kind.NOTHING}]
    skipped += [(item, "observe") for item in gathered.plan.writes if item.mode is Mode.OBSERVE]
    skipped += [(item, "held") for item in report.held.items] if report.held else []
    skipped += [(item, "left") for item, _ in report.left]
    for item, reason in skipped:
        store.count("mergeq_protection_skipped_total", org=item.target.repo.partition("/")[0], reason=reason)
    for repo, why in gathered.unknown.items():
        services.log.warning("protection not read", about=repo, why=why)
    for item, why in report.left:
        services.log.warning("protection not written yet", target=str(item.target), why=why)


# what is told of one branch, and what is taken over


@dataclass(frozen=True, slots=True)
class Setting:
    """Something that is in force on a branch: who demands it, the lines that ask for it where it is ours, and by whose
    doing it is there since when, as far as the audit goes back.
    """

    field: str
    value: Value | Check | str
    by: tuple[str, ...]
    sources: tuple[Source, ...] = ()
    since: float | None = None
    who: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """All that is in force on a branch, what could not be read of it, and what is planned for it."""

    branch: Branch
    settings: tuple[Setting, ...] = ()
    unknown: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()


def explain(services: Services, branch: Branch) -> Explained:
    """Everything that is in force on a branch, as it is on GitHub now. Raises HeldBack and Unreadable."""
    gathered = gather(services, branch.full_repo)
    facts = gathered.facts.get(branch.full_repo) or services.planner.read([branch.full_repo])[branch.full_repo]
    if facts.rules is None and facts.rulesets is None and facts.problem:
        raise Unreadable(facts.problem.text)
    found = effective(branch.name, facts)
    rows = services.store.protection.audit(Sought(about=branch.full_repo), limit=2000)
    items = tuple(item for item in gathered.plan.items if matches(item.target.pattern, branch.name))
    settings = tuple(_setting(gathered, branch, demand, rows) for demand in found.demands)
    return Explained(branch, settings, found.unknown, items)


def _setting(gathered: Gathered, branch: Branch, demand: Demand, rows: Sequence[AuditRecord]) -> Setting:
    patterns = [one.removeprefix("rule ") for one in demand.by if one.startswith("rule ")]
    wish = next((wish for one in patterns if (wish := gathered.wish(Target(branch.full_repo, one)))), None)
    sources = wish.sources.get(Field(demand.field), ()) if wish and demand.field in {*Field} else ()
    row = next((row for row in rows if _brought(row, demand, branch.full_repo)), None)
    told = (row.time, row.by, row.why) if row else (None, "", "")
    return Setting(demand.field, demand.value, demand.by, sources, *told)


def _brought(row: AuditRecord, demand: Demand, repo: str) -> bool:
    """Whether a row tells of how a demand came about."""
    if row.result not in {Result.APPLIED, Result.ROLLED_BACK, Result.SEEN}:
        return False
    if row.target == repo:
        return any(row.why.startswith(f"{one.rpartition(' of ')[0]} was") for one in demand.by)
    if f"rule {row.target.partition(':')[2]}" not in demand.by:
        return False
    before, after = ((side or {}).get(demand.field) for side in (row.before, row.after))
    if isinstance(demand.value, Check):
        name = demand.value.context
        return _names(name, after) and not _names(name, before)
    return after is not None and after != before


def _names(context: str, told: Any) -> bool:
    return any(one["context"] == context for one in told or ())


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A configuration that keeps what is there, and in words what it cannot hold; `unknown` is what was not read."""

    policy: Mapping[str, Any]
    comments: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def take_over(planner: Protecting, scope: str, reserved: tuple[str, ...]) -> TakenOver:
    """The configuration under which nothing is to be done about what protects an ORG or an ORG/REPO now. Raises
    HeldBack and Unreadable.
    """
    repos = [scope] if "/" in scope else [one.repo for one in planner.repos(scope)]
    facts = planner.read(repos)
    unknown = [f"{repo} was not read: {_unread(one)}" for repo, one in facts.items() if one.rules is None]
    rules = {repo: one.rules for repo, one in facts.items() if one.rules}
    comments = [
        f"{repo}: the ruleset {one.name} of {one.owner} stays as it is; mergeq reads it, and this does not hold it"
        for repo, seen in facts.items()
        for one in seen.rulesets or ()
    ]
    comments += [
        f"{repo}:{rule.pattern} is where mergeq stages, and is left out"
        for repo, theirs in rules.items()
        for rule in theirs
        if any(may_begin(rule.pattern, one) for one in reserved)
    ]
    return TakenOver(factored(rules, reserved), tuple(dict.fromkeys([*unknown, *comments])), tuple(unknown))


def _unread(facts: RepoFacts) -> str:
    return facts.problem.text if facts.problem else "GitHub does not say why"


# carrying out


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
        self.rows: list[AuditRecord] = []
        self.left: list[tuple[Item, str]] = []

    def on(self, repo: str, items: Sequence[Item]) -> None:
        """Carry out the items of a repository; nothing that goes wrong here stops others (D8)."""
        todo = list(items)
        try:
            with self._writing(repo) as writer:
                if writer is None:
                    self._leave(todo, "somebody else is writing there", _AGAIN)
                    return
                facts, refusals = self._read(repo), 0
                while todo:
                    if not self._going():
                        self._leave(todo, STOPPED, None)
                        return
                    if refusals == _REFUSALS:
                        why = "GitHub refused two changes here for want of administration rights"
                        self._leave(todo, why, None)
                        return
                    row, facts = self._one(writer, todo[0], facts)
                    refusals += row is not None and row.problem.startswith(Trouble.NO_ADMIN)
                    del todo[0]
        except LeaseLost:
            self._leave(todo, "another writer took over", _AGAIN)
        except HeldBack as error:
            self._leave(todo, str(error), max(error.until - self._services.now(), 0.0))
        except Unreadable as error:
            self._leave(todo, str(error), _LATER)
        except Exception as error:
            self._leave(todo, f"mergeq failed ({type(error).__name__})", _LATER)
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
        return _planned(self._services, self._gathered, {facts.repo: facts})

    def _one(self, writer: Writer, wanted: Item, facts: RepoFacts) -> tuple[AuditRecord | None, RepoFacts]:
        """Carry out one item if it is still to be, and the repository as it then is."""
        item = _of(self._again(facts), wanted.target)
        if item is None or item.kind not in WRITES:
            return None, facts  # it is as wished by now, or is not to be any more
        if item.hash != wanted.hash and (self._order.exactly or _is_worse(item, wanted)):
            self._leave([wanted], "it was changed since the plan was made; plan it again", _AGAIN)
            return None, facts
        services, store = self._services, self._store
        if wait := store.turn(facts.repo.partition("/")[0], services.now(), _INTERVAL):
            services.sleep(wait)
        with _branches_kept(services, item.target) as busy:
            if busy:
                self._leave([wanted], f"the queue is at work on {busy}", _AGAIN)
                return None, facts
            store.extend(writer, services.now())
            row = _row(services, self._order, item, Result.ROLLED_BACK if self._order.undoes else Result.APPLIED)
            row = replace(row, executor=_executor(services))
            store.intend(writer, row, item)
            problem = _write(services, item, facts)
            store.extend(writer, services.now())
            return self._verified(writer, item, row, problem, facts)

    def _verified(
        self, writer: Writer, item: Item, row: AuditRecord, problem: Problem | None, facts: RepoFacts
    ) -> tuple[AuditRecord, RepoFacts]:
        """Find out what became of a write by reading it again, and put that on record (P7.8)."""
        services, at, rest, calls = self._services, 0.0, item, 1
        for wait in _SETTLES if problem is None else (0.0,):
            if wait:
                services.sleep(wait)
            at, calls = services.now(), calls + 1
            facts = self._read(facts.repo)
            found = _of(self._again(facts), item.target)
            if found is None or found.kind not in {*WRITES, Kind.PARKED}:
                return self._ended(writer, item, replace(row, calls=calls), facts, at), facts
            rest = found
        if problem is not None:
            return self._failed(replace(row, calls=calls), problem), facts
        return self._not_effective(writer, item, replace(row, calls=calls), rest, facts, at), facts

    def _ended(self, writer: Writer, item: Item, row: AuditRecord, facts: RepoFacts, at: float) -> AuditRecord:
        services, order = self._services, self._order
        wish = self._gathered.wish(item.target)
        known = InForce(_values_of(wish, item.after), item.exemptions, services.now()) if wish else None
        parked = _kept_undone(services, facts, item.target, order) if order.undoes else None
        live = (at, spoken_facts(facts))
        self._store.note_applied(writer, item, row, in_force=known, live=live, parked=parked)
        self._show(facts)
        services.store.count("mergeq_protection_applied_total", org=_org(item), reason=row.cause or "asked")
        return self._said(row)

    def _failed(self, row: AuditRecord, problem: Problem) -> AuditRecord:
        row = replace(row, result=Result.FAILED, problem=f"{problem.kind}: {problem.text}")
        self._store.note_failed(row)
        if problem.kind in _RETRIED:
            self._store.put_off(row.repo, self._services.now() + _LATER)
        org = row.repo.partition("/")[0]
        self._services.store.count("mergeq_protection_failed_total", org=org, reason=problem.kind.value)
        self._services.log.warning("protection not changed", target=row.target, why=row.problem)
        return self._said(row)

    def _not_effective(
        self, writer: Writer, item: Item, row: AuditRecord, rest: Item, facts: RepoFacts, at: float
    ) -> AuditRecord:
        """GitHub took it and it is not so: tried once more, then left alone for longer each time, until the wish or the
        live rule is another.
        """
        services, about = self._services, difference_of(rest)
        known = self._store.parked([facts.repo]).get(item.target)
        strikes = known.strikes + 1 if known is not None and known.about == about else 1
        seconds = min(_PARKED * 2.0 ** min(strikes - 2, 20), _PARKED_LONGEST) if strikes > 1 else _AGAIN
        names = ", ".join(change.field for change in rest.changes) or "the rule"
        why = f"GitHub accepted the change, but it had no effect on {names}"
        row = replace(row, result=Result.NOT_EFFECTIVE, problem=why)
        parked = Parked(f"{why}, {strikes} times", about, strikes, services.now() + seconds)
        live = (at, spoken_facts(facts))
        self._store.note_applied(writer, item, row, in_force=None, live=live, parked=parked)
        self._store.put_off(facts.repo, parked.until)
        self._show(facts)
        services.store.count("mergeq_protection_failed_total", org=_org(item), reason=Trouble.NOT_EFFECTIVE.value)
        tell = services.log.error if strikes > 1 else services.log.warning
        tell("protection without effect", target=str(item.target), fields=names, times=strikes)
        return self._said(row)

    def _show(self, facts: RepoFacts) -> None:
        """Have pages show the repository as it is now; after what was asked for besides, as the next look finds it."""
        if self._gathered.is_asked:
            self._store.put_off(facts.repo, self._services.now())
            return
        items = self._again(facts).items
        self._store.note_seen([_seen(self._services, replace(self._gathered, at=self._services.now()), facts, items)])

    def _said(self, row: AuditRecord) -> AuditRecord:
        self.rows.append(row)
        self._say(row)
        return row


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


def _row(services: Services, order: Order, item: Item, result: Result) -> AuditRecord:
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
        why=order.why or item.why,
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
    sent = body(policy, apps=values.enable_apps_restrictions)
    signatures = next((bool(one.after) for one in item.changes if one.field is Field.SIGNATURES), None)
    return services.applier.replace(target.repo, target.pattern, sent, signatures)


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
