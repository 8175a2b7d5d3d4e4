"""What to do with a branch now, and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from mergeq.core import evidence
from mergeq.core.batch import (
    Conflict,
    Progress,
    Run,
    RunState,
    candidates,
    is_current,
    progress,
    serial_candidate,
    verdict,
)
from mergeq.core.compat import Compat
from mergeq.core.contexts import unsuccessful
from mergeq.core.evidence import Evidence
from mergeq.core.pool import BranchSettings, Memory, Pool, Standing, divide, priority_of, ranked
from mergeq.core.pull import Blocker, BranchFacts, Method
from mergeq.core.queue import Retest


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing, because of `why`. `failed`: something was to be done and cannot be (T4.8)."""

    why: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """Do nothing, because open issues stop the branch (T4.2)."""

    blockers: tuple[Blocker, ...]

    @property
    def why(self) -> str:
        """The blocking issues, named."""
        return "blocked by " + ", ".join(f"issue #{blocker.number}" for blocker in self.blockers)


@dataclass(frozen=True, slots=True)
class Merge:
    """Land one pull request with exactly this head by this method."""

    number: int
    head_sha: str
    method: Method
    why: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Test these together on the base, in this order."""

    numbers: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Update:
    """See that the own branch of one pull request, at exactly this head, contains the tip of the base."""

    number: int
    head_sha: str
    why: str


@dataclass(frozen=True, slots=True)
class Land:
    """Land the members of a green run, in its order."""

    run: str
    numbers: tuple[int, ...]
    why: str


def targets_of(action: "Action") -> tuple[int, ...]:
    """The pull requests that an action is about, by number."""
    match action:
        case Merge() | Update():
            return (action.number,)
        case Stage() | Land():
            return action.numbers
        case _:
            return ()


Action = Wait | Blocked | Merge | Stage | Update | Land


@dataclass(frozen=True, slots=True)
class Decision:
    """The one action for a branch, and the runs to give up with the reason for each."""

    action: Action
    abandon: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that is known of a branch at one moment, `now` in seconds since the epoch: what a decision about it is
    made of, and all that is needed to come to it again. `rows` are Tide's evidence (D20).
    """

    facts: BranchFacts
    memory: Memory = field(default_factory=Memory)
    runs: tuple[Run, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    halted: str = ""
    now: float = 0.0
    rows: tuple[Evidence, ...] = ()


def judge(situation: Situation, settings: BranchSettings) -> tuple[Pool, Decision]:
    """The pool of a branch, and what to do with it."""
    pool = divide(situation.facts, settings, situation.memory, situation.now)
    if situation.halted:
        pool = replace(pool, halted=situation.halted)
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
) -> Decision:
    """What to do with a pool, in Tide's order (T4.3): blockers, then what is green, then what to test, else wait.

    A pool with a gap in its facts waits and says what could not be read (D8), if it is not about single pull requests
    that are no part of a run: those just stay out. Runs that are not about this pool any
    more are given up, whatever they said. `rows` are Tide's evidence, which only Compat.TIDE believes.
    """
    runs = sorted(runs, key=lambda run: (-len(run.members), run.started_at, run.id))
    abandon = tuple((run.id, why) for run in runs if run.ended is None and (why := _stale(run, pool, settings)))
    if pool.partial and settings.compat is not Compat.TIDE:
        return Decision(Wait(f"not everything could be read from GitHub: {pool.partial}"))
    if pool.halted:
        return Decision(Wait(f"halted until a person resumes it: {pool.halted}"))
    if missed := _missed(runs, pool):
        return Decision(Wait(f"{missed} is being tested, and could not be read from GitHub in full"))
    if pool.blockers:
        return Decision(Blocked(pool.blockers), abandon)
    match settings.queue.retest:
        case Retest.STAGING:
            rows = tuple(rows)
            tide = settings.compat is Compat.TIDE
            found = evidence.progress(pool, rows, settings) if tide else progress(pool, runs, settings, now)
            return Decision(choose(pool, settings, found, runs=runs, conflicts=tuple(conflicts), rows=rows), abandon)
        case Retest.UPDATE:
            return Decision(_up_to_date(pool, settings, runs, now), abandon)
        case Retest.HEAD:
            return Decision(_on_the_head(pool, settings), abandon)
        case _:
            assert_never(settings.queue.retest)


def wire_name(action: Action) -> str:
    """Tide's name of an action (T4)."""
    match action:
        case Wait():
            return "WAIT"
        case Blocked():
            return "BLOCKED"
        case Merge():
            return "MERGE"
        case Update():
            return "TRIGGER"
        case Stage():
            return "TRIGGER" if len(action.numbers) == 1 else "TRIGGER_BATCH"
        case Land():
            return "MERGE" if len(action.numbers) == 1 else "MERGE_BATCH"
        case _:
            assert_never(action)


