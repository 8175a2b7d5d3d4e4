"""Everything there is to say about one pull request, in the order in which a colleague would say it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mergeq.core import query, status
from mergeq.core.action import targets_of, wire_name
from mergeq.core.batch import Run, is_current
from mergeq.core.decide import Decision, Situation, judge
from mergeq.core.landing import choose, obstacles
from mergeq.core.pool import BranchSettings, Pool, Standing, ranked, still_awaiting, under_protection
from mergeq.core.pull import Method
from mergeq.core.query import Query
from mergeq.core.queue import Retest
from mergeq.core.reason import Clause, Reason
from mergeq.core.status import Status


@dataclass(frozen=True, slots=True)
class Chance:
    """One query that speaks about the repository, and all that it misses; `is_closest` marks the one that is told
    first.
    """

    query: Query
    reasons: tuple[Reason, ...]
    is_closest: bool = False

    @property
    def distance(self) -> int:
        """Tide's weight of what is missing (T6.21); 0 when it admits."""
        return sum(reason.weight for reason in self.reasons)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one pull request is, or is not, merging.

    `standing.reasons` are all that keeps it out; `chances` every query that could take it, as configured. `position` is
    its turn in the pool, 1 is next, None outside. `next` says what will happen by itself, and what will not. `way` is
    how it lands and why so, empty where nothing is staged or it has no method.
    """

    standing: Standing
    pool: Pool
    status: Status
    chances: tuple[Chance, ...]
    position: int | None
    next: str
    way: str = ""


def explain(number: int, situation: Situation, settings: BranchSettings) -> Explanation | None:
    """Everything about one pull request of a branch; None when it is not open there."""
    pool, decision = judge(situation, settings)
    standing = pool.standing(number)
    return explained(standing, situation, settings, pool, decision) if standing else None


def explained(
    standing: Standing, situation: Situation, settings: BranchSettings, pool: Pool, decision: Decision
) -> Explanation:
    """Everything about one pull request of a branch that is judged already."""
    settings = under_protection(settings, situation.facts.protection)
    told = status.told(
        standing, pool, settings, runs=situation.runs, conflicts=situation.conflicts, rows=situation.rows
    )
    action, unproved = decision.action, situation.memory.unproved.get(standing.pull.number)
    return Explanation(
        standing=standing,
        pool=pool,
        status=replace(told, description=status.cut(told.description, settings.compat)),
        chances=chances(standing, still_awaiting(settings, standing.pull, unproved), situation.now),
        position=position(standing, pool, settings),
        next=next_step(standing, pool, wire_name(action), targets_of(action), action.why, situation.runs),
        way=way_of([(standing.pull.number, standing.method)], pool, settings) if standing.method else "",
    )


def way_of(members: Iterable[tuple[int, Method | None]], pool: Pool, settings: BranchSettings) -> str:
    """How staged pull requests land and why so, as far as methods and the rules of the branch tell (D5); else empty."""
    if settings.queue.retest is not Retest.STAGING:
        return ""
    return str(choose(settings.queue.landing, obstacles(members, pool.protection, settings.queue)))


def position(standing: Standing, pool: Pool, settings: BranchSettings) -> int | None:
    """Its turn among the members of its pool, 1 is served next; None outside."""
    served = [member.pull.number for member in ranked(pool.members, settings)]
    return served.index(standing.pull.number) + 1 if standing.in_pool else None


def chances(standing: Standing, settings: BranchSettings, now: float) -> tuple[Chance, ...]:
    """Every query for the repository with what it misses, the nearest marked, in the order of the configuration."""
    missed = [query.unmet(one, standing.pull, settings.demands) for one in settings.queries]
    distances = [sum(reason.weight for reason in reasons) for reasons in missed]
    nearest = distances.index(min(distances)) if distances else -1
    return tuple(
        Chance(one, tuple(reason.seen(now) for reason in reasons), index == nearest)
        for index, (one, reasons) in enumerate(zip(settings.queries, missed, strict=True))
    )


def lines(found: Explanation) -> Iterator[str]:
    """An explanation as plain lines for a terminal."""
    pull, standing = found.standing.pull, found.standing
    yield f"{pull}  {pull.title}"
    yield f"by {pull.author}, wants into {pull.base}, head {pull.head_sha[:7]}" + (
        f", would land by {standing.method}" if standing.method else ""
    )
    yield ""
    if standing.in_pool:
        yield f"It is in the pool, number {found.position} of {len(found.pool.members)}."
    else:
        count = len(standing.reasons)
        yield f"It is not merging: {'one thing stands' if count == 1 else f'{count} things stand'} in the way."
        for reason in standing.reasons:
            yield f"  - needs {reason.needed}, but {reason.observed}"
            yield f"      {reason.who}: {reason.remedy}"
    others = [one for one in found.chances if one.reasons and not one.is_closest]
    if standing.reasons and others:
        yield ""
        yield f"{len(others)} other quer{'ies' if len(others) > 1 else 'y'} could take it instead:"
        for chance in others:
            missing = "; ".join(f"needs {reason.needed}" for reason in chance.reasons)
            yield f"  - {said_of(chance.query)}: {missing}"
    yield ""
    yield f"Status on GitHub: {found.status.state}, {found.status.description}"
    yield f"Next: {found.next}"
    if found.way:
        yield f"Way of landing: {found.way}"


def said_of(one: Query) -> str:
    """What tells a query from its neighbours, in a few words."""
    words = [
        *([f"by {one.author}"] if one.author else ()),
        *([f"milestone {one.milestone}"] if one.milestone else ()),
        *([f"into {', '.join(one.included_branches)}"] if one.included_branches else ()),
        *([f"not into {', '.join(one.excluded_branches)}"] if one.excluded_branches else ()),
        *([f"with {', '.join(entry.replace(',', ' or ') for entry in one.labels)}"] if one.labels else ()),
        *([f"without {', '.join(one.missing_labels)}"] if one.missing_labels else ()),
        *(["with an approving review"] if one.review_approved_required else ()),
    ]
    return ", ".join(words) or "any pull request"


def next_step(
    standing: Standing, pool: Pool, action: str, targets: Sequence[int], why: str, runs: Iterable[Run]
) -> str:
    """What happens to a pull request next, and what has to happen before that, given what is done to its branch."""
    branch, base, number = pool.branch, pool.base_sha[:7], standing.pull.number
    if not standing.in_pool:
        if any(reason.clause is Clause.CLOSED for reason in standing.reasons):
            return "nothing: it is not open."
        ahead = len(pool.members)
        queue = f"behind {ahead} other{'s' * (ahead > 1)}" if ahead else "with nobody before it"
        return f"when nothing stands in the way any more, it joins the pool of {branch} by itself, {queue}."
    if pool.partial or pool.halted or pool.blockers:
        return f"nothing on {branch} for now: {why}."
    if number in targets:
        together = _beside(number, targets)
        if action in {"MERGE", "MERGE_BATCH"}:
            return f"it is landed now{together}: {why}."
        return f"it is put to the test on {base} now{together}: {why}."
    mine = (run for run in runs if run.ended is None and standing.pull.head_sha in run.heads and is_current(run, pool))
    if (run := next(mine, None)) is not None:
        together = _beside(number, (member.number for member in run.members))
        return f"it is being tested on {base}{together}; if that is green, it lands."
    others = ", ".join(f"#{one}" for one in targets)
    return f"it waits its turn: {f'{others} first' if others else why}."


def _beside(number: int, numbers: Iterable[int]) -> str:
    others = ", ".join(f"#{other}" for other in numbers if other != number)
    return f", together with {others}" if others else ""
