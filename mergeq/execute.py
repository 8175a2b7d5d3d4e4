"""Carry out one action: look again, write down the intent, ask GitHub once, find out what happened, record it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from mergeq.bootstrap import Services
from mergeq.core.batch import Run, RunState
from mergeq.core.budget import Purpose
from mergeq.core.history import HistoryRecord, Outcome
from mergeq.core.message import Message, to_ask_for
from mergeq.core.pool import Refusal, Standing, assess
from mergeq.core.pull import Branch, Method, PullRequest, Repository
from mergeq.core.refusal import failed_merges
from mergeq.core.status import Status, shown
from mergeq.github import HeldBack, Landing, LastLook, MergeAnswer, MergeVerdict, Unreadable
from mergeq.store import Intent, Lease, Reading, SavedPool
from mergeq.sync import remember, set_status, squashed_commits, target_of

_PARKED_SECONDS = 300.0
_WAITING_SECONDS = 60.0  # for what may come at any moment
_DOUBTED_SECONDS = 600.0  # after that an unknown outcome is recorded as unknown, and that pull request stands back
_DOUBT_PARKED_SECONDS = 86400.0
_RACE_WAITS = (4.0, 8.0)  # seconds before asking again when GitHub says the base was modified (T5.5)
_DOUBT_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)  # seconds between reads after an answer that says nothing (D6)


@dataclass(frozen=True, slots=True)
class _Landed:
    """How the attempt to land one pull request ended. `landing` only when it is on the base."""

    outcome: Outcome
    err: str = ""
    landing: Landing | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A pull request as it was right before landing, its repository, and the tip of the base."""

    pull: PullRequest
    repository: Repository
    base_sha: str


def land(services: Services, lease: Lease, saved: SavedPool) -> HistoryRecord:
    """Land what `saved` chose: one pull request on the strength of its own head, or the members of a green run in
    order.

    Every way this can end is a history record with its reason; raises LeaseLost, and HeldBack where GitHub's limits end
    it before anything landed, or before it is known. Nothing lands unless the same evaluation that admitted it admits
    it once more under a fresh read, for every member that is still to come (D23).
    After each member of a run the base is compared with what was tested (D22): another first parent ends it as RACED,
    another tree halts the branch.
    """
    services = services.on(Purpose.LANDING)
    run = next((run for run in saved.runs if run.id == saved.run), None)
    chosen = [standing for number in saved.targets if (standing := saved.pool.standing(number)) is not None]
    base = saved.pool.base_sha if run else None
    skip = _already_landed(run, chosen)
    done: list[_Landed] = []
    for index, standing in enumerate(chosen):
        step = _land_next(services, lease, saved, chosen[index:], run, skip + index, base)
        done.append(step)
        if step.outcome is not Outcome.LANDED or step.landing is None:
            break
        base = step.landing.landed_sha if run else None
        services.log.info("landed", pull=str(standing.pull), commit=step.landing.landed_sha)
    return _finish(services, lease, saved, run, chosen, done)


def settle_intent(services: Services, lease: Lease) -> HistoryRecord | None:
    """Find out what became of a landing whose worker died, and record it; None when there is no such landing. Raises
    LeaseLost.

    While GitHub's answers do not agree the intent stays, and the branch does nothing else: raises Unreadable. After ten
    minutes the pull request stands back until it is pushed to, and the branch goes on. Raises HeldBack, and the time
    that GitHub cannot be asked does not count.
    """
    services = services.on(Purpose.LANDING)
    intent = services.store.intent(lease.branch)
    if intent is None:
        return None
    saved = intent.saved
    run = next((run for run in saved.runs if run.id == saved.run), None)
    chosen = [standing for number in saved.targets if (standing := saved.pool.standing(number)) is not None]
    index = next((i for i, standing in enumerate(chosen) if standing.pull.number == intent.number), 0)
    skip = _already_landed(run, chosen)
    before = [_Landed(Outcome.LANDED) for _ in range(index)]
    try:
        landing = _resolve(services, lease, intent.number, intent.base_sha, _depth(run, skip + index))
    except HeldBack:
        services.store.intend(lease, replace(intent, at=services.now()))
        raise
    except Unreadable as error:
        if services.now() - intent.at < _DOUBTED_SECONDS:
            raise
        refusal = Refusal(intent.head_sha, str(error), services.now() + _DOUBT_PARKED_SECONDS)
        services.store.refuse(lease, intent.number, refusal)
        step = _Landed(Outcome.STALE, str(error))
    else:
        if landing.merged:
            step = _compare(services, lease, landing, run, skip + index, intent.base_sha)
        else:
            step = _Landed(Outcome.STALE, "the worker ended before GitHub merged it")
    steps = [*before, step]
    if step.outcome is Outcome.LANDED and len(steps) < len(chosen):
        steps.append(_Landed(Outcome.STALE, "the worker ended before it was its turn"))
    return _finish(services, lease, saved, run, chosen, steps)


