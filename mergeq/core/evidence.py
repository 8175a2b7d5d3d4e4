"""Tide's evidence: what a job said about exact heads on an exact base, as rows (T0.5), and how far that brings a pool.

Reached under Compat.TIDE alone (D20); mergeq's own evidence is a run.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mergeq.core.action import Action, Land, Stage, Wait
from mergeq.core.batch import Conflict, Progress, Tested, batch_limit, fitting
from mergeq.core.contexts import unsuccessful
from mergeq.core.description import base_sha_of, skips_retest
from mergeq.core.pool import BranchSettings, Pool, Standing, ranked
from mergeq.core.pull import Branch, PullRequest, Result

_GREEN, _RUNNING, _MISSING = 2, 1, 0
_RANK = {Result.SUCCESS: _GREEN, Result.PENDING: _RUNNING}  # every other result is as good as none (T3.23)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the job of `context` said with `heads`, (number, head SHA) in this order, merged into `base_sha`.

    `is_batch`: it tests them as a batch, which may have one member, and says nothing about a pull request alone.
    `reporter` is who started it: ``tide`` the queue itself (T4.14), empty somebody else.
    """

    branch: Branch
    base_sha: str
    heads: tuple[tuple[int, str], ...]
    context: str
    result: Result
    is_batch: bool = False
    reporter: str = ""
    url: str = ""


def progress(pool: Pool, rows: Iterable[Evidence], settings: BranchSettings) -> Progress:
    """How far the jobs have tested a pool: of each context the best result on these heads and this base, and of the
    contexts that are demanded the worst (T3.23, T4.20-T4.22).
    """
    rows = _here(pool, rows)
    singles, batches = _alone(pool, rows), _together(pool, rows)
    alone = [
        (member.pull.number, _worst(_demanded([member.pull], settings), singles.get(_head(member.pull), {})))
        for member in pool.members
    ]
    together = [
        (numbers, _worst(_demanded([_pull(pool, number) for number in numbers], settings), said))
        for numbers, said in batches.items()
    ]
    return Progress(
        passed=tuple(Tested((number,)) for number, worst in alone if worst == _GREEN),
        passed_batches=tuple(Tested(numbers) for numbers, worst in together if worst == _GREEN),
        pending=tuple(Tested((number,)) for number, worst in alone if worst == _RUNNING),
        pending_batches=tuple(Tested(numbers) for numbers, worst in together if worst == _RUNNING),
        missing=tuple(to_test(pool, rows, settings)),
        is_demanded=any(_demanded([member.pull], settings) for member in pool.members),
    )


def to_test(pool: Pool, rows: Iterable[Evidence], settings: BranchSettings) -> dict[int, tuple[str, ...]]:
    """Whose test is missing, by number, and which of its contexts have neither succeeded nor are running (T4.26)."""
    said = _alone(pool, _here(pool, rows))
    found = {
        member.pull.number: tuple(
            context
            for context in _demanded([member.pull], settings)
            if said.get(_head(member.pull), {}).get(context, _MISSING) == _MISSING
        )
        for member in pool.members
    }
    return {number: contexts for number, contexts in found.items() if contexts}


def untested(pull: PullRequest, base_sha: str, rows: Iterable[Evidence], settings: BranchSettings) -> list[str]:
    """The contexts without a green job, alone or in a batch, for this head on this base (T6.9)."""
    head = _head(pull)
    green = {
        row.context
        for row in rows
        if row.branch == pull.branch and row.base_sha == base_sha and head in row.heads and row.result is Result.SUCCESS
    }
    return sorted({*settings.contexts.required, *_demanded([pull], settings)} - green)


def is_eligible(pull: PullRequest, rows: Iterable[Evidence], settings: BranchSettings) -> bool:
    """Whether a pull request may be tested again: all that counts on its head is green, or pending because Tide itself
    started it there, on whichever base (T4.14).
    """
    started = {
        row.context
        for row in rows
        if row.reporter == "tide" and not row.is_batch and row.branch == pull.branch and row.heads == (_head(pull),)
    }
    return pull.contexts is not None and all(
        context.result is Result.PENDING and context.name in started
        for context in unsuccessful(pull.contexts, settings.demands)
    )


def candidates(
    pool: Pool, rows: Sequence[Evidence], conflicts: Iterable[Conflict], settings: BranchSettings
) -> tuple[Standing, ...] | None:
    """The batch that Tide would test next: one that was tried, else a new one of members by number (T4.15-T4.17).

    Empty where nobody may be tested again; None where somebody may and nobody merges into the base, which Tide takes
    for an error.
    """
    if batch_limit(settings) < 0:
        return ()
    eligible = [member for member in pool.members if is_eligible(member.pull, rows, settings)]
    before = tried(pool, eligible, rows, settings) if settings.prioritizes_existing_batches else ()
    return before or fitting(eligible, pool.base_sha, conflicts, batch_limit(settings)) or (None if eligible else ())


