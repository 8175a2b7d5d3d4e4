"""Staged runs: pull requests tested together on one base, what their results say, and what follows for the pool.

A run is evidence for exactly its base and its members' heads. Nothing here acts; `choose` says what to start, abandon
or land.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from mergeq.core.contexts import ContextPolicy, unsuccessful
from mergeq.core.history import Target
from mergeq.core.pool import Arrival, BranchSettings, Pool, Standing, ranked
from mergeq.core.pull import Context, Method, Protection, PullRequest, Result
from mergeq.core.queue import UpdateMethod
from mergeq.core.reason import Clause, Reason

_AWAITED = frozenset({Clause.CONTEXTS, Clause.NO_CONTEXTS, Clause.CONTEXTS_UNREADABLE})


class RunState(StrEnum):
    """What the contexts of a staged commit say so far.

    SILENT: a required context never appeared within `start_timeout`. OVERDUE: not all had ended within `timeout`.
    BEHIND: the head lacks the tip of the base, and it is not for us to bring it up to date. Only RED is held against a
    pull request.
    """

    PENDING = "pending"
    GREEN = "green"
    RED = "red"
    SILENT = "silent"
    OVERDUE = "overdue"
    BEHIND = "behind"


@dataclass(frozen=True, slots=True)
class Member:
    """One pull request in a run. `steps` is the number of commits it adds to the base's first-parent line."""

    number: int
    head_sha: str
    method: Method
    steps: int = 1


@dataclass(frozen=True, slots=True)
class Told:
    """That somebody was to do their part for a run: GitHub to make the head that will be tested, or CI to test. `at` is
    when that was tried last (epoch seconds), `tries` how often, `why` what went wrong then, empty when nothing did.
    """

    at: float = 0.0
    tries: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """Members staged in order on `base_sha`, whose tree is `base_tree`. `trees` holds the tree expected after each
    member lands, `commits` the commit made for it; the last one is the staged commit. No members: the base alone.

    `contexts` are those of the staged commit as last read, None while unread. `ended` is set once and for all when the
    run is over, `why` says what ended it where no context does; `started_at` and `ended_at` are epoch seconds.

    `on_head`: it is about one pull request's own branch (`retest: update`): what is tested is its head, which contains
    the base. While `staged_sha` is empty too, GitHub was asked to make that head and nobody has seen it yet;
    `arrival` is when the head before it had come. `told` is what has become of asking for its part whoever has one.
    """

    id: str
    base_sha: str
    members: tuple[Member, ...]
    ref: str
    staged_sha: str
    trees: tuple[str, ...]
    started_at: float
    targets: tuple[Target, ...] = ()
    contexts: tuple[Context, ...] | None = None
    ended: RunState | None = None
    why: str = ""
    arrival: Arrival | None = None
    base_tree: str = ""
    commits: tuple[str, ...] = ()
    on_head: bool = False
    ended_at: float = 0.0
    told: Told = Told()

    @property
    def is_asked_for(self) -> bool:
        """Whether what is to be tested does not exist yet, as far as is known."""
        return not self.staged_sha

    @property
    def heads(self) -> frozenset[str]:
        """The head commits under test."""
        return frozenset(member.head_sha for member in self.members)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A fact: on `base_sha`, after `prefix` (head commits in order), `head_sha` does not merge (D4)."""

    base_sha: str
    prefix: tuple[str, ...]
    head_sha: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a run, with the contexts that decided it."""

    state: RunState
    contexts: tuple[Context, ...] = ()

    @property
    def why(self) -> str:
        """The deciding contexts in words."""
        said = {
            Result.EXPECTED: "never appeared",
            Result.PENDING: "is still running",
            Result.ERROR: "ended with an error",
        }
        return "; ".join(f"{context.name} {said.get(context.result, 'failed')}" for context in self.contexts)


def staged_policy(settings: BranchSettings) -> ContextPolicy:
    """Which contexts count on a staged commit: the branch's own, without those that only report on heads (T0.6)."""
    only_head, own = settings.queue.head_only_contexts, settings.contexts
    awaited = (own.required - only_head) | settings.queue.staging_contexts
    return replace(
        own,
        required=frozenset(name for name in awaited if name.lower() != settings.status_context.lower()),
        required_if_present=own.required_if_present - only_head - settings.queue.staging_contexts,
        optional=(own.optional | only_head) - settings.queue.staging_contexts,
    )


def verdict(run: Run, settings: BranchSettings, now: float) -> Verdict:
    """What a run says at `now`; one that has ended says what it said then."""
    demands = replace(settings.demands, policy=staged_policy(settings)) if not run.on_head else settings.demands
    bad = unsuccessful(run.contexts or (), demands)
    failed = tuple(context for context in bad if context.result in {Result.FAILURE, Result.ERROR})
    silent = () if run.contexts is None else tuple(one for one in bad if one.result is Result.EXPECTED)
    if run.ended is not None:
        return Verdict(run.ended, silent if run.ended is RunState.SILENT else failed or bad)
    if failed:
        return Verdict(RunState.RED, failed)
    if run.contexts is not None and not bad:
        return Verdict(RunState.GREEN)
    if silent and now - run.started_at >= settings.queue.staging.start_timeout:
        return Verdict(RunState.SILENT, silent)
    if now - run.started_at >= settings.queue.staging.timeout:
        return Verdict(RunState.OVERDUE, bad)
    return Verdict(RunState.PENDING, bad)