def _land_next(
    services: Services,
    lease: Lease,
    saved: SavedPool,
    remaining: Sequence[Standing],
    run: Run | None,
    index: int,
    base: str | None,
) -> _Landed:
    """Land the first of `remaining`: ask GitHub once for each time it is certain that nothing happened."""
    branch, chosen = lease.branch, remaining[0]
    number, head, method = chosen.pull.number, chosen.pull.head_sha, chosen.method
    if method is None:
        return _Landed(Outcome.STALE, "its labels ask for several merge methods")
    waits = iter(_RACE_WAITS)
    while True:
        try:
            seen = _objection(services, branch, saved, remaining, base)
            if isinstance(seen, str):
                return _Landed(Outcome.STALE, seen)
            base_sha = seen.base_sha
            message = _message(services, branch, seen, method)
            if problem := _announce(services, branch, chosen.pull):
                text = f"the status could not be set before merging: {problem}"
                _stand_back(services, lease, chosen, text)
                return _Landed(Outcome.REFUSED, text)
            services.store.extend(lease, services.now())
            services.store.intend(lease, Intent(saved, number, head, method, base_sha, services.now()))
            answer = services.github.merge(branch, number, head_sha=head, method=method, message=message)
        except HeldBack as error:
            if remaining[0].pull.number != saved.targets[0]:
                return _Landed(Outcome.STALE, str(error))
            services.store.withdraw(lease)
            raise
        services.log.info("merge asked for", pull=str(chosen.pull), verdict=answer.verdict.value, answer=answer.text)
        match answer.verdict:
            case MergeVerdict.MERGED:
                landing = _landed(services, lease, chosen, answer.sha, _depth(run, index))
                return _compare(services, lease, landing, run, index, base_sha)
            case MergeVerdict.UNKNOWN:
                landing = _resolve(services, lease, number, base_sha, _depth(run, index))
                if landing.merged:
                    return _compare(services, lease, landing, run, index, base_sha)
                return _Landed(Outcome.STALE, f"{answer.text}; GitHub did not merge it")
            case MergeVerdict.MOVED:
                return _Landed(Outcome.STALE, answer.refusal.told(answer.text))
            case MergeVerdict.RACED if (wait := next(waits, None)) is not None:
                services.sleep(wait)
            case MergeVerdict.WAITS:
                _stand_back(services, lease, chosen, answer.text, _WAITING_SECONDS)
                return _Landed(Outcome.REFUSED, answer.refusal.told(answer.text))
            case MergeVerdict.RACED | MergeVerdict.REFUSED:
                _stand_back(services, lease, chosen, answer.text)
                return _Landed(Outcome.REFUSED, answer.refusal.told(answer.text))
            case MergeVerdict.STOPPED:
                _stop(services, lease, saved, chosen, answer)
                return _Landed(Outcome.REFUSED, answer.refusal.told(answer.text))
            case _:
                assert_never(answer.verdict)


def _message(services: Services, branch: Branch, seen: _Seen, method: Method) -> Message:
    """What to tell GitHub of the message; a template that fails is told to the log alone (T1.46)."""
    template = services.config.commit_template(branch)
    commits = () if template.title and template.body else squashed_commits(services, seen.pull, method)
    message = to_ask_for(template, seen.pull, method, seen.repository, commits)
    for why in message.failures:
        services.log.warning("GitHub's default text is used", pull=str(seen.pull), why=why)
    return message


def _announce(services: Services, branch: Branch, pull: PullRequest) -> str:
    """Make our own context green before merging, for protection may require it (T5.2, T5.3); what went wrong, if so."""
    name = services.config.for_branch(branch).status_context
    mine = shown(pull.contexts or (), name)
    if mine is not None and mine.state == "success":
        return ""
    return set_status(services, pull, name, mine, Status("success", "In merge pool."))


