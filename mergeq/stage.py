"""Build a staged run on GitHub through its API alone, give runs up, and sweep what earlier ones left behind (D4)."""

import secrets
from collections.abc import Sequence

from mergeq.bootstrap import Services
from mergeq.core.batch import Conflict, Member, Run
from mergeq.core.history import HistoryRecord, Outcome
from mergeq.core.pool import Standing
from mergeq.core.pull import Branch, Method
from mergeq.core.template import neutral
from mergeq.github import Refused
from mergeq.store import Lease, SavedPool
from mergeq.sync import note_run, target_of

_SWEEP_SECONDS = 3600.0
_HEX = frozenset("0123456789abcdef")
_SCRATCH_MESSAGE = "[skip ci] mergeq: scratch merge, thrown away"


class _Conflicts(Exception):
    """A pull request does not merge here."""


def stage(services: Services, lease: Lease, saved: SavedPool) -> HistoryRecord | None:
    """Build the run that `saved` chose and push its ref once, fully formed, so that CI starts exactly once.

    None when conflicts left fewer than were to be tested together: they are remembered, and the branch is decided
    again. Raises LeaseLost, Refused and Unreadable; what was built until then is swept later.
    """
    github, branch = services.github, lease.branch
    staging = services.config.for_branch(branch).queue.staging
    chosen = [standing for number in saved.targets if (standing := saved.pool.standing(number)) is not None]
    base, name = saved.pool.base_sha, f"{branch.name.replace('/', '-')}-{secrets.token_hex(6)}"
    scratch = staging.scratch_prefix + name
    start = github.create_commit(branch, github.tree_of(branch, base), [base], _SCRATCH_MESSAGE)
    github.create_ref(branch, scratch, start)
    members: list[Member] = []
    trees: list[list[str]] = []
    facts: list[Conflict] = []
    tip = start
    for standing in chosen:
        try:
            tip, steps = _merge(services, branch, scratch, tip, standing)
        except _Conflicts:
            facts.append(Conflict(base, tuple(member.head_sha for member in members), standing.pull.head_sha))
            continue
        pull, method = standing.pull, standing.method or Method.MERGE
        members.append(Member(pull.number, pull.head_sha, method, len(steps)))
        trees.append(steps)
    github.delete_ref(branch, scratch)
    if facts:
        services.store.add_conflicts(lease, facts)
    if not members or (len(members) == 1 and len(chosen) > 1):
        return None
    services.store.extend(lease, services.now())
    taken = [standing for standing in chosen if standing.pull.number in {member.number for member in members}]
    staged = _series(services, branch, base, taken, trees)
    run = Run(
        id=name.rsplit("-", 1)[1],
        base_sha=base,
        members=tuple(members),
        ref=staging.prefix + name,
        staged_sha=staged,
        trees=tuple(steps[-1] for steps in trees),
        started_at=services.now(),
        targets=tuple(target_of(standing.pull) for standing in taken),
    )
    services.store.save_run(lease, run)
    github.create_ref(branch, run.ref, staged)
    return note_run(services, lease, run, Outcome.TRIGGERED, "")


def abandon(services: Services, lease: Lease, saved: SavedPool) -> None:
    """Give up the runs that `saved` names: their refs go, so that CI need not go on, and history says why. Raises
    LeaseLost.
    """
    known = {run.id: run for run in saved.runs}
    for name, why in saved.abandon:
        if (run := known.get(name)) is None:
            continue
        try:
            services.github.delete_ref(lease.branch, run.ref)
        except Refused as error:
            services.log.warning("staging ref not deleted", ref=run.ref, error=str(error))
        note_run(services, lease, run, Outcome.ABANDONED, why)


def sweep_refs(services: Services, lease: Lease) -> int:
    """Delete the staging refs of a branch that are older than `keep` and the scratch refs that are older than an hour,
    unless their run is under way; returns how many. Looks at most once an hour. Raises Refused.

    Only names that this branch gives are touched: its own, a dash, and twelve hexadecimal digits.
    """
    branch, staging, now = lease.branch, services.config.for_branch(lease.branch).queue.staging, services.now()
    if not services.store.begin_ref_sweep(branch, now, _SWEEP_SECONDS):
        return 0
    flat = branch.name.replace("/", "-") + "-"
    kept = {run.ref for run in services.store.runs(branch) if run.ended is None}
    gone = 0
    for prefix, keep in ((staging.prefix, staging.keep), (staging.scratch_prefix, _SWEEP_SECONDS)):
        for ref, at in services.github.refs_under(branch, prefix + flat):
            tail = ref.removeprefix(prefix + flat)
            if ref not in kept and now - at >= keep and len(tail) == 12 and set(tail) <= _HEX:
                services.github.delete_ref(branch, ref)
                gone += 1
    return gone


def _merge(services: Services, branch: Branch, scratch: str, tip: str, standing: Standing) -> tuple[str, list[str]]:
    """Merge one pull request into the scratch ref by SHA; the new tip and the tree after each of its steps.

    Raises _Conflicts with the ref where it was, also when the pull request adds nothing.
    """
    github, pull = services.github, standing.pull
    rebased = standing.method is Method.REBASE
    shas = github.commits(branch, pull.number, pull.head_sha) if rebased else [pull.head_sha]
    at, trees = tip, []
    for sha in shas:
        merged = github.merge_into(branch, scratch, sha, _SCRATCH_MESSAGE)
        if merged is None or merged[0] == at:
            if at != tip:
                github.reset_ref(branch, scratch, tip)
            raise _Conflicts
        at, tree = merged
        trees.append(tree)
    if not trees:
        raise _Conflicts
    return at, trees


def _series(
    services: Services, branch: Branch, base: str, taken: Sequence[Standing], trees: Sequence[Sequence[str]]
) -> str:
    """Make the commits that will be tested, each with the tree that its landing must have; the last one's SHA."""
    tip = base
    for standing, steps in zip(taken, trees, strict=True):
        pull = standing.pull
        for tree in steps:
            parents = [tip, pull.head_sha] if standing.method is Method.MERGE else [tip]
            tip = services.github.create_commit(branch, tree, parents, f"{neutral(pull.title)} (#{pull.number})")
    return tip
