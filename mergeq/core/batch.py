"""Staged runs: pull requests tested together on one base, what their results say, and what follows for the pool.

A run is evidence for exactly its base and its members' heads. Nothing here acts; `choose` says what to start, abandon
or land.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from mergeq.core.contexts import ContextPolicy, unsuccessful
from mergeq.core.history import Target
from mergeq.core.pool import Arrival, BranchSettings, Pool, Standing
from mergeq.core.pull import Context, Method, Protection, PullRequest, Result
from mergeq.core.queue import UpdateMethod
from mergeq.core.reason import Clause

_AWAITED = frozenset({Clause.CONTEXTS, Clause.NO_CONTEXTS, Clause.CONTEXTS_UNREADABLE, Clause.SETTLING})


class RunState(StrEnum):
    """What the contexts of a staged commit say so far.

    SILENT: a required context never appeared within `start_timeout`. CANCELLED: somebody or something stopped CI.
    ERROR: CI itself could not do its work. OVERDUE: not all had ended within `timeout`. BEHIND: the head lacks the tip
    of the base, and it is not for us to bring it up to date. Only RED is held against a pull request.
    """

    PENDING = "pending"
    GREEN = "green"
    RED = "red"
    SILENT = "silent"
    CANCELLED = "cancelled"
    ERROR = "error"
    OVERDUE = "overdue"
    BEHIND = "behind"


NO_RESULT = frozenset({RunState.SILENT, RunState.CANCELLED, RunState.ERROR, RunState.OVERDUE})
"""How a run ends that says nothing about what it was to test."""
_CANCELLED = frozenset({"cancelled", "stale"})
_BROKEN = frozenset({"startup_failure", "action_required"})


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

    @property
    def is_done(self) -> bool:
        """Whether it is known to have been told."""
        return self.tries > 0 and not self.why


@dataclass(frozen=True, slots=True)
class Run:
    """Members staged in order on `base_sha`, whose tree is `base_tree`. `trees` holds the tree expected after each
    member lands, `commits` the commit made for it; the last one is the staged commit. No members: the base alone.

    `contexts` are those of the staged commit as last read, None while unread. `ended` is set once and for all when the
    run is over, `why` says what ended it where no context does; `started_at` and `ended_at` are epoch seconds.

    Without a `ref` the staged commit was there before: another run's, or the head of its only member. Unless it
    `is_pushed` its ref may not be there yet.

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
    is_pushed: bool = True
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
        return "; ".join(f"{context.name} {_told(context)}" for context in self.contexts)


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
    """What a run says at `now`; one that has ended says what it said then, unless it was green and more is required by
    now.
    """
    demands = replace(settings.demands, policy=staged_policy(settings)) if not run.on_head else settings.demands
    bad = unsuccessful(run.contexts or (), demands)
    over = tuple(context for context in bad if context.result in {Result.FAILURE, Result.ERROR})
    silent = () if run.contexts is None else tuple(one for one in bad if one.result is Result.EXPECTED)
    if run.ended is RunState.GREEN and (bad or run.contexts is None):
        return Verdict(RunState.SILENT, bad)  # more is required by now
    if run.ended is not None:
        return Verdict(run.ended, silent if run.ended is RunState.SILENT else over or bad)
    for state in (RunState.RED, RunState.ERROR, RunState.CANCELLED):  # a failure cancels what runs beside it
        if those := tuple(context for context in over if _kind(context) is state):
            return Verdict(state, those)
    if run.contexts is not None and not bad:
        return Verdict(RunState.GREEN)
    if run.told.why:
        return Verdict(RunState.PENDING, bad)  # CI was not told: that it is silent is not its fault
    if silent and now - run.started_at >= settings.queue.staging.start_timeout:
        return Verdict(RunState.SILENT, silent)
    if now - run.started_at >= settings.queue.staging.timeout:
        return Verdict(RunState.OVERDUE, bad)
    return Verdict(RunState.PENDING, bad)


def _kind(context: Context) -> RunState:
    """What a context that ended without success says of what it was about (github, "Checks" REST page)."""
    if context.conclusion in _CANCELLED:
        return RunState.CANCELLED
    return RunState.ERROR if context.result is Result.ERROR or context.conclusion in _BROKEN else RunState.RED


