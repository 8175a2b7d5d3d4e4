"""Merging a pull request: every refusal GitHub knows here, and the commits it would make."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mergeq.sandbox import policy, pulls, refs
from mergeq.sandbox.faults import FaultId
from mergeq.sandbox.git import HEADS
from mergeq.sandbox.git_objects import CommitInfo
from mergeq.sandbox.records import AutoMerge, Method, Pull, Repo
from mergeq.sandbox.refusals import BrokenGatewayError, MergeRefused, RefusedError
from mergeq.sandbox.users import person

if TYPE_CHECKING:
    from mergeq.sandbox.world import World

_HELD_MS = 600_000
_SHA = re.compile(r"[0-9a-f]{7,40}")
NOT_MERGEABLE = "Pull Request is not mergeable"
BASE_MODIFIED = "Base branch was modified. Review and try the merge again."
HEAD_MODIFIED = "Head branch was modified. Review and try the merge again."
_NOT_ALLOWED = {
    Method.MERGE: "Merge commits are not allowed on this repository.",
    Method.SQUASH: "Squash merges are not allowed on this repository.",
    Method.REBASE: "Rebase merges are not allowed on this repository.",
}


def merge(
    world: World,
    pull: Pull,
    method: Method,
    *,
    by: str,
    sha: str | None = None,
    title: str | None = None,
    message: str | None = None,
) -> str:
    """Merge and return the base's new tip; raises MergeRefused in GitHub's words.

    Raises BrokenGatewayError where it lands, and for a while neither the answer nor the pull request says so (Q9).
    """
    repo = world.repo_of(pull)
    headline, body = _message(repo, pull, method, world.commits_of(pull), title, message)
    text = f"{headline}\n\n{body}" if body else headline
    base = repo.git.tip(pull.base_ref)
    ruling = _refuse(repo, pull, method, sha, text, by)
    if base is None:
        raise MergeRefused(405, NOT_MERGEABLE)
    workflow = refs.forbidden_workflow(world, repo, base, pull.head_sha)
    if workflow:
        raise MergeRefused(403, workflow)
    refs.keep_suite(world, repo, HEADS + pull.base_ref, base, pull.head_sha, by, ruling)
    if ruling.message:
        raise MergeRefused(405, ruling.message)
    if method is Method.REBASE:
        landed = _rebase(repo, pull, base, world.now())
    else:
        landed = _merge_or_squash(repo, pull, method, base, text, by, world.now())
    if world.faults.fires(FaultId.MERGE_WRONG_TREE, repo.full_name, pull.number):
        landed = _with_a_stranger(repo, landed, world.now())
    repo.git.move(HEADS + pull.base_ref, landed, base)
    held = world.faults.fires(FaultId.MERGE_LANDED_PR_OPEN, repo.full_name, pull.number)
    if held is not None:
        after = held.seconds("delay", _HELD_MS)
        world.clock.call_later(after, world.activity.tracked(lambda: _be_seen(world, pull, landed, by)))
    else:
        pulls.mark_merged(world, pull, landed, by)
    refs.moved(world, repo, HEADS + pull.base_ref, base, landed, by, forced=False, unseen=pull)
    if repo.settings.delete_branch_on_merge:
        refs.drop_merged_head(world, pull, by)
    if held is not None:
        raise BrokenGatewayError(held.code)
    return landed


def _be_seen(world: World, pull: Pull, landed: str, by: str) -> None:
    with world.lock:
        if pull.is_open:
            pulls.mark_merged(world, pull, landed, by)


def enable_auto_merge(
    world: World, pull: Pull, method: Method, *, by: str, title: str | None = None, message: str | None = None
) -> None:
    """Have a pull request merged once nothing stands in its way; raises RefusedError 422 in GitHub's words."""
    repo = world.repo_of(pull)
    if not repo.settings.allow_auto_merge:
        raise RefusedError(422, "Auto merge is not allowed for this repository")
    if method not in repo.allowed:
        raise RefusedError(422, _NOT_ALLOWED[method])
    if not pull.is_open or not (pull.draft or policy.judge_merge(repo, pull, method, "", by).message):
        raise RefusedError(422, "Pull request is in clean status")
    pull.updated_at = world.now()
    pull.auto_merge = AutoMerge(by, method, pull.updated_at, title, message)
    pulls.announce(world, pull, "auto_merge_enabled", by)


def disable_auto_merge(world: World, pull: Pull, *, by: str) -> None:
    """Take the wish back; raises RefusedError 422 if there is none."""
    if pull.auto_merge is None:
        raise RefusedError(422, "Can't disable auto-merge for this pull request.")
    pull.auto_merge, pull.updated_at = None, world.now()
    pulls.announce(world, pull, "auto_merge_disabled", by, reason="Auto-merge was disabled")


def merge_if_ready(world: World, pull: Pull) -> None:
    """Carry out a wish for auto-merge, unless something still stands in its way."""
    wish = pull.auto_merge
    if wish is None:
        return
    try:
        merge(world, pull, wish.method, by=wish.by, title=wish.title, message=wish.message)
    except (MergeRefused, BrokenGatewayError):
        return


