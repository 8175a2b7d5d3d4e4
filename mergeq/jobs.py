"""What workers do, and the only place that knows RQ: turns of branches, sweeps, and the tick that keeps both coming."""

import gc
import hashlib
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Any

from rq import SimpleWorker, Worker
from rq.exceptions import DuplicateJobError
from rq.job import Job
from rq.queue import Queue
from rq.registry import clean_registries
from rq.serializers import JSONSerializer

from mergeq import enforcing, epoch, execute, gathering, reconcile, stage, sync, trigger, update
from mergeq import sweep as sweeping
from mergeq.bootstrap import Services
from mergeq.core.history import Outcome
from mergeq.core.marks import Announced, Hint, Mark
from mergeq.core.pull import Branch
from mergeq.core.query import scope_of
from mergeq.core.queue import Retest
from mergeq.github import HeldBack, Refused, Unreadable
from mergeq.github.webhooks import EVENTS, Watched, guarded, touched
from mergeq.processes import die_with_parent
from mergeq.redeliver import redeliver_missed
from mergeq.store import REFS, Away, Lease, LeaseLost, SavedPool, held, reaching

_TURN_SECONDS = 600
_ROUNDS = 100  # landings of one branch in one job; the rest gets a job of its own
_WAITS = -1  # instead of their number: the branch is put off
_STALE_ROUNDS = 5  # rounds in a row that may end because the facts had changed
_PATIENCE = 5.0  # seconds a mark may wait before the tick sends for it
_OUTAGE = 60.0  # seconds until a branch is tried again at the latest, and after an error of ours
_REFUSED = 300.0  # the same, where GitHub refused what was to be done
_TICK_SECONDS = 1.0
_BEAT_SECONDS = 5.0  # between two extensions of a lease
_DELIVERIES = "deliveries"
_DELIVERIES_SECONDS = 600.0  # between two looks for deliveries that failed
_ALARMS, _ALARMS_SECONDS = "alarms", 30.0
_WRITING_SECONDS = 300.0  # after which a run of protection begins nothing new; the rest gets a job of its own
_WIDE_SECONDS = 3600  # a look at the protection of many repositories may take as long
_EPOCH = "epoch"
_UNFOUNDED_SECONDS = 60.0  # between two sweeps of a store that may have lost something, whatever webhooks do
_AT_ONCE = 20  # branches that a webhook sends for itself, and only
_HASTE = 0.5  # while it has taken fewer seconds; the tick does the rest

_bound: list[Services] = []  # the services of this worker process; forked jobs inherit them


