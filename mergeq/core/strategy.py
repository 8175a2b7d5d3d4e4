"""Choosing: what of a pool is landed or put to the test next, given what is known and what is under way (T4).

`choose` lands what may land. What is tested next is up to a `Strategy`, which is a value: it sees a `Scene` and names
runs, the best first; the first that is not known already takes a free slot.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from mergeq.core import conviction
from mergeq.core.action import Action, Land, Stage, Wait
from mergeq.core.batch import (
    NO_RESULT,
    Conflict,
    Member,
    Progress,
    Run,
    RunState,
    Tested,
    batch_limit,
    fitting,
    is_current,
    progress,
    rest,
)
from mergeq.core.conviction import BaseHealth, Health
from mergeq.core.pool import BranchSettings, Pool, Standing, ranked


@dataclass(frozen=True, slots=True)
class Scene:
    """What a strategy sees of a branch: `order` are the members of its pool as they are served, without those that do
    not merge into the base; `suspects` as `conviction.suspects` has them; `failed` counts by head how often in a row it
    did not pass alone; `unanswered` are the compositions that CI gave no result for yet and that are tried again.
    """

    pool: Pool
    settings: BranchSettings
    order: tuple[Standing, ...]
    tests: Progress
    base: BaseHealth
    suspects: tuple[tuple[int, ...], ...] = ()
    failed: Mapping[str, int] | None = None
    unanswered: tuple[tuple[int, ...], ...] = ()
    conflicts: tuple[Conflict, ...] = ()

    @property
    def pending(self) -> tuple[tuple[int, ...], ...]:
        """What is under test, by number."""
        return tuple(one.numbers for one in (*self.tests.pending_batches, *self.tests.pending))

    def is_idle(self, numbers: tuple[int, ...]) -> bool:
        """Whether nothing would be learnt by testing these: that is under way, or known."""
        if not numbers:
            return self.base.health is not Health.UNKNOWN
        begins = (suspect == numbers[: len(suspect)] for suspect in self.suspects if len(suspect) < len(numbers))
        return any(one.numbers == numbers for one in self.tests.under_way) or any(begins)

    def tries(self, number: int) -> int:
        """How often in a row a pull request did not pass alone."""
        standing = self.pool.standing(number)
        return (self.failed or {}).get(standing.pull.head_sha, 0) if standing else 0

    def fit(self, members: Sequence[Standing], after: int = 0) -> tuple[int, ...]:
        """As many of these as may be tested together, the first `after` in any case, by number."""
        limit = batch_limit(self.settings)
        chosen = fitting(members, self.pool.base_sha, self.conflicts, limit + after if limit else 0)
        return tuple(member.pull.number for member in chosen)

    def standings(self, numbers: Sequence[int]) -> list[Standing]:
        """Members by their numbers."""
        by_number = {member.pull.number: member for member in self.order}
        return [by_number[number] for number in numbers if number in by_number]


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to use the slots of a branch. `propose` names runs to start, the best first, and may name what is known."""

    name: str
    propose: Callable[[Scene], Iterator[Stage]]


def choose(
    pool: Pool,
    settings: BranchSettings,
    runs: Sequence[Run],
    conflicts: Sequence[Conflict],
    now: float,
    strategy: Strategy | None = None,
) -> Action:
    """What to land or to test next. By default the number of slots says which strategy is followed: `ONE_BY_ONE`,
    `TIDE` for two, `TRAIN` for more.
    """
    scene = scene_of(pool, settings, runs, conflicts, now)
    if not scene.tests.is_demanded:
        return Wait("blocked: no context is required on staged commits, so nothing could ever be proved")
    until = conviction.pause(runs)
    if pool.doubt and scene.base.health is not Health.GOOD:
        if scene.base.health is Health.UNKNOWN and len(scene.pending) < settings.queue.slots and now >= until:
            return Stage((), f"the base is tested alone: {pool.doubt}")
        return Wait(f"the base is tested alone before anything else: {pool.doubt}")
    if not pool.members:
        return Wait("no pull request is ready" if pool.standings else "no pull request is open")
    if land := _landable(scene, runs):
        return land
    if now < until:
        return Wait(f"CI gave no result several times in a row; mergeq tries again in {max(1, round(until - now))} s")
    if len(scene.pending) < settings.queue.slots:
        strategy = strategy or {1: ONE_BY_ONE, 2: TIDE}.get(settings.queue.slots, TRAIN)
        for stage in strategy.propose(scene):
            if not scene.is_idle(stage.numbers):
                return stage
    if scene.tests.under_way:
        return Wait("testing " + " and ".join(_named(one.numbers) for one in scene.tests.under_way))
    return Wait("every ready pull request conflicts with the base or with one that goes first")