def tried(
    pool: Pool, candidates: Sequence[Standing], rows: Iterable[Evidence], settings: BranchSettings
) -> tuple[Standing, ...]:
    """The batch of candidates within the limit that has most green jobs on this base, else most running ones; empty
    when there is none (T4.27).
    """
    known = {_head(one.pull): one for one in candidates}
    limit = batch_limit(settings)
    counts: dict[Result, Counter[tuple[tuple[int, str], ...]]] = {Result.SUCCESS: Counter(), Result.PENDING: Counter()}
    for row in _here(pool, rows):
        fits = not limit or len(row.heads) <= limit
        if row.is_batch and fits and row.result in counts and all(head in known for head in row.heads):
            counts[row.result][row.heads] += 1
    most = (counts[Result.SUCCESS] or counts[Result.PENDING]).most_common(1)
    return tuple(known[head] for head in most[0][0]) if most else ()


def serial_candidate(
    pool: Pool, missing: Iterable[int], rows: Sequence[Evidence], settings: BranchSettings
) -> Standing | None:
    """Whom Tide would test alone next (T4.12, T4.14)."""
    waiting = frozenset(missing)
    ready = (one for one in ranked(pool.members, settings) if one.pull.number in waiting)
    return next((member for member in ready if is_eligible(member.pull, rows, settings)), None)


def _here(pool: Pool, rows: Iterable[Evidence]) -> list[Evidence]:
    """What was tested on the base of a pool as it is: another base makes all evidence void (T3.4)."""
    return [row for row in rows if (row.branch, row.base_sha) == (pool.branch, pool.base_sha)]


def _alone(pool: Pool, rows: Iterable[Evidence]) -> Mapping[tuple[int, str], Mapping[str, int]]:
    """By number and head, the best that each context said about it alone, the head's own statuses included (T3.20)."""
    said: dict[tuple[int, str], dict[str, int]] = {}
    for row in rows:
        if not row.is_batch:
            for head in row.heads:
                _note(said.setdefault(head, {}), row.context, row.result)
    for member in pool.members:
        pull = member.pull
        for context in pull.contexts or ():
            base = base_sha_of(context.description)
            based = (base and base == pool.base_sha) or skips_retest(context.description)
            if context.result is Result.SUCCESS and based:
                _note(said.setdefault(_head(pull), {}), context.name, context.result)
    return said


def _together(pool: Pool, rows: Iterable[Evidence]) -> Mapping[tuple[int, ...], Mapping[str, int]]:
    """By the numbers of a batch that is still whole, the best that each context said about it (T4.20, T4.21)."""
    heads = {member.pull.number: member.pull.head_sha for member in pool.members}
    said: dict[tuple[int, ...], dict[str, int]] = {}
    for row in rows:
        if row.is_batch and all(heads.get(number) == sha for number, sha in row.heads):
            _note(said.setdefault(tuple(number for number, _ in row.heads), {}), row.context, row.result)
    return said


def _note(said: dict[str, int], context: str, result: Result) -> None:
    said[context] = max(said.get(context, _MISSING), _RANK.get(result, _MISSING))


def _demanded(pulls: Sequence[PullRequest], settings: BranchSettings) -> tuple[str, ...]:
    """The contexts that must be green with the base for these pull requests together (T3.25, T3.27)."""
    paths = tuple(path for pull in pulls for path in pull.paths or ())
    return tuple(job.context for job in settings.presubmits if job.is_demanded(paths))


def _worst(demanded: Iterable[str], said: Mapping[str, int]) -> int:
    """GREEN: all are, RUNNING: all are or run, MISSING: one is missing or red."""
    return min((said.get(context, _MISSING) for context in demanded), default=_GREEN)


def _head(pull: PullRequest) -> tuple[int, str]:
    return (pull.number, pull.head_sha)


def _pull(pool: Pool, number: int) -> PullRequest:
    return next(member.pull for member in pool.members if member.pull.number == number)


def choose(
    pool: Pool,
    settings: BranchSettings,
    found: Progress,
    conflicts: Sequence[Conflict] = (),
    rows: Sequence[Evidence] = (),
) -> Action:
    """What Tide would land or test next when its jobs have tested the pool as far as `found`: one batch, and one pull
    request alone beside it (T4.3-T4.7, D20).
    """
    has_batch = bool(found.passed_batches or found.pending_batches)
    has_single = bool(found.passed or found.pending)
    if not pool.members:
        return Wait("no pull request is ready" if pool.standings else "no pull request is open")
    if found.passed_batches:
        return Land(found.passed_batches[0].run, found.passed_batches[0].numbers, "green together on this base")
    if not found.pending_batches and (land := _landable(pool, found, settings)):
        return land
    if not found.is_demanded:
        return Wait("nothing is to be tested, and nobody is green")
    if not has_batch and len(pool.members) > 1 and has_single < settings.queue.slots:
        batch = candidates(pool, rows, conflicts, settings)
        if batch is None:
            return Wait("no PRs are provided", failed=True)
        if len(batch) > 1:
            return Stage(tuple(member.pull.number for member in batch), "ready to be tested together")
    if not has_single and has_batch < settings.queue.slots:
        alone = serial_candidate(pool, found.missing, rows, settings)
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
