"""Make what is tested, on GitHub through its API alone: staged runs (D4); give runs up, and sweep what earlier ones
left behind.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mergeq.bootstrap import Services
from mergeq.core.batch import Conflict, Member, Run
from mergeq.core.budget import Purpose
from mergeq.core.history import HistoryRecord, Outcome
from mergeq.core.message import neutral, to_write
from mergeq.core.pool import Standing
from mergeq.core.pull import Branch, Method
from mergeq.github import HeldBack, LastLook, Refused, Unreadable
from mergeq.store import Lease, SavedPool
from mergeq.sync import note_run, squashed_commits, target_of

_SWEEP_SECONDS = 3600.0
_HEX = frozenset("0123456789abcdef")
SCRATCH_MESSAGE = "[skip ci] mergeq: scratch merge, thrown away"


class _Conflicts(Exception):
    """A pull request does not merge here."""


def stage(services: Services, lease: Lease, saved: SavedPool) -> HistoryRecord | None:
    """Build the run that `saved` chose and push its ref once, fully formed, so that CI starts exactly once.

    None when conflicts left fewer than were to be tested together: they are remembered, and the branch is decided
    again. Raises LeaseLost, Refused, Unreadable and HeldBack; what was built until then is swept later.
    """
    services = services.on(Purpose.STAGING)
    github, branch = services.github, lease.branch
    staging = services.config.for_branch(branch).queue.staging
    chosen = [standing for number in saved.targets if (standing := saved.pool.standing(number)) is not None]
    base, name = saved.pool.base_sha, fresh_name(branch)
    members: list[Member] = []
    series: list[tuple[Standing, list[tuple[str, str]]]] = []
    facts: list[Conflict] = []
    looked_at = [one.pull.number for one in chosen if one.method is not Method.REBASE]
    looks = dict(zip(looked_at, github.last_looks(branch, looked_at, "") if looked_at else (), strict=True))
    with scratch_ref(services, branch, base, name) as (scratch, tip):
        for standing in chosen:
            shas, messages = _to_stage(services, branch, standing, looks.get(standing.pull.number))
            try:
                tip, steps = _merge(services, branch, scratch, tip, shas)  # noqa: PLW2901 -- as far as it is built
            except _Conflicts:
                facts.append(Conflict(base, tuple(member.head_sha for member in members), standing.pull.head_sha))
                continue
            pull, method = standing.pull, standing.method or Method.MERGE
            members.append(Member(pull.number, pull.head_sha, method, len(steps)))
            series.append((standing, [*zip(steps, messages, strict=True)]))
    if facts:
        services.store.add_conflicts(lease, facts)
    if not members or (len(members) == 1 and len(chosen) > 1):
        return None
    services.store.extend(lease, services.now())
    staged = _series(services, branch, base, series)
    run = Run(
        id=name.rsplit("-", 1)[1],
        base_sha=base,
        members=tuple(members),
        ref=staging.prefix + name,
        staged_sha=staged,
        trees=tuple(steps[-1][0] for _, steps in series),
        started_at=services.now(),
        targets=tuple(target_of(standing.pull) for standing, _ in series),
    )
    services.store.save_run(lease, run)
    try:
        github.create_ref(branch, run.ref, staged)
    except HeldBack:
        services.store.forget_run(lease, run)
        raise
    return note_run(services, lease, run, Outcome.TRIGGERED, "")


def abandon(services: Services, lease: Lease, saved: SavedPool) -> None:
    """Give up the runs that `saved` names: their refs go, so that CI need not go on, and history says why. Raises
    LeaseLost.
    """
    services = services.on(Purpose.STAGING)
    known = {run.id: run for run in saved.runs}
    for name, why in saved.abandon:
        if (run := known.get(name)) is None:
            continue
        try:
            if run.ref:
                services.github.delete_ref(lease.branch, run.ref)
        except Refused as error:
            services.log.warning("staging ref not deleted", ref=run.ref, error=str(error))
        note_run(services, lease, run, Outcome.ABANDONED, why)


def sweep_refs(services: Services, lease: Lease) -> int:
    """Delete the staging refs of a branch that are older than `keep` and the scratch refs that are older than an hour,
    unless their run is under way; returns how many. Looks at most once an hour. Raises Refused.

    Only names that this branch gives are touched: its own, a dash, and twelve hexadecimal digits.
    """
    services = services.on(Purpose.STAGING)
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


def fresh_name(branch: Branch) -> str:
    """A name for refs of one branch, flat and never given before (Q53)."""
    return f"{branch.name.replace('/', '-')}-{secrets.token_hex(6)}"


@contextmanager
def scratch_ref(services: Services, branch: Branch, base: str, name: str) -> Iterator[tuple[str, str]]:
    """A scratch ref with the content of `base` for as long as something is tried out on it: its name and its tip.

    Its own commit says that CI is to leave it alone. What fails leaves it behind, to be swept.
    """
    github = services.github
    scratch = services.config.for_branch(branch).queue.staging.scratch_prefix + name
    start = github.create_commit(branch, github.tree_of(branch, base), [base], SCRATCH_MESSAGE)
    github.create_ref(branch, scratch, start)
    yield scratch, start
    github.delete_ref(branch, scratch)


def _to_stage(
    services: Services, branch: Branch, standing: Standing, look: LastLook | None
) -> tuple[list[str], list[str]]:
    """The commits by which one pull request is staged, and the message that each will have: those of a rebase, which is
    not looked at, keep theirs, else it is the one of its landing (D4). Raises Unreadable.
    """
    number, head = standing.pull.number, standing.pull.head_sha
    if look is None:
        commits = services.github.commits(branch, number, head)
        return [commit.sha for commit in commits], [neutral(commit.message) for commit in commits]
    if look.pull is None or look.pull.head_sha != head:
        raise Unreadable(f"{standing.pull} is another by now, or could not be read in full, right before it was staged")
    method = standing.method or Method.MERGE
    commits = squashed_commits(services, look.pull, method)
    message = to_write(services.config.commit_template(branch), look.pull, method, look.repository, commits)
    for why in message.failures:
        services.log.warning("GitHub's default text is used", pull=str(look.pull), why=why)
    return [head], [str(message)]


def _merge(services: Services, branch: Branch, scratch: str, tip: str, shas: Sequence[str]) -> tuple[str, list[str]]:
    """Merge the commits of one pull request into the scratch ref; the new tip and the tree after each of them.

    Raises _Conflicts with the ref where it was, also when the pull request adds nothing.
    """
    github = services.github
    at, trees = tip, []
    for sha in shas:
        merged = github.merge_into(branch, scratch, sha, SCRATCH_MESSAGE)
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
    services: Services, branch: Branch, base: str, series: Sequence[tuple[Standing, Sequence[tuple[str, str]]]]
) -> str:
    """Make the commits that will be tested, each with the tree and the message that its landing must have; the last
    one's SHA.
    """
    tip = base
    for standing, steps in series:
        for tree, message in steps:
            parents = [tip, standing.pull.head_sha] if standing.method is Method.MERGE else [tip]
            tip = services.github.create_commit(branch, tree, parents, message)
    return tip