def deadline(run: Run, settings: BranchSettings) -> float:
    """When a run that is under way is given up if nothing is heard of it any more (epoch seconds): when a context that
    never appeared should have, later when all should have ended.
    """
    start, end = (
        run.started_at + wait for wait in (settings.queue.staging.start_timeout, settings.queue.staging.timeout)
    )
    is_silent = any(one.result is Result.EXPECTED for one in verdict(run, settings, run.started_at).contexts)
    return min(start, end) if is_silent or run.contexts is None else end


def is_current(run: Run, pool: Pool) -> bool:
    """Whether a run is about the pool as it is: same base, and every member in the pool with the head and method that
    was staged. A pull request whose own head is tested may be out of the pool for the want of just those results.
    """
    if run.is_asked_for:
        return True
    if run.base_sha != pool.base_sha:
        return False
    if run.on_head:
        tested, standing = run.members[0], pool.standing(run.members[0].number)
        return (
            standing is not None
            and (standing.pull.head_sha, standing.method) == (tested.head_sha, tested.method)
            and all(reason.clause in _AWAITED for reason in standing.reasons)
        )
    known = {member.pull.number: (member.pull.head_sha, member.method) for member in pool.members}
    return all(known.get(member.number) == (member.head_sha, member.method) for member in run.members)


@dataclass(frozen=True, slots=True)
class Tested:
    """Pull requests that were tested together, by number in the order of landing, and the run that did it, if one of
    ours.
    """

    numbers: tuple[int, ...]
    run: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the testing of a pool has come: what is green with the base, what is under way, alone and together, and
    whose test is missing. `is_demanded`: there is something to be tested at all.
    """

    passed: tuple[Tested, ...] = ()
    passed_batches: tuple[Tested, ...] = ()
    pending: tuple[Tested, ...] = ()
    pending_batches: tuple[Tested, ...] = ()
    missing: tuple[int, ...] = ()
    is_demanded: bool = True

    @property
    def under_way(self) -> tuple[Tested, ...]:
        """Everything that takes up a slot, or could be landed."""
        return (*self.passed_batches, *self.pending_batches, *self.passed, *self.pending)


def progress(pool: Pool, runs: Iterable[Run], settings: BranchSettings, now: float) -> Progress:
    """How far the runs that are about a pool have tested it."""
    by_state: dict[tuple[RunState, bool], list[Tested]] = {}
    for run in runs:
        if run.ended is None and is_current(run, pool):
            tested = Tested(tuple(member.number for member in run.members), run.id)
            by_state.setdefault((verdict(run, settings, now).state, len(run.members) > 1), []).append(tested)
    found = Progress(
        passed=tuple(by_state.get((RunState.GREEN, False), ())),
        passed_batches=tuple(by_state.get((RunState.GREEN, True), ())),
        pending=tuple(by_state.get((RunState.PENDING, False), ())),
        pending_batches=tuple(by_state.get((RunState.PENDING, True), ())),
        is_demanded=bool(staged_policy(settings).required),
    )
    alone = {number for tested in (*found.passed, *found.pending) for number in tested.numbers}
    missing = (member.pull.number for member in pool.members if member.pull.number not in alone)
    return replace(found, missing=tuple(missing))


def convictions(runs: Iterable[Run], base_sha: str, settings: BranchSettings, now: float) -> dict[str, Reason]:
    """The heads that did not pass alone on this base often enough to count, with the reason (D24).

    A red run is repeated `retries` times before it counts. One that CI never took up, or did not finish, counts at
    once: it is not held against the pull request, but doing it again would not help.
    """
    failures: dict[str, list[tuple[Run, Verdict]]] = {}
    for run in sorted(runs, key=lambda run: (run.started_at, run.id)):
        if len(run.members) == 1 and run.base_sha == base_sha and run.ended not in {None, RunState.GREEN}:
            failures.setdefault(run.members[0].head_sha, []).append((run, verdict(run, settings, now)))
    found = {}
    for head, tries in failures.items():
        run, said = tries[-1]
        if said.state is RunState.BEHIND:
            found[head] = _left_behind(run)
        elif said.contexts and (said.state is not RunState.RED or len(tries) > settings.queue.staging.retries):
            found[head] = _conviction(run, said, len(tries), settings)
    return found


def not_ours_to_update(pull: PullRequest, protection: Protection, method: UpdateMethod) -> str:
    """Why a pull request's own branch is not for us to bring up to date (D3); empty when it is (Q24, Q25, Q89, Q90)."""
    if not pull.head_owner:
        return "the repository of its branch is gone"
    if pull.is_fork and not pull.maintainer_can_modify:
        return "it comes from a fork that maintainers may not push to"
    if protection.dismisses_stale:
        return "a push by mergeq would dismiss its reviews"
    if protection.last_push_approval:
        return "a push by mergeq would need an approval of its own"
    if protection.signatures and method is UpdateMethod.REBASE:
        return "a rebase by GitHub would lose the signatures that protection requires"
    return ""