class Received(StrEnum):
    """What became of a webhook delivery."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    PING = "ping"
    UNREADABLE = "unreadable"
    UNKNOWN_EVENT = "unknown-event"
    UNKNOWN_REPOSITORY = "unknown-repository"


def receive(services: Services, delivery: str, event: str, payload: Any, *, of_owner: bool = False) -> Received:
    """Mark what a genuine delivery touches and send for it, asking Redis once for what is marked already. The payload
    itself goes no further. `of_owner`: it came by a webhook that tells of all repositories of an owner.
    """
    config, store, began = services.config, services.store, time.monotonic()
    found = touched(event, payload, Watched(config.status_context, config.blocker_label))
    if found is None:
        store.count("mergeq_webhooks_total", result=Received.UNREADABLE)
        return Received.UNREADABLE
    marks = [mark for mark in found.marks if sync.is_served(services, mark.branch)]
    every = [one for one in store.branches() if {one.org, one.full_repo} & {*found.scopes}] if found.scopes else []
    otherwise = _of_no_use(services, event, found.repo)
    scope, said = guarded(event, payload) or ("", None)
    protects = scope if scope and gathering.is_protected(services, scope) else ""
    made = said.about if said and event == "create" else ""
    if protects and (made or "/" not in scope) and not gathering.is_to_be_read(services, scope, made):
        protects = ""
    done = store.deliver(
        delivery,
        marks if found.with_pulls else [*marks, *map(Mark, every)],
        services.now(),
        whole=every if found.with_pulls else (),
        head=f"{found.repo}@{found.head}" if found.head else "",
        hint=found.hint,
        scope=found.owner if of_owner or not found.repo else found.repo,
        arrival=(found.repo, *found.arrival) if found.arrival and marks else None,
        sweep=found.sweep,
        protects=protects,
        said=replace(said, at=services.now()) if said else None,
        otherwise=otherwise,
    )
    if done is None:
        return Received.DUPLICATE
    try:
        for branch in done.fresh[:_AT_ONCE]:
            if time.monotonic() - began < _HASTE:
                _send_for(services, [branch])
        if protects:
            _enqueue(services, protect, protects, _seconds_for(protects))
    except Exception as error:  # noqa: BLE001 -- whatever RQ meets: the marks are set, and the tick sends for them
        services.log.warning("webhook not sent for yet", about=event, error=type(error).__name__)
    return Received.QUEUED if done.touched else otherwise


def _of_no_use(services: Services, event: str, repo: str) -> Received:
    """Why a delivery touches nothing, if it touches nothing."""
    if event not in EVENTS:
        return Received.UNKNOWN_EVENT
    if repo and not services.config.covers(Branch.parse(f"{repo}:-")):
        return Received.UNKNOWN_REPOSITORY
    return Received.PING if event == "ping" else Received.IGNORED


def look_at(services: Services, branches: Iterable[Branch], marks: Iterable[Mark] = ()) -> None:
    """Have branches judged soon, because a person said something about them; what is marked is read again for that."""
    fresh = services.store.mark(marks, services.now())
    _send_for(services, [*fresh, *services.store.send(branches, services.now())])


def turn(name: str) -> None:
    """Give one branch its turn: look, decide, act, report; again while it is marked, and never two workers at once
    (D9).
    """
    services, branch = _bound[-1], Branch.parse(name)
    store, stale = services.store, 0
    for _ in range(_ROUNDS):
        try:
            with reaching():
                services.follow()
                with held(store, branch, services.now()) as lease:
                    if lease is None:
                        return
                    with _held_on_to(services, name, partial(store.extend, lease)):
                        stale = _round(services, lease, stale)
        except LeaseLost:
            services.log.warning("another worker took over", branch=name)
            return
        except Away as error:
            services.log.warning("branch waits for Redis", branch=name, error=str(error))
            return
        if stale in {_STALE_ROUNDS, _WAITS}:
            return
    _send_for(services, store.send([branch], services.now()))


def _round(services: Services, lease: Lease, stale: int) -> int:
    """One round of a turn; how many in a row have ended STALE by now, or _WAITS. When it is to go on is noted while the
    lease is held: whoever ends here leaves the branch with one or the other. Raises LeaseLost and Away.
    """
    store, branch, name = services.store, lease.branch, str(lease.branch)
    try:
        with reaching():
            outcome = _act(services, lease)
            stale = stale + 1 if outcome is Outcome.STALE else 0
            if outcome is not None and stale < _STALE_ROUNDS:
                store.send([branch], services.now())
                return stale
            _close(services, lease)
            if stale == _STALE_ROUNDS:
                store.try_again(branch, services.now(), _PATIENCE, _OUTAGE)
            return stale
    except LeaseLost:
        raise
    except Away:
        with suppress(Away), reaching():
            store.try_again(branch, services.now(), _PATIENCE, _OUTAGE)
        raise
    except HeldBack as error:
        store.put_off(branch, error.until)
        services.log.warning("branch held back", branch=name, seconds=error.until - services.now(), why=str(error))
    except Unreadable as error:
        store.try_again(branch, services.now(), _PATIENCE, _OUTAGE)
        services.log.warning("branch waits for GitHub", branch=name, error=str(error))
    except Exception:
        store.try_again(branch, services.now(), _OUTAGE, _OUTAGE)
        store.count("tidepoolerrors", org=branch.org, repo=branch.repo, branch=branch.name)
        services.log.exception("turn failed", branch=name)
    return _WAITS


@contextmanager
def _held_on_to(services: Services, about: str, extend: Callable[[float], None]) -> Iterator[None]:
    """Extend a right for as long as this process lives and works, so that nobody waits long for one that was killed."""
    over = threading.Event()

    def hold() -> None:
        while not over.wait(_BEAT_SECONDS):
            try:
                extend(services.now())
            except LeaseLost:
                return
            except Exception as error:  # noqa: BLE001 -- as when Redis is away: a later beat may find it
                services.log.warning("not held on to", about=about, error=type(error).__name__)

    threading.Thread(target=hold, name="lease", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _act(services: Services, lease: Lease) -> Outcome | None:
    """One round of a turn: how what was done ended, None when there was nothing to do.

    A round that ended STALE is followed by another: what changed meanwhile is about one pull request, not about those
    behind it.
    """
    execute.settle_intent(services, lease)
    execute.see_off(services, lease)
    stage.finish_staging(services, lease)
    update.take_up_updates(services, lease)
    trigger.tell(services, lease)
    saved = sync.sync(services, lease)
    stage.abandon(services, lease, saved)
    try:
        if saved.action in {"TRIGGER", "TRIGGER_BATCH"}:
            updates = services.config.for_branch(lease.branch).queue.retest is Retest.UPDATE
            record = (update.bring_up_to_date if updates else stage.stage)(services, lease, saved)
            return _ended(services, saved, record.outcome if record else Outcome.STALE)
        if saved.action in {"MERGE", "MERGE_BATCH"}:
            return _ended(services, saved, execute.land(services, lease, saved).outcome)
    except Refused as error:
        services.log.warning("not carried out", branch=str(lease.branch), action=saved.action, error=str(error))
        pool = replace(saved.pool, untestable=error.text)
        services.store.save_pool(lease, replace(saved, pool=pool, error=f"GitHub refused: {error}"))
        services.store.try_again(lease.branch, services.now(), _PATIENCE, _REFUSED)
    return None


def _ended(services: Services, saved: SavedPool, outcome: Outcome) -> Outcome:
    """Have what an action has changed, or was wrong about, be read again."""
    branch = saved.pool.branch
    hint = Hint(Announced.LEFT) if outcome is Outcome.LANDED else None
    if outcome is not Outcome.TRIGGERED:
        marks = [Mark(branch, number, hint=hint) for number in saved.targets]
        services.store.mark([*marks, *([Mark(branch)] if hint is None else [])], services.now())
    return outcome


def _close(services: Services, lease: Lease) -> None:
    """End a turn: bring the statuses up to date, and look for refs that were left behind; nothing of that while it is
    not known whether an earlier store was lost.
    """
    if not services.store.is_founded():
        return  # what GitHub shows must all be an earlier store's
    if (saved := services.store.pool(lease.branch)) is not None:
        sync.report(services, lease, saved)
    _sweep_refs(services, lease)


def _sweep_refs(services: Services, lease: Lease) -> None:
    stages = services.config.for_branch(lease.branch).queue.retest is not Retest.HEAD
    if stages or REFS in services.store.marks(lease.branch):  # as when it did, until now
        try:
            stage.sweep_refs(services, lease)
        except Refused as error:
            services.log.warning("leftover refs not swept", branch=str(lease.branch), error=str(error))


def sweep(search: str) -> None:
    """Find what no webhook told, by one search, and send for the branches that it is about."""
    services = _bound[-1]
    services.follow()
    started = services.now()
    _send_for(services, sweeping.watch(services, search))
    try:
        _send_for(services, sweeping.sweep(services, search))
    except (HeldBack, Unreadable) as error:
        services.log.warning("search failed", search=search, error=str(error))
        sweeping.retry(services, search)
        return
    services.store.set_gauge("syncdur", services.now() - started)
    services.store.count("tidesyncheartbeat", controller="sync")
    _enqueue(services, read_on, search)


def read_on(search: str) -> None:
    """Read some of what a sweep found to be new; others have their turn before the rest."""
    services = _bound[-1]
    try:
        fresh, has_more = sweeping.read_on(services, scope_of(search))
    except HeldBack as error:
        services.log.warning("what changed was not read", search=search, error=str(error))
        sweeping.retry(services, search)
        return
    _send_for(services, fresh)
    if has_more:
        _put(services, read_on, search)
    elif not services.store.is_founded():
        _found(services)


def _found(services: Services) -> None:
    try:
        _send_for(services, services.store.send(epoch.found(services), services.now()))
        services.store.protection.begin_afresh()  # what differed was not written until now
    except (HeldBack, Unreadable) as error:
        remedy = "it is looked at again in a minute; `mergeq resume --all` takes it on"
        services.log.warning("not known yet whether an earlier store was lost", error=str(error), remedy=remedy)


def work(services: Services) -> None:
    """Be a worker until told to stop: one forked process per job."""
    _bound.append(services)
    gc.collect()
    gc.freeze()  # or each job's process would copy what it shares with this one
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
    """Keep sweeps and overdue branches coming, until `stopping` is set, whatever goes wrong. Nobody knows for how long
    nothing was heard: everything is looked at first.
    """
    is_new = True
    while not stopping.is_set():
        try:
            if is_new:
                look_at_everything(services)
                is_new = False
            tick_once(services)
        except Exception as error:  # noqa: BLE001 -- as when Redis is away: what was not done is done by a later beat
            services.log.error("a beat failed", error=f"{type(error).__name__}: {error}")
        stopping.wait(_TICK_SECONDS)


def look_at_everything(services: Services) -> None:
    """Have all be due at once: for whoever begins, or begins with another configuration."""
    services.store.sweep_afresh()
    services.store.protection.begin_afresh()
    _judge_again(services)


def tick_once(services: Services) -> None:
    """One beat: start the sweeps that are due, and send for branches whose mark or lease is overdue."""
    if services.follow():
        look_at_everything(services)
    if not services.config.open_pull_searches() and not services.store.is_founded():
        _found(services)
    if not services.store.is_founded() and services.store.begin_sweep(_EPOCH, services.now(), _UNFOUNDED_SECONDS):
        services.log.warning("the store is new or was emptied: nothing happens until all that is open was read")
        services.store.sweep_afresh()
        services.store.set_swept(_EPOCH, services.now())
    for search in sweeping.due(services):
        if not _enqueue(services, sweep, search):
            services.log.info("the sweep before is still running", search=search)
    _keep_protecting(services)
    if services.store.begin_sweep(_ALARMS, services.now(), _ALARMS_SECONDS):
        sync.raise_alarms(services)
    if services.store.begin_sweep(_DELIVERIES, services.now(), _DELIVERIES_SECONDS):
        _enqueue(services, ask_again, _DELIVERIES)
    _send_for(services, services.store.overdue(services.now(), _PATIENCE))


def protect(scope: str) -> None:
    """Look at the protection of what a scope names, and bring it to what is configured."""
    services = _bound[-1]
    services.follow()
    store, began = services.store.protection, services.now()
    if (look := store.take(scope, began)) is None:
        return
    try:
        with reaching(), _held_on_to(services, scope, partial(store.hold_on, look)):
            if (wide := reconcile.widened(services, scope)) != scope:
                _protect_again(services, wide)
            else:
                report = reconcile.reconcile(services, scope, lambda: services.now() - began < _WRITING_SECONDS)
                if any(why == enforcing.STOPPED for _, why in report.left):
                    _protect_again(services, scope)
    except HeldBack as error:
        store.put_off(scope, error.until)
        services.log.warning("protection held back", about=scope, seconds=error.until - services.now(), why=str(error))
    except Away as error:
        services.log.warning("protection waits for Redis", about=scope, error=str(error))
        return  # it is not done: what nobody holds on to is taken up by the next
    except Exception:
        store.put_off(scope, services.now() + _OUTAGE)
        services.store.count("mergeq_protection_failed_total", org=scope.partition("/")[0], reason="error")
        services.log.exception("protection failed", about=scope)
    store.done(look)


def _protect_again(services: Services, scope: str) -> None:
    services.store.protection.mark([scope], services.now())
    _enqueue(services, protect, scope, _seconds_for(scope))


def _seconds_for(scope: str) -> int:
    """How long a look may take: at everything there may be thousands of repositories to be read."""
    return _TURN_SECONDS if "/" in scope else _WIDE_SECONDS


def _keep_protecting(services: Services) -> None:
    """Look at everything that is protected when it is due, and at what is marked for longer than a moment."""
    config, store, now = services.config, services.store.protection, services.now()
    values, last = config.protection_values, store.begun()
    jitter = values.jitter * zlib.crc32(repr(last).encode()) / 2**32
    if now - last >= values.period + jitter and config.protected() and store.begin(now, last):
        store.mark([gathering.ALL], now - _PATIENCE)
    for scope in store.overdue(now, _PATIENCE):
        _enqueue(services, protect, scope, _seconds_for(scope))


def ask_again(_about: str) -> None:
    """Have GitHub deliver once more what it could not."""
    redeliver_missed(_bound[-1])


def _enqueue(services: Services, job: Callable[[str], None], search: str, seconds: int = _TURN_SECONDS) -> bool:
    """Enqueue a job about a search, unless the same is waiting or running already."""
    name = f"{job.__name__}-{hashlib.sha256(search.encode()).hexdigest()[:16]}"
    try:
        _put(services, job, search, job_id=name, unique=True, job_timeout=seconds)
    except DuplicateJobError:
        clean_registries(services.queue)  # its worker may have died, and those that wait for jobs do not look
        if (left := services.queue.fetch_job(name)) is None or not left.is_failed:
            return False
        left.delete()
        _put(services, job, search, job_id=name, job_timeout=seconds)
    return True


def _judge_again(services: Services) -> None:
    """Send for every branch that was last judged by another configuration than the one in force."""
    digest = services.config.digest
    others = [branch for branch, judged in services.store.judged().items() if judged.config != digest]
    _send_for(services, services.store.send(others, services.now()))


def _send_for(services: Services, branches: Iterable[Branch]) -> None:
    for branch in branches:
        _put(services, turn, str(branch), failure_ttl=3600)


def _put(services: Services, job: Callable[[str], None], about: str, **options: Any) -> None:
    """Enqueue a job, of which nothing is kept but for a while that it failed."""
    services.queue.enqueue(job, about, **{"job_timeout": _TURN_SECONDS, "result_ttl": 0, "failure_ttl": 60, **options})


class _Worker(Worker):
    """RQ's forking worker, whose jobs end when the worker is killed."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        _bound[-1].follow()  # here too: a job's process ends with the job, and what it has learnt with it
        super().execute_job(job, queue)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        die_with_parent()
        super().main_work_horse(job, queue)
