"""What workers do, and the only place that knows RQ: turns of branches, sweeps, and the tick that keeps both coming."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Any

from rq import SimpleWorker, Worker
from rq.exceptions import DuplicateJobError
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer

from mergeq import execute, stage, sync
from mergeq.bootstrap import Services
from mergeq.core.budget import stretch
from mergeq.core.history import Outcome
from mergeq.core.marks import Mark
from mergeq.core.pull import Branch
from mergeq.core.queue import Retest
from mergeq.github import HeldBack, Refused, Unreadable
from mergeq.github.webhooks import Touched, arrival, touched
from mergeq.processes import die_with_parent
from mergeq.store import Lease, LeaseLost, held

_TURN_SECONDS = 600
_ROUNDS = 100  # landings of one branch in one job; the rest gets a job of its own
_STALE_ROUNDS = 5  # rounds in a row that may end because the facts had changed
_PATIENCE = 5.0  # seconds a mark may wait before the tick sends for it
_TICK_SECONDS = 1.0

_bound: list[Services] = []  # the services of this worker process; forked jobs inherit them


class Received(StrEnum):
    """What became of a webhook delivery."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"


def receive(services: Services, delivery: str, event: str, payload: Any) -> Received:
    """Mark what a genuine delivery touches and send for it. The payload itself goes no further."""
    found = touched(event, payload, services.config.status_context)
    if found is None:
        return Received.IGNORED
    branches = [branch for branch in _resolve(services, found) if _is_served(services, branch)]
    if branches and (head := arrival(event, payload)):
        known = services.store.arrivals(branches[0].full_repo).get(head[0])
        if known is None or known.head_sha != head[1].head_sha:
            services.store.note_arrivals(branches[0].full_repo, dict([head]))
    head_key = f"{found.repo}@{found.head}" if found.head else ""
    done = services.store.deliver(delivery, map(Mark, branches), services.now(), head=head_key)
    if done is None:
        return Received.DUPLICATE
    _send_for(services, done.fresh)
    return Received.QUEUED if done.touched else Received.IGNORED


def look_at(services: Services, branches: Iterable[Branch]) -> None:
    """Have branches looked at soon, because a person said something about them."""
    _send_for(services, services.store.mark_dirty(branches, services.now()))


def turn(name: str) -> None:
    """Give one branch its turn: look, decide, act, report; again while it is marked, and never two workers at once
    (D9).
    """
    services, branch = _bound[-1], Branch.parse(name)
    stale = 0
    for _ in range(_ROUNDS):
        try:
            services.follow()
            with held(services.store, branch, services.now()) as lease:
                if lease is None:
                    return
                outcome = _act(services, lease)
                stale = stale + 1 if outcome is Outcome.STALE else 0
                if outcome is not None and stale < _STALE_ROUNDS:
                    services.store.mark_dirty([branch], services.now())
                else:
                    _close(services, lease)
        except LeaseLost:
            services.log.warning("another worker took over", branch=name)
            return
        except HeldBack as error:
            services.store.put_off(branch, error.until)
            services.log.warning("branch held back", branch=name, seconds=error.until - services.now(), why=str(error))
            return
        except Unreadable as error:
            services.store.mark_dirty([branch], services.now())
            services.log.warning("branch waits for GitHub", branch=name, error=str(error))
            return
        except Exception:
            services.store.count("tidepoolerrors", org=branch.org, repo=branch.repo, branch=branch.name)
            services.log.exception("turn failed", branch=name)
            return
    services.store.mark_dirty([branch], services.now())


def _act(services: Services, lease: Lease) -> Outcome | None:
    """One round of a turn: how what was done ended, None when there was nothing to do.

    A round that ended STALE is followed by another: what changed meanwhile is about one pull request, not about those
    behind it.
    """
    execute.settle_intent(services, lease)
    stage.take_up_updates(services, lease)
    saved = sync.sync(services, lease)
    stage.abandon(services, lease, saved)
    try:
        if saved.action in {"TRIGGER", "TRIGGER_BATCH"}:
            updates = services.config.for_branch(lease.branch).queue.retest is Retest.UPDATE
            record = (stage.bring_up_to_date if updates else stage.stage)(services, lease, saved)
            return record.outcome if record else Outcome.STALE
        if saved.action in {"MERGE", "MERGE_BATCH"}:
            return execute.land(services, lease, saved).outcome
    except Refused as error:
        services.log.warning("not carried out", branch=str(lease.branch), action=saved.action, error=str(error))
        services.store.save_pool(lease, replace(saved, error=f"GitHub refused: {error}"))
    return None


