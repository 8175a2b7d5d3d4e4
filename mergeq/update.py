"""`retest: update`: have GitHub bring a pull request's own branch up to date with its base, and take up the head that
it makes (D3).
"""

import secrets
from dataclasses import replace

from mergeq.bootstrap import Services
from mergeq.core.batch import Member, Run, RunState, not_ours_to_update
from mergeq.core.budget import Purpose
from mergeq.core.history import HistoryRecord, Outcome
from mergeq.core.pull import Branch, Method
from mergeq.github import HeldBack, Refused, Unreadable
from mergeq.stage import SCRATCH_MESSAGE, fresh_name, scratch_ref
from mergeq.store import Lease, SavedPool
from mergeq.sync import note_run, target_of


def bring_up_to_date(services: Services, lease: Lease, saved: SavedPool) -> HistoryRecord | None:
    """See that the head of the chosen pull request contains the tip of the base, so that its own CI tests what would
    land (D3).

    None when there is nothing to wait for: it contains it already, or it lacks it and is not ours to update. Either is
    remembered, and the branch is decided again. Raises LeaseLost, Refused, Unreadable and HeldBack.
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
    if why := not_ours_to_update(pull, saved.pool.protection):
        services.store.save_run(lease, _left_behind(run, why))
        return None
    services.store.save_run(lease, run)
    try:
        github.update_branch(branch, pull.number, pull.head_sha)
    except HeldBack:
        services.store.forget_run(lease, run)
        raise
    except Refused as error:
        if error.status == 0 or error.status >= 500:
            services.log.warning("update asked for, answer unknown", pull=str(pull), error=str(error))
        elif "expected head sha" in error.text.lower() or "no new commits" in error.text.lower():
            services.store.forget_run(lease, run)  # the facts have changed meanwhile (Q26)
            return None
        else:
            services.store.save_run(lease, _left_behind(run, f"GitHub does not update it: {error.text}"))
            return None
    return note_run(services, lease, run, Outcome.TRIGGERED, "")


def take_up_updates(services: Services, lease: Lease) -> None:
    """Look for the heads that GitHub was asked to make, and have them tested. Raises LeaseLost, Unreadable and
    HeldBack.

    An approval that was given to the head before is good for the new one (D17) if that is nothing but its merge with
    the base: the parents say so, and the tree is the one that such a merge has. Everything else is somebody's push.
    """
    services = services.on(Purpose.STAGING)
    for run in services.store.runs(lease.branch):
        if run.is_asked_for and run.ended is None:
            try:
                _take_up(services, lease, run)
            except Refused as error:
                services.log.warning("updated head not read", branch=str(lease.branch), error=str(error))


def _take_up(services: Services, lease: Lease, run: Run) -> None:
    github, branch, asked = services.github, lease.branch, run.members[0]
    look = github.last_look(branch, asked.number, "")
    if look.pull is None:
        raise Unreadable(f"{branch.full_repo}#{asked.number} could not be read after it was brought up to date")
    head = look.pull.head_sha
    if not look.pull.is_open:
        note_run(services, lease, run, Outcome.ABANDONED, "it was closed")
    elif head == asked.head_sha:
        if services.now() - run.started_at >= services.config.for_branch(branch).queue.staging.start_timeout:
            why = "GitHub was asked to update it and did not"
            note_run(services, lease, _left_behind(run, why), Outcome.ABANDONED, why)
    elif (base := _base_merged_in(services, branch, run, look.base_sha, head)) is None:
        note_run(services, lease, run, Outcome.ABANDONED, f"{head[:7]} was pushed to it by somebody else")
    else:
        if run.arrival is not None:
            services.store.note_arrivals(branch.full_repo, {asked.number: replace(run.arrival, head_sha=head)})
        tested = _tested_on_its_head(services, branch, replace(run, base_sha=base), head)
        services.store.save_run(lease, replace(tested, started_at=services.now()))


def _base_merged_in(services: Services, branch: Branch, run: Run, tip: str, head: str) -> str | None:
    """The commit of the base that `head` is the plain merge of, with the head that was to be updated; None when it is
    something else. `tip` is where the base is now.
    """
    github, before = services.github, run.members[0].head_sha
    parents = github.parents_of(branch, head)
    if len(parents) != 2 or parents[0] != before or github.lacks(branch, tip, parents[1]):
        return None
    with scratch_ref(services, branch, parents[1], fresh_name(branch)) as (scratch, _):
        merged = github.merge_into(branch, scratch, before, SCRATCH_MESSAGE)
    return parents[1] if merged is not None and merged[1] == github.tree_of(branch, head) else None


def _tested_on_its_head(services: Services, branch: Branch, run: Run, head: str) -> Run:
    """The run of a pull request whose head contains the base, from where its own CI says what there is to say."""
    github, asked = services.github, run.members[0]
    steps = len(github.commits(branch, asked.number, head)) if asked.method is Method.REBASE else 1
    tested = replace(asked, head_sha=head, steps=steps)
    targets = tuple(replace(target, sha=head) for target in run.targets)
    return replace(run, members=(tested,), staged_sha=head, trees=(github.tree_of(branch, head),), targets=targets)


def _left_behind(run: Run, why: str) -> Run:
    return replace(run, ended=RunState.BEHIND, why=why)
