"""Gather the facts of a branch, reading of GitHub what is marked alone; let the core decide, and save that."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from mergeq.bootstrap import Services
from mergeq.core import conviction, status
from mergeq.core.action import Land, Wait, targets_of, wire_name
from mergeq.core.batch import NO_RESULT, Run, RunState, deadline, verdict
from mergeq.core.budget import STATUS_BURST, STATUS_SECONDS, Purpose
from mergeq.core.decide import Decision, Situation, judge
from mergeq.core.history import HistoryRecord, Outcome, Target
from mergeq.core.marks import Announced, are_shown
from mergeq.core.pool import (
    Arrival,
    BranchSettings,
    Memory,
    Pool,
    Unproved,
    binding,
    settled_at,
    unproved_now,
)
from mergeq.core.pull import Branch, BranchFacts, Commit, Method, PullRequest
from mergeq.core.queue import Retest
from mergeq.core.reason import Reason
from mergeq.core.status import Status
from mergeq.github import Refused, Seen, Unreadable
from mergeq.store import ALL, LIST, REFS, RUNS, TIP, Lease, Marked, Reading, SavedPool

_OUTCOMES = {RunState.RED: Outcome.RED, **dict.fromkeys(NO_RESULT, Outcome.ABANDONED)}
_SOON, _SOME_TIME = 3.0, 300.0  # seconds until what is not there yet is looked for again, at first and at most
_OUTAGE = 60.0  # the same, where a branch could not be read
_CERTAIN_WAITS = (4.0, 8.0)  # seconds between readings of a base that seems to have lost its tip
_OPINION = 20.0  # GitHub's on conflicts, after a base has moved
_LATELY = 600.0  # whoever changed a pull request then may still look at it
_RUN_CHECK = 120.0  # how long a staged run is left to webhooks


def sync(services: Services, lease: Lease) -> SavedPool:
    """Look at one branch and save its pool with the action chosen for it. Raises LeaseLost, and HeldBack: a branch
    where nothing is in the pool or tested is held back before others.

    Of GitHub that alone is read which is marked, or was never read; where nothing is, the branch is judged again by
    what is known. A branch that cannot be read is saved as it was known, with the error and no action, so that the page
    says why nothing happens; it is tried again by itself. One that nobody wants to reach any more is forgotten then.
    """
    branch, store = lease.branch, services.store
    before = store.pool(branch)
    is_busy = before is not None and (before.pool.members or before.runs)
    reading = services.on(Purpose.LOOK if is_busy else Purpose.LOOK_IDLE)
    marks = store.marks(branch)
    try:
        facts = _read_marked(reading, branch, marks)
        _stop_if_rewound(reading, lease, before, facts.base_sha)
        _begin_anew(services, lease, facts)
        seen = _situation(reading, facts, before, reads_runs=bool(marks.keys() & {ALL, RUNS}))
    except Unreadable as error:
        services.log.warning("branch not readable", branch=str(branch), error=str(error))
        is_left = before is not None and not before.runs and not store.numbers(branch)  # as when it has another name
        known = before.pool if before is not None and not is_left else Pool(branch, "")
        saved = _saved(services, known, Decision(Wait("the branch could not be read")), before.runs if before else ())
        if not is_left:
            saved = replace(saved, error=str(error))
            store.try_again(branch, services.now(), _OUTAGE, _SOME_TIME)
    else:
        store.unmark(branch, {field: one for field, one in marks.items() if field == RUNS})
        _keep(services, lease, seen)
        saved = decided(services, seen)
        _measure(services, saved)
        _take_pulse(services, lease, saved)
        _look_after(services, seen, before, saved)
    store.save_pool(lease, saved)
    return saved


def look(services: Services, branch: Branch, before: SavedPool | None) -> Situation:
    """Everything that is known of a branch now, all of it read from GitHub, and as it is remembered; `before` is how it
    was last saved. Writes nothing. Raises Unreadable and HeldBack.
    """
    facts = services.github.read_branch(branch, services.config.blocker_label)
    seen, halt = _situation(services, facts, before, reads_runs=True), services.store.halt_of(branch)
    return replace(seen, halted=halt.said if halt else "")  # whoever only looks needs no store that knows everything


def _situation(services: Services, facts: BranchFacts, before: SavedPool | None, *, reads_runs: bool) -> Situation:
    store, now, branch = services.store, services.now(), facts.branch
    settings = services.config.held_to(branch, facts.protection)
    runs = _runs(services, facts, settings, before, is_read=reads_runs)
    memory = replace(
        remember(services, branch, settings, before, runs, facts.base_sha, facts.base_tree),
        arrivals=_arrivals(services, facts, before),
        unproved=_unproved(services, facts, settings.status_context),
    )
    conflicts = tuple(fact for fact in store.conflicts(branch) if fact.base_sha == facts.base_sha)
    doubt = store.doubted(branch)
    doubted = doubt.why if doubt is not None and doubt.base_sha == facts.base_sha else ""
    return Situation(facts, memory, tuple(runs), conflicts, store.halted(branch), now, doubt=doubted)


def _read_marked(services: Services, branch: Branch, marks: Mapping[str, Marked]) -> BranchFacts:
    """The facts of a branch, after reading what is marked of it, and keeping that. Raises Unreadable and HeldBack.

    Who is open on a branch, and what GitHub thinks of conflicts, is listed where the branch itself is marked; what the
    list shows to be new is read. What an event said and the reading does not show yet stays marked, and is read again
    in a moment.
    """
    store, repo = services.store, branch.full_repo
    marks = {field: one for field, one in marks.items() if field not in {RUNS, REFS}}
    known = store.facts(branch)
    due = {field: one for field, one in marks.items() if not _is_no_news(known, field, one)}
    if known is not None and not due:
        store.unmark(branch, marks)
        return known
    at, there = services.now(), store.numbers(branch)
    numbers = there if ALL in due else [int(field) for field in due if field.isdigit()]
    nodes = {number: row.node for number, row in store.rows_of(repo, numbers).items()}
    nodes |= {number: due[str(number)].node for number in numbers if str(number) in due and due[str(number)].node}
    listed = known is None or not due.keys().isdisjoint({ALL, TIP, LIST}) or len(nodes) < len(numbers)
    read = services.github.look(branch, services.config.blocker_label, list(nodes.values()), listed=listed)
    seen = dict(read.pulls)
    if read.rows is not None:
        before = store.rows_of(repo, [row.number for row in read.rows])
        new = [row for row in read.rows if row.number in numbers or row.differs_from(before.get(row.number))]
        nodes |= {row.number: row.node for row in new}
        store.keep_rows(row for row in read.rows if (was := before.get(row.number)) and row.thinks_otherwise(was))
        seen |= services.github.pulls(branch.org, [row.node for row in new if row.node not in seen])
    store.learn_apps({number: slug for one in seen.values() for number, slug in one.apps.items()})
    found = [each for number, node in nodes.items() for each in readings(branch, number, seen[node])]
    if read.rows is not None:
        open_here = {row.number for row in read.rows} | nodes.keys()
        found += [Reading(repo, number, None) for number in there if number not in open_here]
    store.send((one for one in store.keep(found, [read.state], at) if one != branch), services.now())
    return _after(services, branch, marks)


def readings(branch: Branch, number: int, one: Seen) -> list[Reading]:
    """A pull request that was known on a branch, as it is kept: on the one that it wants to reach now, and on `branch`
    where that could not be read. Where its repository has another name now, it is gone from the old one (Q27).
    """
    if one.pull is None:
        return [Reading(branch.full_repo, number, None if one.is_gone else branch)]
    now = one.pull.branch
    found = [Reading(now.full_repo, number, now if one.pull.is_open else None, one.pull.head_sha, one.pull, one.row)]
    return found if now.full_repo == branch.full_repo else [*found, Reading(branch.full_repo, number, None)]


def _stop_if_rewound(services: Services, lease: Lease, before: SavedPool | None, tip: str) -> None:
    """Where something is tested with the base, halt a branch whose base lost what it had: whatever was tested counts
    for nothing then, and would bring back what was taken away (D5). An answer that is older than what is known (Q12)
    looks the same, so it is asked again before that. Raises LeaseLost, Unreadable and HeldBack.
    """
    branch, store, was = lease.branch, services.store, before.pool.base_sha if before else ""
    is_tested = services.config.for_branch(branch).queue.retest is not Retest.HEAD
    if not is_tested or was in {"", tip} or any(one.landed_sha == tip for one in store.history(branch=branch, limit=1)):
        return
    try:
        is_lost = services.github.lacks(branch, tip, was) > 0
    except Refused as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise Unreadable(f"whether {branch} was rewound could not be read: {error}") from None
        is_lost = True
    if not is_lost:
        return
    for wait in _CERTAIN_WAITS:
        services.sleep(wait)
        if services.github.look(branch, "").state.base_sha != tip:
            store.look_later(branch, [LIST], services.now() + _SOON)
            raise Unreadable(f"GitHub's answers do not agree on whether {branch} is at {tip[:7]}")
    why = f"the base was rewound: {tip[:7]} lacks {was[:7]}, which was its tip"
    services.log.error("the branch is halted", branch=str(branch), why=why)
    remedy = "see who moved it, put back what is missing if it was not meant, and resume the branch"
    store.halt(lease, f"{why}; {remedy}", services.now())
    for run in store.runs(branch):
        if run.ended is None:
            note_run(services, lease, run, Outcome.ABANDONED, why)
        else:
            store.forget_run(lease, run)


def _is_no_news(known: BranchFacts | None, field: str, marked: Marked) -> bool:
    """Whether all that events said is known already, as what followed from our own landings. An update of a pull
    request never is, for its time says no more than the second.
    """
    told = {Announced.MOVED} if field == TIP else {Announced.LEFT}
    if known is None or not marked.hints:
        return False
    pull = next((pull for pull in known.pulls if str(pull.number) == field), None)
    return all(hint.what in told for hint in marked.hints) and are_shown(marked.hints, known, pull)


def _after(services: Services, branch: Branch, marks: Mapping[str, Marked]) -> BranchFacts:
    """The facts after a reading; marks go, but for those of which the reading shows less than an event said."""
    store = services.store
    facts = store.facts(branch)
    if facts is None:
        raise Unreadable(f"{branch} was forgotten while it was read")
    pulls = {str(pull.number): pull for pull in facts.pulls}
    early = {field for field, one in marks.items() if not are_shown(one.hints, facts, pulls.get(field))}
    store.unmark(branch, {field: one for field, one in marks.items() if field not in early})
    if not early:
        store.is_settled(branch)
    elif store.try_again(branch, services.now(), _SOON, _SOME_TIME) >= _SOME_TIME:
        store.unmark(branch, marks)
    return facts


def _look_after(services: Services, seen: Situation, before: SavedPool | None, saved: SavedPool) -> None:
    """See that a branch is looked at again when something of it may be otherwise and no event will say so."""
    store, branch, now = services.store, seen.facts.branch, services.now()
    settings = services.config.for_branch(branch)
    if before is not None and before.pool.base_sha != seen.facts.base_sha:
        store.look_later(branch, [LIST], now + _OPINION)
    for run in (run for run in seen.runs if run.ended is None):
        asked = [str(member.number) for member in run.members] if run.is_asked_for else []
        end = deadline(run, settings)
        store.look_later(branch, [RUNS, *asked], min(now + _RUN_CHECK, end) if end > now else now + _RUN_CHECK)
    base = (seen.facts.base_sha, seen.facts.base_tree)
    if ends := conviction.ends_of_waiting(seen.runs, *base, settings, now):
        store.look_later(branch, (), min(ends))
    if seen.facts.partial or seen.facts.unread:
        store.look_later(branch, [LIST], now + (_OUTAGE if seen.facts.partial else _SOME_TIME))
    stood_back = (seen.memory.refusals.get(standing.pull.number) for standing in saved.pool.standings)
    ends = [one.until for one in stood_back if one is not None]
    if settings.queue.settle:
        ends += [settled_at(standing.pull, settings) for standing in saved.pool.standings]
    if ends := [end for end in ends if end > now]:
        store.look_later(branch, (), min(ends))


def decided(services: Services, seen: Situation) -> SavedPool:
    """What the core decides about a branch, as it is saved."""
    settings = services.config.held_to(seen.facts.branch, seen.facts.protection)
    pool, decision = judge(seen, settings)
    return replace(_saved(services, pool, decision, seen.runs), conflicts=seen.conflicts)


def remember(
    services: Services,
    branch: Branch,
    settings: BranchSettings,
    before: SavedPool | None,
    runs: Sequence[Run],
    base_sha: str,
    base_tree: str,
) -> Memory:
    """What is known about a branch from before; its convictions and refusals are about this base."""
    members, store = before.pool.members if before else (), services.store
    return Memory(
        entered={(m.pull.number, m.pull.head_sha): m.entered_at for m in members if m.entered_at is not None},
        refusals=binding(store.refusals(branch), base_sha),
        convictions=_held_against(services, branch, settings, runs, base_sha, base_tree),
        arrivals=store.arrivals(branch.full_repo),
        unproved=store.unproved(branch.full_repo),
        landed=store.unnoticed(branch),
        evictions=store.evictions(branch.full_repo),
    )


def _begin_anew(services: Services, lease: Lease, facts: BranchFacts) -> None:
    """Forget what is held against heads that operators want tried again. Raises LeaseLost."""
    store, branch = services.store, lease.branch
    if retries := store.retries(branch):
        settings = services.config.held_to(branch, facts.protection)
        runs = store.runs(branch)
        failed = conviction.failures(runs, facts.base_sha, facts.base_tree, settings, services.now())
        store.forget_held(lease, retries, [run for head in retries.values() for run, _ in failed.get(head, ())])


def _held_against(
    services: Services, branch: Branch, settings: BranchSettings, runs: Sequence[Run], base_sha: str, base_tree: str
) -> dict[str, Reason]:
    """The heads that are not tested for now, each with the reason: as the runs say, else as it was found before."""
    now = services.now()
    told = conviction.convictions(runs, base_sha, base_tree, settings, now)
    before = {
        head: one.reason
        for head, one in services.store.convictions(branch).items()
        if conviction.holds(one, base_sha, base_tree, now)
    }
    return before | {head: one.reason for head, one in told.items()}


def report(services: Services, lease: Lease, saved: SavedPool) -> int:
    """Bring the status context of every pull request of a branch up to date; returns how many were to be written.

    Written only where it differs from what GitHub showed when it was read (T6.26): at once where somebody may be
    waiting for it, in the pool or changed lately; the others no faster than GitHub bears, at a turn of their own. A
    status that cannot be written is logged and tried again when the branch is looked at next. Raises HeldBack, with the
    rest unwritten.
    """
    branch, store, now = lease.branch, services.store, services.now()
    account, pace = services.github.credentials.account(branch.org), (STATUS_SECONDS, STATUS_BURST)
    changed = [*_changed(services, branch, saved)]
    urgent = [one for one in changed if one.is_urgent]
    rest = [one for one in changed if not one.is_urgent][:STATUS_BURST]
    if urgent:
        store.pace(account, branch, now, *pace, len(urgent), urgent=True)
    if rest and (wait := store.pace(account, branch, now, *pace, len(rest), urgent=False)):
        store.put_off(branch, now + wait)
        rest = []
    elif len(urgent) + len(rest) < len(changed):
        store.put_off(branch, now + STATUS_SECONDS)
    name, writing = services.config.for_branch(branch).status_context, services.on(Purpose.STATUS)
    for one in (*urgent, *rest):
        if problem := set_status(writing, one.pull, name, one.before, one.wanted):
            services.log.warning("status not written", pull=str(one.pull), error=problem)
    return len(urgent) + len(rest)


@dataclass(frozen=True, slots=True)
class _Changed:
    """A status that is to be another one. `is_urgent`: somebody may be waiting for it."""

    pull: PullRequest
    before: Status | None
    wanted: Status
    is_urgent: bool


def _changed(services: Services, branch: Branch, saved: SavedPool) -> Iterator[_Changed]:
    """What differs from what GitHub showed last; the pool first."""
    settings = services.config.for_branch(branch)
    for standing in sorted(saved.pool.standings, key=lambda standing: not standing.in_pool):
        pull = standing.pull
        if pull.contexts is None:
            continue
        wanted = status.describe(standing, saved.pool, settings, runs=saved.runs, conflicts=saved.conflicts)
        if (before := status.shown(pull.contexts, settings.status_context)) != wanted:
            lately = services.now() - pull.updated_at < _LATELY
            yield _Changed(pull, before, wanted, standing.in_pool or lately)


def set_status(services: Services, pull: PullRequest, context: str, before: Status | None, wanted: Status) -> str:
    """Post a status to the head of a pull request instead of what was there `before`, and remember it; what went wrong,
    if something did.
    """
    try:
        done = services.github.set_status(pull.branch, pull.head_sha, context, wanted, services.link(pull))
    except Refused as error:
        return str(error)
    services.store.note_written(pull, done, before.state.upper() if before else None)
    return ""


def squashed_commits(services: Services, pull: PullRequest, method: Method | None) -> tuple[Commit, ...]:
    """The commits that GitHub's own message of a squash speaks about; none for another method, and none where they
    cannot all be read.
    """
    if method is not Method.SQUASH:
        return ()
    try:
        return services.github.commits(pull.branch, pull.number, pull.head_sha)
    except Unreadable as error:
        services.log.warning("commits not read for the message", pull=str(pull), error=str(error))
        return ()


def _saved(services: Services, pool: Pool, decision: Decision, runs: Sequence[Run]) -> SavedPool:
    action = decision.action
    return SavedPool(
        id=services.store.new_id(),
        pool=pool,
        action=wire_name(action),
        targets=targets_of(action),
        why=action.why,
        at=services.now(),
        config=services.config.digest,
        run=action.run if isinstance(action, Land) else "",
        abandon=decision.abandon,
        runs=tuple(runs),
    )


def _runs(
    services: Services, facts: BranchFacts, settings: BranchSettings, before: SavedPool | None, *, is_read: bool
) -> list[Run]:
    """The runs that are still evidence, with their end where they have come to it; ended runs of another base are none
    any more. Their contexts are as they were last, or where that `is_read` or a run's time is over as they are now.
    """
    branch, now, keep = facts.branch, services.now(), settings.queue.staging.keep
    heads = {pull.head_sha for pull in facts.pulls}
    runs = [
        run
        for run in services.store.runs(branch)
        if conviction.is_evidence(run, heads, facts.base_sha, facts.base_tree, keep, now)
    ]
    last = {run.id: run.contexts for run in before.runs} if before else {}
    on_heads = {pull.head_sha: pull.contexts for pull in facts.pulls}
    last = {run.id: on_heads.get(run.staged_sha, last.get(run.id, run.contexts)) for run in runs}
    open_runs = [run for run in runs if run.ended is None and not run.is_asked_for]
    elsewhere = [run for run in open_runs if run.staged_sha not in on_heads]
    shas = Counter(run.staged_sha for run in runs)
    old = (shas[run.staged_sha] > 1 for run in elsewhere if last[run.id] is None)  # may have been tested long ago
    if is_read or any(old) or any(deadline(run, settings) <= now for run in elsewhere):
        read = services.github.staged(branch, [run.staged_sha for run in elsewhere]) if elsewhere else []
        last |= {run.id: contexts for run, contexts in zip(elsewhere, read, strict=True)}
    found = []
    for run in (replace(run, contexts=last[run.id]) if run in open_runs else run for run in runs):
        said = verdict(run, settings, now)
        is_here = not run.on_head or run.base_sha == facts.base_sha
        is_proof = not run.members and said.state is RunState.GREEN  # of the base itself: nothing is to land of it
        over = run.ended is None and is_here and (said.state in _OUTCOMES or is_proof)
        found.append(replace(run, ended=said.state, ended_at=now, why=said.why) if over else run)
    return found


def _keep(services: Services, lease: Lease, seen: Situation) -> None:
    """Remember what a look has brought to light: arrivals, what is not green, which runs have ended, each recorded
    once. Raises LeaseLost.
    """
    store, repo, facts = services.store, lease.branch.full_repo, seen.facts
    arrivals, unproved = store.arrivals(repo), store.unproved(repo)
    store.note_arrivals(repo, {n: one for n, one in seen.memory.arrivals.items() if arrivals.get(n) != one})
    store.note_unproved(repo, {n: one for n, one in seen.memory.unproved.items() if unproved.get(n) != one})
    looked_at = {run.id: run for run in seen.runs}
    for run in store.runs(lease.branch):
        now = looked_at.get(run.id)
        if now is None:
            store.forget_run(lease, run)
        elif now.ended is not None and run.ended is None:
            if (outcome := _OUTCOMES.get(now.ended)) is not None:
                note_run(services, lease, now, outcome, now.why)
            else:
                store.save_run(lease, now)
    settings = services.config.held_to(lease.branch, facts.protection)
    store.keep_convictions(lease, _to_keep(services, seen, settings))
    if seen.doubt:
        _resolve_doubt(services, lease, seen, settings)
    if any(fact.base_sha != facts.base_sha for fact in store.conflicts(lease.branch)):
        store.forget_conflicts(lease)
        store.add_conflicts(lease, seen.conflicts)


def _resolve_doubt(services: Services, lease: Lease, seen: Situation, settings: BranchSettings) -> None:
    """Forget the doubt about a base that is green by itself, and halt the branch of one that is not (D22)."""
    base = conviction.health_of(seen.runs, seen.facts.base_sha, seen.facts.base_tree, settings, seen.now)
    if base.health is conviction.Health.GOOD:
        services.store.clear_doubt(lease)
    elif base.health is conviction.Health.BAD and base.said is not None:
        why = f"{seen.facts.base_sha[:7]}, which was never tested before it came there, is red: {base.said.why}"
        services.store.halt(lease, why, services.now())
        services.log.error("the base is red; the branch is halted", branch=str(lease.branch), why=why)


def _to_keep(services: Services, seen: Situation, settings: BranchSettings) -> dict[str, conviction.Conviction] | None:
    """The convictions of a branch as they are to be kept; None when that changes nothing."""
    facts, heads = seen.facts, {pull.head_sha for pull in seen.facts.pulls}
    before = services.store.convictions(facts.branch)
    found = conviction.convictions(seen.runs, facts.base_sha, facts.base_tree, settings, seen.now)
    kept = {head: one for head, one in before.items() if head in heads}
    for head, one in found.items():
        known = before.get(head)
        if known is None or not conviction.holds(known, facts.base_sha, facts.base_tree, seen.now):
            kept[head] = conviction.again(one, known)
    return kept if kept != before else None


def note_run(services: Services, lease: Lease, run: Run, outcome: Outcome, why: str) -> HistoryRecord:
    """Record how a run began or ended without landing, and keep it as evidence, or drop it when it was given up.
    Raises LeaseLost.
    """
    record = HistoryRecord(
        id=services.store.new_id(),
        branch=str(lease.branch),
        time=services.now(),
        action="TRIGGER_BATCH" if len(run.members) > 1 else "TRIGGER",
        base_sha=run.base_sha,
        targets=run.targets,
        outcome=outcome,
        err="" if outcome is Outcome.TRIGGERED else why,
        tested_tree=run.trees[-1] if run.trees else None,
        config=services.config.digest,
    )
    over = outcome is Outcome.ABANDONED and run.ended is None
    services.store.record(lease, record, keep=None if over else run, drop=run if over else None)
    services.log.info("run", branch=str(lease.branch), run=run.id, outcome=outcome.value, why=why or None)
    return record


def is_served(services: Services, branch: Branch) -> bool:
    """Whether a branch is one that pull requests are landed on: configured, and not a staging ref of our own."""
    staging = services.config.queue_values(branch).staging
    return services.config.covers(branch) and not branch.name.startswith((staging.prefix, staging.scratch_prefix))


def target_of(pull: PullRequest) -> Target:
    """A pull request as history names it."""
    return Target(pull.number, pull.author, pull.head_sha, pull.title, pull.head_ref)


def _arrivals(services: Services, facts: BranchFacts, before: SavedPool | None) -> dict[int, Arrival]:
    """When the present heads arrived: as a webhook said, else no later than their first trace, or than now (D17).

    A commit may have left traces before it came to this pull request. Where another head was seen here before, the
    present one came after that.
    """
    repo, now = facts.branch.full_repo, services.now()
    known = services.store.arrivals(repo)
    new = {}
    for pull in facts.pulls:
        if (seen := known.get(pull.number)) is None or seen.head_sha != pull.head_sha:
            trace = min((context.at for context in pull.contexts or () if context.at), default=now)
            earlier = before.at if before and before.pool.standing(pull.number) else 0.0
            original = seen is None and (trace <= pull.created_at or (pull.steps == 1 and not pull.was_forced))
            new[pull.number] = Arrival(pull.head_sha, min(max(trace, earlier), now), original)
    return {**known, **new}


def _unproved(services: Services, facts: BranchFacts, ours: str) -> dict[int, Unproved]:
    known = services.store.unproved(facts.branch.full_repo)
    return {**known, **{pull.number: unproved_now(pull, known.get(pull.number), ours) for pull in facts.pulls}}


def stalled(services: Services) -> dict[Branch, float]:
    """The branches whose pools stand still, and since when. One that cannot be read stands still too."""
    store, now = services.store, services.now()
    pools = store.judged()
    return {
        branch: pulse.since
        for branch, pulse in sorted(store.pulses().items())
        if branch in pools and pulse.since is not None and pulse.stalled(now, services.config.queue_values(branch))
    }


def raise_alarms(services: Services) -> None:
    """Say in the log, once each, which pools stand still and which go on again."""
    store, found = services.store, stalled(services)
    for branch, since in found.items():
        if store.raise_alarm(branch, since):
            saved = store.pool(branch)
            why = (saved.error or saved.why) if saved else None
            waited = services.now() - since
            services.log.error("nothing comes of a pool", branch=str(branch), seconds=round(waited), why=why)
            store.renew_pages()
    for branch in store.end_alarms(found):
        services.log.info("a pool goes on again", branch=str(branch))


def _take_pulse(services: Services, lease: Lease, saved: SavedPool) -> None:
    """Remember how the pool goes on. While people stop a branch nothing is expected of it."""
    pool, (before, verdict) = saved.pool, services.store.pulse(lease.branch)
    is_waiting = bool(pool.members) and not pool.halted and not pool.blockers
    if (after := before.beat(services.now(), verdict, is_waiting=is_waiting)) != before:
        services.store.keep_pulse(lease, after)


def _measure(services: Services, saved: SavedPool) -> None:
    """Tide's gauges of a pool (T9.1, T9.2)."""
    branch = saved.pool.branch
    labels = {"org": branch.org, "repo": branch.repo, "branch": branch.name}
    services.store.set_gauge("pooledprs", len(saved.pool.members), **labels)
    services.store.set_gauge("updatetime", saved.at, **labels)