def _objection(
    services: Services, branch: Branch, saved: SavedPool, remaining: Sequence[Standing], base: str | None
) -> str | _Seen:
    """Why the first of `remaining` must not land now, else what was seen of it (D23).

    `base`, where tested content lands, is where the tip of the base must be.
    """
    services.follow()
    numbers = [standing.pull.number for standing in remaining]
    try:
        looks = services.github.last_looks(branch, numbers, services.config.blocker_label)
    except Unreadable as error:
        return str(error)
    seen: list[_Seen] = []
    for standing, look in zip(remaining, looks, strict=True):
        said = _judged_again(services, branch, saved, standing, look)
        if isinstance(said, str):
            return said if len(remaining) == 1 else f"#{standing.pull.number}: {said}"
        seen.append(said)
    tip = looks[-1].base_sha
    if base is not None and tip != base:
        return f"the base is at {tip[:7]}, not at the tested {base[:7]}"
    return replace(seen[0], base_sha=tip)


def _judged_again(
    services: Services, branch: Branch, saved: SavedPool, chosen: Standing, look: LastLook
) -> str | _Seen:
    """Why one pull request must not land after all, else what was seen of it."""
    if halted := services.store.halted(branch):
        return f"the branch is halted: {halted}"
    if look.pull is None or look.blockers is None:
        return "it could not be read in full right before merging"
    if look.pull.head_sha != chosen.pull.head_sha:
        return f"its head is now {look.pull.head_sha[:7]}, not the {chosen.pull.head_sha[:7]} that was judged"
    if look.pull.branch != branch:
        return f"its base is now {look.pull.base}"
    if stopping := [blocker.number for blocker in look.blockers if blocker.applies_to(branch.name)]:
        return "blocked by " + ", ".join(f"issue #{number}" for number in stopping)
    settings = services.config.for_branch(branch)
    memory = remember(services, branch, settings, saved)
    standing = assess(look.pull, look.repository, look.protection, settings, memory, services.now())
    if standing.method is not chosen.method:
        return f"its merge method is now {standing.method}, not {chosen.method}"
    if standing.reasons:
        return "; ".join(f"needs {reason.needed}, but {reason.observed}" for reason in standing.reasons)
    return _Seen(look.pull, look.repository, look.base_sha)


def _stand_back(
    services: Services, lease: Lease, standing: Standing, text: str, seconds: float = _PARKED_SECONDS
) -> None:
    """Keep a pull request that GitHub will not merge from holding up the others (T12.7)."""
    refusal = Refusal(standing.pull.head_sha, text, services.now() + seconds)
    services.store.refuse(lease, standing.pull.number, refusal)


def _stop(services: Services, lease: Lease, saved: SavedPool, chosen: Standing, answer: MergeAnswer) -> None:
    """GitHub's no to everything that would land like this: all of it stands back, and administrators are told what to
    do (T5.9, T5.10). One is tried again after that, so that nobody has to say when it is mended.
    """
    text = f"{answer.text} To mend it, {answer.remedy}"
    for standing in (chosen, *saved.pool.members):
        if standing.method is chosen.method or not answer.by_method:
            _stand_back(services, lease, standing, text)
    services.log.error("the branch is stopped", branch=str(lease.branch), pull=str(chosen.pull), why=text)


def _already_landed(run: Run | None, chosen: Sequence[Standing]) -> int:
    """How many members of a run come before those that are to land."""
    numbers = [member.number for member in run.members] if run else []
    return numbers.index(chosen[0].pull.number) if chosen and chosen[0].pull.number in numbers else 0


def _depth(run: Run | None, index: int) -> int:
    return run.members[index].steps if run else 1


def _compare(services: Services, lease: Lease, landing: Landing, run: Run | None, index: int, base_sha: str) -> _Landed:
    """Hold what landed against what was tested (D22); in head mode nothing was tested together, so nothing is held."""
    if run is None:
        return _Landed(Outcome.LANDED, landing=landing)
    if landing.landed_tree is None or not landing.line:
        why = f"what landed as {(landing.landed_sha or '')[:7]} could not be read back"
        services.store.halt(lease, why)
        return _Landed(Outcome.WRONG_TREE, why, landing)
    if landing.line[-1] != base_sha:
        why = f"it landed on {landing.line[-1][:7]}, not on the tested {base_sha[:7]}: somebody pushed in between"
        return _Landed(Outcome.RACED, why, landing)
    if landing.landed_tree != run.trees[index]:
        landed, tested = landing.landed_tree[:7], run.trees[index][:7]
        why = f"{(landing.landed_sha or '')[:7]} has the tree {landed}, not the tested {tested}"
        services.store.halt(lease, why)
        services.log.error("wrong tree landed; the branch is halted", branch=str(lease.branch), why=why)
        return _Landed(Outcome.WRONG_TREE, why, landing)
    return _Landed(Outcome.LANDED, landing=landing)


