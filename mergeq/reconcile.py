"""Protection is brought to what is configured: gather, plan, gate, apply, verify, write down what came of it (P7.1).

What is read and planned is in `gathering`, what is written in `enforcing`; what is decided is decided in the core.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mergeq.bootstrap import Services
from mergeq.core.audit import (
    AuditRecord,
    Held,
    InForce,
    Result,
)
from mergeq.core.factoring import factored
from mergeq.core.orders import EVERYTHING
from mergeq.core.planning import DAY, extent, gate, in_order, undone
from mergeq.core.protecting import GateValues
from mergeq.core.protection import (
    WRITES,
    Cause,
    Check,
    Field,
    Item,
    Kind,
    Mode,
    Plan,
    RepoFacts,
    Source,
    Target,
    Trouble,
    Value,
    Wish,
)
from mergeq.core.pull import Branch
from mergeq.core.rulesets import Demand, effective, matches, may_begin
from mergeq.enforcing import (
    LATER,
    OURSELVES,
    RETRIED,
    Order,
    Report,
    carry_out,
    note_changes,
    row_about,
    values_of,
)
from mergeq.gathering import ALL, Gathered, gather, seen_as
from mergeq.github import Protecting, Unreadable
from mergeq.store.protection import Sought

UNDOING = "rollback "  # what the scope of a plan begins with that puts back what a run has changed
_AGAIN = 60.0  # seconds until what was not done is tried again
_REGAINED = 3600.0  # until it is seen whether rights that were there before are back
_FEW = 20  # repositories that are looked at again each by itself
_UNFOUNDED = "the store is new, and it is being found out whether an earlier one was lost"


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
            rows += note_changes(services, facts, gathered.at, items[repo])
            if not gathered.is_asked:
                _note_in_force(services, gathered, facts, items[repo])
    _measure(services, gathered)
    if not gathered.is_asked:
        store.note_seen(seen_as(services, gathered, facts, items[repo]) for repo, facts in gathered.facts.items())
        if not gathered.errors and "/" not in gathered.scope:
            store.forget_repos(gathered.scope, gathered.facts.keys() - _forget_gone(services, gathered))
        _look_again(services, gathered)
    return tuple(rows)


def _look_again(services: Services, gathered: Gathered) -> None:
    """Have what an exemption is about looked at when it ends, soon what could not be read for now, and after a while
    what mergeq was let read before.
    """
    store, now = services.store.protection, services.now()
    for repo, wishes in gathered.wishes.items():
        if ends := [wish.expires_at for wish in wishes if wish.expires_at]:
            store.put_off(repo, min(ends))
    troubles = {repo: one.problem.kind for repo, one in gathered.facts.items() if one.problem}
    ours = {target.repo for target in gathered.known}
    passing = [repo for repo, kind in troubles.items() if kind in RETRIED]
    refused = [repo for repo, kind in troubles.items() if kind is Trouble.NO_ADMIN and repo in ours]
    is_weighed = gathered.scope != ALL or store.whole()[1] == services.config.digest or bool(stopped(services))
    for repos, seconds in ((passing, LATER), (refused, _REGAINED)):
        is_all = bool(repos) and not (is_weighed and len(repos) <= _FEW)
        for scope in [gathered.scope] if is_all else repos:
            store.put_off(scope, now + seconds)
    read = {repo.partition("/")[0].lower() for repo in gathered.facts}
    for org in (org for org in gathered.errors if org.lower() not in read):
        store.put_off(org, now + LATER)


def _note_in_force(services: Services, gathered: Gathered, facts: RepoFacts, items: Sequence[Item]) -> None:
    """Remember what is as it is wished, whoever made it so; and on record which exemptions have ended."""
    store, found, gone, rows = services.store.protection, dict[Target, InForce](), list[Target](), list[AuditRecord]()
    for item in items:
        wish, known = gathered.wish(item.target), gathered.known.get(item.target)
        if wish is not None and known is not None:
            rows += _ended(services, wish, known)
        if item.kind is Kind.NOTHING and wish is not None and (wish.protect or known is not None):
            new = InForce(values_of(wish, item.before), wish.exemptions, services.now())
            if known is None or (known.values, known.exemptions) != (new.values, new.exemptions):
                found[item.target] = new
    shown = {item.target for item in items}
    gone = [target for target in gathered.known if target.repo == facts.repo and target not in shown]
    store.append(rows)
    store.note_in_force(facts.repo, found, gone)


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


def _forget_gone(services: Services, gathered: Gathered) -> set[str]:
    """The repositories that are not looked for any more, each on record: those that have another name now, and those
    that have not been there for a day. One that the configuration names is looked for until that is mended.
    """
    store, now, found = services.store.protection, services.now(), set[str]()
    named = {repo.lower() for repos in services.config.protected().values() for repo in repos or ()}
    for repo, facts in gathered.facts.items():
        if facts.rules is not None or not facts.problem or facts.problem.kind is not Trouble.GONE:
            continue
        seen = store.live(repo)
        is_over = bool(facts.renamed_to) or seen is None or seen[0] < now - DAY
        if is_over and repo.lower() not in named:
            found.add(repo)
            why = f"what was in force there is forgotten: {facts.problem.text}"
            digest = services.config.digest
            store.append([AuditRecord(store.new_id(now), now, "", repo, Result.SEEN, why=why, config=digest)])
            store.note_in_force(repo, {}, [target for target in gathered.known if target.repo == repo])
    return found


def _measure(services: Services, gathered: Gathered) -> None:
    """What is counted of every look (P3.19)."""
    reason = "asked" if gathered.is_asked else "changes" if gathered.plan.writes else "nothing"
    org = "" if gathered.is_asked else gathered.scope.partition("/")[0]
    services.store.count("mergeq_protection_plans_total", org=org, reason=reason)


# a run


def reconcile(services: Services, scope: str, going: Callable[[], bool] = lambda: True) -> Report:
    """Bring what a scope names to what is configured, as far as it is enforced and nobody has to agree first.

    Called by timer and by events alike. `going` is asked before each write. Raises HeldBack.
    """
    store, began, scope = services.store.protection, services.now(), widened(services, scope)
    gathered = gather(services, scope)
    note(services, gathered)
    order = Order(store.new_id(began), plan=gathered.plan.hash)
    chosen = in_order(gathered.plan)
    report = Report(order.run, gathered)
    if why := stopped(services):
        report = replace(report, left=tuple((item, why) for item in chosen))
    else:
        if scope == ALL:
            store.note_whole(gathered.at, services.config.digest)
        report = enforce(services, gathered, chosen, order, going)
    tell(services, report, services.now() - began)
    return report


def widened(services: Services, scope: str) -> str:
    """A scope, or everything where the configuration is another than when all was last weighed: no part of a change
    goes by itself that would be held as a whole.
    """
    is_weighed = services.store.protection.whole()[1] == services.config.digest
    return scope if is_weighed or stopped(services) else ALL


def enforce(
    services: Services,
    gathered: Gathered,
    chosen: Sequence[Item],
    order: Order,
    going: Callable[[], bool] = lambda: True,
    say: Callable[[AuditRecord], None] = lambda _: None,
) -> Report:
    """Carry out items unless they wait for a person: together they are more than may go by itself, or they are part of
    a plan that waits already, which does not keep anybody from putting something back (P7.6). What somebody did to one
    repository has nothing else wait. Whoever halts everything is heard before the next write.
    """
    store, now = services.store.protection, services.now()
    acked = store.acknowledged(now)
    fresh = [item for item in chosen if item.hash not in acked]
    is_wide = "/" not in gathered.scope and not order.undoes
    apart = _apart(fresh, services.config.protection_values.gate) if is_wide else {}
    rest = [item for item in fresh if item.target.repo not in apart]
    if gate(_together(services, rest), services.config.protection_values.gate):
        return Report(order.run, gathered, _hold(services, order, fresh, gathered.scope))
    _supersede(services, gathered.scope, apart)
    for repo, items in apart.items():
        _hold(services, order, items, repo)
    plans = () if order.undoes else store.held()
    waiting = {item.target: held.hash[:12] for held in plans for item in held.items}
    free = [item for item in chosen if item.hash in acked or item.target not in waiting]
    left = tuple(
        (item, f"it is part of plan {waiting[item.target]}, which waits for somebody to agree")
        for item in chosen
        if item not in free
    )

    def goes_on() -> bool:
        return going() and not stopped(services, by_hand=order.exactly)

    report = carry_out(services, gathered, free, order, goes_on, say)
    return replace(report, left=(*left, *report.left))


def _apart(items: Sequence[Item], limits: GateValues) -> dict[str, list[Item]]:
    """The repositories that wait each by itself, while all others do not wait for them: those of which somebody has
    made so much another than it is wished that this alone is more than may go by itself.
    """
    by_repo: dict[str, list[Item]] = {}
    for item in items:
        by_repo.setdefault(item.target.repo, []).append(item)
    return {
        repo: theirs
        for repo, theirs in by_repo.items()
        if all(item.cause is Cause.DRIFT for item in theirs) and gate(Plan(tuple(theirs)), limits)
    }


def _together(services: Services, items: Iterable[Item]) -> Plan:
    return Plan(tuple(sorted(items, key=lambda item: item.target)), config=services.config.digest)


def _hold(services: Services, order: Order, items: Iterable[Item], scope: str) -> Held:
    """Have items wait for somebody to agree to them as one plan, on record."""
    asked = _together(services, items)
    would, reasons = extent(asked), gate(asked, services.config.protection_values.gate)
    counts = (len(would.repos), len(would.weakened), len(would.removed))
    held = Held(asked.hash, services.now(), reasons, *counts, asked.items, scope)
    waits = replace(order, plan=held.hash, why="; ".join(reasons))
    rows = [row_about(services, waits, item, Result.HELD) for item in asked.items]
    if services.store.protection.hold(held, rows):
        services.log.error("a plan waits for somebody to agree", plan=held.hash[:12], why=waits.why)
    return held


def _supersede(services: Services, scope: str, but: Collection[str]) -> None:
    """Forget the plans that waited and that a look at a scope, which is held by nothing, has weighed again."""
    store = services.store.protection
    for held in store.held():
        if scope in {held.scope, ALL} and held.scope not in but:
            store.let_go(held.scope)


def acknowledge(services: Services, held: Held, who: str, why: str) -> None:
    """Let the items of a plan that waits go, on record; they are written by the next look, which is soon, but what puts
    something back by whoever asks for it again.
    """
    store = services.store.protection
    order = Order("", who, why, plan=held.hash)
    rows = [row_about(services, order, item, Result.ACKNOWLEDGED) for item in held.items]
    store.acknowledge(held, rows, services.now())
    if not held.scope.startswith(UNDOING):
        store.mark([held.scope], services.now())


def undoing(services: Services, run: str) -> Gathered:
    """What would put back all that a run has changed; empty where nothing is known of it, or nothing is left. Raises
    HeldBack.
    """
    wishes = {wish.target: wish for wish in reversed(undone(services.store.protection.run(run)))}
    mode = services.config.protection_mode
    asked = [replace(wish, mode=mode(wish.target.repo.partition("/")[0])) for wish in wishes.values()]
    return gather(services, f"{UNDOING}{run}", asked)


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
    for why, count in Counter(why for _, why in report.left).items():
        first = next(str(item.target) for item, one in report.left if one == why)
        services.log.warning("protection not written yet", target=first, others=count - 1, why=why)


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
    is_missing: bool = False


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
    return Explained(branch, settings, found.unknown, items, is_missing=not settings and _is_missing(services, branch))


def _is_missing(services: Services, branch: Branch) -> bool:
    """Whether a repository certainly has no branch of that name."""
    names = services.planner.read([branch.full_repo], branches=[branch.full_repo])[branch.full_repo].branches
    return names is not None and branch.name not in names


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
    facts = planner.read(repos, branches=repos)
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
    policy = factored(rules, reserved, {repo: one.branches for repo, one in facts.items()})
    if not policy and not unknown:
        comments.insert(0, f"nothing that protects {scope} can be kept; write what is to protect it")
    return TakenOver(policy, tuple(dict.fromkeys([*unknown, *comments])), tuple(unknown))


def _unread(facts: RepoFacts) -> str:
    return facts.problem.text if facts.problem else "GitHub does not say why"