def scene_of(
    pool: Pool, settings: BranchSettings, runs: Sequence[Run], conflicts: Sequence[Conflict], now: float
) -> Scene:
    """Everything that choosing rests on."""
    base_sha, base_tree = pool.base_sha, pool.base_tree
    here = [fact for fact in conflicts if fact.base_sha == base_sha]
    impossible = {fact.head_sha for fact in here if not fact.prefix}
    failed = conviction.failures(runs, base_sha, base_tree, settings, now)
    unanswered: dict[tuple[int, ...], int] = {}
    for run in runs:
        if run.ended in NO_RESULT and is_current(run, pool):
            left = _numbers(rest(run, base_sha, base_tree) or ())
            unanswered[left] = unanswered.get(left, 0) + 1
    return Scene(
        pool,
        settings,
        tuple(one for one in ranked(pool.members, settings) if one.pull.head_sha not in impossible),
        progress(pool, runs, settings, now),
        conviction.health_of(runs, base_sha, base_tree, settings, now),
        tuple(_numbers(left) for left in conviction.suspects(pool, runs, settings)),
        {head: _tries([run for run, _ in tries], pool, settings) for head, tries in failed.items()},
        tuple(left for left, count in unanswered.items() if left and count <= settings.queue.staging.retries),
        tuple(here),
    )


def _tries(failed: Sequence[Run], pool: Pool, settings: BranchSettings) -> int:
    """How often in a row somebody did not pass alone; who did not on other bases only is due once more on this one."""
    is_here = rest(failed[-1], pool.base_sha, pool.base_tree) is not None
    return len(failed) if is_here else min(len(failed), settings.queue.staging.retries)


def holds_a_failure(run: Run, pool: Pool, runs: Sequence[Run]) -> bool:
    """Whether a run begins with what was red by itself, so that nothing good can come of it."""
    mine = _numbers(rest(run, pool.base_sha, pool.base_tree) or ())
    bad = (
        _numbers(rest(one, pool.base_sha, pool.base_tree) or ())
        for one in runs
        if one.ended is RunState.RED and is_current(one, pool)
    )
    return any(left and left == mine[: len(left)] and left != mine for left in bad)


def _landable(scene: Scene, runs: Sequence[Run]) -> Land | None:
    """What is proved and need not wait: the largest green batch, else the first in rank that is green alone (T4.3,
    T4.5, T4.24). One alone waits for a batch under test, unless that begins with it, whose test stays as good, or it
    may overtake (T12.13).
    """
    by_id = {run.id: run for run in runs}

    def is_sound(tested: Tested) -> bool:
        return not holds_a_failure(by_id[tested.run], scene.pool, runs)

    batches = [one for one in scene.tests.passed_batches if is_sound(one)]
    if batches:
        largest = max(batches, key=lambda one: len(one.numbers))
        return Land(largest.run, largest.numbers, "green together on this base")
    proved = {one.numbers[0]: one for one in scene.tests.passed}
    for member in scene.order:
        number = member.pull.number
        begins = all(one.numbers[:1] == (number,) for one in scene.tests.pending_batches)
        if number in proved and (begins or _may_overtake(member, scene.settings)):
            return Land(proved[number].run, (number,), "green on this base")
    return None


def _may_overtake(member: Standing, settings: BranchSettings) -> bool:
    present = settings.compat.all_of(member.pull.labels)
    return any(label.lower() in present for label in settings.queue.overtake)


# what strategies are made of: each names runs, and knows nothing of the others


