"""`retest: update`: have GitHub bring a pull request's own branch up to date with its base, and take up the head that
it makes (D3).
"""

import secrets
from dataclasses import replace

from mergeq.bootstrap import Services
from mergeq.core.batch import Member, Run, RunState, Told, not_ours_to_update
from mergeq.core.budget import Purpose
from mergeq.core.history import HistoryRecord, Outcome
from mergeq.core.pull import Branch, Commit, Mergeable, Method
from mergeq.core.queue import UpdateMethod
from mergeq.github import HeldBack, LastLook, Refused, Unreadable
from mergeq.stage import SCRATCH_MESSAGE, fresh_name, scratch_ref
from mergeq.store import Lease, SavedPool
from mergeq.sync import note_run, target_of

_AGAIN, _MUCH_LATER = 60.0, 300.0  # seconds until GitHub is asked for a head again, and where it said that it makes it
_LAGGING = ("expected head sha", "no new commits")  # what GitHub says of facts that are older than ours (Q26)


def bring_up_to_date(services: Services, lease: Lease, saved: SavedPool) -> HistoryRecord | None:
    """See that the head of the chosen pull request contains the tip of the base, so that its own CI tests what would
    land (D3).

    None when there is nothing to wait for: it contains it already, or it lacks it and is not ours to update, or it is
    another by now. What is found out is remembered, and the branch is decided again. Raises LeaseLost, Refused,
    Unreadable and HeldBack.
    """
    services = services.on(Purpose.STAGING)
    github, branch, base = services.github, lease.branch, saved.pool.base_sha
    if (standing := saved.pool.standing(saved.targets[0])) is None or standing.method is None:
        return None
    pull = standing.pull
    run = Run(
        id=secrets.token_hex(6),
        base_sha=base,
        members=(Member(pull.number, pull.head_sha, standing.method),),
        ref="",
        staged_sha="",
        trees=(),
        started_at=services.now(),
        targets=(target_of(pull),),
        arrival=services.store.arrivals(branch.full_repo).get(pull.number),
        on_head=True,
    )
    if not github.lacks(branch, pull.head_sha, base):
        services.store.save_run(lease, _tested_on_its_head(services, branch, run, pull.head_sha))
        return None
    look = github.last_look(branch, pull.number, "")
    if not _is_as_judged(look, run):
        return None
    if services.config.for_branch(branch).queue.update_method is UpdateMethod.REBASE:
        run = replace(run, ref=_held(services, branch, pull.head_sha))
    services.store.save_run(lease, run)
    try:
        asked = _ask(services, branch, run, look)
    except HeldBack:
        services.store.forget_run(lease, run)
        raise
    return _keep(services, lease, run, asked)


def _held(services: Services, branch: Branch, head: str) -> str:
    """A ref by which the head that a rebase replaces stays within reach, so that its commits can be made again; what is
    pushed there is a commit of our own, which CI leaves alone (D21).
    """
    name = services.config.for_branch(branch).queue.staging.scratch_prefix + fresh_name(branch)
    tree = services.github.tree_of(branch, head)
    services.github.create_ref(branch, name, services.github.create_commit(branch, tree, [head], SCRATCH_MESSAGE))
    return name


def _let_go(services: Services, branch: Branch, run: Run) -> None:
    """Delete what was held; where that fails it is swept later."""
    try:
        if run.ref:
            services.github.delete_ref(branch, run.ref)
    except Refused as error:
        services.log.warning("scratch ref not deleted", ref=run.ref, error=str(error))


def take_up_updates(services: Services, lease: Lease) -> None:
    """Look for the heads that GitHub was asked to make, and have them tested; one that cannot be read within
    `start_timeout` is waited for no longer. Raises LeaseLost and HeldBack.

    An approval that was given to the head before is good for the new one (D17) if that is nothing but its merge with
    the base, or the same commits on it: the tree of each is the one that such a merge has. Everything else is
    somebody's push.
    """
    services = services.on(Purpose.STAGING)
    for run in services.store.runs(lease.branch):
        if run.is_asked_for and run.ended is None:
            try:
                _take_up(services, lease, run)
            except (Refused, Unreadable) as error:
                services.log.warning("updated head not read", branch=str(lease.branch), error=str(error))
                if _is_late(services, lease.branch, run):
                    _give_up(services, lease, run, f"its new head could not be judged: {error}")


def _ask(services: Services, branch: Branch, run: Run, look: LastLook) -> Run | None:
    """Ask GitHub for the head of a run whose pull request was just seen, if that is ours to ask; the run as it is then,
    None where the facts have changed meanwhile.

    The head that it is to replace guards the call, so that being asked twice GitHub does it once: what is unknown (D6),
    and what GitHub took and did not do, is asked for again when the head has not come. A refusal is judged by
    reading once more (Q26).
    """
    method, asked = UpdateMethod.REBASE if run.ref else UpdateMethod.MERGE, run.members[0]
    if look.pull is not None and (why := not_ours_to_update(look.pull, look.protection, method)):
        return _left_behind(run, why)
    told = Told(services.now(), run.told.tries + 1)
    try:
        services.github.update_branch(branch, asked.number, asked.head_sha, method)
    except Refused as error:
        told = replace(told, why=error.text)
        if error.status == 0 or error.status >= 500:
            services.log.warning("update asked for, answer unknown", branch=str(branch), error=str(error))
        elif not _is_as_judged(now := services.github.last_look(branch, asked.number, ""), run):
            return None
        elif _is_final(error.text) or (now.pull and now.pull.mergeable is Mergeable.CONFLICTING):
            return _left_behind(run, f"GitHub does not update it: {error.text}")
    return replace(run, told=told)


