"""Carry out one action: look again, write down the intent, ask GitHub once, find out what happened, record it."""

from mergeq.bootstrap import Services
from mergeq.core.history import HistoryRecord, Outcome, Target
from mergeq.core.pool import Refusal, Standing, assess
from mergeq.core.pull import Branch, Method, PullRequest
from mergeq.core.status import Status, shown
from mergeq.github import Landing, MergeVerdict, Unreadable
from mergeq.store import Intent, Lease, SavedPool

_PARKED_SECONDS = 300.0
_DOUBTED_SECONDS = (
    600.0  # after that an unknown outcome is recorded as unknown, and that pull request alone stands back
)
_DOUBT_PARKED_SECONDS = 86400.0
_RACE_WAITS = (4.0, 8.0)  # seconds before asking again when GitHub says the base was modified (T5.5)
_DOUBT_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)  # seconds between reads after an answer that says nothing (D6)


def carry_out(services: Services, lease: Lease, saved: SavedPool) -> HistoryRecord | None:
    """Land the pull request that `saved` chose; None when its action is idle. Raises LeaseLost.

    Every way this can end is a history record with its reason. Nothing is landed unless the same evaluation that
    admitted the pull request admits it once more, under a fresh read (D23).
    """
    if saved.action != "MERGE":
        return None
    chosen = saved.pool.standing(saved.targets[0])
    if chosen is None or chosen.method is None:
        return None
    branch = lease.branch
    if objection := _last_look(services, branch, chosen):
        return _finish(services, lease, saved, chosen, Outcome.STALE, err=objection)
    if problem := _announce(services, branch, chosen.pull):
        return _refused(services, lease, saved, chosen, f"the status could not be set before merging: {problem}")
    return _land(services, lease, saved, chosen, chosen.method)


def settle_intent(services: Services, lease: Lease) -> HistoryRecord | None:
    """Find out what became of a landing whose worker died, and record it; None when there is no such landing. Raises
    LeaseLost.

    While GitHub's answers do not agree the intent stays, and the branch does nothing else: raises Unreadable. After
    ten minutes the pull request stands back until it is pushed to, and the branch goes on.
    """
    intent = services.store.intent(lease.branch)
    if intent is None:
        return None
    chosen = intent.saved.pool.standing(intent.number)
    if chosen is None:
        raise Unreadable(f"the unfinished landing of #{intent.number} names no pull request of its pool")
    try:
        landing = _resolve(services, lease, intent.number, intent.base_sha)
    except Unreadable as error:
        if services.now() - intent.at < _DOUBTED_SECONDS:
            raise
        refusal = Refusal(intent.head_sha, str(error), services.now() + _DOUBT_PARKED_SECONDS)
        services.store.refuse(lease, intent.number, refusal)
        return _finish(services, lease, intent.saved, chosen, Outcome.STALE, err=str(error))
    outcome = Outcome.LANDED if landing.merged else Outcome.STALE
    err = "" if landing.merged else "the worker ended before GitHub merged it"
    return _finish(services, lease, intent.saved, chosen, outcome, err=err, landing=landing)


def _announce(services: Services, branch: Branch, pull: PullRequest) -> str:
    """Make our own context green before merging, for protection may require it (T5.2, T5.3); returns what went
    wrong.
    """
    name = services.config.for_branch(branch).status_context
    mine = shown(pull.contexts or (), name)
    if mine is not None and mine.state == "success":
        return ""
    link = services.link(branch, pull.number)
    return services.github.set_status(branch, pull.head_sha, name, Status("success", "In merge pool."), link)


def _last_look(services: Services, branch: Branch, chosen: Standing) -> str:
    """Why the chosen pull request must not land after all; empty when it may (D23)."""
    number = chosen.pull.number
    try:
        look = services.github.last_look(branch, number, services.config.blocker_label)
    except Unreadable as error:
        return str(error)
    if look.pull is None or look.blockers is None:
        return "it could not be read in full right before merging"
    if look.pull.head_sha != chosen.pull.head_sha:
        return f"its head is now {look.pull.head_sha[:7]}, not the {chosen.pull.head_sha[:7]} that was judged"
    if look.pull.branch != branch:
        return f"its base is now {look.pull.base}"
    if stopping := [blocker.number for blocker in look.blockers if blocker.applies_to(branch.name)]:
        return "blocked by " + ", ".join(f"issue #{number}" for number in stopping)
    standing = assess(look.pull, look.repository, services.config.for_branch(branch))
    if standing.method is not chosen.method:
        return f"its merge method is now {standing.method}, not {chosen.method}"
    return "; ".join(f"needs {reason.needed}, but {reason.observed}" for reason in standing.reasons)