def _refuse(repo: Repo, pull: Pull, method: Method, sha: str | None, text: str, by: str) -> policy.Ruling:
    """What the rules say, once nothing else stands in the way; raises MergeRefused if something does."""
    if not pull.is_open:
        raise MergeRefused(405, NOT_MERGEABLE)
    if pull.draft:
        raise MergeRefused(405, "Pull Request is still a draft")
    if method not in policy.allowed_methods(repo, pull.base_ref, by):
        raise MergeRefused(405, _NOT_ALLOWED[method])
    if sha is not None and sha != pull.head_sha:
        raise MergeRefused(409, HEAD_MODIFIED)
    return policy.judge_merge(repo, pull, method, text, by)


def _merge_or_squash(repo: Repo, pull: Pull, method: Method, base: str, text: str, by: str, when: float) -> str:
    tree = repo.git.merge_tree(base, pull.head_sha)
    if tree is None:
        raise MergeRefused(405, NOT_MERGEABLE)
    if method is Method.SQUASH:
        return repo.git.commit_tree(tree, (base,), text, author=person(pull.author), when=when, signed=True)
    return repo.git.commit_tree(tree, (base, pull.head_sha), text, author=person(by), when=when, signed=True)


def _with_a_stranger(repo: Repo, landed: str, when: float) -> str:
    """The commit to be landed, with a file in it that nobody has written (Q78)."""
    info = repo.git.commit(landed)
    tree = repo.git.with_file(info.tree, "stranger.txt", "nobody wrote this\n")
    return repo.git.commit_tree(
        tree,
        info.parents,
        info.message,
        author=info.author,
        committer=info.committer,
        when=when,
        authored_at=info.authored_at,
        signed=info.is_verified,
    )


def _rebase(repo: Repo, pull: Pull, base: str, when: float) -> str:
    commits = [sha for sha, _ in repo.git.new_commits(base, pull.head_sha)]
    landed = repo.git.replay(commits, base, when)
    if landed is None:
        raise MergeRefused(405, "This branch can't be rebased")
    return landed


def merge_branch(world: World, repo: Repo, base: str, head: str, *, message: str | None, by: str) -> str | None:
    """Merge a branch, or a commit that belongs to the repository, into a branch: the commit made, None if it is there.

    Raises RefusedError in the words of ``POST /merges``.
    """
    onto = repo.git.tip(base)
    if onto is None:
        raise RefusedError(404, "Base does not exist")
    theirs = repo.git.tip(head) or _commit_of_ours(repo, head)
    if theirs is None or world.faults.fires(
        FaultId.GIT_REPLICA_LAG, repo.full_name, when=lambda lag: refs.is_fresh(world, repo, str(theirs), lag)
    ):
        raise RefusedError(404, "Head does not exist")
    if repo.git.is_ancestor(theirs, onto):
        return None
    tree = repo.git.merge_tree(onto, theirs)
    if tree is None:
        raise RefusedError(409, "Merge conflict")
    text = message or f"Merge {head} into {base}"
    merged = repo.git.commit_tree(tree, (onto, theirs), text, author=person(by), when=world.now(), signed=True)
    if world.faults.fires(FaultId.MERGES_409_AUTH, repo.full_name):
        raise RefusedError(409, policy.NOT_AUTHORIZED)
    if refs.forbidden_workflow(world, repo, onto, theirs):
        raise RefusedError(403, "Resource not accessible by integration")
    refused = refs.judged(world, repo, HEADS + base, onto, merged, by).message
    if refused:
        raise RefusedError(409, refused)
    repo.git.move(HEADS + base, merged, onto)
    refs.moved(world, repo, HEADS + base, onto, merged, by, forced=False)
    return merged


def _commit_of_ours(repo: Repo, name: str) -> str | None:
    """A commit by its SHA, if a branch or a pull request's head has it in its history."""
    sha = repo.git.resolve(name) if _SHA.fullmatch(name) else None
    return sha if sha is not None and repo.git.belongs(sha) else None


def _message(
    repo: Repo, pull: Pull, method: Method, commits: Sequence[CommitInfo], title: str | None, message: str | None
) -> tuple[str, str]:
    """Headline and body: what was asked for, else the repository's defaults; an empty string asks for nothing."""
    chosen, owner = repo.settings, pull.head_repo.partition("/")[0]
    if method is Method.MERGE:
        number = f"Merge pull request #{pull.number} from {owner}/{pull.head_ref}"
        by_pull = chosen.merge_commit_title == "PR_TITLE"
        headline = f"{pull.title} (#{pull.number})" if by_pull else number
        body = {"PR_TITLE": pull.title, "PR_BODY": pull.body, "BLANK": ""}[chosen.merge_commit_message]
    else:
        own = [info for info in commits if len(info.parents) < 2]
        by_commit = chosen.squash_merge_commit_title == "COMMIT_OR_PR_TITLE" and len(own) == 1
        headline = f"{own[0].headline if by_commit else pull.title} (#{pull.number})"
        listed = "\n\n".join(f"* {info.message.strip()}" for info in commits)
        told = listed if len(commits) > 1 else "".join(info.body for info in commits)
        body = {"PR_BODY": pull.body, "COMMIT_MESSAGES": told, "BLANK": ""}[chosen.squash_merge_commit_message]
        people = dict.fromkeys(info.author for info in commits if info.author != person(pull.author))
        trailers = "\n".join(f"Co-authored-by: {one.name} <{one.email}>" for one in people)
        body += ("\n\n---------\n\n" if body and trailers else "") + trailers
    return title or headline, (message or body).strip()