def _is_final(text: str) -> bool:
    return not any(words in text.lower() for words in _LAGGING)


def _keep(services: Services, lease: Lease, run: Run, asked: Run | None) -> HistoryRecord | None:
    """Keep what has come of asking; the record of a run that has begun with it."""
    if asked is None:
        services.store.forget_run(lease, run)
    elif asked.ended is not None:
        services.store.save_run(lease, asked)
    else:
        services.store.look_later(lease.branch, [str(run.members[0].number)], services.now() + _AGAIN)
        if not run.told.tries:
            return note_run(services, lease, asked, Outcome.TRIGGERED, "")
        services.store.save_run(lease, asked)
        return None
    _let_go(services, lease.branch, run)
    return None


def _is_as_judged(look: LastLook, run: Run) -> bool:
    pull = look.pull
    return pull is not None and pull.is_open and pull.head_sha == run.members[0].head_sha


def _take_up(services: Services, lease: Lease, run: Run) -> None:
    branch, asked, now = lease.branch, run.members[0], services.now()
    look = services.github.last_look(branch, asked.number, "")
    if look.pull is None:
        raise Unreadable(f"{branch.full_repo}#{asked.number} could not be read in full")
    head = look.pull.head_sha
    if not look.pull.is_open:
        _give_up(services, lease, run, "it was closed")
    elif head == asked.head_sha:
        if _is_late(services, branch, run):
            why = ": ".join(filter(None, ("GitHub was asked to update it and did not", run.told.why)))
            note_run(services, lease, _left_behind(run, why), Outcome.ABANDONED, why)
            _let_go(services, branch, run)
        elif services.store.halted(branch):
            return
        elif now - max(run.started_at, run.told.at) >= (_MUCH_LATER if run.told.tries and not run.told.why else _AGAIN):
            _keep(services, lease, run, _ask(services, branch, run, look))
    elif (base := _base_under(services, branch, asked.head_sha, look.base_sha, head)) is None:
        _give_up(services, lease, run, f"{head[:7]} was pushed to it by somebody else")
    else:
        if run.arrival is not None:
            services.store.note_arrivals(branch.full_repo, {asked.number: replace(run.arrival, head_sha=head)})
        services.store.move_eviction(branch.full_repo, asked.number, asked.head_sha, head)
        tested = _tested_on_its_head(services, branch, replace(run, base_sha=base), head)
        services.store.save_run(lease, replace(tested, ref="", told=Told(), started_at=now))
        _let_go(services, branch, run)


def _give_up(services: Services, lease: Lease, run: Run, why: str) -> None:
    note_run(services, lease, run, Outcome.ABANDONED, why)
    _let_go(services, lease.branch, run)


def _is_late(services: Services, branch: Branch, run: Run) -> bool:
    return services.now() - run.started_at >= services.config.for_branch(branch).queue.staging.start_timeout


def _base_under(services: Services, branch: Branch, before: str, tip: str, head: str) -> str | None:
    """The commit of the base with which `head` is nothing but what `before` was: its plain merge with that, or the same
    commits one by one on top of it. None when it is something else. `tip` is where the base is now.

    What a commit says of its parents proves nothing, so both are made again and their trees compared.
    """
    github = services.github
    parents = github.parents_of(branch, head)
    if len(parents) == 2 and parents[0] == before:
        base, steps, trees = parents[1], [before], [github.tree_of(branch, head)]
        if github.lacks(branch, tip, base):
            return None
    else:
        made = github.commits_after(branch, tip, head)
        base = made[0].parents[0] if made and made[0].parents else ""
        if not base or [one.parents for one in made] != [(sha,) for sha in (base, *(one.sha for one in made[:-1]))]:
            return None
        old = [one for one in github.commits_after(branch, base, before) if len(one.parents) < 2]
        if [_words(one) for one in old] != [_words(one) for one in made]:
            return None
        steps, trees = [one.sha for one in old], [one.tree for one in made]
    with scratch_ref(services, branch, base, fresh_name(branch)) as (scratch, _):
        merged = [github.merge_into(branch, scratch, sha, SCRATCH_MESSAGE) for sha in steps]
    return base if [one and one[1] for one in merged] == trees else None


def _words(commit: Commit) -> tuple[str, str, str]:
    """What a rebase leaves as it was, beside the changes."""
    return commit.message, commit.name, commit.email


def _tested_on_its_head(services: Services, branch: Branch, run: Run, head: str) -> Run:
    """The run of a pull request whose head contains the base, from where its own CI says what there is to say."""
    github, asked = services.github, run.members[0]
    steps = len(github.commits(branch, asked.number, head)) if asked.method is Method.REBASE else 1
    tested = replace(asked, head_sha=head, steps=steps)
    targets = tuple(replace(target, sha=head) for target in run.targets)
    return replace(run, members=(tested,), staged_sha=head, trees=(github.tree_of(branch, head),), targets=targets)


def _left_behind(run: Run, why: str) -> Run:
    return replace(run, ref="", ended=RunState.BEHIND, why=why)