def _land(services: Services, lease: Lease, saved: SavedPool, chosen: Standing, method: Method) -> HistoryRecord:
    """Ask GitHub to merge, once for each time it is certain that nothing happened."""
    branch, number, head = lease.branch, chosen.pull.number, chosen.pull.head_sha
    waits = iter(_RACE_WAITS)
    while True:
        try:
            base_sha = services.github.landing(branch, number).base_sha
        except Unreadable as error:
            return _finish(services, lease, saved, chosen, Outcome.STALE, err=str(error))
        services.store.extend(lease, services.now())
        services.store.intend(lease, Intent(saved, number, head, method, base_sha, services.now()))
        answer = services.github.merge(branch, number, head_sha=head, method=method)
        services.log.info(
            "merge asked for", pull=f"{branch.full_repo}#{number}", verdict=answer.verdict.value, answer=answer.text
        )
        match answer.verdict:
            case MergeVerdict.MERGED:
                return _finish(
                    services, lease, saved, chosen, Outcome.LANDED, landing=_landed(services, lease, number, answer.sha)
                )
            case MergeVerdict.UNKNOWN:
                landing = _resolve(services, lease, number, base_sha)
                outcome = Outcome.LANDED if landing.merged else Outcome.STALE
                err = "" if landing.merged else f"{answer.text}; GitHub did not merge it"
                return _finish(services, lease, saved, chosen, outcome, err=err, landing=landing)
            case MergeVerdict.MOVED:
                return _finish(services, lease, saved, chosen, Outcome.STALE, err=f"PR was modified: {answer.text}")
            case MergeVerdict.RACED:
                if (wait := next(waits, None)) is None:
                    return _refused(services, lease, saved, chosen, f"base branch was modified: {answer.text}")
                services.sleep(wait)
                if objection := _last_look(services, branch, chosen):
                    return _finish(services, lease, saved, chosen, Outcome.STALE, err=objection)
            case MergeVerdict.REFUSED:
                return _refused(services, lease, saved, chosen, answer.text)


def _refused(services: Services, lease: Lease, saved: SavedPool, chosen: Standing, text: str) -> HistoryRecord:
    """Record GitHub's no and let the pull request stand back, so that it does not hold up the others (T12.7)."""
    refusal = Refusal(chosen.pull.head_sha, text, services.now() + _PARKED_SECONDS)
    services.store.refuse(lease, chosen.pull.number, refusal)
    return _finish(services, lease, saved, chosen, Outcome.REFUSED, err=text)


def _landed(services: Services, lease: Lease, number: int, sha: str | None) -> Landing | None:
    """What landed, read back; GitHub may lag behind its own answer (Q12), so a reading without the tree is tried
    again.
    """
    for wait in (*_DOUBT_WAITS[:2], None):
        try:
            landing = services.github.landing(lease.branch, number)
        except Unreadable:
            landing = None
        if landing and landing.merged and landing.landed_sha == sha:
            return landing
        if wait is not None:
            services.sleep(wait)
    return None if sha is None else Landing(True, False, "", "", sha)


def _resolve(services: Services, lease: Lease, number: int, base_sha: str) -> Landing:
    """Decide an unknown outcome by reading until two readings agree (D6). Raises Unreadable when they do not.

    Merged is believed when it is seen. Not merged is believed only when the pull request is seen open and the base
    where it was, twice
    in a row: a base that moved while the pull request still reads as open may be this very landing (Q9).
    """
    agreed = 0
    for wait in (*_DOUBT_WAITS, None):
        services.store.extend(lease, services.now())
        try:
            landing = services.github.landing(lease.branch, number)
        except Unreadable:
            agreed = 0
        else:
            if landing.merged and landing.landed_sha:
                return landing
            agreed = agreed + 1 if landing.base_sha == base_sha and not landing.merged else 0
            if agreed == 2:
                return landing
        if wait is not None:
            services.sleep(wait)
    raise Unreadable(f"{lease.branch.full_repo}#{number}: GitHub's answers do not agree on whether it was merged")


def _finish(
    services: Services,
    lease: Lease,
    saved: SavedPool,
    chosen: Standing,
    outcome: Outcome,
    *,
    err: str = "",
    landing: Landing | None = None,
) -> HistoryRecord:
    """Record how it ended; the record closes the intent."""
    pull = chosen.pull
    record = HistoryRecord(
        id=saved.id,
        branch=str(lease.branch),
        time=services.now(),
        action=saved.action,
        base_sha=saved.pool.base_sha,
        targets=(Target(pull.number, pull.author, pull.head_sha, pull.title, pull.head_ref),),
        outcome=outcome,
        err=err,
        landed_sha=landing.landed_sha if landing else None,
        landed_tree=landing.landed_tree if landing else None,
        approvers=pull.approvers,
        config=saved.config,
    )
    services.store.record(lease, record)
    labels = {"org": lease.branch.org, "repo": lease.branch.repo, "branch": lease.branch.name}
    if outcome is Outcome.LANDED:
        services.store.count("merges", **labels)
    services.store.count("mergeq_actions_total", outcome=outcome.value, **labels)
    services.log.info("action ended", pull=str(pull), outcome=outcome.value, landed=record.landed_sha, why=err or None)
    return record