def _on_the_head(pool: Pool, settings: BranchSettings) -> Action:
    """In `head` mode the first member lands; it is green already (T4.9)."""
    for member in ranked(pool.members, settings):
        if member.method is not None:
            return Merge(member.pull.number, member.pull.head_sha, member.method, _why(member, pool, settings))
    return Wait("no pull request is ready" if pool.standings else "no pull request is open")


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


def choose(
    pool: Pool,
    settings: BranchSettings,
    found: Progress,
    *,
    runs: Sequence[Run] = (),
    conflicts: Sequence[Conflict] = (),
    rows: Sequence[Evidence] = (),
) -> Action:
    """What to land or to test next when testing has come as far as `found`: Tide's two slots, one batch, and one pull
    request alone beside it (T4.3-T4.7).
    """
    tide = settings.compat is Compat.TIDE
    if not tide and not found.is_demanded:
        return Wait("blocked: no context is required on staged commits, so nothing could ever be proved")
    if not pool.members:
        return Wait("no pull request is ready" if pool.standings else "no pull request is open")
    if found.passed_batches:
        return Land(found.passed_batches[0].run, found.passed_batches[0].numbers, "green together on this base")
    if not found.pending_batches and (land := _landable(pool, found, settings)):
        return land
    if not found.is_demanded:
        return Wait("nothing is to be tested, and nobody is green")
    if not found.pending_batches and len(pool.members) > 1 and _has_slot(found, settings):
        batch = (
            evidence.candidates(pool, rows, conflicts, settings)
            if tide
            else candidates(pool, runs, conflicts, settings)
        )
        if batch is None:
            return Wait("no PRs are provided", failed=True)
        if len(batch) > 1:
            return Stage(tuple(member.pull.number for member in batch), "ready to be tested together")
    if not found.pending and not found.passed and _has_slot(found, settings):
        alone = (
            evidence.serial_candidate(pool, found.missing, rows, settings)
            if tide
            else serial_candidate(pool, found.missing, conflicts, settings)
        )
        if alone is not None:
            return Stage((alone.pull.number,), "ready to be tested alone")
    if found.under_way:
        tested = (", ".join(f"#{number}" for number in one.numbers) for one in found.under_way)
        return Wait("testing " + " and ".join(tested))
    return Wait("every ready pull request conflicts with the base or with one that goes first")


def _landable(pool: Pool, found: Progress, settings: BranchSettings) -> Land | None:
    """The first in rank that is green with the base, and still on its head too (T4.3, T4.12)."""
    proved = {one.numbers[0]: one for one in found.passed}
    for member in ranked(pool.members, settings):
        pull = member.pull
        if pull.number in proved and not unsuccessful(pull.contexts or (), settings.demands):
            return Land(proved[pull.number].run, (pull.number,), "green on this base")
    return None


def _has_slot(found: Progress, settings: BranchSettings) -> bool:
    batch = bool(found.passed_batches or found.pending_batches)
    return batch + bool(found.passed or found.pending) < settings.queue.slots


def _missed(runs: Iterable[Run], pool: Pool) -> str:
    """A member of a run under way that is not among what was read, where something could not be: whether its run is
    still about the pool is not known.
    """
    under_way = (run for run in runs if pool.unread and run.ended is None and not run.is_asked_for)
    missed = (member.number for run in under_way for member in run.members if pool.standing(member.number) is None)
    return next((f"#{number}" for number in missed), "")


def _stale(run: Run, pool: Pool, settings: BranchSettings) -> str:
    """Why an unfinished run is not worth its end any more; empty when it is."""
    if settings.queue.retest is Retest.HEAD:
        return "staging is off"
    if run.on_head != (settings.queue.retest is Retest.UPDATE):
        return f"`retest` is {settings.queue.retest} now"
    if is_current(run, pool):
        return ""
    if run.base_sha != pool.base_sha:
        return f"the base moved from {run.base_sha[:7]} to {pool.base_sha[:7]}"
    known = {member.pull.number: member.pull.head_sha for member in pool.members}
    gone = [f"#{member.number}" for member in run.members if known.get(member.number) != member.head_sha]
    return f"{', '.join(gone) or 'a member'} left the pool or changed"


def _why(chosen: Standing, pool: Pool, settings: BranchSettings) -> str:
    others = len(pool.members) - 1
    if not others:
        return "green and admitted"
    urgent = priority_of(chosen.pull, settings) < len(settings.priority)
    place = "highest priority" if urgent else f"first by {settings.queue.order.value}"
    return f"green and admitted; {place} of {others + 1}"