def _close(services: Services, lease: Lease) -> None:
    """End a turn: bring the statuses up to date, and look for refs that were left behind."""
    if (saved := services.store.pool(lease.branch)) is not None:
        sync.report(services, lease, saved)
    _sweep_refs(services, lease)


def _sweep_refs(services: Services, lease: Lease) -> None:
    if services.config.for_branch(lease.branch).queue.retest is not Retest.HEAD:
        try:
            stage.sweep_refs(services, lease)
        except Refused as error:
            services.log.warning("leftover refs not swept", branch=str(lease.branch), error=str(error))


def sweep(since: float) -> None:
    """Find the branches that may need a look, whatever webhooks said or failed to say, and send for them."""
    services = _bound[-1]
    services.follow()
    started = services.now()
    for branch in sync.sweep(services, since):
        _send_for(services, services.store.mark_dirty([branch], services.now()))
    services.store.set_gauge("syncdur", services.now() - started)
    services.store.count("tidesyncheartbeat", controller="sync")


def work(services: Services) -> None:
    """Be a worker until told to stop: one forked process per job."""
    _bound.append(services)
    _Worker(
        [services.queue], connection=services.queue.connection, serializer=JSONSerializer, maintenance_interval=30
    ).work(logging_level="WARNING")


def work_off(services: Services) -> None:
    """Do everything that is queued now, in this process, with a real worker."""
    _bound.append(services)
    try:
        SimpleWorker([services.queue], connection=services.queue.connection, serializer=JSONSerializer).work(
            burst=True, logging_level="WARNING"
        )
    finally:
        _bound.pop()


def tick(services: Services, stopping: threading.Event) -> None:
    """Keep sweeps and overdue branches coming, until `stopping` is set."""
    _judge_again(services)
    while not stopping.is_set():
        tick_once(services)
        stopping.wait(_TICK_SECONDS)


def tick_once(services: Services) -> None:
    """One beat: start a sweep if one is due, and send for branches whose mark or lease is overdue."""
    if services.follow():
        services.store.sweep_afresh()
        _judge_again(services)
    now = services.now()
    since = services.store.begin_sweep(now, services.config.sync_period * _pace(services))
    if since is not None:
        try:
            services.queue.enqueue(
                sweep, since, job_id="sweep", unique=True, job_timeout=_TURN_SECONDS, result_ttl=0, failure_ttl=60
            )
        except DuplicateJobError:
            if since:
                services.log.info("the sweep before is still running")
            else:
                services.store.sweep_afresh()
    _send_for(services, services.store.overdue(now, _PATIENCE))


def _pace(services: Services) -> float:
    """How many times rarer than usual sweeps are, for the sake of what is left of GitHub's hour: what the account that
    has most left bears, for searches of the others are held back by themselves.
    """
    found = (spent for spent in services.store.all_spent() if spent.resource == "graphql")
    return min((stretch(spent, services.config.budget, services.now()) for spent in found), default=1.0)


def _judge_again(services: Services) -> None:
    """Send for every branch that was last judged by another configuration than the one in force."""
    digest = services.config.digest
    others = [saved.pool.branch for saved in services.store.pools() if saved.config != digest]
    _send_for(services, services.store.mark_dirty(others, services.now()))


def _send_for(services: Services, branches: Iterable[Branch]) -> None:
    for branch in branches:
        services.queue.enqueue(turn, str(branch), job_timeout=_TURN_SECONDS, result_ttl=0, failure_ttl=3600)


def _is_served(services: Services, branch: Branch) -> bool:
    """Whether a branch is one that pull requests are landed on: configured, and not a staging ref of our own."""
    staging = services.config.for_branch(branch).queue.staging
    return services.config.covers(branch) and not branch.name.startswith((staging.prefix, staging.scratch_prefix))


def _resolve(services: Services, found: Touched) -> Iterable[Branch]:
    if found.whole_repo:
        return [branch for branch in services.store.branches() if branch.full_repo == found.repo]
    return found.branches


class _Worker(Worker):
    """RQ's forking worker, whose jobs end when the worker is killed."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        _bound[-1].follow()  # here too: a job's process ends with the job, and what it has learnt with it
        super().execute_job(job, queue)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        die_with_parent()
        super().main_work_horse(job, queue)
