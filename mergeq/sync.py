"""Gather the facts of a branch, let the core decide, and save what it decided; and find the branches that need that."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mergeq.bootstrap import Services
from mergeq.core import status
from mergeq.core.batch import Run, RunState, convictions, verdict
from mergeq.core.budget import Purpose
from mergeq.core.decide import Decision, Land, Situation, Wait, judge, targets_of, wire_name
from mergeq.core.history import HistoryRecord, Outcome, Target
from mergeq.core.pool import Arrival, BranchSettings, Memory, Pool, Unproved, under_protection, unproved_now
from mergeq.core.pull import Branch, BranchFacts, Commit, Method, PullRequest
from mergeq.github import HeldBack, Unreadable
from mergeq.store import Lease, SavedPool

_SLACK = 60.0  # seconds by which a window of update times overlaps the one before: GitHub's index lags
_OUTCOMES = {RunState.RED: Outcome.RED, RunState.SILENT: Outcome.ABANDONED, RunState.OVERDUE: Outcome.ABANDONED}


def sweep(services: Services, since: float) -> Iterator[Branch]:
    """The branches that may need a look: those the queries nominate, those with a pull request updated since, those
    with a pool.

    `since` is when the sweep before began (epoch seconds; 0.0 for none). A search that fails is logged and stops no
    other (D8).
    """
    config, github = services.config, services.github.on(Purpose.SWEEP)
    recent = (since - _SLACK if since else 0.0, services.now() + _SLACK)
    seen: dict[Branch, None] = {}
    searches = [(search, None) for search in config.searches()]
    for search, window in (*searches, *((search, recent) for search in config.open_pull_searches())):
        try:
            for branch in github.nominate(search, window):
                if branch not in seen and config.covers(branch):
                    seen[branch] = None
                    yield branch
        except (HeldBack, Unreadable) as error:
            services.log.warning("search failed", search=search, error=str(error))
    yield from (branch for branch in services.store.branches() if branch not in seen)


def sync(services: Services, lease: Lease) -> SavedPool:
    """Look at one branch and save its pool with the action chosen for it. Raises LeaseLost, and HeldBack: a branch
    where nothing is in the pool or tested is held back before others.

    A branch that cannot be read is saved as it was known, with the error and no action, so that the page says why
    nothing happens.
    """
    branch, store = lease.branch, services.store
    before = store.pool(branch)
    is_busy = before is not None and (before.pool.members or before.runs)
    try:
        seen = look(services.on(Purpose.LOOK if is_busy else Purpose.LOOK_IDLE), branch, before)
    except Unreadable as error:
        services.log.warning("branch not readable", branch=str(branch), error=str(error))
        known = before.pool if before else Pool(branch, "")
        saved = _saved(services, known, Decision(Wait("the branch could not be read")), before.runs if before else ())
        saved = replace(saved, error=str(error))
    else:
        _keep(services, lease, seen)
        saved = decided(services, seen)
        _measure(services, saved)
    store.save_pool(lease, saved)
    return saved


def look(services: Services, branch: Branch, before: SavedPool | None) -> Situation:
    """Everything that is known of a branch now, as GitHub says it and as it is remembered; `before` is how it was last
    saved. Writes nothing. Raises Unreadable and HeldBack.
    """
    store, now = services.store, services.now()
    facts = services.github.read_branch(branch, services.config.blocker_label)
    settings = under_protection(services.config.for_branch(branch), facts.protection)
    runs = _read_runs(services, branch, facts.base_sha, settings)
    memory = replace(
        remember(services, branch, settings, before, _arrivals(services, facts, before)),
        unproved=_unproved(services, facts, settings.status_context),
        convictions=convictions(runs, facts.base_sha, settings, now),
    )
    conflicts = tuple(fact for fact in store.conflicts(branch) if fact.base_sha == facts.base_sha)
    return Situation(facts, memory, tuple(runs), conflicts, store.halted(branch), now)


def decided(services: Services, seen: Situation) -> SavedPool:
    """What the core decides about a branch, as it is saved."""
    settings = under_protection(services.config.for_branch(seen.facts.branch), seen.facts.protection)
    pool, decision = judge(seen, settings)
    return replace(_saved(services, pool, decision, seen.runs), conflicts=seen.conflicts)


def remember(
    services: Services,
    branch: Branch,
    settings: BranchSettings,
    before: SavedPool | None,
    arrivals: Mapping[int, Arrival] | None = None,
) -> Memory:
    """What is known about a branch from before; its convictions are about the base that was last saved."""
    members = before.pool.members if before else ()
    store, now = services.store, services.now()
    return Memory(
        entered={(m.pull.number, m.pull.head_sha): m.entered_at for m in members if m.entered_at is not None},
        refusals=store.refusals(branch),
        convictions=convictions(store.runs(branch), before.pool.base_sha if before else "", settings, now),
        arrivals=store.arrivals(branch.full_repo) if arrivals is None else arrivals,
        unproved=store.unproved(branch.full_repo),
    )


def report(services: Services, lease: Lease, saved: SavedPool) -> int:
    """Bring the status context of every pull request of a branch up to date; returns how many were written.

    Written only where it differs from what GitHub showed at the sync (T6.26), members of the pool first. A status that
    cannot be written is logged and tried again at the next sync. Raises HeldBack, with the rest unwritten.
    """
    settings, github = services.config.for_branch(lease.branch), services.github.on(Purpose.STATUS)
    written = 0
    for standing in sorted(saved.pool.standings, key=lambda standing: not standing.in_pool):
        wanted = status.describe(standing, saved.pool, settings, runs=saved.runs, conflicts=saved.conflicts)
        head = standing.pull.head_sha
        if standing.pull.contexts is None or status.shown(standing.pull.contexts, settings.status_context) == wanted:
            continue
        link = services.link(standing.pull)
        if problem := github.set_status(lease.branch, head, settings.status_context, wanted, link):
            services.log.warning("status not written", pull=str(standing.pull), error=problem)
        else:
            written += 1
    return written


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


def _read_runs(services: Services, branch: Branch, base_sha: str, settings: BranchSettings) -> list[Run]:
    """The runs that are still evidence, with their contexts as they are now, and with their end where they have come to
    it; ended runs of another base are none any more.
    """
    runs = [run for run in services.store.runs(branch) if run.ended is None or run.base_sha == base_sha]
    open_runs = [run for run in runs if run.ended is None and not run.is_asked_for]
    read = services.github.staged(branch, [run.staged_sha for run in open_runs]) if open_runs else []
    fresh = {run.id: replace(run, contexts=contexts) for run, contexts in zip(open_runs, read, strict=True)}
    found = []
    for run in (fresh.get(run.id, run) for run in runs):
        said = verdict(run, settings, services.now())
        over = run.ended is None and run.base_sha == base_sha and said.state in _OUTCOMES
        found.append(replace(run, ended=said.state, why=said.why) if over else run)
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
            note_run(services, lease, now, _OUTCOMES[now.ended], now.why)
    if any(fact.base_sha != facts.base_sha for fact in store.conflicts(lease.branch)):
        store.forget_conflicts(lease)
        store.add_conflicts(lease, seen.conflicts)


def note_run(services: Services, lease: Lease, run: Run, outcome: Outcome, why: str) -> HistoryRecord:
    """Record how a run began or ended without landing, and keep it as evidence, or drop it when it was given up.
    Raises LeaseLost.
    """
    record = HistoryRecord(
        id=services.store.new_id(),
        branch=str(lease.branch),
        time=services.now(),
        action="TRIGGER" if len(run.members) == 1 else "TRIGGER_BATCH",
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


def _measure(services: Services, saved: SavedPool) -> None:
    """Tide's gauges of a pool (T9.1, T9.2)."""
    branch = saved.pool.branch
    labels = {"org": branch.org, "repo": branch.repo, "branch": branch.name}
    services.store.set_gauge("pooledprs", len(saved.pool.members), **labels)
    services.store.set_gauge("updatetime", saved.at, **labels)
