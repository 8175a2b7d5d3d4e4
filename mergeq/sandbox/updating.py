"""Bringing a pull request's branch up to date with its base: asked for now, done a little later (Q26)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from mergeq.sandbox import policy, refs
from mergeq.sandbox.faults import FaultId
from mergeq.sandbox.git import HEADS
from mergeq.sandbox.records import Pull, Repo
from mergeq.sandbox.refusals import RefusedError
from mergeq.sandbox.users import person

if TYPE_CHECKING:
    from mergeq.sandbox.world import World

HEAD_DIFFERS = "expected head sha didn’t match current head ref."  # noqa: RUF001 - GitHub's own apostrophe
CONFLICT = "merge conflict between base and head"
NOTHING_NEW = "There are no new commits on the base branch."
_REFUSALS = {"sha": HEAD_DIFFERS, "conflict": CONFLICT, "up_to_date": NOTHING_NEW}
NOT_YOURS = "user doesn't have permission to update head repository."


class UpdateMethod(StrEnum):
    """How a head takes in its base; REST knows only the first."""

    MERGE = "MERGE"
    REBASE = "REBASE"


def ask_for_update(
    world: World, pull: Pull, by: str, *, expected: str | None = None, method: UpdateMethod = UpdateMethod.MERGE
) -> None:
    """Refuse what GitHub refuses at once (403, 422), else do it ``world.update_delay`` seconds from now."""
    repo, head_repo = world.repo_of(pull), world.find_repo(pull.head_repo)
    where = (pull.repo, pull.number)
    refused = world.faults.fires(FaultId.UPDATE_BRANCH_422, *where)
    if refused is not None:
        raise RefusedError(422, _REFUSALS[refused.args.get("kind", "up_to_date")])
    if expected is not None and expected != pull.head_sha:
        raise RefusedError(422, HEAD_DIFFERS)
    if head_repo is None or head_repo.archived or not _may_push(repo, pull, by):
        raise RefusedError(403, NOT_YOURS)
    updated = _updated(world, pull, by, method)
    ruled = policy.judge_move(repo, HEADS + pull.head_ref, pull.head_sha, updated, by).message
    if head_repo is repo and ruled:
        raise RefusedError(422, ruled)
    seen = pull.head_sha
    slower = world.faults.fires(FaultId.UPDATE_BRANCH_ASYNC, *where)
    world.clock.call_later(
        slower.seconds() if slower else world.update_delay,
        world.activity.tracked(lambda: _carry_out(world, pull, seen, by, method)),
    )


def _may_push(repo: Repo, pull: Pull, by: str) -> bool:
    """Whether somebody may write to the head: their own fork, or one whose owner lets maintainers in."""
    owner = pull.head_repo.partition("/")[0]
    if not pull.is_cross_repository:
        return repo.people.may_write(by)
    return by == owner or (pull.maintainer_can_modify and repo.people.may_write(by))


def _updated(world: World, pull: Pull, by: str, method: UpdateMethod) -> str:
    """The commit the head would be at, made in the base's repository; raises RefusedError 422."""
    repo = world.repo_of(pull)
    git, base = repo.git, repo.git.tip(pull.base_ref)
    if base is None or not pull.is_open:
        raise RefusedError(422, CONFLICT)
    if git.is_ancestor(base, pull.head_sha):
        raise RefusedError(422, NOTHING_NEW)
    if method is UpdateMethod.REBASE:
        replayed = git.replay([sha for sha, _ in git.new_commits(base, pull.head_sha)], base, world.now())
        if replayed is None:
            raise RefusedError(422, CONFLICT)
        return replayed
    tree = git.merge_tree(pull.head_sha, base)
    if tree is None:
        raise RefusedError(422, CONFLICT)
    message = f"Merge branch '{pull.base_ref}' into {pull.head_ref}"
    parents = (pull.head_sha, base)
    return git.commit_tree(tree, parents, message, author=person(by), when=world.now(), signed=True)


def _carry_out(world: World, pull: Pull, seen: str, by: str, method: UpdateMethod) -> None:
    """Move the head, unless it has moved meanwhile or there is nothing left to do: nobody is told then."""
    with world.lock:
        head_repo = world.find_repo(pull.head_repo)
        if head_repo is None or pull.head_sha != seen or head_repo.git.tip(pull.head_ref) != seen:
            return
        try:
            updated = _updated(world, pull, by, method)
        except RefusedError:
            return
        ref = HEADS + pull.head_ref
        if pull.is_cross_repository:
            head_repo.git.fetch(world.repo(pull.repo).git_dir, updated, ref)
        else:
            head_repo.git.move(ref, updated, seen)
        refs.moved(world, head_repo, ref, seen, updated, by)
