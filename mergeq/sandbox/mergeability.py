"""GitHub's lazy answer to "can this be merged?": a read starts the job, a later read sees the result (Q14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mergeq.sandbox.faults import FaultId
from mergeq.sandbox.git import GitRepo
from mergeq.sandbox.records import Pull, Repo
from mergeq.sandbox.users import person

if TYPE_CHECKING:
    from mergeq.sandbox.state import WorldState


def forget(pull: Pull) -> None:
    """Base or head moved: unknown again; the stale test merge stays where it is (Q17)."""
    pull.mergeable = None
    pull.rebaseable = None
    pull.reads_until_known = None


def note_read(world: WorldState, pull: Pull) -> None:
    """Count one read of an open pull request's mergeability; after ``world.lazy_reads`` reads the next one knows.

    ``mergeable.lazy`` says how many ``reads`` instead, or after how many ``ms``; ``mergeable.stuck`` never (Q15).
    """
    where = (pull.repo, pull.number)
    if not pull.is_open or pull.mergeable is not None or world.faults.fires(FaultId.MERGEABLE_STUCK, *where):
        return
    if pull.reads_until_known is None:
        slower = world.faults.fires(FaultId.MERGEABLE_LAZY, *where)
        pull.reads_until_known = int(slower.args.get("reads", 0)) if slower else world.lazy_reads
        pull.known_from = world.now() + (slower.seconds() if slower else 0.0)
    if pull.reads_until_known > 0:
        pull.reads_until_known -= 1
    elif world.now() >= pull.known_from:
        _compute(world.repo_of(pull), pull, world.now())


def _compute(repo: Repo, pull: Pull, now: float) -> None:
    base = repo.git.tip(pull.base_ref)
    if base is None:
        return
    tree = repo.git.merge_tree(base, pull.head_sha)
    pull.mergeable = tree is not None
    if tree is None:
        pull.rebaseable = False
        return
    message = f"Merge {pull.head_sha} into {base}"
    merge = repo.git.commit_tree(tree, (base, pull.head_sha), message, author=person(pull.author), when=now)
    repo.git.place(f"refs/pull/{pull.number}/merge", merge)
    pull.merge_commit_sha = merge
    one_commit = repo.git.commit(pull.head_sha).parents == (pull.base_sha,)
    pull.rebaseable = one_commit or _can_rebase(repo.git, base, pull.head_sha, now)


def _can_rebase(git: GitRepo, base: str, head: str, now: float) -> bool:
    """Whether every commit applies in turn, given that the whole merges cleanly."""
    commits = git.new_commits(base, head)
    linear = all(len(parents) == 1 for _, parents in commits)
    if linear and (len(commits) <= 1 or commits[0][1] == (base,)):
        return True
    return git.replay([sha for sha, _ in commits], base, now) is not None