def _search(scene: Scene) -> Iterator[Stage]:
    """Those suspected alone, then the first half of the smallest suspected set; what is left of it when that has landed
    is suspected in turn.
    """
    yield from _repeat(scene)
    if larger := _larger(scene):
        yield Stage(larger[: len(larger) // 2], f"looking for what is wrong in {_named(larger)}")


def _repeat(scene: Scene) -> Iterator[Stage]:
    """Those suspected alone, and the base."""
    for suspect in (one for one in scene.suspects if len(one) == 1):
        if scene.tries(suspect[0]) <= scene.settings.queue.staging.retries:
            yield Stage(suspect, "to be sure that it is to blame" if scene.tries(suspect[0]) else "suspected")
        if scene.tries(suspect[0]):
            yield Stage((), f"whether the base is to blame for {_named(suspect)}")


def _larger(scene: Scene) -> tuple[int, ...]:
    """The smallest suspected set of several."""
    return next((one for one in scene.suspects if len(one) > 1), ())


def _search_by_prefixes(scene: Scene) -> Iterator[Stage]:
    """As many beginnings of the smallest suspected set as there are slots, evenly cut: what is green of them lands, and
    what comes after the longest is to blame.
    """
    yield from _repeat(scene)
    larger = _larger(scene)
    parts = scene.settings.queue.slots + 1
    cuts = {len(larger) * part // parts for part in range(1, parts)} - {0, len(larger)}
    for cut in sorted(cuts, key=lambda cut: abs(2 * cut - len(larger))):
        yield Stage(larger[:cut], f"looking for what is wrong in {_named(larger)}")


def _unanswered(scene: Scene) -> Iterator[Stage]:
    """What CI gave no result for, once more: those alone, and whole batches where existing ones come first (T4.27)."""
    for numbers in scene.unanswered:
        if len(numbers) == 1 or scene.settings.prioritizes_existing_batches:
            yield Stage(numbers, "CI gave no result")


def _batch(scene: Scene) -> Iterator[Stage]:
    """Those ready to be tested together, without whoever is suspected."""
    if batch_limit(scene.settings) < 0:
        return
    suspected = {number for one in scene.suspects for number in one}
    numbers = scene.fit([one for one in scene.order if one.pull.number not in suspected])
    if len(numbers) > 1:
        yield Stage(numbers, "ready to be tested together")


def _stacked(scene: Scene) -> Iterator[Stage]:
    """What comes after everything that is under test, on top of it."""
    if scene.suspects or batch_limit(scene.settings) < 0:
        return
    below = max(scene.pending, key=len, default=())
    under_test = set(below)
    after = [one for one in scene.order if one.pull.number not in under_test]
    if below and all(one == below[: len(one)] for one in scene.pending):
        numbers = scene.fit([*scene.standings(below), *after], len(below))
        if len(numbers) > len(below) and numbers[: len(below)] == below:
            yield Stage(numbers, f"to be tested on top of {_named(below)}")


def _alone(scene: Scene) -> Iterator[Stage]:
    """The first in rank whose test is missing, alone (T4.3, T4.12); who may overtake goes first."""
    missing = set(scene.tests.missing)
    ready = [one for one in scene.order if one.pull.number in missing]
    by_haste = sorted(ready, key=lambda one: not _may_overtake(one, scene.settings))
    numbers = (one.pull.number for one in by_haste)
    due = (one for one in numbers if scene.tries(one) <= scene.settings.queue.staging.retries)
    for number in islice(due, 1):
        yield Stage((number,), "ready to be tested alone")


def _as_tide(scene: Scene) -> Iterator[Stage]:
    """One batch, and one alone beside it (T4.3-T4.7); a red batch is searched in the batch's slot."""
    has_batch = any(len(one) > 1 for one in scene.pending)
    has_single = any(len(one) < 2 for one in scene.pending)
    for stage in chain(_search(scene), _unanswered(scene), _batch(scene)):
        if not (has_batch if len(stage.numbers) > 1 else has_single):
            yield stage
    if not has_single and not scene.tests.passed:
        yield from _alone(scene)


ONE_BY_ONE = Strategy(
    "one by one", lambda scene: chain(_search(scene), _unanswered(scene), _batch(scene), _alone(scene))
)
TIDE = Strategy("tide", _as_tide)
TRAIN = Strategy(
    "train",
    lambda scene: chain(
        _search_by_prefixes(scene),
        _unanswered(scene),
        _batch(scene),
        _stacked(scene),
        () if scene.pending else _alone(scene),
    ),
)


def _numbers(members: Sequence[Member]) -> tuple[int, ...]:
    return tuple(member.number for member in members)


def _named(numbers: Sequence[int]) -> str:
    return ", ".join(f"#{number}" for number in numbers) or "the base alone"
