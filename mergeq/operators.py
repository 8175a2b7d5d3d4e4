"""What whoever runs the queue may say to it: pause and resume branches, try a pull request again, take one out. Each is
done and recorded in one step, with who said it and why; no lease is needed, for a branch's next turn finds it.
"""

from collections.abc import Sequence

from mergeq.bootstrap import Services
from mergeq.core.batch import RunState
from mergeq.core.history import HistoryRecord, Outcome, Target
from mergeq.core.marks import Mark
from mergeq.core.orders import EVERYTHING, Eviction, Halt
from mergeq.core.pull import Branch
from mergeq.jobs import look_at
from mergeq.sync import is_served, target_of

_SAID = {Outcome.PAUSED: "PAUSE", Outcome.RESUMED: "RESUME", Outcome.RETRIED: "RETRY", Outcome.EVICTED: "EVICT"}


class NotDone(Exception):
    """Why nothing was done, in one line for whoever asked for it."""


def pause(services: Services, branch: Branch, who: str, why: str) -> HistoryRecord:
    """Stop everything on a branch, or with EVERYTHING on all, those that nobody has seen yet too; what is being asked
    of GitHub at this moment ends. Raises NotDone.
    """
    _expect_served(services, branch)
    store, halt = services.store, Halt(why, who, services.now())
    record = _record(services, branch, Outcome.PAUSED, who, why)
    if not store.pause(branch, halt, record):
        known = store.halts().get(branch)
        raise NotDone(f"{_name(branch)} is halted already{': ' + known.said if known else ''}")
    return _told(services, record, _concerned(services, branch))


def resume(services: Services, branch: Branch, who: str, why: str) -> HistoryRecord:
    """Lift what halts a branch, whoever halted it; with EVERYTHING what pauses all, while branches that are halted for
    themselves stay so. A store of which it is not known whether it lost halts counts as paused with everything (D14).
    Raises NotDone.
    """
    _expect_served(services, branch)
    store, record = services.store, _record(services, branch, Outcome.RESUMED, who, why)
    halts = store.halts()
    if (halt := halts.get(branch)) is not None:
        if not store.resume(branch, halt, record):
            raise NotDone(f"{_name(branch)} is halted for another reason by now, or was resumed; look again")
        if branch == EVERYTHING:
            store.found(services.now())
    elif branch != EVERYTHING or not store.found(services.now(), record):
        also = f"; everything is: {halts[EVERYTHING].said}" if EVERYTHING in halts else ""
        raise NotDone(f"{_name(branch)} is neither paused nor halted{also}")
    if branch == EVERYTHING:
        store.protection.begin_afresh()
    return _told(services, record, _concerned(services, branch))


def evict(services: Services, full_repo: str, number: int, who: str, why: str) -> HistoryRecord:
    """Take the present head of a pull request out of its pool until it is pushed to or tried again; runs that it is
    part of are given up. Raises NotDone.
    """
    branch, target, base_sha = _open_pull(services, full_repo, number)
    record = _record(services, branch, Outcome.EVICTED, who, why, base_sha, (target,))
    if not services.store.evict(branch, number, Eviction(target.sha, why, who, services.now()), record):
        raise NotDone(f"{full_repo}#{number} was just pushed to or retargeted; look again")
    return _told(services, record, [branch])


def retry(services: Services, full_repo: str, number: int, who: str, why: str) -> tuple[HistoryRecord, int]:
    """Have what is held against the present head of a pull request by itself forgotten, and have it read and tried at
    once; with how many things are held: an eviction, GitHub's refusal, runs that it did not pass alone. Raises NotDone.
    """
    branch, target, base_sha = _open_pull(services, full_repo, number)
    record = _record(services, branch, Outcome.RETRIED, who, why, base_sha, (target,))
    store, head = services.store, target.sha
    marked = [store.refusals(branch).get(number), store.evictions(full_repo).get(number)]
    failed = [one for one in store.runs(branch) if one.ended not in {None, RunState.GREEN} and one.heads == {head}]
    if not store.retry(branch, number, head, record):
        raise NotDone(f"{full_repo}#{number} was just pushed to or retargeted, so nothing is held against it")
    held = len(failed) + sum(one is not None and one.head_sha == head for one in marked)
    return _told(services, record, [branch], [Mark(branch, number)]), held


def _name(branch: Branch) -> str:
    return "everything" if branch == EVERYTHING else str(branch)


def _expect_served(services: Services, branch: Branch) -> None:
    """Raises NotDone for a branch that nothing is ever done to. One that is served need not have been seen; of an
    invalid configuration nobody knows what it serves.
    """
    if branch != EVERYTHING and not services.followed.problem and not is_served(services, branch):
        raise NotDone(f"{branch} is not served here: no query of the configuration is about it")


def _open_pull(services: Services, full_repo: str, number: int) -> tuple[Branch, Target, str]:
    """The branch of an open pull request, what it is at present, and the tip of its base. Raises NotDone."""
    if (seen := services.store.last_seen(full_repo, number)) is None:
        raise NotDone(f"{full_repo}#{number} is not an open pull request that mergeq has seen")
    branch, head_sha = seen
    saved = services.store.pool(branch)
    standing = saved.pool.standing(number) if saved else None
    if standing is not None and standing.pull.head_sha == head_sha:
        target = target_of(standing.pull)
    else:
        target = Target(number, "", head_sha, "", "")
    return branch, target, saved.pool.base_sha if saved else ""


def _record(
    services: Services,
    branch: Branch,
    outcome: Outcome,
    who: str,
    why: str,
    base_sha: str = "",
    targets: tuple[Target, ...] = (),
) -> HistoryRecord:
    return HistoryRecord(
        id=services.store.new_id(),
        branch=str(branch),
        time=services.now(),
        action=_SAID[outcome],
        base_sha=base_sha,
        targets=targets,
        outcome=outcome,
        config=services.config.digest,
        by=who,
        why=why,
    )


def _concerned(services: Services, branch: Branch) -> list[Branch]:
    known = services.store.branches()
    return known if branch == EVERYTHING else [one for one in known if one == branch]


def _told(
    services: Services, record: HistoryRecord, branches: Sequence[Branch], marks: Sequence[Mark] = ()
) -> HistoryRecord:
    """Have what was said be heeded soon, and say it in the log."""
    look_at(services, branches, marks)
    about = ", ".join(f"#{target.number}" for target in record.targets) or None
    services.log.info(record.outcome.lower(), branch=record.branch, pull=about, who=record.by, why=record.why)
    return record