def _told(context: Context) -> str:
    said = {
        Result.EXPECTED: "never appeared",
        Result.PENDING: "is still running",
        Result.FAILURE: "failed",
        Result.ERROR: "ended with an error",
    }
    named = {
        "cancelled": "was cancelled",
        "stale": "was given up by GitHub",
        "timed_out": "took too long",
        "startup_failure": "could not start",
        "action_required": "waits for somebody's approval on GitHub",
    }
    return named.get(context.conclusion) or said.get(context.result, "passed")


def deadline(run: Run, settings: BranchSettings) -> float:
    """When a run that is under way is given up if nothing is heard of it any more (epoch seconds): when a context that
    never appeared should have, later when all should have ended.
    """
    start, end = (
        run.started_at + wait for wait in (settings.queue.staging.start_timeout, settings.queue.staging.timeout)
    )
    is_silent = any(one.result is Result.EXPECTED for one in verdict(run, settings, run.started_at).contexts)
    return min(start, end) if is_silent or run.contexts is None else end


def landed(run: Run, base_sha: str, base_tree: str) -> int | None:
    """How many of a run's members the base holds already, going by its tree; None when the run is about another base.

    What was tested is a tree, whichever commit has it and whoever made that: a member that landed alone, or a base that
    was pushed to without a change, leaves the rest of a run as proved as before (T4.21 and T12.11 repaired).
    """
    if run.base_sha == base_sha or (base_tree and run.base_tree == base_tree):
        return 0
    held = [count for count, tree in enumerate(run.trees, 1) if base_tree and tree == base_tree]
    return held[-1] if held else None


def rest(run: Run, base_sha: str, base_tree: str) -> tuple[Member, ...] | None:
    """The members that a run tests on this base; None when it is about another one."""
    gone = landed(run, base_sha, base_tree)
    return None if gone is None else run.members[gone:]


def is_current(run: Run, pool: Pool) -> bool:
    """Whether a run is about the pool as it is: its base, and every member that has not landed in the pool with the
    head and method that was staged. A pull request whose own head is tested may be out of the pool for the want of just
    those results.
    """
    if run.is_asked_for:
        return True
    if run.on_head:
        tested, standing = run.members[0], pool.standing(run.members[0].number)
        return (
            run.base_sha == pool.base_sha
            and standing is not None
            and (standing.pull.head_sha, standing.method) == (tested.head_sha, tested.method)
            and all(reason.clause in _AWAITED for reason in standing.reasons)
        )
    left = rest(run, pool.base_sha, pool.base_tree)
    if left is None or (run.members and not left):
        return False
    known = members_of(pool)
    return all(known.get(one.number) == (one.head_sha, one.method) for one in left)


def members_of(pool: Pool) -> dict[int, tuple[str, Method | None]]:
    """The head and the method of everybody in a pool, by number."""
    return {standing.pull.number: (standing.pull.head_sha, standing.method) for standing in pool.members}


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
    whose test is missing. A base that is tested alone counts as one without numbers. `is_demanded`: there is something
    to be tested at all.
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
    """How far the runs that are about a pool have tested it; of a run of which a part has landed the rest."""
    by_state: dict[tuple[RunState, bool], list[Tested]] = {}
    for run in runs:
        if is_current(run, pool):
            left = run.members if run.on_head else rest(run, pool.base_sha, pool.base_tree) or ()
            tested = Tested(tuple(member.number for member in left), run.id)
            by_state.setdefault((verdict(run, settings, now).state, len(left) > 1), []).append(tested)
    found = Progress(
        passed=tuple(one for one in by_state.get((RunState.GREEN, False), ()) if one.numbers),
        passed_batches=tuple(by_state.get((RunState.GREEN, True), ())),
        pending=tuple(by_state.get((RunState.PENDING, False), ())),
        pending_batches=tuple(by_state.get((RunState.PENDING, True), ())),
        is_demanded=bool(staged_policy(settings).required),
    )
    alone = {number for tested in (*found.passed, *found.pending) for number in tested.numbers}
    missing = (member.pull.number for member in pool.members if member.pull.number not in alone)
    return replace(found, missing=tuple(missing))


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


def batch_limit(settings: BranchSettings) -> int:
    """How many may be tested together; 0: any number, below 0: no batches (T1.20)."""
    ours = settings.queue.batch_size_limit
    return settings.batch_size_limit if ours is None else ours


def fitting(
    members: Iterable[Standing], base_sha: str, conflicts: Iterable[Conflict], limit: int
) -> tuple[Standing, ...]:
    """Members in the order given, no more than `limit` if that is not 0, without those known to conflict with the base
    or with those before them (T4.16, T4.17).
    """
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
