"""Moving refs, and what follows on GitHub: events, new heads of pull requests, indirect merges, CI."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mergeq.sandbox import mergeability, policy, pulls
from mergeq.sandbox.faults import Fault, FaultId
from mergeq.sandbox.git import HEADS, ZERO, Draft
from mergeq.sandbox.git_objects import GitError
from mergeq.sandbox.pull_shapes import push_shape
from mergeq.sandbox.records import Files, Pull, Repo, TimelineKind
from mergeq.sandbox.refusals import RefusedError
from mergeq.sandbox.rulesets import RuleSuite
from mergeq.sandbox.users import person

if TYPE_CHECKING:
    from mergeq.sandbox.world import World

HIDDEN = "refs/pull/"
"""Where GitHub keeps heads and test merges of pull requests; nobody else writes there."""
_DRAFT = "refs/pull/draft"
_FULL_SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class RefWish:
    """A ref and where it shall be (ZERO: nowhere), if it is at ``before`` now; None if that does not matter."""

    ref: str
    after: str
    before: str | None = None
    force: bool = False


def push(world: World, repo: Repo, branch: str, files: Files, *, by: str, message: str | None, onto: str | None) -> str:
    """Commit and push as a person would."""
    old = repo.git.tip(branch)
    parent = onto or old or repo.git.tip(repo.default_branch)
    draft = Draft(files, message or f"Change {', '.join(files) or 'nothing'}", person(by))
    (sha,) = repo.git.write(HEADS + branch, parent, [draft], world.now())
    moved(world, repo, HEADS + branch, old or ZERO, sha, by)
    return sha


def commit_on(world: World, repo: Repo, branch: str, files: Files, message: str, by: str, *, expected: str) -> str:
    """Commit as GitHub itself does for somebody, signed; raises RefusedError 422 if the branch is elsewhere."""
    tip = repo.git.tip(branch)
    if tip is None:
        raise RefusedError(422, "Reference does not exist")
    if tip != expected:
        words = f'Expected branch to point to "{expected}" but it did not. Pull and try again.'
        raise RefusedError(422, words)
    (drafted,) = repo.git.write(_DRAFT, tip, [Draft(files, message, person(by))], world.now())
    repo.git.drop(_DRAFT)
    tree = repo.git.commit(drafted).tree
    sha = repo.git.commit_tree(tree, (tip,), message, author=person(by), when=world.now(), signed=True)
    update(world, repo, HEADS + branch, sha, by, force=False)
    return sha


def push_series(
    world: World, repo: Repo, branch: str, steps: Sequence[Files], *, by: str, title: str, start: str | None
) -> None:
    """Push several commits at once onto a branch, which starts at ``start`` if it is new."""
    old = repo.git.tip(branch)
    parent = old or start
    if parent is None:
        raise RefusedError(422, "Validation Failed", [{"resource": "PullRequest", "field": "base", "code": "invalid"}])
    names = [title] if len(steps) == 1 else [f"{title} ({n} of {len(steps)})" for n in range(1, len(steps) + 1)]
    drafts = [Draft(files, name, person(by)) for files, name in zip(steps, names, strict=True)]
    if repo.fork_of is not None and old is None:
        repo.git.fetch(repo.fork_of.git_dir, parent, HEADS + branch)
    shas = repo.git.write(HEADS + branch, parent, drafts, world.now())
    moved(world, repo, HEADS + branch, old or ZERO, shas[-1], by)


def create(world: World, repo: Repo, ref: str, sha: str, by: str) -> None:
    """Make a ref; raises RefusedError 422 as the refs API answers."""
    if ref in repo.git.refs():
        raise RefusedError(422, "Reference already exists")
    _allow(world, repo, ref, ZERO, sha, by, force=False)
    try:
        repo.git.move(ref, sha, ZERO)
    except GitError as error:
        raise RefusedError(422, "Reference update failed") from error
    moved(world, repo, ref, ZERO, sha, by)


def update(world: World, repo: Repo, ref: str, sha: str, by: str, *, force: bool) -> None:
    """Move a ref; raises RefusedError 422, also for a ref that does not exist (Q55)."""
    old = repo.git.refs().get(ref)
    if old is None:
        raise RefusedError(422, "Reference does not exist")
    _allow(world, repo, ref, old, sha, by, force=force)
    if old != sha:
        repo.git.move(ref, sha, old)
        moved(world, repo, ref, old, sha, by)


def delete(world: World, repo: Repo, ref: str, by: str) -> None:
    """Remove a ref; raises RefusedError 422 if there is none."""
    old = repo.git.refs().get(ref, ZERO)
    _allow(world, repo, ref, old, ZERO, by, force=False)
    repo.git.drop(ref)
    moved(world, repo, ref, old, ZERO, by)


def update_all(world: World, repo: Repo, wishes: Sequence[RefWish], by: str) -> None:
    """Make, move and delete refs, all of them or none; raises RefusedError 422 saying what stands in the way."""
    known = repo.git.refs()
    moves = [(wish.ref, known.get(wish.ref, ZERO), wish.after) for wish in wishes]
    if len({wish.ref for wish in wishes}) < len(wishes):
        raise RefusedError(422, "A reference may be updated only once")
    for wish, (ref, old, new) in zip(wishes, moves, strict=True):
        if not ref.startswith(("refs/heads/", "refs/tags/")):
            raise RefusedError(422, f"{ref} is not the full name of a branch or a tag")
        if wish.before is not None and wish.before != old:
            raise RefusedError(422, f"Reference cannot be updated: {ref} is at {old} but expected {wish.before}")
        _allow(world, repo, ref, old, new, by, force=wish.force)
    try:
        repo.git.move_all([(ref, old, new) for ref, old, new in moves if old != new])
    except GitError as error:
        raise RefusedError(422, "Reference update failed") from error
    for ref, old, new in moves:
        if old != new:
            moved(world, repo, ref, old, new, by)


def _allow(world: World, repo: Repo, ref: str, old: str, new: str, by: str, *, force: bool) -> None:
    """Raise RefusedError 422 for a move of a ref that cannot be, or that its rules do not let ``by`` make."""
    if old == ZERO and new == ZERO:
        raise RefusedError(422, "Reference does not exist")
    if ref.startswith(HIDDEN) or world.faults.fires(FaultId.REFS_OPAQUE_422, repo.full_name):
        raise RefusedError(422, "Reference update failed")
    if new != ZERO and not _known(repo, new):
        raise RefusedError(422, "Object does not exist")
    if old not in (ZERO, new) and new != ZERO and not force:
        lies = world.faults.fires(FaultId.REFS_FALSE_NONFF, repo.full_name)
        if lies or not repo.git.is_ancestor(old, new):
            raise RefusedError(422, "Update is not a fast forward")
    if old != new:
        workflow = forbidden_workflow(world, repo, old, new)
        if workflow:
            raise RefusedError(403, "Resource not accessible by integration")
        refused = judged(world, repo, ref, old, new, by).message
        if refused:
            raise RefusedError(422, refused)


def judged(world: World, repo: Repo, ref: str, old: str, new: str, by: str) -> policy.Ruling:
    """What the rules of a ref say to a move of it, which the listing of rule suites will show."""
    ruling = policy.judge_move(repo, ref, old, new, by)
    keep_suite(world, repo, ref, old, new, by, ruling)
    return ruling


def keep_suite(world: World, repo: Repo, ref: str, old: str, new: str, by: str, ruling: policy.Ruling) -> None:
    """Remember how rulesets judged a write, for they had a say in it."""
    if not ruling.is_by_rulesets:
        return
    result = "fail" if ruling.message else "bypass" if ruling.bypassed else "pass"
    sentences = tuple(v.sentence for v in (*ruling.refused, *ruling.bypassed))
    repo.rule_suites.append(RuleSuite(world.next_id(), ref, old, new, by, world.now(), result, sentences))


def forbidden_workflow(world: World, repo: Repo, old: str, new: str) -> str | None:
    """What is said of a write that changes a workflow, by a token that must not (Q58)."""
    touched: list[str] = []

    def touches(_fault: Fault) -> bool:
        """Only asked where the fault is on: to compare two commits on every write would cost too much."""
        known = ZERO not in (old, new) and repo.git.merge_base(old, new) is not None
        paths = (change.path for change in repo.git.changes(old, new)) if known else ()
        touched.extend(path for path in paths if path.startswith(".github/workflows/"))
        return bool(touched)

    if not world.faults.fires(FaultId.POLICY_NO_WORKFLOWS, repo.full_name, when=touches):
        return None
    return f"refusing to allow a GitHub App to create or update workflow `{touched[0]}` without `workflows` permission"


def is_fresh(world: World, repo: Repo, sha: str, lag: Fault) -> bool:
    """Whether a commit was pushed so recently that a replica may not have it yet."""
    return world.now() - repo.moved_at.get(sha, float("-inf")) < lag.seconds()


def _known(repo: Repo, sha: str) -> bool:
    return bool(_FULL_SHA.fullmatch(sha)) and repo.git.resolve(sha) == sha


def moved(
    world: World,
    repo: Repo,
    ref: str,
    old: str,
    new: str,
    by: str,
    *,
    forced: bool | None = None,
    unseen: Pull | None = None,
    onto: str | None = None,
) -> None:
    """A ref has moved (ZERO: did not or does no longer exist): do what GitHub does then.

    ``unseen`` is not to be noticed as merged. Pull requests into a branch that is gone move ``onto`` another, or close.
    """
    created, deleted = old == ZERO, new == ZERO
    if forced is None:
        forced = not created and not deleted and not repo.git.is_ancestor(old, new)
    repo.pushed_at = repo.moved_at[new] = world.now()
    _announce(world, repo, ref, old, new, by, forced=forced)
    if not ref.startswith(HEADS):
        return
    branch = ref.removeprefix(HEADS)
    if deleted:
        _close_orphans(world, repo, branch, by, onto)
        return
    repo.tips.setdefault(branch, set()).add(new)
    _merge_reached(world, repo, branch, old, new, by, unseen)
    for pull in _open_pulls(world):
        if pull.head_repo == repo.full_name and pull.head_ref == branch:
            _take_new_head(world, pull, new, by, forced=forced)
        elif pull.repo == repo.full_name and pull.base_ref == branch:
            mergeability.forget(pull)
    world.ci.branch_pushed(repo, branch, new)


def _announce(world: World, repo: Repo, ref: str, old: str, new: str, by: str, *, forced: bool) -> None:
    event = "create" if old == ZERO else "delete" if new == ZERO else None
    if event and world.webhooks.wanted(event, repo.full_name):
        kind = "tag" if ref.startswith("refs/tags/") else "branch"
        body = {"ref": ref.split("/", 2)[2], "ref_type": kind, "pusher_type": "user"}
        if event == "create":
            body |= {"master_branch": repo.default_branch, "description": ""}
        world.emit(event, repo, body, by=by)
    if world.webhooks.wanted("push", repo.full_name):
        body = push_shape(world.shapes(), repo, ref, old, new, forced=forced, pusher=by)
        world.emit("push", repo, body, by=by)


def _open_pulls(world: World) -> tuple[Pull, ...]:
    return tuple(pull for repo in world.repos() for pull in repo.pulls.values() if pull.is_open)


def drop_merged_head(world: World, pull: Pull, by: str) -> None:
    """Delete the branch a pull request was merged from, if it is still there and no rule is against it."""
    repo, ref = world.repo_of(pull), HEADS + pull.head_ref
    at = repo.git.tip(pull.head_ref)
    if pull.is_cross_repository or at != pull.head_sha or pull.head_ref == repo.default_branch:
        return
    if not judged(world, repo, ref, at, ZERO, by).message:
        drop(world, repo, pull.head_ref, by, onto=pull.base_ref)


def drop(world: World, repo: Repo, branch: str, by: str, *, onto: str | None) -> None:
    """Delete a branch, whatever its rules say; pull requests into it move ``onto`` another, or close (Q42)."""
    old = repo.git.tip(branch)
    if old is None:
        raise RefusedError(422, "Reference does not exist")
    repo.git.drop(HEADS + branch)
    moved(world, repo, HEADS + branch, old, ZERO, by, onto=onto)


def _close_orphans(world: World, repo: Repo, branch: str, by: str, onto: str | None) -> None:
    for pull in _open_pulls(world):
        if pull.repo == repo.full_name and pull.base_ref == branch and onto is not None:
            pulls.edit(world, pull, by, base=onto)
        elif branch in (_here(pull.repo, repo, pull.base_ref), _here(pull.head_repo, repo, pull.head_ref)):
            pulls.close(world, pull, by)


def _here(full_name: str, repo: Repo, branch: str) -> str | None:
    return branch if full_name == repo.full_name else None


def _take_new_head(world: World, pull: Pull, sha: str, by: str, *, forced: bool) -> None:
    before = pull.head_sha
    if before == sha:
        return
    late = world.faults.fires(FaultId.READ_STALE_HEAD, pull.repo, pull.number)
    if late is not None:
        world.lags.hold(pull, world.now() + late.delay_s)
    pull.head_sha, pull.last_pusher = sha, by
    pulls.keep_head(world, pull)
    pulls.dismiss_stale(world, pull)
    pull.updated_at = world.now()
    if forced:
        world.note(pull, TimelineKind.FORCE_PUSHED, by, before=before, after=sha)
    pulls.announce(world, pull, "synchronize", by, before=before, after=sha)
    world.ci.pull_updated(pull)


def _merge_reached(world: World, repo: Repo, branch: str, old: str, new: str, by: str, unseen: Pull | None) -> None:
    """Mark as merged every pull request whose head the base now contains (Q75), unless GitHub overlooks it (Q76)."""
    waiting = [p for p in repo.pulls.values() if p.is_open and p.base_ref == branch and p is not unseen]
    if not waiting:
        return
    reached = repo.git.new_commits(old, new)
    shas = {sha for sha, _ in reached}
    for pull in waiting:
        if pull.head_sha in shas:
            merges = (sha for sha, parents in reached if pull.head_sha in parents[1:])
            _notice_merge(world, pull, next(merges, pull.head_sha), by)


def _notice_merge(world: World, pull: Pull, sha: str, by: str) -> None:
    where = (pull.repo, pull.number)
    if world.faults.fires(FaultId.DETECT_MERGE_NEVER, *where):
        return
    late = world.faults.fires(FaultId.DETECT_MERGE_DELAY, *where)
    head = pull.head_sha

    def notice() -> None:
        with world.lock:
            if pull.is_open and pull.head_sha == head:
                pulls.mark_merged(world, pull, sha, by)

    if late is None:
        notice()
    else:
        world.clock.call_later(late.seconds(), world.activity.tracked(notice))