def _left_behind(run: Run) -> Reason:
    return Reason(
        Clause.BEHIND,
        "to contain the tip of its base",
        f"it lacks commits of {run.base_sha[:7]}, and {run.why}",
        "the author",
        "merge the base into the branch, or rebase onto it, and push",
        items=(run.why,),
    )


def _conviction(run: Run, said: Verdict, tries: int, settings: BranchSettings) -> Reason:
    names = tuple(sorted({context.name for context in said.contexts}))
    where = f"on {run.staged_sha[:7]}, this pull request on base {run.base_sha[:7]}"
    place = f"pushes to {settings.queue.staging.prefix}**" if not run.on_head else "pull requests"
    if said.state is RunState.RED:
        times = f", {tries} times" if tries > 1 else ""
        return Reason(
            Clause.STAGED,
            f"{', '.join(names)} to be green together with the base",
            f"{said.why} {where}{times}",
            "the author",
            "push a fix; mergeq also tries again when the base moves",
            items=names,
        )
    waited = settings.queue.staging.start_timeout if said.state is RunState.SILENT else settings.queue.staging.timeout
    return Reason(
        Clause.STAGED,
        f"a result of {', '.join(names)} on the staged commit",
        f"{said.why} within {waited:.0f} s {where}",
        "whoever runs CI for the repository",
        f"have CI run on {place}; mergeq tries again after the next push",
        items=names,
    )


def batch_limit(settings: BranchSettings) -> int:
    """How many may be tested together; 0: any number, below 0: no batches (T1.20)."""
    ours = settings.queue.batch_size_limit
    return settings.batch_size_limit if ours is None else ours


def fitting(
    members: Iterable[Standing], base_sha: str, conflicts: Iterable[Conflict], settings: BranchSettings
) -> tuple[Standing, ...]:
    """Members in the order given, as many as may be tested together, without those known to conflict with the base or
    with those before them (T4.16, T4.17).
    """
    limit = batch_limit(settings)
    known = {(fact.prefix, fact.head_sha) for fact in conflicts if fact.base_sha == base_sha}
    chosen: list[Standing] = []
    prefix: tuple[str, ...] = ()
    for member in members:
        if (prefix, member.pull.head_sha) not in known:
            chosen.append(member)
            prefix = (*prefix, member.pull.head_sha)
        if limit and len(chosen) == limit:
            break
    return tuple(chosen)


def candidates(
    pool: Pool, runs: Sequence[Run], conflicts: Iterable[Conflict], settings: BranchSettings
) -> tuple[Standing, ...]:
    """Who may be staged together next, in the order of landing: members in rank that fit (T4.15-T4.17).

    Empty when batching is off, when fewer than two are left, or when exactly these were red on this base before.
    """
    if batch_limit(settings) < 0:
        return ()
    chosen = fitting(ranked(pool.members, settings), pool.base_sha, conflicts, settings)
    heads = frozenset(member.pull.head_sha for member in chosen)
    tried = {run.heads for run in runs if run.base_sha == pool.base_sha and run.ended not in {None, RunState.GREEN}}
    return () if len(chosen) < 2 or heads in tried else chosen


def serial_candidate(
    pool: Pool, missing: Iterable[int], conflicts: Iterable[Conflict], settings: BranchSettings
) -> Standing | None:
    """Who is staged alone next: the first member in rank whose test is missing and that merges into the base (T4.3,
    T4.7).
    """
    impossible = {fact.head_sha for fact in conflicts if fact.base_sha == pool.base_sha and not fact.prefix}
    waiting = frozenset(missing)
    ready = (one for one in ranked(pool.members, settings) if one.pull.number in waiting)
    return next((member for member in ready if member.pull.head_sha not in impossible), None)


def conflicting(pool: Pool, conflicts: Iterable[Conflict]) -> Mapping[int, str]:
    """Members that conflict with others of the pool on this base, and with whom, by number."""
    numbers = {member.pull.head_sha: member.pull.number for member in pool.members}
    clashes: dict[int, set[int]] = {}
    found = {}
    for fact in conflicts:
        if fact.base_sha == pool.base_sha and fact.head_sha in numbers:
            before = {numbers[head] for head in fact.prefix if head in numbers}
            if before:
                clashes.setdefault(numbers[fact.head_sha], set()).update(before)
            elif not fact.prefix:
                found[numbers[fact.head_sha]] = "it conflicts with the base"
    told = {
        number: f"it conflicts with {' or '.join(f'#{other}' for other in sorted(others))}, which is tested first"
        for number, others in clashes.items()
    }
    return {**told, **found}
