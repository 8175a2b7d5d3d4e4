"""What to do with a branch now, and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from mergeq.core import evidence
from mergeq.core.action import Action, Blocked, Land, Merge, Update, Wait
from mergeq.core.batch import Conflict, Run, RunState, is_current, rest, verdict
from mergeq.core.compat import Compat
from mergeq.core.evidence import Evidence
from mergeq.core.pool import BranchSettings, Memory, Pool, Standing, divide, priority_of, ranked
from mergeq.core.pull import BranchFacts, Method
from mergeq.core.queue import Retest
from mergeq.core.strategy import Strategy, choose, holds_a_failure


@dataclass(frozen=True, slots=True)
class Decision:
    """The one action for a branch, and the runs to give up with the reason for each."""

    action: Action
    abandon: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that is known of a branch at one moment, `now` in seconds since the epoch: what a decision about it is
    made of, and all that is needed to come to it again. `rows` are Tide's evidence (D20). `doubt` says why the base has
    to be tested alone.
    """

    facts: BranchFacts
    memory: Memory = field(default_factory=Memory)
    runs: tuple[Run, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    halted: str = ""
    now: float = 0.0
    rows: tuple[Evidence, ...] = ()
    doubt: str = ""


def judge(situation: Situation, settings: BranchSettings) -> tuple[Pool, Decision]:
    """The pool of a branch, and what to do with it."""
    pool = divide(situation.facts, settings, situation.memory, situation.now)
    pool = replace(pool, halted=situation.halted, doubt=situation.doubt)
    decision = decide(
        pool,
        settings,
        runs=situation.runs,
        conflicts=situation.conflicts,
        rows=situation.rows,
        now=situation.now,
    )
    return pool, decision


def decide(
    pool: Pool,
    settings: BranchSettings,
    *,
    runs: Sequence[Run] = (),
    conflicts: Iterable[Conflict] = (),
    rows: Iterable[Evidence] = (),
    now: float = 0.0,
    strategy: Strategy | None = None,
) -> Decision:
    """What to do with a pool, in Tide's order (T4.3): blockers, then what is green, then what to test, else wait.

    A pool with a gap in its facts waits and says what could not be read (D8), if it is not about single pull requests
    that are no part of a run: those just stay out. Runs that are not about this pool any
    more are given up, whatever they said. `rows` are Tide's evidence, which only Compat.TIDE believes; `strategy` is
    another way to use the slots than their number says.
    """
    runs = sorted(runs, key=lambda run: (-len(run.members), run.started_at, run.id))
    abandon = tuple((run.id, why) for run in runs if run.ended is None and (why := _stale(run, runs, pool, settings)))
    if pool.partial and settings.compat is not Compat.TIDE:
        return Decision(Wait(f"not everything could be read from GitHub: {pool.partial}"))
    if pool.halted:
        return Decision(Wait(f"halted until a person resumes it: {pool.halted}"))
    if missed := _missed(runs, pool):
        return Decision(Wait(f"{missed} is being tested, and could not be read from GitHub in full"))
    if pool.blockers:
        return Decision(Blocked(pool.blockers), abandon)
    match settings.queue.retest:
        case Retest.STAGING if settings.compat is Compat.TIDE:
            rows = tuple(rows)
            found = evidence.progress(pool, rows, settings)
            return Decision(evidence.choose(pool, settings, found, tuple(conflicts), rows), abandon)
        case Retest.STAGING:
            left = [run for run in runs if run.id not in dict(abandon)]
            return Decision(choose(pool, settings, left, tuple(conflicts), now, strategy), abandon)
        case Retest.UPDATE:
            return Decision(_up_to_date(pool, settings, runs, now), abandon)
        case Retest.HEAD:
            return Decision(_on_the_head(pool, settings), abandon)
        case _:
            assert_never(settings.queue.retest)


def _on_the_head(pool: Pool, settings: BranchSettings) -> Action:
    """In `head` mode the first member lands; it is green already (T4.9). With `landings_per_cycle` those behind it land
    by the same look, until one touches a file that another does, or it is not known which it touches (T12.14).
    """
    ready = [member for member in ranked(pool.members, settings) if member.method is not None]
    for first in ready[:1]:
        together = _apart(ready[: settings.queue.landings_per_cycle])
        why = _why(first, pool, settings)
        if len(together) > 1:
            return Land("", tuple(member.pull.number for member in together), f"{why}; they touch no file in common")
        return Merge(first.pull.number, first.pull.head_sha, first.method or Method.MERGE, why)
    return Wait("no pull request is ready" if pool.standings else "no pull request is open")


def _apart(members: Sequence[Standing]) -> list[Standing]:
    """The first of these, and as many behind it as change files that none before them does."""
    found, touched = list[Standing](), set[str]()
    for member in members:
        paths = member.pull.paths
        if found and (paths is None or not touched.isdisjoint(paths)):
            break
        found.append(member)
        if paths is None:
            break
        touched.update(paths)
    return found


def _up_to_date(pool: Pool, settings: BranchSettings, runs: Sequence[Run], now: float) -> Action:
    """In `update` mode one pull request at a time is brought up to date with the base; it lands when its head, which
    then contains the base, is green (D3). One whose CI takes longer than `timeout` lets others go ahead.
    """
    if not settings.contexts.required:
        return Wait("blocked: no context is required, so nothing could ever be proved")
    for run in (run for run in runs if run.ended is None and is_current(run, pool)):
        number, standing = run.members[0].number, pool.standing(run.members[0].number)
        if run.is_asked_for:
            return Wait(f"#{number} is brought up to date with {pool.branch.name}")
        if standing and standing.in_pool and verdict(run, settings, now).state is RunState.GREEN:
            return Land(run.id, (number,), f"green on a head that contains {pool.base_sha[:7]}")
        if now - run.started_at < settings.queue.staging.timeout:
            return Wait(f"testing #{number}, whose head contains {pool.base_sha[:7]}")
    for member in ranked(pool.members, settings):
        return Update(member.pull.number, member.pull.head_sha, f"first to be held against {pool.base_sha[:7]}")
    return Wait("no pull request is ready" if pool.standings else "no pull request is open")


def _missed(runs: Iterable[Run], pool: Pool) -> str:
    """A member of a run under way that is not among what was read, where something could not be: whether its run is
    still about the pool is not known.
    """
    under_way = (run for run in runs if pool.unread and run.ended is None and not run.is_asked_for)
    missed = (member.number for run in under_way for member in run.members if pool.standing(member.number) is None)
    return next((f"#{number}" for number in missed), "")


def _stale(run: Run, runs: Sequence[Run], pool: Pool, settings: BranchSettings) -> str:
    """Why an unfinished run is not worth its end any more; empty when it is."""
    if settings.queue.retest is Retest.HEAD:
        return "staging is off"
    if run.on_head != (settings.queue.retest is Retest.UPDATE):
        return f"`retest` is {settings.queue.retest} now"
    if is_current(run, pool):
        return "it begins with what is red by itself" if holds_a_failure(run, pool, runs) else ""
    left = run.members if run.on_head else rest(run, pool.base_sha, pool.base_tree)
    if left is None or (run.on_head and run.base_sha != pool.base_sha):
        return f"the base moved from {run.base_sha[:7]} to {pool.base_sha[:7]}"
    known = {member.pull.number: member.pull.head_sha for member in pool.members}
    gone = [f"#{member.number}" for member in left if known.get(member.number) != member.head_sha]
    if not left:
        return "all of it has landed"
    return f"{', '.join(gone) or 'a member'} left the pool or changed"


def _why(chosen: Standing, pool: Pool, settings: BranchSettings) -> str:
    others = len(pool.members) - 1
    if not others:
        return "green and admitted"
    urgent = priority_of(chosen.pull, settings) < len(settings.priority)
    place = "highest priority" if urgent else f"first by {settings.queue.order.value}"
    return f"green and admitted; {place} of {others + 1}"