def _landed(services: Services, lease: Lease, chosen: Standing, sha: str | None, depth: int) -> Landing:
    """What landed, read back; GitHub may lag behind its own answer, which is believed (Q12).

    A pull request that still reads as open after all is kept from being landed once more. What of the branch is so by
    this landing is known then, and need not be read again.
    """
    number, lagging = chosen.pull.number, Landing(merged=True, is_open=False, head_sha="", base_sha="", landed_sha=sha)
    for wait in (*_DOUBT_WAITS, None):
        at = services.now()
        try:
            landing = services.github.landing(lease.branch, number, depth, sha, services.config.blocker_label)
        except Unreadable:
            landing = None
        if landing and landing.landed_sha == sha:
            lagging = replace(landing, merged=True)
            if landing.merged:
                if landing.state is not None and landing.state.base_sha == sha:
                    services.store.keep([Reading(lease.branch.full_repo, number, None)], [landing.state], at)
                return landing
        if wait is not None:
            services.sleep(wait)
    text = f"it was merged as {(sha or '')[:7]}, which GitHub does not show yet"
    refusal = Refusal(chosen.pull.head_sha, text, services.now() + _DOUBT_PARKED_SECONDS)
    services.store.refuse(lease, number, refusal)
    return lagging


def _resolve(services: Services, lease: Lease, number: int, base_sha: str, depth: int) -> Landing:
    """Decide an unknown outcome by reading until two readings agree (D6). Raises Unreadable when they do not.

    Merged is believed when it is seen. Not merged is believed only when the pull request is seen open and the base
    where it was, twice in a row: a base that moved while the pull request still reads as open may be this very landing
    (Q9).
    """
    agreed = 0
    for wait in (*_DOUBT_WAITS, None):
        services.store.extend(lease, services.now())
        try:
            landing = services.github.landing(lease.branch, number, depth)
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
    run: Run | None,
    chosen: Sequence[Standing],
    done: Sequence[_Landed],
) -> HistoryRecord:
    """Record how it ended; the record closes the intent. A run is used up by its landing."""
    landed = [step for step in done if step.landing is not None or step.outcome is Outcome.LANDED]
    last = done[-1]
    partly = len(landed) > 0 and last.outcome in {Outcome.STALE, Outcome.REFUSED}
    outcome = Outcome.PARTIAL if partly else last.outcome
    landing = next((step.landing for step in reversed(done) if step.landing), None)
    record = HistoryRecord(
        id=saved.id,
        branch=str(lease.branch),
        time=services.now(),
        action=saved.action,
        base_sha=saved.pool.base_sha,
        targets=tuple(target_of(standing.pull) for standing in chosen),
        outcome=outcome,
        err=_error(chosen, done),
        landed_sha=landing.landed_sha if landing else None,
        landed_tree=landing.landed_tree if landing else None,
        tested_tree=run.trees[_already_landed(run, chosen) + len(landed) - 1] if run and landed else None,
        approvers=tuple(dict.fromkeys(name for standing in chosen for name in standing.pull.approvers)),
        config=saved.config,
    )
    proved = replace(run, ended=RunState.GREEN, ended_at=services.now()) if run and landed else None
    services.store.record(lease, record, keep=proved)
    labels = {"org": lease.branch.org, "repo": lease.branch.repo, "branch": lease.branch.name}
    if landed:
        services.store.count("merges", len(landed), **labels)
    services.store.count("mergeq_actions_total", outcome=outcome.value, **labels)
    services.log.info(
        "action ended", branch=str(lease.branch), action=saved.action, outcome=outcome.value, why=record.err or None
    )
    return record


def _error(chosen: Sequence[Standing], done: Sequence[_Landed]) -> str:
    """What went wrong: of those that did not land in Tide's words (T5.14), of one that landed wrongly in ours."""
    last = done[-1]
    if last.landing is not None or last.outcome is Outcome.LANDED:
        return last.err
    targets = [standing.pull.number for standing in chosen]
    return failed_merges(targets, targets[: len(done) - 1], {targets[len(done) - 1]: last.err})
